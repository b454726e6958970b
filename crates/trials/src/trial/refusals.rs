//! B9: a refused call reaches no provider and costs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::{Call, Client};
use crate::dice::Dice;
use crate::export::State;
use crate::gateway::{Place, virtual_key};
use crate::load::constant;
use crate::price::OUTPUT_ONLY;
use crate::report::Report;
use crate::stage::{Common, Oracle, call, client, settle};

/// Calls at once.
const WAVE: usize = 100;

/// Why a call is refused, and the rules that refuse it.
const KINDS: &[(&str, &str)] = &[
    (
        "budget of nothing",
        "[budgets.none]\nscope = \"gateway\"\nlimit = 0\nperiod = \"total\"\n",
    ),
    (
        "limit of no call",
        "[limits.none]\nscope = \"gateway\"\nmeasure = \"requests-per-minute\"\nmost = 0\n",
    ),
    (
        "no open call",
        "[limits.none]\nscope = \"gateway\"\nmeasure = \"concurrent-requests\"\nmost = 0\n",
    ),
    (
        "a call too large",
        "[limits.small]\nscope = \"gateway\"\nmeasure = \"tokens-per-request\"\nmost = 10\n",
    ),
    ("unknown key", ""),
    ("unknown model", ""),
];

pub(crate) async fn run(common: &Common, requests: usize) -> Result<Report, String> {
    let mut dice = Dice::new(common.seed);
    let mut report = Report::new(format!("refusals: {requests} calls, seed {}", common.seed));
    report.columns(&[
        "why",
        "calls",
        "answers",
        "at the oracle",
        "rows with a cost",
    ]);
    for (kind, rules) in KINDS {
        let count = requests.div_ceil(KINDS.len());
        one_kind(common, (kind, rules), count, &mut dice, &mut report).await?;
    }
    Ok(report)
}

async fn one_kind(
    common: &Common,
    (kind, rules): (&str, &str),
    count: usize,
    dice: &mut Dice,
    report: &mut Report,
) -> Result<(), String> {
    let oracle = Oracle::start(OUTPUT_ONLY).await?;
    let place = Place::new(&common.binary, &oracle.settings(rules))?;
    let mut gateway = place.start(None).await?;
    let client = match kind {
        "unknown key" => std::sync::Arc::new(Client::new(gateway.addr, &virtual_key("stranger"))),
        _ => client(&gateway, &place),
    };
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    let mut left = count;
    while left > 0 {
        let wave = left.min(WAVE);
        left -= wave;
        let calls: Vec<Call> = (0..wave)
            .map(|_| match kind {
                "unknown model" => Call {
                    model: "nobody/knows".to_owned(),
                    ..call(dice, "tokens:5", 50)
                },
                _ => call(dice, "tokens:5", 50),
            })
            .collect();
        for made in constant(&client, calls, Duration::ZERO).await {
            let answer = &made.answer;
            report.expect((400..500).contains(&answer.status), || {
                format!("{kind}: answered {} {:?}", answer.status, answer.end)
            });
            *answers
                .entry(format!("{} {}", answer.status, answer.code()))
                .or_default() += 1;
        }
    }
    let reached = oracle.records().len();
    report.expect(reached == 0, || {
        format!("{kind}: the oracle saw {reached} attempts")
    });
    let rows = settle(&mut gateway, &place, report).await?;
    let costly = rows
        .iter()
        .filter(|row| row.state != State::Released && row.cost() != Some(0))
        .count();
    report.expect(costly == 0, || {
        format!("{kind}: {costly} refused calls have a cost")
    });
    let answers: Vec<String> = answers
        .iter()
        .map(|(what, n)| format!("{n} × {what}"))
        .collect();
    report.row(vec![
        kind.to_owned(),
        count.to_string(),
        answers.join(", "),
        reached.to_string(),
        costly.to_string(),
    ]);
    Ok(())
}
