//! Several answers in one reply (`n`): whose state is whose, and what becomes of them where a dialect has one.

use std::mem;

use bytes::BytesMut;

use super::Event;
use crate::Encoder;

/// The most answers that a reply has: what chat and legacy completions take for `n`.
pub(crate) const ANSWERS_LIMIT: usize = 128;

/// What is kept of each answer of a reply. Nearly every reply has one, which is at hand without a search.
#[derive(Debug, Default)]
pub(crate) struct Answers<S> {
    /// Of the answer that the events are about.
    pub(crate) now: S,
    index: usize,
    others: Vec<(usize, S)>,
}

/// Writes the first answer alone, for a dialect in which nobody can ask for more.
#[derive(Debug)]
pub(crate) struct First<E> {
    encoder: E,
    is_other: bool,
}

// === impl Answers ===

impl<S> Answers<S> {
    /// The number of the answer that the events are about.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// What is kept of every answer.
    pub(crate) fn all(&self) -> impl Iterator<Item = &S> {
        let others = self.others.iter().map(|(_, state)| state);
        std::iter::once(&self.now).chain(others)
    }

    /// The numbers of all answers, in their order.
    pub(crate) fn indices(&self) -> Vec<usize> {
        let mut indices: Vec<usize> = self.others.iter().map(|(index, _)| *index).collect();
        indices.push(self.index);
        indices.sort_unstable();
        indices
    }

    /// All answers, in their order.
    pub(crate) fn into_sorted(self) -> Vec<(usize, S)> {
        let mut all = self.others;
        all.push((self.index, self.now));
        all.sort_by_key(|(index, _)| *index);
        all
    }
}

impl<S: Default> Answers<S> {
    /// Goes on with this answer. The first one is there from the beginning.
    pub(crate) fn turn(&mut self, index: usize) {
        if index == self.index {
            return;
        }
        let known = self.others.iter().position(|(other, _)| *other == index);
        let next = known.map(|at| self.others.swap_remove(at).1);
        let before = mem::replace(&mut self.now, next.unwrap_or_default());
        self.others.push((self.index, before));
        self.index = index;
    }

    /// Goes on with this answer, and says so where the events were about another.
    pub(crate) fn tell(&mut self, index: usize, out: &mut Vec<Event>) {
        if index != self.index {
            self.turn(index);
            out.push(Event::Choice(index));
        }
    }
}

// === impl First ===

impl<E> First<E> {
    pub(crate) fn new(encoder: E) -> Self {
        Self {
            encoder,
            is_other: false,
        }
    }
}

impl<E: Encoder> Encoder for First<E> {
    fn push(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Choice(index) => self.is_other = *index > 0,
            Event::BlockStart { .. }
            | Event::Delta { .. }
            | Event::BlockEnd { .. }
            | Event::Finish(_)
                if self.is_other => {}
            _ => self.encoder.push(event, out),
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.encoder.finish(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_keeps_its_own_state_however_they_take_turns() {
        let mut answers = Answers::<String>::default();
        for (index, piece) in [(2, "c"), (0, "a"), (1, "b"), (0, "a"), (2, "c")] {
            answers.turn(index);
            answers.now.push_str(piece);
        }
        assert_eq!(answers.index(), 2);
        assert_eq!(answers.indices(), [0, 1, 2]);
        let all = answers.into_sorted();
        let texts: Vec<&str> = all.iter().map(|(_, text)| &**text).collect();
        assert_eq!(texts, ["aa", "b", "cc"]);
    }
}
