//! The counters beside the list of everything that happened: calls, attempts and ends, and what the list demands.

use proptest::prelude::*;

use super::{
    super::{
        list::{Asked, End, Event, Made, Written, asks, figures, nanos, span},
        *,
    },
    DAY, Place,
    rules::{InForce, Making, RATES, RULES},
};
use crate::admission::{Frees, RefusedBy};

pub(super) struct Run {
    pub(super) admission: Admission,
    pub(super) sizes: Vec<u64>,
    pub(super) on: [bool; RULES],
    pub(super) made: [Made; RULES],
    pub(super) now_in_force: InForce,
    pub(super) before: InForce,
    pub(super) making: Option<Making>,
    /// How much happened, how many records the ledger has, and how many are in its store.
    pub(super) happened: u64,
    pub(super) written: u64,
    pub(super) shipped: u64,
    pub(super) events: Vec<Event>,
    /// The monotonic clock, and the wall's distance from it.
    pub(super) now: Duration,
    pub(super) wall: u64,
    /// The latest instant that the counters saw.
    pub(super) seen: Duration,
    /// Rules changed: what was admitted under one size need not fit another.
    pub(super) resized: bool,
}

impl Run {
    pub(super) fn new(sizes: Vec<u64>, on: [bool; RULES]) -> Self {
        let in_force = InForce::new(&sizes, &on);
        let admission = Admission::default();
        let restoration = admission.begin(&in_force.rules, start());
        let told = restoration.finish(|_, borders| Ok(figures(&[].iter(), borders, 0)));
        assert_eq!(told.unwrap(), []);
        Self {
            admission,
            sizes,
            on,
            made: [Made::default(); RULES],
            now_in_force: in_force.clone(),
            before: in_force,
            making: None,
            happened: 0,
            written: 0,
            shipped: 0,
            events: Vec::new(),
            // Later than a day, so that what was used a day ago has an instant.
            now: ms(3 * DAY),
            wall: NOON,
            seen: Duration::ZERO,
            resized: false,
        }
    }

    pub(super) fn moment(&self, late: u64) -> Moment {
        Moment {
            wall: UnixMillis(self.wall),
            monotonic: self.now.saturating_sub(ms(late)),
        }
    }

    /// What counts for a limit within the stretch of this length that ends at `now`.
    pub(super) fn within(&self, rule: &LimitRule, now: Duration, length: Duration) -> u64 {
        let mine = self
            .events
            .iter()
            .filter(|event| event.scopes.contains(&rule.scope));
        let made = &self.made[rule.id.parse::<usize>().unwrap()];
        mine.flat_map(|event| event.counted(rule.measure, made))
            .filter(|(at, _)| now.saturating_sub(*at) < length)
            .map(|(_, amount)| amount)
            .sum()
    }

    pub(super) fn open(&self, rule: &LimitRule) -> u64 {
        let mine = self
            .events
            .iter()
            .filter(|event| event.scopes.contains(&rule.scope));
        mine.filter(|event| event.end.is_none() && event.asked.counts)
            .count() as u64
    }

    /// Posted, held and doubtful money of a budget in the present window.
    pub(super) fn spent(&self, rule: &BudgetRule) -> [u64; 3] {
        let day = self.wall / DAY;
        let mine = self.events.iter().filter(|event| {
            event.scopes.contains(&rule.scope)
                && (rule.period == Period::Total || event.wall / DAY == day)
        });
        let made = &self.made[RATES + rule.id.parse::<usize>().unwrap()];
        mine.fold([0; 3], |sums, event| {
            let money = event.money(made);
            [sums[0] + money[0], sums[1] + money[1], sums[2] + money[2]]
        })
    }

    pub(super) fn call(
        &mut self,
        place: Place,
        asked: Asked,
        is_late: bool,
    ) -> Result<(), TestCaseError> {
        // Nobody is late by two changes: a rule that goes already need not know of who does not know it yet.
        let is_leaving = |making: &Making| (0..RULES).any(|rule| self.on[rule] && !making.on[rule]);
        if is_late && self.making.as_ref().is_some_and(is_leaving) {
            return Ok(());
        }
        let in_force = if is_late {
            &self.before
        } else {
            &self.now_in_force
        };
        let InForce {
            rules,
            limits,
            budgets,
        } = in_force.clone();
        let mut scopes = vec![Scope::Gateway, key(if place.in_team { "a" } else { "b" })];
        if place.in_team {
            scopes.push(Scope::Team("t".to_owned()));
        }
        if place.to_model {
            scopes.push(Scope::Model("m".to_owned()));
        }
        let demand = Demand {
            scopes: scopes.clone().into(),
            counts: asked.counts,
            input_tokens: asked.input,
            output_tokens: asked.output,
            money: asked.money.map(nanos),
        };
        let at = self.moment(place.late);
        let before = everything(&self.admission);
        match self.admission.admit(&rules, at, &demand) {
            Ok(held) => {
                self.seen = self.seen.max(at.monotonic);
                if is_late {
                    self.resized = true;
                } else {
                    self.fits(&limits, &budgets, &scopes, &asked)?;
                }
                self.events.push(Event {
                    asked,
                    scopes: demand.scopes,
                    begin: self.seen,
                    wall: self.wall,
                    rows: Vec::new(),
                    written: None,
                    end: None,
                    held: Some(held),
                });
            }
            Err(refusal) => {
                prop_assert_eq!(everything(&self.admission), before, "B8");
                if !is_late {
                    self.is_due(&refusal, &limits, &budgets, &asked, at)?;
                }
                self.wait_succeeds(&refusal, &rules, &demand, at)?;
            }
        }
        Ok(())
    }

