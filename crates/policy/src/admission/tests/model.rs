//! Random sequences of calls, ends, waits, steps of the wall clock and changes of size, against a list of
//! everything that happened: B1, B2 in both directions, B4 and B5 over all stretches, B6, B8, B10, B11.
//!
//! The model knows nothing of slots and windows: it adds up the list again at every step.

use proptest::prelude::*;

use super::*;
use crate::{
    admission::{Frees, RefusedBy},
    rules::{Side, Span},
};

#[derive(Clone, Debug)]
enum Op {
    Call(Asked),
    /// One of the open calls ends.
    End(usize, End),
    /// Both clocks go on.
    Wait(u64),
    /// The wall clock is set, by so many milliseconds.
    Step(i64),
    /// A rule is given another size.
    Resize(usize, u64),
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    /// The key `a`, in the team; else `b`, in none.
    in_team: bool,
    /// Whether the attempt goes to the model that has limits of its own.
    to_model: bool,
    counts: bool,
    input: u64,
    output: u64,
    money: Option<u64>,
    /// How long the call took from its look at the clock to the counters.
    late: u64,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Exact(u64, u64, u64),
    AtLeast(u64, u64, u64),
    Nothing,
    Dropped,
}

/// A call that was admitted.
struct Event {
    asked: Asked,
    scopes: Vec<Scope>,
    /// By the monotonic clock: when it was admitted, and how and when it ended.
    begin: Duration,
    end: Option<(Duration, End)>,
    /// The day in which it was admitted.
    day: u64,
    held: Option<Held>,
}

const DAY: u64 = 86_400_000;
const RATES: usize = 8;

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

fn nanos(nanos: u64) -> Money {
    Money::from_nanos(i128::from(nanos))
}

// === the model ===

impl Event {
    fn asks(&self, measure: Measure) -> u64 {
        asks(&self.asked, measure)
    }

    /// What counts of this event for a limit, each amount with its instant.
    fn counted(&self, measure: Measure) -> [(Duration, u64); 2] {
        let asked = self.asks(measure);
        let side = match measure {
            Measure::Tokens(side, _) => side,
            Measure::Requests(_) | Measure::Concurrent | Measure::LargestRequest => {
                let nothing = matches!(self.end, Some((_, End::Nothing)));
                return [
                    (self.begin, if nothing { 0 } else { asked }),
                    (self.begin, 0),
                ];
            }
        };
        let pick = |input, output| match side {
            Side::Input => input,
            Side::Output => output,
            Side::Both => input + output,
        };
        match self.end {
            None | Some((_, End::Dropped)) => [(self.begin, asked), (self.begin, 0)],
            Some((_, End::Nothing)) => [(self.begin, 0), (self.begin, 0)],
            Some((end, End::Exact(input, output, _))) => {
                let used: u64 = pick(input, output);
                [
                    (self.begin, used.min(asked)),
                    (end, used.saturating_sub(asked)),
                ]
            }
            Some((end, End::AtLeast(input, output, _))) => {
                let used: u64 = pick(input, output);
                [(self.begin, asked), (end, used.saturating_sub(asked))]
            }
        }
    }

    /// Posted, held and doubtful money.
    fn money(&self) -> [u64; 3] {
        let held = self.asked.money.unwrap_or_default();
        match self.end {
            None => [0, held, 0],
            Some((_, End::Nothing)) => [0, 0, 0],
            Some((_, End::Dropped)) => [0, 0, held],
            Some((_, End::Exact(_, _, cost))) => [cost, 0, 0],
            Some((_, End::AtLeast(_, _, cost))) => [cost, 0, held.saturating_sub(cost)],
        }
    }
}

fn asks(asked: &Asked, measure: Measure) -> u64 {
    match measure {
        Measure::Requests(_) | Measure::Concurrent => u64::from(asked.counts),
        Measure::Tokens(Side::Input, _) => asked.input,
        Measure::Tokens(Side::Output, _) => asked.output,
        Measure::Tokens(Side::Both, _) | Measure::LargestRequest => asked.input + asked.output,
    }
}

fn span(span: Span) -> (Duration, Duration) {
    match span {
        Span::Second => (ms(1_000), ms(20)),
        Span::Minute => (ms(60_000), ms(500)),
        Span::Day => (ms(DAY), ms(600_000)),
    }
}

struct Run {
    admission: Admission,
    sizes: Vec<u64>,
    events: Vec<Event>,
    /// The monotonic clock, and the wall's distance from it.
    now: Duration,
    wall: u64,
    /// The latest instant that the counters saw.
    seen: Duration,
    resized: bool,
}

impl Run {
    fn moment(&self, late: u64) -> Moment {
        Moment {
            wall: UnixMillis(self.wall),
            monotonic: self.now.saturating_sub(ms(late)),
        }
    }

