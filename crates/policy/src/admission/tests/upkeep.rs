//! What counters start from, and when they are dropped.

use std::sync::Arc;

use tollgate_base::Error;

use super::*;
use crate::ledger::{Figures, Posted};

const DAY: u64 = 86_400_000;

fn sizes(admission: &Admission) -> (usize, usize, usize) {
    crate::admission::sync::with(&admission.shared, |state| {
        (state.open.len(), state.rates.len(), state.accounts.len())
    })
}

/// A ledger with calls at these instants, each of 1 request, 10 input and 5 output tokens, and $0.10.
fn ledger(calls: &[u64]) -> impl FnMut(&Scope, &[UnixMillis]) -> tollgate_base::Result<Figures> {
    let calls = calls.to_vec();
    move |scope, borders| {
        let spans = borders.iter().zip(borders.iter().skip(1));
        let parts = spans.map(|(from, to)| {
            let within = calls.iter().filter(|at| (from.0..to.0).contains(at));
            let within = if *scope == key("k") {
                within.count() as u64
            } else {
                0
            };
            Posted {
                money: dollars("0.10").times(within),
                input_tokens: 10 * within,
                output_tokens: 5 * within,
                requests: within,
            }
        });
        Ok(Figures {
            parts: parts.collect(),
            as_of: 0,
        })
    }
}

#[test]
fn a_start_knows_what_was_spent_in_the_window_and_tells_thresholds_once() {
    let rules = Arc::new(budgeted(vec![
        BudgetRule {
            thresholds: vec![20, 50],
            ..budget("b", key("k"), "1.00")
        },
        BudgetRule {
            period: Period::Day,
            ..budget("day", key("k"), "1.00")
        },
        budget("other", key("j"), "1.00"),
    ]));
    let admission = Admission::default();
    let calls = [NOON - 20 * DAY, NOON - DAY, NOON - 1, NOON - 2];
    let crossings = admission
        .begin(&rules, start())
        .finish(ledger(&calls))
        .unwrap();
    assert_eq!(crossings.len(), 1);
    assert_eq!(
        (crossings[0].percent, crossings[0].posted),
        (20, dollars("0.30"))
    );
    let posted = |admission: &Admission| -> Vec<Money> {
        let standings = admission.all_standings(&rules, start());
        standings
            .budgets
            .iter()
            .map(|budget| budget.posted)
            .collect()
    };
    assert_eq!(
        posted(&admission),
        [dollars("0"), dollars("0.30"), dollars("0.20")]
    );
    // Again, as after a change of rules: what has begun is left as it is.
    assert_eq!(
        admission
            .begin(&rules, start())
            .finish(ledger(&calls))
            .unwrap(),
        []
    );
    assert_eq!(
        posted(&admission),
        [dollars("0"), dollars("0.30"), dollars("0.20")]
    );
    let failing = |_: &Scope, _: &[UnixMillis]| Err(Error::internal("no ledger"));
    Admission::default()
        .begin(&rules, start())
        .finish(failing)
        .unwrap_err();
}

#[test]
fn a_call_that_was_lost_is_corrected_after_the_restart() {
    let rules = Arc::new(budgeted(vec![budget("b", key("k"), "1.00")]));
    let admission = Admission::default();
    admission
        .begin(&rules, start())
        .finish(ledger(&[NOON - 1, NOON - 2]))
        .unwrap();
    let correction = crate::admission::Correction {
        admitted: UnixMillis(NOON - 1),
        released: dollars("0.10"),
        posted: dollars("0.02"),
    };
    admission.correct(&rules, start(), &[key("k")], correction);
    let standing = &admission.all_standings(&rules, start()).budgets[0];
    assert_eq!(
        (standing.posted, standing.doubtful),
        (dollars("0.12"), Money::ZERO)
    );
}

