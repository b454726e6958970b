//! Who syncs: whoever waits, where it waits alone and the disk is quick; else the thread for it, once for all who wait.

use std::{
    future::Future as _,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    thread::{self, ThreadId},
    time::Duration,
};

use tollgate_base::ManualClock;
use tollgate_ledger::{Config, Durable, Ledger};
use tollgate_store::MemoryLedger;

use crate::support::{BadDisk, Faults, config, opening, settlement, until};

/// A ledger whose disk rests for so long between syncs, and is quick when a sync takes less than `quick`.
fn ledger(folder: &Path, sync_interval: Duration, quick: Duration) -> (Ledger, Arc<Faults>) {
    let disk = BadDisk::default();
    let faults = disk.0.clone();
    let config = Config {
        sync_interval,
        quick_sync: quick,
        ..config(folder)
    };
    let ledger = Ledger::open_on(
        config,
        Arc::new(MemoryLedger::default()),
        Arc::new(ManualClock::default()),
        Arc::new(disk),
    );
    (ledger.unwrap(), faults)
}

fn count(disk: &Faults) -> usize {
    disk.syncs.lock().len()
}

fn last(disk: &Faults) -> Option<ThreadId> {
    disk.syncs.lock().last().copied()
}

fn ended(ledger: &Ledger, n: u64) -> Durable {
    ledger.dispatch(&opening(n)).unwrap();
    ledger.settle(&settlement(n))
}

#[test]
fn who_waits_alone_on_a_quick_disk_syncs_on_the_spot() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::ZERO, Duration::MAX);
    let mut n = 0;
    // How quick the disk is, the thread for it finds out, and it may just be about to say so.
    until("a sync on this thread", || {
        n += 1;
        let before = count(&disk);
        ended(&ledger, n).wait().unwrap();
        assert_eq!(count(&disk), before + 1, "one sync for one who waits");
        last(&disk) == Some(thread::current().id())
    });
    assert!(n > 1, "nobody knew how quick the disk is");
}

#[test]
fn a_slow_disk_is_left_to_the_thread_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::ZERO, Duration::ZERO);
    let begun = count(&disk);
    for n in 1..=5 {
        ended(&ledger, n).wait().unwrap();
    }
    let here = thread::current().id();
    assert_eq!(count(&disk), begun + 5);
    assert!(disk.syncs.lock()[begun..].iter().all(|who| *who != here));
}

#[test]
fn those_who_come_while_a_sync_runs_share_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::ZERO, Duration::MAX);
    let begun = count(&disk);
    disk.hold_syncs(true);
    thread::scope(|scope| {
        let wait = |n| {
            let durable = ended(&ledger, n);
            scope.spawn(move || durable.wait().unwrap())
        };
        let mut waiting = vec![wait(1)];
        until("the first sync", || count(&disk) == begun + 1);
        waiting.extend((2..=20).map(wait));
        // They wait, or will find what they wrote synced already.
        disk.hold_syncs(false);
        for one in waiting {
            one.join().unwrap();
        }
    });
    assert_eq!(count(&disk) - begun, 2);
}

#[test]
fn soon_after_a_sync_nobody_syncs_on_the_spot() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::from_secs(2), Duration::MAX);
    ended(&ledger, 1).wait().unwrap();
    let before = count(&disk);
    let mut context = Context::from_waker(Waker::noop());
    let waiting: Vec<_> = (2..=4)
        .map(|n| {
            let mut durable = pin!(ended(&ledger, n));
            assert!(durable.as_mut().poll(&mut context).is_pending());
            durable.number()
        })
        .collect();
    assert_eq!(count(&disk), before, "of {waiting:?}");
    // They share the next one, which the thread for it does when its time has come.
    ended(&ledger, 5).wait().unwrap();
    assert_eq!(count(&disk), before + 1);
    assert_ne!(last(&disk), Some(thread::current().id()));
}

#[test]
fn what_nobody_waits_for_is_synced_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, disk) = ledger(folder.path(), Duration::ZERO, Duration::MAX);
    for n in 1..=3 {
        let before = count(&disk);
        drop(ended(&ledger, n));
        until("its sync", || count(&disk) > before);
        assert_ne!(last(&disk), Some(thread::current().id()));
    }
}
