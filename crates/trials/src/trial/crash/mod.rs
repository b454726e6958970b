//! L1: kill the gateway at named points and at random times; the ledger must equal the oracle after the restart.

mod kill;
mod points;
mod promise;
mod random;

use std::time::{Duration, Instant};

use self::points::Point;
use self::promise::Promise;
use crate::client::Ending;
use crate::compare::{Comparison, Seen};
use crate::dice::Dice;
use crate::gateway::{Place, READY_WITHIN};
use crate::load::Made;
use crate::report::Report;
use crate::stage::{Common, Oracle, call, client, settle};

pub(crate) use self::random::run as random;

/// What one kill came to.
struct Killed {
    was_reached: bool,
    /// Calls that had begun and not ended.
    open: usize,
    comparison: Comparison,
    ready_after: Duration,
    findings: Vec<String>,
}

/// What the next start came to.
struct Restarted {
    comparison: Comparison,
    ready_after: Duration,
}

/// `crash`: every named point `kills` times, with `streams` calls open.
pub(crate) async fn points(
    common: &Common,
    points: &str,
    kills: u64,
    streams: usize,
) -> Result<Report, String> {
    let began = Instant::now();
    let mut dice = Dice::new(common.seed);
    let mut report = Report::new(format!(
        "crash: {kills} kills at each point, {streams} streams open, seed {}",
        common.seed
    ));
    report.columns(&[
        "point",
        "kills",
        "reached",
        "open",
        "sent",
        "rows",
        "exact",
        "estimated",
        "unknown",
        "lost",
        "duplicated",
        "restart",
    ]);
    let mut all = Sum::default();
    let chosen = points::chosen(points)?;
    for point in &chosen {
        let mut sum = Sum::default();
        for turn in 0..kills {
            let killed = kill::at_point(common, (point, turn), streams, &mut dice).await?;
            sum.add(point, killed, &mut report);
        }
        report.row(sum.cells(point.name, kills));
        report.expect(sum.reached == kills, || {
            format!(
                "{} was reached {} times of {kills}: is the binary built with crash-points?",
                point.name, sum.reached
            )
        });
        all.join(&sum);
    }
    if chosen.len() > 1 {
        report.row(all.cells("all", kills * chosen.len() as u64));
    }
    report.figure("took", &format!("{} s", began.elapsed().as_secs()));
    Ok(report)
}

/// Calls that had begun and did not end in a good answer.
fn in_flight(made: &[Made]) -> usize {
    made.iter()
        .filter(|made| made.answer.end != Ending::NotConnected && !made.answer.is_whole(&made.call))
        .count()
}

/// Starts again, makes a call, looks for what was promised, stops, compares.
async fn restart(
    (place, oracle): (&Place, &Oracle),
    (seen, in_flight): (&[Seen], usize),
    promise: &Promise,
    report: &mut Report,
) -> Result<Restarted, String> {
    oracle.quiet().await?;
    let mut gateway = place.start(None).await?;
    let ready_after = gateway.ready_after;
    report.expect(ready_after <= READY_WITHIN, || {
        format!("ready after {ready_after:?}")
    });
    report.expect(gateway.answers("/health/live").await, || {
        "not live after the restart".to_owned()
    });
    let again = call(&mut Dice::new(1), "tokens:5", 100);
    let answer = client(&gateway, place).send(&again).await;
    report.expect(answer.is_whole(&again), || {
        format!("the first call after the restart got {}", answer.status)
    });
    promise.check(&gateway, place, report).await;
    oracle.quiet().await?;
    let rows = settle(&mut gateway, place, report).await?;
    Ok(Restarted {
        comparison: oracle.compare(&rows, seen, in_flight),
        ready_after,
    })
}

/// Figures of several kills.
#[derive(Default)]
struct Sum {
    reached: u64,
    /// The fewest at one kill.
    open: Option<usize>,
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
    fn add(&mut self, point: &Point, killed: Killed, report: &mut Report) {
        let figures = &killed.comparison.figures;
        self.reached += u64::from(killed.was_reached);
        self.open = self.open.into_iter().chain([killed.open]).min();
        self.sent += figures.witnessed;
        self.rows += figures.rows;
        self.exact += figures.exact;
        self.estimated += figures.estimated;
        self.unknown += figures.unknown;
        self.lost += killed.comparison.lost();
        self.duplicated += killed.comparison.duplicated();
        self.slowest = self.slowest.max(killed.ready_after);
        let violations = killed.comparison.violations.iter().map(ToString::to_string);
        let found = violations.chain(killed.findings);
        report.violations(found.map(|what| format!("{}: {what}", point.name)));
    }

    fn join(&mut self, other: &Self) {
        let Self {
            reached,
            open,
            sent,
            rows,
            exact,
            estimated,
            unknown,
            lost,
            duplicated,
            slowest,
        } = other;
        self.reached += reached;
        self.open = self.open.into_iter().chain(*open).min();
        self.sent += sent;
        self.rows += rows;
        self.exact += exact;
        self.estimated += estimated;
        self.unknown += unknown;
        self.lost += lost;
        self.duplicated += duplicated;
        self.slowest = self.slowest.max(*slowest);
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
            self.open.unwrap_or_default().to_string(),
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
