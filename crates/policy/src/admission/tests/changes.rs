//! Rules that are made while calls run, and made again: from their first admission on they know of everything.

use std::sync::Arc;

use tollgate_base::Error;

use super::*;
use crate::{
    admission::{BudgetStanding, Row},
    ledger::{Figures, Posted},
};

/// Puts rules into force, with a ledger that has this much of everybody in the last stretch that it is asked for.
fn enforce(admission: &Admission, rules: Rules, money: &str, as_of: u64) -> Arc<Rules> {
    let rules = Arc::new(rules);
    let told = admission
        .begin(&rules, start())
        .finish(answer(money, as_of));
    told.unwrap();
    rules
}

fn answer(
    money: &str,
    as_of: u64,
) -> impl Fn(&Scope, &[UnixMillis]) -> tollgate_base::Result<Figures> {
    let money = dollars(money);
    move |_, borders| {
        let mut parts = vec![Posted::default(); borders.len() - 1];
        parts.last_mut().unwrap().money = money;
        Ok(Figures { parts, as_of })
    }
}

fn dollar() -> Rules {
    budgeted(vec![budget("b", key("k"), "1.00")])
}

fn standing(admission: &Admission, rules: &Rules) -> BudgetStanding {
    let mut standings = admission.all_standings(rules, start());
    standings.budgets.remove(0)
}

fn row(number: u64) -> Row {
    Row {
        number,
        input_tokens: 0,
        output_tokens: 0,
    }
}

#[test]
fn a_budget_made_while_a_call_runs_holds_for_it_and_counts_what_it_costs() {
    let admission = Admission::default();
    let none = enforce(&admission, Rules::default(), "0", 0);
    let scopes = [key("k")];
    let open = admission.admit(&none, start(), &costing(&scopes, "0.80"));
    let rules = enforce(&admission, dollar(), "0", 0);
    assert_eq!(standing(&admission, &rules).held, dollars("0.80"));
    let next = costing(&scopes, "0.30");
    admission.check(&rules, start(), &next).unwrap_err();
    let settled = Actual::Exact(cost("0.75"));
    open.unwrap().book(start(), settled, &[row(1)]);
    let now = standing(&admission, &rules);
    assert_eq!((now.posted, now.held), (dollars("0.75"), Money::ZERO));
    admission.check(&rules, start(), &next).unwrap_err();
}

#[test]
fn a_budget_made_again_counts_what_was_spent_between() {
    let admission = Admission::default();
    let scopes = [key("k")];
    let first = enforce(&admission, dollar(), "0", 0);
    let held = admission.admit(&first, start(), &costing(&scopes, "0.10"));
    held.unwrap()
        .book(start(), Actual::Exact(cost("0.10")), &[row(1)]);
    let none = enforce(&admission, Rules::default(), "0.10", 1);
    let held = admission.admit(&none, start(), &costing(&scopes, "0.50"));
    held.unwrap()
        .book(start(), Actual::Exact(cost("0.50")), &[row(2)]);
    let again = enforce(&admission, dollar(), "0.60", 2);
    assert_eq!(standing(&admission, &again).posted, dollars("0.60"));
    // One that stays in force asks nobody.
    let larger = budgeted(vec![budget("b", key("k"), "2.00")]);
    let larger = enforce(&admission, larger, "99.00", 3);
    assert_eq!(standing(&admission, &larger).posted, dollars("0.60"));
}

/// The record of a call is written down before its hold ends: the ledger may be read in between.
#[test]
fn a_call_that_settles_while_its_budget_is_made_counts_once() {
    let scopes = [key("k")];
    for (as_of, in_ledger) in [(0, "0"), (1, "0.40")] {
        for ends_before_the_answer in [true, false] {
            let admission = Admission::default();
            let none = enforce(&admission, Rules::default(), "0", 0);
            let open = admission.admit(&none, start(), &costing(&scopes, "0.50"));
            let rules = Arc::new(dollar());
            let new = admission.begin(&rules, start());
            let end = |open: Held| open.book(start(), Actual::Exact(cost("0.40")), &[row(1)]);
            let mut open = Some(open.unwrap());
            if ends_before_the_answer {
                end(open.take().unwrap());
            }
            new.finish(answer(in_ledger, as_of)).unwrap();
            open.take().map(end);
            let now = standing(&admission, &rules);
            assert_eq!((now.posted, now.held), (dollars("0.40"), Money::ZERO));
        }
    }
}

