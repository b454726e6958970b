//! What a translation must know of the model and the server it renders for: data, never a vendor's name.

use serde::Deserialize;
use tollgate_base::{Error, Result};

/// The model a request is rendered for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The provider's own name of the model.
    pub model: &'a str,
    pub traits: &'a ModelTraits,
    pub quirks: &'a Quirks,
    /// The most output tokens that the request may ask for, of each answer that it asks for: it is sent with
    /// at most this many. A caller that asks for less is left alone.
    pub max_output: Option<u64>,
}

impl Target<'_> {
    /// What the request asks for, within what it may ask for. `fewest` is the least that the provider takes:
    /// where less than that is left, the request is refused here and not there.
    pub(crate) fn limited(
        &self,
        asked: Option<u64>,
        field: &str,
        fewest: u64,
    ) -> Result<Option<u64>> {
        let Some(most) = self.max_output else {
            return Ok(asked);
        };
        if asked.is_some_and(|asked| asked <= most) {
            return Ok(asked);
        }
        if most < fewest {
            let text = format!(
                "The request may use at most {most} output tokens, and the provider takes no less than {fewest}. Raise the limit that applies to it."
            );
            return Err(Error::unsupported(field, text));
        }
        Ok(Some(most))
    }
}

/// What a model accepts. The default is "unknown": nothing is refused, and nothing is assumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelTraits {
    /// Tokens of context, input and output together.
    pub context_window: Option<u64>,
    /// The most output tokens the model gives; what a dialect with a mandatory maximum is sent when the
    /// caller named none.
    pub max_output_tokens: Option<u64>,
    pub thinking: ThinkingStyle,
    /// Switching thinking off is refused.
    pub thinking_always_on: bool,
    /// The fewest and the most tokens of thinking that may be asked for, where the model counts them.
    pub thinking_budget: Option<(u64, u64)>,
    /// `false`: a forced tool choice (any, or a named tool) is refused by the model.
    pub forced_tool_choice: Option<bool>,
    /// `false`: temperature, top_p and top_k are refused or ignored.
    pub sampling_params: Option<bool>,
    /// `false`: a conversation that ends with an assistant message is refused.
    pub assistant_prefill: Option<bool>,
    /// `true`: system messages are accepted in mid-conversation.
    pub mid_conversation_system: Option<bool>,
    /// `true`: the output can be bound to a JSON schema by the provider.
    pub structured_output: Option<bool>,
    /// `true`: an OpenAI reasoning model, which takes `max_completion_tokens` and `developer`, and no
    /// sampling parameters while it reasons.
    pub reasoning: Option<bool>,
    /// Efforts the model is known to take; empty means unknown.
    pub efforts: Vec<Effort>,
    /// `true`: the model reasons when it is not told how much.
    pub reasons_by_default: Option<bool>,
    /// `true`: chat completions refuse function tools while the model reasons, and Responses take them.
    pub chat_refuses_tools_while_reasoning: Option<bool>,
    pub vision: Option<bool>,
    pub pdf: Option<bool>,
    pub audio_input: Option<bool>,
    /// `false`: media are not fetched from addresses on the web.
    pub media_urls: Option<bool>,
    pub tools: Option<bool>,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingStyle {
    #[default]
    Unknown,
    /// The model does not think.
    None,
    /// A number of tokens: `{"type":"enabled","budget_tokens":n}`, `{"thinkingBudget":n}`
    Budget,
    /// `{"type":"adaptive"}` and an effort.
    Adaptive,
    /// `{"thinkingLevel":"LOW"}`; `efforts` names the levels.
    Level,
}

/// The ladder of reasoning efforts, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// The name on the wire, the same in every dialect.
    pub fn as_str(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::Xhigh => "xhigh",
            Effort::Max => "max",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::None,
            Self::Minimal,
            Self::Low,
            Self::Medium,
            Self::High,
            Self::Xhigh,
            Self::Max,
        ];
        all.into_iter().find(|effort| effort.as_str() == name)
    }

    /// The effort that counts as this many tokens of thinking.
    pub fn of_budget(tokens: u64) -> Self {
        match tokens {
            0 => Self::None,
            1..=1024 => Self::Low,
            1025..=8192 => Self::Medium,
            8193..=24576 => Self::High,
            _ => Self::Xhigh,
        }
    }

    /// Tokens of thinking that stand for this effort.
    pub fn budget(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal | Self::Low => 1024,
            Self::Medium => 8192,
            Self::High => 24576,
            Self::Xhigh | Self::Max => 32768,
        }
    }
}

/// Where a server differs from its dialect. Part of a provider's row; the default is the vendor's own server.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one habit of a server, named as in the provider's row"
)]
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Which field carries the most output tokens.
    pub max_tokens_field: MaxTokensField,
    /// `false`: `developer` messages become `system`.
    pub developer_role: bool,
    /// `false`: a system message is only accepted as the first message, so later ones are moved there.
    pub mid_conversation_system: bool,
    /// `false`: fields that only the vendor's own service knows (store, metadata, service tier, prompt cache
    /// keys, verbosity, safety identifier) are left out.
    pub vendor_fields: bool,
    pub tool_choice: ToolChoiceSupport,
    /// `false`: the server refuses `stream_options`, so usage of streams must be estimated.
    pub stream_usage: bool,
    /// `false`: the server refuses an empty `tools` list.
    pub empty_tools: bool,
    /// The field that carries the seed.
    pub seed_field: String,
    /// The highest temperature the server takes, in thousandths.
    pub max_temperature_milli: u32,
    /// Fields the server refuses, by name.
    pub refused_fields: Vec<String>,
    /// `Some(n)`: tool call ids must be exactly `n` letters and digits.
    pub tool_id_length: Option<usize>,
    /// `true`: reasoning of earlier turns is sent back as `reasoning_content`.
    pub replay_reasoning: bool,
    /// `Some`: the version of the API stands in the body as `anthropic_version`, and the path names the model
    /// and whether it streams, so that the body does not.
    pub body_version: Option<String>,
    /// `true`: an assistant message may have `prefix`, which says that the answer continues it.
    pub message_prefix: bool,
    /// The field that carries the length wanted of a vector.
    pub dimensions_field: String,
    /// `false`: the server gives vectors as numbers only.
    pub base64_vectors: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_completion_tokens`
    #[default]
    MaxCompletionTokens,
    /// `max_tokens`
    MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoiceSupport {
    #[default]
    All,
    /// `any` stands for `required`.
    AnyForRequired,
    /// The field is unknown to the server: `none` leaves the tools out, anything else is a loss.
    Unsupported,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            max_tokens_field: MaxTokensField::default(),
            developer_role: true,
            mid_conversation_system: true,
            vendor_fields: true,
            tool_choice: ToolChoiceSupport::default(),
            stream_usage: true,
            empty_tools: true,
            seed_field: "seed".to_owned(),
            max_temperature_milli: 2000,
            refused_fields: Vec::new(),
            tool_id_length: None,
            replay_reasoning: false,
            body_version: None,
            message_prefix: false,
            dimensions_field: "dimensions".to_owned(),
            base64_vectors: true,
        }
    }
}
