//! B1: a budget holds under concurrency to the nano-dollar, and with a provider that overcharges it is exceeded
//! by that excess and nothing more.

use std::time::Duration;

use crate::client::{Call, Wire};
use crate::export::{Row, State};
use crate::gateway::Place;
use crate::load::constant;
use crate::price::{CENT, DOLLAR, OUTPUT_ONLY, dollars};
use crate::report::Report;
use crate::stage::{Common, Oracle, client, seen, settle};

const RULES: &str = "[budgets.wall]\nscope = \"gateway\"\nlimit = 1.000001\nperiod = \"total\"\n";
/// Every hold is still held when the last call is decided.
const HELD_FOR: Duration = Duration::from_secs(4);
/// What one call may produce at most: one cent.
const CAP: usize = 1000;
/// A dollar, and a little for the holds of what goes in: a nano-dollar each.
const WALL: i128 = DOLLAR + 1_000;
/// A cent each.
const ADMITTED: usize = 100;
const FACTOR: u64 = 10;

pub(crate) async fn run(common: &Common, requests: usize) -> Result<Report, String> {
    let mut report = Report::new(format!(
        "budget: {requests} calls at once, $0.01 held each, against $1.00"
    ));
    report.columns(&[
        "provider",
        "calls",
        "admitted",
        "refused",
        "spent",
        "beyond",
        "excess billed",
    ]);
    for is_honest in [true, false] {
        one_provider(common, requests, is_honest, &mut report).await?;
    }
    Ok(report)
}

async fn one_provider(
    common: &Common,
    requests: usize,
    is_honest: bool,
    report: &mut Report,
) -> Result<(), String> {
    let oracle = Oracle::start(OUTPUT_ONLY).await?;
    oracle.register_held("held", CAP, HELD_FOR, (!is_honest).then_some(FACTOR));
    let place = Place::new(&common.binary, &oracle.settings(RULES))?;
    let mut gateway = place.start(None).await?;
    let client = client(&gateway, &place);
    let calls: Vec<Call> = (0..requests).map(|_| cent_call("held")).collect();
    let made = constant(&client, calls, Duration::ZERO).await;
    let admitted = made.iter().filter(|made| made.answer.status == 200).count();
    let refused = made
        .iter()
        .filter(|made| is_refusal(made.answer.status))
        .count();
    let name = if is_honest {
        "keeps to the cap"
    } else {
        "bills 10 x the cap"
    };
    report.expect(admitted == ADMITTED.min(requests), || {
        format!("{name}: {admitted} calls admitted, {ADMITTED} fit")
    });
    report.expect(admitted + refused == made.len(), || {
        let others: Vec<u16> = made
            .iter()
            .map(|made| made.answer.status)
            .filter(|status| *status != 200 && !is_refusal(*status))
            .take(5)
            .collect();
        format!("{name}: answers that are neither good nor a refusal, such as {others:?}")
    });
    let reached = oracle.records().len();
    report.expect(reached == admitted, || {
        format!("{name}: {admitted} admitted, {reached} at the provider")
    });
    let next = client.send(&cent_call("held")).await;
    report.expect(is_refusal(next.status), || {
        format!("{name}: the next call got {}", next.status)
    });
    oracle.quiet().await?;
    let rows = settle(&mut gateway, &place, report).await?;
    report.violations(oracle.compare(&rows, &seen(&made), 0).violations);
    let (spent, excess) = (spent(&rows), excess(&rows));
    let beyond = (spent - WALL).max(0);
    let allowed = if is_honest { 0 } else { excess };
    report.expect(beyond <= allowed, || {
        format!(
            "{name}: ${} beyond the budget, ${} of it explained",
            dollars(beyond),
            dollars(allowed)
        )
    });
    if !is_honest {
        let calls = i128::try_from(admitted).unwrap_or(0);
        let billed = ((i128::from(FACTOR) - 1) * CENT - 1) * calls;
        report.expect(beyond <= excess && excess == billed, || {
            format!(
                "{name}: ${} beyond the budget, the provider billed ${} too much",
                dollars(beyond),
                dollars(billed)
            )
        });
    }
    report.row(vec![
        name.to_owned(),
        made.len().to_string(),
        admitted.to_string(),
        refused.to_string(),
        format!("${}", dollars(spent)),
        format!("${}", dollars(beyond)),
        format!("${}", dollars(excess)),
    ]);
    Ok(())
}

/// A call that costs one cent at most, by `OUTPUT_ONLY`.
fn cent_call(script: &str) -> Call {
    Call {
        wire: Wire::Chat,
        model: format!("chat/{script}"),
        stream: false,
        max_tokens: CAP as u64,
        leave: None,
    }
}

/// 402 or 429: both are in use for a budget that is used up.
fn is_refusal(status: u16) -> bool {
    matches!(status, 402 | 429)
}

fn spent(rows: &[Row]) -> i128 {
    settled(rows).filter_map(Row::cost).sum()
}

/// What was billed beyond the holds.
fn excess(rows: &[Row]) -> i128 {
    settled(rows)
        .filter_map(|row| Some((row.cost()? - row.held()?).max(0)))
        .sum()
}

fn settled(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.state == State::Settled)
}
