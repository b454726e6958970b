//! What can be set about the ledger.

use std::{path::PathBuf, time::Duration};

/// What a settled attempt survives when its caller sees the end of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process.
    Process,
    /// The loss of power.
    Power,
}

/// How the ledger works. [`Config::new`] has values for production.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder; the journal lies in its folder `journal`.
    pub data: PathBuf,
    pub durability: Durability,
    /// Where a journal file ends and the next begins.
    pub segment_bytes: u64,
    /// Kept free for settling what has begun when the disk is full.
    pub reserve_bytes: u64,
    /// The most that may wait for the store. At nine tenths the ledger is not ready, at the whole it refuses.
    pub most_bytes: u64,
    pub most_rows: u64,
    /// The most entries of one transaction of the store.
    pub batch: usize,
    /// The least time from the beginning of one sync to the next: settlements in between share one.
    pub sync_interval: Duration,
    /// A disk whose last sync took less is quick: who waits alone for the next one does it itself. Each sync that turns
    /// out slower holds up, once, what else that thread serves.
    pub quick_sync: Duration,
    /// How long the shipper lets entries gather before it takes them.
    pub ship_interval: Duration,
    /// The longest wait between two tries of a store or disk that fails.
    pub patience: Duration,
    /// How long a journal file stays after the store has all of it.
    pub keep: Duration,
}

impl Config {
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            durability: Durability::Power,
            segment_bytes: 64 << 20,
            reserve_bytes: 16 << 20,
            most_bytes: 1 << 30,
            most_rows: 2_000_000,
            batch: 2_000,
            sync_interval: Duration::from_millis(2),
            quick_sync: Duration::from_millis(1),
            ship_interval: Duration::from_millis(250),
            patience: Duration::from_secs(1),
            keep: Duration::ZERO,
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.data.join("journal")
    }
}
