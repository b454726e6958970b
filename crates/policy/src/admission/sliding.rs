//! A count over the last second, minute or day, true for every stretch of that length.
//!
//! Time is cut into slots, and a slot counts until all of it has left the span: what was taken at any instant
//! counts for the whole span and at most one slot longer. So the bound holds for every stretch, wherever it
//! begins, and what is lost by the coarseness is one slot in fifty or more. Only the monotonic clock is asked.

use std::{collections::VecDeque, time::Duration};

use super::origin::Origin;
use crate::rules::Span;

/// What was taken of one limit, slot by slot. At most one entry for each slot of the span and one more.
#[derive(Debug)]
pub(super) struct Sliding {
    grid: Grid,
    /// In the order of time; slots without an entry are empty.
    slots: VecDeque<Slot>,
    /// What all of `slots` hold together, so that a call need not add them up.
    sum: Sum,
    /// What it began with, and until when a call may end that was open then.
    pub(super) origin: Origin,
    origin_matters_until: Duration,
}

/// Wider than a slot, so that no sum of slots is cut.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    used: u128,
    held: u128,
}

#[derive(Debug)]
struct Slot {
    index: u64,
    /// Of calls that have ended.
    used: u64,
    /// By calls that have not ended.
    held: u64,
}

/// A count, as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) used: u64,
    pub(super) held: u64,
}

/// How a span is cut into slots.
#[derive(Clone, Copy, Debug)]
struct Grid {
    width_ms: u64,
    slots: u64,
}

/// Added to every instant, so that what a former process used has a place before this one began.
const BEFORE: Duration = Duration::from_hours(48);
/// Hardly any call is open for longer; of one that is, what it used beyond its hold counts in full.
const LONGEST_CALL: Duration = Duration::from_hours(25);

// === impl Sliding ===

impl Sliding {
    pub(super) fn new(span: Span) -> Self {
        let (width_ms, slots) = match span {
            Span::Second => (20, 50),
            Span::Minute => (500, 120),
            Span::Day => (600_000, 144),
        };
        Self {
            grid: Grid { width_ms, slots },
            slots: VecDeque::new(),
            sum: Sum::default(),
            origin: Origin::default(),
            origin_matters_until: Duration::ZERO,
        }
    }

    /// What counts at `now`.
    pub(super) fn count(&self, now: Duration) -> Count {
        let live = self.live_sum(now);
        Count {
            used: u64::try_from(live.used).unwrap_or(u64::MAX),
            held: u64::try_from(live.held).unwrap_or(u64::MAX),
        }
    }

    /// All but the slots that have left and were not forgotten yet: few, because every call forgets.
    fn live_sum(&self, now: Duration) -> Sum {
        let oldest = self.grid.oldest(now);
        let gone = self.slots.iter().take_while(|slot| slot.index < oldest);
        gone.fold(self.sum, |sum, slot| Sum {
            used: sum.used.saturating_sub(u128::from(slot.used)),
            held: sum.held.saturating_sub(u128::from(slot.held)),
        })
    }

    /// The first instant at which no more than `room` of what counts at `now` still counts, if nothing comes
    /// and nothing is given back. `None`: it is so now.
    pub(super) fn falls_to(&self, room: u64, now: Duration) -> Option<Duration> {
        let live = self.live_sum(now);
        if live.used.saturating_add(live.held) <= u128::from(room) {
            return None;
        }
        // The newest slots that fit into the room may stay; the one before them has to leave.
        let mut newest = 0_u128;
        for slot in self.slots.iter().rev() {
            newest = newest.saturating_add(slot.total());
            if newest > u128::from(room) {
                return Some(self.grid.leaves(slot.index));
            }
        }
        None
    }

    /// Takes `amount` for a call that begins now. Says the slot, which `settle` needs.
    pub(super) fn take(&mut self, amount: u64, now: Duration) -> u64 {
        self.forget(now);
        let index = self.grid.index(now);
        self.add(
            index,
            Count {
                used: 0,
                held: amount,
            },
        );
        index
    }

