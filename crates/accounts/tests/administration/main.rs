//! What administrators may change, and what comes of it, against the store in memory.
#![expect(clippy::unwrap_used, reason = "tests say what went wrong by panicking")]

mod keys;
mod refusals;
mod roles;
mod rules;

use std::sync::Arc;

use tollgate_accounts::{
    Act, Actor, Administration, MintedKey, NewBudget, NewKey, NewProject, NewTeam,
};
use tollgate_base::{Error, Money, UnixMillis};
use tollgate_policy::key::Role;
use tollgate_policy::rules::Period;
use tollgate_policy::scope::Scope;
use tollgate_store::MemoryStore;

const NOW: UnixMillis = UnixMillis(1_000_000);

struct Desk {
    desk: Administration,
    owner: Actor,
}

fn desk() -> Desk {
    let is_zone = |zone: &str| matches!(zone, "UTC" | "Europe/Berlin");
    Desk {
        desk: Administration::new(Arc::new(MemoryStore::default()), is_zone),
        owner: Actor::local("command line"),
    }
}

impl Desk {
    fn act(&self) -> Act<'_> {
        Act::new(&self.owner, NOW)
    }

    fn key(&self) -> MintedKey {
        let new = NewKey::named("a key", Role::Model);
        self.desk.create_key(&self.act(), &new).unwrap()
    }

    fn team(&self) -> String {
        let new = NewTeam {
            name: "a team".to_owned(),
        };
        self.desk.create_team(&self.act(), &new).unwrap().value.id
    }

    fn project(&self, team_id: Option<&str>) -> String {
        let new = NewProject {
            name: "a project".to_owned(),
            team_id: team_id.map(str::to_owned),
        };
        let project = self.desk.create_project(&self.act(), &new);
        project.unwrap().value.id
    }

    /// What the call path says to a key's text at a time.
    fn call(&self, token: &str, now: UnixMillis) -> String {
        let ring = self.desk.snapshot().unwrap().keys;
        match ring.check(token, Role::Model, now) {
            Ok(caller) => caller.key_id.clone(),
            Err(error) => error.code().to_owned(),
        }
    }
}

fn budget(scope: Scope, dollars: &str) -> NewBudget {
    NewBudget {
        scope,
        limit: Money::parse(dollars).unwrap(),
        period: Period::Month,
        zone: None,
        hard: true,
        thresholds: vec![100, 80, 80],
    }
}

fn code<T>(result: Result<T, Error>) -> String {
    result.map_or_else(|error| error.code().to_owned(), |_| "done".to_owned())
}
