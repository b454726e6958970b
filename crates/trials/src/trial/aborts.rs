//! L3: streams that break off, by the client or by the provider, are booked by what was produced.

use std::time::Duration;

use tollgate_testkit::{Block, FaultKind, Scenario};

use crate::client::{Call, Ending, Leave, Wire};
use crate::dice::Dice;
use crate::gateway::Place;
use crate::load::constant;
use crate::price::DISTINCT;
use crate::proxy::{Break, Faults, Proxy};
use crate::report::Report;
use crate::stage::{Common, Oracle, call, client, provider, seen, settle};

/// Tokens of a whole stream, and milliseconds between them.
const TOKENS: u64 = 120;
const PACE_MS: u64 = 10;
/// About what a whole stream has in bytes, so that offsets are uniform over it.
const BYTES: u64 = 18_000;
const HOLE_LEFT_AFTER: Duration = Duration::from_secs(3);
const GAP: Duration = Duration::from_millis(25);
/// Scripts that cut at different places.
const CUTS: u64 = 20;

pub(crate) async fn run(common: &Common, streams: usize) -> Result<Report, String> {
    let mut dice = Dice::new(common.seed);
    let mut report = Report::new(format!("aborts: {streams} streams, seed {}", common.seed));
    let oracle = Oracle::start(DISTINCT).await?;
    for cut in 0..CUTS {
        let events = usize::try_from(dice.below(TOKENS)).unwrap_or(0);
        oracle.register(&cut_script(cut, events));
    }
    let (_lines, rules) = lines(&oracle, &mut dice).await?;
    let place = Place::new(&common.binary, &oracle.settings(&rules))?;
    let mut gateway = place.start(None).await?;
    let client = client(&gateway, &place);
    let calls: Vec<Call> = (0..streams).map(|_| broken_call(&mut dice)).collect();
    let made = constant(&client, calls, GAP).await;
    oracle.quiet().await?;
    let rows = settle(&mut gateway, &place, &mut report).await?;
    let comparison = oracle.compare(&rows, &seen(&made), 0);
    let ended = |end: Ending| made.iter().filter(|made| made.answer.end == end).count();
    let whole = made
        .iter()
        .filter(|made| made.answer.is_whole(&made.call))
        .count();
    let figures = comparison.figures;
    report.figure("whole", &whole);
    report.figure("left by the client", &ended(Ending::Left));
    report.figure("of them seen by the oracle", &oracle.left());
    report.figure(
        "cut by the provider",
        &(made.len() - whole - ended(Ending::Left)),
    );
    report.figure(
        "rows exact / estimated",
        &format!("{} / {}", figures.exact, figures.estimated),
    );
    report.figure("estimates below what was produced", &figures.below_oracle);
    report.expect(ended(Ending::Hung) == 0, || {
        format!("{} calls hung", ended(Ending::Hung))
    });
    report.expect(figures.unknown == 0, || {
        format!("{} rows are unknown, though nothing died", figures.unknown)
    });
    report.violations(comparison.violations);
    Ok(report)
}

/// Bad lines to the chat provider, each a provider of its own in the settings: three that break, one that only lags.
async fn lines(oracle: &Oracle, dice: &mut Dice) -> Result<(Vec<Proxy>, String), String> {
    let break_at = |bytes, kind| Faults {
        after: Some((bytes, kind)),
        ..Faults::default()
    };
    let slow = Faults {
        latency: Duration::from_millis(3),
        jitter: Duration::from_millis(5),
        bytes_per_second: Some(1_000_000),
        slice: Some(7),
        ..Faults::default()
    };
    let kinds = [
        ("line-reset", break_at(7000, Break::Reset)),
        ("line-half", break_at(9000, Break::HalfClose)),
        ("line-hole", break_at(8000, Break::BlackHole)),
        ("line-slow", slow),
    ];
    let (mut proxies, mut rules) = (Vec::new(), String::new());
    for (name, faults) in kinds {
        let proxy = Proxy::start(oracle.chat.addr(), faults, dice.next())
            .await
            .map_err(|error| format!("no proxy: {error}"))?;
        let url = format!("http://{}/v1", proxy.addr);
        rules.push_str(&provider(name, "openai-compatible", &url));
        rules.push_str(&oracle.rates.table(name));
        proxies.push(proxy);
    }
    Ok((proxies, rules))
}

fn cut_script(number: u64, events: usize) -> Scenario {
    let text = "word ".repeat(usize::try_from(TOKENS).unwrap_or(0));
    Scenario::new(format!("cut-{number}"), vec![Block::text(text)])
        .with_fault(FaultKind::DelayEvents { ms: PACE_MS })
        .with_fault(FaultKind::CutAfterEvents { events })
}

/// Of twenty streams nine are left by the client, six cut by the provider, four meet a bad line, one is whole.
fn broken_call(dice: &mut Dice) -> Call {
    let whole = format!("tokens:{TOKENS}:{PACE_MS}");
    match dice.below(20) {
        0..=8 => {
            let bytes = usize::try_from(dice.below(BYTES)).unwrap_or(0);
            Call {
                leave: Some(Leave::AfterBytes(bytes)),
                ..call(dice, &whole, 100)
            }
        }
        9..=14 => {
            let script = format!("cut-{}", dice.below(CUTS));
            call(dice, &script, 100)
        }
        15..=18 => {
            let line = *dice.pick(&["line-reset", "line-half", "line-hole", "line-slow"]);
            Call {
                // Into a black hole nobody looks for long.
                leave: (line == "line-hole").then_some(Leave::After(HOLE_LEFT_AFTER)),
                wire: Wire::Chat,
                model: format!("{line}/{whole}"),
                ..call(dice, &whole, 100)
            }
        }
        _ => call(dice, &whole, 100),
    }
}
