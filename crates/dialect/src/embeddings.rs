//! Embeddings between dialects: texts in, vectors out. No conversation, so nothing here goes through the IR;
//! each dialect is read into a list of texts or of vectors, and written from it.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_base::{Error, Provenance, Result, Usage};

use crate::{
    Dialect, EncodeOptions, Loss, RawObject, Reading, Rendered, Target, gemini,
    ir::dropped,
    json::{Count, Json, List, Object, Shape, Text},
    openai_embeddings,
};

/// What a request wants embedded.
#[derive(Debug, Default)]
struct Wanted {
    texts: Vec<Wish>,
    dimensions: Option<u64>,
    losses: Vec<Loss>,
}

/// One text, and what only Gemini asks of it: field and JSON text.
#[derive(Debug, Default)]
struct Wish {
    text: String,
    own: Vec<(&'static str, String)>,
}

/// What a request wants embedded, for a model that is called without a wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbeddingsRequest {
    pub texts: Vec<String>,
    /// How many numbers a vector shall have.
    pub dimensions: Option<u64>,
    /// What cannot be asked of such a model.
    pub losses: Vec<Loss>,
}

/// A vector as it came: a list of numbers, or base64 of 32-bit floats with the lowest byte first.
enum Vector<'a> {
    Floats(&'a [f32]),
    Numbers(&'a str),
    Base64(Cow<'a, str>),
}

/// Fields that only Gemini's embeddings have.
const OWN_FIELDS: [&str; 2] = ["taskType", "title"];
/// What is read of OpenAI's.
const SAID: [&str; 4] = ["model", "input", "dimensions", "encoding_format"];

/// A request of the dialect `from`.
pub(crate) fn read(from: Dialect, raw: &RawObject) -> Result<EmbeddingsRequest> {
    let mut wanted = wanted(from, raw)?;
    wanted.lose_own_fields();
    Ok(EmbeddingsRequest {
        texts: wanted.texts.into_iter().map(|wish| wish.text).collect(),
        dimensions: wanted.dimensions,
        losses: wanted.losses,
    })
}

fn wanted(from: Dialect, raw: &RawObject) -> Result<Wanted> {
    match from {
        Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => read_gemini(raw),
        _ => read_openai(raw),
    }
}

impl Wanted {
    /// Names what Gemini alone has a word for.
    fn lose_own_fields(&mut self) {
        for name in OWN_FIELDS {
            let is_set = |wish: &Wish| wish.own.iter().any(|(own, _)| *own == name);
            if self.texts.iter().any(is_set) {
                let reason = "The provider's dialect has no such field.";
                self.losses.push(dropped(name, reason));
            }
        }
    }
}

pub(crate) fn render(
    from: Dialect,
    raw: &RawObject,
    to: Dialect,
    target: Target<'_>,
) -> Result<Rendered> {
    let mut wanted = wanted(from, raw)?;
    let mut out = Vec::with_capacity(raw.bytes().len() + 128);
    match to {
        Dialect::GeminiEmbed => {
            let [wish] = wanted.texts.as_slice() else {
                let text = "The model embeds one text with a request. Send one at a time.";
                return Err(Error::unsupported("input", text));
            };
            put_gemini(&mut Object::new(&mut out), wish, &wanted, target);
        }
        Dialect::GeminiBatchEmbed => {
            let mut body = Object::new(&mut out);
            let mut requests = body.list("requests");
            for wish in &wanted.texts {
                put_gemini(&mut requests.object(), wish, &wanted, target);
            }
        }
        _ => put_openai(&mut Object::new(&mut out), &mut wanted, target),
    }
    Ok(Rendered {
        body: out.into(),
        losses: wanted.losses,
        ..Rendered::default()
    })
}

fn read_openai(raw: &RawObject) -> Result<Wanted> {
    openai_embeddings::read_head(raw)?;
    let mut wanted = Wanted {
        dimensions: raw.json("dimensions").and_then(Json::as_u64),
        ..Wanted::default()
    };
    let input = raw.json("input").unwrap_or(Json::new("[]"));
    let items: Vec<Json<'_>> = match input.shape() {
        Shape::String => vec![input],
        _ => input.items().collect(),
    };
    for item in items {
        let Some(text) = item.as_str() else {
            let text = "The model takes texts, not token numbers. Send the text.";
            return Err(Error::unsupported("input", text));
        };
        wanted.texts.push(Wish {
            text: text.into_owned(),
            own: Vec::new(),
        });
    }
    for (name, _) in raw.fields().filter(|(_, value)| *value != "null") {
        if !SAID.contains(&name) {
            let reason = "The provider's dialect has no such field.";
            wanted.losses.push(dropped(name, reason));
        }
    }
    Ok(wanted)
}

fn read_gemini(raw: &RawObject) -> Result<Wanted> {
    gemini::read_embeddings_head(raw)?;
    let mut wanted = Wanted::default();
    if gemini::top(raw, "content").is_some() {
        let whole = std::str::from_utf8(raw.bytes()).unwrap_or("{}");
        read_wish(Json::new(whole), "", &mut wanted)?;
        return Ok(wanted);
    }
    let requests = gemini::top(raw, "requests");
    for (i, request) in requests.into_iter().flat_map(Json::items).enumerate() {
        read_wish(request, &format!("requests[{i}]."), &mut wanted)?;
    }
    Ok(wanted)
}

fn read_wish(request: Json<'_>, path: &str, wanted: &mut Wanted) -> Result<()> {
    // The newer form puts the settings into an object of their own.
    let config = gemini::field(request, "embedContentConfig").unwrap_or(Json::new("{}"));
    let setting = |name| gemini::field(request, name).or_else(|| gemini::field(config, name));
    let dimensions = setting("outputDimensionality").and_then(Json::as_u64);
    if wanted.texts.is_empty() {
        wanted.dimensions = dimensions;
    } else if wanted.dimensions != dimensions {
        let path = format!("{path}outputDimensionality");
        let text = "Every request of a batch must ask for as many dimensions.";
        return Err(Error::unsupported(path, text));
    }
    for name in ["documentOcr", "audioTrackExtraction", "autoTruncate"] {
        if gemini::field(config, name).is_some() {
            let field = format!("{path}embedContentConfig.{name}");
            let reason = "The provider's dialect has no such field.";
            wanted.losses.push(dropped(field, reason));
        }
    }
    let own = OWN_FIELDS.iter().filter_map(|name| {
        let value = setting(name)?;
        Some((*name, value.text().to_owned()))
    });
    let own = own.collect();
    let mut text = String::new();
    let content = gemini::field(request, "content").unwrap_or(Json::new("{}"));
    let parts = gemini::field(content, "parts");
    for (j, part) in parts.into_iter().flat_map(Json::items).enumerate() {
        let Some(piece) = gemini::field(part, "text").and_then(Json::as_str) else {
            let path = format!("{path}content.parts[{j}]");
            return Err(Error::unsupported(path, "The model embeds texts only."));
        };
        if j > 0 {
            text.push('\n');
        }
        text.push_str(&piece);
    }
    if text.is_empty() {
        let path = format!("{path}content.parts");
        return Err(Error::invalid_value(path, "The text must not be empty."));
    }
    wanted.texts.push(Wish { text, own });
    Ok(())
}

fn put_gemini(out: &mut Object<'_>, wish: &Wish, wanted: &Wanted, target: Target<'_>) {
    out.put("model", &gemini::resource_name(target.model));
    {
        let mut content = out.object("content");
        content.list("parts").object().put("text", &wish.text);
    }
    for (name, json) in &wish.own {
        out.raw(name, json);
    }
    out.put_some("outputDimensionality", wanted.dimensions);
}

fn put_openai(out: &mut Object<'_>, wanted: &mut Wanted, target: Target<'_>) {
    out.put("model", target.model);
    match wanted.texts.as_slice() {
        [wish] => out.put("input", &wish.text),
        wishes => {
            let texts: Vec<&str> = wishes.iter().map(|wish| wish.text.as_str()).collect();
            out.put("input", &texts);
        }
    }
    if let Some(dimensions) = wanted.dimensions {
        out.put(&target.quirks.dimensions_field, &dimensions);
    }
    wanted.lose_own_fields();
}

// === Replies ===

#[derive(Deserialize)]
struct OpenAiReply<'a> {
    #[serde(borrow, default)]
    data: Vec<OpenAiItem<'a>>,
    #[serde(borrow, default)]
    model: Text<'a>,
}

