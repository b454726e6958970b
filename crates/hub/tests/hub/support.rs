//! A data folder, a hub, and pulls between them.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tempfile::TempDir;
use tollgate_base::{Error, Secret, UnixMillis};
use tollgate_hub::{
    Address, Disk, Event, Hub, HubOptions, LocalDisk, Patience, Pulled, Puller, Store,
};
use tollgate_testkit::TestHub;

pub(crate) const FILE: &str = "tiny-Q8_0.gguf";
pub(crate) const MODEL: &str = "lab/tiny-GGUF:Q8_0";

/// A hub with one file, and a data folder that its models go to.
pub(crate) struct Lab {
    pub(crate) hub: TestHub,
    folder: TempDir,
    pub(crate) bytes: Vec<u8>,
}

impl Lab {
    pub(crate) fn new(n_bytes: usize) -> Self {
        let bytes = gguf(n_bytes, 7);
        Self {
            hub: TestHub::start([(FILE.to_owned(), bytes.clone())]).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            bytes,
        }
    }

    /// Puts a file into the hub's repository.
    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.hub.change(|shelves| {
            shelves.files.insert(path.to_owned(), bytes);
        });
    }

    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.folder.path())
    }

    /// Pulls as a new program would, with nothing remembered but what lies in the folder.
    pub(crate) fn pull(&self, name: &str) -> Result<Pulled, Error> {
        Pull::default().run(self, name).0
    }

    /// As `pull`, of what must be refused with words that hold `says`.
    pub(crate) fn refused(&self, name: &str, says: &str) -> Error {
        let error = self.pull(name).unwrap_err();
        assert!(error.message().contains(says), "{name}: {error}");
        error
    }

    /// What lies in the models folder, with sizes, without locks.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.data().join("models")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_none_or(|ending| ending != "lock") {
                    let path = path.strip_prefix(self.data()).unwrap();
                    found.push(path.to_string_lossy().into_owned());
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// The model is here, whole, and nothing is left of its way.
    pub(crate) fn is_whole(&self) {
        let model = self.store().find(MODEL).unwrap();
        assert_eq!(std::fs::read(&model.path).unwrap(), self.bytes);
        assert_eq!(self.files().len(), 2, "{:?}", self.files());
    }
}

/// How a pull is made.
pub(crate) struct Pull<'a> {
    pub(crate) failures: u32,
    pub(crate) token: Option<&'a str>,
    pub(crate) revision: Option<&'a str>,
    pub(crate) disk: &'a dyn Disk,
    pub(crate) longest_pause: Duration,
}

impl Default for Pull<'_> {
    fn default() -> Self {
        Self {
            failures: 4,
            token: None,
            revision: None,
            disk: &LocalDisk,
            longest_pause: Duration::from_millis(2),
        }
    }
}

impl Pull<'_> {
    pub(crate) fn run(&self, lab: &Lab, name: &str) -> (Result<Pulled, Error>, Vec<Event>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let hub = Hub::new(HubOptions {
            base: Address::parse(&lab.hub.url()).unwrap(),
            token: self.token.map(Secret::new),
            patience: Patience {
                failures: self.failures,
                first_pause: Duration::from_millis(1),
                longest_pause: self.longest_pause,
                connect: Duration::from_secs(5),
                first_byte: Duration::from_secs(10),
                idle: Duration::from_secs(10),
            },
        })
        .unwrap();
        let store = lab.store();
        let puller = Puller {
            hub: &hub,
            store: &store,
            disk: self.disk,
            now: UnixMillis(1_000),
        };
        let mut events = Vec::new();
        let mut on = |event| events.push(event);
        let pulled = runtime.block_on(puller.pull(name, self.revision, &mut on));
        (pulled, events)
    }
}

/// A file with a sound, empty header and bytes behind it that follow from the seed.
pub(crate) fn gguf(n_bytes: usize, seed: u64) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend([0; 16]);
    let mut random = Random(seed);
    while bytes.len() < n_bytes {
        bytes.push(random.next().to_le_bytes()[0]);
    }
    bytes
}

/// Xorshift64*: even enough for places to cut at.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }
}

/// A disk that is full after some bytes, in the middle of a write.
#[derive(Debug)]
pub(crate) struct FullDisk {
    left: AtomicU64,
    free: Option<u64>,
}

impl FullDisk {
    /// Says nothing about its room, and has room for this many bytes.
    pub(crate) fn after(n_bytes: u64) -> Self {
        Self {
            left: AtomicU64::new(n_bytes),
            free: None,
        }
    }

    /// Says that this many bytes are free.
    pub(crate) fn with_free(n_bytes: u64) -> Self {
        Self {
            left: AtomicU64::new(u64::MAX),
            free: Some(n_bytes),
        }
    }
}

impl Disk for FullDisk {
    fn free(&self, _folder: &Path) -> Option<u64> {
        self.free
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.write_all(&bytes[..n])?;
        self.left.fetch_sub(n as u64, Ordering::Relaxed);
        if n < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}
