//! Counts a text that arrives in pieces, keeping only its unfinished end.

use crate::{Counter, Encoding};

/// The text that may wait before a place to cut it is looked for.
const WAITING: usize = 2 * 1024;
/// The text that waits at most: beyond it the text is cut wherever it is.
const LIMIT: usize = 16 * 1024;

/// Counts the output of one model as it comes.
///
/// The text is cut only where both parts count like the whole, so the total is that of the whole text. Text without such
/// a place for 16 KiB (one word, a run of spaces) is cut anyway; each such cut can change the total by a few tokens and
/// is told by [`OutputCounter::forced_cuts`].
#[derive(Clone, Debug)]
pub struct OutputCounter {
    counter: Counter,
    raw: u64,
    bytes: usize,
    tail: String,
    /// The length of the tail at which a place to cut is looked for next.
    look_at: usize,
    forced_cuts: u64,
}

impl OutputCounter {
    pub fn new(counter: Counter) -> Self {
        Self {
            counter,
            raw: 0,
            bytes: 0,
            tail: String::new(),
            look_at: WAITING,
            forced_cuts: 0,
        }
    }

    /// Takes the next piece of the text, of any length.
    pub fn push(&mut self, piece: &str) {
        self.bytes = self.bytes.saturating_add(piece.len());
        let mut rest = piece;
        while !rest.is_empty() {
            let room = LIMIT.saturating_sub(self.tail.len());
            let (now, later) = rest.split_at(rest.floor_char_boundary(room));
            self.tail.push_str(now);
            // No room for even one character counts as full.
            let full = !later.is_empty() || self.tail.len() >= LIMIT;
            rest = later;
            if full || self.tail.len() >= self.look_at {
                self.settle(full);
            }
        }
    }

    /// The tokens of all text so far.
    pub fn total(&self) -> u64 {
        let raw = self.raw.saturating_add(self.counter.raw(&self.tail));
        self.counter.estimate(raw, self.bytes)
    }

    /// The bytes of all text so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How often the text had to be cut where the parts may count otherwise than the whole.
    pub fn forced_cuts(&self) -> u64 {
        self.forced_cuts
    }

    /// Counts what is finished of the tail and lets it go.
    fn settle(&mut self, full: bool) {
        let cut = match Encoding::last_safe_cut(&self.tail) {
            Some(cut) => cut,
            None if full => {
                self.forced_cuts = self.forced_cuts.saturating_add(1);
                self.tail.len()
            }
            // Looking again only when the tail has doubled keeps the looking linear.
            None => {
                self.look_at = self.tail.len().saturating_mul(2).min(LIMIT);
                return;
            }
        };
        let finished = self.tail.get(..cut).unwrap_or(&self.tail);
        self.raw = self.raw.saturating_add(self.counter.raw(finished));
        self.tail.drain(..cut);
        self.look_at = self.tail.len().saturating_add(WAITING).min(LIMIT);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODELS: [&str; 3] = ["gpt-4o", "gpt-4", "claude-opus-5"];

    fn words() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            4 => "[a-zA-Z]{1,12}".prop_map(|word| format!(" {word}")),
            2 => "[的人在一]{1,40}。",
            1 => "[0-9]{1,9}",
            1 => "[ \r\n\t]{1,6}",
            1 => "['!/{}()]{1,4}",
            1 => any::<String>(),
        ];
        prop::collection::vec(word, 0..1500).prop_map(|words| words.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_count_like_the_whole(text in words(), step in 1usize..4000) {
            for model in MODELS {
                let counter = Counter::for_model("openai", model);
                let mut output = OutputCounter::new(counter);
                let mut rest = text.as_str();
                while !rest.is_empty() {
                    let first = rest.chars().next().map_or(1, char::len_utf8);
                    let (now, later) = rest.split_at(rest.floor_char_boundary(step).max(first));
                    output.push(now);
                    prop_assert!(output.tail.len() <= LIMIT);
                    rest = later;
                }
                prop_assert_eq!(output.forced_cuts(), 0);
                prop_assert_eq!(output.total(), counter.count(&text));
                prop_assert_eq!(output.bytes(), text.len());
            }
        }
    }

    #[test]
    fn a_text_that_cannot_be_cut_stays_bounded_and_says_so() {
        for unit in ["a", " ", "!", "的", "1"] {
            let counter = Counter::for_model("openai", "gpt-4o");
            let text = unit.repeat(50_000);
            let mut output = OutputCounter::new(counter);
            for _ in 0..50_000 {
                output.push(unit);
                assert!(output.tail.len() <= LIMIT);
            }
            let cuts = output.forced_cuts();
            assert!(cuts >= 3, "{unit}: {cuts}");
            assert!(
                output.total().abs_diff(counter.count(&text)) <= 2 * cuts,
                "{unit}"
            );
        }
    }

    #[test]
    fn the_total_can_be_asked_at_any_time() {
        let counter = Counter::for_model("openai", "gpt-4o");
        let mut output = OutputCounter::new(counter);
        assert_eq!(output.total(), 0);
        output.push("Hello, wor");
        assert_eq!(output.total(), counter.count("Hello, wor"));
        output.push("ld!");
        assert_eq!(output.total(), counter.count("Hello, world!"));
    }
}
