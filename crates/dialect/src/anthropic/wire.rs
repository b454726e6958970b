//! The names of Anthropic's replies and stream events, exactly:
//! <https://platform.claude.com/docs/en/api/messages>. Read borrowed and lenient.

use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tollgate_base::{Provenance, Region, ServiceTier, Usage};

use crate::{
    ir::Citation,
    json::{Count, Text},
};

/// Any event of a stream: the fields of all of them, told apart by `type`.
#[derive(Debug, Deserialize)]
pub(super) struct StreamEvent<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(default)]
    pub(super) index: Count,
    #[serde(borrow, default)]
    pub(super) message: Option<MessageHead<'a>>,
    #[serde(borrow, default)]
    pub(super) content_block: Option<Block<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(default)]
    pub(super) usage: Option<WireUsage>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MessageHead<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(default)]
    pub(super) usage: Option<WireUsage>,
}

/// A block of a reply, or the start of one.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Text<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Text<'a>,
    #[serde(borrow, default)]
    pub(super) data: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) citations: Option<Vec<WireCitation<'a>>>,
}

/// A source of a text block, of any of its kinds.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WireCitation<'a> {
    #[serde(borrow, default)]
    cited_text: Text<'a>,
    #[serde(borrow, default)]
    url: Text<'a>,
    /// A search result's own word for its address.
    #[serde(borrow, default)]
    source: Text<'a>,
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    document_title: Text<'a>,
}

impl WireCitation<'_> {
    /// The source of a whole block: this dialect makes a block of each statement that it cites for. None for
    /// a kind that says nothing that is known.
    pub(super) fn to_citation(&self) -> Option<Citation> {
        let text = |text: &Text<'_>| text.filled().map(str::to_owned);
        let citation = Citation {
            url: text(&self.url).or_else(|| text(&self.source)),
            title: text(&self.title).or_else(|| text(&self.document_title)),
            quote: text(&self.cited_text),
            range: None,
        };
        (citation != Citation::default()).then_some(citation)
    }
}

/// The deltas of blocks, and that of the message.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Text<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Text<'a>,
    #[serde(borrow, default)]
    pub(super) partial_json: Text<'a>,
    #[serde(borrow, default)]
    pub(super) citation: Option<WireCitation<'a>>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stop_sequence: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stop_details: Option<StopDetails<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct StopDetails<'a> {
    #[serde(borrow, default)]
    pub(super) explanation: Text<'a>,
}

/// A whole reply.
#[derive(Debug, Deserialize)]
pub(super) struct Reply<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) content: Option<Vec<Block<'a>>>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stop_sequence: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stop_details: Option<StopDetails<'a>>,
    #[serde(default)]
    pub(super) usage: Option<WireUsage>,
    #[serde(default)]
    pub(super) error: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    cache_creation_input_tokens: Count,
    #[serde(default)]
    cache_read_input_tokens: Count,
    #[serde(default)]
    cache_creation: Option<CacheCreation>,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
    #[serde(default)]
    server_tool_use: Option<ServerToolUse>,
    #[serde(default, deserialize_with = "tier")]
    service_tier: Option<ServiceTier>,
    #[serde(default, deserialize_with = "speed")]
    speed: Option<ServiceTier>,
    #[serde(default, deserialize_with = "region")]
    inference_geo: Option<Region>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct ServerToolUse {
    #[serde(default)]
    web_search_requests: Count,
}

/// The tier that served a call.
fn tier<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ServiceTier>, D::Error> {
    Ok(match Text::deserialize(from)?.as_deref() {
        None => None,
        Some("priority") => Some(ServiceTier::Priority),
        Some("batch") => Some(ServiceTier::Batch),
        Some(_) => Some(ServiceTier::Standard),
    })
}

fn speed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ServiceTier>, D::Error> {
    let is_fast = Text::deserialize(from)?.as_deref() == Some("fast");
    Ok(is_fast.then_some(ServiceTier::Fast))
}

