//! How large a call is: upper bounds of what goes in and what may come out, in tokens.

use std::sync::OnceLock;

use tollgate_base::{Result, ServiceTier};
use tollgate_catalog::price::Bucket;
use tollgate_dialect::{
    Countable, CountedImage, Dialect, ImageSource, Mark, ModelTraits, RawObject, countable,
    input_bound,
};
use tollgate_tokens::{
    Conversation, ConversationCounter, Detail, Document, Image, Message, Size as ImageSize, Tool,
};

use super::call::Precision;
use crate::call::Call;

/// The size of one call. What takes time to find out is found out when it is asked for.
#[derive(Debug)]
pub(crate) struct Size<'c> {
    dialect: Dialect,
    raw: &'c RawObject,
    /// The largest output that the caller asked for, for each candidate.
    asked_output: Option<u64>,
    pub(crate) candidates: u32,
    /// The largest output of a call that names none.
    default_output: u64,
    /// The key's own largest output.
    key_output: Option<u64>,
    /// The tier that the request asks for, where it does.
    pub(crate) tier: Option<ServiceTier>,
    rough: OnceLock<u64>,
    /// More goes in than the request itself: what a provider keeps or fetches.
    is_open_ended: bool,
    pieces: Vec<(Bucket, u64)>,
}

/// Fields of a request by which a provider adds what it keeps or asks for: earlier turns, caches, stored prompts,
/// searches, tools of other servers.
const KEPT: [&str; 7] = [
    "previous_response_id",
    "conversation",
    "cachedContent",
    "cached_content",
    "web_search_options",
    "container",
    "mcp_servers",
];
/// The context of a model that is not known, in tokens.
const CONTEXT: u64 = 1_000_000;
/// Searches of a call that names no limit of its own.
const SEARCHES: u64 = 10;

/// More than any model answers with, in tokens: a larger maximum is one without meaning.
const LARGEST_OUTPUT: u64 = 10_000_000;
/// The output of a legacy completion that names no maximum (digest section 4).
const COMPLETION: u64 = 16;

/// What is written where a request asks for a prompt cache of Anthropic's.
const CACHE_WRITES: [Bucket; 2] = [Bucket::CacheWrite, Bucket::CacheWriteLong];

impl<'c> Size<'c> {
    pub(crate) fn of(call: &'c Call, default_output: u64, key_output: Option<u64>) -> Self {
        Self {
            dialect: call.dialect,
            raw: &call.raw,
            asked_output: call.head.max_output_tokens,
            candidates: call.head.candidates.max(1),
            default_output,
            key_output,
            tier: tier(&call.raw),
            rough: OnceLock::new(),
            is_open_ended: is_open_ended(&call.raw),
            pieces: pieces(&call.raw),
        }
    }

    /// At most so many tokens go in at this model; where a provider adds what it keeps, all that its context holds.
    pub(crate) fn bound(
        &self,
        precision: Precision,
        counter: &ConversationCounter,
        traits: &ModelTraits,
    ) -> u64 {
        let own = self.input(precision, counter);
        if self.is_open_ended {
            own.max(traits.context_window.unwrap_or(CONTEXT))
        } else {
            own
        }
    }

    /// What a provider may charge by the piece: searches.
    pub(crate) fn pieces(&self) -> &[(Bucket, u64)] {
        &self.pieces
    }

    /// At most so many tokens of the request itself go in, as this model counts.
    fn input(&self, precision: Precision, counter: &ConversationCounter) -> u64 {
        let rough = *self.rough.get_or_init(|| {
            let own = if self.raw.marks().has(Mark::Media) {
                bytes(self.dialect, self.raw)
            } else {
                plain_bytes(self.raw)
            };
            own.max(self.media_bytes())
        });
        // Counting takes time that the thread has not; what is that long is bound by its bytes.
        if precision == Precision::Rough || self.raw.bytes().len() > COUNTED {
            return rough;
        }
        match countable(self.dialect, self.raw) {
            Ok(what) => {
                let counted = what.tokens + counter.upper(&conversation(&what, self.raw));
                counted.max(self.media_bytes()).min(rough)
            }
            Err(_) => rough,
        }
    }

    /// At most so many tokens come out for each candidate: what the caller asked for, within what the key and
    /// the model allow; without a word of the caller's, the default.
    pub(crate) fn output(&self, traits: &ModelTraits) -> u64 {
        if self.dialect.is_embeddings() {
            return 0;
        }
        let default = if self.dialect == Dialect::OpenAiCompletions {
            self.default_output.min(COMPLETION)
        } else {
            self.default_output
        };
        [
            self.key_output,
            traits.max_output_tokens,
            Some(LARGEST_OUTPUT),
        ]
        .into_iter()
        .flatten()
        .fold(self.asked_output.unwrap_or(default), u64::min)
    }

