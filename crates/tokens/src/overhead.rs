//! What providers wrap around the texts of a request.

use crate::Encoding;
use crate::family::{Method, bare_name, claude_version};

/// The rule of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overhead {
    OpenAi {
        per_function: u64,
    },
    /// The system prompt that comes with tools: when the model may call one, and when it must.
    Anthropic {
        may: u64,
        must: u64,
    },
    /// Nothing is published.
    Other,
}

/// Before and after every message.
const PER_MESSAGE: u64 = 3;
/// Beside a name.
const PER_NAME: u64 = 1;
/// The beginning of the reply.
const REPLY: u64 = 3;
/// Around all of OpenAI's functions.
const FUNCTIONS_END: u64 = 12;
/// Around each function, by encoding.
const FUNCTION_O200K: u64 = 7;
const FUNCTION_CL100K: u64 = 10;

/// Anthropic's tool prompt by model: a part of the name, the version, `auto` and `none`, `any` and `tool`.
const TOOL_PROMPTS: &[(&str, (u32, u32), u64, u64)] = &[
    ("opus", (5, 0), 286, 406),
    ("opus", (4, 8), 290, 410),
    ("opus", (4, 7), 675, 804),
    ("opus", (4, 6), 497, 589),
    ("opus", (4, 5), 496, 588),
    ("sonnet", (5, 0), 354, 474),
    ("sonnet", (4, 6), 497, 589),
    ("sonnet", (4, 5), 496, 588),
    ("haiku", (4, 5), 496, 588),
];

/// For a Claude that is not listed: the largest prompt that is.
const LARGEST_PROMPT: (u64, u64) = (675, 804);

impl Overhead {
    pub(crate) fn for_model(method: Method, provider_kind: &str, model: &str) -> Self {
        let lower = model.to_ascii_lowercase();
        let bare = bare_name(&lower);
        match method {
            Method::Exact(Encoding::O200k) => Self::OpenAi {
                per_function: FUNCTION_O200K,
            },
            Method::Exact(Encoding::Cl100k) => Self::OpenAi {
                per_function: FUNCTION_CL100K,
            },
            Method::Approximate { .. }
                if bare.contains("claude") || is_anthropic(provider_kind) =>
            {
                let (may, must) = tool_prompt(bare);
                Self::Anthropic { may, must }
            }
            Method::Approximate { .. } if bare.starts_with("gpt-") => Self::OpenAi {
                per_function: FUNCTION_O200K,
            },
            Method::Approximate { .. } => Self::Other,
        }
    }

    /// What having tools costs beside the tools.
    pub(crate) fn tool_prompt(self, required: bool) -> u64 {
        match self {
            Self::Anthropic { must, .. } if required => must,
            Self::Anthropic { may, .. } => may,
            Self::OpenAi { .. } | Self::Other => FUNCTIONS_END,
        }
    }
}

/// What so many messages, of which some have names, cost beside their texts. Only OpenAI publishes a rule; it is taken for all.
pub(crate) fn around_messages(messages: u64, names: u64) -> u64 {
    messages
        .saturating_mul(PER_MESSAGE)
        .saturating_add(names.saturating_mul(PER_NAME))
        .saturating_add(REPLY)
}

fn is_anthropic(provider_kind: &str) -> bool {
    matches!(
        provider_kind,
        "anthropic" | "vertex-anthropic" | "anthropic-compatible"
    )
}

fn tool_prompt(bare: &str) -> (u64, u64) {
    let version = claude_version(bare);
    TOOL_PROMPTS
        .iter()
        .find(|(part, listed, ..)| bare.contains(part) && version == Some(*listed))
        .map_or(LARGEST_PROMPT, |(_, _, may, must)| (*may, *must))
}
