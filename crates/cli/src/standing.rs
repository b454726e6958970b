//! How budgets stand, computed from the ledger the way the service does at its start: what is booked in the present
//! window, and what open attempts hold.

use std::sync::Arc;

use tollgate_base::{Clock as _, Moment, Result, SystemClock};
use tollgate_policy::{
    account::Accounts,
    admission::{Admission, Demand, Held, Refusal, Rules, Standings},
    ledger::{AttemptFilter, AttemptState, LedgerStore as _, Opening},
    scope::Scope,
};

use crate::{cmd::serve::books, desk::Desk, ledger::Reading};

/// Budgets and limits with their counters, of this moment.
pub(crate) struct Standing {
    rules: Arc<Rules>,
    admission: Admission,
    at: Moment,
    /// What open attempts hold: it is given back when this is dropped.
    _held: Vec<Held>,
}

impl Standing {
    pub(crate) fn of(desk: &Desk, accounts: &Accounts, ledger: &Reading) -> Result<Self> {
        let rules = Arc::new(books::rules(&desk.config, accounts)?);
        let at = SystemClock.moment();
        let admission = Admission::default();
        admission
            .begin(&rules, at)
            .finish(|scope, borders| ledger.store.figures(scope, borders))?;
        // A hold counts against budgets alone: how many calls run at once, only the service knows.
        let budgets = desk.config.budgets.iter().cloned();
        let own = accounts.budgets.values().map(|budget| budget.value.clone());
        let budgets = Rules::new(Vec::new(), budgets.chain(own).collect())?;
        let mut held = Vec::new();
        for state in [AttemptState::Held, AttemptState::Dispatched] {
            let filter = AttemptFilter {
                state: Some(state),
                ..AttemptFilter::default()
            };
            ledger.each(&filter, |listed| {
                let opening = &listed.attempt.opening;
                let demand = Demand {
                    scopes: scopes(opening).into(),
                    counts: false,
                    input_tokens: 0,
                    output_tokens: 0,
                    money: opening.held,
                };
                let admitted = Moment {
                    wall: opening.at,
                    ..at
                };
                // What does not fit any more was admitted under a larger budget; the budget is used up then anyway.
                held.extend(admission.admit(&budgets, admitted, &demand));
                Ok(())
            })?;
        }
        Ok(Self {
            rules,
            admission,
            at,
            _held: held,
        })
    }

    pub(crate) fn all(&self) -> Standings {
        self.admission.all_standings(&self.rules, self.at)
    }

    /// Whether a call would be admitted now.
    pub(crate) fn check(&self, demand: &Demand) -> Result<(), Box<Refusal>> {
        self.admission.check(&self.rules, self.at, demand)
    }
}

/// Every circle that an attempt lies in.
fn scopes(opening: &Opening) -> Vec<Scope> {
    let owners = [
        Some(Scope::Gateway),
        Some(Scope::Key(opening.key_id.clone())),
        opening.project_id.clone().map(Scope::Project),
        opening.team_id.clone().map(Scope::Team),
    ];
    let target = format!("{}/{}", opening.provider, opening.model);
    let things = [
        Scope::Model(opening.route.clone()),
        Scope::Model(target),
        Scope::Provider(opening.provider.clone()),
    ];
    owners.into_iter().flatten().chain(things).collect()
}
