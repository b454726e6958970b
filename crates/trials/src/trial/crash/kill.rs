//! One kill at one point: the streams that are open, what goes on beside them, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::points::{Point, Way};
use super::promise::Promise;
use super::{Killed, Restarted, in_flight, restart};
use crate::api::Api;
use crate::client::{Call, Client, Ending};
use crate::dice::Dice;
use crate::gateway::{Gateway, Place};
use crate::load::{Made, constant};
use crate::price::DISTINCT;
use crate::report::Report;
use crate::stage::{Common, Oracle, call, client, seen};

/// How long a point may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(30);
/// How long the streams may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// A stream that is open whenever the kill comes: a minute of answer.
const LONG: &str = "tokens:200:300";
/// A call that begins and ends meanwhile, and how many a second there are of them.
const SHORT: &str = "tokens:20:8";
const GAP: Duration = Duration::from_millis(10);
/// The smallest files that a journal can have.
const SMALL_FILES: &str = "[ledger]\njournal_file_mib = 1\n";
/// How many calls at a time fill a file, each as short as can be.
const FILLERS: usize = 8;
const FILLER: &str = "tokens:1";
/// Between two changes of the rules.
const CHANGE_EVERY: Duration = Duration::from_millis(25);
const MOST_CHANGES: usize = 50;

/// A gateway that is going to die, with all that is around it.
struct Scene<'a> {
    place: &'a Place,
    oracle: &'a Oracle,
    way: Way,
    crash_at: &'a str,
    streams: usize,
    dice: &'a mut Dice,
}

/// Calls that end with the gateway.
struct Load {
    streams: JoinHandle<Vec<Made>>,
    short: JoinHandle<Vec<Made>>,
}

/// How far the gateway came.
struct Died {
    was_reached: bool,
    made: Vec<Made>,
    promise: Promise,
}

/// Kills a gateway at a point with `streams` streams open, starts it again, and compares.
pub(super) async fn at_point(
    common: &Common,
    (point, turn): (&Point, u64),
    streams: usize,
    dice: &mut Dice,
) -> Result<Killed, String> {
    let oracle = Oracle::start(DISTINCT).await?;
    let rules = match point.way {
        Way::FullJournal => SMALL_FILES,
        _ => "",
    };
    let place = Place::new(&common.binary, &oracle.settings(rules))?;
    let crash_at = point.pass(turn, streams, dice);
    let mut scene = Scene {
        place: &place,
        oracle: &oracle,
        way: point.way,
        crash_at: &crash_at,
        streams,
        dice,
    };
    let mut report = Report::default();
    let died = match point.way {
        Way::Recovery => scene.dies_again().await?,
        Way::FirstStart => scene.dies_first(&mut report).await?,
        Way::Calls | Way::FullJournal | Way::Rotation | Way::Rules => scene.dies_serving().await?,
    };
    let open = in_flight(&died.made);
    report.expect(open >= streams, || {
        format!("killed at {crash_at} with only {open} calls open")
    });
    let Restarted {
        comparison,
        ready_after,
    } = restart(
        (&place, &oracle),
        (&seen(&died.made), open),
        &died.promise,
        &mut report,
    )
    .await?;
    Ok(Killed {
        was_reached: died.was_reached,
        open,
        comparison,
        ready_after,
        findings: report.into_violations(),
    })
}