#[test]
fn a_limit_of_open_calls_counts_those_that_were_open_before_it() {
    let admission = Admission::default();
    let none = enforce(&admission, Rules::default(), "0", 0);
    let scopes = [key("k")];
    let open: Vec<Held> = (0..3)
        .map(|_| admission.admit(&none, start(), &call(&scopes)).unwrap())
        .collect();
    let two = limited(vec![limit("c", key("k"), "concurrent-requests", 2)]);
    let two = enforce(&admission, two, "0", 0);
    let fits: Vec<bool> = open
        .into_iter()
        .map(|held| {
            let fits = admission.check(&two, start(), &call(&scopes)).is_ok();
            held.settle(start(), Actual::Nothing);
            fits
        })
        .collect();
    assert_eq!(fits, [false, false, true]);
    let standings = admission.all_standings(&two, start());
    assert_eq!(standings.limits[0].held, 0);
}

#[test]
fn a_call_that_nobody_waits_for_leaves_its_place_and_holds_the_rest() {
    let admission = Admission::default();
    let one = |id| limit(id, key("k"), "concurrent-requests", 1);
    let tokens = limit("t", key("k"), "tokens-per-minute", 1_000);
    let rules = enforce(&admission, limited(vec![one("c"), tokens]), "0", 0);
    let scopes = [key("k")];
    let long = Demand {
        output_tokens: 900,
        ..call(&scopes)
    };
    let held = admission.admit(&rules, start(), &long).unwrap();
    assert!(admission.check(&rules, start(), &call(&scopes)).is_err());
    held.leave();
    held.leave();
    admission.check(&rules, start(), &call(&scopes)).unwrap();
    assert!(admission.check(&rules, start(), &long).is_err());
    // Also in a limit that is made now.
    let rules = enforce(&admission, limited(vec![one("d")]), "0", 0);
    let next = admission.admit(&rules, start(), &call(&scopes)).unwrap();
    held.settle(start(), Actual::Exact(Used::default()));
    assert_eq!(admission.all_standings(&rules, start()).limits[0].held, 1);
    next.settle(start(), Actual::Nothing);
    assert_eq!(admission.all_standings(&rules, start()).limits[0].held, 0);
}

/// What begins between the making of a budget and its coming into force begins under the old rules.
#[test]
fn a_call_under_the_rules_of_a_moment_ago_counts_under_the_new_ones() {
    let admission = Admission::default();
    let old = enforce(&admission, Rules::default(), "0", 0);
    let rules = Arc::new(dollar());
    let new = admission.begin(&rules, start());
    let scopes = [key("k")];
    let _first = admission.admit(&old, start(), &costing(&scopes, "0.30"));
    new.finish(answer("0.20", 7)).unwrap();
    let _second = admission.admit(&old, start(), &costing(&scopes, "0.40"));
    let now = standing(&admission, &rules);
    assert_eq!((now.posted, now.held), (dollars("0.20"), dollars("0.70")));
}

#[test]
fn a_ledger_that_does_not_answer_changes_nothing() {
    let admission = Admission::default();
    let none = enforce(&admission, Rules::default(), "0", 0);
    let scopes = [key("k")];
    let open = admission.admit(&none, start(), &costing(&scopes, "0.30"));
    let failing = |_: &Scope, _: &[UnixMillis]| Err(Error::internal("no ledger"));
    let rules = Arc::new(dollar());
    admission
        .begin(&rules, start())
        .finish(failing)
        .unwrap_err();
    let rules = enforce(&admission, dollar(), "0.10", 1);
    let now = standing(&admission, &rules);
    assert_eq!((now.posted, now.held), (dollars("0.10"), dollars("0.30")));
    drop(open);
}

/// It counts from its end, not from when its limit is told of the past.
#[test]
fn what_a_call_used_beyond_its_hold_while_its_limit_is_made_counts_from_its_end() {
    let admission = Admission::default();
    let none = enforce(&admission, Rules::default(), "0", 0);
    let scopes = [key("k")];
    let open = admission.admit(&none, start(), &call(&scopes)).unwrap();
    let rules = Arc::new(limited(vec![limit("t", key("k"), "tokens-per-day", 100)]));
    let new = admission.begin(&rules, start());
    open.book(start(), Actual::Exact(tokens(8, 0)), &[row(1)]);
    let later = at(Duration::from_mins(25));
    drop(admission.admit(&rules, later, &call(&scopes)));
    new.finish(answer("0", 0)).unwrap();
    let standing = &admission.all_standings(&rules, later).limits[0];
    assert_eq!(standing.used, 8);
    // A day and the ten minutes of a slot after the start.
    assert_eq!(standing.resets_in, Duration::from_mins(24 * 60 + 10 - 25));
}
