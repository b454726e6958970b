//! `random-kills`: SIGKILL at uniform times under open-loop load, always on the same data.

use std::time::Duration;

use tokio::time::sleep;

use super::promise::Promise;
use super::{Restarted, in_flight, restart};
use crate::compare::Comparison;
use crate::dice::Dice;
use crate::gateway::{Gateway, Place};
use crate::load::{Made, constant};
use crate::price::DISTINCT;
use crate::report::Report;
use crate::stage::{Common, Oracle, call, client, seen};

pub(crate) async fn run(common: &Common, kills: u64, rate: u64) -> Result<Report, String> {
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
        let Restarted {
            comparison,
            ready_after,
        } = restart(
            (&place, &oracle),
            (&all_seen, all_in_flight),
            &Promise::Nothing,
            &mut report,
        )
        .await?;
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
