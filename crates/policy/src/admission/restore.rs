//! What counters know that this process did not see: what the ledger says was used before it, and what an
//! administrator says of a call whose end nobody saw.

use std::{sync::Arc, time::Duration};

use tollgate_base::{Moment, Money, Result, UnixMillis};

use super::{
    Admission, Crossing, Rules,
    account::Account,
    budgets, limits,
    rules::{Budget, Limit},
    sliding::Sliding,
    sync::with,
};
use crate::{
    ledger::Posted,
    rules::{Measure, Span},
    scope::Scope,
};

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

/// A day, and into how many parts it is cut when its use is asked of the ledger.
const DAY: Duration = Duration::from_hours(24);
const PARTS: u32 = 12;

impl Admission {
    /// Tells the counters that have none yet what was used before: those of budgets in their present window,
    /// and those of limits by the day. `posted` asks the ledger, as [`crate::ledger::LedgerStore::posted`]
    /// does. To be called at the start, and with changed rules before a call is admitted under them: a counter
    /// that has begun is left as it is.
    ///
    /// Returns the thresholds that had been reached before: who keeps a list of alerts knows which are new.
    pub fn restore(
        &self,
        rules: &Rules,
        at: Moment,
        mut posted: impl FnMut(&Scope, UnixMillis, UnixMillis) -> Result<Posted>,
    ) -> Result<Vec<Crossing>> {
        let mut crossings = Vec::new();
        let all = rules.all();
        for budget in budgets(&all) {
            crossings.extend(self.restore_budget(budget, at, &mut posted)?);
        }
        for limit in limits(&all) {
            if let Measure::Requests(Span::Day) | Measure::Tokens(_, Span::Day) = limit.rule.measure
            {
                self.restore_day(limit, at, &mut posted)?;
            }
        }
        Ok(crossings)
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

    fn restore_budget(
        &self,
        budget: &Arc<Budget>,
        at: Moment,
        posted: &mut impl FnMut(&Scope, UnixMillis, UnixMillis) -> Result<Posted>,
    ) -> Result<Vec<Crossing>> {
        if with(&self.shared, |state| {
            state.accounts.get(&budget.counter).is_some()
        }) {
            return Ok(Vec::new());
        }
        let (borders, _) = Account::find(None, budget, at.wall);
        let money = posted(&budget.rule.scope, borders.from, borders.until)?.money;
        Ok(with(&self.shared, |state| {
            let now = state.seen(at);
            let account = state.accounts.counter(&budget.counter, Account::default);
            account.restore(borders, money, now);
            account.crossings(budget, borders.from, budget.rule.limit_at(at.wall))
        }))
    }

    /// What was used within a part of the day counts from the part's end, so that it is never forgotten early.
    fn restore_day(
        &self,
        limit: &Arc<Limit>,
        at: Moment,
        posted: &mut impl FnMut(&Scope, UnixMillis, UnixMillis) -> Result<Posted>,
    ) -> Result<()> {
        let is_known = with(&self.shared, |state| {
            state.rates.get(&limit.counter).is_some()
        });
        let scope = &limit.rule.scope;
        let ago = |parts: u32| DAY / PARTS * parts;
        let wall = |parts: u32| {
            let ago = u64::try_from(ago(parts).as_millis()).unwrap_or(u64::MAX);
            UnixMillis(at.wall.0.saturating_sub(ago))
        };
        let after_now = UnixMillis(at.wall.0.saturating_add(1));
        if is_known || used(limit, posted(scope, wall(PARTS), after_now)?) == 0 {
            return Ok(());
        }
        for part in (0..PARTS).rev() {
            let end = if part == 0 { after_now } else { wall(part) };
            let amount = used(limit, posted(scope, wall(part + 1), end)?);
            with(&self.shared, |state| {
                let now = state.seen(at);
                let rate = state
                    .rates
                    .counter(&limit.counter, || Sliding::new(Span::Day));
                rate.restore(amount, now, ago(part));
            });
        }
        Ok(())
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
