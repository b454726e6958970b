//! The one place that knows which dialects exist: each function is one `match` into a dialect's folder.

use bytes::{Bytes, BytesMut};
use tollgate_base::{Error, Result, Usage};

use crate::{
    Dialect, EmbeddingsRequest, Family, Loss, NameMap, RawObject, Target, anthropic, embeddings,
    frame::Frame, gemini, ir, json::shortened, law, openai_chat, openai_completions,
    openai_embeddings, openai_responses,
};

/// What the pipeline must know of a request before it is planned, read and checked without building the IR.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head {
    pub model: String,
    pub stream: bool,
    /// The caller asked for usage in the stream (always true where the dialect sends it unasked).
    pub include_usage: bool,
    pub max_output_tokens: Option<u64>,
    /// Answers wanted (`n`).
    pub candidates: u32,
}

/// A request ready to be sent, and what could not be carried.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    pub body: Bytes,
    pub losses: Vec<Loss>,
    /// How to read the provider's tool names back: goes into [`EncodeOptions::names`].
    pub names: NameMap,
}

/// An error as the caller's dialect shows it.
#[derive(Clone, Debug)]
pub struct WireError {
    pub status: u16,
    /// JSON.
    pub body: Bytes,
}

/// Reads one dialect's stream. No IO: bytes are framed elsewhere.
pub trait Decoder: Send {
    /// Appends what this frame says. A frame that cannot be read becomes an `Event::Error`.
    fn push(&mut self, frame: &Frame, out: &mut Vec<ir::Event>);
    /// The stream has ended. Appends an `Event::Error` unless the dialect's own end was seen.
    fn finish(&mut self, out: &mut Vec<ir::Event>);
    /// Whether the dialect's own end of a complete stream was seen.
    fn is_complete(&self) -> bool;
    /// Whether the frame pushed last carries nothing but the usage that only the gateway asked for, so that
    /// it is not forwarded to a caller who did not ask.
    fn is_usage_only(&self) -> bool;
}

/// Writes one dialect's stream.
pub trait Encoder: Send {
    /// Appends what this event is on the wire. An `Event::Error` writes nothing, because only who sends the
    /// stream knows the request's id: [`render_stream_error`] ends it.
    fn push(&mut self, event: &ir::Event, out: &mut BytesMut);
    /// The end after a complete reply (`data: [DONE]`); nothing after an error.
    fn finish(&mut self, out: &mut BytesMut);
}

/// What an encoder is told beside the events.
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    /// Seconds since 1970, for dialects that carry the time.
    pub created: u64,
    pub include_usage: bool,
    /// The id to use when the provider gave none, or one of another dialect's form: without prefix.
    pub id_suffix: String,
    /// Tools that were renamed for the provider.
    pub names: NameMap,
    /// The caller's request, for a dialect whose reply repeats it.
    pub request: Option<RawObject>,
}

impl Dialect {
    /// Texts in, vectors out: no conversation, no stream.
    pub fn is_embeddings(self) -> bool {
        matches!(
            self,
            Dialect::OpenAiEmbeddings | Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed
        )
    }

    /// The name of the dialect in configuration, logs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::OpenAiChat => "openai-chat",
            Dialect::OpenAiCompletions => "openai-completions",
            Dialect::OpenAiEmbeddings => "openai-embeddings",
            Dialect::OpenAiResponses => "openai-responses",
            Dialect::AnthropicMessages => "anthropic-messages",
            Dialect::GeminiGenerate => "gemini",
            Dialect::GeminiEmbed => "gemini-embed",
            Dialect::GeminiBatchEmbed => "gemini-batch-embed",
        }
    }

    pub fn family(self) -> Family {
        match self {
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiResponses
            | Dialect::OpenAiEmbeddings => Family::OpenAi,
            Dialect::AnthropicMessages => Family::Anthropic,
            Dialect::GeminiGenerate | Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => {
                Family::Gemini
            }
        }
    }

    /// What may be sent while nothing happens, so that nobody on the way gives the connection up.
    pub fn heartbeat(self) -> &'static [u8] {
        match self.family() {
            Family::OpenAi => b": ping\n\n",
            Family::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
            // Its clients take nothing but data.
            Family::Gemini => b"",
        }
    }
}

/// What the pipeline reads of a whole reply that is forwarded verbatim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    pub usage: Usage,
    pub finish: Option<ir::FinishReason>,
}

/// Bytes of a reply from which on it takes longer to read what is said than to leave it out.
const LONG_REPLY: usize = 2 * 1024;

/// Reads usage and end of a whole same-dialect reply, without building the IR. A reply that is an error
/// inside a 200, or no reply of this dialect at all, is an error.
pub fn read_reply(dialect: Dialect, body: &Bytes) -> Result<Reading> {
    // Most of a long reply is what the model says, which has no say in either. An error is said in its own words.
    if body.len() > LONG_REPLY
        && let Some(short) = shortened(body)
        && let Ok(reading) = read_all_of_reply(dialect, &short.into())
    {
        return Ok(reading);
    }
    read_all_of_reply(dialect, body)
}