impl Scene<'_> {
    /// Dies at the point, with its streams open and other calls beginning and ending.
    async fn dies_serving(&mut self) -> Result<Died, String> {
        let mut gateway = self.place.start(Some(self.crash_at)).await?;
        let load = self.load(&gateway).await;
        let (after, admin) = (
            self.moment(),
            Api::admin(gateway.addr, self.place.admin_key()),
        );
        let promise = async {
            match self.way {
                Way::Rotation => {
                    sleep(after).await;
                    Promise::of_rotation(&admin).await
                }
                Way::Rules => change_rules(&admin).await,
                _ => Promise::Nothing,
            }
        };
        let (was_reached, promise) = tokio::join!(gateway.crashes_within(REACHED_WITHIN), promise);
        gateway.kill().await?;
        Ok(Died {
            was_reached,
            made: load.made().await?,
            promise,
        })
    }

    /// Is killed with its streams open, and dies at the point when it is started again.
    async fn dies_again(&mut self) -> Result<Died, String> {
        let made = self.is_killed().await?;
        Ok(Died {
            was_reached: self.place.start_to_crash(self.crash_at).await?,
            made,
            promise: Promise::Nothing,
        })
    }

    /// Dies at its first start. The second one serves, until it is killed with its streams open.
    async fn dies_first(&mut self, report: &mut Report) -> Result<Died, String> {
        let was_reached = self.place.start_to_crash(self.crash_at).await?;
        let made = self.is_killed().await?;
        let is_answered = made.iter().any(|made| made.answer.is_whole(&made.call));
        report.expect(is_answered, || {
            "no call was answered after the second start".to_owned()
        });
        Ok(Died {
            was_reached,
            made,
            promise: Promise::Nothing,
        })
    }

    /// Serves for a moment and is killed from outside.
    async fn is_killed(&mut self) -> Result<Vec<Made>, String> {
        let mut gateway = self.place.start(None).await?;
        let load = self.load(&gateway).await;
        sleep(self.moment()).await;
        gateway.kill().await?;
        load.made().await
    }

    /// Opens the streams, and when the oracle has them all, lets other calls come and go.
    async fn load(&mut self, gateway: &Gateway) -> Load {
        let own = client(gateway, self.place);
        let calls = (0..self.streams)
            .map(|_| call(self.dice, LONG, 100))
            .collect();
        let streams = tokio::spawn(async move { constant(&own, calls, Duration::ZERO).await });
        let begun = Instant::now();
        while self.oracle.open() < self.streams && begun.elapsed() < OPEN_WITHIN {
            sleep(Duration::from_millis(2)).await;
        }
        let own = client(gateway, self.place);
        let (fills, dice) = (self.way == Way::FullJournal, self.dice.fork());
        let short = tokio::spawn(async move {
            if fills {
                closed(&own, FILLER, dice).await
            } else {
                open(&own, SHORT, dice).await
            }
        });
        Load { streams, short }
    }

    /// Some time in which calls come and go.
    fn moment(&mut self) -> Duration {
        Duration::from_millis(self.dice.between(150, 450))
    }
}

impl Load {
    /// All calls, when each has its end.
    async fn made(self) -> Result<Vec<Made>, String> {
        let failed = |error: tokio::task::JoinError| error.to_string();
        let mut made = self.streams.await.map_err(failed)?;
        made.extend(self.short.await.map_err(failed)?);
        Ok(made)
    }
}

/// Calls at a steady pace until the gateway is gone.
async fn open(client: &Arc<Client>, script: &str, mut dice: Dice) -> Vec<Made> {
    let until = Instant::now() + REACHED_WITHIN;
    let (mut running, mut made) = (JoinSet::new(), Vec::new());
    let mut next = Instant::now();
    while next < until {
        tokio::select! {
            () = sleep_until(next) => {
                running.spawn(one(Arc::clone(client), call(&mut dice, script, 80)));
                next += GAP;
            }
            Some(Ok(one)) = running.join_next() => {
                let is_gone = one.answer.end == Ending::NotConnected;
                made.push(one);
                if is_gone {
                    break;
                }
            }
        }
    }
    made.extend(running.join_all().await);
    made
}

/// Calls one after the other, some at a time, until the gateway is gone.
async fn closed(client: &Arc<Client>, script: &'static str, mut dice: Dice) -> Vec<Made> {
    let until = Instant::now() + REACHED_WITHIN;
    let mut running = JoinSet::new();
    for _ in 0..FILLERS {
        let (client, mut dice) = (Arc::clone(client), dice.fork());
        running.spawn(async move {
            let mut made = Vec::new();
            let mut goes_on = true;
            while goes_on && Instant::now() < until {
                let one = one(Arc::clone(&client), call(&mut dice, script, 0)).await;
                goes_on = one.answer.is_whole(&one.call);
                made.push(one);
            }
            made
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

async fn one(client: Arc<Client>, call: Call) -> Made {
    let planned = Instant::now();
    let answer = client.send(&call).await;
    Made {
        call,
        planned,
        answer,
    }
}

/// Makes one limit after the other until the gateway is gone.
async fn change_rules(admin: &Api) -> Promise {
    let mut kept = Vec::new();
    for number in 0..MOST_CHANGES {
        let limit = format!(
            r#"{{"scope":"model:chat/model-{number}","measure":"requests-per-day","most":1000000}}"#
        );
        let Ok(made) = admin.post("limits", &limit).await else {
            break;
        };
        kept.extend(made["id"].as_str().map(str::to_owned));
        sleep(CHANGE_EVERY).await;
    }
    Promise::Limits(kept)
}
