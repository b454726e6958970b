//! B2 over an hour of mixed load, in simulated time: every kind of rule at once, near its bound, while they are
//! changed, removed and made again and the wall clock is stepped. Every decision is judged by a list of everything that
//! happened: no wrong refusal, no wrong admission, and each wait to the nanosecond.
//!
//! The hour begins half an hour before a day, a week and a month end. `TOLLGATE_SEED` repeats a run, `TOLLGATE_HOURS` and
//! `TOLLGATE_RATE` (calls a second) make it longer and denser.

mod book;
mod changes;
mod world;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

use foldhash::{HashMap, HashMapExt as _};

use self::{
    book::{Book, Counts, Rule, window},
    world::{Dice, How, Wish, budgets, limits, wish},
};
use super::{
    list::{Asked, End, Event, Made, Written, asks, figures, nanos, span, told_of},
    *,
};
use crate::{
    admission::{BudgetStanding, Frees, RefusedBy, Restoration},
    rules::{Relief, Side, Span},
    scope::Scopes,
};

/// 2026-05-31T23:30:00Z, a Sunday.
const BEGIN: u64 = 1_780_270_200_000;
const HOUR: u64 = 3_600_000_000;
const MINUTE: u64 = 60_000_000;

/// What happens next; times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Call,
    /// The attempt of a call ends.
    End(usize),
    /// Somebody changes a rule.
    Change,
    /// A change of rules comes into force.
    Enforce,
    /// The wall clock is stepped.
    Step,
    /// Everything is compared.
    Look,
}

/// A call that is open: its events in the list.
struct Open {
    wish: Wish,
    attempt: usize,
    at: Moment,
    whole: usize,
    money: usize,
    load: usize,
    used: (u64, u64),
}

/// A change of rules that is not in force yet.
struct Making {
    restoration: Restoration,
    rules: Arc<Rules>,
    made: Option<(usize, Made)>,
    changed: Option<(usize, Rule)>,
    on: Vec<bool>,
}

/// A rule that refuses.
#[derive(Clone, Copy, Debug)]
struct InTheWay {
    book: usize,
    /// When it no longer does; `None` where waiting does not help.
    until: Option<Duration>,
}

struct Run {
    dice: Dice,
    admission: Admission,
    now: u64,
    wall: u64,
    /// The latest instant that the counters saw.
    seen: Duration,
    events: Vec<Event>,
    /// Which of them lie in a scope that has rules.
    events_of: HashMap<Scope, Vec<usize>>,
    happened: u64,
    written: u64,
    books: Vec<Book>,
    /// The rules as they were at first.
    first: Vec<Rule>,
    /// Which books are in force, and those of each scope.
    on: Vec<bool>,
    by_scope: HashMap<Scope, Vec<usize>>,
    rules: Arc<Rules>,
    making: Option<Making>,
    queue: BinaryHeap<Reverse<(u64, u64, Next)>>,
    queued: u64,
    open: Vec<Option<Open>>,
    told: BTreeMap<String, u64>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's size, not a setting of the product"
)]
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn asks_of(demand: &Demand, measure: Measure) -> u64 {
    let asked = Asked {
        counts: demand.counts,
        input: demand.input_tokens,
        output: demand.output_tokens,
        money: None,
    };
    asks(&asked, measure)
}

impl Run {
    fn new(seed: u64, rate: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (limits, budgets) = (limits(&mut dice, rate), budgets(&mut dice, rate));
        let limits = limits.into_iter().map(Rule::Limit);
        let rules = limits.chain(budgets.into_iter().map(Rule::Budget));
        let books: Vec<Book> = rules
            .map(|rule| Book {
                rule,
                made: Made::default(),
                sums: Counts::default(),
            })
            .collect();
        let mut by_scope: HashMap<Scope, Vec<usize>> = HashMap::new();
        for (at, book) in books.iter().enumerate() {
            by_scope
                .entry(book.rule.scope().clone())
                .or_default()
                .push(at);
        }
        let mut run = Self {
            dice,
            admission: Admission::default(),
            now: 3 * 24 * HOUR,
            wall: BEGIN,
            seen: Duration::ZERO,
            events: Vec::new(),
            events_of: by_scope
                .keys()
                .map(|scope| (scope.clone(), Vec::new()))
                .collect(),
            happened: 0,
            written: 0,
            on: vec![true; books.len()],
            first: books.iter().map(|book| book.rule.clone()).collect(),
            books,
            by_scope,
            rules: Arc::default(),
            making: None,
            queue: BinaryHeap::new(),
            queued: 0,
            open: Vec::new(),
            told: BTreeMap::new(),
        };
        run.rules = run.in_force(&run.on, None);
        let new = run.admission.begin(&run.rules, run.moment());
        new.finish(|_, borders| Ok(figures(&[].iter(), borders, 0)))
            .unwrap();
        run
    }

