//! What counters know that they did not see: what the ledger says was used before they began, and what an
//! administrator says of a call whose end nobody saw.
//!
//! A counter begins at the start of the process or when its rule is made, also when calls are open that lie in the
//! rule's scope and others end while the ledger is being asked. Every call counts once:
//!
//! 1. [`Admission::begin`] makes the counter in one step with a look at all open calls: it holds what they hold.
//!    Calls that begin from then on are held, too, whichever rules they are admitted under.
//! 2. What ended before that step is in the ledger, because records are written down before holds end. The ledger
//!    is flushed now.
//! 3. [`Restoration::finish`] asks for the figures, and as of which record they are. What ended meanwhile, or ends
//!    later, counts when its record is a later one; an earlier one is in the figures, and only the hold ends.
//!
//! Between a record and the end of its hold both count: a moment for an attempt; for a call that is tried again, what
//! its first attempts used, until it ends. That errs on the wall's side.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tollgate_base::{Moment, Money, Result, UnixMillis};

use super::{
    Admission, Crossing, Rules, State,
    account::Account,
    budgets,
    held::Waiting,
    limits,
    origin::{Origin, Told},
    rules::{Budget, Limit},
    sliding::Sliding,
    sync::{Lock, with},
};
use crate::{
    ledger::{Figures, Posted},
    rules::{Measure, Span},
    scope::Scope,
};

/// Counters that have begun and wait for what the ledger has. Dropped unfinished, it leaves everything as it was.
#[must_use = "the counters of new rules know of nothing before it is finished"]
#[derive(Debug)]
pub struct Restoration {
    shared: Arc<Lock<State>>,
    rules: Arc<Rules>,
    /// The rules that were told before.
    before: Option<Arc<Rules>>,
    /// The counters that begin, by their names.
    new: HashSet<Arc<str>>,
    number: u64,
    at: Moment,
    is_finished: bool,
}

/// What an administrator says of a call of which only the hold was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correction {
    /// When the call was admitted.
    pub admitted: UnixMillis,
    /// What counted for it so far: its hold.
    pub released: Money,
    /// What it cost.
    pub posted: Money,
}

/// Into how many parts a span is cut when its use is asked of the ledger.
const PARTS: u32 = 12;

// === impl Admission ===

impl Admission {
    /// Begins the counters of those rules that the rules before did not have. To be called at the start and with
    /// changed rules, before they are in force; then the ledger is to be flushed, and what comes back finished.
    pub fn begin(&self, rules: &Arc<Rules>, at: Moment) -> Restoration {
        with(&self.shared, |state| {
            let new = rules
                .counters()
                .filter(|name| !state.restored.contains(*name));
            let new: HashSet<_> = new.cloned().collect();
            state.restoration += 1;
            // What waits does so for counters that begin anew, or are gone.
            state.waiting.clear();
            let before = state.told.replace(rules.clone());
            state.begin(rules, &new);
            Restoration {
                shared: self.shared.clone(),
                rules: rules.clone(),
                before,
                new,
                number: state.restoration,
                at: Moment {
                    monotonic: state.seen(at),
                    ..at
                },
                is_finished: false,
            }
        })
    }

    /// Replaces what counts for a call in the budgets of `scopes` by what it cost.
    pub fn correct(
        &self,
        rules: &Rules,
        at: Moment,
        scopes: &[Scope],
        correction: Correction,
    ) -> Vec<Crossing> {
        let concerned: Vec<_> = rules.concerning(scopes).collect();
        with(&self.shared, |state| {
            budgets(&concerned)
                .filter_map(|budget| {
                    let account = state.accounts.get_mut(&budget.counter)?;
                    let from = budget.calendar.window(correction.admitted).from;
                    account.correct(from, correction.released, correction.posted);
                    Some(account.crossings(budget, from, budget.rule.limit_at(at.wall)))
                })
                .flatten()
                .collect()
        })
    }
}

// === impl State ===