fn region<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Region>, D::Error> {
    Ok(match Text::deserialize(from)?.as_deref() {
        None => None,
        Some("us") => Some(Region::Us),
        Some(_) => Some(Region::Global),
    })
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct CacheCreation {
    #[serde(default)]
    ephemeral_5m_input_tokens: Count,
    #[serde(default)]
    ephemeral_1h_input_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct OutputDetails {
    #[serde(default)]
    thinking_tokens: Count,
}

// === impl WireUsage ===

impl WireUsage {
    /// The later figures over the earlier ones: they are cumulative, and some are only said once (traps T34).
    pub(super) fn updated(self, later: Self) -> Self {
        let newest = |old: Count, new: Count| Count(old.0.max(new.0));
        Self {
            input_tokens: newest(self.input_tokens, later.input_tokens),
            cache_creation_input_tokens: newest(
                self.cache_creation_input_tokens,
                later.cache_creation_input_tokens,
            ),
            cache_read_input_tokens: newest(
                self.cache_read_input_tokens,
                later.cache_read_input_tokens,
            ),
            cache_creation: later.cache_creation.or(self.cache_creation),
            output_tokens: newest(self.output_tokens, later.output_tokens),
            output_tokens_details: later.output_tokens_details.or(self.output_tokens_details),
            server_tool_use: later.server_tool_use.or(self.server_tool_use),
            service_tier: later.service_tier.or(self.service_tier),
            speed: later.speed.or(self.speed),
            inference_geo: later.inference_geo.or(self.inference_geo),
        }
    }

    /// The figures in disjoint buckets (digest section 11): here the cache stands outside of the input, and
    /// thinking inside of the output.
    pub(super) fn to_usage(self, provenance: Provenance) -> Usage {
        let split = self.cache_creation.unwrap_or_default();
        let long = split.ephemeral_1h_input_tokens.0;
        let short = match (
            self.cache_creation_input_tokens.0,
            split.ephemeral_5m_input_tokens.0,
        ) {
            // The total knows of writes that the split does not.
            (Some(total), short) => Some(
                short
                    .unwrap_or(0)
                    .max(total.saturating_sub(long.unwrap_or(0))),
            ),
            (None, short) => short,
        };
        let output = self.output_tokens.0.unwrap_or(0);
        let reasoning = self
            .output_tokens_details
            .and_then(|details| details.thinking_tokens.0);
        let reasoning = reasoning.map(|n| n.min(output));
        Usage {
            input: self.input_tokens.0.unwrap_or(0),
            cache_read: self.cache_read_input_tokens.0,
            cache_write: short,
            cache_write_1h: long,
            output: output - reasoning.unwrap_or(0),
            reasoning,
            searches: self
                .server_tool_use
                .and_then(|tools| tools.web_search_requests.0)
                .filter(|n| *n > 0),
            tier: self.speed.or(self.service_tier).unwrap_or_default(),
            region: self.inference_geo.unwrap_or_default(),
            provenance,
            ..Usage::default()
        }
    }
}

// === What is written ===

#[derive(Debug, Serialize)]
pub(super) struct UsageOut<'a> {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation: Option<CacheCreationOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<OutputDetailsOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct CacheCreationOut {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Debug, Serialize)]
struct OutputDetailsOut {
    thinking_tokens: u64,
}

impl<'a> UsageOut<'a> {
    /// The counts that this dialect requires are zero when unknown; the others are left out.
    pub(super) fn new(usage: &Usage) -> Self {
        let (short, long) = (usage.cache_write, usage.cache_write_1h);
        let creation = CacheCreationOut {
            ephemeral_5m_input_tokens: short.unwrap_or(0),
            ephemeral_1h_input_tokens: long.unwrap_or(0),
        };
        Self {
            // This dialect has no bucket for audio and none for images.
            input_tokens: usage
                .input
                .saturating_add(usage.audio_input.unwrap_or(0))
                .saturating_add(usage.image_input.unwrap_or(0)),
            cache_creation_input_tokens: short.unwrap_or(0).saturating_add(long.unwrap_or(0)),
            cache_read_input_tokens: usage.cache_read.unwrap_or(0),
            output_tokens: usage.output_total(),
            cache_creation: short.or(long).is_some().then_some(creation),
            output_tokens_details: usage
                .reasoning
                .map(|thinking_tokens| OutputDetailsOut { thinking_tokens }),
            service_tier: None,
        }
    }

    /// `default` is the other vendor's word for `standard`.
    pub(super) fn with_tier(self, tier: Option<&'a str>) -> Self {
        Self {
            service_tier: tier.map(|tier| if tier == "default" { "standard" } else { tier }),
            ..self
        }
    }
}
