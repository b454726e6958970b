//! What an admitted call holds, until it is settled.

use std::{fmt, sync::Arc, time::Duration};

use tollgate_base::{Moment, Money, UnixMillis};

use super::{
    State,
    account::Account,
    calendar::Borders,
    origin::{Known, Row},
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
    /// Its place among the open calls; `None` when it has ended.
    place: Option<usize>,
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
#[derive(Debug)]
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

/// How a call ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    /// When the call was admitted.
    admitted: UnixMillis,
    /// When it ends, as rates see it.
    now: Duration,
    /// `None` when it was dropped.
    wall: Option<UnixMillis>,
    actual: Actual,
    /// What the ledger has of it.
    rows: &'a [Row],
}

/// An end that waits until its counter knows what it began with.
#[derive(Debug)]
pub(super) struct Waiting {
    hold: Hold,
    admitted: UnixMillis,
    now: Duration,
    wall: Option<UnixMillis>,
    actual: Actual,
    rows: Vec<Row>,
}

// === impl Held ===

impl Held {
    pub(super) fn new(shared: Arc<Lock<State>>, place: usize) -> Self {
        Self {
            shared,
            place: Some(place),
        }
    }

    /// Ends the call at `at`. Nothing of it is in a ledger. Returns the thresholds of budgets that were crossed by it.
    pub fn settle(self, at: Moment, actual: Actual) -> Vec<Crossing> {
        self.book(at, actual, &[])
    }

    /// As [`Held::settle`], for a call of which the ledger has `rows`. They are written down before this is called.
    pub fn book(mut self, at: Moment, actual: Actual, rows: &[Row]) -> Vec<Crossing> {
        self.end(Some(at), actual, rows)
    }

    /// Nobody waits for the call any more: it goes on, and its place among the concurrent ones is free.
    pub fn leave(&self) {
        with(&self.shared, |state| {
            let Some(place) = self.place else { return };
            let Some(mut call) = state.calls.lift(place) else {
                return;
            };
            call.has_left = true;
            let is_place = |hold: &mut Hold| matches!(hold, Hold::Place(_));
            for hold in call.holds.extract_if(.., is_place) {
                hold.free_place(state);
            }
            state.calls.put_back(place, call);
        });
    }

    fn end(&mut self, at: Option<Moment>, actual: Actual, rows: &[Row]) -> Vec<Crossing> {
        let Some(place) = self.place.take() else {
            return Vec::new();
        };
        with(&self.shared, |state| {
            state.now = state.now.max(at.map_or(Duration::ZERO, |at| at.monotonic));
            let Some(call) = state.calls.remove(place) else {
                return Vec::new();
            };
            let end = End {
                admitted: call.wall,
                now: state.now,
                wall: at.map(|at| at.wall),
                actual,
                rows,
            };
            let holds = call.holds.into_iter();
            holds.flat_map(|hold| hold.end(state, &end)).collect()
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nothing is posted by this, so that no threshold is crossed.
        self.end(None, Actual::AtLeast(Used::default()), &[]);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

// === impl Hold, impl Waiting ===

impl Hold {
    /// The name of its counter.
    pub(super) fn counter(&self) -> &Arc<str> {
        match self {
            Hold::Place(limit) | Hold::Rate { limit, .. } => &limit.counter,
            Hold::Money { budget, .. } => &budget.counter,
        }
    }

    fn free_place(&self, state: &mut State) {
        if let Hold::Place(limit) = self {
            let open = state.open.counter(&limit.counter, || 0);
            *open = open.saturating_sub(1);
        }
    }

    fn end(self, state: &mut State, end: &End<'_>) -> Vec<Crossing> {
        match &self {
            Hold::Place(_) => {
                self.free_place(state);
                Vec::new()
            }
            Hold::Rate {
                limit,
                span,
                slot,
                amount,
            } => {
                let rate = state.rates.counter(&limit.counter, || Sliding::new(*span));
                if rate.origin.is_asked() {
                    state.waiting.push(Waiting::new(self, end));
                    return Vec::new();
                }
                let known = rate.origin.known(end.admitted, end.rows);
                let used = end.actual.of(limit.rule.measure, *amount);
                let used = used.saturating_sub(known.of(limit.rule.measure));
                rate.settle(*slot, *amount, used, end.now);
                Vec::new()
            }
            Hold::Money {
                budget,
                borders,
                amount,
            } => {
                let account = state.accounts.counter(&budget.counter, Account::default);
                if account.origin.is_asked() {
                    state.waiting.push(Waiting::new(self, end));
                    return Vec::new();
                }
                let booked = if account.origin.known(end.admitted, end.rows).has_rows {
                    (Money::ZERO, Money::ZERO)
                } else {
                    end.actual.money(*amount)
                };
                account.settle(*borders, *amount, booked);
                end.wall.map_or_else(Vec::new, |wall| {
                    account.crossings(budget, borders.from, budget.rule.limit_at(wall))
                })
            }
        }
    }
}

impl Waiting {
    fn new(hold: Hold, end: &End<'_>) -> Self {
        Self {
            hold,
            admitted: end.admitted,
            now: end.now,
            wall: end.wall,
            actual: end.actual,
            rows: end.rows.to_vec(),
        }
    }

    pub(super) fn counter(&self) -> &Arc<str> {
        self.hold.counter()
    }

    pub(super) fn end(self, state: &mut State) -> Vec<Crossing> {
        let end = End {
            admitted: self.admitted,
            now: self.now,
            wall: self.wall,
            actual: self.actual,
            rows: &self.rows,
        };
        self.hold.end(state, &end)
    }
}

impl Known {
    /// What of a limit is counted already.
    fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Tokens(side, _) => side.of(self.input_tokens, self.output_tokens),
            Measure::Requests(_) | Measure::Concurrent | Measure::LargestRequest => {
                u64::from(self.has_rows)
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
