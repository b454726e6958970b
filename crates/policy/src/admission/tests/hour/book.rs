//! What counts for one rule, kept beside the list of everything that happened: the same sums, so that a decision
//! need not add up an hour again. Every few minutes they are laid beside the list.

use std::collections::BTreeMap;

use super::*;

/// A rule, when it was made, and what counts for it.
pub(super) struct Book {
    pub(super) rule: Rule,
    pub(super) made: Made,
    pub(super) sums: Counts,
}

#[derive(Clone)]
pub(super) enum Rule {
    Limit(LimitRule),
    Budget(BudgetRule),
}

/// What counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Of a rate: when it leaves, and how much; all of it together; and what has left.
    leaving: BTreeMap<Duration, u64>,
    total: u64,
    left: Duration,
    open: u64,
    /// Of a budget: posted, held and doubtful money, by the beginning of the window.
    windows: BTreeMap<i64, [u64; 3]>,
}

const DAYS: i64 = 86_400_000;

impl Rule {
    pub(super) fn id(&self) -> &str {
        match self {
            Rule::Limit(rule) => &rule.id,
            Rule::Budget(rule) => &rule.id,
        }
    }

    pub(super) fn scope(&self) -> &Scope {
        match self {
            Rule::Limit(rule) => &rule.scope,
            Rule::Budget(rule) => &rule.scope,
        }
    }
}

impl Book {
    /// Adds an event, or takes it out as it was.
    pub(super) fn count(&mut self, event: &Event, is_in: bool) {
        let change = |sum: &mut u64, amount: u64| {
            *sum = if is_in { *sum + amount } else { *sum - amount };
        };
        let sums = &mut self.sums;
        match &self.rule {
            Rule::Limit(LimitRule {
                measure: measure @ (Measure::Requests(length) | Measure::Tokens(_, length)),
                ..
            }) => {
                for (at, amount) in event.counted(*measure, &self.made) {
                    let leaves = leaves(at, *length);
                    if amount > 0 && leaves > sums.left {
                        change(sums.leaving.entry(leaves).or_default(), amount);
                        change(&mut sums.total, amount);
                    }
                }
            }
            Rule::Limit(LimitRule {
                measure: Measure::Concurrent,
                ..
            }) => {
                let is_open = event.end.is_none() && event.asked.counts;
                change(&mut sums.open, u64::from(is_open));
            }
            Rule::Limit(_) => {}
            Rule::Budget(rule) => {
                let window = sums.windows.entry(window(rule, event.wall)).or_default();
                for (sum, amount) in window.iter_mut().zip(event.money(&self.made)) {
                    change(sum, amount);
                }
            }
        }
    }

    /// What counts of a limit at `now`.
    pub(super) fn used(&self, now: Duration) -> u64 {
        let gone = self.sums.leaving.range(..=now).map(|(_, amount)| amount);
        self.sums.open + self.sums.total - gone.sum::<u64>()
    }

    /// When no more than `room` of it counts any more.
    pub(super) fn falls_to(&self, room: u64, now: Duration) -> Duration {
        let mut rest = self.used(now);
        let mut leaving = self.sums.leaving.iter().filter(|(at, _)| **at > now);
        while rest > room {
            let (at, amount) = leaving.next().unwrap();
            rest -= amount;
            if rest <= room {
                return *at;
            }
        }
        now
    }

    /// Drops what has left.
    pub(super) fn forget(&mut self, now: Duration) {
        let sums = &mut self.sums;
        while let Some(entry) = sums.leaving.first_entry()
            && *entry.key() <= now
        {
            sums.total -= entry.remove();
        }
        sums.left = now;
    }

    /// What of a budget is posted, held and in doubt in the window of an instant.
    pub(super) fn spent(&self, wall: u64) -> [u64; 3] {
        let Rule::Budget(rule) = &self.rule else {
            return [0; 3];
        };
        let window = self.sums.windows.get(&window(rule, wall));
        window.copied().unwrap_or_default()
    }
}

impl Counts {
    /// What counts after `now`, to be compared.
    pub(super) fn after(&self, now: Duration) -> String {
        let leaving = self.leaving.iter();
        let leaving: Vec<_> = leaving
            .filter(|(at, sum)| **at > now && **sum > 0)
            .collect();
        let windows = self.windows.iter();
        let windows: Vec<_> = windows.filter(|(_, sums)| **sums != [0; 3]).collect();
        format!("{leaving:?} {} {windows:?}", self.open)
    }
}

/// A count leaves when all of its slot has left the span.
fn leaves(at: Duration, length: Span) -> Duration {
    let (length, slot) = span(length);
    let slots = at.as_micros() / slot.as_micros();
    slot * u32::try_from(slots + 1).unwrap() + length
}

/// The beginning of the window of an instant, by arithmetic on days: none of the zones has summer time.
pub(super) fn window(rule: &BudgetRule, wall: u64) -> i64 {
    let offset = match rule.zone.as_str() {
        "Asia/Kolkata" => 330 * 60_000,
        "America/Sao_Paulo" => -180 * 60_000,
        _ => 0,
    };
    let local = i64::try_from(wall).unwrap() + offset;
    let day = local.div_euclid(DAYS);
    let first = match rule.period {
        Period::Total => return 0,
        Period::Day => day,
        // The first day of 1970 was a Thursday.
        Period::Week => day - (day + 3).rem_euclid(7),
        Period::Month => first_of_month(day),
    };
    first * DAYS - offset
}

/// The first day of the month of a day since 1970, by counting months from that of 2026 on; no year that is simulated
/// is a leap year.
fn first_of_month(day: i64) -> i64 {
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut first = 56 * 365 + 14;
    for length in lengths {
        if day < first + length {
            break;
        }
        first += length;
    }
    first
}
