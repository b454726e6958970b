//! Why a call may not begin: which rule stands in its way, how far, and until when.

use std::{fmt, time::Duration};

use tollgate_base::{Error, Kind, Money};

use super::{
    calendar::readable,
    standing::{BudgetStanding, LimitStanding},
};
use crate::{
    rules::{Measure, Period, Side, Span},
    scope::Scope,
};

/// The rule that stands longest in a call's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub rule: RefusedBy,
    /// What the call's hard budgets leave, the smallest of them. `None` when it lies in no hard budget.
    pub(super) room: Option<Money>,
}

/// A rule, how it stands, and what the call asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedBy {
    Limit {
        standing: LimitStanding,
        needed: u64,
        frees: Frees,
    },
    Budget {
        standing: BudgetStanding,
        needed: Money,
    },
}

/// When a limit lets the call through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Frees {
    /// When another call ends; nobody knows when.
    WithACall,
    /// After this long, if no other call comes first.
    After(Duration),
    /// Never: the limit is 0.
    Blocked,
    /// Never: the call is larger than the whole limit.
    TooLarge,
}

/// How long a caller is asked to wait for a concurrent call to end.
const A_CALL: Duration = Duration::from_secs(1);

// === impl Refusal ===

impl Refusal {
    /// The most that a call in the same place could cost and still begin, when it is a budget that refuses: a
    /// smaller `max_tokens` may fit.
    pub fn room(&self) -> Option<Money> {
        match self.rule {
            RefusedBy::Budget { .. } => self.room,
            RefusedBy::Limit { .. } => None,
        }
    }

    /// Whose rule it is.
    pub fn scope(&self) -> &Scope {
        match &self.rule {
            RefusedBy::Limit { standing, .. } => &standing.scope,
            RefusedBy::Budget { standing, .. } => &standing.scope,
        }
    }

    /// Whether the size of the call matters to the rule: a call that was measured roughly may fit when it is
    /// measured exactly.
    pub fn depends_on_size(&self) -> bool {
        match &self.rule {
            RefusedBy::Limit { standing, .. } => match standing.measure {
                Measure::Tokens(..) | Measure::LargestRequest => true,
                Measure::Requests(_) | Measure::Concurrent => false,
            },
            RefusedBy::Budget { needed, .. } => !needed.is_zero(),
        }
    }

    /// How long to wait until the call is admitted, if no other comes first. `None` where waiting a while does
    /// not help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.rule {
            RefusedBy::Limit { frees, .. } => frees.retry_after(),
            RefusedBy::Budget { .. } => None,
        }
    }

    /// The refusal as the caller sees it.
    pub fn to_error(&self) -> Error {
        let message = self.to_string();
        let error = match &self.rule {
            RefusedBy::Budget { .. } => {
                Error::new(Kind::Quota, "insufficient_quota", message).with_should_retry(false)
            }
            RefusedBy::Limit {
                frees: Frees::TooLarge,
                ..
            } => Error::new(Kind::InvalidRequest, "request_exceeds_limit", message),
            RefusedBy::Limit {
                standing, frees, ..
            } => {
                let code = match standing.measure {
                    Measure::Requests(_) => "rate_limit_exceeded",
                    Measure::Tokens(..) | Measure::LargestRequest => "token_limit_exceeded",
                    Measure::Concurrent => "concurrency_limit_exceeded",
                };
                let error = Error::new(Kind::RateLimit, code, message);
                if *frees == Frees::Blocked {
                    error.with_should_retry(false)
                } else {
                    error
                }
            }
        };
        match self.retry_after() {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }

    /// What is compared to find the refusal to tell: what never frees comes before budgets, budgets come before
    /// rates, and what frees later before what frees sooner.
    pub(super) fn weight(&self) -> (u8, u128) {
        match &self.rule {
            RefusedBy::Limit { frees, .. } => match frees {
                Frees::WithACall => (0, A_CALL.as_nanos()),
                Frees::After(wait) => (0, wait.as_nanos()),
                Frees::Blocked => (2, 0),
                Frees::TooLarge => (2, 1),
            },
            RefusedBy::Budget { standing, .. } => {
                let end = standing.until.map_or(u64::MAX, |until| until.0);
                (1, u128::from(end))
            }
        }
    }
}

impl Frees {
    fn retry_after(self) -> Option<Duration> {
        match self {
            Frees::WithACall => Some(A_CALL),
            Frees::After(wait) => Some(wait),
            Frees::Blocked | Frees::TooLarge => None,
        }
    }
}

// === the words ===

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            RefusedBy::Limit {
                standing,
                needed,
                frees,
            } => say_limit(f, standing, *needed, *frees),
            RefusedBy::Budget { standing, needed } => say_budget(f, standing, *needed),
        }
    }
}

fn say_limit(
    f: &mut fmt::Formatter<'_>,
    standing: &LimitStanding,
    needed: u64,
    frees: Frees,
) -> fmt::Result {
    let LimitStanding {
        id,
        scope,
        most,
        used,
        held,
        ..
    } = standing;
    let (unit, per) = words(standing.measure);
    write!(f, "`{scope}` may use {most} {unit}{per} (limit `{id}`)")?;
    match frees {
        Frees::Blocked => write!(f, ": it is blocked. Ask for the limit to be raised."),
        Frees::TooLarge => write!(
            f,
            "; this call needs {needed} and can never fit. Shorten the input or lower the largest output."
        ),
        Frees::WithACall => write!(f, ": {held} are open. Wait for one to end, then try again."),
        Frees::After(wait) => write!(
            f,
            ": {used} are used, {held} are held by open calls, this call needs {needed}. Try again in {}.",
            seconds(wait)
        ),
    }
}

fn say_budget(f: &mut fmt::Formatter<'_>, standing: &BudgetStanding, needed: Money) -> fmt::Result {
    let BudgetStanding {
        id,
        scope,
        limit,
        posted,
        held,
        doubtful,
        ..
    } = standing;
    let per = match standing.period {
        Period::Day => " a day",
        Period::Week => " a week",
        Period::Month => " a month",
        Period::Total => " in total",
    };
    write!(
        f,
        "`{scope}` may spend {limit}{per} (budget `{id}`): {posted} are spent, {held} are held by open calls"
    )?;
    if !doubtful.is_zero() {
        write!(
            f,
            ", {doubtful} are kept for calls whose exact cost is not known"
        )?;
    }
    write!(f, "; this call can cost {needed}. ")?;
    match standing.until {
        Some(until) => write!(
            f,
            "Lower the largest output, wait until {}, or ask for the budget to be raised.",
            readable(until)
        ),
        None => write!(
            f,
            "Lower the largest output or ask for the budget to be raised."
        ),
    }
}

/// What a measure counts, and over how long.
fn words(measure: Measure) -> (&'static str, &'static str) {
    let unit = match measure {
        Measure::Requests(_) | Measure::Concurrent => "requests",
        Measure::Tokens(Side::Input, _) => "input tokens",
        Measure::Tokens(Side::Output, _) => "output tokens",
        Measure::Tokens(Side::Both, _) | Measure::LargestRequest => "tokens",
    };
    let per = match measure {
        Measure::Requests(span) | Measure::Tokens(_, span) => match span {
            Span::Second => " in any second",
            Span::Minute => " in any minute",
            Span::Day => " in any 24 hours",
        },
        Measure::Concurrent => " at once",
        Measure::LargestRequest => " in one request",
    };
    (unit, per)
}

/// A wait in seconds, rounded up to the millisecond.
fn seconds(wait: Duration) -> String {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}
