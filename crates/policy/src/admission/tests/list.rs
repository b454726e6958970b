//! The list of everything that happened, and what of it counts for a rule. It is added up again at every question,
//! and knows nothing of slots, of accounts or of how a counter is made.

use super::*;
use crate::{
    admission::Row,
    ledger::{Figures, Posted},
    rules::{Side, Span},
    scope::Scopes,
};

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) counts: bool,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) money: Option<u64>,
}

/// How a call ends: with so many tokens in and out, and so much money.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Exact(u64, u64, u64),
    AtLeast(u64, u64, u64),
    Nothing,
    Dropped,
}

impl End {
    /// Ends the hold of a call that has these records.
    pub(super) fn of<'w>(
        self,
        held: Held,
        at: Moment,
        written: impl IntoIterator<Item = &'w Written>,
    ) {
        let rows = written.into_iter().map(|row| Row {
            number: row.number,
            input_tokens: row.input,
            output_tokens: row.output,
        });
        let rows: Vec<_> = rows.collect();
        let used = |input_tokens, output_tokens, cost| Used {
            input_tokens,
            output_tokens,
            money: Some(nanos(cost)),
        };
        match self {
            End::Exact(input, output, cost) => {
                held.book(at, Actual::Exact(used(input, output, cost)), &rows);
            }
            End::AtLeast(input, output, cost) => {
                held.book(at, Actual::AtLeast(used(input, output, cost)), &rows);
            }
            End::Nothing => {
                held.settle(at, Actual::Nothing);
            }
            End::Dropped => drop(held),
        }
    }
}

/// A call that was admitted.
pub(super) struct Event {
    pub(super) asked: Asked,
    pub(super) scopes: Scopes,
    /// When it was admitted, by both clocks.
    pub(super) begin: Duration,
    pub(super) wall: u64,
    /// What the ledger has of it.
    pub(super) rows: Vec<Written>,
    /// How it ends; its hold has not ended yet.
    pub(super) written: Option<End>,
    /// How and when it ended by the monotonic clock, and as which event of the run.
    pub(super) end: Option<(Duration, End, u64)>,
    pub(super) held: Option<Held>,
}

/// A record of the ledger, with the figures that count: of what is not exact, at least what was held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) number: u64,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) money: u64,
}

/// When a rule was made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Made {
    /// As which event of the run: of what had ended before, only the ledger knows.
    pub(super) event: u64,
    pub(super) at: Duration,
    pub(super) wall: u64,
    /// The last record of the ledger that the rule was told of, and when the calls were admitted of which it was told.
    pub(super) as_of: u64,
    pub(super) from: u64,
    pub(super) until: u64,
}

const DAY: u64 = 86_400_000;

pub(super) fn nanos(nanos: u64) -> Money {
    Money::from_nanos(i128::from(nanos))
}

// === impl Event ===

impl Event {
    /// Whether it had ended when a rule was made.
    fn is_gone(&self, made: &Made) -> bool {
        self.end.is_some_and(|(_, _, event)| event < made.event)
    }

    fn known(&self, made: &Made) -> impl Iterator<Item = &Written> {
        let is_asked = (made.from..made.until).contains(&self.wall);
        let rows = self.rows.iter();
        rows.filter(move |row| is_asked && row.number <= made.as_of)
    }

    /// What counts of this event for a limit, each amount with its instant.
    pub(super) fn counted(&self, measure: Measure, made: &Made) -> Vec<(Duration, u64)> {
        let part = told_of(measure) / 12;
        let told: u64 = match measure {
            _ if part == 0 => 0,
            Measure::Tokens(side, _) => {
                let rows = self.known(made);
                rows.map(|row| pick(side, row.input, row.output)).sum()
            }
            _ => u64::from(self.asked.counts && self.known(made).next().is_some()),
        };
        let told_at = made.at.saturating_sub(self.parts_before(made, part));
        if self.is_gone(made) {
            return vec![(told_at, told)];
        }
        let asked = asks(&self.asked, measure);
        let (used, end) = match (self.end, measure) {
            (None, _) => (asked, self.begin),
            (Some((end, how, _)), Measure::Tokens(side, _)) => {
                let used = match how {
                    End::Nothing => 0,
                    End::Dropped => asked,
                    End::Exact(input, output, _) => pick(side, input, output),
                    End::AtLeast(input, output, _) => pick(side, input, output).max(asked),
                };
                (used.saturating_sub(told), end)
            }
            (Some((end, End::Nothing, _)), _) => (0, end),
            (Some((end, ..)), _) => (asked.saturating_sub(told), end),
        };
        let beyond = used.saturating_sub(asked);
        vec![
            (told_at, told),
            (self.begin, used.min(asked)),
            (end, beyond),
        ]
    }

