//! A whole reply.

use tollgate_base::{Error, Result, Usage};

use super::{Answers, BlockStart, Citation, Delta, Event, Signature, TokenLogprob, ToolCall};
use crate::Loss;

#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The provider's id of the reply.
    pub id: String,
    /// The model that answered, in the provider's words.
    pub model: String,
    pub blocks: Vec<Block>,
    pub finish: FinishReason,
    /// The further answers, in their order, where several were asked for.
    pub others: Vec<Answer>,
    /// Of all answers together.
    pub usage: Usage,
    pub service_tier: Option<String>,
    /// What the provider said and no other dialect has a word for.
    pub losses: Vec<Loss>,
}

/// One of several answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// From 1: the first answer is the reply's own.
    pub index: usize,
    pub blocks: Vec<Block>,
    pub finish: FinishReason,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Text {
        text: String,
        citations: Vec<Citation>,
        /// Its tokens, for a caller who asked for them.
        logprobs: Vec<TokenLogprob>,
    },
    Reasoning {
        text: String,
        signature: Option<Signature>,
    },
    RedactedReasoning {
        data: String,
    },
    ToolCall(ToolCall),
    Refusal(String),
}

/// Why a reply ended (digest section 10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FinishReason {
    #[default]
    EndOfTurn,
    /// A stop sequence was hit; which one, where the provider says it.
    StopSequence(Option<String>),
    MaxTokens,
    ContextFull,
    ToolCalls,
    /// The model or a filter refused.
    Refusal,
    /// A server-side tool loop paused: send the conversation again as it is.
    Paused,
}

impl Block {
    /// The texts in it that a provider charges for.
    pub fn billed_texts(&self) -> Vec<&str> {
        match self {
            Block::Text { text, .. } | Block::Reasoning { text, .. } | Block::Refusal(text) => {
                vec![text]
            }
            Block::ToolCall(call) => vec![&call.name, &call.arguments],
            Block::RedactedReasoning { .. } => Vec::new(),
        }
    }
}

/// An answer that is being put together.
#[derive(Default)]
struct Draft {
    blocks: Vec<Block>,
    finish: Option<FinishReason>,
}

impl Response {
    /// The reply that a lawful sequence of events tells. A sequence that failed, or in which an answer never
    /// finished, is an error.
    pub fn from_events(events: impl IntoIterator<Item = Event>) -> Result<Self> {
        let mut response = Self::default();
        let mut answers = Answers::<Draft>::default();
        for event in events {
            match event {
                Event::Start { id, model } => (response.id, response.model) = (id, model),
                Event::Choice(index) => answers.turn(index),
                Event::BlockStart { block, .. } => {
                    answers.now.blocks.push(Block::from_start(block));
                }
                Event::Delta { index, delta } => {
                    let block = answers.now.blocks.get_mut(index);
                    block
                        .ok_or_else(|| {
                            Error::internal("A piece of the reply belongs to no block.")
                        })?
                        .extend(delta);
                }
                Event::Usage(usage) => response.usage = usage,
                Event::Finish(finish) => answers.now.finish = Some(finish),
                Event::Lost(loss) => response.losses.push(loss),
                Event::Error(error) => return Err(error),
                Event::BlockEnd { .. } | Event::Ping => {}
            }
        }
        for (index, draft) in answers.into_sorted() {
            let Some(finish) = draft.finish else {
                return Err(Error::upstream_invalid("The reply was cut before its end."));
            };
            let blocks = draft.blocks;
            if index == 0 {
                (response.blocks, response.finish) = (blocks, finish);
            } else {
                response.others.push(Answer {
                    index,
                    blocks,
                    finish,
                });
            }
        }
        Ok(response)
    }

    /// Every answer: its number, what it says and how it ended.
    pub fn answers(&self) -> impl Iterator<Item = (usize, &[Block], &FinishReason)> {
        let others = self.others.iter();
        let others = others.map(|answer| (answer.index, &*answer.blocks, &answer.finish));
        std::iter::once((0, &*self.blocks, &self.finish)).chain(others)
    }

    /// The texts in all answers that a provider charges for.
    pub fn billed_texts(&self) -> impl Iterator<Item = &str> {
        self.answers()
            .flat_map(|(_, blocks, _)| blocks)
            .flat_map(Block::billed_texts)
    }
}

impl Block {
    pub fn text(text: impl Into<String>) -> Self {
        Block::Text {
            text: text.into(),
            citations: Vec::new(),
            logprobs: Vec::new(),
        }
    }

    pub(crate) fn from_start(start: BlockStart) -> Self {
        match start {
            BlockStart::Text => Block::text(""),
            BlockStart::Reasoning => Block::Reasoning {
                text: String::new(),
                signature: None,
            },
            BlockStart::RedactedReasoning { data } => Block::RedactedReasoning { data },
            BlockStart::ToolCall { id, name } => Block::ToolCall(ToolCall {
                id,
                name,
                arguments: String::new(),
            }),
            BlockStart::Refusal => Block::Refusal(String::new()),
        }
    }

    /// Adds a piece; one of another kind than the block breaks the law, and is left out.
    fn extend(&mut self, delta: Delta) {
        match (self, delta) {
            (Block::Text { text, .. }, Delta::Text(more))
            | (Block::Reasoning { text, .. }, Delta::Reasoning(more))
            | (Block::Refusal(text), Delta::Refusal(more)) => text.push_str(&more),
            (Block::Reasoning { signature, .. }, Delta::Signature(more)) => {
                *signature = Some(more);
            }
            (Block::Text { citations, .. }, Delta::Citation(more)) => citations.push(more),
            (Block::Text { logprobs, .. }, Delta::Logprobs(more)) => logprobs.extend(more),
            (Block::ToolCall(call), Delta::Arguments(more)) => call.arguments.push_str(&more),
            _ => {}
        }
    }
}
