//! The memory that the models of a process share: who has how much of it, and who makes room for another.
//!
//! A model takes its share before it is loaded and gives it back after it is freed. Where a share does not fit beside
//! the others, models that nobody uses are asked to leave, the one that was idle longest first.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::EngineError;

/// How long a model that was asked to leave may take to be freed.
const PATIENCE: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// The memory for local models, in bytes. Clones are the same room.
#[derive(Clone)]
pub struct Room {
    inner: Arc<Inner>,
}

struct Inner {
    most: u64,
    state: Mutex<State>,
    /// Signalled when a share is given back.
    freed: Condvar,
}

#[derive(Default)]
struct State {
    tenants: Vec<Tenancy>,
    n_shares: u64,
}

struct Tenancy {
    id: u64,
    bytes: u64,
    tenant: Weak<dyn Tenant>,
}

/// Who holds a share.
pub(crate) trait Tenant: Send + Sync {
    /// Since when nobody uses it; `None` while somebody does.
    fn idle_since(&self) -> Option<Instant>;

    /// Asks it to leave. `false` where it has work.
    fn make_room(&self) -> bool;
}

/// A share of the room, given back when it is dropped.
pub(crate) struct Share {
    id: u64,
    room: Room,
}

// === impl Room ===

impl Room {
    /// A room of so many bytes.
    pub fn new(most: u64) -> Room {
        Room {
            inner: Arc::new(Inner {
                most,
                state: Mutex::default(),
                freed: Condvar::new(),
            }),
        }
    }

    /// A room that nothing fills.
    pub fn boundless() -> Room {
        Room::new(u64::MAX)
    }

    /// The size of the room, in bytes.
    pub fn most(&self) -> u64 {
        self.inner.most
    }

    /// Bytes that are taken.
    pub fn taken(&self) -> u64 {
        self.inner.state.lock().taken()
    }

    /// A share of so many bytes, once there is room for it. Blocks while idle models leave.
    ///
    /// # Errors
    ///
    /// `TooLarge` where it is more than the whole room, `Busy` where the others are at work.
    pub(crate) fn take(&self, bytes: u64, tenant: Weak<dyn Tenant>) -> Result<Share, EngineError> {
        if bytes > self.inner.most {
            return Err(EngineError::too_large(bytes, self.inner.most));
        }
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.inner.state.lock();
        loop {
            let free = self.inner.most.saturating_sub(state.taken());
            if bytes <= free {
                return Ok(self.give(&mut state, bytes, tenant));
            }
            let leaving = state.ask_to_leave(bytes - free);
            if leaving < bytes - free || Instant::now() >= deadline {
                return Err(EngineError::no_room(bytes, free));
            }
            // One that was asked may have got work in the same moment: it is asked again.
            self.inner.freed.wait_for(&mut state, ASK_AGAIN);
        }
    }

    fn give(&self, state: &mut State, bytes: u64, tenant: Weak<dyn Tenant>) -> Share {
        let id = state.n_shares;
        state.n_shares += 1;
        state.tenants.push(Tenancy { id, bytes, tenant });
        Share {
            id,
            room: self.clone(),
        }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({} of {} bytes)", self.taken(), self.most())
    }
}

// === impl State ===

impl State {
    fn taken(&self) -> u64 {
        self.tenants.iter().map(|tenancy| tenancy.bytes).sum()
    }

    /// Asks idle tenants to leave until so many bytes will be free. Returns how many will be.
    fn ask_to_leave(&self, wanted: u64) -> u64 {
        let mut idle: Vec<(Instant, u64, Arc<dyn Tenant>)> = self
            .tenants
            .iter()
            .filter_map(|tenancy| {
                let tenant = tenancy.tenant.upgrade()?;
                Some((tenant.idle_since()?, tenancy.bytes, tenant))
            })
            .collect();
        idle.sort_by_key(|(since, ..)| *since);
        // Nobody leaves in vain.
        if idle.iter().map(|(_, bytes, _)| bytes).sum::<u64>() < wanted {
            return 0;
        }
        let mut leaving = 0;
        for (_, bytes, tenant) in idle {
            if leaving >= wanted {
                break;
            }
            if tenant.make_room() {
                leaving += bytes;
            }
        }
        leaving
    }
}

// === impl Share ===

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.room.inner.state.lock();
        state.tenants.retain(|tenancy| tenancy.id != self.id);
        self.room.inner.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// A model that leaves when it is asked, or is at work.
    struct Model {
        idle_since: Option<Instant>,
        share: Mutex<Option<Share>>,
    }

    impl Tenant for Model {
        fn idle_since(&self) -> Option<Instant> {
            self.idle_since
        }

        fn make_room(&self) -> bool {
            // The share goes back on another thread, as it does when a model is freed.
            let share = self.share.lock().take();
            std::thread::spawn(move || drop(share));
            self.idle_since.is_some()
        }
    }

    fn enter(
        room: &Room,
        bytes: u64,
        idle_since: Option<Instant>,
    ) -> Result<Arc<Model>, ErrorKind> {
        let model = Arc::new(Model {
            idle_since,
            share: Mutex::new(None),
        });
        let tenant: Arc<dyn Tenant> = model.clone();
        let share = room.take(bytes, Arc::downgrade(&tenant));
        *model.share.lock() = Some(share.map_err(|error| error.kind)?);
        Ok(model)
    }

    #[test]
    fn the_longest_idle_make_room_and_no_more_than_needed() {
        let room = Room::new(100);
        let now = Instant::now();
        let older = enter(&room, 40, now.checked_sub(Duration::from_secs(9))).unwrap();
        let younger = enter(&room, 40, Some(now)).unwrap();
        let _third = enter(&room, 50, None).unwrap();
        assert!(older.share.lock().is_none() && younger.share.lock().is_some());
        assert_eq!(room.taken(), 90);
        let _fourth = enter(&room, 50, None).unwrap();
        assert!(younger.share.lock().is_none());
        assert_eq!(room.taken(), 100);
    }

    #[test]
    fn models_at_work_stay_and_one_that_is_too_large_is_told_so() {
        let room = Room::new(100);
        let working = enter(&room, 60, None).unwrap();
        assert_eq!(enter(&room, 50, None).err(), Some(ErrorKind::Busy));
        assert_eq!(enter(&room, 101, None).err(), Some(ErrorKind::TooLarge));
        assert!(working.share.lock().is_some());
        let idle = enter(&room, 30, Some(Instant::now())).unwrap();
        assert_eq!(enter(&room, 90, None).err(), Some(ErrorKind::Busy));
        assert!(idle.share.lock().is_some(), "its place alone would not do");
        drop(idle);
        drop(working);
        assert_eq!(room.taken(), 0);
        enter(&room, 100, None).unwrap();
    }
}
