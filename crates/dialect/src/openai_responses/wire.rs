//! What is read of Responses replies and their stream, borrowed and lenient, and the usage as it is written.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tollgate_base::{Provenance, Usage};

use crate::{
    ir::Citation,
    json::{Count, Text},
    openai_chat::wire::{take, tier},
};

/// Reads a value, or nothing where it has another shape: the items of hosted tools use the same names for
/// other things, and a stream must not end for that.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(from)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// A response, whole or as events carry it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Reply<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) object: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) status: Text<'a>,
    #[serde(borrow, default)]
    pub(super) output: Option<Vec<Item<'a>>>,
    #[serde(default)]
    pub(super) usage: Option<WireUsage>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub(super) error: Option<Failure<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub(super) incomplete_details: Option<Incomplete<'a>>,
    #[serde(borrow, default)]
    pub(super) service_tier: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Incomplete<'a> {
    #[serde(borrow, default)]
    pub(super) reason: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Failure<'a> {
    #[serde(borrow, default)]
    pub(super) code: Text<'a>,
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) message: Text<'a>,
    #[serde(borrow, default)]
    pub(super) param: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Action<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Text<'a>,
}

/// An item of the output, of any type.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) call_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Text<'a>,
    #[serde(borrow, default)]
    pub(super) input: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub(super) content: Option<Vec<Part<'a>>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub(super) summary: Option<Vec<Part<'a>>>,
    #[serde(borrow, default)]
    pub(super) encrypted_content: Text<'a>,
    /// What a call of the web search did.
    #[serde(borrow, default, deserialize_with = "lenient")]
    action: Option<Action<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub(super) annotations: Option<Vec<Annotation<'a>>>,
    /// Read by `openai_chat/logprobs.rs`.
    #[serde(borrow, default)]
    pub(super) logprobs: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Annotation<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    filename: Text<'a>,
    #[serde(default)]
    start_index: Count,
    #[serde(default)]
    end_index: Count,
}

/// An event of the stream, of any type.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StreamEvent<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) response: Option<Reply<'a>>,
    #[serde(borrow, default)]
    pub(super) item: Option<Item<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub(super) part: Option<Part<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub(super) annotation: Option<Annotation<'a>>,
    #[serde(default)]
    pub(super) output_index: Count,
    #[serde(default)]
    pub(super) content_index: Count,
    #[serde(default)]
    pub(super) summary_index: Count,
    #[serde(borrow, default)]
    pub(super) delta: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    /// The tokens of a piece of the text, or of all of it.
    #[serde(borrow, default)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Text<'a>,
    #[serde(borrow, default)]
    pub(super) input: Text<'a>,
    // The flat form of an error, and the nested one.
    #[serde(borrow, default)]
    pub(super) code: Text<'a>,
    #[serde(borrow, default)]
    pub(super) message: Text<'a>,
    #[serde(borrow, default)]
    pub(super) param: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub(super) error: Option<Failure<'a>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[expect(clippy::struct_field_names, reason = "the vendor's names")]
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    cache_write_tokens: Count,
    #[serde(default)]
    audio_tokens: Count,
    #[serde(default)]
    image_tokens: Count,
}

#[expect(clippy::struct_field_names, reason = "the vendor's names")]
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Count,
    #[serde(default)]
    audio_tokens: Count,
    #[serde(default)]
    image_tokens: Count,
}

impl Reply<'_> {
    /// What the reply says of its usage. The tier and the searches stand beside it.
    pub(super) fn to_usage(&self) -> Option<Usage> {
        let usage = self.usage?.to_usage();
        Some(Usage {
            tier: tier(self.service_tier.as_deref()),
            searches: self.output.as_deref().map(searches).filter(|n| *n > 0),
            ..usage
        })
    }
}

/// The searches among these items, each of which the vendor charges for.
fn searches(items: &[Item<'_>]) -> u64 {
    items.iter().map(|item| u64::from(item.is_search())).sum()
}

impl Item<'_> {
    /// Whether this is a search of the web: the same kind of item also says that a page was opened or read,
    /// which is no search.
    pub(super) fn is_search(&self) -> bool {
        let action = self.action.as_ref().and_then(|action| action.kind.filled());
        self.kind.as_deref() == Some("web_search_call") && action.is_none_or(|it| it == "search")
    }
}

impl WireUsage {
    /// Takes the nested figures apart (digest section 11). Parts that are larger than their whole are cut.
    pub(super) fn to_usage(self) -> Usage {
        let mut input = self.input_tokens.0.unwrap_or(0);
        let details = self.input_tokens_details.unwrap_or_default();
        let cache_read = take(details.cached_tokens, &mut input);
        let cache_write = take(details.cache_write_tokens, &mut input);
        let audio_input = take(details.audio_tokens, &mut input);
        let image_input = take(details.image_tokens, &mut input);
        let mut output = self.output_tokens.0.unwrap_or(0);
        let details = self.output_tokens_details.unwrap_or_default();
        let reasoning = take(details.reasoning_tokens, &mut output);
        let audio_output = take(details.audio_tokens, &mut output);
        let image_output = take(details.image_tokens, &mut output);
        let is_said = self.input_tokens.0.or(self.output_tokens.0).is_some();
        Usage {
            input,
            cache_read,
            cache_write,
            cache_write_1h: None,
            audio_input,
            image_input,
            output,
            reasoning,
            audio_output,
            image_output,
            provenance: if is_said {
                Provenance::Reported
            } else {
                Provenance::Unknown
            },
            ..Usage::default()
        }
    }
}

impl Annotation<'_> {
    /// A source on the web, or a file by its name.
    pub(super) fn to_citation(&self) -> Citation {
        let title = self.title.filled().or(self.filename.filled());
        Citation {
            url: self.url.filled().map(str::to_owned),
            title: title.map(str::to_owned),
            quote: None,
            range: self.start_index.0.zip(self.end_index.0),
        }
    }
}

// === What is written ===

/// Every figure of it is required, so that what nobody said is 0.
#[derive(Debug, Serialize)]
pub(super) struct UsageOut {
    input_tokens: u64,
    input_tokens_details: InputDetailsOut,
    output_tokens: u64,
    output_tokens_details: OutputDetailsOut,
    total_tokens: u64,
}

#[derive(Debug, Serialize)]
struct InputDetailsOut {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Debug, Serialize)]
struct OutputDetailsOut {
    reasoning_tokens: u64,
}

impl UsageOut {
    pub(super) fn new(usage: &Usage) -> Self {
        let (input, output) = (usage.input_total(), usage.output_total());
        let short = usage.cache_write.unwrap_or(0);
        Self {
            input_tokens: input,
            input_tokens_details: InputDetailsOut {
                cached_tokens: usage.cache_read.unwrap_or(0),
                cache_write_tokens: short.saturating_add(usage.cache_write_1h.unwrap_or(0)),
            },
            output_tokens: output,
            output_tokens_details: OutputDetailsOut {
                reasoning_tokens: usage.reasoning.unwrap_or(0),
            },
            total_tokens: input.saturating_add(output),
        }
    }
}
