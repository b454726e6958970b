//! Whether a call may begin: under every limit and every budget that it lies in, all at once or not at all.
//!
//! A call is admitted with the most that it can use. That much is held until the call ends, then what it used
//! is booked and the rest given back. So whatever runs at the same time, what is posted and what is held never
//! go beyond a hard budget together, and a call is refused only when they would. One lock guards the counters;
//! deciding and taking happen under it, in one step.
//!
//! - Rates slide: they hold for every stretch of a second, a minute, a day. They ask the monotonic clock only.
//! - Budgets are windows of a calendar. A call belongs to the window in which it was admitted, and nothing is
//!   ever reset.
//! - Counters belong to a rule's id and outlive a change of its size: the next admission sees the new size,
//!   and what is held keeps its own.
//!
//! - Rules may change at any time. A counter begins with all that its rule would have counted ([`Admission::begin`]).
//!
//! Nothing here does IO or reads a clock.

mod account;
mod calendar;
mod held;
mod open;
mod origin;
mod refusal;
mod restore;
mod rules;
mod sliding;
mod standing;
mod sync;
mod table;

#[cfg(test)]
mod tests;

use std::{collections::HashSet, ptr, sync::Arc, time::Duration};

use tollgate_base::{Moment, Money};

use self::{
    account::Account,
    held::{Hold, Waiting},
    open::{OpenCall, OpenCalls},
    rules::{Budget, Concerned, Limit},
    sliding::{Count, Sliding},
    sync::{Lock, with},
    table::Table,
};
pub use self::{
    calendar::is_zone,
    held::{Actual, Crossing, Held, Used},
    origin::Row,
    refusal::{Frees, Refusal, RefusedBy},
    restore::{Correction, Restoration},
    rules::Rules,
    standing::{BudgetStanding, LimitStanding, Standings},
};
use crate::{
    rules::Measure,
    scope::{Scope, Scopes},
};

/// What a call, or one attempt of it, asks for.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Every circle that it lies in.
    pub scopes: Scopes,
    /// Whether it counts as a request and takes a place among the concurrent ones.
    pub counts: bool,
    /// An upper bound.
    pub input_tokens: u64,
    /// The largest output, all candidates together.
    pub output_tokens: u64,
    /// The most that it can cost. `None`: nothing is asked of budgets, or the price is not known and that is
    /// allowed; only a budget of 0 refuses it then.
    pub money: Option<Money>,
}

/// The counters of all limits and budgets.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    shared: Arc<Lock<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The latest instant that anybody came with: calls that read the clock in one order and take the lock in
    /// another are all seen at the later instant, which can only make a rate wait longer.
    now: Duration,
    open: Table<u64>,
    rates: Table<Sliding>,
    accounts: Table<Account>,
    calls: OpenCalls,
    /// The rules that were told last. They may not be in force yet; what begins counts under them all the same.
    told: Option<Arc<Rules>>,
    /// Counters that know of everything, by their names: those of the rules that were restored last.
    restored: HashSet<Arc<str>>,
    /// The number of the last restoration.
    restoration: u64,
    /// Ends of calls for counters that are being restored.
    waiting: Vec<Waiting>,
}

// === impl Demand, impl Admission ===

impl Demand {
    /// What is asked of budgets.
    fn money(&self) -> Option<Money> {
        self.money.map(|money| money.max(Money::ZERO))
    }
}

impl Admission {
    /// Holds all that `demand` may use, or nothing.
    pub fn admit(&self, rules: &Rules, at: Moment, demand: &Demand) -> Result<Held, Box<Refusal>> {
        let concerned: Vec<&Concerned> = rules.concerning(&demand.scopes).collect();
        let place = with(&self.shared, |state| {
            state.check(&concerned, at, demand)?;
            Ok::<_, Box<Refusal>>(state.take(rules, &concerned, at, demand))
        })?;
        Ok(Held::new(self.shared.clone(), place))
    }

    /// What `admit` would say. Nothing changes.
    pub fn check(&self, rules: &Rules, at: Moment, demand: &Demand) -> Result<(), Box<Refusal>> {
        let concerned: Vec<&Concerned> = rules.concerning(&demand.scopes).collect();
        with(&self.shared, |state| state.check(&concerned, at, demand))
    }

    /// How the limits and budgets of `scopes` stand.
    pub fn standings(&self, rules: &Rules, at: Moment, scopes: &[Scope]) -> Standings {
        let concerned: Vec<&Concerned> = rules.concerning(scopes).collect();
        self.standings_of(&concerned, at)
    }

