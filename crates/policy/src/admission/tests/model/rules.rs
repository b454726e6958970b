//! The rules of a sequence, and how they change: one by one they are removed, made and made again.

use std::sync::Arc;

use super::{
    super::{
        list::{Made, figures, told_of},
        *,
    },
    DAY,
    run::Run,
};
use crate::admission::Restoration;

pub(super) const RATES: usize = 10;
pub(super) const RULES: usize = RATES + 3;

/// Rules that are in force, or were.
#[derive(Clone)]
pub(super) struct InForce {
    pub(super) rules: Arc<Rules>,
    pub(super) limits: Vec<LimitRule>,
    pub(super) budgets: Vec<BudgetRule>,
}

/// A change of rules that is under way.
pub(super) struct Making {
    pub(super) restoration: Restoration,
    pub(super) on: [bool; RULES],
    pub(super) made: [Made; RULES],
    pub(super) is_flushed: bool,
}

impl InForce {
    pub(super) fn new(sizes: &[u64], on: &[bool; RULES]) -> Self {
        let (limits, budgets) = rules(sizes);
        let is_on = |id: &str, first: usize| on[first + id.parse::<usize>().unwrap()];
        let limits: Vec<_> = limits
            .into_iter()
            .filter(|rule| is_on(&rule.id, 0))
            .collect();
        let budgets = budgets.into_iter().filter(|rule| is_on(&rule.id, RATES));
        let budgets: Vec<_> = budgets.collect();
        Self {
            rules: Arc::new(Rules::new(limits.clone(), budgets.clone()).unwrap()),
            limits,
            budgets,
        }
    }
}

pub(super) fn rules(sizes: &[u64]) -> (Vec<LimitRule>, Vec<BudgetRule>) {
    let team = Scope::Team("t".to_owned());
    let model = Scope::Model("m".to_owned());
    let places = [
        (Scope::Gateway, "requests-per-second"),
        (key("a"), "requests-per-minute"),
        (team.clone(), "tokens-per-minute"),
        (key("b"), "input-tokens-per-day"),
        (key("a"), "output-tokens-per-second"),
        (Scope::Gateway, "concurrent-requests"),
        (model, "concurrent-requests"),
        (key("a"), "tokens-per-request"),
        (key("a"), "requests-per-day"),
        (Scope::Gateway, "tokens-per-day"),
    ];
    let limits = places.into_iter().zip(sizes).enumerate();
    let limits = limits.map(|(n, ((scope, measure), size))| {
        let scale = if measure.contains("tokens") { 20 } else { 1 };
        limit(&n.to_string(), scope, measure, size * scale)
    });
    let budgets = [
        (team, Period::Day, true),
        (key("a"), Period::Total, true),
        (Scope::Gateway, Period::Day, false),
    ];
    let sizes = sizes.iter().skip(RATES);
    let budgets = budgets.into_iter().zip(sizes).enumerate();
    let budgets = budgets.map(|(n, ((scope, period, hard), size))| BudgetRule {
        limit: Money::from_nanos(i128::from(size * 20)),
        period,
        hard,
        ..budget(&n.to_string(), scope, "0")
    });
    (limits.collect(), budgets.collect())
}

impl Run {
    /// Removes a rule or makes it: the first step.
    pub(super) fn toggle(&mut self, which: usize) {
        self.happened += 1;
        if self.making.is_some() {
            return;
        }
        let mut on = self.on;
        on[which] = !on[which];
        let next = InForce::new(&self.sizes, &on);
        let at = self.moment(0);
        let mut made = self.made;
        let today = self.wall / DAY * DAY;
        // A limit is told of its span, a budget of its window and the one before, the second of all of them.
        let (from, until) = match which.checked_sub(RATES) {
            None => {
                let (limits, _) = rules(&self.sizes);
                let length = told_of(limits[which].measure);
                (self.wall - length, self.wall + length)
            }
            Some(1) => (0, u64::MAX),
            Some(_) => (today - DAY, today + DAY),
        };
        if on[which] {
            made[which] = Made {
                event: self.happened,
                at: self.seen.max(at.monotonic),
                wall: self.wall,
                as_of: 0,
                from,
                until,
            };
        }
        self.making = Some(Making {
            restoration: self.admission.begin(&next.rules, at),
            on,
            made,
            is_flushed: false,
        });
    }

    /// The next step: the ledger is flushed, or the counters are told and the rules come into force.
    pub(super) fn proceed(&mut self) {
        self.happened += 1;
        let Some(mut making) = self.making.take() else {
            return;
        };
        if !making.is_flushed {
            self.shipped = self.written;
            making.is_flushed = true;
            self.making = Some(making);
            return;
        }
        let as_of = self.shipped;
        for (made, before) in making.made.iter_mut().zip(&self.made) {
            if made.event != before.event {
                made.as_of = as_of;
            }
        }
        let (events, restoration) = (&self.events, making.restoration);
        let told = restoration.finish(|scope, borders| {
            let events = events.iter().filter(|event| event.scopes.contains(scope));
            Ok(figures(&events, borders, as_of))
        });
        assert_eq!(told.unwrap(), []);
        (self.on, self.made) = (making.on, making.made);
        self.resized = true;
        self.enforce();
    }

    pub(super) fn enforce(&mut self) {
        let next = InForce::new(&self.sizes, &self.on);
        self.before = std::mem::replace(&mut self.now_in_force, next);
    }
}
