//! What the ledger costs. Not run by default: `cargo nextest run --release -p tollgate-ledger --run-ignored only`.

use std::{sync::Arc, time::Instant};

use tollgate_base::SystemClock;
use tollgate_ledger::{Config, Durability, Ledger};
use tollgate_store::SqliteLedger;

use crate::support::{id, opening, settlement, total};

#[test]
#[ignore = "a measurement"]
fn settled_calls_per_second_into_sqlite() {
    for durability in [Durability::Process, Durability::Power] {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteLedger::open(folder.path()).unwrap());
        let config = Config {
            durability,
            ..Config::new(folder.path())
        };
        let ledger = Ledger::open(config, store.clone(), Arc::new(SystemClock)).unwrap();
        let n = 100_000;
        let calls: Vec<_> = (0..n).map(|n| (opening(n), settlement(n), id(n))).collect();
        let began = Instant::now();
        let mut last = None;
        for (opening, settlement, id) in &calls {
            ledger.begin(opening).unwrap();
            ledger.dispatched(id).unwrap();
            last = Some(ledger.settle(settlement));
        }
        let written = began.elapsed();
        last.unwrap().wait().unwrap();
        let synced = began.elapsed();
        ledger.flush().unwrap();
        let shipped = began.elapsed();
        assert_eq!(total(&*store).attempts, n);
        println!(
            "{durability:?}: {:.2} us per call to write, synced after {synced:?}, {:.0} calls/s into the store",
            written.as_secs_f64() * 1e6 / n as f64,
            n as f64 / shipped.as_secs_f64(),
        );
        let began = Instant::now();
        for n in n..n + 500 {
            ledger.begin(&opening(n)).unwrap();
            ledger.dispatched(&id(n)).unwrap();
            ledger.settle(&settlement(n)).wait().unwrap();
        }
        println!(
            "{durability:?}: {:?} per call, one after the other",
            began.elapsed() / 500
        );
    }
}
