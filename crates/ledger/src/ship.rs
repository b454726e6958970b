//! Moving entries from the journal into the store, in order, each batch in one transaction.
//!
//! The store remembers in the same transaction how far it has come, and takes an entry that it knows
//! already without a change, so that a crash anywhere repeats harmlessly. A store that fails is tried
//! again for as long as it takes. Only an entry that fails again and again while the store takes others
//! is put aside, so that nothing waits behind it.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tollgate_base::{Error, Kind, Result, crash_point};
use tollgate_policy::ledger::{Entry, LedgerStore, NO_BEGINNING};

use crate::{
    dead::Cemetery,
    health::{Refusal, count},
    journal::{Journal, Readable, Signal},
    segment::{FRAME, HEADER, LONGEST, Record},
};

/// Tries of one batch before the store is asked whether it is the batch that fails or the store.
const TRIES: u32 = 3;
/// How long `flush` waits.
const FLUSH: Duration = Duration::from_secs(30);

/// The thread that moves entries.
#[derive(Debug)]
pub(crate) struct Shipper {
    state: Arc<State>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    shipped: AtomicU64,
    stopping: AtomicBool,
    is_waited_for: AtomicBool,
    pause: Signal,
    error: Mutex<Option<String>>,
    moved: (Mutex<()>, Condvar),
}

/// Brings batches into the store.
#[derive(Debug)]
pub(crate) struct Carrier {
    journal: Arc<Journal>,
    store: Arc<dyn LedgerStore>,
    state: Arc<State>,
    dead: Cemetery,
    /// How often one batch may fail before the carrier gives up; `None` for ever.
    most_failures: Option<u32>,
    /// The last record that was once on the disk. Beyond it a loss of power may have taken the beginning of an
    /// attempt and left its end, which says nothing then and was promised to nobody.
    pub(crate) promised: u64,
}

/// The carrier was told to stop, or gave up. What it carried stays in the journal.
#[derive(Debug)]
pub(crate) struct GaveUp;

/// Records on their way: their entries, and the number of each.
#[derive(Clone, Copy, Debug, Default)]
struct Batch<'r> {
    numbers: &'r [u64],
    entries: &'r [Entry],
}

/// A record that is put aside: its number, its entry, and why.
type Letter<'r> = (u64, &'r Entry, &'r str);

/// Where the shipper is in the journal.
#[derive(Debug)]
struct Cursor {
    file_number: u64,
    offset: u64,
    file: Option<File>,
}

// === impl Shipper ===

