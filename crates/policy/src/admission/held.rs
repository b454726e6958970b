//! What an admitted call holds, until it is settled.

use std::{fmt, sync::Arc, time::Duration};

use tollgate_base::{Moment, Money, UnixMillis};

use super::{
    State,
    account::Account,
    calendar::Borders,
    rules::{Budget, Limit},
    sliding::Sliding,
    sync::{Lock, with},
};
use crate::{
    rules::{Measure, Side, Span},
    scope::Scope,
};

/// What an admitted call holds of every limit and budget that it lies in.
///
/// It is settled once, by [`Held::settle`]. When it is dropped instead, nobody knows what became of the call:
/// its place is free again, and its tokens and its money go on counting (as [`Actual::AtLeast`] nothing).
#[must_use = "a hold that is dropped counts as a call of which nothing is known"]
pub struct Held {
    shared: Arc<Lock<State>>,
    holds: Vec<Hold>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actual {
    /// This is what it used: what it held beyond that is free again.
    Exact(Used),
    /// It used this and perhaps more. Nothing that it held is free again: of the money, this is booked, and the
    /// rest counts as doubtful until the window ends or somebody knows better.
    AtLeast(Used),
    /// Nothing was sent: it never was.
    Nothing,
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// `None`: not known. What was held for it then counts as doubtful.
    pub money: Option<Money>,
}

/// A budget's threshold was reached by what is posted. Told once in each window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    pub budget: String,
    pub scope: Scope,
    pub percent: u8,
    pub limit: Money,
    pub posted: Money,
    /// The budget is a wall.
    pub hard: bool,
    /// The window: told crossings are the same when budget, window and percentage are.
    pub from: UnixMillis,
    /// Its end; `None` for one that never ends.
    pub until: Option<UnixMillis>,
}

/// What a call holds of one rule.
pub(super) enum Hold {
    Place(Arc<Limit>),
    Rate {
        limit: Arc<Limit>,
        span: Span,
        slot: u64,
        amount: u64,
    },
    Money {
        budget: Arc<Budget>,
        borders: Borders,
        amount: Money,
    },
}

// === impl Held ===

impl Held {
    pub(super) fn new(shared: Arc<Lock<State>>, holds: Vec<Hold>) -> Self {
        Self { shared, holds }
    }

    /// Ends the call at `at`. Returns the thresholds of budgets that were crossed by it.
    pub fn settle(mut self, at: Moment, actual: Actual) -> Vec<Crossing> {
        self.end(Some(at), actual)
    }

    fn end(&mut self, at: Option<Moment>, actual: Actual) -> Vec<Crossing> {
        let holds = std::mem::take(&mut self.holds);
        if holds.is_empty() {
            return Vec::new();
        }
        with(&self.shared, |state| {
            state.now = state.now.max(at.map_or(Duration::ZERO, |at| at.monotonic));
            let wall = at.map(|at| at.wall);
            holds
                .into_iter()
                .flat_map(|hold| hold.end(state, wall, actual))
                .collect()
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nothing is posted by this, so that no threshold is crossed.
        self.end(None, Actual::AtLeast(Used::default()));
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("rules", &self.holds.len())
            .finish_non_exhaustive()
    }
}

// === impl Hold ===

impl Hold {
    fn end(self, state: &mut State, wall: Option<UnixMillis>, actual: Actual) -> Vec<Crossing> {
        match self {
            Hold::Place(limit) => {
                let open = state.open.counter(&limit.counter, || 0);
                *open = open.saturating_sub(1);
                Vec::new()
            }
            Hold::Rate {
                limit,
                span,
                slot,
                amount,
            } => {
                let used = actual.of(limit.rule.measure, amount);
                let now = state.now;
                let rate = state.rates.counter(&limit.counter, || Sliding::new(span));
                rate.settle(slot, amount, used, now);
                Vec::new()
            }
            Hold::Money {
                budget,
                borders,
                amount,
            } => {
                let account = state.accounts.counter(&budget.counter, Account::default);
                account.settle(borders, amount, actual.money(amount));
                wall.map_or_else(Vec::new, |wall| {
                    account.crossings(&budget, borders.from, budget.rule.limit_at(wall))
                })
            }
        }
    }
}

// === impl Actual ===

impl Actual {
    /// What was used of a limit of which `held` was held.
    fn of(self, measure: Measure, held: u64) -> u64 {
        let tokens = |side: Side, used: Used| side.of(used.input_tokens, used.output_tokens);
        match (self, measure) {
            (Actual::Nothing, _) => 0,
            (Actual::Exact(used), Measure::Tokens(side, _)) => tokens(side, used),
            (Actual::AtLeast(used), Measure::Tokens(side, _)) => tokens(side, used).max(held),
            _ => held,
        }
    }

    /// What is booked for a call that held `held`, and what stays in doubt.
    fn money(self, held: Money) -> (Money, Money) {
        match self {
            Actual::Nothing => (Money::ZERO, Money::ZERO),
            Actual::Exact(Used {
                money: Some(cost), ..
            }) => (cost, Money::ZERO),
            Actual::AtLeast(Used {
                money: Some(cost), ..
            }) => (cost, held.less(cost)),
            Actual::Exact(_) | Actual::AtLeast(_) => (Money::ZERO, held),
        }
    }
}
