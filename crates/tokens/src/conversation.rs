//! Counts a whole request: its messages, tools and media, with what the provider wraps around them.
//!
//! The input is plain text and numbers, so that every dialect can be counted. Rules of overhead: OpenAI's are those of its
//! cookbook (`How_to_count_tokens_with_tiktoken.ipynb`), Anthropic's the published sizes of its tool prompt
//! (<https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview>); for all others OpenAI's rule for messages is taken.

use crate::counter::{add_percent, byte_bound};
use crate::media::{Document, Image, Media};
use crate::overhead::{Overhead, around_messages};
use crate::{Counter, tool};

/// A request as far as it counts.
#[derive(Clone, Debug, Default)]
pub struct Conversation<'a> {
    pub messages: Vec<Message<'a>>,
    pub tools: Vec<Tool<'a>>,
    /// Whether the caller requires a tool to be called (`any`, `required`, or a tool by name).
    pub tool_required: bool,
    pub images: Vec<Image>,
    pub documents: Vec<Document>,
    pub audio_ms: u64,
}

/// One message: every text in it counts, also a tool's result and the arguments of a call.
#[derive(Clone, Debug, Default)]
pub struct Message<'a> {
    pub role: &'a str,
    pub name: Option<&'a str>,
    pub texts: Vec<&'a str>,
}

/// A tool that the model may call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tool<'a> {
    pub name: &'a str,
    pub description: Option<&'a str>,
    /// The JSON Schema of the parameters, as JSON text.
    pub parameters: Option<&'a str>,
}

/// Above the count of a known tokenizer, for what a provider adds unseen.
const MARGIN_PERCENT: u8 = 2;
const MARGIN_EACH: u64 = 16;

/// Counts conversations for one model.
#[derive(Clone, Copy, Debug)]
pub struct ConversationCounter {
    counter: Counter,
    overhead: Overhead,
    media: Media,
}

impl ConversationCounter {
    /// The counter for `model` at a provider of the kind `provider_kind`, a row of the provider table.
    pub fn for_model(provider_kind: &str, model: &str) -> Self {
        let counter = Counter::for_model(provider_kind, model);
        Self {
            counter,
            overhead: Overhead::for_model(counter.method(), provider_kind, model),
            media: Media::for_model(model),
        }
    }

    /// How texts are counted.
    pub fn text(&self) -> Counter {
        self.counter
    }

    /// How media are counted.
    pub fn media(&self) -> Media {
        self.media
    }

    /// The best estimate of the input tokens.
    pub fn count(&self, conversation: &Conversation<'_>) -> u64 {
        let texts = conversation.texts().map(|text| self.counter.count(text));
        let tools = conversation.tools.iter().map(|tool| match self.overhead {
            Overhead::OpenAi { per_function } => {
                tool::as_openai_writes(tool, self.counter, per_function)
            }
            _ => tool::as_json(tool, self.counter),
        });
        sum(texts)
            .saturating_add(sum(tools))
            .saturating_add(self.wrapping(conversation))
            .saturating_add(self.media_tokens(conversation, false))
    }

    /// What admission reserves: the count and 2 % and 16 tokens per message and tool where the tokenizer is known, else every
    /// byte of text; what is wrapped around and media come on top by their published sizes, media at their dearest.
    pub fn upper(&self, conversation: &Conversation<'_>) -> u64 {
        let text_bound = |text: &str| {
            if self.counter.is_exact() {
                self.counter.count(text)
            } else {
                byte_bound(text.len())
            }
        };
        let tools = conversation.tools.iter().flat_map(Tool::texts);
        let texts = sum(conversation.texts().chain(tools).map(text_bound));
        let each = (conversation.messages.len() as u64)
            .saturating_add(conversation.tools.len() as u64)
            .saturating_mul(MARGIN_EACH);
        let tokens = add_percent(texts, MARGIN_PERCENT)
            .saturating_add(each)
            .saturating_add(self.wrapping(conversation))
            .saturating_add(self.media_tokens(conversation, true));
        // What a provider writes out of a schema can be longer than the schema, so the estimate is a floor.
        tokens.max(self.count(conversation))
    }

    /// What surrounds the texts of messages and the descriptions of tools.
    fn wrapping(&self, conversation: &Conversation<'_>) -> u64 {
        let names = conversation
            .messages
            .iter()
            .filter(|message| message.name.is_some());
        let messages = around_messages(conversation.messages.len() as u64, names.count() as u64);
        if conversation.tools.is_empty() {
            return messages;
        }
        messages.saturating_add(self.overhead.tool_prompt(conversation.tool_required))
    }

    fn media_tokens(&self, conversation: &Conversation<'_>, upper: bool) -> u64 {
        let images = conversation.images.iter().map(|image| {
            if upper {
                self.media.image_upper(*image)
            } else {
                self.media.image(*image)
            }
        });
        let documents = conversation.documents.iter().map(|document| {
            if upper {
                self.media.document_upper(*document)
            } else {
                self.media.document(*document)
            }
        });
        sum(images)
            .saturating_add(sum(documents))
            .saturating_add(self.media.audio(conversation.audio_ms))
    }
}

impl<'a> Conversation<'a> {
    /// Every text of the messages: roles, names, contents.
    fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.messages.iter().flat_map(|message| {
            std::iter::once(message.role)
                .chain(message.name)
                .chain(message.texts.iter().copied())
        })
    }
}

impl<'a> Tool<'a> {
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        std::iter::once(self.name)
            .chain(self.description)
            .chain(self.parameters)
    }
}

pub(crate) fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}
