//! Watches what the gateway notices, and has people told of what they may want to know.

use std::sync::Arc;

use tokio::{
    sync::mpsc,
    time::{Duration, MissedTickBehavior},
};
use tollgate_alerts::{Alert, Alerts, BudgetCrossing, Dispatcher, FileLog, Pattern, channels};
use tollgate_base::{Clock as _, Money, Result, SystemClock, UnixMillis};
use tollgate_config::Config;
use tollgate_gateway::{Notice, Shared, Spent};
use tollgate_policy::{
    admission::Crossing,
    ledger::{AttemptFilter, AttemptQuery, AttemptState, LedgerStore, Listed},
};

use crate::{Exit, terminal::say};

/// How far back a key's own pattern is learned at the start.
const HISTORY: Duration = Duration::from_hours(7 * 24);
/// Attempts that are read at once for it.
const PAGE: usize = 2_000;
/// How often it is looked at what keys spent.
const GLANCE: Duration = Duration::from_secs(1);
/// How often the ledger's health is looked at, in glances.
const LOOK: u32 = 5;

/// Starts telling people. What comes back is where alerts are handed in; with it, what tells them runs.
pub(super) fn start(config: &Config) -> Result<Alerts, Exit> {
    let said = |error: &dyn std::fmt::Display| {
        say(&error.to_string());
        Exit::Usage
    };
    let channels = channels(&config.alerts).map_err(|error| said(&error))?;
    let log = FileLog::open(&config.data_dir).map_err(|error| said(&error))?;
    let (alerts, dispatcher) = Dispatcher::new(channels, Arc::new(log), Arc::new(SystemClock));
    drop(tokio::spawn(dispatcher.run()));
    Ok(alerts)
}

/// Turns notices into alerts for as long as the service runs.
pub(super) async fn watch(
    shared: Arc<Shared>,
    alerts: Alerts,
    mut notices: mpsc::Receiver<Notice>,
) {
    let started = SystemClock.now();
    let (mut pattern, told) = learn(&shared, started).await;
    tell_of_lost(&told, started, &alerts);
    let mut degraded = None;
    let mut glances = tokio::time::interval(GLANCE);
    glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for glance in 0_u32.. {
        // What must be told at once, until the next glance.
        loop {
            let notice = tokio::select! {
                notice = notices.recv() => notice,
                _ = glances.tick() => break,
            };
            let Some(notice) = notice else { return };
            alerts.send(alert_of(notice, &shared));
        }
        let now = SystemClock.now();
        for (key_id, Spent { at, cost }) in shared.books.take_spent() {
            if let Some(unusual) = pattern.observe(&key_id, at, cost) {
                alerts.send(Alert::unusual_spend(&key_id, &unusual, now));
            }
        }
        if glance % LOOK == 0 {
            degraded = look(&shared, degraded, &alerts);
        }
    }
}

fn alert_of(notice: Notice, shared: &Shared) -> Alert {
    let now = SystemClock.now();
    match notice {
        Notice::Crossed(crossing) => budget_alert(&crossing, now),
        Notice::Unpriced { target, .. } => {
            let version = shared.snapshot.load().price_version().to_owned();
            Alert::unknown_price(&target, &version, now)
        }
    }
}

fn budget_alert(crossing: &Crossing, now: UnixMillis) -> Alert {
    let crossed = BudgetCrossing {
        scope: &crossing.scope,
        budget: &crossing.budget,
        threshold: crossing.percent,
        posted: crossing.posted,
        limit: crossing.limit,
        hard: crossing.hard,
        period_start: crossing.from,
        period_end: crossing.until,
    };
    Alert::budget_crossed(&crossed, now)
}

/// What keys usually spend, as the ledger knows it, and the attempts whose end nobody knows.
async fn learn(shared: &Arc<Shared>, now: UnixMillis) -> (Pattern, Vec<Listed>) {
    let settings = shared.snapshot.load().config.alerting.clone();
    let store = shared.books.ledger.store().clone();
    let learning = tokio::task::spawn_blocking(move || {
        let mut pattern = Pattern::new(settings);
        let since = UnixMillis(
            now.0
                .saturating_sub(HISTORY.as_millis().try_into().unwrap_or(0)),
        );
        let settled = filter(AttemptState::Settled, Some(since));
        each(&*store, settled, |listed| {
            let attempt = &listed.attempt;
            if let Some(cost) = attempt.cost() {
                // What was unusual then was told then.
                pattern.observe(&attempt.opening.key_id, attempt.opening.at, cost);
            }
        });
        let mut lost = Vec::new();
        each(&*store, filter(AttemptState::Unknown, None), |listed| {
            lost.push(listed);
        });
        (pattern, lost)
    });
    learning.await.unwrap_or_else(|_| {
        let settings = shared.snapshot.load().config.alerting.clone();
        (Pattern::new(settings), Vec::new())
    })
}

fn filter(state: AttemptState, from: Option<UnixMillis>) -> AttemptFilter {
    AttemptFilter {
        state: Some(state),
        from,
        ..AttemptFilter::default()
    }
}

fn each(store: &dyn LedgerStore, filter: AttemptFilter, mut visit: impl FnMut(Listed)) {
    let mut query = AttemptQuery {
        filter,
        newest_first: false,
        after: None,
        limit: PAGE,
    };
    loop {
        let page = match store.attempts(&query) {
            Ok(page) => page,
            Err(error) => return tracing::warn!("the ledger could not be read: {error}"),
        };
        let Some(last) = page.last() else { return };
        query.after = Some(last.place);
        page.into_iter().for_each(&mut visit);
    }
}

fn tell_of_lost(lost: &[Listed], started: UnixMillis, alerts: &Alerts) {
    if lost.is_empty() {
        return;
    }
    let held: Money = lost
        .iter()
        .filter_map(|listed| listed.attempt.opening.held)
        .sum();
    alerts.send(Alert::unknown_outcomes(
        lost.len() as u64,
        held,
        started,
        SystemClock.now(),
    ));
}

/// Looks at the ledger's health. `since` is when the present fault began, if there is one.
fn look(shared: &Shared, since: Option<UnixMillis>, alerts: &Alerts) -> Option<UnixMillis> {
    let health = shared.books.ledger.health();
    let reason = health.disk_error.or(health.store_error)?;
    let now = SystemClock.now();
    let since = since.unwrap_or(now);
    alerts.send(Alert::ledger_degraded(&reason, since, now));
    Some(since)
}
