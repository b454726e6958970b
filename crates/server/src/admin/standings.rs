//! How limits and budgets stand, and what would become of a call.

use std::collections::BTreeSet;

use tollgate_api::{
    Amount, BudgetStanding, LimitStanding, Shaped as _, Standings, Timestamp, WhatIf, WhatIfAnswer,
    WhatIfRefusal,
};
use tollgate_base::{Error, Kind, Result, quote};
use tollgate_policy::{
    account::Accounts,
    admission::{self, Demand, Refusal, RefusedBy},
    key::{Caller, KeyRecord, KeyState, Role},
    scope::Scope,
};

use super::{Desk, asked::Asked, reply::Reply, rules::scope_of};

impl Desk {
    pub(super) fn standings(&self, asked: &Asked) -> Result<Reply> {
        let books = &self.shared.books;
        let rules = books.rules.load();
        let at = self.shared.clock.moment();
        let standings = match asked.parameter("scope") {
            Some(text) => books.admission.standings(&rules, at, &[scope_of(text)?]),
            None => books.admission.all_standings(&rules, at),
        };
        Ok(Reply::json(&Standings {
            at: Timestamp(at.wall),
            limits: standings
                .limits
                .into_iter()
                .map(|it| limit(it, at.wall))
                .collect(),
            budgets: standings.budgets.into_iter().map(budget).collect(),
        }))
    }

    /// Asks the counters as a call would, and takes nothing.
    pub(super) fn what_if(&self, asked: &Asked) -> Result<Reply> {
        let what_if = WhatIf::read(&asked.body)?;
        let snapshot = self.shared.snapshot.load();
        let Some((provider, model)) = snapshot.first_target(&what_if.model) else {
            let message = format!("There is no model {}.", quote(&what_if.model));
            return Err(Error::new(Kind::NotFound, "model_not_found", message).with_param("model"));
        };
        let target = format!("{provider}/{model}");
        let mut scopes = BTreeSet::from([
            Scope::Gateway,
            Scope::Model(what_if.model.clone()),
            Scope::Model(target.clone()),
            Scope::Provider(provider.clone()),
        ]);
        for text in &what_if.scopes {
            scopes.insert(scope_of(text).map_err(|error| error.with_param("scopes"))?);
        }
        let mut answer = WhatIfAnswer {
            admitted: true,
            target,
            most_usd: None,
            price_version: snapshot.price_book().version().to_owned(),
            refused_by: None,
        };
        let mut output_tokens = what_if.output_tokens;
        if let Some(id) = &what_if.key_id {
            let key = self.accounts.key(&asked.actor, id)?.value;
            let accounts = self.accounts.accounts(&asked.actor)?;
            let caller = caller_of(&key, &accounts);
            scopes.insert(Scope::Key(id.clone()));
            scopes.extend(caller.team_id.clone().map(Scope::Team));
            scopes.extend(caller.project_id.clone().map(Scope::Project));
            output_tokens = output_tokens.min(caller.scopes.max_output_tokens.unwrap_or(u64::MAX));
            let may = self.may_call(&key, &accounts, &caller, &[&what_if.model, &answer.target]);
            answer.refuse(may.err().map(|error| by_nobody(&error)));
        }
        let money = match snapshot.most(&provider, &model, what_if.input_tokens, output_tokens) {
            Ok(money) => money,
            Err(error) => {
                answer.refuse(Some(by_nobody(&error)));
                None
            }
        };
        answer.most_usd = money.map(Amount);
        let scopes = scopes.into_iter().collect::<Vec<_>>();
        let demand = Demand {
            scopes: scopes.into(),
            counts: true,
            input_tokens: what_if.input_tokens,
            output_tokens,
            money,
        };
        let books = &self.shared.books;
        let at = self.shared.clock.moment();
        if let Err(refusal) = books.admission.check(&books.rules.load(), at, &demand) {
            answer.refuse(Some(by_rule(&refusal, at.wall)));
        }
        Ok(Reply::json(&answer))
    }

    /// Whether the key could make the call at all.
    fn may_call(
        &self,
        key: &KeyRecord,
        accounts: &Accounts,
        caller: &Caller,
        names: &[&str],
    ) -> Result<()> {
        if key.role != Role::Model {
            let message = "This key administers and calls no models.";
            return Err(Error::new(Kind::Permission, "route_not_allowed", message));
        }
        let now = self.shared.clock.now();
        let is_disabled = accounts.disabled_at(key).is_some_and(|at| at <= now);
        let code = match key.state(now) {
            KeyState::Active if is_disabled => Some("key_disabled"),
            KeyState::Active => None,
            KeyState::Disabled => Some("key_disabled"),
            KeyState::Expired => Some("key_expired"),
            KeyState::Revoked => Some("key_revoked"),
        };
        if let Some(code) = code {
            let message = "This key is out of use, or its team or project is.";
            return Err(Error::new(Kind::Authentication, code, message));
        }
        if caller.may_ask(names) {
            return Ok(());
        }
        Err(caller.model_refused(names.first().copied().unwrap_or_default()))
    }
}

fn caller_of(key: &KeyRecord, accounts: &Accounts) -> Caller {
    Caller {
        key_id: key.id.clone(),
        role: key.role,
        admin_role: key.admin_role,
        project_id: key.project_id.clone(),
        team_id: accounts.team_id_of(key).map(str::to_owned),
        scopes: key.scopes.clone(),
    }
}

/// Keeps the first thing that stands in the way.
trait Refuse {
    fn refuse(&mut self, by: Option<WhatIfRefusal>);
}

impl Refuse for WhatIfAnswer {
    fn refuse(&mut self, by: Option<WhatIfRefusal>) {
        if by.is_some() && self.refused_by.is_none() {
            self.admitted = false;
            self.refused_by = by;
        }
    }
}

fn by_nobody(error: &Error) -> WhatIfRefusal {
    WhatIfRefusal {
        rule: String::new(),
        scope: String::new(),
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        retry_at: None,
    }
}

fn by_rule(refusal: &Refusal, now: tollgate_base::UnixMillis) -> WhatIfRefusal {
    let rule = match &refusal.rule {
        RefusedBy::Limit { standing, .. } => &standing.id,
        RefusedBy::Budget { standing, .. } => &standing.id,
    };
    let until = match &refusal.rule {
        RefusedBy::Budget { standing, .. } => standing.until,
        RefusedBy::Limit { .. } => refusal.retry_after().map(|wait| now.plus(wait)),
    };
    let error = refusal.to_error();
    WhatIfRefusal {
        rule: rule.clone(),
        scope: refusal.scope().to_string(),
        retry_at: until.map(Timestamp),
        ..by_nobody(&error)
    }
}

fn limit(it: admission::LimitStanding, now: tollgate_base::UnixMillis) -> LimitStanding {
    LimitStanding {
        id: it.id,
        scope: it.scope.to_string(),
        measure: it.measure.as_str(),
        most: it.most,
        used: it.used,
        held: it.held,
        remaining: it.remaining,
        frees_at: (!it.resets_in.is_zero()).then(|| Timestamp(now.plus(it.resets_in))),
    }
}

fn budget(it: admission::BudgetStanding) -> BudgetStanding {
    BudgetStanding {
        id: it.id,
        scope: it.scope.to_string(),
        period: it.period.as_str(),
        hard: it.hard,
        limit_usd: Amount(it.limit),
        posted_usd: Amount(it.posted),
        held_usd: Amount(it.held),
        doubtful_usd: Amount(it.doubtful),
        remaining_usd: Amount(it.remaining),
        from: Timestamp(it.from),
        until: it.until.map(Timestamp),
    }
}
