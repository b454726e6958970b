//! What is tried when, on a clock that stands still until nothing else is to do.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};
use tollgate_base::{Clock, UnixMillis};

use super::{NOW, crossing};
use crate::{Alert, AlertLog as _, Alerts, Channel, Dispatcher, FileLog, MemoryLog};

/// The wall clock of a paused runtime.
#[derive(Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> UnixMillis {
        NOW.plus(self.0.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A channel that fails `failures` times, and what it was told when.
fn receiver(name: &str, failures: u64) -> (Channel, mpsc::UnboundedReceiver<(String, Instant)>) {
    let (told, seen) = mpsc::unbounded_channel();
    let left = AtomicU64::new(failures);
    let script = move |alert: &Alert| {
        told.send((alert.id.clone(), Instant::now())).unwrap();
        if left.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        left.fetch_sub(1, Ordering::Relaxed);
        Err("down".to_owned())
    };
    (Channel::scripted(name, Box::new(script)), seen)
}

fn start(
    channels: Vec<Channel>,
    log: Arc<dyn crate::AlertLog>,
) -> (Alerts, tokio::task::JoinHandle<()>) {
    let clock = Arc::new(Paused(Instant::now()));
    let (alerts, dispatcher) = Dispatcher::new(channels, log, clock);
    (alerts, tokio::spawn(dispatcher.run()))
}

#[tokio::test(start_paused = true)]
async fn a_crossing_is_told_once_however_often_it_is_found() {
    let (channel, mut seen) = receiver("a", 0);
    let (alerts, task) = start(vec![channel], Arc::new(MemoryLog::default()));
    for _ in 0..50 {
        alerts.send(crossing("b", 80));
    }
    alerts.send(crossing("b", 100));
    assert_eq!(seen.recv().await.unwrap().0, crossing("b", 80).id);
    assert_eq!(seen.recv().await.unwrap().0, crossing("b", 100).id);
    drop(alerts);
    task.await.unwrap();
    assert!(seen.recv().await.is_none(), "nothing else was told");
}

#[tokio::test(start_paused = true)]
async fn a_failed_delivery_is_tried_again_ever_more_slowly_until_it_is_accepted() {
    let (channel, mut seen) = receiver("a", 20);
    let log = Arc::new(MemoryLog::default());
    let (alerts, _task) = start(vec![channel], Arc::clone(&log) as _);
    alerts.send(crossing("b", 80));
    let mut times = Vec::new();
    for _ in 0..21 {
        times.push(seen.recv().await.unwrap().1);
    }
    let mut bound = Duration::from_secs(1);
    for pair in times.windows(2) {
        let pause = pair[1] - pair[0];
        assert!(
            pause >= bound / 2 && pause <= bound + Duration::from_millis(5),
            "{pause:?} {bound:?}"
        );
        bound = (bound * 2).min(Duration::from_hours(1));
    }
    tokio::time::sleep(Duration::from_hours(30)).await;
    assert!(seen.try_recv().is_err(), "accepted is accepted");
    assert!(log.pending().is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_a_day_an_alert_is_given_up() {
    let (channel, mut seen) = receiver("a", u64::MAX);
    let log = Arc::new(MemoryLog::default());
    let (alerts, _task) = start(vec![channel], Arc::clone(&log) as _);
    let began = Instant::now();
    alerts.send(crossing("b", 80));
    tokio::time::sleep(Duration::from_hours(72)).await;
    let mut last = began;
    while let Ok((_, at)) = seen.try_recv() {
        last = at;
    }
    let after = last - began;
    assert!(
        after >= Duration::from_hours(24) && after <= Duration::from_hours(25),
        "{after:?}"
    );
    assert!(log.pending().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_delays_nobody_else() {
    let (down, _) = receiver_kept("down");
    let (up, mut seen) = receiver("up", 0);
    let (alerts, _task) = start(vec![down, up], Arc::new(MemoryLog::default()));
    let began = Instant::now();
    for n in 0..20 {
        alerts.send(crossing(&n.to_string(), 80));
    }
    for _ in 0..20 {
        assert!(seen.recv().await.unwrap().1 - began < Duration::from_millis(100));
    }
}

fn receiver_kept(name: &str) -> (Channel, Arc<Mutex<u64>>) {
    let tries = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&tries);
    let script = move |_: &Alert| {
        *counted.lock() += 1;
        Err("down".to_owned())
    };
    (Channel::scripted(name, Box::new(script)), tries)
}

#[tokio::test(start_paused = true)]
async fn more_alerts_at_once_than_the_queue_holds_are_all_told() {
    let (channel, mut seen) = receiver("a", 0);
    let (alerts, _task) = start(vec![channel], Arc::new(MemoryLog::default()));
    for n in 0..600 {
        alerts.send(crossing(&n.to_string(), 80));
    }
    assert_eq!(alerts.overflowed(), 344);
    let mut told = std::collections::BTreeSet::new();
    for _ in 0..600 {
        assert!(told.insert(seen.recv().await.unwrap().0), "told twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_takes_up_what_was_not_delivered_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (good, mut good_seen) = receiver("good", 0);
    let (bad, mut bad_seen) = receiver("bad", u64::MAX);
    let log = Arc::new(FileLog::open(folder.path()).unwrap());
    let (alerts, task) = start(vec![good, bad], log);
    alerts.send(crossing("b", 80));
    good_seen.recv().await.unwrap();
    bad_seen.recv().await.unwrap();
    drop(alerts);
    task.await.unwrap();

    let (good, mut good_seen) = receiver("good", 0);
    let (bad, mut bad_seen) = receiver("bad", 0);
    let log = Arc::new(FileLog::open(folder.path()).unwrap());
    let (alerts, task) = start(vec![good, bad], Arc::clone(&log) as _);
    alerts.send(crossing("b", 80));
    assert_eq!(bad_seen.recv().await.unwrap().0, crossing("b", 80).id);
    drop(alerts);
    task.await.unwrap();
    assert!(good_seen.recv().await.is_none());
    assert!(bad_seen.recv().await.is_none());
    assert!(FileLog::open(folder.path()).unwrap().pending().is_empty());
}

#[test]
fn a_channel_gets_what_it_asked_for() {
    let [all, team, outcomes] = super::settings(
        "[alerts.all]\nkind = \"slack\"\nurl = \"http://127.0.0.1:1/\"\n\
         [alerts.b]\nkind = \"slack\"\nurl = \"http://127.0.0.1:1/\"\nscopes = [\"team:t\"]\n\
         [alerts.c]\nkind = \"slack\"\nurl = \"http://127.0.0.1:1/\"\nevents = [\"outcome\"]\n",
    )
    .try_into()
    .unwrap();
    let outcome = Alert::unknown_outcomes(1, tollgate_base::Money::ZERO, NOW, NOW);
    let test = Alert::test("b", NOW);
    for (channel, budget_is_wanted, outcome_is_wanted) in [
        (all, true, true),
        (team, true, false),
        (outcomes, false, true),
    ] {
        assert_eq!(
            channel.wants(&crossing("x", 80)),
            budget_is_wanted,
            "{channel:?}"
        );
        assert_eq!(channel.wants(&outcome), outcome_is_wanted, "{channel:?}");
        assert!(channel.wants(&test));
    }
}