fn read_all_of_reply(dialect: Dialect, body: &Bytes) -> Result<Reading> {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => openai_chat::read_reply(body),
        Dialect::OpenAiEmbeddings => openai_embeddings::read_reply(body),
        Dialect::OpenAiResponses => openai_responses::read_reply(body),
        Dialect::GeminiGenerate => gemini::read_reply(body),
        Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => gemini::read_embeddings_reply(body),
        Dialect::AnthropicMessages => anthropic::read_reply(body),
    }
}

/// The event that ends a stream that failed after its first byte was sent.
pub fn render_stream_error(dialect: Dialect, error: &Error, request_id: &str) -> Bytes {
    match dialect.family() {
        Family::OpenAi if dialect == Dialect::OpenAiResponses => {
            openai_responses::render_stream_error(error)
        }
        Family::OpenAi => openai_chat::render_stream_error(error),
        Family::Anthropic => anthropic::render_stream_error(error, request_id),
        Family::Gemini => gemini::render_stream_error(error),
    }
}

/// Reads and checks the head of a request: every scalar that reliability 4.3 names, the shape of the lists,
/// and the names that must never be taken for an override.
pub fn read_head(dialect: Dialect, raw: &RawObject) -> Result<Head> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::read_head(raw),
        Dialect::OpenAiCompletions => openai_completions::read_head(raw),
        Dialect::OpenAiEmbeddings => openai_embeddings::read_head(raw),
        Dialect::OpenAiResponses => openai_responses::read_head(raw),
        Dialect::GeminiGenerate => gemini::read_head(raw),
        Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => gemini::read_embeddings_head(raw),
        Dialect::AnthropicMessages => anthropic::read_head(raw),
    }
}

/// The same-dialect path: replaces the model, makes the provider report usage in streams, renames what the
/// target's quirks and traits demand, and leaves every other byte alone.
pub fn patch_request(dialect: Dialect, raw: &RawObject, target: Target<'_>) -> Result<Rendered> {
    Ok(match dialect {
        Dialect::OpenAiChat => openai_chat::patch_request(raw, target)?,
        Dialect::OpenAiCompletions => openai_chat::patch_completion(raw, target)?,
        Dialect::OpenAiEmbeddings => openai_chat::patch_embeddings(raw, target),
        Dialect::OpenAiResponses => openai_responses::patch_request(raw, target)?,
        Dialect::GeminiGenerate => gemini::patch_request(raw, target)?,
        Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => gemini::patch_embeddings(raw, target)?,
        Dialect::AnthropicMessages => anthropic::patch_request(raw, target)?,
    })
}

pub fn parse_request(dialect: Dialect, raw: &RawObject) -> Result<ir::Request> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::parse_request(raw),
        Dialect::OpenAiCompletions => openai_completions::parse_request(raw),
        Dialect::OpenAiEmbeddings | Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => {
            Err(no_conversation())
        }
        Dialect::OpenAiResponses => openai_responses::parse_request(raw),
        Dialect::GeminiGenerate => gemini::parse_request(raw),
        Dialect::AnthropicMessages => anthropic::parse_request(raw),
    }
}

pub fn render_request(
    dialect: Dialect,
    request: &ir::Request,
    target: Target<'_>,
) -> Result<Rendered> {
    let rendered = render_in(dialect, request, target);
    let named = |field: Option<&str>| field.and_then(|field| request.named_by_caller(field));
    match rendered {
        Ok(mut rendered) => {
            for loss in &mut rendered.losses {
                if let Some(name) = named(Some(&loss.field)) {
                    name.clone_into(&mut loss.field);
                }
            }
            Ok(rendered)
        }
        Err(error) => Err(match named(error.param()) {
            Some(name) => error.with_param(name),
            None => error,
        }),
    }
}

fn render_in(dialect: Dialect, request: &ir::Request, target: Target<'_>) -> Result<Rendered> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::render_request(request, target),
        Dialect::OpenAiCompletions => openai_completions::render_request(request, target),
        Dialect::OpenAiEmbeddings | Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => {
            Err(no_conversation())
        }
        Dialect::OpenAiResponses => openai_responses::render_request(request, target),
        Dialect::GeminiGenerate => gemini::render_request(request, target),
        Dialect::AnthropicMessages => anthropic::render_request(request, target),
    }
}

pub fn parse_response(dialect: Dialect, body: &[u8]) -> Result<ir::Response> {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => openai_chat::parse_response(body),
        Dialect::OpenAiEmbeddings | Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => {
            Err(no_conversation())
        }
        Dialect::OpenAiResponses => openai_responses::parse_response(body),
        Dialect::GeminiGenerate => gemini::parse_response(body),
        Dialect::AnthropicMessages => anthropic::parse_response(body),
    }
}

