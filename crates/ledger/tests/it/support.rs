//! What the tests share: attempts, and a store and a disk that fail when told to.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use tollgate_base::{Error, Kind, ManualClock, Money, Provenance, Result, UnixMillis, Usage};
use tollgate_ledger::{Config, Disk, DiskFile, Ledger, RealDisk};
use tollgate_policy::{
    ledger::{
        Applied, AttemptFilter, AttemptId, AttemptOutcome, AttemptQuery, AttemptState, Correction,
        Cost, Entry, Figures, LedgerStore, Listed, Opening, ReportQuery, ReportRow, Settlement,
    },
    scope::Scope,
};
use tollgate_store::MemoryLedger;

pub(crate) fn id(n: u64) -> AttemptId {
    AttemptId {
        request_id: format!("req_{n:08}"),
        number: 1,
    }
}

pub(crate) fn opening(n: u64) -> Opening {
    Opening {
        id: id(n),
        at: UnixMillis(1_700_000_000_000 + n),
        key_id: format!("key_{}", n % 5),
        project_id: Some("project_1".to_owned()),
        team_id: None,
        operation: "generation".to_owned(),
        dialect: "openai-chat".to_owned(),
        route: "fast".to_owned(),
        provider: "lab".to_owned(),
        model: "llama-3.3-70b".to_owned(),
        stream: true,
        held: Some(Money::from_nanos(5_000 + i128::from(n))),
        held_input: 100,
        held_output: 1_000,
        price_version: "2026-01-01".to_owned(),
        tags: vec![("team".to_owned(), "blue".to_owned())],
    }
}

pub(crate) fn settlement(n: u64) -> Settlement {
    Settlement {
        id: id(n),
        at: UnixMillis(1_700_000_000_100 + n),
        outcome: AttemptOutcome::Complete,
        usage: Usage {
            input: 20 + n,
            cache_read: Some(10),
            output: 30,
            provenance: Provenance::Reported,
            ..Usage::default()
        },
        cost: Cost::Known(Money::from_nanos(1_000 + i128::from(n))),
        unit_prices: String::new(),
        code: String::new(),
        first_event_ms: Some(3),
        duration_ms: 9,
    }
}

/// Begins, dispatches and settles attempts, and waits until each is durable.
pub(crate) fn settle(ledger: &Ledger, attempts: impl IntoIterator<Item = u64>) {
    for n in attempts {
        ledger.begin(&opening(n)).unwrap();
        ledger.dispatched(&id(n)).unwrap();
        ledger.settle(&settlement(n)).wait().unwrap();
    }
}

pub(crate) fn config(folder: &Path) -> Config {
    Config {
        reserve_bytes: 1 << 16,
        ship_interval: Duration::from_millis(1),
        sync_interval: Duration::ZERO,
        patience: Duration::from_millis(10),
        ..Config::new(folder)
    }
}

pub(crate) fn open(folder: &Path, store: &Arc<impl LedgerStore + 'static>) -> Ledger {
    Ledger::open(
        config(folder),
        store.clone(),
        Arc::new(ManualClock::default()),
    )
    .unwrap()
}

pub(crate) fn all(store: &dyn LedgerStore) -> Vec<Listed> {
    let query = AttemptQuery {
        filter: AttemptFilter::default(),
        newest_first: false,
        after: None,
        limit: usize::MAX,
    };
    store.attempts(&query).unwrap()
}

pub(crate) fn total(store: &dyn LedgerStore) -> ReportRow {
    let rows = store.report(&ReportQuery::default()).unwrap();
    rows.into_iter().next().unwrap_or_default()
}

/// Waits until something is so; a test that waits for ever says what for.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::yield_now();
    }
}

