//! Lays the ledger beside the oracle: which attempts are lost, doubled, invented or booked wrongly.
//!
//! Pure: rows, witnesses and what the clients saw go in, violations come out. Every rule has a test that makes it
//! fail, in `tests.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tollgate_testkit::{BilledUsage, Record};

use crate::export::{Outcome, Provenance, Row, State};
use crate::price::{Rates, dollars};

/// What the oracle knows of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    /// The id that the gateway sent with the attempt.
    pub(crate) attempt: String,
    pub(crate) status: u16,
    /// Its answer was a stream. Of another one nothing arrives before all of it does.
    pub(crate) is_stream: bool,
    /// What a conforming provider bills for it; `None`: nothing.
    pub(crate) billed: Option<BilledUsage>,
}

/// What a client saw of one request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) request_id: String,
    /// A good answer arrived to its very end.
    pub(crate) is_whole: bool,
    /// Tokens of output that arrived.
    pub(crate) tokens: u64,
}

/// Everything that is compared, and the tolerances of this trial.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) rows: &'a [Row],
    pub(crate) witnesses: &'a [Witness],
    pub(crate) seen: &'a [Seen],
    pub(crate) rates: &'a Rates,
    /// Requests that were open when the gateway was killed, all kills together.
    pub(crate) in_flight: usize,
    /// Tokens that may be under way between provider and client when a stream breaks off.
    pub(crate) tokens_under_way: u64,
}

/// How many of what, for the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) witnessed: usize,
    pub(crate) rows: usize,
    pub(crate) exact: usize,
    pub(crate) estimated: usize,
    pub(crate) unknown: usize,
    pub(crate) released: usize,
    pub(crate) phantoms: usize,
    /// Estimated rows below the oracle's bill, though within what was under way.
    pub(crate) below_oracle: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The provider served it, the ledger does not have it.
    Lost(String),
    /// The ledger has it more than once.
    Duplicated(String),
    /// The provider was sent one attempt id twice, or an attempt without an id.
    SentTwice(String),
    SentWithoutId,
    WrongBucket {
        attempt: String,
        bucket: &'static str,
        ledger: u64,
        oracle: u64,
    },
    WrongCost {
        attempt: String,
        ledger: i128,
        reference: i128,
    },
    /// A settled row without a cost.
    Unpriced(String),
    /// Fewer tokens booked than the client got or the provider produced.
    UnderCount {
        attempt: String,
        ledger: u64,
        least: u64,
    },
    OverCount {
        attempt: String,
        ledger: u64,
        most: u64,
    },
    /// Not exact, and dearer than what was held for it.
    BeyondHold {
        attempt: String,
        cost: i128,
        held: i128,
    },
    /// Something is booked that the provider never saw, and it does not say that it is unknown or released.
    Phantom {
        attempt: String,
        state: State,
    },
    TooManyPhantoms {
        found: usize,
        most: usize,
    },
    /// Neither ended nor declared unknown.
    LeftOpen {
        attempt: String,
        state: State,
    },
    /// The ledger says that it was never sent; the provider got it.
    ReleasedButSent(String),
    /// The client saw the end of a good answer; the ledger does not know it.
    CompleteNotSettled {
        attempt: String,
        state: State,
    },
}

/// What comparing found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Comparison {
    pub(crate) figures: Figures,
    pub(crate) violations: Vec<Violation>,
}

impl Witness {
    /// `None` for what is no attempt of a model (a list of models, say).
    pub(crate) fn of(record: &Record) -> Option<Self> {
        record.model.as_ref()?;
        Some(Self {
            attempt: record
                .header("x-client-request-id")
                .unwrap_or_default()
                .to_owned(),
            status: record.status,
            is_stream: record.stream,
            billed: record.billed,
        })
    }
}

pub(crate) fn compare(evidence: &Evidence<'_>) -> Comparison {
    let mut comparison = Comparison::default();
    let figures = &mut comparison.figures;
    figures.rows = evidence.rows.len();
    figures.witnessed = evidence.witnesses.len();
    let mut witnessed: BTreeMap<&str, &Witness> = BTreeMap::new();
    let violations = &mut comparison.violations;
    for witness in evidence.witnesses {
        if witness.attempt.is_empty() {
            violations.push(Violation::SentWithoutId);
        } else if witnessed.insert(&witness.attempt, witness).is_some() {
            violations.push(Violation::SentTwice(witness.attempt.clone()));
        }
    }
    let mut booked: BTreeSet<&str> = BTreeSet::new();
    let mut last: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in evidence.rows {
        if !booked.insert(&row.attempt) {
            violations.push(Violation::Duplicated(row.attempt.clone()));
        }
        let latest = last.entry(&row.request_id).or_insert(row);
        if latest.number < row.number {
            *latest = row;
        }
        match witnessed.get(row.attempt.as_str()) {
            Some(witness) => known(row, witness, evidence, figures, violations),
            None => unseen(row, figures, violations),
        }
    }
    for attempt in witnessed.keys() {
        if !booked.contains(attempt) {
            violations.push(Violation::Lost((*attempt).to_owned()));
        }
    }
    if figures.phantoms > evidence.in_flight {
        violations.push(Violation::TooManyPhantoms {
            found: figures.phantoms,
            most: evidence.in_flight,
        });
    }
    check_seen(evidence.seen, &witnessed, &last, violations);
    comparison
}

