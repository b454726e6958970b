//! Messages and their parts, from the wire to the IR.

use base64::{Engine, engine::general_purpose::STANDARD};
use tollgate_base::{Error, Result, quote};

use crate::{
    checks, gemini, ids,
    ir::{
        CacheMark, Document, DocumentSource, Image, ImageSource, Issuer, Message, Part, Role,
        Signature, ToolCall, ToolResult, raw_json,
    },
    json::{Json, Shape},
};

/// Reads `messages`. A tool message becomes a user message with a tool result.
pub(super) fn parse_messages(messages: Json<'_>) -> Result<Vec<Message>> {
    let mut legacy = LegacyCalls::default();
    messages
        .items()
        .enumerate()
        .map(|(i, message)| parse_message(message, i, &mut legacy))
        .collect()
}

/// The deprecated `function_call` has no ids: a result belongs to the last call.
#[derive(Default)]
struct LegacyCalls {
    n: usize,
    last: String,
}

fn parse_message(message: Json<'_>, i: usize, legacy: &mut LegacyCalls) -> Result<Message> {
    let path = format!("messages[{i}]");
    let [role, content, name, call_id, refusal, calls, call] = message.pick([
        "role",
        "content",
        "name",
        "tool_call_id",
        "refusal",
        "tool_calls",
        "function_call",
    ]);
    let role_name = role.and_then(Json::as_str).unwrap_or_default();
    let role = match &*role_name {
        "system" => Role::System,
        "developer" => Role::Developer,
        "assistant" => Role::Assistant,
        _ => Role::User,
    };
    let mut parts = Vec::new();
    if role == Role::Assistant {
        parts.extend(parse_reasoning(message, &path)?);
    }
    let content = parse_content(content, &path)?;
    match (&*role_name, filled(call_id)) {
        ("tool", Some(call_id)) => parts.push(tool_result(call_id, content)),
        ("tool", None) => return Err(Error::missing_field(format!("{path}.tool_call_id"))),
        ("function", _) => parts.push(tool_result(legacy.last.clone(), content)),
        _ => parts.extend(content),
    }
    parts.extend(filled(refusal).map(|text| Part::Refusal { text }));
    for (j, call) in calls.into_iter().flat_map(Json::items).enumerate() {
        if let Some(seal) = google_seal(call) {
            push_seal(&mut parts, &seal);
        }
        parts.push(parse_call(call, &format!("{path}.tool_calls[{j}]"))?);
    }
    if let Some(call) = call {
        parts.push(Part::ToolCall {
            call: legacy.next(call),
            cache: None,
        });
    }
    let name = filled(name).filter(|_| role_name != "function");
    Ok(Message { role, parts, name })
}

impl LegacyCalls {
    fn next(&mut self, call: Json<'_>) -> ToolCall {
        let name = text_field(call, "name").unwrap_or_default();
        self.last = ids::made_call_id("function_call", &name, self.n);
        self.n += 1;
        let arguments = text_field(call, "arguments").unwrap_or_default();
        ToolCall {
            id: self.last.clone(),
            name,
            arguments,
        }
    }
}

/// What other servers of this dialect call the thoughts of an earlier answer.
fn parse_reasoning(message: Json<'_>, path: &str) -> Result<Option<Part>> {
    let [content, reasoning, audio] = message.pick(["reasoning_content", "reasoning", "audio"]);
    if audio.is_some() {
        let text = "An earlier audio answer can only be sent back to the provider that gave it.";
        return Err(Error::unsupported(format!("{path}.audio"), text));
    }
    let text = filled(content).or_else(|| filled(reasoning));
    Ok(text.map(|text| Part::Reasoning {
        text,
        signature: None,
    }))
}

/// The seal that a Gemini model put on the call, in the field that its vendor documents for this dialect.
fn google_seal(call: Json<'_>) -> Option<String> {
    let google = call.field("extra_content")?.field("google")?;
    let seal = google.field("thought_signature")?.as_str()?;
    (!seal.is_empty() && !gemini::is_dummy_seal(&seal)).then(|| seal.into_owned())
}

/// A seal stands on the reasoning right before the call.
fn push_seal(parts: &mut Vec<Part>, seal: &str) {
    let sealed = Signature::new(Issuer::Gemini, seal);
    match parts.last_mut() {
        Some(Part::Reasoning {
            signature: signature @ None,
            ..
        }) => *signature = Some(sealed),
        _ => parts.push(Part::Reasoning {
            text: String::new(),
            signature: Some(sealed),
        }),
    }
}

fn tool_result(call_id: String, content: Vec<Part>) -> Part {
    Part::ToolResult {
        result: ToolResult {
            call_id,
            content,
            is_error: false,
        },
        cache: None,
    }
}

fn parse_call(call: Json<'_>, path: &str) -> Result<Part> {
    let Some(function) = call.field("function") else {
        let text = "Only function calls can be translated for this model.";
        return Err(Error::unsupported(path, text));
    };
    let Some(name) = text_field(function, "name") else {
        return Err(Error::missing_field(format!("{path}.function.name")));
    };
    let Some(id) = text_field(call, "id") else {
        return Err(Error::missing_field(format!("{path}.id")));
    };
    // Some callers send the arguments as the object itself.
    let arguments = match function.field("arguments") {
        Some(value) if value.shape() == Shape::Object => value.text().to_owned(),
        Some(value) => value.as_str().unwrap_or_default().into_owned(),
        None => String::new(),
    };
    Ok(Part::ToolCall {
        call: ToolCall {
            id,
            name,
            arguments,
        },
        cache: None,
    })
}

