//! The state machine against a model, and the words of reports.

use proptest::prelude::*;
use tollgate_base::{Money, Provenance, UnixMillis, Usage};

use super::{
    Attempt, AttemptId, AttemptOutcome, AttemptState, Cost, Entry, Group, Opening, Settlement,
    Step, day_of,
};

fn id() -> AttemptId {
    AttemptId {
        request_id: "req_1".to_owned(),
        number: 1,
    }
}

fn opening() -> Opening {
    Opening {
        id: id(),
        at: UnixMillis(1_700_000_000_000),
        key_id: "key_1".to_owned(),
        project_id: None,
        team_id: Some("team_1".to_owned()),
        operation: "generation".to_owned(),
        dialect: "openai-chat".to_owned(),
        route: "fast".to_owned(),
        provider: "lab".to_owned(),
        model: "m".to_owned(),
        stream: true,
        held: Some(Money::from_nanos(100)),
        held_input: 10,
        held_output: 20,
        price_version: "v1".to_owned(),
        tags: vec![],
    }
}

fn settlement(cost: i128) -> Settlement {
    Settlement {
        id: id(),
        at: UnixMillis(1_700_000_001_000),
        outcome: AttemptOutcome::Complete,
        usage: Usage {
            input: 3,
            output: 4,
            provenance: Provenance::Reported,
            ..Usage::default()
        },
        cost: Cost::Known(Money::from_nanos(cost)),
        unit_prices: String::new(),
        code: String::new(),
        first_event_ms: Some(5),
        duration_ms: 9,
    }
}

fn all_entries() -> Vec<Entry> {
    let other = Opening {
        key_id: "key_2".to_owned(),
        ..opening()
    };
    vec![
        Entry::Opened(opening()),
        Entry::Opened(other.clone()),
        Entry::Dispatched(id()),
        Entry::Settled(settlement(7)),
        Entry::Settled(settlement(8)),
        Entry::Released(id()),
        Entry::Lost(id(), UnixMillis(5)),
        Entry::Resolved(id(), UnixMillis(6), Money::from_nanos(9)),
        Entry::Resolved(id(), UnixMillis(6), Money::from_nanos(10)),
        Entry::Sent(opening()),
        Entry::Sent(other),
    ]
}

fn cases() -> u32 {
    option_env!("TOLLGATE_LEDGER_CASES").map_or(10_000, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Whatever comes, in whatever order and however often: an entry that was taken once changes nothing the
    /// second time, a refused one changes nothing at all, and what is booked never changes any more.
    #[test]
    fn repeats_and_refusals_change_nothing(order in prop::collection::vec(0_usize..11, 1..20)) {
        let entries = all_entries();
        let mut known = None;
        let mut taken = Vec::new();
        for at in order {
            let before: Option<Attempt> = known.clone();
            let step = Attempt::advance(&mut known, &entries[at]);
            if step == Ok(Step::Changed) {
                taken.push(at);
            } else {
                prop_assert_eq!(&known, &before);
            }
            if let Some(booked) = before.as_ref().and_then(Attempt::cost) {
                prop_assert_eq!(known.as_ref().and_then(Attempt::cost), Some(booked));
            }
            for &again in &taken {
                let mut copy = known.clone();
                prop_assert_eq!(Attempt::advance(&mut copy, &entries[again]), Ok(Step::Repeated));
                prop_assert_eq!(&copy, &known);
            }
        }
    }

    /// A history that one process can have written comes to the same end, whatever is delivered again in
    /// whatever order after a first delivery in its own order.
    #[test]
    fn a_history_that_is_delivered_again_stays_as_it_is(
        history in prop::sample::select(vec![
            vec![0, 2, 3], vec![0, 3], vec![0, 5], vec![0, 2, 6], vec![0, 2, 6, 7], vec![0, 2, 6, 3],
            vec![9, 3], vec![9, 6], vec![9, 6, 7], vec![0, 9, 3],
        ]),
        again in prop::collection::vec(0_usize..4, 0..20),
    ) {
        let entries = all_entries();
        let mut known = None;
        for &at in &history {
            prop_assert_eq!(Attempt::advance(&mut known, &entries[at]), Ok(Step::Changed));
        }
        let end = known.clone();
        for at in again {
            let entry = &entries[history[at % history.len()]];
            prop_assert_eq!(Attempt::advance(&mut known, entry), Ok(Step::Repeated));
            prop_assert_eq!(&known, &end);
        }
    }
}

#[test]
fn what_is_not_in_the_order_is_refused() {
    let entries = all_entries();
    let allowed = |state: &[usize], next: usize| {
        let mut known = None;
        for &at in state {
            Attempt::advance(&mut known, &entries[at]).unwrap();
        }
        Attempt::advance(&mut known, &entries[next]).is_ok()
    };
    for (state, fits) in [
        (&[][..], &[0, 1, 9, 10][..]),
        (&[0], &[0, 2, 3, 4, 5, 9]),
        (&[0, 2], &[0, 2, 3, 4, 6, 9]),
        (&[9], &[0, 2, 3, 4, 6, 9]),
        (&[0, 2, 3], &[0, 2, 3, 9]),
        (&[9, 3], &[0, 2, 3, 9]),
        (&[0, 5], &[0, 5]),
        (&[0, 2, 6], &[0, 2, 3, 4, 6, 7, 8, 9]),
        (&[0, 2, 6, 7], &[0, 2, 6, 7, 9]),
        (&[0, 2, 6, 3], &[0, 2, 3, 6, 9]),
    ] {
        for next in 0..entries.len() {
            let fitting = fits.contains(&next);
            assert_eq!(allowed(state, next), fitting, "{state:?} then {next}");
        }
    }
}

#[test]
fn a_lost_attempt_counts_with_its_hold_until_it_is_resolved() {
    let mut known = Attempt::open(opening());
    known.take(&Entry::Dispatched(id())).unwrap();
    assert_eq!(known.posted(), None);
    known.take(&Entry::Lost(id(), UnixMillis(5))).unwrap();
    let posted = known.posted().unwrap();
    assert_eq!((posted.money.nanos(), posted.input_tokens), (100, 10));
    let cost = Money::from_nanos(42);
    known
        .take(&Entry::Resolved(id(), UnixMillis(6), cost))
        .unwrap();
    assert_eq!(known.state, AttemptState::Settled);
    assert_eq!(known.posted().unwrap().money, cost);
}

#[test]
fn days_are_dates() {
    for (secs, day) in [
        (0, "1970-01-01"),
        (951_782_400, "2000-02-29"),
        (951_868_800, "2000-03-01"),
        (1_709_251_199, "2024-02-29"),
        (1_735_689_599, "2024-12-31"),
        (1_735_689_600, "2025-01-01"),
        (4_102_444_800, "2100-01-01"),
    ] {
        assert_eq!(day_of(UnixMillis(secs * 1000)), day);
    }
}

#[test]
fn a_group_is_read_as_it_is_written() {
    for text in [
        "key",
        "project",
        "team",
        "model",
        "provider",
        "route",
        "operation",
        "day",
        "tag:cost centre",
    ] {
        assert_eq!(Group::parse(text).unwrap().to_string(), text);
    }
    for bad in ["", "tag", "tag:", "Key", "user"] {
        assert_eq!(Group::parse(bad), None);
    }
}
