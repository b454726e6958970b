//! B1, B6 and B8 over explored schedules: eight tasks, every lock a point where another may run. And rules that are
//! made, removed and made again while calls run: each call counts once.

use std::sync::Arc;

use shuttle::sync::Mutex;
use tollgate_base::Money;

use super::*;
use crate::{
    admission::{Row, sync::explore},
    ledger::{Figures, Posted},
};

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

/// A ledger of one scope: what was written down, and how much of it has come into the store.
#[derive(Default)]
struct Books {
    /// Input tokens and money.
    rows: Vec<(u64, Money)>,
    shipped: usize,
}

impl Books {
    fn write(&mut self, tokens: u64, cost: Money) -> Row {
        self.rows.push((tokens, cost));
        Row {
            number: self.rows.len() as u64,
            input_tokens: tokens,
            output_tokens: 0,
        }
    }

    /// All calls are admitted at one instant, in the last of the parts that are asked for.
    fn figures(&self, borders: &[UnixMillis]) -> Figures {
        let rows = self.rows.iter().take(self.shipped);
        let mut sum = Posted::default();
        for (tokens, cost) in rows {
            sum.input_tokens += tokens;
            sum.money += *cost;
        }
        let mut parts = vec![Posted::default(); borders.len() - 1];
        *parts.last_mut().unwrap() = sum;
        Figures {
            parts,
            as_of: self.shipped as u64,
        }
    }
}

/// What all tasks share.
struct Service {
    admission: Admission,
    rules: Mutex<Arc<Rules>>,
    books: Mutex<Books>,
}

impl Service {
    fn rules(&self) -> Arc<Rules> {
        self.rules.lock().unwrap().clone()
    }

    /// Changes the rules as the service does.
    fn change(&self, rules: Rules) {
        let rules = Arc::new(rules);
        let new = self.admission.begin(&rules, start());
        {
            let mut books = self.books.lock().unwrap();
            books.shipped = books.rows.len();
        }
        let figures = |_: &Scope, borders: &[UnixMillis]| {
            let mut books = self.books.lock().unwrap();
            // The store takes what comes meanwhile, up to somewhere.
            books.shipped = books.rows.len().min(books.shipped + 1);
            Ok(books.figures(borders))
        };
        new.finish(figures).unwrap();
        *self.rules.lock().unwrap() = rules;
    }

    /// A call of two attempts: its tokens are held until it ends, its money for each attempt. Says what it used.
    fn call(&self) -> (u64, Money) {
        let tokens = Demand {
            input_tokens: 10,
            ..call(&[key("k")])
        };
        let money = Demand {
            counts: false,
            ..costing(&[key("k")], "0.01")
        };
        let Ok(whole) = self.admission.admit(&self.rules(), start(), &tokens) else {
            return (0, Money::ZERO);
        };
        let mut rows = Vec::new();
        for attempt in ["0.003", "0.005"] {
            let Ok(held) = self.admission.admit(&self.rules(), start(), &money) else {
                break;
            };
            let row = self.books.lock().unwrap().write(4, dollars(attempt));
            rows.push(row);
            held.book(start(), Actual::Exact(cost(attempt)), &[row]);
        }
        let used = rows.iter().map(|row| row.input_tokens).sum();
        let actual = Actual::Exact(super::tokens(used, 0));
        whole.book(start(), actual, &rows);
        let spent = ["0", "0.003", "0.008"][rows.len()];
        (used, dollars(spent))
    }
}

fn rules_change() {
    let with = || {
        let limits = vec![
            limit("t", key("k"), "tokens-per-day", 1_000),
            limit("c", key("k"), "concurrent-requests", 100),
        ];
        Rules::new(limits, vec![budget("k", key("k"), "1.00")]).unwrap()
    };
    let without = || limited(vec![limit("g", Scope::Gateway, "requests-per-minute", 100)]);
    let admission = explore(Admission::default);
    let nothing = |_: &Scope, borders: &[UnixMillis]| Ok(Books::default().figures(borders));
    let rules = Arc::new(without());
    admission.begin(&rules, start()).finish(nothing).unwrap();
    let service = Arc::new(Service {
        admission,
        rules: Mutex::new(rules),
        books: Mutex::default(),
    });
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let service = service.clone();
            shuttle::thread::spawn(move || service.call())
        })
        .collect();
    let changes = {
        let service = service.clone();
        shuttle::thread::spawn(move || {
            service.change(with());
            service.change(without());
            service.change(with());
        })
    };
    let calls = calls.into_iter().map(|call| call.join().unwrap());
    let (tokens, spent) = calls.fold((0, Money::ZERO), |(tokens, spent), call| {
        (tokens + call.0, spent.plus(call.1))
    });
    changes.join().unwrap();
    let standings = service.admission.all_standings(&service.rules(), start());
    let budget = &standings.budgets[0];
    let sums = (budget.posted, budget.held, budget.doubtful);
    assert_eq!(sums, (spent, Money::ZERO, Money::ZERO));
    let used: Vec<_> = standings
        .limits
        .iter()
        .map(|limit| (limit.id.as_str(), limit.used, limit.held))
        .collect();
    assert_eq!(used, [("t", tokens, 0), ("c", 0, 0)]);
}

#[test]
fn no_schedule_of_changing_rules_loses_a_call_or_counts_it_twice() {
    shuttle::check_random(rules_change, schedules());
}
