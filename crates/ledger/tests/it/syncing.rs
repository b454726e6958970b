//! Who syncs: whoever waits, where it waits alone and the disk is quick; else the thread for it, once for all who wait.

use std::{
    future::Future as _,
    io,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    thread::{self, ThreadId},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tollgate_base::ManualClock;
use tollgate_ledger::{Config, Disk, DiskFile, Durable, Ledger, RealDisk};
use tollgate_store::MemoryLedger;

use crate::support::{config, opening, settlement, until};

/// A disk that notes who syncs, and whose syncs can be held up.
#[derive(Debug, Default)]
struct Watched {
    syncs: Mutex<Vec<ThreadId>>,
    /// Whether a sync waits before it ends, and what says that this has changed.
    is_held: Mutex<bool>,
    changed: Condvar,
    /// How long a sync takes.
    takes: Mutex<Duration>,
}

#[derive(Clone, Debug, Default)]
struct WatchedDisk(Arc<Watched>);

#[derive(Debug)]
struct WatchedFile(Arc<dyn DiskFile>, Arc<Watched>);

impl Disk for WatchedDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(WatchedFile(
            RealDisk.create(path)?,
            self.0.clone(),
        )))
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        RealDisk.reserve(path, bytes)
    }

    fn take_reserve(&self, reserve: &Path, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.take_reserve(reserve, path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)
    }
}

impl DiskFile for WatchedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.syncs.lock().push(thread::current().id());
        let mut is_held = self.1.is_held.lock();
        while *is_held {
            self.1.changed.wait(&mut is_held);
        }
        drop(is_held);
        thread::sleep(*self.1.takes.lock());
        self.0.sync()
    }
}

impl Watched {
    fn hold(&self, is_held: bool) {
        *self.is_held.lock() = is_held;
        self.changed.notify_all();
    }

    fn count(&self) -> usize {
        self.syncs.lock().len()
    }

    fn last(&self) -> Option<ThreadId> {
        self.syncs.lock().last().copied()
    }
}

/// A ledger whose disk rests for so long between syncs.
fn ledger(folder: &Path, sync_interval: Duration) -> (Ledger, Arc<Watched>) {
    let disk = WatchedDisk::default();
    let config = Config {
        sync_interval,
        ..config(folder)
    };
    let ledger = Ledger::open_on(
        config,
        Arc::new(MemoryLedger::default()),
        Arc::new(ManualClock::default()),
        Arc::new(disk.clone()),
    );
    (ledger.unwrap(), disk.0)
}

fn ended(ledger: &Ledger, n: u64) -> Durable {
    ledger.dispatch(&opening(n)).unwrap();
    ledger.settle(&settlement(n))
}

#[test]
fn who_waits_alone_on_a_quick_disk_syncs_on_the_spot() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::ZERO);
    // How quick the disk is, the thread for it finds out; this machine may be slow at any moment.
    let here = thread::current().id();
    let mut n = 0;
    until("a sync on this thread", || {
        n += 1;
        let before = disk.count();
        ended(&ledger, n).wait().unwrap();
        assert_eq!(disk.count(), before + 1, "one sync for one who waits");
        disk.last() == Some(here)
    });
    assert!(n > 1, "nobody knew how quick the disk is");
}

#[test]
fn a_slow_disk_is_left_to_the_thread_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::ZERO);
    *disk.takes.lock() = Duration::from_millis(2);
    let begun = disk.count();
    for n in 1..=5 {
        ended(&ledger, n).wait().unwrap();
    }
    let here = thread::current().id();
    assert_eq!(disk.count(), begun + 5);
    assert!(disk.syncs.lock()[begun..].iter().all(|who| *who != here));
}

#[test]
fn those_who_come_while_a_sync_runs_share_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::ZERO);
    let begun = disk.count();
    disk.hold(true);
    thread::scope(|scope| {
        let wait = |n| {
            let durable = ended(&ledger, n);
            scope.spawn(move || durable.wait().unwrap())
        };
        let mut waiting = vec![wait(1)];
        until("the first sync", || disk.count() == begun + 1);
        waiting.extend((2..=20).map(wait));
        // They wait, or will find what they wrote synced already.
        disk.hold(false);
        for one in waiting {
            one.join().unwrap();
        }
    });
    assert_eq!(disk.count() - begun, 2);
}

#[test]
fn soon_after_a_sync_nobody_syncs_on_the_spot() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::from_secs(2));
    ended(&ledger, 1).wait().unwrap();
    let before = disk.count();
    let mut context = Context::from_waker(Waker::noop());
    let waiting: Vec<_> = (2..=4)
        .map(|n| {
            let mut durable = pin!(ended(&ledger, n));
            assert!(durable.as_mut().poll(&mut context).is_pending());
            durable.number()
        })
        .collect();
    assert_eq!(disk.count(), before, "of {waiting:?}");
    // They share the next one, which the thread for it does when its time has come.
    ended(&ledger, 5).wait().unwrap();
    assert_eq!(disk.count(), before + 1);
    assert_ne!(disk.last(), Some(thread::current().id()));
}

#[test]
fn what_nobody_waits_for_is_synced_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::ZERO);
    for n in 1..=3 {
        let before = disk.count();
        drop(ended(&ledger, n));
        until("its sync", || disk.count() > before);
        assert_ne!(disk.last(), Some(thread::current().id()));
    }
}
