//! Rates and places: true for every stretch of time, exact about when they free, and never shared.

use super::*;
use crate::admission::{Frees, RefusedBy};

fn frees(refusal: &Refusal) -> Frees {
    match refusal.rule {
        RefusedBy::Limit { frees, .. } => frees,
        RefusedBy::Budget { .. } => panic!("a budget refused: {refusal}"),
    }
}

/// B4: obeying the wait succeeds, and nothing shorter does.
#[test]
fn a_rate_frees_exactly_when_the_refusal_says() {
    for (measure, first, second) in [
        ("requests-per-second", ms(3), ms(405)),
        ("requests-per-minute", ms(7), ms(20_001)),
        ("requests-per-day", ms(11), ms(40_000_000)),
    ] {
        let rules = limited(vec![limit("l", key("k"), measure, 2)]);
        let admission = Admission::default();
        let scopes = [key("k")];
        for begin in [first, second] {
            let held = admission.admit(&rules, at(begin), &call(&scopes)).unwrap();
            held.settle(at(begin), Actual::Exact(Used::default()));
        }
        let now = second + ms(1);
        let refusal = admission
            .admit(&rules, at(now), &call(&scopes))
            .unwrap_err();
        let wait = refusal.retry_after().unwrap();
        let just_before = (now + wait).saturating_sub(Duration::from_nanos(1));
        let refusal = admission
            .check(&rules, at(just_before), &call(&scopes))
            .unwrap_err();
        assert_eq!(
            refusal.retry_after(),
            Some(Duration::from_nanos(1)),
            "{measure}"
        );
        admission
            .check(&rules, at(now + wait), &call(&scopes))
            .unwrap();
    }
}

/// B4: two full bursts never come within one span, not even where they meet.
#[test]
fn what_was_taken_counts_for_the_whole_span_and_at_most_a_fiftieth_longer() {
    for (measure, span) in [
        ("requests-per-second", 1_000),
        ("requests-per-minute", 60_000),
        ("requests-per-day", 86_400_000),
    ] {
        let rules = limited(vec![limit("l", key("k"), measure, 1)]);
        for begin in [0, 1, 19, 20, 499, 500, 12_345, 600_000] {
            let admission = Admission::default();
            let scopes = [key("k")];
            let held = admission
                .admit(&rules, at(ms(begin)), &call(&scopes))
                .unwrap();
            let last = at(ms(begin + span).saturating_sub(Duration::from_nanos(1)));
            admission.check(&rules, last, &call(&scopes)).unwrap_err();
            let slack = span / 50;
            admission
                .check(&rules, at(ms(begin + span + slack)), &call(&scopes))
                .unwrap();
            drop(held);
        }
    }
}

/// B5, field 20: no drift. A limit that is always asked for is used to 95 % and more.
#[test]
fn under_saturation_at_least_95_percent_of_a_limit_is_used() {
    for (measure, span, step) in [
        ("tokens-per-second", 1_000, 1),
        ("tokens-per-minute", 60_000, 60),
        ("tokens-per-day", 86_400_000, 86_400),
    ] {
        let rules = limited(vec![limit("l", key("k"), measure, 100_000)]);
        let admission = Admission::default();
        let scopes = [key("k")];
        let (spans, mut used, mut seed) = (8, 0, 1_u64);
        for now in (0..span * spans).step_by(step) {
            // Each call asks for 1,000 tokens and uses some of them; calls come until one is refused.
            while let Ok(held) = admission.admit(&rules, at(ms(now)), &reading(&scopes, 1_000)) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let actual = 1 + (seed >> 33) % 1_000;
                used += actual;
                held.settle(at(ms(now)), Actual::Exact(tokens(actual, 0)));
            }
        }
        let share = used * 100 / (100_000 * spans);
        assert!((95..=113).contains(&share), "{measure}: {share} %");
    }
}