    /// A call that took `amount` in the slot `index` ended and used `used`. What it did not use goes back to its
    /// slot. What it used beyond its hold counts from now on, because only now it is known.
    pub(super) fn settle(&mut self, index: u64, amount: u64, used: u64, now: Duration) {
        if let Ok(at) = self.slots.binary_search_by_key(&index, |slot| slot.index)
            && let Some(slot) = self.slots.get_mut(at)
        {
            self.sum.leave(slot);
            slot.held = slot.held.saturating_sub(amount);
            slot.used = slot.used.saturating_add(used.min(amount));
            self.sum.enter(slot);
        }
        let beyond = used.saturating_sub(amount);
        if beyond > 0 {
            self.add(
                self.grid.index(now),
                Count {
                    used: beyond,
                    held: 0,
                },
            );
        }
    }

    /// What was used this long ago, as the ledger has it.
    pub(super) fn restore(&mut self, used: u64, now: Duration, ago: Duration) {
        let back = self.grid.slots_in(ago);
        let index = self.grid.index(now).saturating_sub(back);
        self.add(index, Count { used, held: 0 });
    }

    /// It was told of what the ledger has.
    pub(super) fn begin_with(&mut self, origin: Origin, now: Duration) {
        self.origin = origin;
        self.origin_matters_until = now + LONGEST_CALL;
    }

    /// Whether nothing counts any more.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        let oldest = self.grid.oldest(now);
        let has_origin = self.origin.is_asked() || now < self.origin_matters_until;
        !has_origin && self.slots.back().is_none_or(|slot| slot.index < oldest)
    }

    /// Counts something in the slot `index`.
    fn add(&mut self, index: u64, count: Count) {
        // The usual slot is the newest that there is, or a newer one.
        let at = match self.slots.back() {
            Some(slot) if slot.index == index => Ok(self.slots.len() - 1),
            Some(slot) if slot.index > index => {
                self.slots.binary_search_by_key(&index, |slot| slot.index)
            }
            _ => Err(self.slots.len()),
        };
        match at {
            Ok(at) => {
                let Some(slot) = self.slots.get_mut(at) else {
                    return;
                };
                self.sum.leave(slot);
                slot.used = slot.used.saturating_add(count.used);
                slot.held = slot.held.saturating_add(count.held);
                self.sum.enter(slot);
            }
            Err(at) => {
                let slot = Slot {
                    index,
                    used: count.used,
                    held: count.held,
                };
                self.sum.enter(&slot);
                self.slots.insert(at, slot);
            }
        }
    }

    /// Drops the slots that have left.
    fn forget(&mut self, now: Duration) {
        let oldest = self.grid.oldest(now);
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.index < oldest) {
            self.sum.leave(&slot);
        }
    }
}

impl Slot {
    fn total(&self) -> u128 {
        u128::from(self.used).saturating_add(u128::from(self.held))
    }
}

impl Sum {
    fn enter(&mut self, slot: &Slot) {
        self.used = self.used.saturating_add(u128::from(slot.used));
        self.held = self.held.saturating_add(u128::from(slot.held));
    }

    fn leave(&mut self, slot: &Slot) {
        self.used = self.used.saturating_sub(u128::from(slot.used));
        self.held = self.held.saturating_sub(u128::from(slot.held));
    }
}

impl Count {
    pub(super) fn total(self) -> u64 {
        self.used.saturating_add(self.held)
    }
}

// === impl Grid ===

impl Grid {
    fn index(self, at: Duration) -> u64 {
        self.slots_in(at.saturating_add(BEFORE))
    }

    /// Whole slots within a stretch of time.
    fn slots_in(self, stretch: Duration) -> u64 {
        u64::try_from(stretch.as_millis()).unwrap_or(u64::MAX) / self.width_ms
    }

    /// The oldest slot of which a part still lies within the span that ends at `now`.
    fn oldest(self, now: Duration) -> u64 {
        self.index(now).saturating_sub(self.slots)
    }

    /// The first instant at which no part of this slot lies within the span any more.
    fn leaves(self, index: u64) -> Duration {
        let slots = index.saturating_add(self.slots).saturating_add(1);
        Duration::from_millis(slots.saturating_mul(self.width_ms)).saturating_sub(BEFORE)
    }
}