impl Shipper {
    pub(crate) fn start(mut carrier: Carrier) -> io::Result<Self> {
        carrier.most_failures = None;
        let state = carrier.state.clone();
        let thread = std::thread::Builder::new()
            .name("tollgate-ship".to_owned())
            .spawn(move || carrier.run())?;
        Ok(Self {
            state,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Waits until the store has everything up to `number`.
    pub(crate) fn flush(&self, number: u64) -> Result<()> {
        let deadline = Instant::now() + FLUSH;
        let (lock, moved) = &self.state.moved;
        let mut guard = lock.lock();
        while self.state.shipped.load(Ordering::Acquire) < number {
            self.state.is_waited_for.store(true, Ordering::Release);
            self.state.pause.set();
            let is_late = moved.wait_until(&mut guard, deadline).timed_out();
            let has_failed = self.state.error.lock().is_some();
            if is_late || has_failed || self.thread.lock().is_none() {
                return Err(Refusal::Unavailable.to_error());
            }
        }
        Ok(())
    }

    /// What the store said, while it fails.
    pub(crate) fn error(&self) -> Option<String> {
        self.state.error.lock().clone()
    }

    pub(crate) fn stop(&self) {
        self.state.stopping.store(true, Ordering::Release);
        self.state.pause.set();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the ledger's shipping thread panicked");
        }
    }
}

// === impl Carrier ===

impl Carrier {
    pub(crate) fn new(
        journal: Arc<Journal>,
        store: Arc<dyn LedgerStore>,
        shipped: u64,
    ) -> io::Result<Self> {
        let dead = Cemetery::open(&journal.config.folder())?;
        count(&journal.counters.dead_letters, dead.len());
        let state = State {
            shipped: AtomicU64::new(shipped),
            ..State::default()
        };
        Ok(Self {
            journal,
            store,
            state: Arc::new(state),
            dead,
            most_failures: Some(TRIES * 2),
            promised: u64::MAX,
        })
    }

    fn run(mut self) {
        let mut cursor = Cursor {
            file_number: 0,
            offset: HEADER as u64,
            file: None,
        };
        loop {
            match self.next_batch(&mut cursor) {
                Ok(Some(records)) => {
                    if self.carry(records).is_err() {
                        return;
                    }
                }
                Ok(None) => {
                    if self.state.stopping.load(Ordering::Acquire) {
                        return;
                    }
                    self.journal
                        .written
                        .wait(Some(self.journal.config.patience));
                    // Entries gather for a moment, so that one transaction takes many.
                    if !self.state.is_waited_for.swap(false, Ordering::AcqRel) {
                        self.state
                            .pause
                            .wait(Some(self.journal.config.ship_interval));
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the ledger's journal cannot be read");
                    self.state.pause.wait(Some(self.journal.config.patience));
                    if self.state.stopping.load(Ordering::Acquire) {
                        return;
                    }
                    cursor.file = None;
                }
            }
        }
    }

    /// The next records that are written and not shipped; `None` when there are none yet.
    fn next_batch(&mut self, cursor: &mut Cursor) -> io::Result<Option<Vec<Record>>> {
        loop {
            let Some(Readable { segment, is_sealed }) = self.journal.readable(cursor.file_number)
            else {
                return Ok(None);
            };
            if segment.file_number != cursor.file_number {
                *cursor = Cursor {
                    file_number: segment.file_number,
                    offset: HEADER as u64,
                    file: None,
                };
            }
            if cursor.offset < segment.end {
                let bytes = read(cursor, &segment)?;
                let mut records = Vec::new();
                let mut at = 0;
                while records.len() < self.journal.config.batch && at < bytes.len() {
                    match segment.header.read(&bytes[at..]) {
                        Some((record, length)) => {
                            records.push(record);
                            at += length;
                        }
                        None if bytes.len() - at >= FRAME + LONGEST
                            || cursor.offset + bytes.len() as u64 >= segment.end =>
                        {
                            // What was written a moment ago is no longer what it was.
                            count(&self.journal.counters.damaged_files, 1);
                            at += 1;
                        }
                        None => break,
                    }
                }
                cursor.offset += at as u64;
                self.journal.shipped(0, at as u64);
                if !records.is_empty() {
                    return Ok(Some(records));
                }
            } else if is_sealed {
                self.journal.retire(segment.file_number);
                cursor.file_number += 1;
                cursor.offset = HEADER as u64;
                cursor.file = None;
            } else {
                return Ok(None);
            }
        }
    }

    /// Brings records into the store, and returns when it has them, or the dead-letter file has.
    pub(crate) fn carry(&mut self, records: Vec<Record>) -> Result<(), GaveUp> {
        let pairs = records
            .into_iter()
            .map(|record| (record.number, record.entry));
        let (numbers, entries): (Vec<u64>, Vec<Entry>) = pairs.unzip();
        let Some(last) = numbers.last().copied() else {
            return Ok(());
        };
        let batch = Batch {
            numbers: &numbers,
            entries: &entries,
        };
        crash_point("ship-before-send");
        self.deliver(batch, Some(last))?;
        crash_point("ship-after-commit");
        self.journal.shipped(numbers.len() as u64, 0);
        self.state.shipped.fetch_max(last, Ordering::AcqRel);
        drop(self.state.moved.0.lock());
        self.state.moved.1.notify_all();
        Ok(())
    }

    fn deliver(&mut self, batch: Batch<'_>, shipped: Option<u64>) -> Result<(), GaveUp> {
        let mut failures = 0;
        loop {
            match self.store.apply(batch.entries, shipped) {
                Ok(applied) if applied.refused.is_empty() => {
                    self.state.error.lock().take();
                    return Ok(());
                }
                Ok(applied) => {
                    let letters = applied.refused.iter();
                    let letters = letters.filter_map(|(at, why)| batch.letter(*at, why));
                    self.bury(&letters.collect::<Vec<_>>())?;
                    // The store remembers its place only now that nothing of the batch can be lost.
                    return self.remember(shipped);
                }
                Err(error) => {
                    failures += 1;
                    self.note(&error, failures)?;
                    if failures % TRIES == 0 && self.store_works() {
                        return self.bisect(batch, shipped, &error);
                    }
                }
            }
        }
    }

    /// The store takes entries, but not these: halves find the one that it does not take.
    fn bisect(
        &mut self,
        batch: Batch<'_>,
        shipped: Option<u64>,
        error: &Error,
    ) -> Result<(), GaveUp> {
        if batch.entries.len() > 1 {
            let (first, second) = batch.halves();
            self.deliver(first, None)?;
            self.deliver(second, None)?;
        } else if let Some(letter) = batch.letter(0, error.message()) {
            self.bury(&[letter])?;
        }
        self.remember(shipped)
    }

    fn remember(&mut self, shipped: Option<u64>) -> Result<(), GaveUp> {
        match shipped {
            Some(_) => self.deliver(Batch::default(), shipped),
            None => Ok(()),
        }
    }

    /// Whether the store takes a transaction without entries.
    fn store_works(&self) -> bool {
        let place = self.state.shipped.load(Ordering::Acquire);
        self.store.apply(&[], Some(place)).is_ok()
    }

    fn bury(&mut self, letters: &[Letter<'_>]) -> Result<(), GaveUp> {
        let mut failures = 0;
        let promised = self.promised;
        let is_orphan = |(number, _, why): &Letter<'_>| *number > promised && *why == NO_BEGINNING;
        for (number, entry, _) in letters.iter().filter(|letter| is_orphan(letter)) {
            tracing::warn!(attempt = %entry.id(), number, "an entry whose attempt was never synced was left out");
        }
        let letters: Vec<_> = letters.iter().filter(|letter| !is_orphan(letter)).collect();
        if letters.is_empty() {
            return Ok(());
        }
        loop {
            match self.dead.bury(letters.iter().map(|letter| **letter)) {
                Ok(new) => {
                    count(&self.journal.counters.dead_letters, new);
                    for (number, entry, why) in &letters {
                        tracing::error!(
                            attempt = %entry.id(), number, why,
                            "an entry of the ledger was put aside"
                        );
                    }
                    return Ok(());
                }
                Err(error) => {
                    failures += 1;
                    let error =
                        Error::new(Kind::Overloaded, "storage_unavailable", error.to_string());
                    self.note(&error, failures)?;
                }
            }
        }
    }

    /// Notes a failure and waits a little longer each time.
    fn note(&mut self, error: &Error, failures: u32) -> Result<(), GaveUp> {
        count(&self.journal.counters.store_failures, 1);
        let first = self.state.error.lock().replace(error.to_string()).is_none();
        if first {
            tracing::error!(%error, "the ledger's store fails; entries wait in the journal");
        }
        drop(self.state.moved.0.lock());
        self.state.moved.1.notify_all();
        if self.most_failures.is_some_and(|most| failures >= most) {
            return Err(GaveUp);
        }
        let wait = Duration::from_millis(5) * 2_u32.saturating_pow(failures.min(16));
        self.state
            .pause
            .wait(Some(wait.min(self.journal.config.patience)));
        if self.state.stopping.load(Ordering::Acquire) {
            return Err(GaveUp);
        }
        Ok(())
    }
}

// === impl Batch ===

impl<'r> Batch<'r> {
    fn letter<'w>(self, at: usize, why: &'w str) -> Option<Letter<'w>>
    where
        'r: 'w,
    {
        Some((*self.numbers.get(at)?, self.entries.get(at)?, why))
    }

    fn halves(self) -> (Self, Self) {
        let middle = self.entries.len() / 2;
        let (first, second) = self.entries.split_at(middle);
        let (of_first, of_second) = self.numbers.split_at(middle);
        let half = |numbers, entries| Batch { numbers, entries };
        (half(of_first, first), half(of_second, second))
    }
}

/// Bytes from the cursor on: at least one whole record, at most a few megabytes.
fn read(cursor: &mut Cursor, segment: &crate::journal::Segment) -> io::Result<Vec<u8>> {
    let file = match &mut cursor.file {
        Some(file) => file,
        empty => empty.insert(File::open(&segment.path)?),
    };
    let most = 2 * (FRAME + LONGEST) as u64;
    let length = (segment.end - cursor.offset).min(most);
    file.seek(SeekFrom::Start(cursor.offset))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