/// Field 20: a token limit counts tokens, a request limit requests, each over its own window.
#[test]
fn requests_and_tokens_do_not_share_a_window() {
    let rules = limited(vec![
        limit("r", key("k"), "requests-per-minute", 2),
        limit("t", key("k"), "tokens-per-minute", 100),
        limit("i", key("k"), "input-tokens-per-day", 1_000),
        limit("o", key("k"), "output-tokens-per-second", 1_000),
    ]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let demand = Demand {
        output_tokens: 20,
        ..reading(&scopes, 40)
    };
    let held = admission.admit(&rules, start(), &demand).unwrap();
    let taken = |at| -> Vec<(String, u64, u64)> {
        let standings = admission.standings(&rules, at, &scopes);
        let figures = standings.limits.into_iter();
        figures
            .map(|limit| (limit.id, limit.used, limit.held))
            .collect()
    };
    let figures = |figures: [(&str, u64, u64); 4]| {
        figures
            .map(|(id, used, held)| (id.to_owned(), used, held))
            .to_vec()
    };
    assert_eq!(
        taken(start()),
        figures([("r", 0, 1), ("t", 0, 60), ("i", 0, 40), ("o", 0, 20)])
    );
    held.settle(start(), Actual::Exact(tokens(30, 5)));
    assert_eq!(
        taken(start()),
        figures([("r", 1, 0), ("t", 35, 0), ("i", 30, 0), ("o", 5, 0)])
    );
    let later = at(ms(61_000));
    assert_eq!(
        taken(later),
        figures([("r", 0, 0), ("t", 0, 0), ("i", 30, 0), ("o", 0, 0)])
    );
}

/// Field 21: the call that would cross the line is refused, not the one after it.
#[test]
fn a_token_limit_is_not_one_call_late() {
    let rules = limited(vec![limit("t", key("k"), "tokens-per-minute", 100)]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let _first = admission
        .admit(&rules, start(), &reading(&scopes, 60))
        .unwrap();
    let refusal = admission
        .admit(&rules, start(), &reading(&scopes, 41))
        .unwrap_err();
    assert!(matches!(frees(&refusal), Frees::After(_)));
    let _second = admission
        .admit(&rules, start(), &reading(&scopes, 40))
        .unwrap();
}

/// B5: what is larger than the whole limit is refused at once and never told to wait.
#[test]
fn a_call_larger_than_the_whole_limit_is_told_so_at_once() {
    for measure in [
        "tokens-per-second",
        "input-tokens-per-day",
        "tokens-per-request",
    ] {
        let rules = limited(vec![limit("t", key("k"), measure, 100)]);
        let admission = Admission::default();
        let scopes = [key("k")];
        let refusal = admission
            .admit(&rules, start(), &reading(&scopes, 101))
            .unwrap_err();
        assert_eq!(
            (frees(&refusal), refusal.retry_after()),
            (Frees::TooLarge, None)
        );
        let held = admission
            .admit(&rules, start(), &reading(&scopes, 100))
            .unwrap();
        drop(held);
    }
}

/// B5: what a provider reports beyond the hold counts from when it is known, and stops the next call.
#[test]
fn tokens_beyond_the_hold_count_from_the_moment_they_are_known() {
    let rules = limited(vec![limit("t", key("k"), "output-tokens-per-minute", 100)]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let demand = Demand {
        output_tokens: 10,
        ..call(&scopes)
    };
    let held = admission.admit(&rules, start(), &demand).unwrap();
    let end = ms(90_000);
    held.settle(at(end), Actual::Exact(tokens(0, 500)));
    let standing = &admission.standings(&rules, at(end), &scopes).limits[0];
    assert_eq!((standing.used, standing.remaining), (490, 0));
    assert_eq!(standing.resets_in, ms(60_500));
    let refusal = admission.admit(&rules, at(end), &demand).unwrap_err();
    assert_eq!(refusal.retry_after(), Some(ms(60_500)));
}

/// L3: what is not known exactly gives nothing back; what was never sent gives back everything.
#[test]
fn only_an_exact_report_returns_unused_tokens() {
    let rules = limited(vec![
        limit("t", key("k"), "tokens-per-minute", 100),
        limit("r", key("k"), "requests-per-minute", 10),
    ]);
    let scopes = [key("k")];
    for (actual, used, requests) in [
        (Actual::Exact(tokens(30, 0)), 30, 1),
        (Actual::AtLeast(tokens(30, 0)), 80, 1),
        (Actual::AtLeast(tokens(90, 0)), 90, 1),
        (Actual::Nothing, 0, 0),
    ] {
        let admission = Admission::default();
        let held = admission
            .admit(&rules, start(), &reading(&scopes, 80))
            .unwrap();
        held.settle(start(), actual);
        let limits = admission.standings(&rules, start(), &scopes).limits;
        assert_eq!((limits[0].used, limits[0].held), (used, 0), "{actual:?}");
        assert_eq!(
            (limits[1].used, limits[1].held),
            (requests, 0),
            "{actual:?}"
        );
    }
}

/// B6: a place is free again however the call ends, also when nobody settles it.
#[test]
fn every_end_of_a_call_frees_its_place() {
    let rules = limited(vec![limit("c", key("k"), "concurrent-requests", 2)]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let ends: [Option<Actual>; 4] = [
        Some(Actual::Exact(Used::default())),
        Some(Actual::AtLeast(Used::default())),
        Some(Actual::Nothing),
        None,
    ];
    let _other = admission.admit(&rules, start(), &call(&scopes)).unwrap();
    for end in ends {
        let held = admission.admit(&rules, start(), &call(&scopes)).unwrap();
        let refusal = admission
            .admit(&rules, start(), &call(&scopes))
            .unwrap_err();
        assert_eq!(
            (frees(&refusal), refusal.retry_after()),
            (Frees::WithACall, Some(ms(1000)))
        );
        match end {
            Some(actual) => assert_eq!(held.settle(start(), actual), []),
            None => drop(held),
        }
        assert_eq!(
            admission.standings(&rules, start(), &scopes).limits[0].held,
            1
        );
    }
}

/// B10: the next admission sees the new size; what is held keeps its own.
#[test]
fn a_changed_size_is_seen_by_the_next_call() {
    let sized = |most| {
        limited(vec![
            limit("c", key("k"), "concurrent-requests", most),
            limit("r", key("k"), "requests-per-minute", most + 10),
        ])
    };
    let admission = Admission::default();
    let scopes = [key("k")];
    let mut open: Vec<Held> = (0..4)
        .map(|_| admission.admit(&sized(4), start(), &call(&scopes)).unwrap())
        .collect();
    admission
        .admit(&sized(4), start(), &call(&scopes))
        .unwrap_err();
    open.push(admission.admit(&sized(5), start(), &call(&scopes)).unwrap());
    admission
        .admit(&sized(2), start(), &call(&scopes))
        .unwrap_err();
    assert_eq!(
        admission.standings(&sized(2), start(), &scopes).limits[0].held,
        5
    );
    open.truncate(1);
    open.push(admission.admit(&sized(2), start(), &call(&scopes)).unwrap());
    admission
        .admit(&sized(2), start(), &call(&scopes))
        .unwrap_err();
}

/// A limit of 0 blocks what is asked of it, and nothing else.
#[test]
fn a_limit_of_zero_blocks() {
    let rules = limited(vec![limit("l", key("k"), "requests-per-minute", 0)]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let refusal = admission
        .admit(&rules, start(), &call(&scopes))
        .unwrap_err();
    assert_eq!(
        (frees(&refusal), refusal.retry_after()),
        (Frees::Blocked, None)
    );
    let attempt = Demand {
        counts: false,
        ..call(&scopes)
    };
    drop(admission.admit(&rules, start(), &attempt).unwrap());
}

/// Field 22: a fallback is asked like any attempt, under the limits of where it goes.
#[test]
fn a_fallback_does_not_escape_the_limits_of_its_target() {
    let provider = |name: &str| Scope::Provider(name.to_owned());
    let rules = Rules::new(
        vec![limit("p", provider("second"), "tokens-per-minute", 50)],
        vec![budget("b", provider("second"), "0.10")],
    )
    .unwrap();
    let admission = Admission::default();
    let attempt = |scopes: &[Scope], input_tokens, money| {
        let demand = Demand {
            counts: false,
            ..Demand {
                input_tokens,
                ..costing(scopes, money)
            }
        };
        admission.admit(&rules, start(), &demand)
    };
    drop(attempt(&[provider("first")], 60, "0.20").unwrap());
    attempt(&[provider("second")], 60, "0.01").unwrap_err();
    attempt(&[provider("second")], 10, "0.20").unwrap_err();
    drop(attempt(&[provider("second")], 50, "0.10").unwrap());
}

/// B8, B9: the team's wall does not eat the key's requests; a scope that is named twice counts once.
#[test]
fn a_refusal_by_one_scope_costs_the_others_nothing() {
    let team = Scope::Team("t".to_owned());
    let rules = limited(vec![
        limit("k", key("k"), "requests-per-minute", 5),
        limit("t", team.clone(), "requests-per-minute", 1),
    ]);
    let admission = Admission::default();
    let scopes = [key("k"), team, key("k")];
    let _held = admission.admit(&rules, start(), &call(&scopes)).unwrap();
    let before = everything(&admission);
    for _ in 0..10 {
        admission
            .admit(&rules, start(), &call(&scopes))
            .unwrap_err();
    }
    assert_eq!(everything(&admission), before);
    assert_eq!(
        admission.standings(&rules, start(), &scopes).limits[0].held,
        1
    );
}

/// B11: calls that read the clock in one order and arrive in another are all counted.
#[test]
fn an_instant_that_comes_late_is_counted_as_the_latest() {
    let rules = limited(vec![limit("l", key("k"), "requests-per-second", 2)]);
    let admission = Admission::default();
    let scopes = [key("k")];
    for begin in [5_000, 4_500] {
        drop(
            admission
                .admit(&rules, at(ms(begin)), &call(&scopes))
                .unwrap(),
        );
    }
    let refusal = admission
        .admit(&rules, at(ms(4_900)), &call(&scopes))
        .unwrap_err();
    assert_eq!(refusal.retry_after(), Some(ms(6_020 - 4_900)));
}