    /// The rules of these books, one of them changed.
    fn in_force(&self, on: &[bool], changed: Option<&(usize, Rule)>) -> Arc<Rules> {
        let (mut limits, mut budgets) = (Vec::new(), Vec::new());
        for (at, book) in self.books.iter().enumerate().filter(|(at, _)| on[*at]) {
            let changed = changed.filter(|(which, _)| *which == at);
            match changed.map_or(&book.rule, |(_, rule)| rule) {
                Rule::Limit(rule) => limits.push(rule.clone()),
                Rule::Budget(rule) => budgets.push(rule.clone()),
            }
        }
        Arc::new(Rules::new(limits, budgets).unwrap())
    }

    fn moment(&self) -> Moment {
        Moment {
            wall: UnixMillis(self.wall),
            monotonic: Duration::from_micros(self.now),
        }
    }

    fn later(&mut self, after: u64, next: Next) {
        self.queued += 1;
        self.queue
            .push(Reverse((self.now + after, self.queued, next)));
    }

    fn tell(&mut self, what: &str) {
        *self.told.entry(what.to_owned()).or_default() += 1;
    }

    /// Changes an event of the list, and what counts of it.
    fn change(&mut self, event: usize, change: impl FnOnce(&mut Event)) {
        self.count(event, false);
        change(&mut self.events[event]);
        self.count(event, true);
    }

    fn count(&mut self, event: usize, is_in: bool) {
        let event = &self.events[event];
        for scope in event.scopes.iter() {
            for &book in self.by_scope.get(scope).into_iter().flatten() {
                self.books[book].count(event, is_in);
            }
        }
    }

    // === calls ===

    /// Asks for `asked`, and judges what is said.
    fn admit(&mut self, at: Moment, scopes: &Scopes, asked: Asked) -> Option<usize> {
        let demand = Demand {
            scopes: scopes.clone(),
            counts: asked.counts,
            input_tokens: asked.input,
            output_tokens: asked.output,
            money: asked.money.map(nanos),
        };
        let stands = self.standing_in_the_way(at, scopes, &asked);
        match self.admission.admit(&self.rules, at, &demand) {
            Ok(held) => {
                assert!(stands.is_empty(), "admitted against {stands:?}: {asked:?}");
                self.tell("admitted");
                self.seen = self.seen.max(at.monotonic);
                self.events.push(Event {
                    asked,
                    scopes: scopes.clone(),
                    begin: self.seen,
                    wall: at.wall.0,
                    rows: Vec::new(),
                    written: None,
                    end: None,
                    held: Some(held),
                });
                let event = self.events.len() - 1;
                for scope in scopes.iter() {
                    if let Some(of) = self.events_of.get_mut(scope) {
                        of.push(event);
                    }
                }
                self.count(event, true);
                Some(event)
            }
            Err(refusal) => {
                self.judge(&refusal, &stands, at, &demand);
                None
            }
        }
    }

    /// Every rule that refuses.
    fn standing_in_the_way(&mut self, at: Moment, scopes: &Scopes, asked: &Asked) -> Vec<InTheWay> {
        let (seen, now) = (self.seen, self.seen.max(at.monotonic));
        let mut found = Vec::new();
        for scope in scopes.iter() {
            for &book in self.by_scope.get(scope).into_iter().flatten() {
                if !self.on[book] {
                    continue;
                }
                self.books[book].forget(seen);
                let stands = match &self.books[book].rule {
                    Rule::Limit(rule) => self.limit_stands(book, rule, asked, now),
                    Rule::Budget(rule) => {
                        let spent: u64 = self.books[book].spent(at.wall.0).iter().sum();
                        let limit = rule.limit_at(at.wall);
                        let needed = asked.money.map(|needed| nanos(spent + needed));
                        let is_beyond = needed.is_some_and(|needed| needed > limit);
                        (rule.hard && (is_beyond || limit.is_zero()))
                            .then_some(InTheWay { book, until: None })
                    }
                };
                found.extend(stands);
            }
        }
        found
    }

