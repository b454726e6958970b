//! What of a request is counted as its input: texts, tools, images and other media, taken from the body as it
//! came. Nothing is counted here, and nothing is built of what is not text: texts are borrowed where they
//! hold no escape. The IR is not needed, so that calls that are not translated are not parsed for it.

use std::borrow::Cow;

use base64::Engine;
use tollgate_base::Result;

use crate::{
    Dialect, RawObject, checks,
    gemini::fields::{field, is_named, top},
    json::{Json, Shape},
};

/// How much of an image is read: enough for the place where every format says its size.
const PREFIX: usize = 64 * 1024;

/// What goes into a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Countable<'a> {
    pub messages: Vec<CountedMessage<'a>>,
    pub tools: Vec<CountedTool<'a>>,
    /// System prompts that stand in a field of their own, schemas of the output, prompts and inputs.
    pub texts: Vec<Cow<'a, str>>,
    pub images: Vec<CountedImage<'a>>,
    /// Documents, sound and video.
    pub media: Vec<CountedMedia>,
    /// Tokens that the caller sent as such.
    pub tokens: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CountedMessage<'a> {
    pub role: Cow<'a, str>,
    pub name: Option<Cow<'a, str>>,
    pub texts: Vec<Cow<'a, str>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CountedTool<'a> {
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    /// JSON text. That of a tool with no known shape is the whole tool.
    pub parameters: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CountedImage<'a> {
    pub detail: Option<Cow<'a, str>>,
    pub source: ImageSource<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ImageSource<'a> {
    /// The first bytes of the image, at most 64 KiB.
    Bytes(Vec<u8>),
    /// An address or the id of a file: its size is not known here.
    Elsewhere(Cow<'a, str>),
}

/// A document, sound or video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedMedia {
    pub is_audio: bool,
    /// Bytes of it; `None` where it is not in the request.
    pub bytes: Option<u64>,
}

impl Countable<'_> {
    /// Bytes of all the texts: no tokenizer makes more tokens of them than that.
    pub fn text_bytes(&self) -> u64 {
        let len = |text: &str| text.len() as u64;
        let messages = self.messages.iter().map(|message| {
            let name = message.name.as_deref().map_or(0, len);
            let texts: u64 = message.texts.iter().map(|text| len(text)).sum();
            len(&message.role) + name + texts
        });
        let tools = self.tools.iter().map(|tool| {
            let description = tool.description.as_deref().map_or(0, len);
            len(&tool.name) + description + tool.parameters.map_or(0, len)
        });
        let texts = self.texts.iter().map(|text| len(text));
        messages.chain(tools).chain(texts).sum()
    }
}

/// What of a request is counted, of a body whose head was read.
pub fn countable(dialect: Dialect, raw: &RawObject) -> Result<Countable<'_>> {
    checks::no_overrides(raw)?;
    let mut out = Countable::default();
    match dialect {
        Dialect::OpenAiChat => out.chat(raw),
        Dialect::OpenAiResponses => out.responses(raw),
        Dialect::AnthropicMessages => out.anthropic(raw),
        Dialect::GeminiGenerate => out.gemini(raw),
        Dialect::OpenAiCompletions => {
            out.input(raw.json("prompt"));
            out.input(raw.json("suffix"));
        }
        Dialect::OpenAiEmbeddings => out.input(raw.json("input")),
        Dialect::GeminiEmbed => out.gemini_content(top(raw, "content")),
        Dialect::GeminiBatchEmbed => {
            for request in top(raw, "requests").into_iter().flat_map(Json::items) {
                out.gemini_content(field(request, "content"));
            }
        }
    }
    Ok(out)
}

impl<'a> Countable<'a> {
    fn chat(&mut self, raw: &'a RawObject) {
        for message in items(raw.json("messages")) {
            self.message(
                message,
                &[
                    "content",
                    "tool_calls",
                    "function_call",
                    "refusal",
                    "reasoning_content",
                ],
            );
        }
        for name in ["tools", "functions"] {
            self.tools(raw.json(name));
        }
        self.schema(
            raw.json("response_format")
                .and_then(|it| it.field("json_schema")),
        );
    }

    fn responses(&mut self, raw: &'a RawObject) {
        self.text(raw.json("instructions"));
        match raw.json("input") {
            Some(input) if input.shape() == Shape::String => self.text(Some(input)),
            input => {
                for item in items(input) {
                    self.message(
                        item,
                        &["content", "name", "arguments", "input", "output", "summary"],
                    );
                }
            }
        }
        self.tools(raw.json("tools"));
        self.schema(raw.json("text").and_then(|it| it.field("format")));
    }

