//! The two things about a disk that a test must be able to take away: room, and writes that succeed.

use std::{
    fmt,
    fs::File,
    io::{self, Write as _},
    path::Path,
};

/// Where downloads are written.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Bytes that may still be written below `folder`; `None` where that cannot be told.
    fn free(&self, folder: &Path) -> Option<u64>;

    /// Writes all of `bytes` where the file stands.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

// === impl LocalDisk ===

impl Disk for LocalDisk {
    #[cfg(unix)]
    fn free(&self, folder: &Path) -> Option<u64> {
        let facts = rustix::fs::statvfs(folder).ok()?;
        facts.f_bavail.checked_mul(facts.f_frsize)
    }

    #[cfg(not(unix))]
    fn free(&self, _folder: &Path) -> Option<u64> {
        None
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }
}