#[derive(Deserialize)]
struct OpenAiItem<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Deserialize)]
struct GeminiReply<'a> {
    #[serde(borrow, default)]
    embedding: Option<GeminiItem<'a>>,
    #[serde(borrow, default)]
    embeddings: Vec<GeminiItem<'a>>,
}

#[derive(Deserialize)]
struct GeminiItem<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
}

/// The caller's request in `options` says in which form it wants the vectors, and what it calls the model.
pub(crate) fn translate_reply(
    wire: Dialect,
    body: &Bytes,
    to: Dialect,
    options: &EncodeOptions,
) -> Result<(Bytes, Reading)> {
    let wrong = |_| Error::upstream_invalid("The provider's reply holds no vectors.");
    let (reading, model, vectors) = match wire {
        Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => {
            let reading = gemini::read_embeddings_reply(body)?;
            let reply: GeminiReply<'_> = serde_json::from_slice(body).map_err(wrong)?;
            let items = reply.embedding.into_iter().chain(reply.embeddings);
            let vectors = items.map(|item| vector(item.values)).collect();
            (reading, String::new(), vectors)
        }
        _ => {
            let reading = openai_embeddings::read_reply(body)?;
            let mut reply: OpenAiReply<'_> = serde_json::from_slice(body).map_err(wrong)?;
            reply.data.sort_by_key(|item| item.index.0);
            let items = reply.data.iter();
            let vectors = items.map(|item| vector(item.embedding)).collect();
            (reading, reply.model.to_text(), vectors)
        }
    };
    let vectors: Vec<Vector<'_>> = vectors;
    let written = reply(to, &vectors, (&model, &reading.usage), options)?;
    Ok((written, reading))
}