    fn anthropic(&mut self, raw: &'a RawObject) {
        if let Some(system) = raw.json("system") {
            let mut texts = Vec::new();
            self.content(system, &mut texts);
            self.texts.append(&mut texts);
        }
        for message in items(raw.json("messages")) {
            self.message(message, &["content"]);
        }
        self.tools(raw.json("tools"));
        self.schema(raw.json("output_config").and_then(|it| it.field("format")));
        self.schema(raw.json("output_format"));
    }

    fn gemini(&mut self, raw: &'a RawObject) {
        if let Some(parts) = top(raw, "systemInstruction").and_then(|it| field(it, "parts")) {
            let mut texts = Vec::new();
            self.content(parts, &mut texts);
            self.texts.append(&mut texts);
        }
        for content in top(raw, "contents").into_iter().flat_map(Json::items) {
            self.gemini_content(Some(content));
        }
        for tool in top(raw, "tools").into_iter().flat_map(Json::items) {
            self.tools(field(tool, "functionDeclarations"));
        }
        let config = top(raw, "generationConfig");
        for name in ["responseSchema", "responseJsonSchema"] {
            if let Some(schema) = config.and_then(|config| field(config, name)) {
                self.texts.push(Cow::Borrowed(schema.text()));
            }
        }
    }

    fn gemini_content(&mut self, content: Option<Json<'a>>) {
        if let Some(content) = content {
            self.message(content, &["parts"]);
        }
    }

    /// A message: its role, its name, and the texts of these fields.
    fn message(&mut self, message: Json<'a>, fields: &[&str]) {
        let mut out = CountedMessage::default();
        for (key, value) in message.fields() {
            match key {
                "role" => out.role = value.as_str().unwrap_or_default(),
                // What says who speaks; a call's name is text of its own.
                "name" if !fields.contains(&"name") => out.name = value.as_str(),
                _ if fields.contains(&key) => self.content(value, &mut out.texts),
                // A part that stands in the place of a message.
                "image_url" | "file_data" => self.content(message, &mut out.texts),
                _ => {}
            }
        }
        self.messages.push(out);
    }

    /// A text, a part, or a list of them.
    fn content(&mut self, value: Json<'a>, texts: &mut Vec<Cow<'a, str>>) {
        match value.shape() {
            Shape::String => texts.extend(value.as_str()),
            Shape::Array => value.items().for_each(|item| self.content(item, texts)),
            Shape::Object => self.part(value, texts),
            _ => {}
        }
    }

    /// A part of any dialect: media are known by their fields, and every other string is text, but for the
    /// ones that only the protocol reads.
    fn part(&mut self, part: Json<'a>, texts: &mut Vec<Cow<'a, str>>) {
        let kind = part.field("type").and_then(Json::as_str);
        for (key, value) in part.fields() {
            match key {
                "type" | "id" | "call_id" | "tool_use_id" | "tool_call_id" | "detail"
                | "signature" | "encrypted_content" | "cache_control" | "filename" | "format"
                | "media_type" => {}
                _ if is_named(key, "thoughtSignature") => {}
                "image_url" => {
                    let url = value.field("url").unwrap_or(value);
                    let detail = value.field("detail").or_else(|| part.field("detail"));
                    self.image(url.as_str(), detail.and_then(Json::as_str));
                }
                "source" => self.source(kind.as_deref(), value, texts),
                "input_audio" => self.base64(true, value.field("data")),
                "file_data" if value.shape() == Shape::String => self.base64(false, Some(value)),
                "file_id" | "file_url" if kind.as_deref() == Some("input_image") => {
                    self.image(value.as_str(), part.field("detail").and_then(Json::as_str));
                }
                "file_id" | "file_url" => self.base64(false, None),
                _ if is_named(key, "inlineData") => {
                    self.blob(field(value, "mimeType"), value.field("data"));
                }
                _ if is_named(key, "fileData") => {
                    self.blob(field(value, "mimeType"), field(value, "fileUri"));
                }
                // Arguments and results: their JSON is what the model reads.
                "input" | "args" | "response" if value.shape() == Shape::Object => {
                    texts.push(Cow::Borrowed(value.text()));
                }
                _ => self.content(value, texts),
            }
        }
    }

    /// Anthropic's source of an image or a document.
    fn source(&mut self, kind: Option<&str>, source: Json<'a>, texts: &mut Vec<Cow<'a, str>>) {
        let [form, data, url, media] = source.pick(["type", "data", "url", "media_type"]);
        match (kind, form.and_then(Json::as_str).as_deref()) {
            (_, Some("text")) => texts.extend(data.and_then(Json::as_str)),
            (_, Some("content")) => {
                if let Some(content) = source.field("content") {
                    self.content(content, texts);
                }
            }
            (Some("image"), _) => match data.and_then(Json::as_str) {
                Some(data) => self.encoded_image(&data, None),
                None => self.image(url.or(source.field("file_id")).and_then(Json::as_str), None),
            },
            _ => self.blob(media, data),
        }
    }

