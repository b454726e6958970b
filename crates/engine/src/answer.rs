//! From drawn tokens to the events that a caller sees: whole characters, then what they mean (text, reasoning, calls),
//! then stop sequences, which are looked for in the text alone.
//!
//! No model and no channel here. Where log probabilities are asked for, each piece carries the tokens that it came from:
//! a token goes with the piece in which its first byte is told. Tokens of tags, of calls and of a stop sequence are told
//! by nothing.

use std::collections::VecDeque;

use crate::generation::{Event, Piece, TokenChance};
use crate::reply::{ReplyEvent, ReplyFormat, ReplyParser};
use crate::text::{Characters, Released, Stops};

#[derive(Debug)]
pub(crate) struct Answer {
    characters: Characters,
    parser: ReplyParser,
    stops: Stops,
    /// The call whose arguments come next.
    call: String,
    has_calls: bool,
    /// Tokens that are not told, with the place of their first byte.
    drawn: VecDeque<(usize, TokenChance)>,
    n_pushed: usize,
}

/// What a token lets out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) events: Vec<Event>,
    /// The stop sequence that ends the answer here.
    pub(crate) stop: Option<String>,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn new(format: ReplyFormat, stops: Vec<String>) -> Answer {
        Answer {
            characters: Characters::default(),
            parser: ReplyParser::new(format),
            stops: Stops::new(stops),
            call: String::new(),
            has_calls: false,
            drawn: VecDeque::new(),
            n_pushed: 0,
        }
    }

    pub(crate) fn has_calls(&self) -> bool {
        self.has_calls
    }

    /// `bytes` are what the token adds; `chance` where the caller wants it.
    pub(crate) fn push(&mut self, bytes: &[u8], chance: Option<TokenChance>) -> Told {
        self.drawn
            .extend(chance.map(|chance| (self.n_pushed, chance)));
        self.n_pushed += bytes.len();
        let text = self.characters.push(bytes);
        let mut replies = Vec::new();
        self.parser.push(&text, &mut replies);
        self.tell(replies, false)
    }

    /// The answer is over: what was held back is told.
    pub(crate) fn finish(&mut self) -> Told {
        let text = self.characters.finish();
        let mut replies = Vec::new();
        self.parser.push(&text, &mut replies);
        self.parser.finish(&mut replies);
        self.tell(replies, true)
    }

    fn tell(&mut self, replies: Vec<ReplyEvent>, is_last: bool) -> Told {
        let mut told = Told::default();
        let mut replies = replies.into_iter();
        for reply in replies.by_ref() {
            match reply {
                ReplyEvent::Text(text) => match self.stops.push(&text) {
                    Released::Text(text) => told.text(text),
                    Released::Stopped(text, stop) => {
                        told.text(text);
                        told.stop = Some(stop);
                        break;
                    }
                },
                ReplyEvent::Reasoning(text) => {
                    told.text(self.stops.flush());
                    told.events.push(Event::Reasoning(Piece::new(text)));
                }
                ReplyEvent::ToolCallStart { name } => {
                    told.text(self.stops.flush());
                    self.call = name;
                }
                ReplyEvent::ToolCallArguments(arguments) => {
                    let name = std::mem::take(&mut self.call);
                    told.events.push(Event::ToolCall { name, arguments });
                    self.has_calls = true;
                }
                ReplyEvent::ToolCallEnd => {}
            }
        }
        if is_last && told.stop.is_none() {
            told.text(self.stops.flush());
        }
        let n_dropped = replies.map(|reply| reply.text().len()).sum();
        self.hand_out_tokens(&mut told.events, n_dropped);
        told
    }

    /// `n_dropped` bytes behind a stop sequence are told by nobody. What comes with a call was text that a stop sequence
    /// held back; its tokens are told already.
    fn hand_out_tokens(&mut self, events: &mut [Event], n_dropped: usize) {
        let n_held =
            self.characters.n_held() + self.parser.n_held() + self.stops.n_held() + n_dropped;
        let border = self.n_pushed.saturating_sub(n_held);
        let n_told = self.drawn.partition_point(|(start, _)| *start < border);
        let tokens = self.drawn.drain(..n_told).map(|(_, chance)| chance);
        if events
            .iter()
            .any(|event| matches!(event, Event::ToolCall { .. }))
        {
            return drop(tokens);
        }
        let mut pieces = events.iter_mut().filter_map(|event| match event {
            Event::Text(piece) | Event::Reasoning(piece) => Some(piece),
            Event::ToolCall { .. } | Event::Done { .. } | Event::Failed(_) => None,
        });
        match pieces.next() {
            Some(piece) => piece.tokens.extend(tokens),
            None => drop(tokens),
        }
    }
}

