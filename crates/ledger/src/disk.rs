//! The border to the disk: what the journal asks of files. Tests put a failing disk in its place.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

/// Makes files that the journal writes.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// A new file; it must not exist.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Writes a file of `bytes` zeros whose blocks are really taken, and syncs it.
    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()>;
    /// Takes a reserve under a new name; it is written from its beginning.
    fn take_reserve(&self, reserve: &Path, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes names in `folder` survive the loss of power.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that only grows.
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Writes at the end, in one call of the system unless that takes only a part.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything appended survives the loss of power.
    fn sync(&self) -> io::Result<()>;
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = private().write(true).create_new(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut file = private()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let zeros = vec![0; 1 << 16];
        let mut left = bytes;
        while left > 0 {
            let part = left.min(zeros.len() as u64);
            file.write_all(
                zeros
                    .get(..usize::try_from(part).unwrap_or(0))
                    .unwrap_or(&[]),
            )?;
            left -= part;
        }
        file.sync_all()
    }

    fn take_reserve(&self, reserve: &Path, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        fs::rename(reserve, path)?;
        // Not truncated: its blocks are what it is for.
        Ok(Arc::new(OpenOptions::new().write(true).open(path)?))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl DiskFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Only the owner may read what the journal says.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
