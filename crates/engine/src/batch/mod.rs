//! The batch: which sequences advance together, in which order others follow, and one step of all of them.
//!
//! Every active sequence takes part in every pass: one that answers with the token drawn last, one that still reads its
//! prompt with a share of `PROMPT_TOKENS_PER_STEP`, so that a long prompt delays others by milliseconds only. Waiting
//! sequences enter in the order in which they came. No threads and no clock here.

use std::collections::VecDeque;

use crate::model::{Lane, Model};
use crate::sequence::Sequence;

const PROMPT_TOKENS_PER_STEP: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Batch {
    active: Vec<Sequence>,
    waiting: VecDeque<Sequence>,
}

impl Batch {
    pub(crate) fn enter(&mut self, sequence: Sequence) {
        self.waiting.push_back(sequence);
    }

    pub(crate) fn n_active(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty()
    }

    /// One pass: the cancelled leave, the waiting fill the batch up to `most_active`, everybody advances.
    pub(crate) fn step(&mut self, model: &Model, most_active: usize) {
        self.active.retain(|sequence| !sequence.is_cancelled());
        self.waiting.retain(|sequence| !sequence.is_cancelled());
        while self.active.len() < most_active
            && let Some(next) = self.waiting.pop_front()
        {
            self.active.push(next);
        }
        if self.active.is_empty() {
            return;
        }
        let n_reading = self
            .active
            .iter()
            .filter(|sequence| sequence.n_waiting() > 1)
            .count();
        let share = (PROMPT_TOKENS_PER_STEP / n_reading.max(1)).max(1);
        let mut lanes: Vec<Lane<'_>> = self
            .active
            .iter_mut()
            .map(|sequence| sequence.lane(share))
            .collect();
        let mut logits = model.network.forward(&mut lanes).into_iter();
        let mut more = Vec::new();
        self.active
            .retain_mut(|sequence| match logits.next().flatten() {
                Some(logits) => {
                    for mut sibling in sequence.take_siblings() {
                        if sibling.advance(model, logits.clone()) {
                            more.push(sibling);
                        }
                    }
                    sequence.advance(model, logits)
                }
                None => true,
            });
        // They came when the first of them did.
        for sibling in more.into_iter().rev() {
            self.waiting.push_front(sibling);
        }
    }
}

#[cfg(test)]
mod tests;
