//! From a model's reply to what it means: text, reasoning, calls of tools.
//!
//! Pure and streaming: text goes in by pieces of any length, and however it is split the same events come out, but for
//! how text and reasoning are cut. What could still become a tag or a call is held back. A call is let out when it is
//! whole: one that turns out not to be a call is text, so nothing that a model wrote is lost but tags and the white space
//! around them. Which format a model uses is in `format`, the reading of a call in `call`.

mod call;
mod format;

use self::call::{Reading, Scan, behind};
pub(crate) use self::format::MARKERS;
pub use self::format::{CallFormat, ReplyFormat, Thinking, ThinkingTags};

/// A part of a reply. A call is a start, its arguments and an end, with nothing in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyEvent {
    Text(String),
    Reasoning(String),
    ToolCallStart {
        name: String,
    },
    /// Of a JSON object.
    ToolCallArguments(String),
    ToolCallEnd,
}

/// Reads one reply.
#[derive(Debug)]
pub struct ReplyParser {
    format: ReplyFormat,
    state: State,
    /// Text that is not told yet.
    pending: String,
    /// White space that begins the pending text is dropped: it follows a tag.
    drops_space: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing but white space has come; reasoning may begin.
    Opening,
    Reasoning,
    /// The answer begins; a bare call may.
    Answer,
    Text,
    /// Behind the marker of a call, or at the brace of a bare one.
    Call {
        format: CallFormat,
        marker: &'static str,
        scan: Scan,
    },
}

/// Whether a step changed the state or needs more text.
#[derive(PartialEq, Eq)]
enum Step {
    On,
    Wait,
}

// === impl ReplyEvent ===

impl ReplyEvent {
    /// What it tells in the model's own words.
    pub(crate) fn text(&self) -> &str {
        match self {
            ReplyEvent::Text(text)
            | ReplyEvent::Reasoning(text)
            | ReplyEvent::ToolCallArguments(text) => text,
            ReplyEvent::ToolCallStart { .. } | ReplyEvent::ToolCallEnd => "",
        }
    }
}

// === impl ReplyParser ===

impl ReplyParser {
    pub fn new(format: ReplyFormat) -> ReplyParser {
        let is_open = format.thinking.is_some_and(|thinking| thinking.is_open);
        ReplyParser {
            format,
            state: if is_open {
                State::Reasoning
            } else {
                State::Opening
            },
            pending: String::new(),
            drops_space: is_open,
        }
    }

    /// Appends what the text makes certain.
    pub fn push(&mut self, text: &str, out: &mut Vec<ReplyEvent>) {
        self.pending.push_str(text);
        self.run(false, out);
    }

    /// The reply is over: what was held back is told. Nothing may be pushed after it.
    pub fn finish(&mut self, out: &mut Vec<ReplyEvent>) {
        self.run(true, out);
    }

    /// The length of the text that is not told yet.
    pub(crate) fn n_held(&self) -> usize {
        let marker = match self.state {
            State::Call { marker, .. } => marker.len(),
            State::Opening | State::Reasoning | State::Answer | State::Text => 0,
        };
        self.pending.len() + marker
    }

    fn run(&mut self, is_last: bool, out: &mut Vec<ReplyEvent>) {
        loop {
            if self.drops_space {
                let n_space = self.pending.len() - self.pending.trim_start().len();
                self.pending.drain(..n_space);
            }
            if self.pending.is_empty() {
                if let (true, State::Call { marker, .. }) = (is_last, &self.state) {
                    push_text(marker, out);
                }
                return;
            }
            let step = match self.state {
                State::Opening => self.opening(is_last),
                State::Reasoning => self.reasoning(is_last, out),
                State::Answer => self.answer(is_last),
                State::Text => self.text(is_last, out),
                State::Call { .. } => self.call(is_last, out),
            };
            if step == Step::Wait {
                return;
            }
        }
    }

    /// Reasoning is only looked for where a reply begins: later, the tag is something that the model speaks of.
    fn opening(&mut self, is_last: bool) -> Step {
        let Some(thinking) = self.format.thinking else {
            return self.enter(State::Answer);
        };
        let trimmed = behind(&self.pending, char::is_whitespace);
        match begins_with(trimmed, thinking.tags.open()) {
            Begins::Yes => {
                self.drop_through(thinking.tags.open());
                self.drops_space = true;
                self.enter(State::Reasoning)
            }
            Begins::Perhaps if !is_last => Step::Wait,
            Begins::Perhaps | Begins::No => self.enter(State::Answer),
        }
    }

    fn reasoning(&mut self, is_last: bool, out: &mut Vec<ReplyEvent>) -> Step {
        let Some(Thinking { tags, .. }) = self.format.thinking else {
            return self.enter(State::Answer);
        };
        // Some models open what the prompt has opened already.
        if self.drops_space {
            match begins_with(Some(&self.pending), tags.open()) {
                Begins::Yes => {
                    self.drop_through(tags.open());
                    return Step::On;
                }
                Begins::Perhaps if !is_last => return Step::Wait,
                Begins::Perhaps | Begins::No => self.drops_space = false,
            }
        }
        if let Some(at) = self.pending.find(tags.close()) {
            let told = at - space_at_end(&self.pending[..at]);
            push_reasoning(&self.pending[..told], out);
            self.drop_through(tags.close());
            self.drops_space = true;
            return self.enter(State::Answer);
        }
        let held = if is_last {
            0
        } else {
            held_back(&self.pending, tags.close())
        };
        let told = self.pending.len() - held;
        // White space before the closing tag is not told either.
        let told = told - space_at_end(&self.pending[..told]);
        push_reasoning(&self.pending[..told], out);
        self.pending.drain(..told);
        Step::Wait
    }

