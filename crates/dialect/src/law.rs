//! The legal order of a reply's events, as code: what every decoder keeps and every encoder relies on.
//! Decoders are watched in debug builds, so that a test or a fuzzer that breaks the law stops at the event.

#[cfg(debug_assertions)]
use crate::frame::Frame;
use crate::{
    Decoder,
    ir::{ANSWERS_LIMIT, Answers, BlockStart, Delta, Event},
};

/// Judges a sequence of events, one at a time.
#[derive(Debug, Default)]
pub struct Law {
    has_started: bool,
    answers: Answers<Answer>,
    has_failed: bool,
}

/// One answer so far.
#[derive(Debug, Default)]
struct Answer {
    /// What each block is, in order of start, and whether it is open.
    blocks: Vec<(Kind, bool)>,
    has_finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Redacted,
    ToolCall,
    Refusal,
}

impl Law {
    /// Whether `event` may come now; if not, the rule that it breaks.
    pub fn check(&mut self, event: &Event) -> Result<(), &'static str> {
        if self.has_failed {
            return Err("nothing follows an error");
        }
        match event {
            Event::Ping | Event::Lost(_) => return Ok(()),
            Event::Error(_) => {
                self.has_failed = true;
                return Ok(());
            }
            Event::Start { .. } if self.has_started => return Err("a reply starts once"),
            Event::Start { .. } => {
                self.has_started = true;
                return Ok(());
            }
            _ if !self.has_started => return Err("a reply begins with its start"),
            Event::Usage(_) => return Ok(()),
            Event::Choice(index) if *index >= ANSWERS_LIMIT => {
                return Err("a reply has at most 128 answers");
            }
            Event::Choice(index) => {
                self.answers.turn(*index);
                return Ok(());
            }
            _ => {}
        }
        self.answers.now.check(event)
    }

    /// Whether the events so far are a whole reply.
    pub fn is_whole(&self) -> bool {
        !self.has_failed && self.answers.all().all(|answer| answer.has_finished)
    }
}

impl Answer {
    fn check(&mut self, event: &Event) -> Result<(), &'static str> {
        match event {
            _ if self.has_finished => Err("only usage follows the finish"),
            Event::BlockStart { index, block } => self.start(*index, Kind::of(block)),
            Event::Delta { index, delta } => self.delta(*index, delta),
            Event::BlockEnd { index } => match self.blocks.get_mut(*index) {
                Some((_, open @ true)) => {
                    *open = false;
                    Ok(())
                }
                _ => Err("only an open block ends"),
            },
            Event::Finish(_) if self.blocks.iter().any(|(_, open)| *open) => {
                Err("every block ends before the finish")
            }
            Event::Finish(_) => {
                self.has_finished = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, index: usize, kind: Kind) -> Result<(), &'static str> {
        if index != self.blocks.len() {
            return Err("blocks are numbered densely in the order they start");
        }
        let is_alone = kind != Kind::ToolCall;
        if self
            .blocks
            .iter()
            .any(|(other, open)| *open && (is_alone || *other != Kind::ToolCall))
        {
            return Err("only tool calls may be open side by side");
        }
        self.blocks.push((kind, true));
        Ok(())
    }

    fn delta(&mut self, index: usize, delta: &Delta) -> Result<(), &'static str> {
        let Some((kind, true)) = self.blocks.get(index) else {
            return Err("a delta belongs to an open block");
        };
        let fits = match delta {
            Delta::Text(_) | Delta::Logprobs(_) | Delta::Citation(_) => *kind == Kind::Text,
            Delta::Reasoning(_) | Delta::Signature(_) => *kind == Kind::Reasoning,
            Delta::Arguments(_) => *kind == Kind::ToolCall,
            Delta::Refusal(_) => *kind == Kind::Refusal,
        };
        if fits {
            Ok(())
        } else {
            Err("a delta is of its block's kind")
        }
    }
}

impl Kind {
    fn of(block: &BlockStart) -> Self {
        match block {
            BlockStart::Text => Kind::Text,
            BlockStart::Reasoning => Kind::Reasoning,
            BlockStart::RedactedReasoning { .. } => Kind::Redacted,
            BlockStart::ToolCall { .. } => Kind::ToolCall,
            BlockStart::Refusal => Kind::Refusal,
        }
    }
}

/// The decoder, with the law beside it in debug builds.
#[cfg(debug_assertions)]
pub(crate) fn watched(decoder: impl Decoder + 'static) -> Box<dyn Decoder> {
    Box::new(Watched {
        decoder,
        law: Law::default(),
    })
}

/// The decoder as it is.
#[cfg(not(debug_assertions))]
pub(crate) fn watched(decoder: impl Decoder + 'static) -> Box<dyn Decoder> {
    Box::new(decoder)
}

#[cfg(debug_assertions)]
struct Watched<D> {
    decoder: D,
    law: Law,
}

#[cfg(debug_assertions)]
impl<D> Watched<D> {
    fn judge(&mut self, events: &[Event]) {
        for event in events {
            if let Err(rule) = self.law.check(event) {
                panic!("a decoder broke the law: {rule}: {event:?} in {events:?}");
            }
        }
    }
}

#[cfg(debug_assertions)]
impl<D: Decoder> Decoder for Watched<D> {
    fn push(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        let before = out.len();
        self.decoder.push(frame, out);
        self.judge(&out[before..]);
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        let before = out.len();
        self.decoder.finish(out);
        self.judge(&out[before..]);
    }

    fn is_complete(&self) -> bool {
        self.decoder.is_complete()
    }

    fn is_usage_only(&self) -> bool {
        self.decoder.is_usage_only()
    }
}