    /// The whole parts of a rule's span that lie between this event and the making of the rule, by the wall.
    fn parts_before(&self, made: &Made, part: u64) -> Duration {
        let ago = made.wall.saturating_sub(self.wall);
        let parts = ago.checked_div(part).map_or(0, |_| ago.div_ceil(part));
        ms(part * parts.saturating_sub(1))
    }

    /// Posted, held and doubtful money of a budget.
    pub(super) fn money(&self, made: &Made) -> [u64; 3] {
        let told: Vec<u64> = self.known(made).map(|row| row.money).collect();
        let posted = told.iter().sum::<u64>();
        let held = self.asked.money.unwrap_or_default();
        match self.end {
            _ if self.is_gone(made) => [posted, 0, 0],
            None => [posted, held, 0],
            Some(_) if !told.is_empty() => [posted, 0, 0],
            Some((_, End::Nothing, _)) => [0, 0, 0],
            Some((_, End::Dropped, _)) => [0, 0, held],
            Some((_, End::Exact(_, _, cost), _)) => [cost, 0, 0],
            Some((_, End::AtLeast(_, _, cost), _)) => [cost, 0, held.saturating_sub(cost)],
        }
    }
}

/// Of how long before it was made a limit is told, in milliseconds.
pub(super) fn told_of(measure: Measure) -> u64 {
    let (Measure::Requests(span) | Measure::Tokens(_, span)) = measure else {
        return 0;
    };
    match span {
        Span::Second => 0,
        Span::Minute => 60_000,
        Span::Day => DAY,
    }
}

pub(super) fn pick(side: Side, input: u64, output: u64) -> u64 {
    match side {
        Side::Input => input,
        Side::Output => output,
        Side::Both => input + output,
    }
}

pub(super) fn asks(asked: &Asked, measure: Measure) -> u64 {
    match measure {
        Measure::Requests(_) | Measure::Concurrent => u64::from(asked.counts),
        Measure::Tokens(side, _) => pick(side, asked.input, asked.output),
        Measure::LargestRequest => asked.input + asked.output,
    }
}

/// The length of a span, and of a slot of it.
pub(super) fn span(span: Span) -> (Duration, Duration) {
    match span {
        Span::Second => (ms(1_000), ms(20)),
        Span::Minute => (ms(60_000), ms(500)),
        Span::Day => (ms(DAY), ms(600_000)),
    }
}

// === the ledger ===

/// What the ledger says of a scope that these events lie in, as of its record `as_of`.
pub(super) fn figures<'a>(
    events: &(impl Iterator<Item = &'a Event> + Clone),
    borders: &[UnixMillis],
    as_of: u64,
) -> Figures {
    let mut parts = Vec::new();
    for (from, to) in borders.iter().zip(borders.iter().skip(1)) {
        let mut sum = Posted::default();
        let within = events.clone();
        for event in within.filter(|event| (from.0..to.0).contains(&event.wall)) {
            let known = || event.rows.iter().filter(|row| row.number <= as_of);
            if known().next().is_some() {
                sum.requests += u64::from(event.asked.counts);
                sum.input_tokens += known().map(|row| row.input).sum::<u64>();
                sum.output_tokens += known().map(|row| row.output).sum::<u64>();
                sum.money += nanos(known().map(|row| row.money).sum());
            }
        }
        parts.push(sum);
    }
    Figures { parts, as_of }
}
