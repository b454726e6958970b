//! B6: however a call ends, its place among the concurrent ones is free again within a second.

use std::time::Duration;

use tokio::time::sleep;

use crate::client::{Call, Client, Leave};
use crate::dice::Dice;
use crate::gateway::Place;
use crate::load::constant;
use crate::price::DISTINCT;
use crate::report::Report;
use crate::stage::{Common, Oracle, call, client, settle};

/// The limit on open calls.
const PLACES: usize = 50;
/// How many calls of a kind are open at once: fewer than there are places.
const WAVE: usize = 40;
/// How long the calls last that fill all places.
const HELD_FOR: Duration = Duration::from_millis(1500);
const FREE_WITHIN: Duration = Duration::from_secs(1);

/// A way in which calls end: the script, the share of streams, and when the client leaves.
struct Kind {
    name: &'static str,
    script: &'static str,
    stream_percent: u64,
    leave: Option<Leave>,
}

const KINDS: &[Kind] = &[
    kind("success", "tokens:5", 0, None),
    kind("success, stream", "tokens:5", 100, None),
    kind("provider refuses", "e400", 50, None),
    kind("provider fails", "e500", 50, None),
    kind("cut before the answer", "cut-before-first", 50, None),
    kind("cut in the stream", "cut-mid-text", 100, None),
    kind("reset in the stream", "reset-at:300", 100, None),
    kind("no sound answer", "malformed", 0, None),
    kind("error in the stream", "error-mid-stream", 100, None),
    kind(
        "left while it hangs",
        "hang-before-head",
        50,
        Some(Leave::After(Duration::from_millis(100))),
    ),
    kind(
        "left in the stream",
        "tokens:500:20",
        100,
        Some(Leave::AfterBytes(600)),
    ),
    kind(
        "reader that reads nothing",
        "many:20000",
        100,
        Some(Leave::Unread(Duration::from_millis(150))),
    ),
];

const fn kind(
    name: &'static str,
    script: &'static str,
    stream_percent: u64,
    leave: Option<Leave>,
) -> Kind {
    Kind {
        name,
        script,
        stream_percent,
        leave,
    }
}

pub(crate) async fn run(common: &Common, each: usize) -> Result<Report, String> {
    let mut dice = Dice::new(common.seed);
    let mut report = Report::new(format!(
        "ends: {} kinds x {each}, {PLACES} places, seed {}",
        KINDS.len(),
        common.seed
    ));
    report.columns(&["end", "calls", "held out", "places free after"]);
    let oracle = Oracle::start(DISTINCT).await?;
    oracle.register_held("held", 3, HELD_FOR, None);
    let rules = format!(
        "[limits.places]\nscope = \"gateway\"\nmeasure = \"concurrent-requests\"\nmost = {PLACES}\n"
    );
    let place = Place::new(&common.binary, &oracle.settings(&rules))?;
    let mut gateway = place.start(None).await?;
    for kind in KINDS {
        let client = client(&gateway, &place);
        let mut held_out = 0;
        let mut left = each;
        while left > 0 {
            let wave = left.min(WAVE);
            left -= wave;
            let calls = (0..wave)
                .map(|_| Call {
                    leave: kind.leave,
                    ..call(&mut dice, kind.script, kind.stream_percent)
                })
                .collect();
            let made = constant(&client, calls, Duration::ZERO).await;
            held_out += made.iter().filter(|made| made.answer.status == 429).count();
            // A client that has left is noticed a little later.
            if kind.leave.is_some() {
                sleep(Duration::from_millis(500)).await;
            }
        }
        sleep(FREE_WITHIN).await;
        let free = free_places(&client, &mut dice).await;
        report.expect(free == PLACES, || {
            format!(
                "{}: {free} places of {PLACES} are free after a second",
                kind.name
            )
        });
        report.row(vec![
            kind.name.to_owned(),
            each.to_string(),
            held_out.to_string(),
            free.to_string(),
        ]);
    }
    settle(&mut gateway, &place, &mut report).await?;
    Ok(report)
}

/// Calls that are let in when more come at once than there are places.
async fn free_places(client: &std::sync::Arc<Client>, dice: &mut Dice) -> usize {
    let calls = (0..PLACES + PLACES / 2)
        .map(|_| call(dice, "held", 0))
        .collect();
    let made = constant(client, calls, Duration::ZERO).await;
    made.iter().filter(|made| made.answer.status == 200).count()
}
