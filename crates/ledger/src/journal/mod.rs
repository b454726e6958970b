//! The journal: files that only grow, written by the calling thread, synced by one thread of its own or, where nobody
//! else waits, by the one that does.
//!
//! A write that the system took survives the death of the process. A sync makes it survive the loss of power;
//! settlements that come while one runs share the next. A file whose write or sync failed is never written
//! again: the journal goes on in a new one, and copies there what it cannot be sure of.

mod sync;

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Condvar, Mutex};
use tollgate_base::{IdSource, Result, crash_point};
use tollgate_policy::ledger::Entry;

use crate::{
    codec::Written,
    commits::{Commits, Durable},
    config::{Config, Durability},
    disk::{Disk, DiskFile},
    health::{Counters, Health, Refusal, count},
    segment::{FRAME, Format, HEADER, Header, LONGEST},
};

use self::sync::Pace;

/// Endings that are kept in memory while nothing can be written.
const MOST_PARKED: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) written: Signal,
    disk: Arc<dyn Disk>,
    salts: IdSource,
    writer: Mutex<Writer>,
    pub(crate) commits: Commits,
    pace: Mutex<Pace>,
    /// The largest number whose durability somebody waits for.
    wanted: AtomicU64,
    sync: Signal,
    syncer: Mutex<Option<std::thread::JoinHandle<()>>>,
    waiting_rows: AtomicU64,
    waiting_bytes: AtomicU64,
    stopping: AtomicBool,
    /// Held as long as the journal is open.
    _lock: File,
}

/// Wakes one thread that waits for work.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    is_set: Mutex<bool>,
    changed: Condvar,
}

#[derive(Debug)]
struct Writer {
    /// The file being written. `None` after a failure, until a new one could be made.
    current: Option<Segment>,
    /// Files that are full or broken and not yet in the store whole, oldest first.
    sealed: VecDeque<Segment>,
    /// The number of the next file and of the next record.
    next_file: u64,
    next: u64,
    /// The number of the last record that was written well.
    last: u64,
    has_reserve: bool,
    trouble: Option<Trouble>,
    parked: VecDeque<Entry>,
    is_closed: bool,
    buffer: Vec<u8>,
}

/// A file of the journal, with what is in it for certain.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) file_number: u64,
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    /// Where its last whole record ends.
    pub(crate) end: u64,
    file: Arc<dyn DiskFile>,
    /// What was written since the last sync began: where, and how many records.
    unsynced_from: u64,
    unsynced: u64,
    name_is_synced: bool,
}

#[derive(Clone, Debug)]
struct Trouble {
    refusal: Refusal,
    said: String,
}

/// What a reader may read of a file.
#[derive(Debug)]
pub(crate) struct Readable {
    pub(crate) segment: Segment,
    pub(crate) is_sealed: bool,
}

// === impl Signal ===

impl Signal {
    pub(crate) fn set(&self) {
        let mut is_set = self.is_set.lock();
        if !*is_set {
            *is_set = true;
            self.changed.notify_all();
        }
    }

    /// Returns when it is set, or when the time is over, and resets it.
    pub(crate) fn wait(&self, limit: Option<std::time::Duration>) {
        let mut is_set = self.is_set.lock();
        if !*is_set {
            match limit {
                Some(limit) => {
                    self.changed.wait_for(&mut is_set, limit);
                }
                None => self.changed.wait(&mut is_set),
            }
        }
        *is_set = false;
    }
}

// === impl Journal ===

impl Journal {
    /// A journal that begins a new file with record `next`.
    pub(crate) fn start(
        config: Config,
        disk: Arc<dyn Disk>,
        lock: File,
        (next_file, next): (u64, u64),
    ) -> io::Result<Arc<Self>> {
        let folder = config.folder();
        disk.reserve(&folder.join("reserve"), config.reserve_bytes)?;
        let journal = Arc::new(Self {
            config,
            counters: Counters::default(),
            written: Signal::default(),
            disk,
            salts: IdSource::from_entropy(),
            writer: Mutex::new(Writer {
                current: None,
                sealed: VecDeque::new(),
                next_file,
                next,
                last: next.saturating_sub(1),
                has_reserve: true,
                trouble: None,
                parked: VecDeque::new(),
                is_closed: false,
                buffer: Vec::with_capacity(4096),
            }),
            commits: Commits::default(),
            pace: Mutex::default(),
            wanted: AtomicU64::new(0),
            sync: Signal::default(),
            syncer: Mutex::new(None),
            waiting_rows: AtomicU64::new(0),
            waiting_bytes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            _lock: lock,
        });
        journal.commits.reach(next.saturating_sub(1));
        journal.begin(&mut journal.writer.lock())?;
        let own = journal.clone();
        let thread = std::thread::Builder::new().name("tollgate-sync".to_owned());
        *journal.syncer.lock() = Some(thread.spawn(move || own.keep_synced())?);
        Ok(journal)
    }

