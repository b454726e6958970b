//! The names of Gemini's replies, exactly: <https://ai.google.dev/api/generate-content>. Read borrowed and
//! lenient; one shape serves whole replies and the chunks of streams.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tollgate_base::{Provenance, ServiceTier, Usage};

use crate::json::{Count, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Reply<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    pub(super) prompt_feedback: Option<PromptFeedback<'a>>,
    #[serde(borrow)]
    pub(super) usage_metadata: Option<WireUsage<'a>>,
    #[serde(borrow)]
    pub(super) model_version: Text<'a>,
    #[serde(borrow)]
    pub(super) response_id: Text<'a>,
    pub(super) error: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Candidate<'a> {
    pub(super) index: Count,
    #[serde(borrow)]
    pub(super) content: Option<Content<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Text<'a>,
    #[serde(borrow)]
    pub(super) grounding_metadata: Option<Grounding<'a>>,
    #[serde(borrow)]
    pub(super) citation_metadata: Option<CitationMetadata<'a>>,
    /// Read by `logprobs.rs`.
    #[serde(borrow)]
    pub(super) logprobs_result: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) parts: Option<Vec<Part<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    pub(super) thought: Option<bool>,
    #[serde(borrow)]
    pub(super) thought_signature: Text<'a>,
    #[serde(borrow)]
    pub(super) function_call: Option<FunctionCall<'a>>,
    pub(super) inline_data: Option<IgnoredAny>,
    pub(super) file_data: Option<IgnoredAny>,
    pub(super) executable_code: Option<IgnoredAny>,
    pub(super) code_execution_result: Option<IgnoredAny>,
    pub(super) tool_call: Option<IgnoredAny>,
    pub(super) tool_response: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) args: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PromptFeedback<'a> {
    #[serde(borrow)]
    pub(super) block_reason: Text<'a>,
}

#[expect(clippy::struct_field_names, reason = "the vendor's names")]
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Grounding<'a> {
    #[serde(borrow)]
    pub(super) grounding_chunks: Vec<GroundingChunk<'a>>,
    #[serde(borrow)]
    pub(super) grounding_supports: Vec<GroundingSupport<'a>>,
    pub(super) search_entry_point: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GroundingChunk<'a> {
    #[serde(borrow)]
    pub(super) web: Option<Source<'a>>,
    #[serde(borrow)]
    pub(super) retrieved_context: Option<Source<'a>>,
    #[serde(borrow)]
    pub(super) maps: Option<Source<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    pub(super) uri: Text<'a>,
    #[serde(borrow)]
    pub(super) title: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GroundingSupport<'a> {
    #[serde(borrow)]
    pub(super) segment: Segment<'a>,
    pub(super) grounding_chunk_indices: Vec<Count>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Segment<'a> {
    pub(super) start_index: Count,
    pub(super) end_index: Count,
    #[serde(borrow)]
    pub(super) text: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CitationMetadata<'a> {
    #[serde(borrow, alias = "citations")]
    pub(super) citation_sources: Vec<CitationSource<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CitationSource<'a> {
    pub(super) start_index: Count,
    pub(super) end_index: Count,
    #[serde(borrow)]
    pub(super) uri: Text<'a>,
    #[serde(borrow)]
    pub(super) title: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireUsage<'a> {
    prompt_token_count: Count,
    cached_content_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    tool_use_prompt_token_count: Count,
    total_token_count: Count,
    #[serde(borrow)]
    prompt_tokens_details: Vec<ModalityCount<'a>>,
    #[serde(borrow)]
    cache_tokens_details: Vec<ModalityCount<'a>>,
    #[serde(borrow)]
    candidates_tokens_details: Vec<ModalityCount<'a>>,
    #[serde(borrow)]
    pub(super) service_tier: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ModalityCount<'a> {
    #[serde(borrow)]
    modality: Text<'a>,
    token_count: Count,
}

// === impl WireUsage ===