/// A reply of the dialect `to`, to the request in `options`.
pub(crate) fn render_reply(
    to: Dialect,
    vectors: &[Vec<f32>],
    usage: &Usage,
    options: &EncodeOptions,
) -> Result<Bytes> {
    let vectors: Vec<Vector<'_>> = vectors
        .iter()
        .map(|vector| Vector::Floats(vector))
        .collect();
    reply(to, &vectors, ("", usage), options)
}

/// A model without a name is called as the caller called it.
fn reply(
    to: Dialect,
    vectors: &[Vector<'_>],
    (model, usage): (&str, &Usage),
    options: &EncodeOptions,
) -> Result<Bytes> {
    let mut out = Vec::new();
    match (to, vectors) {
        (Dialect::GeminiEmbed, [vector]) => {
            let mut reply = Object::new(&mut out);
            put_values(&mut reply.object("embedding"), "values", vector)?;
            put_gemini_usage(&mut reply, usage);
        }
        (Dialect::GeminiEmbed, _) => {
            let message = "The provider answered one text with several vectors, or with none.";
            return Err(Error::upstream_invalid(message));
        }
        (Dialect::GeminiBatchEmbed, vectors) => {
            let mut reply = Object::new(&mut out);
            {
                let mut list = reply.list("embeddings");
                for vector in vectors {
                    put_values(&mut list.object(), "values", vector)?;
                }
            }
            put_gemini_usage(&mut reply, usage);
        }
        (_, vectors) => {
            let mut reply = Object::new(&mut out);
            reply.put("object", "list");
            put_data(&mut reply.list("data"), vectors, wants_base64(options))?;
            let asked = options.request.as_ref().and_then(|raw| raw.json("model"));
            let asked = asked.and_then(Json::as_str).unwrap_or_default();
            reply.put("model", if model.is_empty() { &*asked } else { model });
            // Its clients read the usage without asking whether there is one.
            let tokens = usage.input_total();
            let mut usage = reply.object("usage");
            usage.put("prompt_tokens", &tokens);
            usage.put("total_tokens", &tokens);
        }
    }
    Ok(out.into())
}

fn wants_base64(options: &EncodeOptions) -> bool {
    let format = options.request.as_ref();
    let format = format.and_then(|raw| raw.json("encoding_format"));
    format.is_some_and(|format| format.text() == "\"base64\"")
}

fn put_data(list: &mut List<'_>, vectors: &[Vector<'_>], wants_base64: bool) -> Result<()> {
    for (i, vector) in vectors.iter().enumerate() {
        let mut item = list.object();
        item.put("object", "embedding");
        item.put("index", &i);
        match vector {
            _ if !wants_base64 => put_values(&mut item, "embedding", vector)?,
            Vector::Base64(text) => item.put("embedding", text),
            Vector::Numbers(text) => item.put("embedding", &in_base64_of(text)?),
            Vector::Floats(floats) => item.put("embedding", &in_base64(floats)),
        }
    }
    Ok(())
}

fn put_gemini_usage(reply: &mut Object<'_>, usage: &Usage) {
    if usage.provenance != Provenance::Unknown {
        let mut out = reply.object("usageMetadata");
        out.put("promptTokenCount", &usage.input_total());
    }
}

/// A vector as numbers; those that came as numbers keep every digit.
fn put_values(out: &mut Object<'_>, name: &str, vector: &Vector<'_>) -> Result<()> {
    match vector {
        Vector::Numbers(text) => out.raw(name, text),
        Vector::Floats(floats) => out.put(name, floats),
        Vector::Base64(text) => {
            let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| no_vector())?;
            let (floats, []) = bytes.as_chunks::<4>() else {
                return Err(no_vector());
            };
            let floats: Vec<f32> = floats.iter().map(|b| f32::from_le_bytes(*b)).collect();
            out.put(name, &floats);
        }
    }
    Ok(())
}

fn in_base64_of(numbers: &str) -> Result<String> {
    let floats: Vec<f32> = serde_json::from_str(numbers).map_err(|_| no_vector())?;
    Ok(in_base64(&floats))
}

fn in_base64(floats: &[f32]) -> String {
    let bytes: Vec<u8> = floats
        .iter()
        .flat_map(|float| float.to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

fn vector(value: &RawValue) -> Vector<'_> {
    match Json::new(value.get()).as_str() {
        Some(text) => Vector::Base64(text),
        None => Vector::Numbers(value.get()),
    }
}

fn no_vector() -> Error {
    Error::upstream_invalid("The provider sent a vector that is no list of numbers.")
}
