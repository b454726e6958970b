//! Money: never beyond a wall, and never refused before it.

use super::*;
use crate::{
    admission::{BudgetStanding, Correction, Crossing},
    rules::Relief,
};

fn standing(admission: &Admission, rules: &Rules, at: Moment) -> BudgetStanding {
    admission
        .standings(rules, at, &[key("k")])
        .budgets
        .remove(0)
}

fn percents(crossings: &[Crossing]) -> Vec<u8> {
    crossings.iter().map(|crossing| crossing.percent).collect()
}

/// B1, field 16: check and hold are one step, so that nothing is spent twice.
#[test]
fn a_dollar_of_cent_holds_admits_a_hundred_of_a_thousand() {
    let rules = budgeted(vec![budget("b", key("k"), "1.00")]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let held: Vec<Held> = std::thread::scope(|threads| {
        let calls: Vec<_> = (0..1000)
            .map(|_| {
                threads.spawn(|| {
                    admission
                        .admit(&rules, start(), &costing(&scopes, "0.01"))
                        .ok()
                })
            })
            .collect();
        calls
            .into_iter()
            .filter_map(|call| call.join().unwrap())
            .collect()
    });
    assert_eq!(held.len(), 100);
    assert_eq!(standing(&admission, &rules, start()).held, dollars("1.00"));
    for held in held {
        held.settle(start(), Actual::Exact(cost("0.01")));
    }
    let standing = standing(&admission, &rules, start());
    assert_eq!(
        (standing.posted, standing.held),
        (dollars("1.00"), Money::ZERO)
    );
}

/// B2: to the nano-dollar.
#[test]
fn what_fits_exactly_is_admitted_and_a_nano_dollar_more_is_not() {
    let rules = budgeted(vec![budget("b", key("k"), "0.000000010")]);
    let admission = Admission::default();
    let scopes = [key("k")];
    admission
        .admit(&rules, start(), &costing(&scopes, "0.000000011"))
        .unwrap_err();
    let held = admission
        .admit(&rules, start(), &costing(&scopes, "0.000000004"))
        .unwrap();
    held.settle(start(), Actual::Exact(cost("0.000000003")));
    let refusal = admission
        .admit(&rules, start(), &costing(&scopes, "0.000000008"))
        .unwrap_err();
    assert_eq!(refusal.room(), Some(dollars("0.000000007")));
    drop(
        admission
            .admit(&rules, start(), &costing(&scopes, "0.000000007"))
            .unwrap(),
    );
}

/// B1: overspend is what the provider took beyond the holds, no more, and the next call is refused.
#[test]
fn a_provider_that_bills_ten_times_the_hold_is_stopped_at_the_next_call() {
    let rules = budgeted(vec![budget("b", key("k"), "1.00")]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let held: Vec<Held> = (0..10)
        .map(|_| {
            admission
                .admit(&rules, start(), &costing(&scopes, "0.10"))
                .unwrap()
        })
        .collect();
    for held in held {
        held.settle(start(), Actual::Exact(cost("1.00")));
    }
    let standing = standing(&admission, &rules, start());
    assert_eq!(
        (standing.posted, standing.remaining),
        (dollars("10.00"), Money::ZERO)
    );
    admission
        .admit(&rules, start(), &costing(&scopes, "0.000000001"))
        .unwrap_err();
    admission
        .admit(&rules, start(), &costing(&scopes, "0"))
        .unwrap_err();
}

/// L3: an inexact cost is booked as the ledger books it; the rest of the hold counts apart until it is known.
#[test]
fn what_nobody_said_exactly_stays_in_doubt_until_it_is_corrected() {
    let rules = budgeted(vec![budget("b", key("k"), "1.00")]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let held = admission
        .admit(&rules, start(), &costing(&scopes, "0.80"))
        .unwrap();
    held.settle(start(), Actual::AtLeast(cost("0.30")));
    let now = standing(&admission, &rules, start());
    assert_eq!(
        (now.posted, now.held, now.doubtful),
        (dollars("0.30"), Money::ZERO, dollars("0.50"))
    );
    admission
        .admit(&rules, start(), &costing(&scopes, "0.21"))
        .unwrap_err();
    let correction = Correction {
        admitted: start().wall,
        released: dollars("0.80"),
        posted: dollars("0.45"),
    };
    assert_eq!(admission.correct(&rules, start(), &scopes, correction), []);
    let now = standing(&admission, &rules, start());
    assert_eq!(
        (now.posted, now.held, now.doubtful),
        (dollars("0.45"), Money::ZERO, Money::ZERO)
    );
    // In another window nothing is known of it, and nothing changes.
    let earlier = Correction {
        admitted: UnixMillis(0),
        ..correction
    };
    admission.correct(&rules, start(), &scopes, earlier);
    assert_eq!(
        standing(&admission, &rules, start()).posted,
        dollars("0.45")
    );
}

/// Field 17: a forgotten hold is no phantom: it is told apart from open calls and ends with its window.
#[test]
fn a_hold_that_nobody_settles_counts_as_doubtful_in_its_window_only() {
    let rules = budgeted(vec![budget("b", key("k"), "1.00")]);
    let admission = Admission::default();
    let scopes = [key("k")];
    drop(
        admission
            .admit(&rules, start(), &costing(&scopes, "0.60"))
            .unwrap(),
    );
    let now = standing(&admission, &rules, start());
    assert_eq!(
        (now.posted, now.held, now.doubtful),
        (Money::ZERO, Money::ZERO, dollars("0.60"))
    );
    let next_month = at(Duration::from_hours(24 * 17));
    assert_eq!(
        standing(&admission, &rules, next_month).doubtful,
        Money::ZERO
    );
    drop(
        admission
            .admit(&rules, next_month, &costing(&scopes, "1.00"))
            .unwrap(),
    );
}

/// Field 17: what was never sent, and what cost less, is wholly free again.
#[test]
fn an_exact_end_leaves_nothing_held() {
    let rules = budgeted(vec![budget("b", key("k"), "1.00")]);
    let admission = Admission::default();
    let scopes = [key("k")];
    for (actual, posted) in [
        (Actual::Nothing, "0"),
        (Actual::Exact(cost("0.10")), "0.10"),
        (Actual::Exact(cost("0")), "0.10"),
    ] {
        let held = admission
            .admit(&rules, start(), &costing(&scopes, "0.90"))
            .unwrap();
        held.settle(start(), actual);
        let now = standing(&admission, &rules, start());
        assert_eq!(
            (now.posted, now.held, now.doubtful),
            (dollars(posted), Money::ZERO, Money::ZERO)
        );
    }
}

/// Field 19: a call that held no money because its price was not known is booked all the same, and a budget of
/// 0 stops it.
#[test]
fn a_call_of_unknown_price_does_not_pass_by_the_budgets() {
    let rules = budgeted(vec![
        budget("b", key("k"), "1.00"),
        budget("zero", key("z"), "0"),
    ]);
    let admission = Admission::default();
    let held = admission
        .admit(&rules, start(), &call(&[key("k")]))
        .unwrap();
    held.settle(start(), Actual::Exact(cost("1.00")));
    assert_eq!(
        standing(&admission, &rules, start()).posted,
        dollars("1.00")
    );
    admission
        .admit(&rules, start(), &costing(&[key("k")], "0.01"))
        .unwrap_err();
    for money in [None, Some(Money::ZERO)] {
        let zero = [key("z")];
        let demand = Demand {
            money,
            ..call(&zero)
        };
        admission.admit(&rules, start(), &demand).unwrap_err();
    }
}

/// An unknown cost is never taken for zero.
#[test]
fn an_unknown_cost_keeps_what_was_held_for_it() {
    let rules = budgeted(vec![budget("b", key("k"), "1.00")]);
    let admission = Admission::default();
    let held = admission
        .admit(&rules, start(), &costing(&[key("k")], "0.70"))
        .unwrap();
    held.settle(start(), Actual::Exact(tokens(1, 1)));
    let now = standing(&admission, &rules, start());
    assert_eq!((now.posted, now.doubtful), (Money::ZERO, dollars("0.70")));
}

#[test]
fn a_negative_amount_frees_nothing() {
    let rules = budgeted(vec![budget("b", key("k"), "1.00")]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let demand = Demand {
        money: Some(Money::from_nanos(-5)),
        ..call(&scopes)
    };
    let _held = admission.admit(&rules, start(), &demand).unwrap();
    assert_eq!(standing(&admission, &rules, start()).held, Money::ZERO);
    assert_eq!(
        standing(&admission, &rules, start()).remaining,
        dollars("1.00")
    );
}

#[test]
fn a_soft_budget_tells_and_never_refuses() {
    let soft = BudgetRule {
        hard: false,
        thresholds: vec![100],
        ..budget("b", key("k"), "1.00")
    };
    let rules = budgeted(vec![soft]);
    let admission = Admission::default();
    let scopes = [key("k")];
    for told in [vec![], vec![100], vec![]] {
        let held = admission
            .admit(&rules, start(), &costing(&scopes, "5.00"))
            .unwrap();
        assert_eq!(
            percents(&held.settle(start(), Actual::Exact(cost("0.60")))),
            told
        );
    }
}

#[test]
fn relief_replaces_the_limit_until_it_expires() {
    let relieved = BudgetRule {
        relief: Some(Relief {
            limit: dollars("3.00"),
            until: UnixMillis(NOON).plus(ms(1000)),
        }),
        ..budget("b", key("k"), "1.00")
    };
    let rules = budgeted(vec![relieved]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let _held = admission
        .admit(&rules, at(ms(999)), &costing(&scopes, "2.00"))
        .unwrap();
    admission
        .check(&rules, at(ms(999)), &costing(&scopes, "1.00"))
        .unwrap();
    admission
        .check(&rules, at(ms(1000)), &costing(&scopes, "0.01"))
        .unwrap_err();
}

#[test]
fn each_threshold_is_told_once_in_a_window() {
    let watched = BudgetRule {
        thresholds: vec![80, 50, 100, 50],
        ..budget("b", key("k"), "1.00")
    };
    let rules = budgeted(vec![watched]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let spend = |at: Moment, posted: &str| {
        let held = admission
            .admit(&rules, at, &costing(&scopes, posted))
            .unwrap();
        held.settle(at, Actual::Exact(cost(posted)))
    };
    assert!(percents(&spend(start(), "0.499999999")).is_empty());
    let crossings = spend(start(), "0.000000001");
    assert_eq!(percents(&crossings), [50]);
    assert_eq!(
        (crossings[0].posted, crossings[0].limit),
        (dollars("0.50"), dollars("1.00"))
    );
    assert_eq!(
        (crossings[0].budget.as_str(), &crossings[0].scope),
        ("b", &key("k"))
    );
    let april = UnixMillis(1_775_001_600_000);
    assert_eq!(crossings[0].until, Some(april));
    assert!(percents(&spend(start(), "0.01")).is_empty());
    assert_eq!(percents(&spend(start(), "0.49")), [80, 100]);
    let next_month = at(Duration::from_hours(24 * 17));
    assert_eq!(percents(&spend(next_month, "0.90")), [50, 80]);
}

#[test]
fn a_threshold_of_a_total_is_told_without_an_end() {
    let watched = BudgetRule {
        thresholds: vec![50],
        period: Period::Total,
        ..budget("b", key("k"), "1.00")
    };
    let rules = budgeted(vec![watched]);
    let held = Admission::default()
        .admit(&rules, start(), &costing(&[key("k")], "0.50"))
        .unwrap();
    let crossings = held.settle(start(), Actual::Exact(cost("0.50")));
    assert_eq!((percents(&crossings), crossings[0].until), (vec![50], None));
}

/// L11: each instant lies in one window, the first of the next one not in the last.
#[test]
fn a_window_ends_where_the_next_one_begins() {
    let daily = BudgetRule {
        period: Period::Day,
        ..budget("b", key("k"), "1.00")
    };
    let rules = budgeted(vec![daily]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let held = admission
        .admit(&rules, start(), &costing(&scopes, "1.00"))
        .unwrap();
    held.settle(start(), Actual::Exact(cost("1.00")));
    let midnight = Duration::from_hours(12);
    admission
        .check(&rules, at(ms(43_199_999)), &costing(&scopes, "1.00"))
        .unwrap_err();
    admission
        .check(&rules, at(midnight), &costing(&scopes, "1.00"))
        .unwrap();
}

/// L11: a call belongs to the window of its admission, however late it ends.
#[test]
fn a_call_over_the_end_of_the_month_is_booked_where_it_began() {
    let rules = budgeted(vec![budget("b", key("k"), "1.00")]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let (march, april) = (start(), at(Duration::from_hours(24 * 17)));
    let held = admission
        .admit(&rules, march, &costing(&scopes, "1.00"))
        .unwrap();
    let _april = admission
        .admit(&rules, april, &costing(&scopes, "1.00"))
        .unwrap();
    held.settle(april, Actual::Exact(cost("0.40")));
    let now = standing(&admission, &rules, april);
    assert_eq!((now.posted, now.held), (Money::ZERO, dollars("1.00")));
    assert_eq!(now.from, UnixMillis(1_775_001_600_000));
    assert_eq!(now.until, Some(UnixMillis(1_777_593_600_000)));
    let then = standing(&admission, &rules, march);
    assert_eq!((then.posted, then.held), (dollars("0.40"), Money::ZERO));
}

/// B11: a clock that is set back does not open a window again whose money is spent.
#[test]
fn a_clock_set_back_by_months_hands_out_no_money_twice() {
    let rules = budgeted(vec![budget("b", key("k"), "1.00")]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let month = |n: u64| at(Duration::from_hours(24 * 31 * n));
    for n in 0..4 {
        let held = admission
            .admit(&rules, month(n), &costing(&scopes, "1.00"))
            .unwrap();
        held.settle(month(n), Actual::Exact(cost("1.00")));
    }
    let said: Vec<_> = (0..4)
        .map(|n| {
            let back = Moment {
                monotonic: month(5).monotonic,
                ..month(n)
            };
            admission
                .admit(&rules, back, &costing(&scopes, "0.01"))
                .unwrap_err()
                .to_string()
        })
        .collect();
    // A month that was forgotten counts as the oldest that is kept, and frees with it.
    assert_eq!((&said[0], &said[1]), (&said[2], &said[2]));
    drop(
        admission
            .admit(&rules, month(5), &costing(&scopes, "1.00"))
            .unwrap(),
    );
}

/// B10: another size goes on with what is spent.
#[test]
fn a_budget_of_another_size_goes_on_with_what_is_spent() {
    let admission = Admission::default();
    let scopes = [key("k")];
    let sized = |limit| budgeted(vec![budget("b", key("k"), limit)]);
    let held = admission
        .admit(&sized("1.00"), start(), &costing(&scopes, "0.90"))
        .unwrap();
    held.settle(start(), Actual::Exact(cost("0.90")));
    admission
        .check(&sized("1.00"), start(), &costing(&scopes, "0.20"))
        .unwrap_err();
    admission
        .check(&sized("1.10"), start(), &costing(&scopes, "0.20"))
        .unwrap();
    admission
        .check(&sized("0.50"), start(), &costing(&scopes, "0.01"))
        .unwrap_err();
}

#[test]
fn a_soft_budget_of_zero_is_crossed_by_the_first_cost_and_not_before() {
    let soft = BudgetRule {
        hard: false,
        thresholds: vec![50, 100],
        ..budget("b", key("k"), "0")
    };
    let rules = budgeted(vec![soft]);
    let admission = Admission::default();
    let scopes = [key("k")];
    for (actual, told) in [
        (Actual::Nothing, vec![]),
        (Actual::Exact(cost("0.01")), vec![50, 100]),
    ] {
        let held = admission
            .admit(&rules, start(), &costing(&scopes, "0.01"))
            .unwrap();
        assert_eq!(format!("{held:?}"), "Held { .. }");
        assert_eq!(percents(&held.settle(start(), actual)), told);
    }
}
