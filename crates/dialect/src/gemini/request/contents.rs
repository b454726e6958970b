//! `contents` and `systemInstruction`, from the wire to the IR. Calls and results without ids are matched by
//! name and order, and get ids that depend on their place alone: the same in every turn.

use base64::{Engine, engine::general_purpose::STANDARD};
use tollgate_base::{Error, Result};

use crate::{
    checks,
    gemini::fields::{field, is_named, needed_text, shaped, text},
    ids,
    ir::{
        Document, DocumentSource, Image, ImageSource, Issuer, Message, Part, Request, Role,
        ToolCall, ToolResult, dropped, raw_json, sealed_reasoning,
    },
    json::{Json, Shape},
};

/// What stands for a seal where there is none; the vendor documents both.
const DUMMY_SEALS: [&str; 2] = [
    super::conversation::DUMMY_SEAL,
    "context_engineering_is_the_way_to_go",
];
/// The fields of a part; of several that hold data there is only one.
const PART_FIELDS: [&str; 11] = [
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

pub(crate) fn is_dummy_seal(seal: &str) -> bool {
    DUMMY_SEALS.contains(&seal)
}

pub(super) fn parse_system(system: Json<'_>, request: &mut Request) -> Result<()> {
    let mut parts = Vec::new();
    for (j, part) in field(system, "parts")
        .into_iter()
        .flat_map(Json::items)
        .enumerate()
    {
        let Some(text) = text(part, "text") else {
            let path = format!("systemInstruction.parts[{j}]");
            return Err(Error::unsupported(
                path,
                "A system instruction can only hold text.",
            ));
        };
        parts.push(Part::Text { text, cache: None });
    }
    request.messages.push(Message {
        role: Role::System,
        parts,
        name: None,
    });
    request.has_system_field = true;
    Ok(())
}

pub(super) fn parse_contents(contents: Json<'_>, request: &mut Request) -> Result<()> {
    let mut reader = Reader {
        request,
        open: Vec::new(),
        was_model: false,
    };
    for (i, content) in contents.items().enumerate() {
        reader.content(content, i)?;
    }
    Ok(())
}

struct Reader<'r> {
    request: &'r mut Request,
    /// Calls of the model's turn before that are not answered: id and name.
    open: Vec<(String, String)>,
    was_model: bool,
}