    /// Makes the first file, whose beginning is on the disk before anything is written into it: without it nothing
    /// of a file can be read.
    fn begin(&self, writer: &mut Writer) -> io::Result<()> {
        self.rotate(writer)?;
        if let Some(current) = &mut writer.current {
            current.file.sync()?;
            self.disk.sync_folder(&self.config.folder())?;
            current.name_is_synced = true;
        }
        Ok(())
    }

    /// Writes the beginning of an attempt, unless new ones are refused.
    pub(crate) fn append_opening(&self, entry: Written<'_>) -> Result<u64> {
        let mut writer = self.writer.lock();
        if let Some(refusal) = self.refusal(&writer) {
            return Err(refusal.to_error());
        }
        crash_point("before-open-write");
        let written = self.write(&mut writer, entry);
        drop(writer);
        crash_point("after-open-write");
        let number = written.map_err(|_| self.refusal_now().to_error())?;
        self.written.set();
        Ok(number)
    }

    /// Writes what has to be written whatever the state: when the disk is full, into the reserve; when
    /// nothing can be written at all, it waits in memory, and the result says so by an error.
    pub(crate) fn append(&self, entry: Written<'_>) -> Result<u64> {
        let mut writer = self.writer.lock();
        if writer.is_closed {
            return Err(Refusal::Unavailable.to_error());
        }
        // The first failure breaks the file. What is left is a new one, in the reserve when the disk is full.
        let mut written = self.write(&mut writer, entry);
        if written.is_err() {
            written = self.write(&mut writer, entry);
        }
        let is_too_long = |error: &io::Error| error.kind() == io::ErrorKind::InvalidInput;
        if written.as_ref().is_err_and(|error| !is_too_long(error))
            && writer.parked.len() < MOST_PARKED
        {
            writer.parked.push_back(entry.to_entry());
        }
        drop(writer);
        let number = written.map_err(|_| Refusal::Unavailable.to_error())?;
        self.written.set();
        Ok(number)
    }

    /// As `append`; what comes back resolves when the record is as durable as configured.
    pub(crate) fn append_durably(self: &Arc<Self>, entry: Written<'_>) -> Durable {
        crash_point("before-settle-write");
        let written = self.append(entry);
        crash_point("after-settle-write");
        match (written, self.config.durability) {
            (Err(error), _) => Durable::failed(error),
            (Ok(number), Durability::Process) => Durable::done(number),
            (Ok(number), Durability::Power) => Durable::written(self.clone(), number),
        }
    }

    /// The number of the last record that was written.
    pub(crate) fn last(&self) -> u64 {
        self.writer.lock().last
    }

    /// Writes a record. Says its number.
    fn write(&self, writer: &mut Writer, entry: Written<'_>) -> io::Result<u64> {
        let mut buffer = std::mem::take(&mut writer.buffer);
        let written = self.write_with(writer, entry, &mut buffer);
        buffer.clear();
        writer.buffer = buffer;
        written
    }

