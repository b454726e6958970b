//! `input`, from the wire to the IR: one message for each item, so that a place in the one is a place in the
//! other.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use tollgate_base::{Error, Result, quote};

use crate::{
    checks,
    ir::{
        Document, DocumentSource, Image, ImageSource, Issuer, Message, Part, Role, ToolCall,
        ToolResult, raw_json, sealed_reasoning,
    },
    json::{Json, Shape},
    openai_chat::content::{cache_mark, filled, needed_text, split_data_url, text_field},
    openai_responses::custom,
};

pub(super) fn parse_input(input: Json<'_>) -> Result<Vec<Message>> {
    if let Some(text) = input.as_str() {
        return Ok(vec![message(Role::User, vec![text_part(text)])]);
    }
    let items = input.items().enumerate();
    items.map(|(i, item)| parse_item(item, i)).collect()
}

pub(super) fn message(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
    }
}

pub(super) fn text_part(text: impl Into<String>) -> Part {
    Part::Text {
        text: text.into(),
        cache: None,
    }
}

fn parse_item(item: Json<'_>, i: usize) -> Result<Message> {
    let path = format!("input[{i}]");
    let kind = item.field("type").and_then(Json::as_str);
    let message = match kind.as_deref() {
        None | Some("message") => parse_message(item, &path)?,
        Some("function_call") => {
            let arguments = needed_text(item, "arguments", &path)?;
            message(Role::Assistant, vec![parse_call(item, arguments, &path)?])
        }
        Some("custom_tool_call") => {
            let arguments = custom::wrapped(&needed_text(item, "input", &path)?);
            message(Role::Assistant, vec![parse_call(item, arguments, &path)?])
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            message(Role::User, vec![parse_result(item, &path)?])
        }
        Some("reasoning") => message(Role::Assistant, parse_reasoning(item).into_iter().collect()),
        Some("item_reference") => {
            let text = "The item is not stored here, so it cannot be referred to. Send the item itself, or ask with the `previous_response_id` of a stored response.";
            return Err(Error::unsupported(path, text));
        }
        Some(kind) => {
            let text = format!(
                "Items of type {} cannot be translated for this model.",
                quote(kind)
            );
            return Err(Error::unsupported(format!("{path}.type"), text));
        }
    };
    Ok(message)
}

fn parse_message(item: Json<'_>, path: &str) -> Result<Message> {
    let role = match item.field("role").and_then(Json::as_str).as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        _ => return Err(Error::missing_field(format!("{path}.role"))),
    };
    let Some(content) = item.field("content").filter(|content| !content.is_null()) else {
        return Err(Error::missing_field(format!("{path}.content")));
    };
    Ok(message(
        role,
        parse_content(content, &format!("{path}.content"))?,
    ))
}

fn parse_content(content: Json<'_>, path: &str) -> Result<Vec<Part>> {
    if let Some(text) = content.as_str() {
        return Ok(vec![text_part(text)]);
    }
    if content.shape() != Shape::Array {
        return Err(checks::wrong_type(path, "a string or a list of parts"));
    }
    let parts = content.items().enumerate();
    parts
        .map(|(j, part)| parse_part(part, &format!("{path}[{j}]")))
        .collect()
}

fn parse_part(part: Json<'_>, path: &str) -> Result<Part> {
    let kind = part.field("type").and_then(Json::as_str);
    let cache = cache_mark(part);
    let part = match kind.as_deref() {
        Some("input_text" | "output_text" | "text") => Part::Text {
            text: needed_text(part, "text", path)?,
            cache,
        },
        Some("refusal") => Part::Refusal {
            text: needed_text(part, "refusal", path)?,
        },
        Some("input_image") => Part::Image {
            image: parse_image(part, path)?,
            cache,
        },
        Some("input_file") => Part::Document {
            document: parse_file(part, path)?,
            cache,
        },
        Some("input_audio") => {
            let Some(audio) = part.field("input_audio") else {
                return Err(Error::missing_field(format!("{path}.input_audio")));
            };
            Part::Audio {
                data: needed_text(audio, "data", path)?,
                format: needed_text(audio, "format", path)?,
            }
        }
        Some(kind) => Part::Opaque {
            kind: kind.to_owned(),
            json: raw_json(part.text()),
        },
        None => return Err(checks::wrong_type(path, "an object with a `type`")),
    };
    Ok(part)
}

