//! Counts what goes out to the caller, for the bill of an answer whose provider does not say what it was.
//!
//! Nearly every provider says, so that nothing is counted until it is clear that it did not: the text is only
//! set aside, and of a long answer the beginning is counted on the way so that little of it is kept.

use tollgate_dialect::ir::Event;
use tollgate_tokens::{Counter, OutputCounter};

/// As much text as is set aside uncounted, in bytes.
const KEPT: usize = 32 * 1024;

/// Sets aside what an answer says.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// What has not been counted yet.
    text: String,
    counted: Option<OutputCounter>,
    /// `None`: nothing is counted.
    counter: Option<Counter>,
    bytes: u64,
}

impl Meter {
    /// Counts as this model does from now on, also what has been set aside.
    pub(crate) fn count_as(&mut self, counter: Counter) {
        self.counter = Some(counter);
    }

    pub(crate) fn push(&mut self, event: &Event) {
        let Some(text) = event.billed_text() else {
            return;
        };
        self.bytes += text.len() as u64;
        self.text.push_str(text);
        if self.text.len() >= KEPT {
            self.count();
        }
    }

    /// Bytes of text that were said; no token is shorter than one.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn count(&mut self) {
        if let Some(counter) = &self.counter {
            let counted = self
                .counted
                .get_or_insert_with(|| OutputCounter::new(*counter));
            counted.push(&self.text);
        }
        self.text.clear();
    }

    /// The tokens of all that was said.
    pub(crate) fn total(mut self) -> u64 {
        self.count();
        self.counted.map_or(0, |counted| counted.total())
    }
}