pub fn render_response(
    dialect: Dialect,
    response: &ir::Response,
    options: &EncodeOptions,
) -> Bytes {
    let body = match dialect {
        // No conversation is ever asked for with an embeddings request: `parse_request` refuses it.
        Dialect::OpenAiChat
        | Dialect::OpenAiEmbeddings
        | Dialect::GeminiEmbed
        | Dialect::GeminiBatchEmbed => openai_chat::render_response(response, options),
        Dialect::OpenAiCompletions => openai_completions::render_response(response, options),
        Dialect::OpenAiResponses => openai_responses::render_response(response, options),
        Dialect::GeminiGenerate => gemini::render_response(response, options),
        Dialect::AnthropicMessages => anthropic::render_response(response, options),
    };
    body.into()
}

/// What an embeddings request asks for.
pub fn read_embeddings(from: Dialect, raw: &RawObject) -> Result<EmbeddingsRequest> {
    embeddings::read(from, raw)
}

/// A whole embeddings reply in the caller's dialect. The request in `options` says in which form the vectors are wanted.
pub fn render_embeddings_reply(
    to: Dialect,
    vectors: &[Vec<f32>],
    usage: &Usage,
    options: &EncodeOptions,
) -> Result<Bytes> {
    embeddings::render_reply(to, vectors, usage, options)
}

/// An embeddings request in another dialect. `model` names the caller's model nowhere: the target does.
pub fn render_embeddings(
    from: Dialect,
    raw: &RawObject,
    to: Dialect,
    target: Target<'_>,
) -> Result<Rendered> {
    embeddings::render(from, raw, to, target)
}

/// A whole embeddings reply of the dialect `wire`, in the caller's.
pub fn translate_embeddings_reply(
    wire: Dialect,
    body: &Bytes,
    to: Dialect,
    options: &EncodeOptions,
) -> Result<(Bytes, Reading)> {
    embeddings::translate_reply(wire, body, to, options)
}

pub fn decoder(dialect: Dialect) -> Box<dyn Decoder> {
    match dialect {
        // Embeddings have no stream; nothing that comes as one is a complete reply.
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::GeminiEmbed
        | Dialect::GeminiBatchEmbed => law::watched(openai_chat::ChatDecoder::default()),
        Dialect::OpenAiResponses => law::watched(openai_responses::ResponsesDecoder::default()),
        Dialect::GeminiGenerate => law::watched(gemini::GenerateDecoder::default()),
        Dialect::AnthropicMessages => law::watched(anthropic::MessagesDecoder::default()),
    }
}

pub fn encoder(dialect: Dialect, options: EncodeOptions) -> Box<dyn Encoder> {
    match dialect {
        // As in `render_response`.
        Dialect::OpenAiChat
        | Dialect::OpenAiEmbeddings
        | Dialect::GeminiEmbed
        | Dialect::GeminiBatchEmbed => Box::new(openai_chat::ChatEncoder::new(options)),
        Dialect::OpenAiCompletions => Box::new(openai_completions::CompletionEncoder::new(options)),
        Dialect::OpenAiResponses => Box::new(ir::First::new(
            openai_responses::ResponsesEncoder::new(options),
        )),
        Dialect::GeminiGenerate => Box::new(gemini::GenerateEncoder::new(options)),
        Dialect::AnthropicMessages => {
            Box::new(ir::First::new(anthropic::MessagesEncoder::new(options)))
        }
    }
}

/// What a provider's error reply means. `body` is whatever came (JSON, HTML, nothing). Statuses 401 and 403
/// become `upstream_auth` (502): the caller's key is not at fault. The message is cut to 2 KiB and cleaned of
/// anything that looks like a credential or a host.
pub fn parse_error(dialect: Dialect, status: u16, retry_after: Option<&str>, body: &[u8]) -> Error {
    match dialect.family() {
        Family::OpenAi => openai_chat::parse_error(status, retry_after, body),
        Family::Anthropic => anthropic::parse_error(status, retry_after, body),
        Family::Gemini => gemini::parse_error(status, retry_after, body),
    }
}

pub fn render_error(dialect: Dialect, error: &Error, request_id: &str) -> WireError {
    match dialect.family() {
        Family::OpenAi => openai_chat::render_error(error),
        Family::Anthropic => anthropic::render_error(error, request_id),
        Family::Gemini => gemini::render_error(error),
    }
}

/// Embeddings are passed through or not served: nothing of them can be said in another dialect.
fn no_conversation() -> Error {
    Error::unsupported(
        "model",
        "The model cannot be reached with an embeddings request. Use an embedding model.",
    )
}
