//! A file on its way: the bytes so far, what they are the beginning of, and the lock that keeps a second pull out.
//!
//! The checksum runs along while bytes are written, so a download costs one pass; what an earlier run left is hashed
//! once when it is taken up again. The lock is a file of its own that stays: taking it away would let a third pull lock
//! a new one while a second still holds the old.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tollgate_base::{Error, Kind, Result};

use crate::{
    Disk,
    manifest::{hex, sync_folder, write_whole},
    size::shown,
    store::{fault, feed},
};

/// What the bytes so far are the beginning of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// For people.
    pub(crate) name: String,
    pub(crate) sha256: Option<String>,
    pub(crate) size: Option<u64>,
    /// The strong validator of the server that sent them.
    pub(crate) etag: Option<String>,
}

/// The file, locked.
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    /// Held until this is dropped.
    _lock: File,
    hasher: Sha256,
    have: u64,
    pub(crate) state: State,
}

// === impl State ===

impl State {
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(1 << 16).read_to_string(&mut text))
            .ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Whether bytes of `self` may be bytes of `wanted`. Without a checksum the server's validator has to decide.
    fn may_become(&self, wanted: &Self) -> bool {
        match (&self.sha256, &wanted.sha256) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (None, None) => {
                self.etag.is_some() && (self.size == wanted.size || wanted.size.is_none())
            }
            _ => false,
        }
    }
}

// === impl Part ===

impl Part {
    /// Takes up what an earlier run left of `wanted`, or begins anew. `on` hears how much of it was read again.
    pub(crate) fn open(
        folder: &Path,
        key: &str,
        wanted: State,
        on: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| fault(folder, "made", &error))?;
        let lock = locked(folder, key, &wanted.name)?;
        let path = folder.join(format!("{key}.part"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| fault(&path, "opened", &error))?;
        let mut part = Self {
            file,
            _lock: lock,
            hasher: Sha256::new(),
            have: 0,
            state: wanted,
            path,
        };
        let length = part.file.metadata().map_or(0, |facts| facts.len());
        let before = State::read(&part.state_path());
        let is_ours = before
            .as_ref()
            .is_some_and(|before| before.may_become(&part.state));
        let fits = part.state.size.is_none_or(|size| length <= size);
        if is_ours && fits && length > 0 {
            part.state.etag = before.and_then(|before| before.etag);
            part.have = feed(&mut part.file, &mut part.hasher, on)
                .map_err(|error| fault(&part.path, "read", &error))?;
        } else {
            part.restart()?;
        }
        Ok(part)
    }

    pub(crate) fn have(&self) -> u64 {
        self.have
    }

    /// Whether nothing is there to be taken up again, not even a part of bytes that did not all fit on the disk.
    pub(crate) fn is_empty(&self) -> bool {
        self.have == 0 && self.file.metadata().is_ok_and(|facts| facts.len() == 0)
    }

    /// Forgets the bytes so far.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.hasher = Sha256::new();
        self.have = 0;
        self.state.etag = None;
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| fault(&self.path, "emptied", &error))?;
        Ok(())
    }

    /// Says what the bytes that come next belong to; written before the first of them.
    pub(crate) fn save(&self) -> Result<()> {
        let bytes = serde_json::to_vec(&self.state).unwrap_or_default();
        let path = self.state_path();
        write_whole(&path, &bytes).map_err(|error| fault(&path, "written", &error))
    }

    pub(crate) fn append(&mut self, disk: &dyn Disk, bytes: &[u8]) -> Result<()> {
        // What was written of bytes that did not all fit is hashed when they are taken up again.
        disk.write(&mut self.file, bytes)
            .map_err(|error| self.full(&error))?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// Refuses a file that the disk has no room for.
    pub(crate) fn check_room(&self, disk: &dyn Disk) -> Result<()> {
        let Some(size) = self.state.size else {
            return Ok(());
        };
        let folder = self.path.parent().unwrap_or(&self.path);
        let needed = size.saturating_sub(self.have).saturating_add(MARGIN);
        match disk.free(folder) {
            Some(free) if free < needed => {
                let message = format!(
                    "{} needs {} more, and {} are free in {}. Make room, or name another data folder with --data.",
                    self.state.name,
                    shown(needed),
                    shown(free),
                    folder.display()
                );
                Err(Error::new(Kind::Unprocessable, "disk_full", message))
            }
            _ => Ok(()),
        }
    }

    /// The checksum of the bytes so far, in hexadecimal digits.
    pub(crate) fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the whole file its name: bytes first, then the name, each made durable.
    pub(crate) fn finish(self, place: &Path) -> Result<()> {
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, place))
            .and_then(|()| sync_folder(place))
            .map_err(|error| fault(place, "written", &error))?;
        forget(&self.state_path())
    }

    /// Deletes what is there.
    pub(crate) fn delete(self) -> Result<()> {
        forget(&self.path)?;
        forget(&self.state_path())
    }

    fn state_path(&self) -> PathBuf {
        self.path.with_extension("json")
    }

    fn full(&self, error: &io::Error) -> Error {
        let is_full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        if !is_full {
            return fault(&self.path, "written", error);
        }
        let message = format!(
            "The disk is full after {} of {}. They are kept: make room and run the same command again.",
            shown(self.have),
            self.state.name
        );
        Error::new(Kind::Unprocessable, "disk_full", message)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("path", &self.path)
            .field("have", &self.have)
            .finish_non_exhaustive()
    }
}

/// What is left free beside a download.
const MARGIN: u64 = 16 << 20;

/// Deletes what is there of a download that nobody works on.
pub(crate) fn discard(folder: &Path, key: &str, name: &str) -> Result<()> {
    let _lock = locked(folder, key, name)?;
    forget(&folder.join(format!("{key}.part")))?;
    forget(&folder.join(format!("{key}.json")))
}

fn locked(folder: &Path, key: &str, name: &str) -> Result<File> {
    let path = folder.join(format!("{key}.lock"));
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| fault(&path, "opened", &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let message =
                format!("Another program is pulling {name} right now. Wait for it, or stop it.");
            Err(Error::new(Kind::Conflict, "pull_in_progress", message))
        }
        Err(TryLockError::Error(error)) => Err(fault(&path, "locked", &error)),
    }
}

fn forget(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(fault(path, "removed", &error))
        }
        _ => Ok(()),
    }
}
