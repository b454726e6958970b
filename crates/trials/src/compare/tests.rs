//! The comparison must be able to fail: one good state, and each way to spoil it.

use super::*;
use crate::price::DISTINCT;

const BILL: BilledUsage = BilledUsage {
    input: 20,
    cache_read: 1000,
    cache_write_5m: 200,
    cache_write_1h: 30,
    output: 40,
    reasoning: 3,
};

/// A state of the world in which nothing is wrong: one whole call, one cut stream.
#[derive(Clone)]
struct World {
    rows: Vec<Row>,
    witnesses: Vec<Witness>,
    seen: Vec<Seen>,
    in_flight: usize,
}

impl World {
    fn good() -> Self {
        let cut = BilledUsage {
            output: 100,
            reasoning: 0,
            ..BILL
        };
        Self {
            rows: vec![
                settled("req_1", BILL, Provenance::Reported),
                settled("req_2", cut, Provenance::Partial),
            ],
            witnesses: vec![witness("req_1-1", BILL), witness("req_2-1", cut)],
            seen: vec![seen("req_1", true, 40), seen("req_2", false, 98)],
            in_flight: 1,
        }
    }

    fn compare(&self) -> Comparison {
        compare(&Evidence {
            rows: &self.rows,
            witnesses: &self.witnesses,
            seen: &self.seen,
            rates: &DISTINCT,
            in_flight: self.in_flight,
            tokens_under_way: 3,
        })
    }
}

fn settled(request: &str, bill: BilledUsage, provenance: Provenance) -> Row {
    Row {
        attempt: format!("{request}-1"),
        request_id: request.to_owned(),
        number: 1,
        state: State::Settled,
        outcome: Some(Outcome::Complete),
        model: "text".to_owned(),
        provider: "chat".to_owned(),
        input: bill.input,
        cache_read: Some(bill.cache_read),
        cache_write: Some(bill.cache_write_5m),
        cache_write_1h: Some(bill.cache_write_1h),
        output: bill.output,
        reasoning: Some(bill.reasoning),
        provenance: Some(provenance),
        cost_usd: Some(dollars(DISTINCT.cost(&bill))),
        held_usd: Some("0.01".to_owned()),
        admitted_at_ms: 1,
        settled_at_ms: Some(2),
        tags: BTreeMap::new(),
    }
}

fn open(request: &str, state: State) -> Row {
    Row {
        state,
        outcome: None,
        cost_usd: None,
        settled_at_ms: None,
        ..settled(request, BilledUsage::default(), Provenance::Unknown)
    }
}

fn witness(attempt: &str, billed: BilledUsage) -> Witness {
    Witness {
        attempt: attempt.to_owned(),
        status: 200,
        is_stream: true,
        billed: Some(billed),
    }
}

fn seen(request_id: &str, is_whole: bool, tokens: u64) -> Seen {
    Seen {
        request_id: request_id.to_owned(),
        is_whole,
        tokens,
    }
}

/// Spoils the good state and expects exactly these violations.
fn check(spoil: impl FnOnce(&mut World), expected: &[Violation]) {
    let mut world = World::good();
    spoil(&mut world);
    assert_eq!(world.compare().violations, expected);
}

#[test]
fn a_ledger_that_equals_the_oracle_has_no_violation() {
    let comparison = World::good().compare();
    assert_eq!(comparison.violations, []);
    assert_eq!(
        comparison.figures,
        Figures {
            witnessed: 2,
            rows: 2,
            exact: 1,
            estimated: 1,
            ..Figures::default()
        }
    );
}

#[test]
fn a_lost_row_is_found() {
    check(
        |world| drop(world.rows.remove(1)),
        &[Violation::Lost("req_2-1".to_owned())],
    );
    let mut world = World::good();
    world.rows.clear();
    assert_eq!(world.compare().lost(), 2);
    // Seen whole by its client, though no provider has it: answered from elsewhere, and not booked.
    check(
        |world| world.seen.push(seen("req_9", true, 1)),
        &[Violation::Lost("req_9".to_owned())],
    );
}

#[test]
fn a_duplicated_row_and_a_doubled_attempt_are_found() {
    check(
        |world| world.rows.push(world.rows[0].clone()),
        &[Violation::Duplicated("req_1-1".to_owned())],
    );
    check(
        |world| world.witnesses.push(world.witnesses[0].clone()),
        &[Violation::SentTwice("req_1-1".to_owned())],
    );
    check(
        |world| world.witnesses.push(witness("", BILL)),
        &[Violation::SentWithoutId],
    );
}

