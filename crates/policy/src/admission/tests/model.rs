//! Random sequences of calls, ends, waits, steps of the wall clock, changes of size and rules that are removed, made
//! and made again, against a list of everything that happened: B1, B2 in both directions, B4 and B5 over all
//! stretches, B6, B8, B10, B11.
//!
//! A rule is made in three steps (its counters begin, the ledger is flushed, the counters are told), and anything may
//! happen in between. From then on it counts what the list says, as if it had always been there.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    list::{Asked, End, Event, Made, Written, asks, figures, nanos, span},
    *,
};
use crate::admission::{Frees, RefusedBy, Restoration, Row};

#[derive(Clone, Debug)]
enum Op {
    Call(Place, Asked),
    /// A call, by somebody who read the rules before they changed.
    LateCall(Place, Asked),
    /// One of the open calls ends.
    End(usize, End),
    /// The ledger has how one of the open calls ends; its hold has not ended yet.
    Write(usize, End),
    /// An attempt of one of the open calls failed, and used this.
    Attempt(usize, u64, u64),
    /// What was written down comes into the store.
    Ship,
    /// A rule is removed, or made: its counters begin.
    Toggle(usize),
    /// A rule is removed and begins to be made again.
    Again(usize),
    /// The next step of that: the ledger is flushed, or the rules come into force.
    Proceed,
    /// The ledger cannot be asked.
    Fail,
    /// Both clocks go on.
    Wait(u64),
    /// The wall clock is set, by so many milliseconds.
    Step(i64),
    /// A rule is given another size.
    Resize(usize, u64),
}

/// Where a call comes from and goes to.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The key `a`, in the team; else `b`, in none.
    in_team: bool,
    /// Whether the attempt goes to the model that has limits of its own.
    to_model: bool,
    /// How long the call took from its look at the clock to the counters.
    late: u64,
}

const DAY: u64 = 86_400_000;
const RATES: usize = 10;
const RULES: usize = RATES + 3;

/// Rules that are in force, or were.
#[derive(Clone)]
struct InForce {
    rules: Arc<Rules>,
    limits: Vec<LimitRule>,
    budgets: Vec<BudgetRule>,
}

/// A change of rules that is under way.
struct Making {
    restoration: Restoration,
    on: [bool; RULES],
    made: [Made; RULES],
    is_flushed: bool,
}

