//! How large a call is: upper bounds of what goes in and what may come out, in tokens.

use std::sync::OnceLock;

use tollgate_base::ServiceTier;
use tollgate_catalog::price::Bucket;
use tollgate_dialect::{
    Countable, CountedImage, Dialect, ImageSource, ModelTraits, RawObject, countable, input_bound,
};
use tollgate_tokens::{
    Conversation, ConversationCounter, Detail, Document, Image, Message, Size as ImageSize, Tool,
};

use super::call::Precision;
use crate::call::Call;

/// The size of one call. What takes time to find out is found out when it is asked for.
#[derive(Debug)]
pub(crate) struct Size {
    dialect: Dialect,
    raw: RawObject,
    /// The largest output that the caller asked for, for each candidate.
    asked_output: Option<u64>,
    pub(crate) candidates: u32,
    /// The largest output of a call that names none.
    default_output: u64,
    /// The key's own largest output.
    key_output: Option<u64>,
    rough: OnceLock<u64>,
}

/// Words of a request by which its author asks for a prompt cache of Anthropic's.
const CACHE_MARKS: [&[u8]; 2] = [b"cache_control", b"cachePoint"];
const CACHE_WRITES: [Bucket; 2] = [Bucket::CacheWrite, Bucket::CacheWriteLong];

impl Size {
    pub(crate) fn of(call: &Call, default_output: u64, key_output: Option<u64>) -> Self {
        Self {
            dialect: call.dialect,
            raw: call.raw.clone(),
            asked_output: call.head.max_output_tokens,
            candidates: call.head.candidates.max(1),
            default_output,
            key_output,
            rough: OnceLock::new(),
        }
    }

    /// At most so many tokens go in, as this model counts.
    pub(crate) fn input(&self, precision: Precision, counter: &ConversationCounter) -> u64 {
        let rough = *self.rough.get_or_init(|| bytes(self.dialect, &self.raw));
        if precision == Precision::Rough {
            return rough;
        }
        match countable(self.dialect, &self.raw) {
            Ok(what) => what.tokens + counter.upper(&conversation(&what)),
            Err(_) => rough,
        }
    }

    /// At most so many tokens come out for each candidate: what the caller asked for, within what the key and
    /// the model allow; without a word of the caller's, the default.
    pub(crate) fn output(&self, traits: &ModelTraits) -> u64 {
        if self.dialect.is_embeddings() {
            return 0;
        }
        [self.key_output, traits.max_output_tokens]
            .into_iter()
            .flatten()
            .fold(self.asked_output.unwrap_or(self.default_output), u64::min)
    }

    /// Whether the caller could get more than `output` unless the provider is told.
    pub(crate) fn exceeds(&self, output: u64) -> bool {
        self.asked_output.is_none_or(|asked| asked > output)
    }

    /// Whether the key itself bounds the output.
    pub(crate) fn is_bounded_by_key(&self) -> bool {
        self.key_output.is_some_and(|most| self.exceeds(most))
    }

    /// The tier that the request asks for, where it does.
    pub(crate) fn tier(&self) -> Option<ServiceTier> {
        let text = |field| self.raw.get(field).map(|json| json.trim_matches('"'));
        match (text("service_tier"), text("speed")) {
            (_, Some("fast")) | (Some("ultrafast"), _) => Some(ServiceTier::Fast),
            (Some("default" | "standard_only" | "standard"), _) => Some(ServiceTier::Standard),
            (Some("flex"), _) => Some(ServiceTier::Flex),
            (Some("priority"), _) => Some(ServiceTier::Priority),
            _ => None,
        }
    }

    /// Buckets that cannot fill: where a cache is written only when it is asked for, and it is not.
    pub(crate) fn without(&self, wire: Dialect) -> &'static [Bucket] {
        let body = self.raw.bytes();
        let asks = CACHE_MARKS
            .iter()
            .any(|mark| memchr::memmem::find(body, mark).is_some());
        if wire == Dialect::AnthropicMessages && !asks {
            &CACHE_WRITES
        } else {
            &[]
        }
    }
}

/// The tokens of a request, as well as they can be told.
pub(crate) fn counted(dialect: Dialect, raw: &RawObject, counter: &ConversationCounter) -> u64 {
    match countable(dialect, raw) {
        Ok(what) => what.tokens + counter.count(&conversation(&what)),
        Err(_) => bytes(dialect, raw),
    }
}

/// The bytes of what is counted; of a request that is not understood, all of them.
fn bytes(dialect: Dialect, raw: &RawObject) -> u64 {
    input_bound(dialect, raw).unwrap_or(raw.bytes().len() as u64)
}

/// A request in the words of the counter.
fn conversation<'a>(what: &'a Countable<'_>) -> Conversation<'a> {
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
        tool_required: false,
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