/// What was used is remembered over a restart for as long as it counts, and at most a twelfth of the span longer.
#[test]
fn a_start_knows_the_last_days_and_minutes_requests_and_tokens() {
    let rules = Arc::new(limited(vec![
        limit("r", key("k"), "requests-per-day", 100),
        limit("t", key("k"), "tokens-per-day", 1_000),
        limit("i", key("k"), "input-tokens-per-day", 1_000),
        limit("m", key("k"), "requests-per-minute", 100),
        limit("other", key("j"), "requests-per-day", 100),
    ]));
    let admission = Admission::default();
    let (hour, second) = (3_600_000, 1_000);
    let calls = [
        NOON - DAY - hour,
        NOON - 23 * hour,
        NOON - 61 * second,
        NOON - 31 * second,
        NOON,
    ];
    admission
        .begin(&rules, start())
        .finish(ledger(&calls))
        .unwrap();
    let used = |later: Duration| -> Vec<u64> {
        let now = at(later);
        let standings = admission.standings(&rules, now, &[key("k")]);
        standings.limits.iter().map(|limit| limit.used).collect()
    };
    let (hours, seconds) = (Duration::from_hours, Duration::from_secs);
    assert_eq!(used(Duration::ZERO), [4, 60, 40, 2]);
    // The call half a minute ago counts until its part of the minute is over.
    assert_eq!(used(seconds(29)), [4, 60, 40, 2]);
    assert_eq!(used(seconds(36)), [4, 60, 40, 1]);
    assert_eq!(used(seconds(61)), [4, 60, 40, 0]);
    assert_eq!(used(hours(2) + ms(600_000)), [3, 45, 30, 0]);
    assert_eq!(used(hours(23) + ms(600_000)), [3, 45, 30, 0]);
    assert_eq!(used(hours(24) + ms(600_000)), [0, 0, 0, 0]);
    // A counter that was told stays as long as a call may end that was open then, and is left as it is.
    assert_eq!(sizes(&admission), (0, 5, 0));
    admission
        .begin(&rules, start())
        .finish(ledger(&calls))
        .unwrap();
    assert_eq!(used(Duration::ZERO), [4, 60, 40, 2]);
}

/// Keys come and go: counters of those that are no longer used are dropped, a few with each call.
#[test]
fn counters_that_say_nothing_any_more_are_dropped() {
    let admission = Admission::default();
    let rules = |n: usize| {
        let scope = key(&n.to_string());
        let rules = Rules::new(
            vec![
                limit(&format!("r{n}"), scope.clone(), "requests-per-second", 5),
                limit(&format!("c{n}"), scope.clone(), "concurrent-requests", 5),
            ],
            vec![budget(&format!("b{n}"), scope.clone(), "1.00")],
        );
        (rules.unwrap(), [scope])
    };
    let (kept, kept_scopes) = rules(0);
    let open = admission
        .admit(&kept, start(), &costing(&kept_scopes, "0.50"))
        .unwrap();
    for n in 1..2_000 {
        let (rules, scopes) = rules(n);
        let now = at(Duration::from_hours(n as u64));
        let held = admission
            .admit(&rules, now, &costing(&scopes, "0.50"))
            .unwrap();
        held.settle(now, Actual::Exact(cost("0.50")));
    }
    let (concurrent, rates, accounts) = sizes(&admission);
    // An open place stays; budgets that are no longer in force stay for the longest month.
    assert!(concurrent <= 4 && rates <= 4, "{concurrent} {rates}");
    assert!((744..1_500).contains(&accounts), "{accounts}");
    let march = admission.standings(&kept, start(), &kept_scopes);
    assert_eq!(march.limits[1].held, 1);
    assert_eq!(march.budgets[0].held, dollars("0.50"));
    open.settle(start(), Actual::Nothing);
}

/// A budget that is in force is never forgotten, however long nobody uses it.
#[test]
fn a_budget_in_force_is_kept_however_idle() {
    let total = BudgetRule {
        period: Period::Total,
        ..budget("b", key("k"), "1.00")
    };
    let rules = Rules::new(vec![], vec![total, budget("j", key("j"), "100.00")]).unwrap();
    let admission = Admission::default();
    let held = admission
        .admit(&rules, start(), &costing(&[key("k")], "1.00"))
        .unwrap();
    held.settle(start(), Actual::Exact(cost("1.00")));
    for day in 1..100 {
        let now = at(Duration::from_hours(24 * day));
        let held = admission
            .admit(&rules, now, &costing(&[key("j")], "0.01"))
            .unwrap();
        held.settle(now, Actual::Nothing);
        admission
            .check(&rules, now, &costing(&[key("k")], "0.01"))
            .unwrap_err();
    }
    assert_eq!(sizes(&admission).2, 2);
    // Of its windows, the newest two are kept.
    let windows = everything(&admission).matches("Window {").count();
    assert!(windows <= 3, "{windows}");
}

/// However many calls come, a rate remembers one sum for each of its slots.
#[test]
fn a_busy_rate_does_not_grow() {
    let rules = limited(vec![limit("r", key("k"), "requests-per-second", 1_000)]);
    let admission = Admission::default();
    for millis in (0..10_000).step_by(5) {
        let held = admission
            .admit(&rules, at(ms(millis)), &call(&[key("k")]))
            .unwrap();
        held.settle(at(ms(millis)), Actual::Exact(Used::default()));
    }
    assert_eq!(everything(&admission).matches("Slot {").count(), 51);
}