    /// What counts for a limit within the stretch of this length that ends now.
    fn within(&self, rule: &LimitRule, measure: Measure, length: Duration) -> u64 {
        let mine = self
            .events
            .iter()
            .filter(|event| event.scopes.contains(&rule.scope));
        mine.flat_map(|event| event.counted(measure))
            .filter(|(at, _)| self.seen.saturating_sub(*at) < length)
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
            event.scopes.contains(&rule.scope) && (rule.period == Period::Total || event.day == day)
        });
        mine.fold([0; 3], |sums, event| {
            let money = event.money();
            [sums[0] + money[0], sums[1] + money[1], sums[2] + money[2]]
        })
    }

    fn call(&mut self, asked: Asked) -> Result<(), TestCaseError> {
        let (limits, budgets) = rules(&self.sizes);
        let rules = Rules::new(limits.clone(), budgets.clone()).unwrap();
        let mut scopes = vec![Scope::Gateway, key(if asked.in_team { "a" } else { "b" })];
        if asked.in_team {
            scopes.push(Scope::Team("t".to_owned()));
        }
        if asked.to_model {
            scopes.push(Scope::Model("m".to_owned()));
        }
        let demand = Demand {
            scopes: &scopes,
            counts: asked.counts,
            input_tokens: asked.input,
            output_tokens: asked.output,
            money: asked.money.map(nanos),
        };
        let at = self.moment(asked.late);
        let before = everything(&self.admission);
        match self.admission.admit(&rules, at, &demand) {
            Ok(held) => {
                self.seen = self.seen.max(at.monotonic);
                self.fits(&limits, &budgets, &scopes, &asked)?;
                self.events.push(Event {
                    asked,
                    scopes,
                    begin: self.seen,
                    end: None,
                    day: self.wall / DAY,
                    held: Some(held),
                });
            }
            Err(refusal) => {
                prop_assert_eq!(everything(&self.admission), before, "B8");
                self.is_due(&refusal, &limits, &budgets, &asked, at)?;
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
                    self.within(rule, rule.measure, span(length).0)
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
                        let since = self.seen.max(at.monotonic).saturating_sub(self.seen);
                        // The list is read from the last instant seen; the stretch ends at this call's.
                        self.within(rule, rule.measure, (length + slot).saturating_sub(since))
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
        demand: &Demand<'_>,
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

    fn end(&mut self, which: usize, end: End) {
        let now = self.moment(0);
        let open = self.events.iter_mut().filter(|event| event.end.is_none());
        let mut open: Vec<&mut Event> = open.collect();
        let which = which.checked_rem(open.len()).unwrap_or_default();
        let Some(event) = open.get_mut(which) else {
            return;
        };
        let held = event.held.take().unwrap();
        let used = |input_tokens, output_tokens, cost| Used {
            input_tokens,
            output_tokens,
            money: Some(nanos(cost)),
        };
        match end {
            End::Exact(input, output, cost) => {
                held.settle(now, Actual::Exact(used(input, output, cost)));
            }
            End::AtLeast(input, output, cost) => {
                held.settle(now, Actual::AtLeast(used(input, output, cost)));
            }
            End::Nothing => {
                held.settle(now, Actual::Nothing);
            }
            End::Dropped => drop(held),
        }
        if !matches!(end, End::Dropped) {
            self.seen = self.seen.max(now.monotonic);
        }
        event.end = Some((self.seen, end));
    }

    /// The figures that are told are those of the list, and after the last end nothing is held.
    fn conserves(&mut self) -> Result<(), TestCaseError> {
        while self.events.iter().any(|event| event.end.is_none()) {
            self.end(0, End::Exact(1, 1, 1));
        }
        let (limits, budgets) = rules(&self.sizes);
        let rules = Rules::new(limits, budgets.clone()).unwrap();
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
        let (limits, _) = rules(&self.sizes);
        let requests = limits
            .iter()
            .filter(|rule| matches!(rule.measure, Measure::Requests(_)));
        for rule in requests.filter(|_| !self.resized) {
            let Measure::Requests(length) = rule.measure else {
                continue;
            };
            let mine = self
                .events
                .iter()
                .filter(|event| event.scopes.contains(&rule.scope));
            let calls: Vec<(Duration, u64)> =
                mine.map(|event| event.counted(rule.measure)[0]).collect();
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

fn asked() -> impl Strategy<Value = Asked> {
    (
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.9),
        0_u64..60,
        0_u64..60,
        prop::option::weighted(0.8, 0_u64..60),
        prop_oneof![3 => Just(0_u64), 1 => 0_u64..300],
    )
        .prop_map(
            |(in_team, to_model, counts, input, output, money, late)| Asked {
                in_team,
                to_model,
                counts,
                input,
                output,
                money,
                late,
            },
        )
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
        10 => asked().prop_map(Op::Call),
        5 => (any::<usize>(), end).prop_map(|(which, end)| Op::End(which, end)),
        4 => wait.prop_map(Op::Wait),
        2 => step.prop_map(Op::Step),
        1 => (0_usize..RATES + 3, 0_u64..8).prop_map(|(which, size)| Op::Resize(which, size)),
    ];
    prop::collection::vec(op, 1..40)
}

proptest! {
    #![proptest_config(super::cases(10_000))]

    #[test]
    fn every_decision_is_the_one_that_the_list_of_all_events_demands(
        sizes in prop::collection::vec(1_u64..8, RATES + 3),
        ops in ops(),
    ) {
        let mut run = Run {
            admission: Admission::default(),
            sizes,
            events: Vec::new(),
            now: ms(1_000),
            wall: NOON,
            seen: Duration::ZERO,
            resized: false,
        };
        for op in ops {
            match op {
                Op::Call(asked) => run.call(asked)?,
                Op::End(which, end) => run.end(which, end),
                Op::Wait(millis) => {
                    run.now += ms(millis);
                    run.wall += millis;
                }
                Op::Step(millis) => run.wall = run.wall.saturating_add_signed(millis),
                Op::Resize(which, size) => {
                    run.sizes[which] = size;
                    run.resized = true;
                }
            }
        }
        run.holds_everywhere()?;
        run.conserves()?;
    }
}