    fn limit_stands(
        &self,
        book: usize,
        rule: &LimitRule,
        asked: &Asked,
        now: Duration,
    ) -> Option<InTheWay> {
        let needed = asks(asked, rule.measure);
        let counts = &self.books[book];
        if needed == 0 || counts.used(now) + needed <= rule.most {
            return None;
        }
        let until = match rule.measure {
            Measure::Requests(_) | Measure::Tokens(..) if needed <= rule.most => {
                Some(counts.falls_to(rule.most - needed, now))
            }
            _ => None,
        };
        Some(InTheWay { book, until })
    }

    /// The rule that is told stands in the way, with the figures of the list, and no other stands there longer.
    fn judge(&mut self, refusal: &Refusal, stands: &[InTheWay], at: Moment, demand: &Demand) {
        let (id, what) = match &refusal.rule {
            RefusedBy::Limit {
                standing, frees, ..
            } => {
                let frees = format!("{frees:?}");
                let frees = frees.split('(').next().unwrap_or_default().to_owned();
                (
                    &standing.id,
                    format!("{} {frees}", standing.measure.as_str()),
                )
            }
            RefusedBy::Budget { standing, .. } => {
                (&standing.id, format!("budget {}", standing.period.as_str()))
            }
        };
        let told = stands
            .iter()
            .find(|stands| self.books[stands.book].rule.id() == id);
        let Some(&InTheWay { book, until }) = told else {
            panic!("wrongly refused by {refusal:?}; in the way are {stands:?}");
        };
        let now = self.seen.max(at.monotonic);
        match &refusal.rule {
            RefusedBy::Limit {
                standing, frees, ..
            } => {
                let used = standing.used + standing.held;
                if standing.measure != Measure::LargestRequest {
                    assert_eq!(used, self.books[book].used(now), "{standing:?}");
                }
                let wait = until.map(|until| until.saturating_sub(at.monotonic));
                match frees {
                    Frees::After(after) => assert_eq!(Some(*after), wait, "{standing:?}"),
                    Frees::WithACall => assert_eq!(standing.measure, Measure::Concurrent),
                    Frees::Blocked => assert_eq!(standing.most, 0),
                    Frees::TooLarge => assert!(asks_of(demand, standing.measure) > standing.most),
                }
                if let Frees::After(after) = *frees {
                    self.wait_succeeds(after, stands, at, demand);
                }
            }
            RefusedBy::Budget { standing, .. } => self.compare_budget(book, standing, at.wall.0),
        }
        self.tell(&what);
    }

    /// A nanosecond before the wait is over, the call is still refused; then it is admitted, or calls that are open
    /// stand in its way.
    fn wait_succeeds(&self, wait: Duration, stands: &[InTheWay], at: Moment, demand: &Demand) {
        let last = stands
            .iter()
            .filter_map(|stands| stands.until)
            .max()
            .unwrap();
        assert_eq!(
            wait,
            last.saturating_sub(at.monotonic),
            "another waits longer"
        );
        let after = |wait: Duration| Moment {
            monotonic: at.monotonic + wait,
            ..at
        };
        let early = after(wait.saturating_sub(Duration::from_nanos(1)));
        assert!(self.admission.check(&self.rules, early, demand).is_err());
        if let Err(other) = self.admission.check(&self.rules, after(wait), demand) {
            let is_open = |rule: &RefusedBy| matches!(rule, RefusedBy::Limit { frees, .. } if *frees == Frees::WithACall);
            assert!(is_open(&other.rule), "{wait:?} were not enough: {other}");
        }
    }

    fn compare_budget(&self, book: usize, standing: &BudgetStanding, wall: u64) {
        let [posted, held, doubtful] = self.books[book].spent(wall).map(nanos);
        let told = (standing.posted, standing.held, standing.doubtful);
        assert_eq!(told, (posted, held, doubtful), "{standing:?}");
        if let Rule::Budget(rule) = &self.books[book].rule {
            let from = i64::try_from(standing.from.0).unwrap();
            assert_eq!(from, window(rule, wall), "{standing:?}");
        }
    }

