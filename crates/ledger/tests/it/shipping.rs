//! A store that fails, in all the ways that stores do.

use std::sync::{Arc, atomic::Ordering};

use tollgate_base::{Error, Kind};
use tollgate_ledger::{dead_letters, waiting};
use tollgate_policy::ledger::{Entry, LedgerStore as _};
use tollgate_store::MemoryLedger;

use crate::support::{Moody, id, open, opening, settle, settlement, total, until};

#[test]
fn nothing_is_lost_whatever_error_the_store_fails_with() {
    for (kind, code) in [
        (Kind::Conflict, "deadlock"),
        (Kind::Conflict, "unique"),
        (Kind::Overloaded, "disk_full"),
        (Kind::UpstreamTimeout, "timeout"),
        (Kind::RequestTimeout, "cancelled"),
        (Kind::Conflict, "serialization"),
        (Kind::Overloaded, "busy"),
        (Kind::Overloaded, "connection_refused"),
        (Kind::Overloaded, "connection_reset"),
        (Kind::Permission, "read_only"),
        (Kind::Internal, "corrupt"),
        (Kind::InvalidRequest, "syntax"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Moody::default());
        let ledger = open(folder.path(), &store);
        *store.error.lock() = Some(Error::new(kind, code, code));
        settle(&ledger, 0..50);
        until("tried often", || store.calls.load(Ordering::Relaxed) > 12);
        assert_eq!(ledger.health().store_error.as_deref(), Some(code));
        *store.error.lock() = None;
        until("shipped", || total(&*store).attempts == 50);
        ledger.close().unwrap();
        assert_eq!(
            total(&*store).cost().nanos(),
            (0..50).map(|n| 1_000 + n).sum::<i128>()
        );
        assert_eq!(dead_letters(folder.path()).unwrap(), [], "{code}");
        assert_eq!(ledger.health().store_error, None);
    }
}

#[test]
fn a_commit_whose_answer_was_lost_is_not_applied_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Moody::default());
    store.every.store(2, Ordering::Relaxed);
    let ledger = open(folder.path(), &store);
    settle(&ledger, 0..200);
    until("shipped", || ledger.health().waiting_rows == 0);
    let sums = total(&*store);
    assert_eq!((sums.attempts, sums.requests), (200, 200));
    assert_eq!(dead_letters(folder.path()).unwrap(), []);
}

#[test]
fn one_bad_row_in_a_thousand_is_put_aside_and_blocks_no_other() {
    for place in 0..20 {
        let poisoned = place * 50 + place;
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Moody::default());
        *store.error.lock() = Some(Error::new(Kind::Overloaded, "down", "Down."));
        *store.poison.lock() = Some(id(poisoned));
        let quick = tollgate_ledger::Config {
            durability: tollgate_ledger::Durability::Process,
            ..crate::support::config(folder.path())
        };
        // Opened while the store works: opening an old journal may fail with it.
        *store.error.lock() = None;
        let clock = Arc::new(tollgate_base::ManualClock::default());
        let ledger = tollgate_ledger::Ledger::open(quick, store.clone(), clock).unwrap();
        *store.error.lock() = Some(Error::new(Kind::Overloaded, "down", "Down."));
        for n in 0..1_000 {
            ledger.begin(&opening(n)).unwrap();
        }
        *store.error.lock() = None;
        until("shipped", || ledger.health().waiting_rows == 0);
        assert_eq!(total(&*store).attempts, 999);
        let dead = dead_letters(folder.path()).unwrap();
        assert_eq!(dead.len(), 1);
        assert_eq!(dead[0].entry, Entry::Opened(opening(poisoned)));
        assert_eq!(ledger.health().alarms.dead_letters, 1);
    }
}

#[test]
fn what_the_store_refuses_is_put_aside_once_and_counted_again_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryLedger::default());
    let ledger = open(folder.path(), &store);
    settle(&ledger, [1]);
    // It was never opened.
    ledger.settle(&settlement(2)).wait().unwrap();
    settle(&ledger, [3]);
    ledger.close().unwrap();
    drop(ledger);
    let dead = dead_letters(folder.path()).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].entry, Entry::Settled(settlement(2)));
    assert!(dead[0].reason.contains("beginning"), "{}", dead[0].reason);
    assert_eq!(total(&*store).attempts, 2);
    let ledger = open(folder.path(), &store);
    assert_eq!(ledger.health().alarms.dead_letters, 1);
}

#[test]
fn an_empty_store_gets_everything_that_the_journal_still_has() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryLedger::default());
    let keeping = || tollgate_ledger::Config {
        keep: std::time::Duration::from_hours(24),
        ..crate::support::config(folder.path())
    };
    let clock = Arc::new(tollgate_base::ManualClock::default());
    let ledger = tollgate_ledger::Ledger::open(keeping(), store, clock.clone()).unwrap();
    settle(&ledger, 0..20);
    ledger.close().unwrap();
    drop(ledger);
    let other = Arc::new(MemoryLedger::default());
    let ledger = tollgate_ledger::Ledger::open(keeping(), other.clone(), clock).unwrap();
    assert_eq!(total(&*other).attempts, 20);
    assert_eq!(ledger.recovery().shipped, 60);
    assert!(other.shipped().unwrap() >= 60);
}

#[test]
fn what_waits_for_the_store_can_be_read_beside_the_process_that_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(waiting(folder.path(), 0).unwrap(), []);
    let store = Arc::new(Moody::default());
    let ledger = open(folder.path(), &store);
    *store.error.lock() = Some(Error::new(Kind::Overloaded, "busy", "busy"));
    ledger.begin(&opening(1)).unwrap();
    ledger.settle(&settlement(1)).wait().unwrap();
    let entries = [Entry::Opened(opening(1)), Entry::Settled(settlement(1))];
    assert_eq!(waiting(folder.path(), 0).unwrap(), entries);
    assert_eq!(waiting(folder.path(), 1).unwrap(), entries[1..]);
    *store.error.lock() = None;
    ledger.flush().unwrap();
    assert_eq!(
        waiting(folder.path(), store.shipped().unwrap()).unwrap(),
        []
    );
}