    /// B1, B4, B5, B6: whatever was admitted fits, by the list, in the stretch that ends now. Amounts only
    /// shrink afterwards, so that this covers every stretch.
    pub(super) fn fits(
        &self,
        limits: &[LimitRule],
        budgets: &[BudgetRule],
        scopes: &[Scope],
        asked: &Asked,
    ) -> Result<(), TestCaseError> {
        for rule in limits.iter().filter(|rule| scopes.contains(&rule.scope)) {
            let needed = asks(asked, rule.measure);
            let before = match rule.measure {
                Measure::Requests(length) | Measure::Tokens(_, length) => {
                    self.within(rule, self.seen, span(length).0)
                }
                Measure::Concurrent => self.open(rule),
                Measure::LargestRequest => 0,
            };
            prop_assert!(
                needed == 0 || before + needed <= rule.most,
                "{rule:?}: {before} + {needed}"
            );
        }
        let budgets = budgets
            .iter()
            .filter(|rule| rule.hard && scopes.contains(&rule.scope));
        for rule in budgets {
            let spent: u64 = self.spent(rule).iter().sum();
            let fits = asked
                .money
                .is_none_or(|needed| nanos(spent + needed) <= rule.limit);
            prop_assert!(fits && !rule.limit.is_zero(), "{rule:?}: {spent}");
        }
        Ok(())
    }

    /// B2, B4: the rule that is named does stand in the way.
    pub(super) fn is_due(
        &self,
        refusal: &Refusal,
        limits: &[LimitRule],
        budgets: &[BudgetRule],
        asked: &Asked,
        at: Moment,
    ) -> Result<(), TestCaseError> {
        match &refusal.rule {
            RefusedBy::Budget { standing, needed } => {
                let rule = budgets.iter().find(|rule| rule.id == standing.id).unwrap();
                let [posted, held, doubtful] = self.spent(rule);
                prop_assert_eq!(standing.posted, nanos(posted));
                prop_assert_eq!(standing.held, nanos(held));
                prop_assert_eq!(standing.doubtful, nanos(doubtful));
                let exceeded = nanos(posted + held + doubtful).plus(*needed) > rule.limit;
                prop_assert!(
                    rule.hard && (exceeded || rule.limit.is_zero()),
                    "{standing:?}"
                );
            }
            RefusedBy::Limit {
                standing,
                needed,
                frees,
            } => {
                let rule = limits.iter().find(|rule| rule.id == standing.id).unwrap();
                prop_assert_eq!(*needed, asks(asked, rule.measure));
                let counted = match (frees, rule.measure) {
                    (Frees::Blocked, _) => u64::from(rule.most == 0),
                    (Frees::WithACall, _) => self.open(rule),
                    (Frees::After(_), Measure::Requests(length) | Measure::Tokens(_, length)) => {
                        let (length, slot) = span(length);
                        self.within(rule, self.seen.max(at.monotonic), length + slot)
                    }
                    (Frees::After(_) | Frees::TooLarge, _) => 0,
                };
                prop_assert!(
                    counted + needed > rule.most,
                    "{standing:?}: {counted} + {needed}"
                );
            }
        }
        Ok(())
    }

    /// B4: obeying the wait succeeds when nobody else comes, and a nanosecond less does not.
    pub(super) fn wait_succeeds(
        &self,
        refusal: &Refusal,
        rules: &Rules,
        demand: &Demand,
        at: Moment,
    ) -> Result<(), TestCaseError> {
        if let RefusedBy::Limit {
            frees: Frees::After(wait),
            ..
        } = refusal.rule
        {
            let after = |wait: Duration| Moment {
                monotonic: at.monotonic + wait,
                ..at
            };
            let early = after(wait.saturating_sub(Duration::from_nanos(1)));
            prop_assert!(self.admission.check(rules, early, demand).is_err());
            if let Err(other) = self.admission.check(rules, after(wait), demand) {
                let with_a_call = matches!(
                    other.rule,
                    RefusedBy::Limit {
                        frees: Frees::WithACall,
                        ..
                    }
                );
                prop_assert!(with_a_call, "{other}");
            }
        }
        Ok(())
    }

    /// One of the calls whose end is not written down yet, or one whose hold has not ended.
    pub(super) fn open_call(&mut self, which: usize, may_be_written: bool) -> Option<&mut Event> {
        let open = self.events.iter_mut();
        let open =
            open.filter(|event| event.end.is_none() && (may_be_written || event.written.is_none()));
        let mut open: Vec<&mut Event> = open.collect();
        let which = which.checked_rem(open.len())?;
        Some(open.swap_remove(which))
    }

