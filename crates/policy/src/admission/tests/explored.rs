//! B1, B6 and B8 over explored schedules: eight tasks, every lock a point where another may run.

use std::sync::Arc;

use tollgate_base::Money;

use super::*;
use crate::admission::sync::explore;

const TASKS: usize = 8;
const SCHEDULES: usize = 10_000;

/// `TOLLGATE_SCHEDULES` asks for more, such as 1000000.
#[expect(
    clippy::disallowed_methods,
    reason = "a test's size, not a setting of the product"
)]
fn schedules() -> usize {
    let asked = std::env::var("TOLLGATE_SCHEDULES");
    asked.map_or(SCHEDULES, |text| text.parse().unwrap())
}

fn rules() -> Rules {
    Rules::new(
        vec![
            limit("c", Scope::Gateway, "concurrent-requests", 5),
            limit("t", key("k"), "tokens-per-minute", 60),
        ],
        vec![
            budget("k", key("k"), "0.05"),
            budget("g", Scope::Gateway, "0.06"),
        ],
    )
    .unwrap()
}

/// What must hold whenever anybody looks.
fn holds(admission: &Admission, rules: &Rules) {
    let standings = admission.all_standings(rules, start());
    for limit in &standings.limits {
        assert!(limit.used + limit.held <= limit.most, "{limit:?}");
    }
    for budget in &standings.budgets {
        assert!(
            budget.posted.plus(budget.held) <= budget.limit,
            "{budget:?}"
        );
    }
}

fn one_schedule() {
    let admission = explore(Admission::default);
    let rules = Arc::new(rules());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (admission, rules) = (admission.clone(), rules.clone());
            shuttle::thread::spawn(move || {
                let scopes = [Scope::Gateway, key("k")];
                let demand = Demand {
                    input_tokens: 10,
                    ..costing(&scopes, "0.01")
                };
                let Ok(held) = admission.admit(&rules, start(), &demand) else {
                    return Money::ZERO;
                };
                holds(&admission, &rules);
                if task % 3 == 0 {
                    held.settle(start(), Actual::Nothing);
                    return Money::ZERO;
                }
                let used = Used {
                    input_tokens: 7,
                    ..cost("0.008")
                };
                held.settle(start(), Actual::Exact(used));
                dollars("0.008")
            })
        })
        .collect();
    let spent: Money = tasks.into_iter().map(|task| task.join().unwrap()).sum();
    holds(&admission, &rules);
    let standings = admission.all_standings(&rules, start());
    for budget in &standings.budgets {
        assert_eq!(
            (budget.posted, budget.held),
            (spent, Money::ZERO),
            "{budget:?}"
        );
    }
    for limit in &standings.limits {
        assert_eq!(limit.held, 0, "{limit:?}");
    }
    // The first five fit, and at most three of them end without having been sent.
    assert!(spent >= dollars("0.016"), "too few were admitted: {spent}");
}

#[test]
fn no_schedule_of_eight_calls_breaks_a_bound_or_leaves_a_hold() {
    shuttle::check_random(one_schedule, schedules());
}
