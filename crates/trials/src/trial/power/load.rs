//! What goes on while the gateway is recorded, and what its clients and administrators know for certain of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::disk::Micros;
use crate::api::Api;
use crate::client::{Client, Ending};
use crate::clock::unix_us;
use crate::compare::Seen;
use crate::dice::Dice;
use crate::load::{Made, constant};
use crate::stage::call;

/// A call that takes some time.
const PACED: &str = "tokens:20:8";
/// Calls one after the other, as many at a time: they fill journal files.
const FILLER: &str = "tokens:1";
const FILLERS: usize = 4;
/// Between two changes of the rules.
const CHANGE_EVERY: Duration = Duration::from_millis(60);

/// How much goes on. Much fills files and lets settlements share a sync; little leaves what was begun unsynced for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Busy,
    Calm,
}

/// What was promised until some instant.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    calls: Vec<Fact>,
    /// Limits that the admin API answered as made, and when.
    limits: Vec<(String, Micros)>,
    /// Calls of which not even the beginning of an answer came.
    unanswered: usize,
}

#[derive(Debug, Clone)]
struct Fact {
    seen: Seen,
    /// When the client had the whole of a good answer.
    whole_at: Option<Micros>,
}

/// Loads the gateway for this long, or until it is gone. `name` tells this time from others.
pub(super) async fn under_load(
    (client, admin): (&Arc<Client>, &Api),
    name: &str,
    (pace, duration): (Pace, Duration),
    dice: &mut Dice,
) -> Facts {
    let until = Instant::now() + duration;
    let (gap, fillers) = match pace {
        Pace::Busy => (Duration::from_millis(10), FILLERS),
        Pace::Calm => (Duration::from_millis(120), 0),
    };
    let count = duration.as_millis() / gap.as_millis();
    let calls = (0..count).map(|_| call(dice, PACED, 80)).collect();
    let (paced, filled, limits) = tokio::join!(
        constant(client, calls, gap),
        fill(client, fillers, until, dice.fork()),
        change(admin, name, until)
    );
    let mut facts = Facts {
        limits,
        ..Facts::default()
    };
    for made in paced.into_iter().chain(filled) {
        facts.add(&made);
    }
    facts
}

async fn fill(client: &Arc<Client>, fillers: usize, until: Instant, mut dice: Dice) -> Vec<Made> {
    let mut running = JoinSet::new();
    for _ in 0..fillers {
        let (client, mut dice) = (Arc::clone(client), dice.fork());
        running.spawn(async move {
            let mut made: Vec<Made> = Vec::new();
            let is_well = |made: &Made| made.answer.is_whole(&made.call);
            while Instant::now() < until && made.last().is_none_or(is_well) {
                let (call, planned) = (call(&mut dice, FILLER, 20), Instant::now());
                let answer = client.send(&call).await;
                made.push(Made {
                    call,
                    planned,
                    answer,
                });
            }
            made
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

/// Makes one limit after the other.
async fn change(admin: &Api, name: &str, until: Instant) -> Vec<(String, Micros)> {
    let mut made = Vec::new();
    for number in 0.. {
        let limit = format!(
            r#"{{"scope":"model:chat/model-{name}-{number}","measure":"requests-per-day","most":1000000}}"#
        );
        let Ok(answer) = admin.post("limits", &limit).await else {
            break;
        };
        made.extend(answer["id"].as_str().map(|id| (id.to_owned(), unix_us())));
        sleep(CHANGE_EVERY).await;
        if Instant::now() > until {
            break;
        }
    }
    made
}

// === impl Facts ===

impl Facts {
    fn add(&mut self, made: &Made) {
        let answer = &made.answer;
        match answer.seen(&made.call) {
            // A stream whose end was seen is whole, even when the gateway was killed before it closed the answer.
            Some(seen) => self.calls.push(Fact {
                seen,
                whole_at: answer.whole_us.filter(|_| answer.status == 200),
            }),
            None => self.unanswered += usize::from(answer.end != Ending::NotConnected),
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        self.calls.extend(other.calls);
        self.limits.extend(other.limits);
        self.unanswered += other.unanswered;
    }

    /// What was promised at this instant already. What came later may be there or not.
    pub(super) fn at(&self, cut: Micros) -> Self {
        let then = |fact: &Fact| Fact {
            whole_at: fact.whole_at.filter(|at| *at <= cut),
            ..fact.clone()
        };
        Self {
            calls: self.calls.iter().map(then).collect(),
            limits: self
                .limits
                .iter()
                .filter(|(_, at)| *at <= cut)
                .cloned()
                .collect(),
            unanswered: self.unanswered,
        }
    }

    /// What the clients saw; whole is what they saw whole.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let known = |fact: &Fact| Seen {
            is_whole: fact.whole_at.is_some(),
            ..fact.seen.clone()
        };
        self.calls.iter().map(known).collect()
    }

    pub(super) fn limits(&self) -> Vec<String> {
        self.limits.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Instants at which something was promised to a client, and to an administrator.
    pub(super) fn instants(&self) -> (Vec<Micros>, Vec<Micros>) {
        let mut ends: Vec<Micros> = self.calls.iter().filter_map(|fact| fact.whole_at).collect();
        ends.sort_unstable();
        (ends, self.limits.iter().map(|(_, at)| *at).collect())
    }

    /// Calls that had not been answered whole.
    pub(super) fn open(&self) -> usize {
        let open = self.calls.iter().filter(|fact| fact.whole_at.is_none());
        open.count() + self.unanswered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_asks_for_what_was_promised_before_it_and_for_nothing_later() {
        let fact = |request: &str, whole_at: Option<Micros>| Fact {
            seen: Seen {
                request_id: request.to_owned(),
                is_whole: whole_at.is_some(),
                tokens: 1,
            },
            whole_at,
        };
        let facts = Facts {
            calls: vec![fact("a", Some(10)), fact("b", Some(20)), fact("c", None)],
            limits: vec![("x".to_owned(), 10), ("y".to_owned(), 11)],
            unanswered: 1,
        };
        let then = facts.at(10);
        let whole: Vec<bool> = then.seen().iter().map(|seen| seen.is_whole).collect();
        assert_eq!(whole, [true, false, false]);
        assert_eq!((then.limits(), then.open()), (vec!["x".to_owned()], 3));
        assert_eq!(
            facts
                .at(9)
                .seen()
                .iter()
                .filter(|seen| seen.is_whole)
                .count(),
            0
        );
        assert_eq!((facts.at(20).open(), facts.at(20).limits().len()), (2, 2));
    }
}
