//! The data folder as those see it who administer it from the command line: the accounts with their rules, and
//! names in the place of ids. A running service sees a change within a second; none need run.

use std::{collections::BTreeMap, sync::Arc};

use tollgate_accounts::{Act, Actor, Administration};
use tollgate_base::{Clock as _, Error, Kind, Result, SystemClock, UnixMillis, quote};
use tollgate_config::Config;
use tollgate_policy::{
    account::{Accounts, RecordKind, Versioned},
    admission::is_zone,
    scope::Scope,
};
use tollgate_store::{OpenError, SqliteStore};

use crate::{Exit, settings::Options, terminal::say};

/// Everything that a subcommand needs to administer.
pub(crate) struct Desk {
    pub(crate) config: Config,
    pub(crate) books: Administration,
    pub(crate) actor: Actor,
    clock: SystemClock,
}

/// Whether a data folder that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folder {
    Make,
    /// A look at what is not there is a mistyped name more often than not.
    Expect,
}

/// Opens the data folder and does something there; what goes wrong is said.
pub(crate) fn at_desk(
    options: &Options,
    folder: Folder,
    work: impl FnOnce(&Desk) -> Result<Exit>,
) -> Exit {
    match Desk::open(options, folder) {
        Ok(desk) => work(&desk).unwrap_or_else(|error| complain(&error)),
        Err(exit) => exit,
    }
}

/// Says what went wrong. Arguments that are wrong have an exit code of their own.
pub(crate) fn complain(error: &Error) -> Exit {
    say(error.message());
    match error.kind() {
        Kind::InvalidRequest => Exit::Usage,
        _ => Exit::Failure,
    }
}

impl Desk {
    fn open(options: &Options, folder: Folder) -> Result<Self, Exit> {
        let config = options.load(None)?.config;
        if folder == Folder::Expect {
            expect(&config).map_err(|error| complain(&error))?;
        }
        let store = SqliteStore::open(&config.data_dir).map_err(|error| refused(&error))?;
        Ok(Self {
            config,
            books: Administration::new(Arc::new(store), is_zone),
            actor: Actor::local("command line"),
            clock: SystemClock,
        })
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// An action of this moment.
    pub(crate) fn act(&self) -> Act<'_> {
        Act::new(&self.actor, self.now())
    }

    pub(crate) fn accounts(&self) -> Result<Accounts> {
        self.books.accounts(&self.actor)
    }

    /// Reads a scope, in which names may stand for ids.
    pub(crate) fn scope(&self, text: &str) -> Result<Scope> {
        let scope = Scope::parse(text).ok_or_else(|| {
            let message = format!(
                "{} is no scope. Write `gateway`, `team:NAME`, `project:NAME`, `key:NAME`, `model:NAME` or \
                 `provider:NAME`.",
                quote(text)
            );
            Error::invalid_value("scope", message)
        })?;
        let accounts = self.accounts()?;
        Ok(match scope {
            Scope::Key(name) => Scope::Key(key_id(&accounts, &name)?),
            Scope::Team(name) => Scope::Team(team_id(&accounts, &name)?),
            Scope::Project(name) => Scope::Project(project_id(&accounts, &name)?),
            Scope::Gateway | Scope::Model(_) | Scope::Provider(_) => scope,
        })
    }
}

/// Refuses a data folder in which nothing was ever kept.
pub(crate) fn expect(config: &Config) -> Result<()> {
    let path = config.data_dir.join(SqliteStore::FILE);
    if path.is_file() {
        return Ok(());
    }
    let message = format!(
        "There is no {} yet. Start the service once, or name its data folder with --data.",
        path.display()
    );
    Err(Error::new(Kind::NotFound, "not_found", message))
}

pub(crate) fn refused(error: &OpenError) -> Exit {
    say(&error.to_string());
    match error {
        OpenError::Newer(_) => Exit::DataVersion,
        OpenError::Unusable(_) | OpenError::Damaged(_) => Exit::Failure,
    }
}

/// The id of a key that is named by its id, its name or the beginning of its id.
pub(crate) fn key_id(accounts: &Accounts, text: &str) -> Result<String> {
    find(RecordKind::Key, &accounts.keys, |key| &key.name, text)
}

pub(crate) fn team_id(accounts: &Accounts, text: &str) -> Result<String> {
    find(RecordKind::Team, &accounts.teams, |team| &team.name, text)
}

pub(crate) fn project_id(accounts: &Accounts, text: &str) -> Result<String> {
    find(RecordKind::Project, &accounts.projects, |it| &it.name, text)
}

/// The one id that `text` stands for: an id, a name that only one has, or the beginning of one id alone.
pub(crate) fn find<T>(
    kind: RecordKind,
    of: &BTreeMap<String, Versioned<T>>,
    name: impl Fn(&T) -> &str,
    text: &str,
) -> Result<String> {
    if of.contains_key(text) {
        return Ok(text.to_owned());
    }
    let named: Vec<_> = of
        .iter()
        .filter(|(_, it)| name(&it.value) == text)
        .map(|(id, _)| id)
        .collect();
    let found = if named.is_empty() && !text.is_empty() {
        of.keys()
            .filter(|id| {
                id.starts_with(text)
                    || id
                        .split_once('_')
                        .is_some_and(|(_, end)| end.starts_with(text))
            })
            .collect()
    } else {
        named
    };
    let word = kind.as_str();
    match found.as_slice() {
        [id] => Ok((*id).clone()),
        [] => {
            let message = format!(
                "There is no {word} {}. `tollgate {word}s list` shows them.",
                quote(text)
            );
            Err(Error::new(Kind::NotFound, "not_found", message))
        }
        many => {
            let ids: Vec<&str> = many.iter().take(8).map(|id| id.as_str()).collect();
            let message = format!(
                "{} stands for several: {}. Write the id.",
                quote(text),
                ids.join(", ")
            );
            Err(Error::new(Kind::Conflict, "conflict", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_policy::account::{Record, Team};

    fn accounts() -> Accounts {
        let mut accounts = Accounts::default();
        for (id, name) in [
            ("team_ab1", "search"),
            ("team_ab2", "ads"),
            ("team_c", "ads"),
            ("team_d", "team_c"),
        ] {
            accounts.put(
                1,
                Record::Team(Team {
                    id: id.to_owned(),
                    name: name.to_owned(),
                    created_at: UnixMillis(0),
                    disabled_at: None,
                }),
            );
        }
        accounts
    }

    #[test]
    fn an_id_wins_then_a_name_then_the_beginning_of_an_id() {
        let accounts = accounts();
        for (text, id) in [
            ("search", "team_ab1"),
            ("team_c", "team_c"),
            ("ab2", "team_ab2"),
            ("team_d", "team_d"),
        ] {
            assert_eq!(team_id(&accounts, text).unwrap(), id);
        }
        for (text, says) in [
            ("ads", "team_ab2, team_c"),
            ("team_ab", "team_ab1, team_ab2"),
            ("x", "no team `x`"),
            ("", "no team"),
        ] {
            let error = team_id(&accounts, text).unwrap_err();
            assert!(error.message().contains(says), "{text}: {error}");
        }
    }
}
