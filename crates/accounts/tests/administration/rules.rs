//! Limits and budgets: one for each scope and measure, with amounts that are amounts.

use tollgate_accounts::{NewBudget, NewLimit};
use tollgate_base::{Money, UnixMillis};
use tollgate_policy::rules::{Measure, Relief, Span};
use tollgate_policy::scope::Scope;

use crate::{NOW, budget, code, desk};

#[test]
fn p02_a_budget_of_zero_blocks_and_what_is_no_amount_is_refused() {
    let desk = desk();
    let zero = desk
        .desk
        .put_budget(&desk.act(), &budget(Scope::Gateway, "0"))
        .unwrap();
    assert_eq!(
        (zero.value.limit, &zero.value.thresholds),
        (Money::ZERO, &vec![80, 100])
    );
    for (change, param) in [
        (
            NewBudget {
                limit: Money::from_nanos(-1),
                ..budget(Scope::Gateway, "1")
            },
            "limit",
        ),
        (
            NewBudget {
                limit: Money::MAX,
                ..budget(Scope::Gateway, "1")
            },
            "limit",
        ),
        (
            NewBudget {
                zone: Some("Mars/Base".to_owned()),
                ..budget(Scope::Gateway, "1")
            },
            "zone",
        ),
        (
            NewBudget {
                thresholds: vec![0],
                ..budget(Scope::Gateway, "1")
            },
            "thresholds",
        ),
        (
            NewBudget {
                thresholds: vec![201],
                ..budget(Scope::Gateway, "1")
            },
            "thresholds",
        ),
    ] {
        let error = desk.desk.put_budget(&desk.act(), &change).unwrap_err();
        assert_eq!(error.param(), Some(param));
    }
}

#[test]
fn there_is_one_rule_for_each_scope_and_measure_and_relief_survives_a_replacement() {
    let desk = desk();
    let first = desk
        .desk
        .put_budget(&desk.act(), &budget(Scope::Gateway, "10"))
        .unwrap();
    let relief = Relief {
        limit: Money::parse("20").unwrap(),
        until: UnixMillis(NOW.0 + 1),
    };
    desk.desk
        .relieve_budget(&desk.act(), &first.value.id, Some(relief))
        .unwrap();
    let second = desk
        .desk
        .put_budget(&desk.act(), &budget(Scope::Gateway, "5"))
        .unwrap();
    assert_eq!(
        (&second.value.id, second.value.relief),
        (&first.value.id, Some(relief))
    );
    assert_eq!(second.value.limit_at(NOW), relief.limit);
    let past = Relief {
        until: NOW,
        ..relief
    };
    let refused = desk
        .desk
        .relieve_budget(&desk.act(), &first.value.id, Some(past));
    assert_eq!(code(refused), "invalid_value");
    let measure = Measure::Requests(Span::Minute);
    for most in [60, 30] {
        let new = NewLimit {
            scope: Scope::Gateway,
            measure,
            most,
        };
        desk.desk.put_limit(&desk.act(), &new).unwrap();
    }
    let snapshot = desk.desk.snapshot().unwrap();
    assert_eq!((snapshot.limits.len(), snapshot.limits[0].most), (1, 30));
    assert_eq!(snapshot.budgets, [second.value]);
}
