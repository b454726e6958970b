//! From the tokens' bytes to the text that a caller may see: whole characters only, nothing of a stop sequence.
//!
//! Everything here is without IO. Bytes that can never become a character turn into U+FFFD, as `String::from_utf8_lossy`
//! would over the whole answer. Text that may be the beginning of a stop sequence is held back until it is told. Where
//! several stop sequences end at one place, the longest is the one reported.

/// Makes characters of bytes.
#[derive(Debug, Default)]
pub(crate) struct Characters {
    /// The beginning of a character: at most three bytes.
    bytes: Vec<u8>,
}

/// Looks for stop sequences.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    /// Text that may be the beginning of a stop sequence. Once stopped, what stood from the stop sequence on.
    held: String,
    stops: Vec<String>,
}

/// What a push lets out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Released {
    Text(String),
    /// The text before the stop sequence, and the stop sequence. Nothing may be pushed after it.
    Stopped(String, String),
}

// === impl Characters ===

impl Characters {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.bytes.extend_from_slice(bytes);
        let (text, n_used) = whole_characters(&self.bytes);
        self.bytes.drain(..n_used);
        text
    }

    /// The answer is over: what is left is no character.
    pub(crate) fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.bytes).into_owned();
        self.bytes.clear();
        rest
    }

    pub(crate) fn n_held(&self) -> usize {
        self.bytes.len()
    }
}

// === impl Stops ===

impl Stops {
    /// No stop sequence may be empty.
    pub(crate) fn new(stops: Vec<String>) -> Stops {
        Stops {
            held: String::new(),
            stops,
        }
    }

    pub(crate) fn push(&mut self, text: &str) -> Released {
        self.held.push_str(text);
        let found = self
            .stops
            .iter()
            .filter_map(|stop| {
                self.held
                    .find(stop.as_str())
                    .map(|at| (at + stop.len(), at, stop))
            })
            .min();
        if let Some((_, at, stop)) = found {
            let stop = stop.clone();
            return Released::Stopped(self.release(at), stop);
        }
        Released::Text(self.release(self.held.len() - self.may_begin_a_stop()))
    }

    /// What was held back is text after all.
    pub(crate) fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    pub(crate) fn n_held(&self) -> usize {
        self.held.len()
    }

    fn release(&mut self, n_bytes: usize) -> String {
        let kept = self.held.split_off(n_bytes);
        std::mem::replace(&mut self.held, kept)
    }

    /// The length of the longest end of the held text that is the beginning of a stop sequence.
    fn may_begin_a_stop(&self) -> usize {
        let end_begins = |stop: &String| {
            let beginnings = stop.char_indices().map(|(i, _)| &stop[..i]);
            beginnings
                .rev()
                .find(|beginning| self.held.ends_with(beginning))
                .map_or(0, str::len)
        };
        self.stops.iter().map(end_begins).max().unwrap_or(0)
    }
}

/// The text of the bytes, and how many of them it took: all but the beginning of a character at the end.
fn whole_characters(bytes: &[u8]) -> (String, usize) {
    let mut text = String::new();
    let mut n_used = bytes.len();
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        if chunk.invalid().is_empty() {
            continue;
        }
        let at_the_end = chunks.peek().is_none();
        if at_the_end && may_become_a_character(chunk.invalid()) {
            n_used -= chunk.invalid().len();
        } else {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (text, n_used)
}

/// Of bytes that are not a character: whether they end too early, rather than being wrong.
fn may_become_a_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

#[cfg(test)]
mod tests;
