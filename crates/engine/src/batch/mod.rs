//! The batch: which sequences advance together, in which order others follow, and one step of all of them.
//!
//! Every active sequence takes part in every pass: one that answers with the token drawn last, one that still reads its
//! prompt with a share of `PROMPT_TOKENS_PER_STEP`, so that a long prompt delays others by milliseconds only. Waiting
//! sequences enter in the order in which they came.
//!
//! The blocks of the cache are bounded. Where they run out, beginnings of former sequences are forgotten first; then the
//! youngest sequence steps back into the queue and is computed again later. The oldest always goes on, for a whole window
//! fits. No threads and no clock here.

use std::collections::VecDeque;

use crate::model::{BlockCounter, Cache, Lane, Model, n_blocks};
use crate::prefix::{Prefixes, SHORTEST, n_shared};
use crate::sequence::Sequence;

const PROMPT_TOKENS_PER_STEP: usize = 64;

#[derive(Debug)]
pub(crate) struct Batch {
    active: Vec<Sequence>,
    waiting: VecDeque<Sequence>,
    prefixes: Prefixes,
    blocks: BlockCounter,
    bounds: Bounds,
}

/// What the batch may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Sequences that advance together.
    pub(crate) most_active: usize,
    /// Blocks of the cache.
    pub(crate) most_blocks: usize,
}

impl Batch {
    pub(crate) fn new(bounds: Bounds) -> Batch {
        Batch {
            active: Vec::new(),
            waiting: VecDeque::new(),
            prefixes: Prefixes::default(),
            blocks: BlockCounter::default(),
            bounds,
        }
    }

    pub(crate) fn enter(&mut self, mut sequence: Sequence) {
        sequence.resume(Cache::counted(&self.blocks));
        self.waiting.push_back(sequence);
    }

    pub(crate) fn n_active(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty()
    }

    /// One pass: the cancelled leave, the waiting fill the batch, everybody advances.
    pub(crate) fn step(&mut self, model: &Model) {
        self.waiting.retain(|sequence| !sequence.is_cancelled());
        for sequence in self
            .active
            .extract_if(.., |sequence| sequence.is_cancelled())
        {
            self.prefixes.keep(sequence.into_prefix());
        }
        self.admit();
        if self.active.is_empty() {
            return;
        }
        let share = self.make_room();
        let mut lanes: Vec<Lane<'_>> = self
            .active
            .iter_mut()
            .map(|sequence| sequence.lane(share))
            .collect();
        let logits = model.network.forward(&mut lanes);
        let mut more = Vec::new();
        for (mut sequence, logits) in std::mem::take(&mut self.active).into_iter().zip(logits) {
            let goes_on = match logits {
                Some(logits) => {
                    for mut sibling in sequence.take_siblings() {
                        if sibling.advance(model, logits.clone()) {
                            more.push(sibling);
                        }
                    }
                    sequence.advance(model, logits)
                }
                None => true,
            };
            if goes_on {
                self.active.push(sequence);
            } else {
                self.prefixes.keep(sequence.into_prefix());
            }
        }
        // They came when the first of them did.
        for sibling in more.into_iter().rev() {
            self.waiting.push_front(sibling);
        }
    }

    /// The first of those that wait enter, as long as there is room for what they will read.
    fn admit(&mut self) {
        while self.active.len() < self.bounds.most_active
            && let Some(mut next) = self.waiting.pop_front()
        {
            if next.is_fresh()
                && let Some(cache) = self.shared_with(&next)
            {
                next.resume(cache);
            }
            if !self.has_room_for(&next) && !self.active.is_empty() {
                self.waiting.push_front(next);
                return;
            }
            self.active.push(next);
        }
    }

    /// The cache of the longest beginning of a prompt that a running or a former sequence has.
    fn shared_with(&mut self, next: &Sequence) -> Option<Cache> {
        let former = self.prefixes.find(next.owner(), next.tokens());
        let running = self
            .active
            .iter()
            .map(|other| {
                let n = n_shared(next.owner(), next.tokens(), other.owner(), other.fed());
                (n, other)
            })
            .max_by_key(|(n, _)| *n)
            .filter(|(n, _)| *n > former.as_ref().map_or(0, Cache::len));
        match running {
            Some((n, other)) if n >= SHORTEST => Some(other.cache_of(n)),
            _ => former,
        }
    }

    /// Whether what is running and this one can read their prompts and draw a token. Former sequences give way.
    fn has_room_for(&mut self, next: &Sequence) -> bool {
        let ahead = |sequence: &Sequence| sequence.n_new_blocks(usize::MAX);
        let wanted = self.active.iter().map(ahead).sum::<usize>() + ahead(next);
        while self.blocks.n() + wanted > self.bounds.most_blocks {
            if !self.prefixes.forget_oldest() {
                return false;
            }
        }
        true
    }

    /// Sees to it that the next pass has the blocks it needs. Returns how many tokens of its prompt each sequence reads.
    fn make_room(&mut self) -> usize {
        loop {
            let n_reading = self.active.iter().filter(|one| one.n_waiting() > 1).count();
            let share = (PROMPT_TOKENS_PER_STEP / n_reading.max(1)).max(1);
            let wanted: usize = self.active.iter().map(|one| one.n_new_blocks(share)).sum();
            if self.blocks.n() + wanted <= self.bounds.most_blocks || !self.give_way() {
                return share;
            }
        }
    }

    /// Frees some blocks. `false` where only those of the oldest sequence are left.
    fn give_way(&mut self) -> bool {
        if self.prefixes.forget_oldest() {
            return true;
        }
        if let Some(waiting) = self.waiting.iter_mut().rev().find(|one| !one.is_fresh()) {
            waiting.resume(Cache::counted(&self.blocks));
            return true;
        }
        if self.active.len() < 2 {
            return false;
        }
        let Some(mut youngest) = self.active.pop() else {
            return false;
        };
        youngest.resume(Cache::counted(&self.blocks));
        self.waiting.push_front(youngest);
        true
    }
}

impl Bounds {
    /// Room for at least one whole window, and for the block that is copied when a shared one is written to; for no more
    /// than as many windows as there may be sequences.
    pub(crate) fn new(most_active: usize, most_blocks: usize, window: u32) -> Bounds {
        let least = n_blocks(window as usize) + 1;
        Bounds {
            most_active,
            most_blocks: most_blocks.clamp(least, least.saturating_mul(most_active.max(1))),
        }
    }
}

#[cfg(test)]
mod tests;