/// A row of an attempt that the provider got.
fn known(
    row: &Row,
    witness: &Witness,
    evidence: &Evidence<'_>,
    figures: &mut Figures,
    violations: &mut Vec<Violation>,
) {
    let attempt = || row.attempt.clone();
    match row.state {
        State::Released => violations.push(Violation::ReleasedButSent(attempt())),
        State::Unknown => figures.unknown += 1,
        State::Held | State::Dispatched => violations.push(Violation::LeftOpen {
            attempt: attempt(),
            state: row.state,
        }),
        State::Settled => {
            let Some(cost) = row.cost() else {
                violations.push(Violation::Unpriced(attempt()));
                return;
            };
            let reference = evidence.rates.cost(&row.bill());
            if cost != reference {
                violations.push(Violation::WrongCost {
                    attempt: attempt(),
                    ledger: cost,
                    reference,
                });
            }
            // An error answer says whether it was billed: it was not.
            if row.provenance == Some(Provenance::Reported) || witness.status >= 400 {
                figures.exact += 1;
                exact(row, witness.billed.unwrap_or_default(), violations);
            } else {
                figures.estimated += 1;
                estimated(row, cost, witness, evidence, violations);
                let produced = witness.billed.map_or(0, |billed| billed.all_output());
                figures.below_oracle += usize::from(row.bill().all_output() < produced);
            }
        }
    }
}

/// The report of the provider, bucket by bucket.
fn exact(row: &Row, oracle: BilledUsage, violations: &mut Vec<Violation>) {
    let ledger = row.bill();
    let buckets = [
        ("input", ledger.input, oracle.input),
        ("cache_read", ledger.cache_read, oracle.cache_read),
        ("cache_write", ledger.cache_write_5m, oracle.cache_write_5m),
        (
            "cache_write_1h",
            ledger.cache_write_1h,
            oracle.cache_write_1h,
        ),
        ("output", ledger.output, oracle.output),
        ("reasoning", ledger.reasoning, oracle.reasoning),
    ];
    for (bucket, ledger, oracle) in buckets {
        if ledger != oracle {
            violations.push(Violation::WrongBucket {
                attempt: row.attempt.clone(),
                bucket,
                ledger,
                oracle,
            });
        }
    }
}

/// The beginning of the names of providers behind a bad line.
pub(crate) const BAD_LINE: &str = "line-";
/// By how much an estimate may be too high, in percent: no tokenizer is known for the scripted models, and the
/// dearest family (Claude's newer ones) is counted with 56 % more than the tokens of the script.
const FAMILY_PERCENT: u64 = 60;

/// Nobody reported the whole: the row must lie between what was produced and what was held.
fn estimated(
    row: &Row,
    cost: i128,
    witness: &Witness,
    evidence: &Evidence<'_>,
    violations: &mut Vec<Violation>,
) {
    if let Some(held) = row.held()
        && cost > held
    {
        violations.push(Violation::BeyondHold {
            attempt: row.attempt.clone(),
            cost,
            held,
        });
    }
    // Without any bill (cut before the answer began) there is nothing to compare the counts with.
    let Some(billed) = witness.billed else { return };
    let ledger = row.bill();
    if ledger.all_input() < billed.all_input() {
        violations.push(Violation::UnderCount {
            attempt: row.attempt.clone(),
            ledger: ledger.all_input(),
            least: billed.all_input(),
        });
    }
    let (booked, produced) = (ledger.all_output(), billed.all_output());
    let forwarded = evidence
        .seen
        .iter()
        .filter(|seen| seen.request_id == row.request_id)
        .map(|seen| seen.tokens)
        .max()
        .unwrap_or(0);
    // What a bad line swallows nobody can count.
    let arrives = witness.is_stream && !row.provider.starts_with(BAD_LINE);
    let on_its_way = if arrives {
        evidence.tokens_under_way
    } else {
        produced
    };
    let least = produced
        .saturating_sub(on_its_way)
        .max(forwarded.min(produced));
    if booked < least {
        violations.push(Violation::UnderCount {
            attempt: row.attempt.clone(),
            ledger: booked,
            least,
        });
    }
    let most = produced + 2.max(produced * FAMILY_PERCENT / 100) + evidence.tokens_under_way;
    if booked > most {
        violations.push(Violation::OverCount {
            attempt: row.attempt.clone(),
            ledger: booked,
            most,
        });
    }
}