impl Reader<'_> {
    fn content(&mut self, content: Json<'_>, i: usize) -> Result<()> {
        let is_model = text(content, "role").as_deref() == Some("model");
        if is_model && !self.was_model {
            self.open.clear();
        }
        self.was_model = is_model;
        self.request.messages.push(Message {
            role: if is_model {
                Role::Assistant
            } else {
                Role::User
            },
            parts: Vec::new(),
            name: None,
        });
        for (j, part) in field(content, "parts")
            .into_iter()
            .flat_map(Json::items)
            .enumerate()
        {
            self.part(part, (i, j))?;
        }
        Ok(())
    }

    fn part(&mut self, part: Json<'_>, place: (usize, usize)) -> Result<()> {
        let path = format!("contents[{}].parts[{}]", place.0, place.1);
        for (key, _) in part.fields().filter(|(_, value)| !value.is_null()) {
            if !PART_FIELDS.iter().any(|name| is_named(key, name)) {
                let reason = "Only this dialect's models read this.";
                self.request
                    .losses
                    .push(dropped(format!("{path}.{key}"), reason));
            }
        }
        let seal = text(part, "thoughtSignature")
            .filter(|seal| !is_dummy_seal(seal))
            .map(standard_base64);
        if field(part, "thought").and_then(Json::as_bool) == Some(true) {
            self.thought(text(part, "text").unwrap_or_default(), seal.as_deref());
            return Ok(());
        }
        if seal.is_some() {
            self.thought(String::new(), seal.as_deref());
        }
        if let Some(call) = field(part, "functionCall") {
            return self.call(call, &path, place);
        }
        if let Some(response) = field(part, "functionResponse") {
            return self.result(response, &path, place);
        }
        if let Some(blob) = field(part, "inlineData") {
            let part = inline(blob, &format!("{path}.inlineData"))?;
            self.push(part);
            return Ok(());
        }
        if let Some(file) = field(part, "fileData") {
            let part = by_address(file, &format!("{path}.fileData"))?;
            self.push(part);
            return Ok(());
        }
        if let Some(text) = field(part, "text") {
            let Some(text) = text.as_str() else {
                return Err(checks::wrong_type(&format!("{path}.text"), "a string"));
            };
            self.push(Part::Text {
                text: text.into_owned(),
                cache: None,
            });
            return Ok(());
        }
        let kind = part
            .fields()
            .map(|(key, _)| key)
            .find(|key| PART_FIELDS[7..].iter().any(|name| is_named(key, name)));
        let Some(kind) = kind else {
            let text = format!("`{path}` holds no data. Give it a text, or leave it out.");
            return Err(Error::invalid_value(path, text));
        };
        self.push(Part::Opaque {
            kind: kind.to_owned(),
            json: raw_json(part.text()),
        });
        Ok(())
    }

    /// A thought, or the seal of the part that follows. Thoughts come in pieces where a client keeps the
    /// pieces of a stream, and the seal is on the last of them, or on what follows.
    fn thought(&mut self, text: String, seal: Option<&str>) {
        let part = sealed_reasoning(Issuer::Gemini, text, seal);
        let before = self
            .request
            .messages
            .iter_mut()
            .rev()
            .take_while(|message| message.role == Role::Assistant)
            .find_map(|message| message.parts.last_mut());
        if let Some(Part::Reasoning {
            text: before,
            signature: signature @ None,
        }) = before
            && let Part::Reasoning {
                text,
                signature: seal,
            } = &part
        {
            before.push_str(text);
            signature.clone_from(seal);
            return;
        }
        self.push(part);
    }

    fn call(&mut self, call: Json<'_>, path: &str, (i, j): (usize, usize)) -> Result<()> {
        let path = format!("{path}.functionCall");
        let name = needed_text(call, "name", &path)?;
        let args = shaped(field(call, "args"), &format!("{path}.args"), Shape::Object)?;
        let id = text(call, "id").filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| ids::made_call_id(&format!("contents[{i}]"), &name, j));
        self.open.push((id.clone(), name.clone()));
        self.push(Part::ToolCall {
            call: ToolCall {
                id,
                name,
                arguments: args.map_or("{}", Json::text).to_owned(),
            },
            cache: None,
        });
        Ok(())
    }

    fn result(&mut self, response: Json<'_>, path: &str, (i, j): (usize, usize)) -> Result<()> {
        let path = format!("{path}.functionResponse");
        let id = text(response, "id").filter(|id| !id.is_empty());
        let name = text(response, "name").unwrap_or_default();
        let by_id = self
            .open
            .iter()
            .position(|(open, _)| Some(open) == id.as_ref());
        let by_name = || self.open.iter().position(|(_, open)| *open == name);
        let call_id = match by_id.or_else(by_name) {
            Some(at) => self.open.remove(at).0,
            // Whoever renders it says that it answers nothing.
            None => id.unwrap_or_else(|| ids::made_call_id(&format!("contents[{i}]"), &name, j)),
        };
        let value = field(response, "response");
        let value = shaped(value, &format!("{path}.response"), Shape::Object)?;
        let (text, is_error) = result_text(value.unwrap_or(Json::new("{}")));
        let mut content = Vec::new();
        if !text.is_empty() {
            content.push(Part::Text { text, cache: None });
        }
        for (k, part) in field(response, "parts")
            .into_iter()
            .flat_map(Json::items)
            .enumerate()
        {
            let path = format!("{path}.parts[{k}]");
            let Some(blob) = field(part, "inlineData") else {
                let text = "A part of a function response can only hold `inlineData`.";
                return Err(Error::unsupported(path, text));
            };
            content.push(inline(blob, &format!("{path}.inlineData"))?);
        }
        self.push(Part::ToolResult {
            result: ToolResult {
                call_id,
                content,
                is_error,
            },
            cache: None,
        });
        Ok(())
    }

    fn push(&mut self, part: Part) {
        if let Some(message) = self.request.messages.last_mut() {
            message.parts.push(part);
        }
    }
}

