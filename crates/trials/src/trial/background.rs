//! L10: a response that a provider runs in the background is charged once, however many ask after it, and whatever dies
//! meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::dice::Dice;
use crate::export::{Provenance, Row, State};
use crate::gateway::{Gateway, Place};
use crate::price::{DISTINCT, dollars, nanos};
use crate::report::Report;
use crate::stage::{Common, Oracle, provider, settle};

/// Where the gateway dies: as it begins a response, promises to follow it, finds its end, books it.
const POINTS: [&str; 8] = [
    "after-open-write",
    "after-resp-head",
    "background-begun",
    "background-promised",
    "background-ended",
    "before-settle-write",
    "after-settle-write",
    "ship-after-commit",
];
/// The gateway is asked to stop while responses run.
const STOPPED: &str = "asked to stop";
/// A tenth of a second of answer, where it is streamed.
const SCRIPT: &str = "tokens:20:5";
/// Never reached: it has to know what everything came to.
const BUDGET: &str = "[budgets.all]\nscope = \"gateway\"\nlimit = 1000\nperiod = \"total\"\n";
/// Responses that are begun at once.
const AT_ONCE: usize = 4;
/// How often each poller asks again after the end.
const ASKED_AGAIN: usize = 10;
/// How long a response may take to be booked after the restart.
const BOOKED_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// The responses whose caller was told that they run: their ids by their numbers, and which of them have ended.
#[derive(Debug, Default)]
struct Told {
    running: Mutex<BTreeMap<usize, String>>,
    ended: Mutex<BTreeMap<usize, String>>,
}

/// What all deaths came to.
#[derive(Debug, Default)]
struct Sum {
    begun: usize,
    rows: usize,
    told: usize,
    unknown: usize,
}

pub(crate) async fn run(common: &Common, jobs: usize, pollers: usize) -> Result<Report, String> {
    let mut dice = Dice::new(common.seed);
    let mut report = Report::new(format!(
        "background: {jobs} responses at each of {} deaths, {pollers} pollers, seed {}",
        POINTS.len() + 1,
        common.seed
    ));
    report.columns(&["death", "at the oracle", "rows", "told", "unknown"]);
    for point in POINTS.into_iter().chain([STOPPED]) {
        let sum = one_death(common, (jobs, pollers), point, &mut dice, &mut report).await?;
        report.row(vec![
            point.to_owned(),
            sum.begun.to_string(),
            sum.rows.to_string(),
            sum.told.to_string(),
            sum.unknown.to_string(),
        ]);
    }
    Ok(report)
}

async fn one_death(
    common: &Common,
    (jobs, pollers): (usize, usize),
    point: &str,
    dice: &mut Dice,
    report: &mut Report,
) -> Result<Sum, String> {
    let oracle = Oracle::start(DISTINCT).await?;
    let keeps = provider("keeps", "openai", &oracle.chat.base_url());
    let prices = oracle.rates.table("keeps");
    let place = Place::new(
        &common.binary,
        &oracle.settings(&format!("{BUDGET}{keeps}{prices}")),
    )?;
    let told = Arc::new(Told::default());
    let half = jobs.div_ceil(2);

    let most = match point {
        // What goes into the store may go in one batch.
        "ship-after-commit" => 1,
        // A stream that is read to its end is not followed.
        "background-ended" => half.div_ceil(2),
        _ => half,
    };
    let crash_at = format!("{point}:{}", dice.between(1, most as u64));
    let mut gateway = place
        .start((point != STOPPED).then_some(&*crash_at))
        .await?;
    let mut asking = ask_after(&gateway, &place, &told, pollers);
    begin(&gateway, &place, &told, 0..half).await;
    if point == STOPPED {
        gateway.stop().await?;
    } else {
        report.expect(gateway.crashes_within(BOOKED_WITHIN).await, || {
            format!("{crash_at} was not reached: is the binary built with crash-points?")
        });
        gateway.kill().await?;
    }
    asking.shutdown().await;

    let mut gateway = place.start(None).await?;
    let mut asking = ask_after(&gateway, &place, &told, pollers);
    begin(&gateway, &place, &told, half..jobs).await;
    let rows = all_booked(&place, &told).await?;
    report.violations(not_booked(&rows, &told));
    asking.shutdown().await;
    for (number, id) in &*told.running.lock() {
        report.violation(format!(
            "response {number}, {id}, is not shown as completed"
        ));
    }
    let api = Api::responses(gateway.addr, place.key());
    let ended: Vec<String> = told.ended.lock().values().cloned().collect();
    for id in ended {
        for _ in 0..ASKED_AGAIN {
            api.get(&format!("/{id}")).await?;
        }
    }
    oracle.quiet().await?;
    check_budget(&gateway, &place, report).await?;
    let rows = settle(&mut gateway, &place, report).await?;
    let comparison = oracle.compare(&rows, &[], AT_ONCE);
    report.violations(&comparison.violations);
    report.violations(not_booked(&rows, &told));
    Ok(Sum {
        begun: comparison.figures.witnessed,
        rows: rows.len(),
        told: told.ended.lock().len() + told.running.lock().len(),
        unknown: comparison.figures.unknown,
    })
}

