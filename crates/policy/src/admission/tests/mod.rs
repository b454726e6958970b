//! What admission promises. The numbers in brackets are those of the invariants and of the failures that it
//! must make impossible.

mod budgets;
mod calendar;
mod changes;
mod explored;
mod hour;
mod limits;
mod list;
mod model;
mod refusals;
mod upkeep;

use std::time::Duration;

use proptest::test_runner::Config as ProptestConfig;
use tollgate_base::{Moment, Money, UnixMillis};

use super::{Actual, Admission, Demand, Held, Refusal, Rules, Used};
use crate::{
    rules::{BudgetRule, LimitRule, Measure, Period},
    scope::Scope,
};

/// 2026-03-15T12:00:00Z, a Sunday.
const NOON: u64 = 1_773_576_000_000;

/// An instant: so long after the start on the monotonic clock, and after noon on the wall.
fn at(since: Duration) -> Moment {
    Moment {
        wall: UnixMillis(NOON).plus(since),
        monotonic: since,
    }
}

fn start() -> Moment {
    at(Duration::ZERO)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn dollars(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn key(id: &str) -> Scope {
    Scope::Key(id.to_owned())
}

fn limit(id: &str, scope: Scope, measure: &str, most: u64) -> LimitRule {
    LimitRule {
        id: id.to_owned(),
        scope,
        measure: Measure::from_word(measure).unwrap(),
        most,
    }
}

/// A hard budget of a month in UTC.
fn budget(id: &str, scope: Scope, limit: &str) -> BudgetRule {
    BudgetRule {
        id: id.to_owned(),
        scope,
        limit: dollars(limit),
        period: Period::Month,
        zone: "UTC".to_owned(),
        hard: true,
        thresholds: Vec::new(),
        relief: None,
    }
}

fn limited(limits: Vec<LimitRule>) -> Rules {
    Rules::new(limits, Vec::new()).unwrap()
}

fn budgeted(budgets: Vec<BudgetRule>) -> Rules {
    Rules::new(Vec::new(), budgets).unwrap()
}

/// A call that counts and asks for nothing else.
fn call(scopes: &[Scope]) -> Demand {
    Demand {
        scopes: scopes.to_vec().into(),
        counts: true,
        input_tokens: 0,
        output_tokens: 0,
        money: None,
    }
}

fn costing(scopes: &[Scope], most: &str) -> Demand {
    Demand {
        money: Some(dollars(most)),
        ..call(scopes)
    }
}

fn reading(scopes: &[Scope], input_tokens: u64) -> Demand {
    Demand {
        input_tokens,
        ..call(scopes)
    }
}

fn cost(cost: &str) -> Used {
    Used {
        money: Some(dollars(cost)),
        ..Used::default()
    }
}

fn tokens(input_tokens: u64, output_tokens: u64) -> Used {
    Used {
        input_tokens,
        output_tokens,
        money: None,
    }
}

/// What proptest runs when nobody asks.
const UNASKED: u32 = 256;

/// So many cases, unless `PROPTEST_CASES` says otherwise.
fn cases(most: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: if asked.cases == UNASKED {
            most
        } else {
            asked.cases
        },
        ..asked
    }
}

/// Everything that the counters hold, to the last slot.
fn everything(admission: &Admission) -> String {
    super::sync::with(&admission.shared, |state| format!("{state:?}"))
}