impl WireUsage<'_> {
    /// The figures in disjoint buckets (digest section 11): the cache stands inside of the prompt, tool use
    /// and thoughts outside, and audio and images are told apart only in the details.
    pub(super) fn to_usage(&self, provenance: Provenance) -> Usage {
        let prompt = self.prompt_token_count.0.unwrap_or(0);
        let tool_use = self.tool_use_prompt_token_count.0.unwrap_or(0);
        let mut input = prompt;
        let mut take = |count: Option<u64>| {
            count.map(|n| {
                let taken = n.min(input);
                input -= taken;
                taken
            })
        };
        let cache_read = take(self.cached_content_token_count.0);
        // What the details say of the prompt holds for its cached part, too.
        let uncached = |modality| {
            let cached = tokens_of(&self.cache_tokens_details, modality).unwrap_or(0);
            tokens_of(&self.prompt_tokens_details, modality)
                .map(|n| n.saturating_sub(cached))
                .filter(|n| *n > 0)
        };
        let audio_input = take(uncached("AUDIO"));
        let image_input = take(uncached("IMAGE"));
        let reasoning = self.thoughts_token_count.0;
        // A provider that only says the total said the rest with it.
        let total_says = || {
            let rest = self.total_token_count.0?.checked_sub(prompt)?;
            rest.checked_sub(tool_use)?
                .checked_sub(reasoning.unwrap_or(0))
        };
        let candidates = self.candidates_token_count.0.or_else(total_says);
        let mut output = candidates.unwrap_or(0);
        let mut take = |modality| {
            let n = tokens_of(&self.candidates_tokens_details, modality)?.min(output);
            output -= n;
            (n > 0).then_some(n)
        };
        let (audio_output, image_output) = (take("AUDIO"), take("IMAGE"));
        Usage {
            input: input.saturating_add(tool_use),
            cache_read,
            cache_write: None,
            cache_write_1h: None,
            audio_input,
            image_input,
            output,
            reasoning,
            audio_output,
            image_output,
            tier: match self.service_tier.as_deref() {
                Some("flex") => ServiceTier::Flex,
                Some("priority") => ServiceTier::Priority,
                _ => ServiceTier::Standard,
            },
            provenance,
            ..Usage::default()
        }
    }
}

fn tokens_of(details: &[ModalityCount<'_>], modality: &str) -> Option<u64> {
    details
        .iter()
        .find(|detail| detail.modality.as_deref() == Some(modality))?
        .token_count
        .0
}

// === What is written ===

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageOut<'a> {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content_token_count: Option<u64>,
    candidates_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
    total_token_count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prompt_tokens_details: Vec<ModalityOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates_tokens_details: Vec<ModalityOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModalityOut {
    modality: &'static str,
    token_count: u64,
}

/// What of a whole is sound and what is an image; nothing where nobody told them apart.
fn by_modality(audio: Option<u64>, image: Option<u64>, whole: u64) -> Vec<ModalityOut> {
    if audio.or(image).is_none() {
        return Vec::new();
    }
    let text = whole
        .saturating_sub(audio.unwrap_or(0))
        .saturating_sub(image.unwrap_or(0));
    [("TEXT", Some(text)), ("AUDIO", audio), ("IMAGE", image)]
        .into_iter()
        .filter_map(|(modality, count)| {
            count.map(|token_count| ModalityOut {
                modality,
                token_count,
            })
        })
        .collect()
}

impl<'a> UsageOut<'a> {
    pub(super) fn new(usage: &Usage, tier: Option<&'a str>) -> Self {
        let prompt = usage.input_total();
        let media = usage.audio_output.unwrap_or(0);
        let media = media.saturating_add(usage.image_output.unwrap_or(0));
        let candidates = usage.output.saturating_add(media);
        Self {
            prompt_token_count: prompt,
            cached_content_token_count: usage.cache_read,
            candidates_token_count: candidates,
            thoughts_token_count: usage.reasoning,
            total_token_count: prompt.saturating_add(usage.output_total()),
            prompt_tokens_details: by_modality(usage.audio_input, usage.image_input, prompt),
            candidates_tokens_details: by_modality(
                usage.audio_output,
                usage.image_output,
                candidates,
            ),
            service_tier: match tier {
                // The other vendors' words for it.
                Some("default" | "standard_only" | "standard") => Some("standard"),
                Some(tier @ ("flex" | "priority")) => Some(tier),
                _ => None,
            },
        }
    }
}
