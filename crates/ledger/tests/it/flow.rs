//! The ordinary course: what is written arrives, and what a process left open is ended.

use std::{
    sync::Arc,
    task::{Context, Wake, Waker},
};

use tollgate_base::{ManualClock, Money, UnixMillis};
use tollgate_ledger::{Config, Durability, Ledger, OpenError, verify};
use tollgate_policy::ledger::{AttemptState, Cost, LedgerStore as _};
use tollgate_store::{MemoryLedger, SqliteLedger};

use crate::support::{all, config, id, open, opening, settle, settlement, total};

#[test]
fn what_is_settled_is_in_the_store_after_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteLedger::open(folder.path()).unwrap());
    let ledger = open(folder.path(), &store);
    settle(&ledger, 0..100);
    ledger.begin(&opening(100)).unwrap();
    ledger.release(&id(100)).unwrap();
    ledger.close().unwrap();
    let sums = total(&*store);
    assert_eq!((sums.attempts, sums.cost().nanos()), (101, 104_950));
    assert_eq!(ledger.health().waiting_rows, 0);
    let verified = verify::verify(&*store).unwrap();
    assert_eq!((verified.attempts, verified.findings), (101, vec![]));
}

#[test]
fn a_second_process_is_refused_by_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryLedger::default());
    let first = open(folder.path(), &store);
    let second = Ledger::open(
        config(folder.path()),
        store.clone(),
        Arc::new(ManualClock::default()),
    );
    assert!(
        matches!(&second, Err(OpenError::Locked(message)) if message.contains("Another Tollgate")),
        "{second:?}"
    );
    drop(first);
    open(folder.path(), &store);
}

#[test]
fn what_was_left_open_is_released_or_unknown_until_it_is_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryLedger::default());
    let ledger = open(folder.path(), &store);
    for n in 0..4 {
        ledger.begin(&opening(n)).unwrap();
    }
    for n in 2..4 {
        ledger.dispatched(&id(n)).unwrap();
    }
    for n in 4..6 {
        ledger.dispatch(&opening(n)).unwrap();
    }
    ledger.settle(&settlement(5)).wait().unwrap();
    drop(ledger);
    let ledger = open(folder.path(), &store);
    let found = ledger.recovery();
    assert_eq!((found.released, found.lost), (2, 3));
    let states = || -> Vec<_> { all(&*store).iter().map(|one| one.attempt.state).collect() };
    let (released, unknown, settled) = (
        AttemptState::Released,
        AttemptState::Unknown,
        AttemptState::Settled,
    );
    assert_eq!(
        states(),
        [released, released, unknown, unknown, unknown, settled]
    );
    assert_eq!(total(&*store).held_unknown.nanos(), 15_009);
    ledger.resolve(&id(2), Money::from_nanos(7)).unwrap();
    assert_eq!(ledger.resolve_all_at_hold().unwrap(), 2);
    assert_eq!(total(&*store).unknown, 0);
    // 7, the holds of two attempts, and the settled one.
    assert_eq!(total(&*store).cost().nanos(), 7 + 5_003 + 5_004 + 1_005);
    drop(ledger);
    assert_eq!(open(folder.path(), &store).recovery().lost, 0);
}

#[test]
fn new_prices_stand_beside_what_was_booked() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteLedger::open(folder.path()).unwrap());
    let ledger = open(folder.path(), &store);
    settle(&ledger, 0..10);
    let all_time = (UnixMillis(0), UnixMillis(u64::MAX));
    let before = {
        ledger.flush().unwrap();
        all(&*store)
    };
    let doubled = ledger
        .reprice(all_time, |attempt| {
            let cost = attempt.cost()?.times(2);
            Some((cost, "2026-02-01".to_owned(), String::new()))
        })
        .unwrap();
    assert_eq!(doubled.corrected, 10);
    let sums = total(&*store);
    assert_eq!(sums.cost_corrected, sums.cost().times(2));
    for (old, new) in before.iter().zip(all(&*store)) {
        assert_eq!(old.attempt, new.attempt);
        assert_eq!(new.correction.unwrap().price_version, "2026-02-01");
    }
}

#[test]
fn a_cost_that_its_own_prices_contradict_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryLedger::default());
    let ledger = open(folder.path(), &store);
    for (n, nanos) in [(0, 1_000), (1, 999)] {
        let mut settled = settlement(n);
        settled.usage.input = 400;
        settled.usage.output = 60;
        settled.unit_prices = "input=1.00 output=10.00".to_owned();
        settled.cost = Cost::Known(Money::from_nanos(nanos * 1_000));
        ledger.begin(&opening(n)).unwrap();
        ledger.settle(&settled).wait().unwrap();
    }
    ledger.close().unwrap();
    let verified = verify::verify(&*store).unwrap();
    assert_eq!(verified.recomputed, 1);
    let rules: Vec<_> = verified
        .findings
        .iter()
        .map(|finding| finding.rule)
        .collect();
    assert_eq!(rules, ["cost"]);
}

#[test]
fn a_full_journal_is_not_ready_at_nine_tenths_and_refuses_at_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(crate::support::Moody::default());
    let small = Config {
        most_rows: 20,
        ..config(folder.path())
    };
    let ledger = Ledger::open(small, store.clone(), Arc::new(ManualClock::default())).unwrap();
    *store.error.lock() = Some(tollgate_base::Error::new(
        tollgate_base::Kind::Overloaded,
        "storage_unavailable",
        "Down.",
    ));
    for n in 0..17 {
        ledger.begin(&opening(n)).unwrap();
    }
    assert!(ledger.health().ready);
    ledger.begin(&opening(17)).unwrap();
    assert!(!ledger.health().ready && ledger.health().refuses.is_none());
    ledger.begin(&opening(18)).unwrap();
    ledger.begin(&opening(19)).unwrap();
    let refused = ledger.begin(&opening(20)).unwrap_err();
    assert_eq!(
        (refused.code(), refused.kind().status()),
        ("storage_full", 503)
    );
    // What has begun is settled all the same.
    ledger.settle(&settlement(3)).wait().unwrap();
    *store.error.lock() = None;
    crate::support::until("room again", || ledger.health().ready);
    ledger.begin(&opening(20)).unwrap();
    ledger.close().unwrap();
    assert_eq!(total(&*store).attempts, 21);
}

#[test]
fn a_task_is_woken_when_its_record_is_on_the_disk() {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryLedger::default());
    let ledger = open(folder.path(), &store);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    for n in 0..100 {
        ledger.begin(&opening(n)).unwrap();
        let mut durable = std::pin::pin!(ledger.settle(&settlement(n)));
        while durable
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            std::thread::park();
        }
    }
    assert_eq!(ledger.health().alarms.sync_failures, 0);
}

#[test]
fn without_durability_against_power_loss_nothing_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryLedger::default());
    let quick = Config {
        durability: Durability::Process,
        ..config(folder.path())
    };
    let ledger = Ledger::open(quick, store.clone(), Arc::new(ManualClock::default())).unwrap();
    ledger.begin(&opening(1)).unwrap();
    let mut durable = std::pin::pin!(ledger.settle(&settlement(1)));
    let polled = durable
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready());
    assert_eq!(store.shipped().map(|_| ()), Ok(()));
}
