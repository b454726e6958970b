//! What outlives a service: its store, and a ledger that says when something came into it.

use std::sync::Arc;

use tokio::sync::watch;
use tollgate_base::{Result, UnixMillis};
use tollgate_policy::{
    ledger::{
        Applied, AttemptId, AttemptQuery, AttemptState, Correction, Entry, Figures, LedgerStore,
        Listed, ReportQuery, ReportRow,
    },
    scope::Scope,
};
use tollgate_store::{MemoryLedger, MemoryStore};

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) objects: Arc<MemoryStore>,
    pub(crate) ledger: Arc<WatchedLedger>,
}

/// A ledger in memory whose readers can wait for the next change.
#[derive(Debug, Default)]
pub(crate) struct WatchedLedger {
    rows: MemoryLedger,
    changed: watch::Sender<()>,
}

impl WatchedLedger {
    /// Hears of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl LedgerStore for WatchedLedger {
    fn apply(&self, entries: &[Entry], shipped: Option<u64>) -> Result<Applied> {
        let applied = self.rows.apply(entries, shipped);
        self.changed.send_replace(());
        applied
    }

    fn shipped(&self) -> Result<u64> {
        self.rows.shipped()
    }

    fn figures(&self, scope: &Scope, borders: &[UnixMillis]) -> Result<Figures> {
        self.rows.figures(scope, borders)
    }

    fn open_attempts(&self) -> Result<Vec<(AttemptId, AttemptState)>> {
        self.rows.open_attempts()
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Listed>> {
        self.rows.attempts(query)
    }

    fn report(&self, query: &ReportQuery) -> Result<Vec<ReportRow>> {
        self.rows.report(query)
    }

    fn correct(&self, corrections: &[Correction]) -> Result<usize> {
        self.rows.correct(corrections)
    }
}
