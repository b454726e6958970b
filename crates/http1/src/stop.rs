//! The signal that ends connections: cheap to test once per exchange, heard at once by idle ones.
//!
//! Each connection registers its waker once, so that neither an exchange nor an idle wait takes a lock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use parking_lot::Mutex;

/// Asks every connection that holds a clone to end: idle ones at once, others after their exchange.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    set: AtomicBool,
    wakers: Mutex<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers {
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// One connection's place among the wakers; leaving it frees the place.
#[derive(Debug)]
pub(crate) struct Listener {
    stop: Stop,
    place: Option<(usize, Waker)>,
}

// === impl Stop ===

impl Stop {
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the connections. There is no way back.
    pub fn set(&self) {
        self.0.set.store(true, Ordering::SeqCst);
        let slots = std::mem::take(&mut *self.0.wakers.lock()).slots;
        for waker in slots.into_iter().flatten() {
            waker.wake();
        }
    }

    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::SeqCst)
    }

    pub(crate) fn listen(self) -> Listener {
        Listener {
            stop: self,
            place: None,
        }
    }
}

// === impl Listener ===

impl Listener {
    pub(crate) fn is_set(&self) -> bool {
        self.stop.is_set()
    }

    /// Makes sure that `waker` is woken by the stop, and says whether it has been set already.
    pub(crate) fn poll_set(&mut self, waker: &Waker) -> bool {
        if !self
            .place
            .as_ref()
            .is_some_and(|(_, known)| known.will_wake(waker))
        {
            self.leave();
            let mut wakers = self.stop.0.wakers.lock();
            let slot = wakers.free.pop().unwrap_or(wakers.slots.len());
            if slot == wakers.slots.len() {
                wakers.slots.push(None);
            }
            wakers.slots[slot] = Some(waker.clone());
            self.place = Some((slot, waker.clone()));
        }
        self.is_set()
    }

    fn leave(&mut self) {
        let Some((slot, _)) = self.place.take() else {
            return;
        };
        let mut wakers = self.stop.0.wakers.lock();
        // The list is emptied when the stop is set.
        if slot < wakers.slots.len() {
            wakers.slots[slot] = None;
            wakers.free.push(slot);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.leave();
    }
}
