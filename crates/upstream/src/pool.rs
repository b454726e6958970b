//! Connections that wait for their next request.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;

use crate::{Endpoint, RequestBody};

/// The idle connections of one thread. The lock is never contended: it only makes the pool shareable with
/// the reply bodies that return connections to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Shelf>>>);

#[derive(Debug)]
struct Shelf {
    endpoint: Endpoint,
    /// Oldest first; the youngest is taken, so that what is not needed grows old and is closed.
    idle: VecDeque<Idle>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// Providers close idle connections after a minute or more; a younger one is rarely dead.
const KEEP: Duration = Duration::from_secs(50);
/// Idle connections kept for each endpoint.
const MOST: usize = 1024;

impl Pool {
    pub(crate) fn take(
        &self,
        endpoint: &Endpoint,
        now: Instant,
    ) -> Option<SendRequest<RequestBody>> {
        let mut shelves = self.0.lock();
        let shelf = shelves
            .iter_mut()
            .find(|shelf| shelf.endpoint.is_same_place(endpoint))?;
        while let Some(idle) = shelf.idle.pop_back() {
            if !idle.sender.is_closed() && now.duration_since(idle.since) < KEEP {
                return Some(idle.sender);
            }
        }
        None
    }

    pub(crate) fn give(&self, endpoint: &Endpoint, sender: SendRequest<RequestBody>, now: Instant) {
        if sender.is_closed() {
            return;
        }
        let mut shelves = self.0.lock();
        let at = shelves
            .iter()
            .position(|shelf| shelf.endpoint.is_same_place(endpoint))
            .unwrap_or_else(|| {
                shelves.push(Shelf {
                    endpoint: endpoint.clone(),
                    idle: VecDeque::new(),
                });
                shelves.len() - 1
            });
        let idle = &mut shelves[at].idle;
        while idle.len() >= MOST
            || idle
                .front()
                .is_some_and(|old| now.duration_since(old.since) >= KEEP)
        {
            idle.pop_front();
        }
        idle.push_back(Idle { sender, since: now });
    }
}