    /// Whether the caller could get more than `output` unless the provider is told.
    pub(crate) fn exceeds(&self, output: u64) -> bool {
        self.asked_output.is_none_or(|asked| asked > output)
    }

    /// Whether the key itself bounds the output.
    pub(crate) fn is_bounded_by_key(&self) -> bool {
        self.key_output.is_some_and(|most| self.exceeds(most))
    }

    /// Buckets that cannot fill: where a cache is written only when it is asked for, and it is not.
    pub(crate) fn without(&self, wire: Dialect) -> &'static [Bucket] {
        if wire == Dialect::AnthropicMessages && !self.raw.marks().has(Mark::Cache) {
            &CACHE_WRITES
        } else {
            &[]
        }
    }

    /// A bound for what is in the body and is neither text nor an image: no more tokens than bytes.
    fn media_bytes(&self) -> u64 {
        if self.raw.marks().has(Mark::NearMedia) {
            self.raw.bytes().len() as u64
        } else {
            0
        }
    }
}

/// The largest request that is counted while its caller waits, in bytes.
const COUNTED: usize = 256 * 1024;

/// Whether more goes in than the request itself: media elsewhere, what a provider keeps, what its tools find.
fn is_open_ended(raw: &RawObject) -> bool {
    let names = |field: &&str| raw.get(field).is_some_and(|json| json != "null");
    let marks = raw.marks();
    marks.has(Mark::FarMedia)
        || marks.has(Mark::Kept) && KEPT.iter().any(names)
        || marks.has(Mark::Hosted) && raw.get("tools").is_some()
        // A prompt of the Responses API may be one that the provider keeps: then it is an object.
        || raw.get("prompt").is_some_and(|json| json.starts_with('{'))
}

fn tier(raw: &RawObject) -> Option<ServiceTier> {
    let text = |field| -> Option<String> { serde_json::from_str(raw.get(field)?).ok() };
    let (tier, speed) = (text("service_tier"), text("speed"));
    match (tier.as_deref(), speed.as_deref()) {
        (_, Some("fast")) | (Some("ultrafast"), _) => Some(ServiceTier::Fast),
        (Some("default" | "standard_only" | "standard"), _) => Some(ServiceTier::Standard),
        (Some("flex"), _) => Some(ServiceTier::Flex),
        (Some("priority"), _) => Some(ServiceTier::Priority),
        _ => None,
    }
}

/// Searches that a provider may run for the call.
fn pieces(raw: &RawObject) -> Vec<(Bucket, u64)> {
    let can_search = |field: &&str| raw.get(field).is_some();
    if raw.marks().has(Mark::Search) && ["tools", "web_search_options"].iter().any(can_search) {
        vec![(Bucket::Search, SEARCHES)]
    } else {
        Vec::new()
    }
}

/// The tokens of a request, as well as they can be told.
pub(crate) fn counted(dialect: Dialect, raw: &RawObject, counter: &ConversationCounter) -> u64 {
    request_tokens(dialect, raw, counter).map_or_else(|_| bytes(dialect, raw), |(count, _)| count)
}

/// The tokens of a request as this model counts, as well as they can be told and at most.
pub fn request_tokens(
    dialect: Dialect,
    raw: &RawObject,
    counter: &ConversationCounter,
) -> Result<(u64, u64)> {
    let what = countable(dialect, raw)?;
    let conversation = conversation(&what, raw);
    let (count, upper) = (counter.count(&conversation), counter.upper(&conversation));
    Ok((
        what.tokens.saturating_add(count),
        what.tokens.saturating_add(upper),
    ))
}

/// The bytes of what is counted; of a request that is not understood, all of them.
fn bytes(dialect: Dialect, raw: &RawObject) -> u64 {
    let own = input_bound(dialect, raw).unwrap_or(raw.bytes().len() as u64);
    own.saturating_add(tool_prompt(raw))
}

/// As `bytes`, of a request without media.
fn plain_bytes(raw: &RawObject) -> u64 {
    (raw.bytes().len() as u64).saturating_add(tool_prompt(raw))
}

fn tool_prompt(raw: &RawObject) -> u64 {
    let has_tools = ["tools", "functions"]
        .iter()
        .any(|name| raw.get(name).is_some());
    if has_tools { TOOL_PROMPT } else { 0 }
}

/// The longest prompt that a provider puts before tools, in tokens (digest section 16: 804, and 12 around it).
const TOOL_PROMPT: u64 = 820;

