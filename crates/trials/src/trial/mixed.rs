//! B2: under mixed load every refusal is checked again afterwards, from the export alone; and so is every admission.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::Call;
use crate::clock::unix_us;
use crate::dice::Dice;
use crate::export::{Row, State};
use crate::gateway::Place;
use crate::load::{Made, constant, percentile};
use crate::price::{DOLLAR, OUTPUT_ONLY, dollars};
use crate::recheck::{self, Asked, Ends, Rules};
use crate::report::Report;
use crate::stage::{Common, Oracle, call, client, seen, settle};

const RATE: u32 = 40;

/// `mixed`: open-loop load for some time, near every limit at once.
pub(crate) async fn run(common: &Common, duration: Duration) -> Result<Report, String> {
    let mut dice = Dice::new(common.seed);
    let mut report = Report::new(format!(
        "mixed: {duration:?} at {RATE} calls a second, seed {}",
        common.seed
    ));
    let oracle = Oracle::start(OUTPUT_ONLY).await?;
    let rules = rules(duration);
    let place = Place::new(&common.binary, &oracle.settings(&settings(&rules)))?;
    let mut gateway = place.start(None).await?;
    let client = client(&gateway, &place);
    let count = u64::from(RATE) * duration.as_secs();
    let calls = (0..count).map(|_| mixed_call(&mut dice)).collect();
    // Both clocks at one instant, so that answers can be laid beside rows.
    let (begin, begin_ms) = (Instant::now(), unix_us() / 1000);
    let begin_ms = i64::try_from(begin_ms).unwrap_or(i64::MAX);
    let made = constant(&client, calls, Duration::from_secs(1) / RATE).await;
    oracle.quiet().await?;
    let rows = settle(&mut gateway, &place, &mut report).await?;
    report.violations(oracle.compare(&rows, &seen(&made), 0).violations);
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    let ends: Ends = made
        .iter()
        .map(|made| {
            (
                made.answer.request_id.clone(),
                asked(made, begin, begin_ms).to_ms,
            )
        })
        .collect();
    for refused in made.iter().filter(|made| made.answer.status == 429) {
        let code = refused.answer.code();
        let asked = asked(refused, begin, begin_ms);
        if let Some(wrong) = recheck::refusal(&rules, (&rows, &ends), &code, &asked) {
            report.violation(wrong);
        }
        *codes.entry(code).or_default() += 1;
    }
    report.violations(recheck::admissions(&rules, &rows));
    figures(&made, &rows, &codes, &mut report);
    Ok(report)
}

/// Limits that the load meets one after the other: the places at once, the calls after a while, the budget towards
/// the end.
fn rules(duration: Duration) -> Rules {
    let seconds = duration.as_secs();
    Rules {
        budget: DOLLAR * i128::from(seconds) / 60,
        requests_per_minute: usize::try_from(seconds.min(60) * 24).unwrap_or(usize::MAX),
        concurrent: 12,
        rates: OUTPUT_ONLY,
    }
}

fn settings(rules: &Rules) -> String {
    format!(
        "[budgets.wall]\nscope = \"gateway\"\nlimit = {}\nperiod = \"total\"\n\n\
         [limits.calls]\nscope = \"gateway\"\nmeasure = \"requests-per-minute\"\nmost = {}\n\n\
         [limits.places]\nscope = \"gateway\"\nmeasure = \"concurrent-requests\"\nmost = {}\n",
        dollars(rules.budget),
        rules.requests_per_minute,
        rules.concurrent
    )
}

fn mixed_call(dice: &mut Dice) -> Call {
    let script = *dice.pick(&[
        "tokens:5",
        "tokens:300",
        "tokens:1000",
        "tokens:50:20",
        "tokens:100:10",
        "slow-head:400",
        "e500",
        "e400",
        "cut-mid-text",
    ]);
    let mut call = call(dice, script, 50);
    call.max_tokens = *dice.pick(&[100, 500, 1000]);
    call
}

fn asked(made: &Made, begin: Instant, begin_ms: i64) -> Asked {
    let at = |instant: Instant| {
        let after = instant.saturating_duration_since(begin).as_millis();
        begin_ms.saturating_add(i64::try_from(after).unwrap_or(i64::MAX))
    };
    Asked {
        from_ms: at(made.planned),
        to_ms: at(made.answer.at),
        max_tokens: made.call.max_tokens,
    }
}

fn figures(made: &[Made], rows: &[Row], codes: &BTreeMap<String, usize>, report: &mut Report) {
    let good = made.iter().filter(|made| made.answer.status == 200).count();
    let spent: i128 = rows
        .iter()
        .filter(|row| row.state == State::Settled)
        .filter_map(Row::cost)
        .sum();
    report.figure("calls", &made.len());
    report.figure("answered 200", &good);
    for (code, count) in codes {
        report.figure(format!("refused: {code}"), &count);
    }
    report.figure("spent", &format!("${}", dollars(spent)));
    report.figure(
        "latency p50 / p99",
        &format!("{:?} / {:?}", percentile(made, 50), percentile(made, 99)),
    );
}