// === impl Told ===

impl Told {
    fn text(&mut self, text: String) {
        if !text.is_empty() {
            self.events.push(Event::Text(Piece::new(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::{CallFormat, Thinking, ThinkingTags};

    fn chance(token: u32, text: &str) -> TokenChance {
        TokenChance {
            token,
            bytes: text.as_bytes().to_vec(),
            logprob: -0.5,
            top: Vec::new(),
        }
    }

    /// The events with their tokens' numbers, and the stop sequence.
    fn run(
        format: ReplyFormat,
        stops: &[&str],
        pieces: &[&str],
    ) -> (Vec<(String, Vec<u32>)>, Option<String>) {
        let stops = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut answer = Answer::new(format, stops);
        let mut events = Vec::new();
        for (token, piece) in (0..).zip(pieces) {
            let told = answer.push(piece.as_bytes(), Some(chance(token, piece)));
            events.extend(told.events);
            if told.stop.is_some() {
                return (events.iter().map(shown).collect(), told.stop);
            }
        }
        let told = answer.finish();
        events.extend(told.events);
        (events.iter().map(shown).collect(), told.stop)
    }

    fn shown(event: &Event) -> (String, Vec<u32>) {
        let numbers = |piece: &Piece| piece.tokens.iter().map(|chance| chance.token).collect();
        match event {
            Event::Text(piece) => (piece.text.clone(), numbers(piece)),
            Event::Reasoning(piece) => (format!("({})", piece.text), numbers(piece)),
            Event::ToolCall { name, arguments } => (format!("{name}{arguments}"), Vec::new()),
            Event::Done { .. } | Event::Failed(_) => panic!("an answer has no end"),
        }
    }

    fn told(events: &[(&str, &[u32])]) -> Vec<(String, Vec<u32>)> {
        let owned = |(text, tokens): &(&str, &[u32])| ((*text).to_owned(), tokens.to_vec());
        events.iter().map(owned).collect()
    }

    fn format() -> ReplyFormat {
        ReplyFormat {
            calls: Some(CallFormat::Tagged),
            thinking: Some(Thinking {
                tags: ThinkingTags::Angle,
                is_open: false,
            }),
        }
    }

    #[test]
    fn tokens_go_with_the_text_that_they_begin() {
        let (events, stop) = run(
            ReplyFormat::default(),
            &["END"],
            &["a", "bE", "N", "c", "d"],
        );
        assert_eq!(stop, None);
        assert_eq!(
            events,
            told(&[("a", &[0]), ("b", &[1]), ("ENc", &[2, 3]), ("d", &[4])])
        );
    }

    #[test]
    fn tokens_of_a_stop_sequence_are_not_told() {
        let (events, stop) = run(ReplyFormat::default(), &["END"], &["a", "bE", "N", "D and"]);
        assert_eq!(stop.as_deref(), Some("END"));
        assert_eq!(events, told(&[("a", &[0]), ("b", &[1])]));
    }

    #[test]
    fn stop_sequences_look_at_text_alone() {
        let pieces = [
            "<think>",
            "E END",
            "</think>",
            "x E",
            "<tool_call>",
            "{\"name\":\"END\",\"arguments\":{}}",
            "</tool_call>",
            "E",
            "ND.",
        ];
        let (events, stop) = run(format(), &["END"], &pieces);
        assert_eq!(stop.as_deref(), Some("END"));
        assert_eq!(
            events,
            told(&[("(E END)", &[1]), ("x ", &[3]), ("E", &[]), ("END{}", &[])])
        );
    }

    #[test]
    fn a_character_in_parts_has_the_tokens_of_all_its_parts() {
        let mut answer = Answer::new(ReplyFormat::default(), Vec::new());
        assert_eq!(
            answer.push(b"\xe2\x82", Some(chance(0, ""))),
            Told::default()
        );
        let told = answer.push(b"\xac", Some(chance(1, "")));
        assert_eq!(
            told.events.iter().map(shown).collect::<Vec<_>>(),
            [("€".to_owned(), vec![0, 1])]
        );
    }
}
