//! A disk that is full, or fails.

use std::sync::{Arc, atomic::Ordering};

use tollgate_base::ManualClock;
use tollgate_ledger::{Config, Ledger, Refusal};
use tollgate_store::MemoryLedger;

use crate::support::{
    BadDisk, Faults, config, id, open, opening, settle, settlement, total, until,
};

fn ledger(folder: &std::path::Path) -> (Ledger, Arc<MemoryLedger>, Arc<Faults>) {
    let disk = BadDisk::default();
    let faults = disk.0.clone();
    let store = Arc::new(MemoryLedger::default());
    let slow = Config {
        patience: std::time::Duration::from_millis(30),
        ..config(folder)
    };
    let clock = Arc::new(ManualClock::default());
    let ledger = Ledger::open_on(slow, store.clone(), clock, Arc::new(disk)).unwrap();
    (ledger, store, faults)
}

#[test]
fn on_a_full_disk_new_attempts_are_refused_and_begun_ones_settled() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, store, faults) = ledger(folder.path());
    for n in 0..10 {
        ledger.begin(&opening(n)).unwrap();
        ledger.dispatched(&id(n)).unwrap();
    }
    faults.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let refused = ledger.begin(&opening(10)).unwrap_err();
        assert_eq!(
            (refused.code(), refused.kind().status()),
            ("storage_full", 503)
        );
    }
    for n in 0..10 {
        ledger.settle(&settlement(n)).wait().unwrap();
    }
    let health = ledger.health();
    assert_eq!((health.refuses, health.ready), (Some(Refusal::Full), false));
    faults.full.store(false, Ordering::SeqCst);
    until("room again", || ledger.health().ready);
    settle(&ledger, 10..20);
    ledger.close().unwrap();
    let sums = total(&*store);
    assert_eq!((sums.attempts, sums.unknown), (20, 0));
    assert_eq!(
        sums.cost().nanos(),
        (0..20).map(|n| 1_000 + n).sum::<i128>()
    );
}

#[test]
fn the_whole_reserve_serves_where_a_file_is_shorter_than_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = BadDisk::default();
    let faults = disk.0.clone();
    let store = Arc::new(MemoryLedger::default());
    let short = Config {
        segment_bytes: 1_000,
        patience: std::time::Duration::from_millis(30),
        ..config(folder.path())
    };
    let clock = Arc::new(ManualClock::default());
    let ledger = Ledger::open_on(short, store.clone(), clock, Arc::new(disk)).unwrap();
    for n in 0..50 {
        ledger.begin(&opening(n)).unwrap();
        ledger.dispatched(&id(n)).unwrap();
    }
    faults.full.store(true, Ordering::SeqCst);
    for n in 0..50 {
        ledger.settle(&settlement(n)).wait().unwrap();
    }
    assert_eq!(ledger.health().alarms.parked, 0);
    faults.full.store(false, Ordering::SeqCst);
    until("room again", || ledger.health().ready);
    ledger.close().unwrap();
    assert_eq!(total(&*store).attempts, 50);
}

#[test]
fn a_settlement_that_finds_no_room_at_all_waits_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, store, faults) = ledger(folder.path());
    ledger.begin(&opening(1)).unwrap();
    ledger.dispatched(&id(1)).unwrap();
    faults.broken.store(true, Ordering::SeqCst);
    let told = ledger.settle(&settlement(1)).wait().unwrap_err();
    assert_eq!(told.code(), "storage_unavailable");
    assert_eq!(ledger.health().alarms.parked, 1);
    assert_eq!(
        ledger.begin(&opening(2)).unwrap_err().code(),
        "storage_unavailable"
    );
    faults.broken.store(false, Ordering::SeqCst);
    until("healed", || ledger.health().ready);
    ledger.close().unwrap();
    assert_eq!(total(&*store).cost().nanos(), 1_001);
}

#[test]
fn after_a_failed_sync_everything_is_copied_to_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, store, faults) = ledger(folder.path());
    settle(&ledger, 0..5);
    faults.bad_syncs.store(1, Ordering::SeqCst);
    settle(&ledger, 5..6);
    assert_eq!(ledger.health().alarms.sync_failures, 1);
    until("healed", || ledger.health().ready);
    settle(&ledger, 6..10);
    ledger.close().unwrap();
    assert_eq!(total(&*store).attempts, 10);
}

#[test]
fn a_settlement_that_cannot_be_made_durable_says_so_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, store, faults) = ledger(folder.path());
    ledger.begin(&opening(1)).unwrap();
    faults.bad_syncs.store(2, Ordering::SeqCst);
    let told = ledger.settle(&settlement(1)).wait().unwrap_err();
    assert_eq!(told.code(), "storage_unavailable");
    until("healed", || ledger.health().ready);
    ledger.close().unwrap();
    assert_eq!(total(&*store).cost().nanos(), 1_001);
}

#[test]
fn a_refused_attempt_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, store, faults) = ledger(folder.path());
    settle(&ledger, 0..3);
    faults.full.store(true, Ordering::SeqCst);
    ledger.begin(&opening(3)).unwrap_err();
    ledger.close().unwrap();
    assert_eq!(total(&*store).attempts, 3);
}

#[test]
fn the_reserve_that_was_used_is_read_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (first, store, faults) = ledger(folder.path());
    first.begin(&opening(1)).unwrap();
    first.dispatched(&id(1)).unwrap();
    faults.full.store(true, Ordering::SeqCst);
    first.settle(&settlement(1)).wait().unwrap();
    drop(first);
    let again = open(folder.path(), &store);
    assert_eq!(again.recovery().damaged_files, 0);
    assert_eq!(total(&*store).cost().nanos(), 1_001);
    settle(&again, [2]);
}