    /// Gemini's media, told apart by their type: base64, or an address.
    fn blob(&mut self, media: Option<Json<'a>>, data: Option<Json<'a>>) {
        let media = media.and_then(Json::as_str).unwrap_or_default();
        let data_text = data.and_then(Json::as_str);
        if let Some(text) = data_text.as_deref().filter(|_| media.starts_with("text/"))
            && !text.contains(':')
        {
            return self.encoded_text(text);
        }
        if !media.starts_with("image/") {
            let is_far = data_text.as_deref().is_none_or(|text| text.contains(':'));
            return self.base64(media.starts_with("audio/"), data.filter(|_| !is_far));
        }
        match data_text {
            Some(text) if !text.contains(':') => self.encoded_image(&text, None),
            text => self.image(text, None),
        }
    }

    fn image(&mut self, url: Option<Cow<'a, str>>, detail: Option<Cow<'a, str>>) {
        let Some(url) = url else { return };
        let data = url
            .strip_prefix("data:")
            .and_then(|rest| Some(rest.split_once(";base64,")?.1));
        match data {
            Some(data) => self.encoded_image(data, detail),
            None => self.images.push(CountedImage {
                detail,
                source: ImageSource::Elsewhere(url),
            }),
        }
    }

    fn encoded_image(&mut self, data: &str, detail: Option<Cow<'a, str>>) {
        let source = ImageSource::Bytes(decoded_prefix(data));
        self.images.push(CountedImage { detail, source });
    }

    /// A text that came as a file is a text.
    fn encoded_text(&mut self, data: &str) {
        let engine = base64::engine::general_purpose::STANDARD;
        let decoded = engine.decode(data).unwrap_or_default();
        let text = String::from_utf8_lossy(&decoded).into_owned();
        self.texts.push(Cow::Owned(text));
    }

    fn base64(&mut self, is_audio: bool, data: Option<Json<'a>>) {
        let text = data.map(|data| data.text().trim_matches('"'));
        let parts = text.map(|text| text.split_once(";base64,").unwrap_or(("", text)));
        if let Some((head, data)) = parts
            && head.starts_with("data:text/")
        {
            return self.encoded_text(data);
        }
        let bytes = parts.map(|(_, data)| (data.len() as u64).saturating_mul(3) / 4);
        self.media.push(CountedMedia { is_audio, bytes });
    }

    fn tools(&mut self, tools: Option<Json<'a>>) {
        for tool in items(tools) {
            let inner = tool.field("function").or_else(|| tool.field("custom"));
            let inner = inner.unwrap_or(tool);
            let [name, description, parameters, schema] =
                inner.pick(["name", "description", "parameters", "input_schema"]);
            let parameters = parameters.or(schema);
            let parameters = parameters.or_else(|| field(inner, "parametersJsonSchema"));
            let text = |value: Option<Json<'a>>| value.and_then(Json::as_str);
            self.tools.push(CountedTool {
                name: text(name).unwrap_or_default(),
                description: text(description),
                parameters: match parameters {
                    Some(parameters) => Some(parameters.text()),
                    None if name.is_some() && inner.field("format").is_none() => None,
                    None => Some(inner.text()),
                },
            });
        }
    }

    /// The schema that the output is bound to.
    fn schema(&mut self, format: Option<Json<'a>>) {
        if let Some(schema) = format.and_then(|format| format.field("schema")) {
            self.texts.push(Cow::Borrowed(schema.text()));
        }
    }

    fn text(&mut self, text: Option<Json<'a>>) {
        self.texts.extend(text.and_then(Json::as_str));
    }

    /// A text, texts, tokens, or lists of tokens.
    fn input(&mut self, input: Option<Json<'a>>) {
        let Some(input) = input else { return };
        match input.shape() {
            Shape::String => self.text(Some(input)),
            Shape::Number => self.tokens += 1,
            Shape::Array => input.items().for_each(|item| self.input(Some(item))),
            _ => {}
        }
    }
}

fn items(list: Option<Json<'_>>) -> impl Iterator<Item = Json<'_>> {
    list.into_iter().flat_map(Json::items)
}

/// The first bytes of what is encoded; nothing of what is no base64.
fn decoded_prefix(data: &str) -> Vec<u8> {
    let end = (PREFIX / 3 * 4).min(data.len() / 4 * 4);
    let prefix = data.as_bytes().get(..end).unwrap_or_default();
    base64::engine::general_purpose::STANDARD
        .decode(prefix)
        .unwrap_or_default()
}