/// The id of the response that an answer begins with, whole or streamed, as far as it arrived.
fn id_in(answer: &str) -> Option<String> {
    let begin = answer.find(r#""id":"resp_"#)? + r#""id":""#.len();
    let rest = answer.get(begin..)?;
    rest.split_once('"').map(|(id, _)| id.to_owned())
}

/// Begins responses, every other one as a stream, each with its number as a tag, until the gateway is gone.
async fn begin(gateway: &Gateway, place: &Place, told: &Arc<Told>, jobs: std::ops::Range<usize>) {
    let mut begun = JoinSet::new();
    for number in jobs {
        let (api, told) = (Api::responses(gateway.addr, place.key()), told.clone());
        begun.spawn(async move {
            let is_stream = number % 2 == 1;
            let body = format!(
                r#"{{"model":"keeps/{SCRIPT}","input":"Say hello to the oracle.","background":true,"stream":{is_stream},"metadata":{{"job":"{number}"}}}}"#
            );
            let answer = api.post_for_text("", &body).await;
            if let Some(id) = id_in(&answer) {
                told.running.lock().insert(number, id);
            }
        });
        if begun.len() >= AT_ONCE {
            begun.join_next().await;
        }
    }
    begun.join_all().await;
}

/// Asks after every response that runs, again and again.
fn ask_after(gateway: &Gateway, place: &Place, told: &Arc<Told>, pollers: usize) -> JoinSet<()> {
    let mut asking = JoinSet::new();
    for _ in 0..pollers {
        let (api, told) = (Api::responses(gateway.addr, place.key()), told.clone());
        asking.spawn(async move {
            loop {
                let running = told.running.lock().clone();
                for (number, id) in running {
                    let shown = api.get(&format!("/{id}")).await.unwrap_or(Value::Null);
                    if shown["status"] == "completed" {
                        told.running.lock().remove(&number);
                        told.ended.lock().insert(number, id);
                    }
                }
                sleep(POLL_EVERY).await;
            }
        });
    }
    asking
}

/// Waits until all that was told to run is booked; gives the rows as they are in the end, whatever they say.
async fn all_booked(place: &Place, told: &Told) -> Result<Vec<Row>, String> {
    let begin = Instant::now();
    loop {
        let rows = place.export().await?;
        let is_late = begin.elapsed() > BOOKED_WITHIN;
        if is_late || told.running.lock().is_empty() && not_booked(&rows, told).is_empty() {
            return Ok(rows);
        }
        sleep(POLL_EVERY).await;
    }
}

/// What the budget counts is what the rows say: their costs, and the holds of those whose end is not known.
async fn check_budget(gateway: &Gateway, place: &Place, report: &mut Report) -> Result<(), String> {
    let admin = Api::admin(gateway.addr, place.admin_key());
    let begin = Instant::now();
    loop {
        let standings = admin.get("standings").await?;
        let budget = &standings["budgets"][0];
        let amount = |name: &str| nanos(&budget[name].to_string()).unwrap_or(-1);
        let counted = amount("posted_usd") + amount("doubtful_usd");
        let booked = place.export().await?.iter().map(counts).sum();
        if counted == booked {
            return Ok(());
        }
        // One that no caller was told of may have been booked between the two questions.
        if begin.elapsed() > BOOKED_WITHIN {
            report.violation(format!(
                "the budget counts ${}, the rows come to ${}",
                dollars(counted),
                dollars(booked)
            ));
            return Ok(());
        }
        sleep(POLL_EVERY).await;
    }
}

/// What counts of a row: of what its provider did not say, at least the hold.
fn counts(row: &Row) -> i128 {
    let held = row.held().unwrap_or(0);
    match (row.state, row.provenance) {
        (State::Settled, Some(Provenance::Reported)) => row.cost().unwrap_or(0),
        (State::Settled, _) => row.cost().unwrap_or(0).max(held),
        (State::Unknown, _) => held,
        (State::Held | State::Dispatched | State::Released, _) => 0,
    }
}

/// The responses that were told to run and are not booked by what their provider says.
fn not_booked(rows: &[Row], told: &Told) -> Vec<String> {
    let (running, ended) = (told.running.lock(), told.ended.lock());
    let numbers = running.keys().chain(ended.keys());
    let wrong = numbers.filter_map(|number| {
        let number = number.to_string();
        let is_it = |row: &&Row| row.tags.get("job") == Some(&number);
        let found: Vec<&Row> = rows.iter().filter(is_it).collect();
        match found[..] {
            [row] if row.state != State::Settled => {
                Some(format!("{}: still {:?}", row.attempt, row.state))
            }
            [row] if row.provenance != Some(Provenance::Reported) => Some(format!(
                "{}: booked by {:?}, its provider said what it used",
                row.attempt, row.provenance
            )),
            [_] => None,
            _ => Some(format!("response {number} has {} rows", found.len())),
        }
    });
    wrong.collect()
}
