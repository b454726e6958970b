//! Opening a journal that an earlier process left, however it ended.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tollgate_base::crash_point;
use tollgate_policy::ledger::LedgerStore;

use crate::{
    config::Config,
    disk::Disk,
    health::count,
    journal::{Journal, file_number, remove_older},
    ledger::OpenError,
    segment::{self, Around, Damage, Scan},
    ship::Carrier,
};

/// What was found, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    pub files: u64,
    /// Records that the store did not have yet.
    pub shipped: u64,
    /// Files whose end was cut off in the middle of a record.
    pub torn_tails: u64,
    /// Files that are damaged; sound records of them were kept.
    pub damaged_files: u64,
    pub missing_records: u64,
    /// Attempts that were held and never sent.
    pub released: u64,
    /// Attempts that may have been sent, and of whose end nobody knows.
    pub lost: u64,
}

/// Locks the journal, brings what it holds into the store, and begins a new file.
pub(crate) fn open(
    config: Config,
    store: &Arc<dyn LedgerStore>,
    disk: Arc<dyn Disk>,
) -> Result<(Arc<Journal>, Carrier, Recovery), OpenError> {
    let folder = config.folder();
    let unusable = |error: io::Error| {
        OpenError::Unusable(format!(
            "Cannot use {}: {error}. Check its owner, rights and free space, or use another folder with --data.",
            folder.display()
        ))
    };
    let refused = |error: tollgate_base::Error| {
        OpenError::Store(format!("The ledger's store does not answer: {error}"))
    };
    create_private(&folder).map_err(unusable)?;
    // The journal's own name has to survive the loss of power, too.
    disk.sync_folder(&config.data).map_err(unusable)?;
    let lock = lock(&config)?;
    let found = list(&folder).map_err(unusable)?;
    let known = store.shipped().map_err(refused)?;

    let mut last = known;
    let mut next_file = 1;
    let mut scans = Vec::new();
    for path in found {
        let bytes = fs::read(&path).map_err(unusable)?;
        let scan = segment::scan(&bytes);
        last = last.max(scan.last());
        next_file = next_file.max(file_number(&path).unwrap_or(0) + 1);
        scans.push((path, scan, bytes.len()));
    }
    let journal = Journal::start(config, disk, lock, (next_file, last + 1)).map_err(unusable)?;
    let mut carrier = Carrier::new(journal.clone(), store.clone(), known).map_err(unusable)?;
    let synced = scans.iter().map(|(_, scan, _)| scan.synced).max();
    let synced = synced.unwrap_or(0);
    carrier.promised = synced;
    let mut recovery = Recovery::default();
    let mut around = Around {
        synced,
        before: known,
    };
    for (path, scan, length) in scans {
        crash_point("recovery-replay");
        let news: Vec<_> = scan
            .records
            .iter()
            .filter(|record| record.number > known)
            .cloned()
            .collect();
        for batch in news.chunks(journal.config.batch.max(1)) {
            carrier.carry(batch.to_vec()).map_err(|_| {
                OpenError::Store(
                    "The ledger's store does not take what the journal holds. Nothing is lost; see the log."
                        .to_owned(),
                )
            })?;
        }
        // The store has what the file holds; the file is still as it was found.
        crash_point("recovery-replay");
        recovery.files += 1;
        recovery.shipped += news.len() as u64;
        tidy(&path, (&scan, around), length, &mut recovery).map_err(unusable)?;
        around.before = around.before.max(scan.last());
    }
    carrier.promised = u64::MAX;
    let counters = &journal.counters;
    count(&counters.torn_tails, recovery.torn_tails);
    count(&counters.damaged_files, recovery.damaged_files);
    count(&counters.missing_records, recovery.missing_records);
    remove_older(&folder, &journal.config, next_file - 1);
    Ok((journal, carrier, recovery))
}

/// A damaged file is kept aside to be looked at; a torn tail is cut off. What a loss of power took from the beginning or
/// the middle of what was never synced is no damage.
fn tidy(
    path: &Path,
    (scan, around): (&Scan, Around),
    length: usize,
    recovery: &mut Recovery,
) -> io::Result<()> {
    let damage = scan.damage(around);
    if damage != Damage::default() {
        recovery.damaged_files += 1;
        recovery.missing_records += damage.missing;
        tracing::error!(path = %path.display(), missing = damage.missing, "a journal file is damaged; it is kept aside");
        return fs::rename(path, free_name(path));
    }
    if scan.has_holes(around) {
        recovery.torn_tails += 1;
        tracing::warn!(path = %path.display(), "a part of a journal file that was never synced is missing");
    }
    if scan.header.is_some() && scan.torn > 0 {
        recovery.torn_tails += 1;
        tracing::warn!(path = %path.display(), bytes = scan.torn, "the last record of a journal file was cut");
    }
    if scan.valid < length {
        let file = File::options().write(true).open(path)?;
        file.set_len(scan.valid as u64)?;
    }
    Ok(())
}

/// A name for a file that is kept aside, which no file before it has: numbers of files begin anew when none is left.
fn free_name(path: &Path) -> PathBuf {
    let names = (2..).map(|n: u32| path.with_extension(format!("{n}.damaged")));
    std::iter::once(path.with_extension("damaged"))
        .chain(names)
        .find(|name| !name.exists())
        .unwrap_or_else(|| path.with_extension("damaged"))
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if file_number(&path).is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn lock(config: &Config) -> Result<File, OpenError> {
    let path = config.folder().join("lock");
    let cannot = |error: &dyn std::fmt::Display| {
        OpenError::Unusable(format!("Cannot lock {}: {error}.", path.display()))
    };
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| cannot(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::Locked(format!(
            "Another Tollgate is using the data folder {}. Stop it, or use another folder with --data.",
            config.data.display()
        ))),
        Err(fs::TryLockError::Error(error)) => Err(cannot(&error)),
    }
}

/// Only the owner may look into a folder that we make.
fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
