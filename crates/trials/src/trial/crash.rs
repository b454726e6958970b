//! L1: kill the gateway at named points and at random times; the ledger must equal the oracle after the restart.

use std::time::Duration;

use tokio::time::sleep;

use crate::client::Ending;
use crate::compare::{Comparison, Seen};
use crate::dice::Dice;
use crate::gateway::{Gateway, Place, READY_WITHIN};
use crate::load::{Made, constant};
use crate::price::DISTINCT;
use crate::report::Report;
use crate::stage::{Common, Oracle, call, client, seen, settle};

/// Points that plain calls pass: not reaching one is a violation.
const BY_CALLS: &[&str] = &[
    "after-accept",
    "after-auth",
    "after-limits",
    "after-reserve",
    "before-open-write",
    "after-open-write",
    "after-connect",
    "after-head-sent",
    "mid-body",
    "after-body",
    "after-resp-head",
    "after-first-event",
    "mid-stream",
    "after-usage",
    "before-settle-write",
    "after-settle-write",
    "after-client-fin",
];

/// Points that need more than calls; they are tried, and reported when they are not reached.
const BY_OTHER: &[&str] = &[
    "journal-rotate",
    "ship-before-send",
    "ship-after-send",
    "ship-after-commit",
    "checkpoint",
    "rollup-mid",
    "batch-submit",
    "batch-item-settle",
    "migrate-step",
    "key-rotate-mid",
    "config-swap",
];

/// How long a point may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(6);
const AFTER_ALL: Duration = Duration::from_millis(500);

/// What one kill came to.
struct Killed {
    was_reached: bool,
    comparison: Comparison,
    ready_after: Duration,
    findings: usize,
}

/// `crash`: every named point `kills` times, with `streams` calls open.
pub(crate) async fn points(
    common: &Common,
    points: &str,
    kills: u64,
    streams: usize,
) -> Result<Report, String> {
    let mut dice = Dice::new(common.seed);
    let mut report = Report::new(format!(
        "crash: {kills} kills at each point, {streams} calls open, seed {}",
        common.seed
    ));
    report.columns(&[
        "point",
        "kills",
        "reached",
        "sent",
        "rows",
        "exact",
        "estimated",
        "unknown",
        "lost",
        "duplicated",
        "restart",
    ]);
    for point in chosen(points)? {
        let mut sum = Sum::default();
        for _ in 0..kills {
            // Early passes and late ones: the later ones meet calls in every state.
            let pass = dice.between(1, streams.max(1) as u64);
            let killed = at_point(common, &format!("{point}:{pass}"), streams, &mut dice).await?;
            sum.add(point, &killed, &mut report);
        }
        report.row(sum.cells(point, kills));
        report.expect(sum.reached == kills || !BY_CALLS.contains(&point), || {
            format!(
                "{point} was reached {} times of {kills}: is the binary built with crash-points?",
                sum.reached
            )
        });
    }
    Ok(report)
}

fn chosen(points: &str) -> Result<Vec<&'static str>, String> {
    let all = || BY_CALLS.iter().chain(BY_OTHER).copied();
    match points {
        "all" => Ok(all().collect()),
        "calls" => Ok(BY_CALLS.to_vec()),
        names => names
            .split(',')
            .map(|name| {
                all().find(|point| *point == name).ok_or_else(|| {
                    format!(
                        "there is no point `{name}`: one of {}",
                        all().collect::<Vec<_>>().join(", ")
                    )
                })
            })
            .collect(),
    }
}

async fn at_point(
    common: &Common,
    crash_at: &str,
    streams: usize,
    dice: &mut Dice,
) -> Result<Killed, String> {
    let oracle = Oracle::start(DISTINCT).await?;
    let place = Place::new(&common.binary, &oracle.settings(""))?;
    let mut gateway = place.start(Some(crash_at)).await?;
    let client = client(&gateway, &place);
    let calls = (0..streams)
        .map(|_| call(dice, "tokens:60:8", 80))
        .collect();
    let mut running =
        tokio::spawn(async move { constant(&client, calls, Duration::from_millis(4)).await });
    // Once all calls are answered, what has not been reached soon after will not be.
    let (was_reached, made) = tokio::select! {
        ended = gateway.ends_within(REACHED_WITHIN) => (ended, None),
        made = &mut running => (gateway.ends_within(AFTER_ALL).await, Some(made)),
    };
    gateway.kill().await.unwrap_or_default();
    let made = match made {
        Some(made) => made,
        None => running.await,
    };
    let made = made.map_err(|error| error.to_string())?;
    let mut report = Report::default();
    let (comparison, ready_after) =
        recover(&place, &oracle, &seen(&made), in_flight(&made), &mut report).await?;
    Ok(Killed {
        was_reached,
        comparison,
        ready_after,
        findings: report.found(),
    })
}

/// Calls that had begun and did not end in a good answer.
fn in_flight(made: &[Made]) -> usize {
    made.iter()
        .filter(|made| made.answer.end != Ending::NotConnected && !made.answer.is_whole(&made.call))
        .count()
}