impl InForce {
    fn new(sizes: &[u64], on: &[bool; RULES]) -> Self {
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

fn rules(sizes: &[u64]) -> (Vec<LimitRule>, Vec<BudgetRule>) {
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

// === the run ===

struct Run {
    admission: Admission,
    sizes: Vec<u64>,
    on: [bool; RULES],
    made: [Made; RULES],
    now_in_force: InForce,
    before: InForce,
    making: Option<Making>,
    /// How much happened, how many records the ledger has, and how many are in its store.
    happened: u64,
    written: u64,
    shipped: u64,
    events: Vec<Event>,
    /// The monotonic clock, and the wall's distance from it.
    now: Duration,
    wall: u64,
    /// The latest instant that the counters saw.
    seen: Duration,
    /// Rules changed: what was admitted under one size need not fit another.
    resized: bool,
}

impl Run {
    fn new(sizes: Vec<u64>, on: [bool; RULES]) -> Self {
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

    fn moment(&self, late: u64) -> Moment {
        Moment {
            wall: UnixMillis(self.wall),
            monotonic: self.now.saturating_sub(ms(late)),
        }
    }

    /// What counts for a limit within the stretch of this length that ends at `now`.
    fn within(&self, rule: &LimitRule, now: Duration, length: Duration) -> u64 {
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

    fn open(&self, rule: &LimitRule) -> u64 {
        let mine = self
            .events
            .iter()
            .filter(|event| event.scopes.contains(&rule.scope));
        mine.filter(|event| event.end.is_none() && event.asked.counts)
            .count() as u64
    }

    /// Posted, held and doubtful money of a budget in the present window.
    fn spent(&self, rule: &BudgetRule) -> [u64; 3] {
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

    fn call(&mut self, place: Place, asked: Asked, is_late: bool) -> Result<(), TestCaseError> {
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
    fn fits(
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
    fn is_due(
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
    fn wait_succeeds(
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
    fn open_call(&mut self, which: usize, may_be_written: bool) -> Option<&mut Event> {
        let open = self.events.iter_mut();
        let open =
            open.filter(|event| event.end.is_none() && (may_be_written || event.written.is_none()));
        let mut open: Vec<&mut Event> = open.collect();
        let which = which.checked_rem(open.len())?;
        Some(open.swap_remove(which))
    }

    /// Writes down what an attempt that is not the call's last came to. Only what holds no money has several.
    fn attempt(&mut self, which: usize, input: u64, output: u64) {
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
    fn write(&mut self, which: usize, end: End) {
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

    fn end(&mut self, which: usize, end: End) {
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

    fn book(&mut self, which: usize, end: End, now: Moment) {
        self.happened += 1;
        let (happened, seen) = (self.happened, self.seen.max(now.monotonic));
        let before = self.seen;
        let Some(event) = self.open_call(which, true) else {
            return;
        };
        let end = event.written.unwrap_or(end);
        let held = event.held.take().unwrap();
        let rows = event.rows.iter().map(|row| Row {
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
        match end {
            End::Exact(input, output, cost) => {
                held.book(now, Actual::Exact(used(input, output, cost)), &rows);
            }
            End::AtLeast(input, output, cost) => {
                held.book(now, Actual::AtLeast(used(input, output, cost)), &rows);
            }
            End::Nothing => {
                held.settle(now, Actual::Nothing);
            }
            End::Dropped => drop(held),
        }
        let seen = if matches!(end, End::Dropped) {
            before
        } else {
            seen
        };
        event.end = Some((seen, end, happened));
        self.seen = seen;
    }

    /// Removes a rule or makes it: the first step.
    fn toggle(&mut self, which: usize) {
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
        // A limit is told of the last day, a budget of its window and the one before, the second of all of them.
        let (from, until) = match which.checked_sub(RATES) {
            None => (self.wall - DAY, u64::MAX),
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
    fn proceed(&mut self) {
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

    fn enforce(&mut self) {
        let next = InForce::new(&self.sizes, &self.on);
        self.before = std::mem::replace(&mut self.now_in_force, next);
    }

    /// The figures that are told are those of the list, and after the last end nothing is held.
    fn conserves(&mut self) -> Result<(), TestCaseError> {
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
    fn holds_everywhere(&self) -> Result<(), TestCaseError> {
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

// === the sequences ===

fn call() -> impl Strategy<Value = (Place, Asked)> {
    let late = prop_oneof![3 => Just(0_u64), 1 => 0_u64..300];
    let place = (any::<bool>(), any::<bool>(), late);
    let place = place.prop_map(|(in_team, to_model, late)| Place {
        in_team,
        to_model,
        late,
    });
    let asked = (
        prop::bool::weighted(0.9),
        0_u64..60,
        0_u64..60,
        prop::option::weighted(0.8, 0_u64..60),
    );
    let asked = asked.prop_map(|(counts, input, output, money)| Asked {
        counts,
        input,
        output,
        money,
    });
    (place, asked)
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let used = || (0_u64..70, 0_u64..70, 0_u64..70);
    let end = prop_oneof![
        4 => used().prop_map(|(input, output, cost)| End::Exact(input, output, cost)),
        1 => used().prop_map(|(input, output, cost)| End::AtLeast(input, output, cost)),
        1 => Just(End::Nothing),
        1 => Just(End::Dropped),
    ];
    let wait = prop_oneof![0_u64..50, 0_u64..2_000, 0_u64..70_000, 0_u64..DAY];
    let step = prop_oneof![-3_600_000_i64..3_600_000, -40_i64..40];
    let op = prop_oneof![
        10 => call().prop_map(|(place, asked)| Op::Call(place, asked)),
        1 => call().prop_map(|(place, asked)| Op::LateCall(place, asked)),
        2 => (any::<usize>(), end.clone()).prop_map(|(which, end)| Op::Write(which, end)),
        1 => (any::<usize>(), 0_u64..30, 0_u64..30)
            .prop_map(|(which, input, output)| Op::Attempt(which, input, output)),
        1 => Just(Op::Ship),
        2 => (0..RULES).prop_map(Op::Toggle),
        2 => (0..RULES).prop_map(Op::Again),
        8 => Just(Op::Proceed),
        1 => Just(Op::Fail),
        5 => (any::<usize>(), end).prop_map(|(which, end)| Op::End(which, end)),
        4 => wait.prop_map(Op::Wait),
        2 => step.prop_map(Op::Step),
        1 => (0..RULES, 0_u64..8).prop_map(|(which, size)| Op::Resize(which, size)),
    ];
    prop::collection::vec(op, 1..50)
}

proptest! {
    #![proptest_config(super::cases(10_000))]

    #[test]
    fn every_decision_is_the_one_that_the_list_of_all_events_demands(
        sizes in prop::collection::vec(1_u64..8, RULES),
        on in prop::array::uniform13(prop::bool::weighted(0.6)),
        ops in ops(),
    ) {
        let mut run = Run::new(sizes, on);
        for op in ops {
            match op {
                Op::Call(place, asked) => run.call(place, asked, false)?,
                Op::LateCall(place, asked) => run.call(place, asked, true)?,
                Op::End(which, end) => run.end(which, end),
                Op::Write(which, end) => run.write(which, end),
                Op::Attempt(which, input, output) => run.attempt(which, input, output),
                Op::Ship => run.shipped = run.written,
                Op::Toggle(which) => run.toggle(which),
                Op::Again(which) => {
                    while run.making.is_some() || run.on[which] {
                        run.toggle(which);
                        run.proceed();
                    }
                    run.toggle(which);
                }
                Op::Proceed => run.proceed(),
                Op::Fail => drop(run.making.take()),
                Op::Wait(millis) => {
                    run.now += ms(millis);
                    run.wall += millis;
                }
                Op::Step(millis) => run.wall = run.wall.saturating_add_signed(millis),
                Op::Resize(which, size) => {
                    run.sizes[which] = size;
                    run.enforce();
                    run.resized = true;
                }
            }
        }
        run.holds_everywhere()?;
        run.conserves()?;
    }
}