    /// Writes down what an attempt that is not the call's last came to. Only what holds no money has several.
    pub(super) fn attempt(&mut self, which: usize, input: u64, output: u64) {
        let number = self.written + 1;
        let Some(event) = self.open_call(which, false) else {
            return;
        };
        if event.asked.money.is_some() {
            return;
        }
        event.rows.push(Written {
            number,
            input,
            output,
            money: 0,
        });
        self.written = number;
    }

    /// Writes down how a call ends.
    pub(super) fn write(&mut self, which: usize, end: End) {
        let number = self.written + 1;
        let Some(event) = self.open_call(which, false) else {
            return;
        };
        let (input, output, money) = match end {
            End::Nothing | End::Dropped => return,
            End::Exact(input, output, cost) => (input, output, cost),
            End::AtLeast(input, output, cost) => (
                input.max(event.asked.input),
                output.max(event.asked.output),
                cost.max(event.asked.money.unwrap_or_default()),
            ),
        };
        // A call with several attempts costs nothing here; what it used is the sum of them.
        let earlier = event.rows.iter().fold((0, 0), |(input, output), row| {
            (input + row.input, output + row.output)
        });
        let is_whole = event.rows.is_empty();
        event.written = Some(match end {
            End::Exact(input, output, cost) => End::Exact(
                input + earlier.0,
                output + earlier.1,
                if is_whole { cost } else { 0 },
            ),
            End::AtLeast(input, output, cost) => End::AtLeast(
                input + earlier.0,
                output + earlier.1,
                if is_whole { cost } else { 0 },
            ),
            End::Nothing | End::Dropped => end,
        });
        event.rows.push(Written {
            number,
            input,
            output,
            money: if is_whole { money } else { 0 },
        });
        self.written = number;
    }

    pub(super) fn end(&mut self, which: usize, end: End) {
        let now = self.moment(0);
        let Some(event) = self.open_call(which, true) else {
            return;
        };
        if event.written.is_none() {
            let has_rows = !event.rows.is_empty();
            let place = std::ptr::from_ref(event);
            let open = self.events.iter();
            let open = open.filter(|event| event.end.is_none() && event.written.is_none());
            let which = open
                .into_iter()
                .position(|event| std::ptr::eq(event, place));
            let end = match end {
                End::Nothing | End::Dropped if has_rows => End::AtLeast(0, 0, 0),
                other => other,
            };
            self.write(which.unwrap(), end);
        }
        self.book(which, end, now);
    }

    pub(super) fn book(&mut self, which: usize, end: End, now: Moment) {
        self.happened += 1;
        let (happened, seen) = (self.happened, self.seen.max(now.monotonic));
        let before = self.seen;
        let Some(event) = self.open_call(which, true) else {
            return;
        };
        let end = event.written.unwrap_or(end);
        let held = event.held.take().unwrap();
        end.of(held, now, &event.rows);
        let seen = if matches!(end, End::Dropped) {
            before
        } else {
            seen
        };
        event.end = Some((seen, end, happened));
        self.seen = seen;
    }
}

// === what holds in the end ===

impl Run {
    /// The figures that are told are those of the list, and after the last end nothing is held.
    pub(super) fn conserves(&mut self) -> Result<(), TestCaseError> {
        while self.events.iter().any(|event| event.end.is_none()) {
            self.end(0, End::Exact(1, 1, 1));
        }
        while self.making.is_some() {
            self.proceed();
        }
        let InForce { rules, budgets, .. } = self.now_in_force.clone();
        let standings = self.admission.all_standings(&rules, self.moment(0));
        for limit in standings.limits {
            prop_assert_eq!(limit.held, 0, "{:?}", limit);
        }
        for standing in standings.budgets {
            let rule = budgets.iter().find(|rule| rule.id == standing.id).unwrap();
            let [posted, _, doubtful] = self.spent(rule);
            prop_assert_eq!(standing.held, Money::ZERO);
            prop_assert_eq!(standing.posted, nanos(posted));
            prop_assert_eq!(standing.doubtful, nanos(doubtful));
        }
        Ok(())
    }

    /// B4 once more, over every stretch that ends with a call, for a limit that kept its size.
    pub(super) fn holds_everywhere(&self) -> Result<(), TestCaseError> {
        let limits = self.now_in_force.limits.iter();
        let requests = limits.filter(|rule| matches!(rule.measure, Measure::Requests(_)));
        for rule in requests.filter(|_| !self.resized) {
            let Measure::Requests(length) = rule.measure else {
                continue;
            };
            let mine = self.events.iter();
            let mine = mine.filter(|event| event.scopes.contains(&rule.scope));
            let made = Made::default();
            let calls: Vec<(Duration, u64)> = mine
                .map(|event| event.counted(rule.measure, &made)[1])
                .collect();
            for (last, _) in &calls {
                let within = calls
                    .iter()
                    .filter(|(at, _)| at <= last && last.saturating_sub(*at) < span(length).0);
                prop_assert!(within.map(|(_, amount)| amount).sum::<u64>() <= rule.most);
            }
        }
        Ok(())
    }
}