    fn answer(&mut self, is_last: bool) -> Step {
        if self.format.calls != Some(CallFormat::Bare) {
            return self.enter_text();
        }
        let trimmed = behind(&self.pending, char::is_whitespace);
        match begins_with(trimmed, call::PYTHON_TAG) {
            Begins::Yes => self.enter_call(CallFormat::Bare, ""),
            Begins::Perhaps if !is_last => Step::Wait,
            Begins::No if trimmed.is_some_and(|text| text.starts_with('{')) => {
                self.enter_call(CallFormat::Bare, "")
            }
            Begins::Perhaps | Begins::No => self.enter_text(),
        }
    }

    fn text(&mut self, is_last: bool, out: &mut Vec<ReplyEvent>) -> Step {
        let calls = self.format.calls;
        if calls == Some(CallFormat::Bare) && self.drops_space {
            // Behind a bare call there may be another.
            match behind(&self.pending, call::parts_bare_calls) {
                Some("") if is_last => self.pending.clear(),
                Some("") => return Step::Wait,
                Some(next) if next.starts_with('{') => {
                    return self.enter_call(CallFormat::Bare, "");
                }
                _ => {}
            }
        }
        let marked = calls.and_then(|format| Some((format, format.marker()?)));
        if let Some((format, marker)) = marked
            && let Some(at) = self.pending.find(marker)
        {
            push_text(&self.pending[..at], out);
            self.pending.drain(..at);
            self.drop_through(marker);
            return self.enter_call(format, marker);
        }
        let held = match marked {
            Some((_, marker)) if !is_last => held_back(&self.pending, marker),
            _ => 0,
        };
        let told = self.pending.len() - held;
        push_text(&self.pending[..told], out);
        self.pending.drain(..told);
        if told > 0 {
            self.drops_space = false;
        }
        Step::Wait
    }

    fn call(&mut self, is_last: bool, out: &mut Vec<ReplyEvent>) -> Step {
        let State::Call {
            format,
            marker,
            scan,
        } = &mut self.state
        else {
            return Step::Wait;
        };
        let marker = *marker;
        match call::read(*format, &self.pending, scan, is_last) {
            Reading::Calls { calls, end } => {
                for call in calls {
                    out.push(ReplyEvent::ToolCallStart { name: call.name });
                    out.push(ReplyEvent::ToolCallArguments(call.arguments));
                    out.push(ReplyEvent::ToolCallEnd);
                }
                self.pending.drain(..end);
                self.drops_space = true;
                self.enter(State::Text)
            }
            Reading::Wait if !is_last => Step::Wait,
            Reading::Malformed => {
                // The marker is text, and what follows it is looked at again.
                push_text(marker, out);
                self.enter_text()
            }
            Reading::Wait => {
                push_text(marker, out);
                push_text(&std::mem::take(&mut self.pending), out);
                self.enter(State::Text)
            }
        }
    }

    fn enter_call(&mut self, format: CallFormat, marker: &'static str) -> Step {
        self.drops_space = false;
        self.enter(State::Call {
            format,
            marker,
            scan: Scan::default(),
        })
    }

    fn enter(&mut self, state: State) -> Step {
        self.state = state;
        Step::On
    }

    /// What follows is text as it is.
    fn enter_text(&mut self) -> Step {
        self.drops_space = false;
        self.enter(State::Text)
    }

    /// Drops the pending text up to the end of the tag in it.
    fn drop_through(&mut self, tag: &str) {
        let end = self.pending.find(tag).map_or(0, |at| at + tag.len());
        self.pending.drain(..end);
    }
}

enum Begins {
    Yes,
    Perhaps,
    No,
}

/// `None` begins with nothing.
fn begins_with(text: Option<&str>, tag: &str) -> Begins {
    let Some(text) = text else {
        return Begins::No;
    };
    if text.starts_with(tag) {
        Begins::Yes
    } else if tag.starts_with(text) {
        Begins::Perhaps
    } else {
        Begins::No
    }
}

/// The length of the white space at the text's end that belongs to a tag behind it.
fn space_at_end(text: &str) -> usize {
    let mut rest = text;
    while let Some(before) = rest.strip_suffix(char::is_whitespace)
        && text.len() - before.len() <= call::MOST_SKIPPED
    {
        rest = before;
    }
    text.len() - rest.len()
}

/// The length of the longest end of the text that is the beginning of the tag.
fn held_back(text: &str, tag: &str) -> usize {
    let mut beginnings = tag.char_indices().rev().map(|(at, _)| &tag[..at]);
    beginnings
        .find(|beginning| text.ends_with(beginning))
        .map_or(0, str::len)
}

fn push_text(text: &str, out: &mut Vec<ReplyEvent>) {
    if !text.is_empty() {
        out.push(ReplyEvent::Text(text.to_owned()));
    }
}

fn push_reasoning(text: &str, out: &mut Vec<ReplyEvent>) {
    if !text.is_empty() {
        out.push(ReplyEvent::Reasoning(text.to_owned()));
    }
}

#[cfg(test)]
mod tests;