fn parse_image(part: Json<'_>, path: &str) -> Result<Image> {
    let path = format!("{path}.image_url");
    let source = match (filled(part.field("image_url")), text_field(part, "file_id")) {
        (Some(url), _) => match url.strip_prefix("data:") {
            None => ImageSource::Url(url),
            Some(data) => {
                let (media_type, data) = split_data_url(data, &path)?;
                ImageSource::Base64 { media_type, data }
            }
        },
        (None, Some(id)) => ImageSource::File(id),
        (None, None) => return Err(Error::missing_field(path)),
    };
    // What the provider does anyway needs no word.
    let detail = text_field(part, "detail").filter(|detail| detail != "auto");
    Ok(Image { source, detail })
}

fn parse_file(part: Json<'_>, path: &str) -> Result<Document> {
    let title = text_field(part, "filename");
    let source = if let Some(id) = text_field(part, "file_id") {
        DocumentSource::File(id)
    } else if let Some(url) = text_field(part, "file_url") {
        DocumentSource::Url(url)
    } else {
        parse_file_data(part, path)?
    };
    Ok(Document { source, title })
}

fn parse_file_data(part: Json<'_>, path: &str) -> Result<DocumentSource> {
    let data = needed_text(part, "file_data", path)?;
    let path = format!("{path}.file_data");
    let Some(data) = data.strip_prefix("data:") else {
        return Err(checks::wrong_type(&path, "a data URL"));
    };
    let (media_type, data) = split_data_url(data, &path)?;
    if !media_type.starts_with("text/") {
        return Ok(DocumentSource::Base64 { media_type, data });
    }
    let bytes = STANDARD
        .decode(&data)
        .map_err(|_| checks::wrong_type(&path, "valid base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| checks::wrong_type(&path, "UTF-8 text"))?;
    Ok(DocumentSource::Text(text))
}

fn parse_call(item: Json<'_>, arguments: String, path: &str) -> Result<Part> {
    let id = needed_text(item, "call_id", path)?;
    let mut name = needed_text(item, "name", path)?;
    if let Some(namespace) = item.field("namespace").and_then(Json::as_str) {
        name = custom::joined(&namespace, &name);
    }
    Ok(Part::ToolCall {
        call: ToolCall {
            id,
            name,
            arguments,
        },
        cache: None,
    })
}

fn parse_result(item: Json<'_>, path: &str) -> Result<Part> {
    let call_id = needed_text(item, "call_id", path)?;
    let output = item.field("output").filter(|output| !output.is_null());
    let Some(output) = output else {
        return Err(Error::missing_field(format!("{path}.output")));
    };
    Ok(Part::ToolResult {
        result: ToolResult {
            call_id,
            content: parse_content(output, &format!("{path}.output"))?,
            is_error: false,
        },
        cache: None,
    })
}

/// The summary, or else the reasoning itself; nothing for an item that holds neither, and no seal.
fn parse_reasoning(item: Json<'_>) -> Option<Part> {
    let joined = |name| {
        let texts: Vec<Cow<'_, str>> = item
            .field(name)
            .into_iter()
            .flat_map(Json::items)
            .filter_map(|part| part.field("text").and_then(Json::as_str))
            .collect();
        texts.join("\n\n")
    };
    let summary = joined("summary");
    let text = if summary.is_empty() {
        joined("content")
    } else {
        summary
    };
    let seal = text_field(item, "encrypted_content");
    (!text.is_empty() || seal.is_some())
        .then(|| sealed_reasoning(Issuer::OpenAi, text, seal.as_deref()))
}