    fn call(&mut self) {
        let wish = wish(&mut self.dice);
        // Some read the clock a while before they come to the counters.
        let late = if self.dice.chance(50) {
            self.dice.below(200_000)
        } else {
            0
        };
        let at = Moment {
            monotonic: Duration::from_micros(self.now - late),
            ..self.moment()
        };
        self.tell("calls");
        let Some(whole) = self.admit(at, &wish.caller, wish.whole) else {
            return;
        };
        let call = Open {
            wish,
            attempt: 0,
            at,
            whole,
            money: 0,
            load: 0,
            used: (0, 0),
        };
        self.attempt(call);
    }

    /// The next attempt of a call is admitted, or the call ends.
    fn attempt(&mut self, mut call: Open) {
        let (attempt, at) = (&call.wish.attempts[call.attempt], call.at);
        let takes = attempt.takes;
        let money = Asked {
            counts: false,
            input: 0,
            output: 0,
            money: Some(attempt.most),
        };
        let (all, own) = (attempt.all.clone(), attempt.own.clone());
        let ended = self.admit(at, &all, money).and_then(|money| {
            let Some(load) = self.admit(self.moment(), &own, call.wish.whole) else {
                self.end(money, None, End::Nothing, at);
                return None;
            };
            Some((money, load))
        });
        let Some((money, load)) = ended else {
            let nothing = self.events[call.whole].rows.is_empty();
            let (input, output) = call.used;
            let end = if nothing {
                End::Nothing
            } else {
                End::Exact(input, output, 0)
            };
            self.end(call.whole, None, end, self.moment());
            return;
        };
        (call.money, call.load) = (money, load);
        self.open.push(Some(call));
        self.later(takes, Next::End(self.open.len() - 1));
    }

    /// An attempt ends: with the last one, the call does.
    fn end_attempt(&mut self, call: usize) {
        let mut call = self.open[call].take().unwrap();
        let is_last = call.attempt + 1 == call.wish.attempts.len();
        let how = if is_last { call.wish.how } else { How::Exact };
        let (input, output, cost) = call.wish.attempts[call.attempt].used;
        let (whole, most) = (call.wish.whole, call.wish.attempts[call.attempt].most);
        let now = self.moment();
        let row_figures = match how {
            How::Exact => (input, output, cost),
            How::AtLeast => (
                input.max(whole.input),
                output.max(whole.output),
                cost.max(most),
            ),
            How::Nothing | How::Dropped => (0, 0, 0),
        };
        if matches!(how, How::Exact | How::AtLeast) {
            self.written += 1;
            call.used = (call.used.0 + input, call.used.1 + output);
        }
        let end = |input, output, cost| match how {
            How::Exact => End::Exact(input, output, cost),
            How::AtLeast => End::AtLeast(input, output, cost),
            How::Nothing => End::Nothing,
            How::Dropped => End::Dropped,
        };
        let is_written = matches!(how, How::Exact | How::AtLeast);
        let row = |input, output, money| {
            is_written.then_some(Written {
                number: self.written,
                input,
                output,
                money,
            })
        };
        let (of_money, of_tokens) = (
            row(0, 0, row_figures.2),
            row(row_figures.0, row_figures.1, 0),
        );
        self.end(call.money, of_money, end(0, 0, cost), now);
        self.end(call.load, of_tokens, end(input, output, 0), now);
        if !is_last {
            self.change(call.whole, |event| event.rows.extend(of_tokens));
            call.attempt += 1;
            return self.attempt(call);
        }
        let (input, output) = call.used;
        // What has rows was sent.
        let end = match end(input, output, 0) {
            End::Nothing | End::Dropped if !self.events[call.whole].rows.is_empty() => {
                End::Exact(input, output, 0)
            }
            end => end,
        };
        self.end(call.whole, of_tokens, end, now);
    }

    /// The hold of an event ends, just after its last record was written down.
    fn end(&mut self, event: usize, row: Option<Written>, end: End, at: Moment) {
        self.happened += 1;
        let held = self.events[event].held.take().unwrap();
        end.of(held, at, self.events[event].rows.iter().chain(&row));
        if !matches!(end, End::Dropped) {
            self.seen = self.seen.max(at.monotonic);
        }
        let ended = Some((self.seen, end, self.happened));
        self.change(event, |event| {
            event.rows.extend(row);
            event.end = ended;
        });
    }
}
