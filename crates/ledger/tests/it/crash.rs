//! The process dies at a named point or at any moment, and is started again: what was acknowledged is there.
//!
//! The test starts itself as a child that works until it is killed, and writes on a pipe what the ledger
//! acknowledged. `TOLLGATE_LEDGER_KILLS` sets how often it is killed at random.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tollgate_base::{IdSource, SystemClock};
use tollgate_ledger::{Config, Ledger, dead_letters, verify};
use tollgate_policy::ledger::AttemptState;
use tollgate_store::SqliteLedger;

use crate::support::{all, config, id, opening, settlement};

const FOLDER: &str = "TOLLGATE_TEST_CHILD_FOLDER";
const FIRST: &str = "TOLLGATE_TEST_CHILD_FIRST";

fn open(folder: &Path) -> (Ledger, Arc<SqliteLedger>) {
    let store = Arc::new(SqliteLedger::open(folder).unwrap());
    let small = Config {
        segment_bytes: 20_000,
        batch: 64,
        ..config(folder)
    };
    let ledger = Ledger::open(small, store.clone(), Arc::new(SystemClock)).unwrap();
    (ledger, store)
}

/// Not a test of its own: what the killed process does.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the parent speaks to the child by its environment"
)]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let (ledger, _store) = open(Path::new(&folder));
    let mut out = std::io::stdout().lock();
    for n in first.. {
        ledger.begin(&opening(n)).unwrap();
        writeln!(out, "\nbegun {n}").unwrap();
        if n % 10 == 9 {
            ledger.release(&id(n)).unwrap();
            continue;
        }
        ledger.dispatched(&id(n)).unwrap();
        writeln!(out, "\ndispatched {n}").unwrap();
        ledger.settle(&settlement(n)).wait().unwrap();
        writeln!(out, "\nsettled {n}").unwrap();
    }
}

#[derive(Default)]
struct Acknowledged {
    begun: HashSet<u64>,
    dispatched: HashSet<u64>,
    settled: HashSet<u64>,
}

/// Runs the child until it is dead, by itself or after `life`.
fn run_child(
    folder: &Path,
    first: u64,
    point: Option<&str>,
    life: Duration,
    seen: &mut Acknowledged,
) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(point) = point {
        command.env("TOLLGATE_CRASH_AT", point);
    }
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let killer = std::thread::spawn(move || {
        let deadline = std::time::Instant::now() + life;
        while child.try_wait().unwrap().is_none() {
            if std::time::Instant::now() >= deadline {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    for line in output.lines().map_while(Result::ok) {
        let Some((word, Ok(n))) = line.split_once(' ').map(|(word, n)| (word, n.parse())) else {
            continue;
        };
        match word {
            "begun" => seen.begun.insert(n),
            "dispatched" => seen.dispatched.insert(n),
            "settled" => seen.settled.insert(n),
            _ => continue,
        };
    }
    killer.join().unwrap();
}

/// Starts again and compares the ledger with what was acknowledged.
fn check(folder: &Path, seen: &Acknowledged, what: &str) {
    let began = std::time::Instant::now();
    let (ledger, store) = open(folder);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{what}: {:?}",
        began.elapsed()
    );
    ledger.close().unwrap();
    let mut found = HashSet::new();
    for listed in all(&*store) {
        let attempt = &listed.attempt;
        let n: u64 = attempt.opening.id.request_id[4..].parse().unwrap();
        assert!(found.insert(n), "{what}: {n} is there twice");
        assert_eq!(attempt.opening, opening(n), "{what}");
        if seen.settled.contains(&n) {
            assert_eq!(attempt.settlement, Some(settlement(n)), "{what}: {n}");
        }
        let is_ended = matches!(
            attempt.state,
            AttemptState::Settled | AttemptState::Released | AttemptState::Unknown
        );
        assert!(is_ended, "{what}: {n} is {:?}", attempt.state);
        if seen.dispatched.contains(&n) {
            assert_ne!(attempt.state, AttemptState::Released, "{what}: {n}");
        }
    }
    let lost: Vec<_> = seen.begun.difference(&found).collect();
    assert!(lost.is_empty(), "{what}: lost {lost:?}");
    let mut verified = verify::verify(&*store).unwrap();
    verify::verify_journal(folder, &mut verified).unwrap();
    assert_eq!(verified.findings, [], "{what}");
    assert_eq!(dead_letters(folder).unwrap(), [], "{what}");
}

#[test]
fn nothing_acknowledged_is_lost_at_any_named_point() {
    for point in [
        "before-open-write",
        "after-open-write",
        "before-settle-write",
        "after-settle-write",
        "before-sync",
        "journal-rotate",
        "ship-before-send",
        "ship-after-send",
        "ship-after-commit",
        "checkpoint",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Acknowledged::default();
        for (round, pass) in [1, 2, 5].into_iter().enumerate() {
            let at = format!("{point}:{pass}");
            let first = round as u64 * 100_000;
            run_child(
                folder.path(),
                first,
                Some(&at),
                Duration::from_secs(20),
                &mut seen,
            );
            check(folder.path(), &seen, &at);
        }
    }
}

#[test]
fn a_recovery_that_dies_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Acknowledged::default();
    let points = ["recovery-replay:1", "recovery-replay:2", "recovery-close:1"];
    for (round, point) in points.into_iter().enumerate() {
        let first = round as u64 * 100_000;
        let life = Duration::from_secs(20);
        let open = "before-settle-write:5";
        run_child(folder.path(), first, Some(open), life, &mut seen);
        let begun = seen.begun.len();
        run_child(folder.path(), first + 50_000, Some(point), life, &mut seen);
        assert_eq!(seen.begun.len(), begun, "{point} was not reached");
        check(folder.path(), &seen, point);
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the long tier asks for more kills by the environment"
)]
fn nothing_acknowledged_is_lost_by_kills_at_random_moments() {
    let kills: u64 =
        std::env::var("TOLLGATE_LEDGER_KILLS").map_or(10, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let random = IdSource::from_entropy();
    let mut seen = Acknowledged::default();
    for round in 0..kills {
        let life = Duration::from_millis(5 + random.number() % 200);
        run_child(folder.path(), round * 100_000, None, life, &mut seen);
        check(
            folder.path(),
            &seen,
            &format!("kill {round} after {life:?}"),
        );
    }
    assert!(seen.settled.len() > 10, "{}", seen.settled.len());
}
