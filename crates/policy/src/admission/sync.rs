//! The lock around the counters: parking_lot's. In unit tests it can be one whose schedules are explored.

#[cfg(not(test))]
pub(super) use plain::{Lock, with};

#[cfg(test)]
pub(super) use explored::{Lock, explore, with};

#[cfg(not(test))]
mod plain {
    pub(in crate::admission) type Lock<T> = parking_lot::Mutex<T>;

    /// Does something with what the lock guards.
    pub(in crate::admission) fn with<T, R>(lock: &Lock<T>, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut lock.lock())
    }
}

#[cfg(test)]
mod explored {
    use std::cell::Cell;

    thread_local! {
        /// Whether locks made on this thread belong to an explored schedule.
        static EXPLORING: Cell<bool> = const { Cell::new(false) };
    }

    /// A lock whose kind is decided when it is made.
    #[derive(Debug)]
    pub(in crate::admission) enum Lock<T> {
        Plain(parking_lot::Mutex<T>),
        Explored(shuttle::sync::Mutex<T>),
    }

    impl<T: Default> Default for Lock<T> {
        fn default() -> Self {
            if EXPLORING.get() {
                Lock::Explored(shuttle::sync::Mutex::default())
            } else {
                Lock::Plain(parking_lot::Mutex::default())
            }
        }
    }

    pub(in crate::admission) fn with<T, R>(lock: &Lock<T>, act: impl FnOnce(&mut T) -> R) -> R {
        match lock {
            Lock::Plain(lock) => act(&mut lock.lock()),
            Lock::Explored(lock) => act(&mut lock.lock().unwrap()),
        }
    }

    /// Makes something whose locks belong to an explored schedule.
    pub(in crate::admission) fn explore<R>(make: impl FnOnce() -> R) -> R {
        EXPLORING.set(true);
        let made = make();
        EXPLORING.set(false);
        made
    }
}
