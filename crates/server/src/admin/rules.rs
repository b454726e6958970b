//! Budgets and limits. There is one budget for each scope and period, and one limit for each scope and measure.

use tollgate_accounts::{Act, NewBudget as BudgetWish, NewLimit as LimitWish};
use tollgate_api::{
    Amount, Budget, BudgetBody, Change, Limit, LimitBody, NewBudget, NewLimit, Relief,
    ReliefRequest, Shaped as _, Timestamp,
};
use tollgate_base::{Error, Kind, Result, quote};
use tollgate_policy::{
    account::Versioned,
    rules::{self, BudgetRule, LimitRule, Measure, Period},
    scope::Scope,
};

use super::{
    Desk,
    asked::Asked,
    reply::{Reply, page},
};

impl Desk {
    pub(super) fn list_budgets(&self, asked: &Asked) -> Result<Reply> {
        let scope = asked.parameter("scope").map(scope_of).transpose()?;
        let budgets = self.accounts.accounts(&asked.actor)?.budgets;
        let all = budgets
            .iter()
            .filter(|(_, it)| scope.as_ref().is_none_or(|scope| it.value.scope == *scope));
        let (after, size) = (asked.parameter("after"), asked.page_size());
        Ok(Reply::json(&page(all, after, size, budget)))
    }

    pub(super) fn create_budget(&self, asked: &Asked) -> Result<Reply> {
        let new = NewBudget::read(&asked.body)?;
        let wish = BudgetWish {
            scope: scope_of(&new.scope)?,
            limit: new.limit_usd.0,
            period: Period::from_word(&new.period)
                .ok_or_else(|| Error::invalid_value("period", "There is no such period."))?,
            zone: new.zone,
            hard: new.hard,
            thresholds: new.thresholds,
        };
        let made = self.accounts.put_budget(&new_only(asked), &wish);
        Ok(budget_reply(&made.map_err(exists)?).created())
    }

    pub(super) fn show_budget(&self, asked: &Asked) -> Result<Reply> {
        Ok(budget_reply(
            &self.accounts.budget(&asked.actor, &asked.id)?,
        ))
    }

    pub(super) fn replace_budget(&self, asked: &Asked) -> Result<Reply> {
        let body = BudgetBody::read(&asked.body)?;
        let known = self.accounts.budget(&asked.actor, &asked.id)?;
        let wish = BudgetWish {
            scope: known.value.scope,
            limit: body.limit_usd.0,
            period: known.value.period,
            zone: body.zone,
            hard: body.hard,
            thresholds: body.thresholds,
        };
        let act = on_known(asked, known.version);
        Ok(budget_reply(&self.accounts.put_budget(&act, &wish)?))
    }

    pub(super) fn delete_budget(&self, asked: &Asked) -> Result<Reply> {
        self.accounts.delete_budget(&asked.act(), &asked.id)?;
        Ok(Reply::nothing())
    }

    pub(super) fn relieve_budget(&self, asked: &Asked) -> Result<Reply> {
        let relief = match ReliefRequest::read(&asked.body)?.relief {
            Change::Keep => return Err(Error::missing_field("relief")),
            Change::Clear => None,
            Change::Set(relief) => Some(rules::Relief {
                limit: relief.limit_usd.0,
                until: relief.until.0,
            }),
        };
        let relieved = self
            .accounts
            .relieve_budget(&asked.act(), &asked.id, relief)?;
        Ok(budget_reply(&relieved))
    }

    pub(super) fn list_limits(&self, asked: &Asked) -> Result<Reply> {
        let scope = asked.parameter("scope").map(scope_of).transpose()?;
        let limits = self.accounts.accounts(&asked.actor)?.limits;
        let all = limits
            .iter()
            .filter(|(_, it)| scope.as_ref().is_none_or(|scope| it.value.scope == *scope));
        let (after, size) = (asked.parameter("after"), asked.page_size());
        Ok(Reply::json(&page(all, after, size, limit)))
    }

    pub(super) fn create_limit(&self, asked: &Asked) -> Result<Reply> {
        let new = NewLimit::read(&asked.body)?;
        let wish = LimitWish {
            scope: scope_of(&new.scope)?,
            measure: Measure::from_word(&new.measure)
                .ok_or_else(|| Error::invalid_value("measure", "There is no such measure."))?,
            most: new.most,
        };
        let made = self.accounts.put_limit(&new_only(asked), &wish);
        Ok(limit_reply(&made.map_err(exists)?).created())
    }

    pub(super) fn show_limit(&self, asked: &Asked) -> Result<Reply> {
        Ok(limit_reply(&self.accounts.limit(&asked.actor, &asked.id)?))
    }

    pub(super) fn replace_limit(&self, asked: &Asked) -> Result<Reply> {
        let LimitBody { most } = LimitBody::read(&asked.body)?;
        let known = self.accounts.limit(&asked.actor, &asked.id)?;
        let wish = LimitWish {
            scope: known.value.scope,
            measure: known.value.measure,
            most,
        };
        let act = on_known(asked, known.version);
        Ok(limit_reply(&self.accounts.put_limit(&act, &wish)?))
    }

    pub(super) fn delete_limit(&self, asked: &Asked) -> Result<Reply> {
        self.accounts.delete_limit(&asked.act(), &asked.id)?;
        Ok(Reply::nothing())
    }
}

pub(super) fn scope_of(text: &str) -> Result<Scope> {
    Scope::parse(text).ok_or_else(|| {
        let message = format!(
            "{} is no scope. Write `gateway`, or a kind and a name: `team:…`, `project:…`, `key:…`, `model:…`, \
             `provider:…`.",
            quote(text)
        );
        Error::invalid_value("scope", message)
    })
}

/// An action that must not find what it makes: no object has the version 0.
fn new_only(asked: &Asked) -> Act<'_> {
    asked.act().on_version(0)
}

/// A replacement finds the object by its scope, so it holds on to the version that the id had.
fn on_known(asked: &Asked, version: u64) -> Act<'_> {
    let act = asked.act();
    act.on_version(act.version.unwrap_or(version))
}

fn exists(error: Error) -> Error {
    if error.kind() != Kind::Conflict {
        return error;
    }
    let message = "There is one for this already. Find its id in the list and change it with PUT.";
    Error::new(Kind::Conflict, "conflict", message)
}

fn budget_reply(found: &Versioned<BudgetRule>) -> Reply {
    Reply::json(&budget(found)).of_version(found.version)
}

fn limit_reply(found: &Versioned<LimitRule>) -> Reply {
    Reply::json(&limit(found)).of_version(found.version)
}

fn budget(Versioned { version, value }: &Versioned<BudgetRule>) -> Budget {
    Budget {
        id: value.id.clone(),
        version: *version,
        scope: value.scope.to_string(),
        limit_usd: Amount(value.limit),
        period: value.period.as_str(),
        zone: value.zone.clone(),
        hard: value.hard,
        thresholds: value.thresholds.clone(),
        relief: value.relief.map(|relief| Relief {
            limit_usd: Amount(relief.limit),
            until: Timestamp(relief.until),
        }),
    }
}

fn limit(Versioned { version, value }: &Versioned<LimitRule>) -> Limit {
    Limit {
        id: value.id.clone(),
        version: *version,
        scope: value.scope.to_string(),
        measure: value.measure.as_str(),
        most: value.most,
    }
}