#[test]
fn a_wrong_bucket_is_found_even_when_the_sum_is_right() {
    check(
        |world| {
            let bill = BilledUsage {
                input: BILL.input + 1,
                cache_read: BILL.cache_read - 1,
                ..BILL
            };
            world.rows[0] = settled("req_1", bill, Provenance::Reported);
        },
        &[
            Violation::WrongBucket {
                attempt: "req_1-1".to_owned(),
                bucket: "input",
                ledger: 21,
                oracle: 20,
            },
            Violation::WrongBucket {
                attempt: "req_1-1".to_owned(),
                bucket: "cache_read",
                ledger: 999,
                oracle: 1000,
            },
        ],
    );
}

#[test]
fn a_cost_that_is_wrong_by_a_nano_dollar_or_missing_is_found() {
    let reference = DISTINCT.cost(&BILL);
    check(
        |world| world.rows[0].cost_usd = Some(dollars(reference - 1)),
        &[Violation::WrongCost {
            attempt: "req_1-1".to_owned(),
            ledger: reference - 1,
            reference,
        }],
    );
    check(
        |world| world.rows[0].cost_usd = None,
        &[Violation::Unpriced("req_1-1".to_owned())],
    );
}

#[test]
fn an_error_answer_that_is_booked_is_found() {
    check(
        |world| {
            world.rows[1].provenance = Some(Provenance::Estimated);
            world.rows[1] = Row {
                cache_read: None,
                cache_write: None,
                cache_write_1h: None,
                input: 9,
                output: 0,
                cost_usd: Some("0.0000225".to_owned()),
                ..world.rows[1].clone()
            };
            world.witnesses[1] = Witness {
                status: 500,
                billed: None,
                ..world.witnesses[1].clone()
            };
        },
        &[Violation::WrongBucket {
            attempt: "req_2-1".to_owned(),
            bucket: "input",
            ledger: 9,
            oracle: 0,
        }],
    );
}

#[test]
fn phantom_rows_are_found_unless_they_say_what_they_are_and_are_few() {
    check(
        |world| {
            world
                .rows
                .push(settled("req_3", BILL, Provenance::Reported));
        },
        &[Violation::Phantom {
            attempt: "req_3-1".to_owned(),
            state: State::Settled,
        }],
    );
    check(|world| world.rows.push(open("req_3", State::Unknown)), &[]);
    check(
        |world| {
            world.rows.push(open("req_3", State::Unknown));
            world.rows.push(open("req_4", State::Released));
        },
        &[Violation::TooManyPhantoms { found: 2, most: 1 }],
    );
}

#[test]
fn an_attempt_that_is_still_open_or_falsely_released_is_found() {
    for state in [State::Held, State::Dispatched] {
        check(
            |world| world.rows[1] = open("req_2", state),
            &[Violation::LeftOpen {
                attempt: "req_2-1".to_owned(),
                state,
            }],
        );
    }
    check(
        |world| world.rows[1] = open("req_2", State::Released),
        &[Violation::ReleasedButSent("req_2-1".to_owned())],
    );
}

#[test]
fn what_a_client_saw_whole_must_be_settled_and_what_it_did_not_may_be_unknown() {
    check(|world| world.rows[1] = open("req_2", State::Unknown), &[]);
    check(
        |world| world.rows[0] = open("req_1", State::Unknown),
        &[Violation::CompleteNotSettled {
            attempt: "req_1-1".to_owned(),
            state: State::Unknown,
        }],
    );
}

#[test]
fn an_estimate_is_held_to_what_was_forwarded_produced_and_held() {
    let booked = |output: u64| {
        move |world: &mut World| {
            let bill = BilledUsage {
                output,
                reasoning: 0,
                ..BILL
            };
            world.rows[1] = settled("req_2", bill, Provenance::Estimated);
        }
    };
    let attempt = || "req_2-1".to_owned();
    // 98 tokens reached the client; 100 were produced, 3 may be under way.
    check(booked(98), &[]);
    check(
        booked(97),
        &[Violation::UnderCount {
            attempt: attempt(),
            ledger: 97,
            least: 98,
        }],
    );
    check(booked(163), &[]);
    check(
        booked(164),
        &[Violation::OverCount {
            attempt: attempt(),
            ledger: 164,
            most: 163,
        }],
    );
    check(
        |world| world.rows[1].held_usd = Some("0.001".to_owned()),
        &[Violation::BeyondHold {
            attempt: attempt(),
            cost: World::good().rows[1].cost().unwrap(),
            held: 1_000_000,
        }],
    );
}

#[test]
fn only_the_last_attempt_of_a_request_stands_for_what_its_client_saw() {
    check(
        |world| {
            let retry = Row {
                attempt: "req_1-2".to_owned(),
                number: 2,
                ..world.rows[0].clone()
            };
            world.rows[0] = open("req_1", State::Unknown);
            world.rows.push(retry);
            world.witnesses.push(witness("req_1-2", BILL));
        },
        &[],
    );
}