/// A store that fails as told.
#[derive(Debug, Default)]
pub(crate) struct Moody {
    pub(crate) inner: MemoryLedger,
    /// Fails with this while it is set.
    pub(crate) error: parking_lot::Mutex<Option<Error>>,
    /// Every so many calls fail although they were applied.
    pub(crate) every: AtomicU64,
    pub(crate) calls: AtomicU64,
    /// Batches with an entry of this attempt fail.
    pub(crate) poison: parking_lot::Mutex<Option<AttemptId>>,
}

impl LedgerStore for Moody {
    fn apply(&self, entries: &[Entry], shipped: Option<u64>) -> Result<Applied> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(error) = &*self.error.lock() {
            return Err(error.clone());
        }
        if let Some(poison) = &*self.poison.lock()
            && entries.iter().any(|entry| entry.id() == poison)
        {
            return Err(Error::new(Kind::Internal, "poison", "This row is bad."));
        }
        let applied = self.inner.apply(entries, shipped);
        let every = self.every.load(Ordering::Relaxed);
        if every > 0 && call.is_multiple_of(every) {
            // The commit went through, and its answer was lost.
            return Err(Error::new(Kind::Overloaded, "lost", "The answer was lost."));
        }
        applied
    }

    fn shipped(&self) -> Result<u64> {
        self.inner.shipped()
    }

    fn figures(&self, scope: &Scope, borders: &[UnixMillis]) -> Result<Figures> {
        self.inner.figures(scope, borders)
    }

    fn open_attempts(&self) -> Result<Vec<(AttemptId, AttemptState)>> {
        self.inner.open_attempts()
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Listed>> {
        self.inner.attempts(query)
    }

    fn report(&self, query: &ReportQuery) -> Result<Vec<ReportRow>> {
        self.inner.report(query)
    }

    fn correct(&self, corrections: &[Correction]) -> Result<usize> {
        self.inner.correct(corrections)
    }
}

/// A disk that fails as told.
#[derive(Debug, Default)]
pub(crate) struct BadDisk(pub(crate) Arc<Faults>);

#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// No space: new files and appends fail, what is reserved can still be written.
    pub(crate) full: AtomicBool,
    /// Appends write a part and fail.
    pub(crate) broken: AtomicBool,
    /// The next so many syncs fail.
    pub(crate) bad_syncs: AtomicU64,
    /// Who synced a file, in order.
    pub(crate) syncs: parking_lot::Mutex<Vec<ThreadId>>,
    /// Whether a sync waits before it ends, and what says that this has changed.
    is_held: parking_lot::Mutex<bool>,
    changed: parking_lot::Condvar,
}

#[derive(Debug)]
struct BadFile {
    inner: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
    is_reserved: bool,
}

impl Faults {
    /// Holds every sync up from now on, or lets them end.
    pub(crate) fn hold_syncs(&self, is_held: bool) {
        *self.is_held.lock() = is_held;
        self.changed.notify_all();
    }

    fn note_sync(&self) {
        self.syncs.lock().push(thread::current().id());
        let mut is_held = self.is_held.lock();
        self.changed.wait_while(&mut is_held, |is_held| *is_held);
    }

    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("input/output error"));
        }
        Ok(())
    }
}

impl BadDisk {
    fn wrap(&self, inner: Arc<dyn DiskFile>, is_reserved: bool) -> Arc<dyn DiskFile> {
        Arc::new(BadFile {
            inner,
            faults: self.0.clone(),
            is_reserved,
        })
    }
}

impl Disk for BadDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.check()?;
        Ok(self.wrap(RealDisk.create(path)?, false))
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.0.check()?;
        RealDisk.reserve(path, bytes)
    }

    fn take_reserve(&self, reserve: &Path, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(RealDisk.take_reserve(reserve, path)?, true))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)
    }
}

impl DiskFile for BadFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_reserved
            && let Err(error) = self.faults.check()
        {
            self.inner.append(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.inner.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.note_sync();
        let left = &self.faults.bad_syncs;
        let failed = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if failed.is_ok() {
            return Err(io::Error::other("input/output error"));
        }
        self.inner.sync()
    }
}