/// A result's text, and whether it is an error. Functions without a structure of their own answer in one of
/// three documented fields; anything else stays JSON.
fn result_text(response: Json<'_>) -> (String, bool) {
    let mut fields = response.fields();
    let only = match (fields.next(), fields.next()) {
        (Some(field), None) => Some(field),
        _ => None,
    };
    match only {
        Some((key @ ("result" | "output" | "error"), value)) => match value.as_str() {
            Some(text) => (text.into_owned(), key == "error"),
            None => (response.text().to_owned(), key == "error"),
        },
        _ => (response.text().to_owned(), false),
    }
}

/// Base64 in its standard alphabet. ProtoJSON takes the one for URLs as well, padded or not, and no other
/// dialect does.
fn standard_base64(mut data: String) -> String {
    if data.contains(['-', '_']) {
        data = data.replace('-', "+").replace('_', "/");
    }
    let missing = (4 - data.len() % 4) % 4;
    data.extend(std::iter::repeat_n('=', missing));
    data
}

fn inline(blob: Json<'_>, path: &str) -> Result<Part> {
    let media_type = needed_text(blob, "mimeType", path)?.to_ascii_lowercase();
    let data = standard_base64(needed_text(blob, "data", path)?);
    let kind = media_type.split('/').next().unwrap_or_default();
    Ok(match kind {
        "image" => Part::Image {
            image: Image {
                source: ImageSource::Base64 { media_type, data },
                detail: None,
            },
            cache: None,
        },
        "audio" => Part::Audio {
            format: match &*media_type {
                "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
                "audio/mp3" | "audio/mpeg" => "mp3",
                _ => {
                    let text = "Audio can be translated as WAV or MP3. Convert it.";
                    return Err(Error::unsupported(format!("{path}.mimeType"), text));
                }
            }
            .to_owned(),
            data,
        },
        "video" => {
            let text = "The model does not take video.";
            return Err(Error::unsupported(path, text));
        }
        "text" => {
            let bytes = STANDARD.decode(&data).ok();
            let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) else {
                let text = "The data must be base64 of a text in UTF-8.";
                return Err(Error::invalid_value(format!("{path}.data"), text));
            };
            document(DocumentSource::Text(text))
        }
        _ => document(DocumentSource::Base64 { media_type, data }),
    })
}

fn document(source: DocumentSource) -> Part {
    Part::Document {
        document: Document {
            source,
            title: None,
        },
        cache: None,
    }
}

fn by_address(file: Json<'_>, path: &str) -> Result<Part> {
    let uri = needed_text(file, "fileUri", path)?;
    let media_type = text(file, "mimeType").unwrap_or_default();
    let is_image = media_type.starts_with("image/");
    if !uri.starts_with("https://") && !uri.starts_with("http://")
        || super::media::is_the_vendors(&uri)
    {
        let text = "A file of the provider can only be read by it, and another one answers for this model. Send the file itself.";
        return Err(Error::unsupported(format!("{path}.fileUri"), text));
    }
    if is_image {
        return Ok(Part::Image {
            image: Image {
                source: ImageSource::Url(uri),
                detail: None,
            },
            cache: None,
        });
    }
    if !matches!(&*media_type, "" | "application/pdf") && !media_type.starts_with("text/") {
        let text =
            "Only images, PDF files and texts can be translated by address. Send the data itself.";
        return Err(Error::unsupported(format!("{path}.mimeType"), text));
    }
    Ok(document(DocumentSource::Url(uri)))
}