impl State {
    /// Makes these counters of the rules, with what open calls hold.
    fn begin(&mut self, rules: &Arc<Rules>, new: &HashSet<Arc<str>>) {
        if new.is_empty() {
            return;
        }
        self.open.remove_all(new);
        self.rates.remove_all(new);
        self.accounts.remove_all(new);
        let asked = Origin::Asked(self.restoration);
        let all = rules.all();
        for limit in limits(&all).filter(|limit| new.contains(&limit.counter)) {
            if let Some((span, _)) = remembered(limit) {
                let rate = self.rates.counter(&limit.counter, || Sliding::new(span));
                rate.origin = asked;
            }
        }
        for budget in budgets(&all).filter(|budget| new.contains(&budget.counter)) {
            let account = self.accounts.counter(&budget.counter, Account::default);
            account.origin = asked;
        }
        for place in self.calls.in_order() {
            let Some(mut call) = self.calls.lift(place) else {
                continue;
            };
            call.holds.retain(|hold| !new.contains(hold.counter()));
            let scopes = call.demand.scopes.clone();
            let concerned: Vec<_> = rules.concerning(&scopes).collect();
            self.hold_all(&concerned, &mut call);
            self.calls.put_back(place, call);
        }
    }

    /// A counter knows what it began with: what ended meanwhile ends now.
    fn end_waiting(&mut self, counter: &Arc<str>) -> Vec<Crossing> {
        let ended = self.waiting.extract_if(.., |end| end.counter() == counter);
        let ended: Vec<Waiting> = ended.collect();
        ended.into_iter().flat_map(|end| end.end(self)).collect()
    }
}

/// What a counter was told of calls that were admitted within these borders.
fn told(as_of: u64, borders: &[UnixMillis]) -> Origin {
    Origin::Told(Told {
        as_of,
        from: borders.first().copied().unwrap_or_default(),
        until: borders.last().copied().unwrap_or_default(),
    })
}

/// The span of a limit that looks back further than it takes to read the ledger, and its length.
fn remembered(limit: &Limit) -> Option<(Span, Duration)> {
    let (Measure::Requests(span) | Measure::Tokens(_, span)) = limit.rule.measure else {
        return None;
    };
    match span {
        Span::Second => None,
        Span::Minute => Some((span, Duration::from_mins(1))),
        Span::Day => Some((span, Duration::from_hours(24))),
    }
}

// === impl Restoration ===

