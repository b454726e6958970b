//! `tollgate teams`: people who work together and share budgets.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use tollgate_accounts::{NewTeam, TeamPatch};
use tollgate_base::{Error, Result};
use tollgate_policy::account::{Accounts, Record, Team};

use crate::{
    Exit,
    desk::{Desk, Folder, at_desk, team_id},
    settings::Options,
    shown,
    table::{plain, table},
    terminal::{data, say},
    time,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a team and print its id.
    Create {
        name: String,
        #[command(flatten)]
        options: Options,
    },
    /// List the teams.
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Show a team.
    Show {
        #[command(flatten)]
        team: Named,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a team.
    Update {
        #[command(flatten)]
        team: Named,
        #[arg(long)]
        name: Option<String>,
        /// Put the keys of the team out of use
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Put them to use again
        #[arg(long)]
        enable: bool,
    },
    /// Delete a team that has neither keys nor projects, with its limits and budgets.
    Delete(Named),
}

#[derive(Debug, Args)]
struct Named {
    /// The team's id, its name, or the beginning of its id
    #[arg(value_name = "TEAM")]
    team: String,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match &arguments.action {
        Action::Create { name, options } => at_desk(options, Folder::Make, |desk| {
            let name = name.clone();
            let team = desk
                .books
                .create_team(&desk.act(), &NewTeam { name })?
                .value;
            data(&team.id);
            say(&format!("Made team {}.", plain(&team.name)));
            Ok(Exit::Success)
        }),
        Action::List { json, options } => {
            at_desk(options, Folder::Expect, |desk| list(desk, *json))
        }
        Action::Show { team, json } => team.with(|desk, id| {
            let team = desk.books.team(&desk.actor, id)?;
            shown::print(object(&team.value), *json);
            Ok(Exit::Success)
        }),
        Action::Update {
            team,
            name,
            disable,
            enable,
        } => team.with(|desk, id| {
            let patch = TeamPatch {
                name: name.clone(),
                disabled: switch(*disable, *enable),
            };
            if patch == TeamPatch::default() {
                let message = "Nothing to change was named: --name, --disable or --enable.";
                return Err(Error::invalid_value("update", message));
            }
            let team = desk.books.update_team(&desk.act(), id, &patch)?.value;
            say(&format!("Changed {} ({}).", team.id, plain(&team.name)));
            Ok(Exit::Success)
        }),
        Action::Delete(team) => team.with(|desk, id| {
            desk.books.delete_team(&desk.act(), id)?;
            say(&format!("Deleted {id} with its limits and budgets."));
            Ok(Exit::Success)
        }),
    }
}

impl Named {
    fn with(&self, work: impl FnOnce(&Desk, &str) -> Result<Exit>) -> Exit {
        at_desk(&self.options, Folder::Expect, |desk| {
            work(desk, &team_id(&desk.accounts()?, &self.team)?)
        })
    }
}

/// Whether something is to be put out of use; `None` leaves it as it is.
pub(super) fn switch(disable: bool, enable: bool) -> Option<bool> {
    match (disable, enable) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        (false, false) => None,
    }
}

fn list(desk: &Desk, json: bool) -> Result<Exit> {
    let accounts = desk.accounts()?;
    let teams = accounts.teams.values().map(|team| &team.value);
    if json {
        shown::print_all(teams.map(object).collect());
        return Ok(Exit::Success);
    }
    let rows: Vec<_> = teams.map(|team| row(&accounts, team)).collect();
    data(&table(
        &["id", "name", "projects", "keys", "disabled"],
        &rows,
    ));
    Ok(Exit::Success)
}

fn row(accounts: &Accounts, team: &Team) -> Vec<String> {
    let id = Some(team.id.as_str());
    let projects = accounts
        .projects
        .values()
        .filter(|it| it.value.team_id.as_deref() == id);
    let keys = accounts
        .keys
        .values()
        .filter(|key| accounts.team_id_of(&key.value) == id);
    vec![
        team.id.clone(),
        plain(&team.name),
        projects.count().to_string(),
        keys.count().to_string(),
        time::shown_or_not(team.disabled_at),
    ]
}

fn object(team: &Team) -> Map<String, Value> {
    shown::object(&Record::Team(team.clone()))
}
