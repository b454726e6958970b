//! What limits and budgets are, as they are written down. What they decide stands in `admission`.

use tollgate_base::{Money, UnixMillis};

use crate::scope::Scope;

/// A limit on how much of something a scope may use, how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// `limit_…`, or a name from the configuration.
    pub id: String,
    pub scope: Scope,
    pub measure: Measure,
    /// Requests, tokens or open calls; 0 blocks.
    pub most: u64,
}

/// What a limit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// Calls within any stretch of time of this length.
    Requests(Span),
    /// Tokens within any stretch of time of this length.
    Tokens(Side, Span),
    /// Calls at once.
    Concurrent,
    /// Tokens of one call, input and largest output together.
    LargestRequest,
}

/// The length of a limit's window. The window slides: it holds for every stretch of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Span {
    Second,
    Minute,
    Day,
}

/// Which tokens count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    Input,
    Output,
    Both,
}

/// How much money a scope may spend in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRule {
    /// `budget_…`, or a name from the configuration.
    pub id: String,
    pub scope: Scope,
    /// 0 blocks.
    pub limit: Money,
    pub period: Period,
    /// The time zone of the period's borders, by its IANA name.
    pub zone: String,
    /// A wall: what would go beyond it is refused. Without it the budget only tells.
    pub hard: bool,
    /// Shares of the limit, in percent, at which an alert is sent; each once in a period.
    pub thresholds: Vec<u8>,
    /// Another limit for a while.
    pub relief: Option<Relief>,
}

/// A budget's period. A period is the key (scope, its beginning): nothing is ever reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    Day,
    /// From Monday.
    Week,
    Month,
    /// For ever.
    Total,
}

/// A limit that replaces a budget's own until it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relief {
    pub limit: Money,
    pub until: UnixMillis,
}

// === impl LimitRule ===

impl Measure {
    /// Every measure with its word in configuration, command line, API and messages.
    pub const ALL: [(&'static str, Self); 14] = [
        ("requests-per-second", Self::Requests(Span::Second)),
        ("requests-per-minute", Self::Requests(Span::Minute)),
        ("requests-per-day", Self::Requests(Span::Day)),
        ("tokens-per-second", Self::Tokens(Side::Both, Span::Second)),
        ("tokens-per-minute", Self::Tokens(Side::Both, Span::Minute)),
        ("tokens-per-day", Self::Tokens(Side::Both, Span::Day)),
        (
            "input-tokens-per-second",
            Self::Tokens(Side::Input, Span::Second),
        ),
        (
            "input-tokens-per-minute",
            Self::Tokens(Side::Input, Span::Minute),
        ),
        ("input-tokens-per-day", Self::Tokens(Side::Input, Span::Day)),
        (
            "output-tokens-per-second",
            Self::Tokens(Side::Output, Span::Second),
        ),
        (
            "output-tokens-per-minute",
            Self::Tokens(Side::Output, Span::Minute),
        ),
        (
            "output-tokens-per-day",
            Self::Tokens(Side::Output, Span::Day),
        ),
        ("concurrent-requests", Self::Concurrent),
        ("tokens-per-request", Self::LargestRequest),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, measure)| *measure == self)
            .map_or("", |(word, _)| word)
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, measure)| *measure)
    }
}

// === impl BudgetRule ===

impl BudgetRule {
    /// What may be spent at `now`.
    pub fn limit_at(&self, now: UnixMillis) -> Money {
        match self.relief {
            Some(relief) if now < relief.until => relief.limit,
            _ => self.limit,
        }
    }
}

impl Period {
    pub const ALL: [(&'static str, Self); 4] = [
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("total", Self::Total),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, period)| *period == self)
            .map_or("", |(word, _)| word)
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, period)| *period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_and_period_has_its_own_word() {
        for (word, measure) in Measure::ALL {
            assert_eq!(
                (measure.as_str(), Measure::from_word(word)),
                (word, Some(measure))
            );
        }
        for (word, period) in Period::ALL {
            assert_eq!(
                (period.as_str(), Period::from_word(word)),
                (word, Some(period))
            );
        }
    }
}
