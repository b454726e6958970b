//! Syncs. The journal's own thread does them, and tries a disk that failed until it has come back; where nobody
//! shares a sync, who waits for it does it.

use std::{
    fs, io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tollgate_base::crash_point;
use tollgate_policy::ledger::Entry;

use super::{Journal, Segment, Writer};
use crate::health::count;

/// The last sync: when it began, and how long it took. Locked for as long as one runs, so that there is one at a time.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<(Instant, Duration)>);

impl Pace {
    /// How long ago the last one has to begin before the next.
    fn rest(&self, interval: Duration) -> Duration {
        self.0.map_or(Duration::ZERO, |(began, _)| {
            interval.saturating_sub(began.elapsed())
        })
    }

    fn was_quick(&self, limit: Duration) -> bool {
        self.0.is_some_and(|(_, took)| took < limit)
    }
}

impl Journal {
    /// Returns when record `number` is on the disk, or sees to it that it will be.
    ///
    /// Under load a sync is shared by all who come while another runs, and the thread for it does it. A record
    /// that comes alone would pay for two changes of threads, which cost as much as the sync: who waits for it
    /// syncs on the spot, unless the disk was slow the last time.
    pub(crate) fn sync_up_to(&self, number: u64) {
        let is_alone = !self.is_due() && self.commits.done() < number;
        if is_alone
            && let Some(mut pace) = self.pace.try_lock()
            && pace.was_quick(self.config.quick_sync)
            && pace.rest(self.config.sync_interval).is_zero()
        {
            self.sync_once(&mut pace);
        } else {
            self.ask_for_sync(number);
        }
    }

    /// Has record `number` synced by the thread for it.
    pub(crate) fn ask_for_sync(&self, number: u64) {
        if self.commits.done() < number {
            self.wanted.fetch_max(number, Ordering::AcqRel);
            self.sync.set();
        }
    }

    /// Whether somebody was promised a sync that was not done yet.
    fn is_due(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > self.commits.done()
    }

    pub(super) fn keep_synced(&self) {
        let mut heal_at: Option<Instant> = None;
        loop {
            if self.is_due() {
                let rest = self.pace.lock().rest(self.config.sync_interval);
                if !self.stopping.load(Ordering::Acquire) && !rest.is_zero() {
                    std::thread::sleep(rest);
                }
                let mut pace = self.pace.lock();
                if self.is_due() {
                    self.sync_once(&mut pace);
                }
            } else if self.stopping.load(Ordering::Acquire) {
                return;
            } else {
                self.sync
                    .wait(heal_at.map(|at| at.saturating_duration_since(Instant::now())));
            }
            // Asked after the wait: what ended it may be a failure.
            if self.writer.lock().trouble.is_none() {
                heal_at = None;
            } else if heal_at.is_none_or(|at| at <= Instant::now()) {
                self.heal();
                heal_at = Some(Instant::now() + self.config.patience);
            }
        }
    }

    fn sync_once(&self, pace: &mut Pace) {
        let began = Instant::now();
        self.sync_or_copy();
        *pace = Pace(Some((began, began.elapsed())));
    }

    fn sync_or_copy(&self) {
        let (last, mut files) = self.take_unsynced();
        crash_point("before-sync");
        let Err(error) = self.sync_files(&files) else {
            return self.commits.reach(last);
        };
        count(&self.counters.sync_failures, 1);
        let mut writer = self.writer.lock();
        self.note_failure(&mut writer, &error);
        // Nobody knows what a file holds whose sync failed, and a second sync would say nothing about it: what
        // was written meanwhile is to be copied too.
        let current = writer.current.take();
        writer.sealed.extend(current);
        for file in &mut files {
            let same = |segment: &&mut Segment| segment.file_number == file.file_number;
            if let Some(live) = writer.sealed.iter_mut().find(same) {
                file.end = live.end;
                file.unsynced += std::mem::take(&mut live.unsynced);
                live.unsynced_from = live.end;
            }
        }
        let last = writer.next.saturating_sub(1);
        let is_copied = self.copy(&mut writer, &files);
        drop(writer);
        match is_copied {
            Ok(()) => self.commits.reach(last),
            Err(error) => {
                tracing::error!(%error, "settled attempts may not survive a loss of power");
                self.commits.fail(last);
            }
        }
        self.written.set();
    }

    /// The files with records that no sync has covered, and the last of those records. From now on they
    /// count as covered: whoever takes them has to see to it.
    fn take_unsynced(&self) -> (u64, Vec<Segment>) {
        let mut writer = self.writer.lock();
        let last = writer.next.saturating_sub(1);
        let mut taken = Vec::new();
        let Writer {
            sealed, current, ..
        } = &mut *writer;
        for segment in sealed.iter_mut().chain(current) {
            if segment.unsynced > 0 || !segment.name_is_synced {
                taken.push(segment.clone());
                segment.unsynced = 0;
                segment.unsynced_from = segment.end;
                segment.name_is_synced = true;
            }
        }
        (last, taken)
    }

    fn sync_files(&self, files: &[Segment]) -> io::Result<()> {
        for segment in files {
            segment.file.sync()?;
        }
        if files.iter().any(|segment| !segment.name_is_synced) {
            self.disk.sync_folder(&self.config.folder())?;
        }
        Ok(())
    }

    /// Writes what `files` hold unsynced into a new file, and syncs that. What cannot be read back whole
    /// is an error.
    fn copy(&self, writer: &mut Writer, files: &[Segment]) -> io::Result<()> {
        let mut entries = Vec::new();
        for segment in files {
            let found = read_back(segment)?;
            if found.len() as u64 != segment.unsynced {
                return Err(io::Error::other("records of a failed file cannot be read"));
            }
            entries.extend(found);
        }
        self.rotate(writer)?;
        for entry in &entries {
            self.write(writer, entry.into())?;
        }
        let Some(current) = writer.current.as_mut() else {
            return Err(io::Error::other("no journal file"));
        };
        current.file.sync()?;
        self.disk.sync_folder(&self.config.folder())?;
        current.unsynced = 0;
        current.unsynced_from = current.end;
        current.name_is_synced = true;
        Ok(())
    }

    /// Tries whether the disk has come back: the reserve is there, a new file can be written and synced.
    fn heal(&self) {
        let _alone = self.pace.lock();
        let mut writer = self.writer.lock();
        if let Err(error) = self.try_to_heal(&mut writer) {
            self.note_failure(&mut writer, &error);
            return;
        }
        writer.trouble = None;
        drop(writer);
        self.written.set();
        tracing::info!("the ledger's journal can be written again");
    }

    fn try_to_heal(&self, writer: &mut Writer) -> io::Result<()> {
        let folder = self.config.folder();
        if !writer.has_reserve {
            self.disk
                .reserve(&folder.join("reserve"), self.config.reserve_bytes)?;
            writer.has_reserve = true;
        }
        self.rotate(writer)?;
        while let Some(entry) = writer.parked.pop_front() {
            if let Err(error) = self.write(writer, (&entry).into()) {
                writer.parked.push_front(entry);
                return Err(error);
            }
        }
        let synced = match &writer.current {
            Some(current) => current.file.sync(),
            None => Err(io::Error::other("no journal file")),
        };
        if let Err(error) = synced.and_then(|()| self.disk.sync_folder(&folder)) {
            writer.sealed.extend(writer.current.take());
            return Err(error);
        }
        if !writer.has_reserve {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// The entries that a file holds between its last sync and its end.
fn read_back(segment: &Segment) -> io::Result<Vec<Entry>> {
    let bytes = fs::read(&segment.path)?;
    let from = usize::try_from(segment.unsynced_from).unwrap_or(usize::MAX);
    let to = usize::try_from(segment.end).unwrap_or(usize::MAX);
    let mut rest = bytes.get(from..to).unwrap_or_default();
    let mut entries = Vec::new();
    while let Some((record, length)) = segment.header.read(rest) {
        entries.push(record.entry);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(entries)
}
