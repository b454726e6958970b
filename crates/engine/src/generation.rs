//! A running generation as its caller sees it: events, the last of which says how it ended.
//!
//! Dropping it is how a caller cancels; the worker sees that at its next step. The channel has no bound of its own: an
//! answer is at most a window of tokens, so a slow reader costs kilobytes and never holds up the batch.

use std::task::{Context, Poll, ready};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::EngineError;
use crate::reply::ReplyFormat;

/// The receiving end of one generation.
#[derive(Debug)]
pub struct Generation {
    pub prompt_tokens: u32,
    /// What of a reply the model's template tells apart from text; `None` for a prompt without a conversation.
    pub format: Option<ReplyFormat>,
    events: UnboundedReceiver<Event>,
    is_over: bool,
}

/// Any number of texts, pieces of reasoning and calls, then one of the other two.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Text(Piece),
    /// What the model thinks before it answers, where the request has a conversation and its template knows reasoning.
    Reasoning(Piece),
    /// A call of a tool, whole, where the request's conversation has tools.
    ToolCall {
        name: String,
        /// A JSON object, as the model wrote it.
        arguments: String,
    },
    Done {
        reason: FinishReason,
        usage: Usage,
    },
    Failed(EngineError),
}

/// A part of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Whole characters, never empty.
    pub text: String,
    /// The tokens that this text and what was dropped before it came from. Empty unless the request asks for
    /// log probabilities.
    pub tokens: Vec<TokenChance>,
}

/// A token of the answer and what the model thought of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenChance {
    pub token: u32,
    /// What it adds to the answer: perhaps only a part of a character.
    pub bytes: Vec<u8>,
    /// The natural logarithm of its probability under the model itself, before bias, penalties, formats, temperature
    /// and cuts (`sampling/logprobs.rs` names the source).
    pub logprob: f32,
    /// As many of the most likely tokens as were asked for, most likely first; their own `top` is empty.
    pub top: Vec<TokenChance>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended its answer.
    EndOfText,
    /// The model ended its answer, which has calls of tools.
    ToolCalls,
    /// This stop sequence was met. It is not part of the text.
    StopSequence(String),
    /// An answer that is bound to a format may be cut in its midst.
    MaxTokens,
    /// No `max_tokens` was given and the model's window is full.
    ContextFull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: u32,
    /// Of the prompt's tokens, those whose work an earlier call had done.
    pub cached_tokens: u32,
    /// Every token that was drawn: the one that ends the answer and those of a stop sequence are among them.
    pub output_tokens: u32,
}

/// What is known of a generation before its first event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    pub(crate) prompt_tokens: u32,
    pub(crate) format: Option<ReplyFormat>,
}

impl Generation {
    pub(crate) fn new(started: Started, events: UnboundedReceiver<Event>) -> Generation {
        Generation {
            prompt_tokens: started.prompt_tokens,
            format: started.format,
            events,
            is_over: false,
        }
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let event = ready!(self.events.poll_recv(cx)).unwrap_or_else(|| {
            // The worker's end is gone without a last event: its thread broke.
            Event::Failed(EngineError::internal(
                "the local engine broke off; try again",
            ))
        });
        self.is_over = matches!(event, Event::Done { .. } | Event::Failed(_));
        Poll::Ready(Some(event))
    }
}

// === impl Piece ===

impl Piece {
    pub(crate) fn new(text: String) -> Piece {
        Piece {
            text,
            tokens: Vec::new(),
        }
    }
}