impl Restoration {
    /// Whether no counter begins: then nothing is asked of the ledger.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty()
    }

    /// Tells the counters what was used before: those of budgets in their present window and the one before it, and
    /// those of limits by the minute and the day. `figures` asks the ledger, as [`crate::ledger::LedgerStore::figures`] does.
    ///
    /// Returns the thresholds that had been reached before: who keeps a list of alerts knows which are new.
    pub fn finish(
        mut self,
        mut figures: impl FnMut(&Scope, &[UnixMillis]) -> Result<Figures>,
    ) -> Result<Vec<Crossing>> {
        // Limits of one scope and span ask the same.
        let mut known: HashMap<(Scope, Vec<UnixMillis>), Figures> = HashMap::new();
        let mut figures = |scope: &Scope, borders: &[UnixMillis]| {
            let question = (scope.clone(), borders.to_vec());
            if let Some(answer) = known.get(&question) {
                return Ok(answer.clone());
            }
            let answer = figures(scope, borders)?;
            known.insert(question, answer.clone());
            Ok(answer)
        };
        let mut crossings = Vec::new();
        let rules = self.rules.clone();
        let all = rules.all();
        for budget in budgets(&all).filter(|budget| self.new.contains(&budget.counter)) {
            crossings.extend(self.restore_budget(budget, &mut figures)?);
        }
        for limit in limits(&all).filter(|limit| self.new.contains(&limit.counter)) {
            if let Some((_, length)) = remembered(limit) {
                self.restore_rate(limit, length, &mut figures)?;
            }
        }
        with(&self.shared, |state| {
            if state.restoration == self.number {
                state.restored = rules.counters().cloned().collect();
            }
            state.sweep(&rules);
        });
        self.is_finished = true;
        Ok(crossings)
    }

    fn restore_budget(
        &self,
        budget: &Arc<Budget>,
        figures: &mut impl FnMut(&Scope, &[UnixMillis]) -> Result<Figures>,
    ) -> Result<Vec<Crossing>> {
        let windows = budget.calendar.last_two(self.at.wall);
        let ends = windows.iter().map(|window| window.until);
        let first = windows.first().map(|window| window.from);
        let borders: Vec<_> = first.into_iter().chain(ends).collect();
        let Figures { parts, as_of } = figures(&budget.rule.scope, &borders)?;
        let posted: Vec<_> = windows
            .iter()
            .zip(parts)
            .map(|(window, posted)| (*window, posted.money))
            .collect();
        Ok(with(&self.shared, |state| {
            let account = state.accounts.get_mut(&budget.counter);
            let asked = account.filter(|account| account.origin == Origin::Asked(self.number));
            let Some(account) = asked else {
                return Vec::new();
            };
            account.restore(&posted, self.at.monotonic);
            account.origin = told(as_of, &borders);
            let limit = budget.rule.limit_at(self.at.wall);
            let present = budget.calendar.window(self.at.wall);
            let mut crossings = account.crossings(budget, present.from, limit);
            crossings.extend(state.end_waiting(&budget.counter));
            crossings
        }))
    }

    /// What was used within a part of the span counts from the part's end, so that it is never forgotten early.
    fn restore_rate(
        &self,
        limit: &Arc<Limit>,
        length: Duration,
        figures: &mut impl FnMut(&Scope, &[UnixMillis]) -> Result<Figures>,
    ) -> Result<()> {
        let ago = |parts: u32| length / PARTS * parts;
        let wall = |parts: u32| {
            let ago = u64::try_from(ago(parts).as_millis()).unwrap_or(u64::MAX);
            UnixMillis(self.at.wall.0.saturating_sub(ago))
        };
        // A clock that was set back has left calls behind that were admitted later than now: within a span of it, they
        // may have been admitted within the span.
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let after_now = UnixMillis(self.at.wall.0.saturating_add(length_ms));
        let scope = &limit.rule.scope;
        let whole = [wall(PARTS), after_now];
        let mut answer = figures(scope, &whole)?;
        let is_nothing = |posted: &Posted| used(limit, *posted) == 0;
        let ends: Vec<u32> = (0..PARTS).rev().collect();
        if !answer.parts.iter().all(is_nothing) {
            let begins = (1..=PARTS).rev().map(wall);
            let borders: Vec<_> = begins.chain([after_now]).collect();
            answer = figures(scope, &borders)?;
        }
        with(&self.shared, |state| {
            let rate = state.rates.get_mut(&limit.counter);
            let asked = rate.filter(|rate| rate.origin == Origin::Asked(self.number));
            let Some(rate) = asked else { return };
            for (part, posted) in ends.iter().zip(&answer.parts) {
                let amount = used(limit, *posted);
                if amount > 0 {
                    rate.restore(amount, self.at.monotonic, ago(*part));
                }
            }
            rate.begin_with(told(answer.as_of, &whole), self.at.monotonic);
            state.end_waiting(&limit.counter);
        });
        Ok(())
    }
}

impl Drop for Restoration {
    /// The ledger could not be asked: the rules do not come into force, and their counters are made anew the next
    /// time.
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        with(&self.shared, |state| {
            if state.restoration != self.number {
                return;
            }
            state.told = self.before.take();
            state.waiting.clear();
            state.open.remove_all(&self.new);
            state.rates.remove_all(&self.new);
            state.accounts.remove_all(&self.new);
        });
    }
}

/// What the ledger's figures mean to a limit.
fn used(limit: &Limit, posted: Posted) -> u64 {
    match limit.rule.measure {
        Measure::Requests(_) => posted.requests,
        Measure::Tokens(side, _) => side.of(posted.input_tokens, posted.output_tokens),
        Measure::Concurrent | Measure::LargestRequest => 0,
    }
}
