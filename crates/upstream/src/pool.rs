//! Connections that wait for their next request.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{Endpoint, connection::Connection};

/// The idle connections of one thread. The lock is never contended: it only makes the pool shareable with
/// the reply bodies that return connections to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Shelves>>);

#[derive(Debug, Default)]
struct Shelves {
    all: Vec<Shelf>,
    /// Somebody comes round to close what is old.
    is_swept: bool,
}

#[derive(Debug)]
struct Shelf {
    endpoint: Endpoint,
    /// Oldest first; the youngest is taken, so that what is not needed grows old and is closed.
    idle: VecDeque<Idle>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// Providers close idle connections after a minute or more; a younger one is rarely dead.
const KEEP: Duration = Duration::from_secs(50);
/// How often connections that grew old, or that their provider closed, are let go of.
const ROUND: Duration = Duration::from_secs(10);
/// Idle connections kept for each endpoint.
const MOST: usize = 1024;

impl Pool {
    /// An idle connection to this place, if there is one that its provider has not closed.
    pub(crate) fn take(&self, endpoint: &Endpoint, now: Instant) -> Option<Connection> {
        let mut shelves = self.0.lock();
        let shelf = shelves
            .all
            .iter_mut()
            .find(|shelf| shelf.endpoint.is_same_place(endpoint))?;
        while let Some(mut idle) = shelf.idle.pop_back() {
            if idle.is_fit(now) {
                return Some(idle.connection);
            }
        }
        None
    }

    pub(crate) fn give(&self, endpoint: &Endpoint, connection: Connection, now: Instant) {
        let mut shelves = self.0.lock();
        let idle = &mut shelves.shelf(endpoint).idle;
        while idle.len() >= MOST {
            idle.pop_front();
        }
        idle.push_back(Idle {
            connection,
            since: now,
        });
        // Outside of a runtime nobody can come round, and nobody serves for long.
        if !shelves.is_swept && tokio::runtime::Handle::try_current().is_ok() {
            shelves.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

/// Closes what is old or dead, until nothing is left or the pool is gone.
async fn sweep(pool: Weak<Mutex<Shelves>>) {
    loop {
        tokio::time::sleep(ROUND).await;
        let Some(shelves) = pool.upgrade() else {
            return;
        };
        if shelves.lock().sweep(Instant::now()) {
            return;
        }
    }
}

// === impl Shelves ===

impl Shelves {
    fn shelf(&mut self, endpoint: &Endpoint) -> &mut Shelf {
        let place = |shelf: &Shelf| shelf.endpoint.is_same_place(endpoint);
        let at = self.all.iter().position(place).unwrap_or_else(|| {
            self.all.push(Shelf {
                endpoint: endpoint.clone(),
                idle: VecDeque::new(),
            });
            self.all.len() - 1
        });
        &mut self.all[at]
    }

    /// Drops what is of no more use. True when nothing is left: then nobody needs to come again.
    fn sweep(&mut self, now: Instant) -> bool {
        for shelf in &mut self.all {
            shelf.idle.retain_mut(|idle| idle.is_fit(now));
        }
        self.all.retain(|shelf| !shelf.idle.is_empty());
        self.is_swept = !self.all.is_empty();
        !self.is_swept
    }
}

impl Idle {
    fn is_fit(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < KEEP && self.connection.is_usable()
    }
}