    fn write_with(
        &self,
        writer: &mut Writer,
        entry: Written<'_>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<u64> {
        // The reserve is written to its end, however short files are: on a full disk there is no next one.
        let may_end = writer.has_reserve;
        let has_ended = |segment: &Segment| may_end && segment.end >= self.config.segment_bytes;
        if writer.current.as_ref().is_none_or(has_ended) {
            crash_point("journal-rotate");
            self.rotate(writer)
                .inspect_err(|error| self.note_failure(writer, error))?;
        }
        let Some(segment) = &mut writer.current else {
            return Err(io::Error::other("no journal file"));
        };
        let number = writer.next;
        segment
            .header
            .frame(number, self.commits.done(), entry, buffer);
        if buffer.len() > FRAME + LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an entry is too long",
            ));
        }
        // A number is used once, whatever becomes of the write: a failed one may have left its bytes behind.
        writer.next += 1;
        match segment.file.append(buffer) {
            Ok(()) => {
                segment.end += buffer.len() as u64;
                segment.unsynced += 1;
                writer.last = number;
                self.waiting_rows.fetch_add(1, Ordering::Relaxed);
                self.waiting_bytes
                    .fetch_add(buffer.len() as u64, Ordering::Relaxed);
                Ok(number)
            }
            Err(error) => {
                count(&self.counters.write_failures, 1);
                self.note_failure(writer, &error);
                writer.sealed.extend(writer.current.take());
                Err(error)
            }
        }
    }

    /// Begins a new file; on a full disk, in the reserve. The file before is sealed.
    fn rotate(&self, writer: &mut Writer) -> io::Result<()> {
        let folder = self.config.folder();
        let path = folder.join(format!("{:012}.seg", writer.next_file));
        let header = Header {
            format: Format::Second,
            salt: self.salts.number(),
            first: writer.next,
        };
        let begin = |file: Arc<dyn DiskFile>| file.append(&header.encode()).map(|()| file);
        let file = match self.disk.create(&path).and_then(begin) {
            Err(error) if is_full(&error) && writer.has_reserve => {
                // A file that was created and could not be begun is in the way of the rename on no system.
                writer.has_reserve = false;
                self.note_failure(writer, &error);
                let reserve = folder.join("reserve");
                self.disk.take_reserve(&reserve, &path).and_then(begin)
            }
            other => other,
        };
        writer.next_file += 1;
        let segment = Segment {
            file_number: writer.next_file - 1,
            path,
            header,
            end: HEADER as u64,
            file: file?,
            unsynced_from: HEADER as u64,
            unsynced: 0,
            name_is_synced: false,
        };
        writer.sealed.extend(writer.current.replace(segment));
        Ok(())
    }

    fn note_failure(&self, writer: &mut Writer, error: &io::Error) {
        let refusal = if is_full(error) {
            Refusal::Full
        } else {
            Refusal::Unavailable
        };
        if writer.trouble.is_none() {
            tracing::error!(%error, "the ledger's journal cannot be written; new calls are refused");
        }
        writer.trouble = Some(Trouble {
            refusal,
            said: error.to_string(),
        });
        self.sync.set();
    }

    fn refusal(&self, writer: &Writer) -> Option<Refusal> {
        if writer.is_closed {
            return Some(Refusal::Unavailable);
        }
        if let Some(trouble) = &writer.trouble {
            return Some(trouble.refusal);
        }
        (self.fullness() >= 100).then_some(Refusal::Full)
    }

    fn refusal_now(&self) -> Refusal {
        self.refusal(&self.writer.lock())
            .unwrap_or(Refusal::Unavailable)
    }

    /// How much of what may wait for the store does, in percent.
    fn fullness(&self) -> u64 {
        let share = |waiting: &AtomicU64, most: u64| {
            waiting.load(Ordering::Relaxed).saturating_mul(100) / most.max(1)
        };
        share(&self.waiting_rows, self.config.most_rows)
            .max(share(&self.waiting_bytes, self.config.most_bytes))
    }

    pub(crate) fn health(&self, store_error: Option<String>) -> Health {
        let writer = self.writer.lock();
        let refuses = self.refusal(&writer);
        Health {
            refuses,
            ready: refuses.is_none() && self.fullness() < 90,
            disk_error: writer.trouble.as_ref().map(|trouble| trouble.said.clone()),
            store_error,
            waiting_rows: self.waiting_rows.load(Ordering::Relaxed),
            waiting_bytes: self.waiting_bytes.load(Ordering::Relaxed),
            alarms: self.counters.alarms(writer.parked.len() as u64),
        }
    }

    /// Takes nothing more.
    pub(crate) fn close(&self) {
        self.writer.lock().is_closed = true;
    }

    /// Syncs what is written and ends the thread.
    pub(crate) fn stop(&self) {
        let Some(thread) = self.syncer.lock().take() else {
            return;
        };
        self.wanted.fetch_max(self.last(), Ordering::AcqRel);
        self.stopping.store(true, Ordering::Release);
        self.sync.set();
        if thread.join().is_err() {
            tracing::error!("the ledger's sync thread panicked");
        }
    }
}

// What the shipper asks.
impl Journal {
    /// The file with this number or the first after it, as far as it is written.
    pub(crate) fn readable(&self, file_number: u64) -> Option<Readable> {
        let writer = self.writer.lock();
        let sealed = writer
            .sealed
            .iter()
            .find(|segment| segment.file_number >= file_number);
        if let Some(segment) = sealed {
            return Some(Readable {
                segment: segment.clone(),
                is_sealed: true,
            });
        }
        let current = writer.current.as_ref()?;
        Some(Readable {
            segment: current.clone(),
            is_sealed: false,
        })
    }

    /// The store has these.
    pub(crate) fn shipped(&self, rows: u64, bytes: u64) {
        let less = |counter: &AtomicU64, by: u64| {
            counter.fetch_sub(by.min(counter.load(Ordering::Relaxed)), Ordering::Relaxed);
        };
        less(&self.waiting_rows, rows);
        less(&self.waiting_bytes, bytes);
    }

    /// The store has everything of a sealed file: it is deleted, unless files are kept for a while.
    pub(crate) fn retire(&self, file_number: u64) {
        let mut writer = self.writer.lock();
        let at = writer
            .sealed
            .iter()
            .position(|segment| segment.file_number == file_number);
        // Records of it that no sync has covered are durable all the same: the store has them on the disk.
        let Some(segment) = at.and_then(|at| writer.sealed.remove(at)) else {
            return;
        };
        drop(writer);
        if self.config.keep.is_zero() {
            remove(&segment.path);
        } else {
            remove_older(&self.config.folder(), &self.config, file_number);
        }
    }
}

/// Deletes files up to `last` whose last write is longer ago than files are kept.
pub(crate) fn remove_older(folder: &Path, config: &Config, last: u64) {
    let Ok(files) = fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        let is_old = || {
            let age = file.metadata().ok()?.modified().ok()?.elapsed().ok()?;
            Some(age >= config.keep)
        };
        let is_shipped = file_number(&file.path()).is_some_and(|number| number <= last);
        if is_shipped && is_old() == Some(true) {
            remove(&file.path());
        }
    }
}

/// The number in the name of a journal file.
pub(crate) fn file_number(path: &Path) -> Option<u64> {
    if path.extension()? != "seg" {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(%error, path = %path.display(), "cannot delete a journal file");
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