fn parse_content(content: Option<Json<'_>>, path: &str) -> Result<Vec<Part>> {
    let Some(content) = content.filter(|content| !content.is_null()) else {
        return Ok(Vec::new());
    };
    if let Some(text) = content.as_str() {
        return Ok(vec![Part::Text {
            text: text.into_owned(),
            cache: None,
        }]);
    }
    let parts = content.items().enumerate();
    parts
        .map(|(j, part)| parse_part(part, &format!("{path}.content[{j}]")))
        .collect()
}

fn parse_part(part: Json<'_>, path: &str) -> Result<Part> {
    let kind = part
        .field("type")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let cache = cache_mark(part);
    let part = match &*kind {
        "text" => Part::Text {
            text: needed_text(part, "text", path)?,
            cache,
        },
        "refusal" => Part::Refusal {
            text: needed_text(part, "refusal", path)?,
        },
        "image_url" => Part::Image {
            image: parse_image(part, path)?,
            cache,
        },
        "input_audio" => {
            let audio = part
                .field("input_audio")
                .ok_or_else(|| Error::missing_field(format!("{path}.input_audio")))?;
            Part::Audio {
                data: needed_text(audio, "data", path)?,
                format: needed_text(audio, "format", path)?,
            }
        }
        "file" => Part::Document {
            document: parse_file(part, path)?,
            cache,
        },
        _ => Part::Opaque {
            kind: kind.into_owned(),
            json: raw_json(part.text()),
        },
    };
    Ok(part)
}

pub(crate) fn cache_mark(part: Json<'_>) -> Option<CacheMark> {
    let mark = part
        .field("prompt_cache_breakpoint")
        .filter(|mark| !mark.is_null())?;
    let lifetime = mark.field("ttl").and_then(Json::as_str);
    // The other lifetime here is 30 minutes, which no shorter one stands for.
    Some(match lifetime.as_deref() {
        None | Some("5m") => CacheMark::Short,
        Some(_) => CacheMark::Long,
    })
}

fn parse_image(part: Json<'_>, path: &str) -> Result<Image> {
    let path = format!("{path}.image_url");
    let image = part
        .field("image_url")
        .ok_or_else(|| Error::missing_field(&*path))?;
    // Some callers send the address alone.
    let url = image
        .as_str()
        .or_else(|| image.field("url").and_then(Json::as_str));
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        return Err(Error::missing_field(format!("{path}.url")));
    };
    let source = match url.strip_prefix("data:") {
        None => ImageSource::Url(url.into_owned()),
        Some(data) => {
            let (media_type, data) = split_data_url(data, &format!("{path}.url"))?;
            ImageSource::Base64 { media_type, data }
        }
    };
    Ok(Image {
        source,
        detail: text_field(image, "detail"),
    })
}

fn parse_file(part: Json<'_>, path: &str) -> Result<Document> {
    let path = format!("{path}.file");
    let file = part
        .field("file")
        .ok_or_else(|| Error::missing_field(&*path))?;
    let title = text_field(file, "filename");
    if let Some(id) = text_field(file, "file_id") {
        return Ok(Document {
            source: DocumentSource::File(id),
            title,
        });
    }
    let data = needed_text(file, "file_data", &path)?;
    let path = format!("{path}.file_data");
    let Some(data) = data.strip_prefix("data:") else {
        return Err(checks::wrong_type(&path, "a data URL"));
    };
    let (media_type, data) = split_data_url(data, &path)?;
    let source = if media_type.starts_with("text/") {
        let bytes = STANDARD
            .decode(&data)
            .map_err(|_| checks::wrong_type(&path, "valid base64"))?;
        let text = String::from_utf8(bytes).map_err(|_| checks::wrong_type(&path, "UTF-8 text"))?;
        DocumentSource::Text(text)
    } else {
        DocumentSource::Base64 { media_type, data }
    };
    Ok(Document { source, title })
}

/// `image/png;base64,…` as media type and data.
pub(crate) fn split_data_url(rest: &str, path: &str) -> Result<(String, String)> {
    let parts = rest.split_once(',').and_then(|(head, data)| {
        let media_type = head.strip_suffix(";base64")?;
        let media_type = media_type.split(';').next().unwrap_or_default();
        let is_base64 = data
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
        (!data.is_empty() && is_base64).then(|| (media_type.to_ascii_lowercase(), data.to_owned()))
    });
    parts.ok_or_else(|| {
        let start: String = rest.chars().take(24).collect();
        Error::invalid_value(
            path,
            format!(
                "`{path}` must be a base64 data URL; it starts with {}.",
                quote(&start)
            ),
        )
    })
}

pub(crate) fn needed_text(value: Json<'_>, name: &str, path: &str) -> Result<String> {
    let path = || format!("{path}.{name}");
    let Some(field) = value.field(name) else {
        return Err(Error::missing_field(path()));
    };
    match field.as_str() {
        Some(text) => Ok(text.into_owned()),
        None => Err(checks::wrong_type(&path(), "a string")),
    }
}

pub(crate) fn filled(value: Option<Json<'_>>) -> Option<String> {
    value?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(std::borrow::Cow::into_owned)
}

/// A text that is there and not empty.
pub(crate) fn text_field(value: Json<'_>, name: &str) -> Option<String> {
    value
        .field(name)?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(std::borrow::Cow::into_owned)
}
