//! A running generation as its caller sees it: events, the last of which says how it ended.
//!
//! Dropping it is how a caller cancels; the worker sees that at its next step. The channel has no bound of its own: an
//! answer is at most a window of tokens, so a slow reader costs kilobytes and never holds up the batch.

use std::task::{Context, Poll, ready};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::EngineError;

/// The receiving end of one generation.
#[derive(Debug)]
pub struct Generation {
    pub prompt_tokens: u32,
    events: UnboundedReceiver<Event>,
    is_over: bool,
}

/// Any number of texts, then one of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Whole characters, never empty.
    Text(String),
    Done {
        reason: FinishReason,
        usage: Usage,
    },
    Failed(EngineError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended its answer.
    EndOfText,
    /// This stop sequence was met. It is not part of the text.
    StopSequence(String),
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

impl Generation {
    pub(crate) fn new(prompt_tokens: u32, events: UnboundedReceiver<Event>) -> Generation {
        Generation {
            prompt_tokens,
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
        self.is_over = !matches!(event, Event::Text(_));
        Poll::Ready(Some(event))
    }
}
