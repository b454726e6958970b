//! How the ledger is: whether it takes new attempts, and what went wrong so far. Alarms only count up.

use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_base::{Error, Kind};

/// Why new attempts are refused. Those that have begun can still be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The disk is full, or too much waits for the store.
    Full,
    /// The disk failed.
    Unavailable,
}

/// A snapshot of the ledger's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether new attempts are refused, and why.
    pub refuses: Option<Refusal>,
    /// Whether new traffic should come here: not while attempts are refused, nor when the journal is nearly full.
    pub ready: bool,
    /// What the disk said when it last failed.
    pub disk_error: Option<String>,
    /// What the store said, while it fails.
    pub store_error: Option<String>,
    /// Entries and bytes that are in the journal and not yet in the store.
    pub waiting_rows: u64,
    pub waiting_bytes: u64,
    pub alarms: Alarms,
}

/// What an operator has to look at when it is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// Journal files whose last record was cut: normal after a crash.
    pub torn_tails: u64,
    /// Journal files that were damaged in the middle; they are kept aside.
    pub damaged_files: u64,
    /// Records that are missing because of that.
    pub missing_records: u64,
    /// Entries that the store refused; they are in the dead-letter file.
    pub dead_letters: u64,
    /// Writes and syncs of the journal that failed.
    pub write_failures: u64,
    pub sync_failures: u64,
    /// Times that the store failed to take entries.
    pub store_failures: u64,
    /// Endings that could not be written and wait in memory.
    pub parked: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) torn_tails: AtomicU64,
    pub(crate) damaged_files: AtomicU64,
    pub(crate) missing_records: AtomicU64,
    pub(crate) dead_letters: AtomicU64,
    pub(crate) write_failures: AtomicU64,
    pub(crate) sync_failures: AtomicU64,
    pub(crate) store_failures: AtomicU64,
}

impl Counters {
    pub(crate) fn alarms(&self, parked: u64) -> Alarms {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Alarms {
            torn_tails: read(&self.torn_tails),
            damaged_files: read(&self.damaged_files),
            missing_records: read(&self.missing_records),
            dead_letters: read(&self.dead_letters),
            write_failures: read(&self.write_failures),
            sync_failures: read(&self.sync_failures),
            store_failures: read(&self.store_failures),
            parked,
        }
    }
}

pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Refusal {
    /// 503, to be retried: the ledger heals by itself.
    pub fn to_error(self) -> Error {
        let (code, message) = match self {
            Refusal::Full => (
                "storage_full",
                "The gateway has no room left to record this call. Try again shortly.",
            ),
            Refusal::Unavailable => (
                "storage_unavailable",
                "The gateway cannot record this call. Try again shortly.",
            ),
        };
        Error::new(Kind::Overloaded, code, message)
            .with_retry_after(std::time::Duration::from_secs(5))
    }
}