/// Whether the caller wants a tool to be called in any case.
fn requires_tool(raw: &RawObject) -> bool {
    raw.get("tool_choice").is_some_and(|choice| {
        ["required", "any", "\"tool\"", "\"function\""]
            .iter()
            .any(|word| choice.contains(word))
    })
}

/// A request in the words of the counter.
fn conversation<'a>(what: &'a Countable<'_>, raw: &RawObject) -> Conversation<'a> {
    let mut messages: Vec<Message<'_>> = what
        .messages
        .iter()
        .map(|message| Message {
            role: &message.role,
            name: message.name.as_deref(),
            texts: message.texts.iter().map(|text| &**text).collect(),
        })
        .collect();
    if !what.texts.is_empty() {
        messages.push(Message {
            role: "system",
            name: None,
            texts: what.texts.iter().map(|text| &**text).collect(),
        });
    }
    let tools = what.tools.iter().map(|tool| Tool {
        name: &tool.name,
        description: tool.description.as_deref(),
        parameters: tool.parameters,
    });
    let sound = what.media.iter().filter(|media| media.is_audio);
    Conversation {
        messages,
        tools: tools.collect(),
        tool_required: requires_tool(raw),
        images: what.images.iter().map(image).collect(),
        documents: what
            .media
            .iter()
            .filter(|media| !media.is_audio)
            .map(|_| Document { pages: None })
            .collect(),
        audio_ms: sound.map(|media| sound_ms(media.bytes)).sum(),
    }
}

fn image(image: &CountedImage<'_>) -> Image {
    Image {
        size: match &image.source {
            ImageSource::Bytes(bytes) => ImageSize::of(bytes),
            ImageSource::Elsewhere(_) => None,
        },
        detail: match image.detail.as_deref() {
            Some("low") => Detail::Low,
            Some("high") => Detail::High,
            Some("original") => Detail::Original,
            _ => Detail::Auto,
        },
    }
}

/// The length of a recording of so many bytes, at most: speech is seldom coded with less than 8 kbit/s. One that
/// is not in the request counts as ten minutes.
fn sound_ms(bytes: Option<u64>) -> u64 {
    bytes.unwrap_or(600_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(body: &str) -> RawObject {
        RawObject::parse(body.to_owned().into()).unwrap()
    }

    #[test]
    fn what_a_provider_adds_has_no_end_that_is_known_here() {
        for body in [
            r#"{"previous_response_id":"resp_1"}"#,
            r#"{"conversation":"conv_1"}"#,
            r#"{"cachedContent":"cachedContents/1"}"#,
            r#"{"container":"cntr_1"}"#,
            r#"{"web_search_options":{}}"#,
            r#"{"prompt":{"id":"pmpt_1"}}"#,
            r#"{"tools":[{"type":"web_search_20250305"}]}"#,
            r#"{"tools":[{"type":"web\u005fsearch"}]}"#,
            r#"{"tools":[{"googleSearch":{}}]}"#,
            r#"{"tools":[{"code_execution":{}}]}"#,
            r#"{"tools":[{"type":"mcp","server_url":"x"}]}"#,
            r#"{"tools":[{"type":"mcp_toolset","mcp_server_name":"x"}]}"#,
            r#"{"mcp_servers":[{"type":"url","url":"x"}]}"#,
            r#"{"input":[{"content":[{"type":"input_file","file_url":"x"}]}]}"#,
        ] {
            assert!(is_open_ended(&raw(body)), "{body}");
        }
        for body in [
            r#"{"messages":[{"role":"user","content":"Use web_search, or an mcp."}]}"#,
            r#"{"messages":[{"role":"user","content":"web_search"}]}"#,
            r#"{"previous_response_id":null}"#,
            r#"{"prompt":"Say hello"}"#,
            r#"{"tools":[{"type":"function","name":"weather","description":"or web_search"}]}"#,
            r#"{"tools":[{"name":"mcp__github__search","input_schema":{"type":"object"}}]}"#,
        ] {
            assert!(!is_open_ended(&raw(body)), "{body}");
        }
    }

    #[test]
    fn searches_are_held_for_where_a_provider_may_run_some() {
        for (body, searches) in [
            (r#"{"tools":[{"type":"web_search"}]}"#, true),
            (r#"{"tools":[{"type":"file\u005fsearch"}]}"#, true),
            (r#"{"tools":[{"google_search":{}}]}"#, true),
            (r#"{"web_search_options":{}}"#, true),
            (r#"{"tools":[{"type":"code_interpreter"}]}"#, false),
            (r#"{"metadata":{"tool":"web_search"}}"#, false),
        ] {
            assert_eq!(!pieces(&raw(body)).is_empty(), searches, "{body}");
        }
    }
}
