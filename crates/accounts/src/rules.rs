//! Budgets and limits. Every scope that a call lies in binds it, so a limit above that of a wider scope is no
//! mistake: the tighter one holds.

use tollgate_base::{Error, Result};
use tollgate_policy::{
    account::{Accounts, Change, Record, RecordKind, Versioned},
    key::Permission,
    rules::{BudgetRule, LimitRule, Relief},
    scope::Scope,
};

use crate::{
    Act, Actor, Administration, Plan, check, found,
    input::{NewBudget, NewLimit},
};

impl Administration {
    pub fn budget(&self, actor: &Actor, id: &str) -> Result<Versioned<BudgetRule>> {
        let accounts = self.accounts(actor)?;
        found(&accounts.budgets, RecordKind::Budget, id).cloned()
    }

    /// Makes the budget of a scope and period, or replaces it; its relief and its id stay.
    pub fn put_budget(&self, act: &Act<'_>, new: &NewBudget) -> Result<Versioned<BudgetRule>> {
        act.require(Permission::WriteRules)?;
        check::money("limit", new.limit)?;
        let thresholds = check::thresholds(new.thresholds.clone())?;
        let zone = new.zone.clone().unwrap_or_else(|| "UTC".to_owned());
        if !(self.is_zone)(&zone) {
            let message = "`zone` must be a time zone's name such as `Europe/Berlin`, or `UTC`.";
            return Err(Error::invalid_value("zone", message));
        }
        let id = self.ids.next("budget_");
        self.change(act, |accounts| {
            check::scope(&new.scope, accounts)?;
            let known = accounts
                .budgets
                .values()
                .find(|known| known.value.scope == new.scope && known.value.period == new.period);
            let rule = BudgetRule {
                id: known.map_or_else(|| id.clone(), |known| known.value.id.clone()),
                scope: new.scope.clone(),
                limit: new.limit,
                period: new.period,
                zone: zone.clone(),
                hard: new.hard,
                thresholds: thresholds.clone(),
                relief: known.and_then(|known| known.value.relief),
            };
            let after = Record::Budget(rule.clone());
            let plan = if let Some(known) = known {
                act.expect(known)?;
                Plan::update("budget.update", budget_record(known), after)
            } else {
                act.expect_absent()?;
                Plan::create("budget.create", after)
            };
            Ok((plan, rule))
        })
    }

    /// Gives a budget another limit for a while, or takes that back.
    pub fn relieve_budget(
        &self,
        act: &Act<'_>,
        id: &str,
        relief: Option<Relief>,
    ) -> Result<Versioned<BudgetRule>> {
        act.require(Permission::WriteRules)?;
        if let Some(relief) = relief {
            check::money("limit", relief.limit)?;
            check::future("until", relief.until, act.at)?;
        }
        self.change(act, |accounts| {
            let before = found(&accounts.budgets, RecordKind::Budget, id)?;
            act.expect(before)?;
            let rule = BudgetRule {
                relief,
                ..before.value.clone()
            };
            let after = Record::Budget(rule.clone());
            let plan = Plan::update("budget.relieve", budget_record(before), after);
            Ok((plan, rule))
        })
    }

    pub fn delete_budget(&self, act: &Act<'_>, id: &str) -> Result<()> {
        act.require(Permission::WriteRules)?;
        self.change(act, |accounts| {
            let before = found(&accounts.budgets, RecordKind::Budget, id)?;
            act.expect(before)?;
            let plan = Plan::delete("budget.delete", budget_record(before), Vec::new());
            Ok((plan, ()))
        })
        .map(drop)
    }

    pub fn limit(&self, actor: &Actor, id: &str) -> Result<Versioned<LimitRule>> {
        let accounts = self.accounts(actor)?;
        found(&accounts.limits, RecordKind::Limit, id).cloned()
    }

    /// Makes the limit of a scope and measure, or replaces it; its id stays.
    pub fn put_limit(&self, act: &Act<'_>, new: &NewLimit) -> Result<Versioned<LimitRule>> {
        act.require(Permission::WriteRules)?;
        let id = self.ids.next("limit_");
        self.change(act, |accounts| {
            check::scope(&new.scope, accounts)?;
            let known = accounts
                .limits
                .values()
                .find(|known| known.value.scope == new.scope && known.value.measure == new.measure);
            let rule = LimitRule {
                id: known.map_or_else(|| id.clone(), |known| known.value.id.clone()),
                scope: new.scope.clone(),
                measure: new.measure,
                most: new.most,
            };
            let after = Record::Limit(rule.clone());
            let plan = if let Some(known) = known {
                act.expect(known)?;
                Plan::update("limit.update", limit_record(known), after)
            } else {
                act.expect_absent()?;
                Plan::create("limit.create", after)
            };
            Ok((plan, rule))
        })
    }

    pub fn delete_limit(&self, act: &Act<'_>, id: &str) -> Result<()> {
        act.require(Permission::WriteRules)?;
        self.change(act, |accounts| {
            let before = found(&accounts.limits, RecordKind::Limit, id)?;
            act.expect(before)?;
            let plan = Plan::delete("limit.delete", limit_record(before), Vec::new());
            Ok((plan, ()))
        })
        .map(drop)
    }
}

/// The deletion of every rule of a scope that goes away.
pub(crate) fn of(scope: &Scope, accounts: &Accounts) -> Vec<Change> {
    let budgets = accounts.budgets.values().map(|rule| &rule.value);
    let budgets = budgets
        .filter(|rule| rule.scope == *scope)
        .map(|rule| Change::delete(RecordKind::Budget, &rule.id));
    let limits = accounts.limits.values().map(|rule| &rule.value);
    let limits = limits
        .filter(|rule| rule.scope == *scope)
        .map(|rule| Change::delete(RecordKind::Limit, &rule.id));
    budgets.chain(limits).collect()
}

fn budget_record(rule: &Versioned<BudgetRule>) -> Versioned<Record> {
    Versioned {
        version: rule.version,
        value: Record::Budget(rule.value.clone()),
    }
}

fn limit_record(rule: &Versioned<LimitRule>) -> Versioned<Record> {
    Versioned {
        version: rule.version,
        value: Record::Limit(rule.value.clone()),
    }
}