/// A row of an attempt that the provider never got.
fn unseen(row: &Row, figures: &mut Figures, violations: &mut Vec<Violation>) {
    match row.state {
        State::Released => {
            figures.released += 1;
            figures.phantoms += 1;
        }
        State::Unknown => {
            figures.unknown += 1;
            figures.phantoms += 1;
        }
        State::Settled if row.outcome == Some(Outcome::CacheHit) => {}
        State::Held | State::Dispatched => violations.push(Violation::LeftOpen {
            attempt: row.attempt.clone(),
            state: row.state,
        }),
        State::Settled => violations.push(Violation::Phantom {
            attempt: row.attempt.clone(),
            state: row.state,
        }),
    }
}

/// What a client saw whole was settled before its last byte, so no kill can have undone it.
fn check_seen(
    seen: &[Seen],
    witnessed: &BTreeMap<&str, &Witness>,
    last: &BTreeMap<&str, &Row>,
    violations: &mut Vec<Violation>,
) {
    let sent: BTreeSet<&str> = witnessed
        .keys()
        .filter_map(|attempt| attempt.rsplit_once('-'))
        .map(|(request, _)| request)
        .collect();
    for seen in seen.iter().filter(|seen| seen.is_whole) {
        match last.get(seen.request_id.as_str()) {
            // Its attempt is counted as lost already.
            None if sent.contains(seen.request_id.as_str()) => {}
            None => violations.push(Violation::Lost(seen.request_id.clone())),
            Some(row) if row.state != State::Settled => {
                violations.push(Violation::CompleteNotSettled {
                    attempt: row.attempt.clone(),
                    state: row.state,
                });
            }
            Some(_) => {}
        }
    }
}

impl Comparison {
    /// How many attempts the ledger lost.
    pub(crate) fn lost(&self) -> usize {
        self.count(|violation| matches!(violation, Violation::Lost(_)))
    }

    pub(crate) fn duplicated(&self) -> usize {
        self.count(|violation| {
            matches!(
                violation,
                Violation::Duplicated(_) | Violation::SentTwice(_)
            )
        })
    }

    fn count(&self, is_it: impl Fn(&Violation) -> bool) -> usize {
        self.violations
            .iter()
            .filter(|violation| is_it(violation))
            .count()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(attempt) => write!(f, "{attempt}: lost, the ledger does not have it"),
            Self::Duplicated(attempt) => write!(f, "{attempt}: more than one row"),
            Self::SentTwice(attempt) => write!(f, "{attempt}: sent to the provider twice"),
            Self::SentWithoutId => f.write_str("an attempt reached the provider without its id"),
            Self::WrongBucket {
                attempt,
                bucket,
                ledger,
                oracle,
            } => write!(
                f,
                "{attempt}: {bucket} is {ledger}, the provider bills {oracle}"
            ),
            Self::WrongCost {
                attempt,
                ledger,
                reference,
            } => write!(
                f,
                "{attempt}: cost is ${}, by the reference ${}",
                dollars(*ledger),
                dollars(*reference)
            ),
            Self::Unpriced(attempt) => write!(f, "{attempt}: settled without a cost"),
            Self::UnderCount {
                attempt,
                ledger,
                least,
            } => write!(
                f,
                "{attempt}: {ledger} tokens booked, at least {least} used"
            ),
            Self::OverCount {
                attempt,
                ledger,
                most,
            } => write!(f, "{attempt}: {ledger} tokens booked, at most {most} used"),
            Self::BeyondHold {
                attempt,
                cost,
                held,
            } => write!(
                f,
                "{attempt}: an estimate of ${} is above the hold of ${}",
                dollars(*cost),
                dollars(*held)
            ),
            Self::Phantom { attempt, state } => {
                write!(f, "{attempt}: {state:?}, yet the provider never saw it")
            }
            Self::TooManyPhantoms { found, most } => write!(
                f,
                "{found} rows that the provider never saw, at most {most} were in flight"
            ),
            Self::LeftOpen { attempt, state } => {
                write!(f, "{attempt}: still {state:?} after everything ended")
            }
            Self::ReleasedButSent(attempt) => {
                write!(f, "{attempt}: released as never sent, the provider got it")
            }
            Self::CompleteNotSettled { attempt, state } => {
                write!(f, "{attempt}: {state:?}, though the client saw its end")
            }
        }
    }
}

#[cfg(test)]
mod tests;