/// Starts again, makes a call, stops, compares.
async fn recover(
    place: &Place,
    oracle: &Oracle,
    seen: &[Seen],
    in_flight: usize,
    report: &mut Report,
) -> Result<(Comparison, Duration), String> {
    oracle.quiet().await?;
    let mut gateway = place.start(None).await?;
    report.expect(gateway.ready_after <= READY_WITHIN, || {
        format!("ready after {:?}", gateway.ready_after)
    });
    report.expect(gateway.answers("/health/live").await, || {
        "not live after the restart".to_owned()
    });
    let again = call(&mut Dice::new(1), "tokens:5", 100);
    let answer = client(&gateway, place).send(&again).await;
    report.expect(answer.is_whole(&again), || {
        format!("the first call after the restart got {}", answer.status)
    });
    oracle.quiet().await?;
    let ready_after = gateway.ready_after;
    let rows = settle(&mut gateway, place, report).await?;
    let comparison = oracle.compare(&rows, seen, in_flight);
    Ok((comparison, ready_after))
}

/// Figures of all kills at one point.
#[derive(Default)]
struct Sum {
    reached: u64,
    sent: usize,
    rows: usize,
    exact: usize,
    estimated: usize,
    unknown: usize,
    lost: usize,
    duplicated: usize,
    slowest: Duration,
}

impl Sum {
    fn add(&mut self, point: &str, killed: &Killed, report: &mut Report) {
        let figures = &killed.comparison.figures;
        self.reached += u64::from(killed.was_reached);
        self.sent += figures.witnessed;
        self.rows += figures.rows;
        self.exact += figures.exact;
        self.estimated += figures.estimated;
        self.unknown += figures.unknown;
        self.lost += killed.comparison.lost();
        self.duplicated += killed.comparison.duplicated();
        self.slowest = self.slowest.max(killed.ready_after);
        report.violations(
            killed
                .comparison
                .violations
                .iter()
                .map(|violation| format!("{point}: {violation}")),
        );
        report.expect(killed.findings == 0, || {
            format!("{point}: {} findings after the restart", killed.findings)
        });
    }

    fn cells(&self, name: &str, kills: u64) -> Vec<String> {
        let reached = match self.reached {
            0 => "not reached".to_owned(),
            reached => reached.to_string(),
        };
        vec![
            name.to_owned(),
            kills.to_string(),
            reached,
            self.sent.to_string(),
            self.rows.to_string(),
            self.exact.to_string(),
            self.estimated.to_string(),
            self.unknown.to_string(),
            self.lost.to_string(),
            self.duplicated.to_string(),
            format!("{} ms", self.slowest.as_millis()),
        ]
    }
}

/// `random-kills`: SIGKILL at uniform times under open-loop load, always on the same data.
pub(crate) async fn random(common: &Common, kills: u64, rate: u64) -> Result<Report, String> {
    let mut dice = Dice::new(common.seed);
    let mut report = Report::new(format!(
        "random-kills: {kills} kills under {rate} calls a second, seed {}",
        common.seed
    ));
    let oracle = Oracle::start(DISTINCT).await?;
    let place = Place::new(&common.binary, &oracle.settings(""))?;
    let (mut all_seen, mut all_in_flight) = (Vec::new(), 0);
    let mut last = Comparison::default();
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        let mut gateway = place.start(None).await?;
        let after = Duration::from_millis(dice.between(5, 3000));
        let made = under_load(&mut gateway, &place, after, rate, &mut dice).await?;
        all_seen.extend(seen(&made));
        all_in_flight += in_flight(&made);
        let (comparison, ready_after) =
            recover(&place, &oracle, &all_seen, all_in_flight, &mut report).await?;
        slowest = slowest.max(ready_after);
        let is_bad = !comparison.violations.is_empty();
        last = comparison;
        if is_bad {
            break;
        }
    }
    report.figure("attempts at the oracle", &last.figures.witnessed);
    report.figure("rows", &last.figures.rows);
    report.figure(
        "exact / estimated",
        &format!("{} / {}", last.figures.exact, last.figures.estimated),
    );
    report.figure(
        "unknown, of them never sent",
        &format!("{}, {}", last.figures.unknown, last.figures.phantoms),
    );
    report.figure("in flight at the kills", &all_in_flight);
    report.figure("lost", &last.lost());
    report.figure("duplicated", &last.duplicated());
    report.figure("slowest restart", &format!("{} ms", slowest.as_millis()));
    report.violations(&last.violations);
    Ok(report)
}

async fn under_load(
    gateway: &mut Gateway,
    place: &Place,
    after: Duration,
    rate: u64,
    dice: &mut Dice,
) -> Result<Vec<Made>, String> {
    let client = client(gateway, place);
    let gap = Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX);
    let count = after.as_millis().div_ceil(gap.as_millis().max(1));
    let calls = (0..count).map(|_| call(dice, "tokens:40:8", 50)).collect();
    let running = tokio::spawn(async move { constant(&client, calls, gap).await });
    sleep(after).await;
    gateway.kill().await?;
    running.await.map_err(|error| error.to_string())
}
