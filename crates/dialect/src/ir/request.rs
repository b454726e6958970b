//! A request for a conversation's next turn.

use super::Signature;
use crate::{Dialect, Effort, Loss};

/// JSON text that is carried and never interpreted (schemas, tool arguments: a 64-bit number stays one).
pub type Json = Box<serde_json::value::RawValue>;

/// JSON text as it is. The text must be JSON: it comes out of a body that was checked.
pub(crate) fn raw_json(text: &str) -> Json {
    let null = || serde_json::value::to_raw_value(&()).unwrap_or_default();
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap_or_else(|_| null())
}

#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The caller's dialect: losses are named in its words, and its own extras can be said again in it.
    pub origin: Option<Dialect>,
    pub model: String,
    /// In order; system messages stand where the caller put them (the first ones are the system prompt).
    pub messages: Vec<Message>,
    /// The first message stood in a field of its own (`system`).
    pub has_system_field: bool,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    pub parallel_tool_calls: Option<bool>,
    pub max_output_tokens: Option<u64>,
    pub sampling: Sampling,
    pub stop: Vec<String>,
    /// How many answers are wanted; more than one is refused by dialects that give one.
    pub candidates: u32,
    /// Log-probabilities of the output tokens, and of how many alternatives at each place.
    pub logprobs: Option<u32>,
    pub output: OutputFormat,
    pub reasoning: Option<Reasoning>,
    /// Who the end user is, for the provider's abuse detection.
    pub user: Option<String>,
    pub service_tier: Option<String>,
    pub stream: bool,
    /// A legacy completion: the prompt is one raw user message, no template is wanted.
    pub raw_prompt: bool,
    /// Top-level fields of the caller's dialect that have no place here: path and JSON text. A renderer of
    /// another dialect reports each of them as a loss.
    pub extras: Vec<(String, Json)>,
    /// What was already lost while reading.
    pub losses: Vec<Loss>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub min_p: Option<f64>,
    pub seed: Option<i64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    /// 1 changes nothing; more makes what was said before less likely.
    pub repetition_penalty: Option<f64>,
    /// What is added to the logits of these tokens, by their numbers in the model's vocabulary.
    pub logit_bias: Vec<(u32, f64)>,
}

impl Sampling {
    /// The repetition penalty that changes something.
    pub(crate) fn penalty_of_repetition(&self) -> Option<f64> {
        let penalty = self.repetition_penalty;
        penalty.filter(|penalty| (penalty - 1.0).abs() > f64::EPSILON)
    }
}

#[derive(Clone, Debug)]
pub struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
    /// The participant's name, where the caller's dialect has one.
    pub name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    /// OpenAI's name for the system prompt of reasoning models.
    Developer,
    User,
    Assistant,
}

/// A part of a message. Tool results are parts of a user message, as in the Anthropic dialect.
#[derive(Clone, Debug)]
pub enum Part {
    Text {
        text: String,
        cache: Option<CacheMark>,
    },
    Image {
        image: Image,
        cache: Option<CacheMark>,
    },
    Document {
        document: Document,
        cache: Option<CacheMark>,
    },
    /// Base64 audio and its format (`wav`, `mp3`).
    Audio {
        data: String,
        format: String,
    },
    ToolCall {
        call: ToolCall,
        cache: Option<CacheMark>,
    },
    ToolResult {
        result: ToolResult,
        cache: Option<CacheMark>,
    },
    /// The model's reasoning, with the provider's signature when it gave one.
    Reasoning {
        text: String,
        signature: Option<Signature>,
    },
    RedactedReasoning {
        data: String,
    },
    Refusal {
        text: String,
    },
    /// A part no other dialect knows (citations, server tools, search results): its type and JSON text.
    Opaque {
        kind: String,
        json: Json,
    },
}

/// A mark that asks the provider to cache the prompt up to here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMark {
    /// The provider's shorter lifetime (5 minutes), also when none is named.
    Short,
    /// One hour.
    Long,
}

#[derive(Clone, Debug)]
pub struct Image {
    pub source: ImageSource,
    /// OpenAI's `detail`.
    pub detail: Option<String>,
}

#[derive(Clone, Debug)]
pub enum ImageSource {
    Base64 {
        media_type: String,
        data: String,
    },
    Url(String),
    /// An id of the provider's file store: bound to that provider.
    File(String),
}

#[derive(Clone, Debug)]
pub struct Document {
    pub source: DocumentSource,
    pub title: Option<String>,
}

#[derive(Clone, Debug)]
pub enum DocumentSource {
    Base64 { media_type: String, data: String },
    Text(String),
    Url(String),
    File(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// JSON text; an object unless the model wrote something else.
    pub arguments: String,
}

#[derive(Clone, Debug)]
pub struct ToolResult {
    pub call_id: String,
    /// Text, images and documents.
    pub content: Vec<Part>,
    pub is_error: bool,
}

#[derive(Clone, Debug)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// A JSON schema; `None` for a tool without parameters.
    pub parameters: Option<Json>,
    pub strict: Option<bool>,
    pub cache: Option<CacheMark>,
    /// A custom tool, which takes free text: its definition as the caller wrote it. `parameters` then has the
    /// one string `input`, and its calls' arguments do.
    pub freeform: Option<Json>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    None,
    Auto,
    /// At least one call, of any tool.
    Required,
    Named(String),
}

#[derive(Clone, Debug, Default)]
pub enum OutputFormat {
    #[default]
    Text,
    JsonObject,
    JsonSchema {
        name: Option<String>,
        description: Option<String>,
        schema: Json,
        strict: Option<bool>,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    pub effort: Option<Effort>,
    /// Tokens for thinking, where the caller's dialect counts them.
    pub budget_tokens: Option<u64>,
    /// Whether the reasoning's text (or a summary of it) shall be shown.
    pub visible: Option<bool>,
}
