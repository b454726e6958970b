//! Every call that has been admitted and has not ended: what it asked for and what it holds.
//!
//! A rule that is made meanwhile finds here what already lies in its scope.

use std::time::Duration;

use tollgate_base::UnixMillis;

use super::{Demand, held::Hold};

/// A call that is open.
#[derive(Debug)]
pub(super) struct OpenCall {
    pub(super) demand: Demand,
    /// When it was admitted: by the wall, which says its budgets' windows, and as rates saw it.
    pub(super) wall: UnixMillis,
    pub(super) seen: Duration,
    pub(super) holds: Vec<Hold>,
    /// It counts among the concurrent ones no more.
    pub(super) has_left: bool,
}

/// All open calls, each in a place that it keeps until it ends.
#[derive(Debug, Default)]
pub(super) struct OpenCalls {
    places: Vec<Option<OpenCall>>,
    free: Vec<usize>,
}

impl OpenCalls {
    pub(super) fn insert(&mut self, call: OpenCall) -> usize {
        let Some(place) = self.free.pop() else {
            self.places.push(Some(call));
            return self.places.len() - 1;
        };
        self.put_back(place, call);
        place
    }

    /// The call has ended.
    pub(super) fn remove(&mut self, place: usize) -> Option<OpenCall> {
        let call = self.lift(place)?;
        self.free.push(place);
        Some(call)
    }

    /// Takes a call out for a moment: it is put back into its place.
    pub(super) fn lift(&mut self, place: usize) -> Option<OpenCall> {
        self.places.get_mut(place)?.take()
    }

    pub(super) fn put_back(&mut self, place: usize, call: OpenCall) {
        if let Some(empty) = self.places.get_mut(place) {
            *empty = Some(call);
        }
    }

    /// The places of all open calls, in the order of their admission.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let calls = self.places.iter().enumerate();
        let mut open: Vec<_> = calls
            .filter_map(|(place, call)| Some((call.as_ref()?.seen, place)))
            .collect();
        open.sort_unstable();
        open.into_iter().map(|(_, place)| place).collect()
    }
}