    /// How all limits and budgets stand, in the order of their scopes.
    pub fn all_standings(&self, rules: &Rules, at: Moment) -> Standings {
        self.standings_of(&rules.all(), at)
    }

    fn standings_of(&self, concerned: &[&Concerned], at: Moment) -> Standings {
        with(&self.shared, |state| Standings {
            limits: limits(concerned)
                .filter(|limit| limit.rule.measure != Measure::LargestRequest)
                .map(|limit| state.limit_standing(limit, at))
                .collect(),
            budgets: budgets(concerned)
                .map(|budget| state.budget_standing(budget, at))
                .collect(),
        })
    }
}

fn limits<'a>(concerned: &'a [&'a Concerned]) -> impl Iterator<Item = &'a Arc<Limit>> {
    concerned.iter().flat_map(|scope| &scope.limits)
}

fn budgets<'a>(concerned: &'a [&'a Concerned]) -> impl Iterator<Item = &'a Arc<Budget>> {
    concerned.iter().flat_map(|scope| &scope.budgets)
}

// === impl State: deciding, which changes nothing ===

impl State {
    fn check(
        &self,
        concerned: &[&Concerned],
        at: Moment,
        demand: &Demand,
    ) -> Result<(), Box<Refusal>> {
        let mut room = None;
        let mut refused: Option<Box<Refusal>> = None;
        for rule in limits(concerned).filter_map(|limit| self.refused_by(limit, at, demand)) {
            heavier(&mut refused, rule);
        }
        for budget in budgets(concerned).filter(|budget| budget.rule.hard) {
            let account = self.accounts.get(&budget.counter);
            let (borders, sums) = Account::find(account, budget, at.wall);
            let limit = budget.rule.limit_at(at.wall);
            let left = limit.less(sums.total());
            room = Some(room.map_or(left, |room| left.min(room)));
            let needed = demand.money();
            let exceeded = needed.is_some_and(|needed| sums.total().plus(needed) > limit);
            if exceeded || limit <= Money::ZERO {
                let standing = BudgetStanding::new(budget, borders, sums, at.wall);
                let needed = needed.unwrap_or_default();
                heavier(&mut refused, RefusedBy::Budget { standing, needed });
            }
        }
        match refused {
            Some(mut refusal) => {
                refusal.room = room;
                Err(refusal)
            }
            None => Ok(()),
        }
    }

    fn refused_by(&self, limit: &Limit, at: Moment, demand: &Demand) -> Option<RefusedBy> {
        let needed = limit.asked(demand);
        if needed == 0 {
            return None;
        }
        let most = limit.rule.most;
        let frees = if most == 0 {
            Frees::Blocked
        } else if needed > most {
            Frees::TooLarge
        } else {
            let room = most.saturating_sub(needed);
            match limit.rule.measure {
                Measure::LargestRequest => return None,
                Measure::Concurrent if self.count_open(limit) <= room => return None,
                Measure::Concurrent => Frees::WithACall,
                Measure::Requests(_) | Measure::Tokens(..) => {
                    let rate = self.rates.get(&limit.counter)?;
                    let falls = rate.falls_to(room, self.seen(at))?;
                    Frees::After(falls.saturating_sub(at.monotonic))
                }
            }
        };
        Some(RefusedBy::Limit {
            standing: self.limit_standing(limit, at),
            needed,
            frees,
        })
    }
}

// === impl State: taking, which cannot fail ===

impl State {
    fn take(
        &mut self,
        rules: &Rules,
        concerned: &[&Concerned],
        at: Moment,
        demand: &Demand,
    ) -> usize {
        self.now = self.seen(at);
        let mut call = OpenCall {
            demand: demand.clone(),
            wall: at.wall,
            seen: self.now,
            holds: Vec::new(),
            has_left: false,
        };
        self.hold_all(concerned, &mut call);
        // Who read the rules before they changed is admitted under the old ones, and counts under the new ones.
        let told = self.told.as_ref();
        if let Some(told) = told.filter(|told| !ptr::eq(Arc::as_ptr(told), rules)) {
            let told = told.clone();
            let others = told.concerning(&demand.scopes).collect::<Vec<_>>();
            self.hold_all(&others, &mut call);
        }
        self.sweep(rules);
        self.calls.insert(call)
    }

    /// Holds what the call asks of these rules, and does not hold yet.
    fn hold_all(&mut self, concerned: &[&Concerned], call: &mut OpenCall) {
        let n_held = call.holds.len();
        let is_new = |call: &OpenCall, counter: &Arc<str>| {
            let held = call.holds.iter().take(n_held);
            held.into_iter().all(|hold| hold.counter() != counter)
        };
        for limit in limits(concerned) {
            if is_new(call, &limit.counter) {
                let hold = self.hold_limit(limit, call);
                call.holds.extend(hold);
            }
        }
        for budget in budgets(concerned) {
            if is_new(call, &budget.counter) {
                let hold = self.hold_money(budget, call);
                call.holds.push(hold);
            }
        }
    }

    /// A rate is held also when nothing is asked of it: what the call turns out to use counts all the same.
    fn hold_limit(&mut self, limit: &Arc<Limit>, call: &OpenCall) -> Option<Hold> {
        let amount = limit.asked(&call.demand);
        match limit.rule.measure {
            Measure::LargestRequest => None,
            Measure::Concurrent | Measure::Requests(_) if amount == 0 => None,
            Measure::Concurrent if call.has_left => None,
            Measure::Concurrent => {
                let open = self.open.counter(&limit.counter, || 0);
                *open = open.saturating_add(amount);
                Some(Hold::Place(limit.clone()))
            }
            Measure::Requests(span) | Measure::Tokens(_, span) => {
                let rate = self.rates.counter(&limit.counter, || Sliding::new(span));
                let slot = rate.take(amount, call.seen);
                Some(Hold::Rate {
                    limit: limit.clone(),
                    span,
                    slot,
                    amount,
                })
            }
        }
    }

    /// Money is held in the window in which the call was admitted, also when it is none.
    fn hold_money(&mut self, budget: &Arc<Budget>, call: &OpenCall) -> Hold {
        let account = self.accounts.counter(&budget.counter, Account::default);
        let (borders, _) = Account::find(Some(account), budget, call.wall);
        let amount = call.demand.money().unwrap_or_default();
        account.hold(borders, amount, call.seen);
        Hold::Money {
            budget: budget.clone(),
            borders,
            amount,
        }
    }

    /// Drops counters that say nothing any more: looks at a few, and at more when some were added.
    fn sweep(&mut self, rules: &Rules) {
        let now = self.now;
        let rules = self.told.as_deref().unwrap_or(rules);
        self.open.sweep(|_, open| *open == 0);
        self.rates.sweep(|_, rate| rate.is_idle(now));
        self.accounts
            .sweep(|name, account| !rules.has_budget(name) && account.is_idle(now));
    }
}

// === impl State: telling ===

impl State {
    /// The instant at which rates see a call.
    fn seen(&self, at: Moment) -> Duration {
        self.now.max(at.monotonic)
    }

    fn count_open(&self, limit: &Limit) -> u64 {
        self.open.get(&limit.counter).copied().unwrap_or_default()
    }

    fn limit_standing(&self, limit: &Limit, at: Moment) -> LimitStanding {
        match limit.rule.measure {
            Measure::LargestRequest => LimitStanding::new(limit, Count::default(), Duration::ZERO),
            Measure::Concurrent => {
                let held = self.count_open(limit);
                LimitStanding::new(limit, Count { used: 0, held }, Duration::ZERO)
            }
            Measure::Requests(_) | Measure::Tokens(..) => {
                let now = self.seen(at);
                let rate = self.rates.get(&limit.counter);
                let count = rate.map(|rate| rate.count(now)).unwrap_or_default();
                let free = rate.and_then(|rate| rate.falls_to(0, now));
                let resets_in = free.unwrap_or_default().saturating_sub(at.monotonic);
                LimitStanding::new(limit, count, resets_in)
            }
        }
    }

    fn budget_standing(&self, budget: &Budget, at: Moment) -> BudgetStanding {
        let account = self.accounts.get(&budget.counter);
        let (borders, sums) = Account::find(account, budget, at.wall);
        BudgetStanding::new(budget, borders, sums, at.wall)
    }
}

/// Keeps the refusal that stands longer in the call's way.
fn heavier(refused: &mut Option<Box<Refusal>>, rule: RefusedBy) {
    let other = Refusal { rule, room: None };
    if refused
        .as_ref()
        .is_none_or(|refusal| refusal.weight() < other.weight())
    {
        *refused = Some(Box::new(other));
    }
}
