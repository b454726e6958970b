//! How a limit or a budget stands: what headers, the console and refusals tell.

use std::time::Duration;

use tollgate_base::{Money, UnixMillis};

use super::{
    account::Sums,
    calendar::{Borders, NEVER},
    rules::{Budget, Limit},
    sliding::Count,
};
use crate::{
    rules::{Measure, Period},
    scope::Scope,
};

/// How every limit and budget of some scopes stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    pub limits: Vec<LimitStanding>,
    pub budgets: Vec<BudgetStanding>,
}

/// How a limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStanding {
    pub id: String,
    pub scope: Scope,
    pub measure: Measure,
    pub most: u64,
    /// By calls that have ended.
    pub used: u64,
    /// By calls that have not ended.
    pub held: u64,
    /// What may still be taken now.
    pub remaining: u64,
    /// Until all of it is free again if nothing comes; zero when it is, and for what does not depend on time.
    pub resets_in: Duration,
}

/// How a budget stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetStanding {
    pub id: String,
    pub scope: Scope,
    pub period: Period,
    pub hard: bool,
    /// What is in force now: the relief, while there is one.
    pub limit: Money,
    /// Booked costs.
    pub posted: Money,
    /// The most that open calls can cost.
    pub held: Money,
    /// What ended calls may have cost beyond what is booked, because their provider did not say exactly.
    pub doubtful: Money,
    /// What may still be spent.
    pub remaining: Money,
    pub from: UnixMillis,
    /// `None`: it does not end.
    pub until: Option<UnixMillis>,
}

// === impl LimitStanding ===

impl LimitStanding {
    pub(super) fn new(limit: &Limit, count: Count, resets_in: Duration) -> Self {
        Self {
            id: limit.rule.id.clone(),
            scope: limit.rule.scope.clone(),
            measure: limit.rule.measure,
            most: limit.rule.most,
            used: count.used,
            held: count.held,
            remaining: limit.rule.most.saturating_sub(count.total()),
            resets_in,
        }
    }
}

// === impl BudgetStanding ===

impl BudgetStanding {
    pub(super) fn new(budget: &Budget, borders: Borders, sums: Sums, now: UnixMillis) -> Self {
        let limit = budget.rule.limit_at(now);
        Self {
            id: budget.rule.id.clone(),
            scope: budget.rule.scope.clone(),
            period: budget.rule.period,
            hard: budget.rule.hard,
            limit,
            posted: sums.posted,
            held: sums.held,
            doubtful: sums.doubtful,
            remaining: limit.less(sums.total()),
            from: borders.from,
            until: (borders.until != NEVER).then_some(borders.until),
        }
    }
}
