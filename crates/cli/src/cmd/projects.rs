//! `tollgate projects`: what keys are made for. A project may belong to a team.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use tollgate_accounts::{NewProject, Patch, ProjectPatch};
use tollgate_base::{Error, Result};
use tollgate_policy::account::{Accounts, Project, Record};

use super::teams::switch;
use crate::{
    Exit,
    desk::{Desk, Folder, at_desk, project_id, team_id},
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
    /// Make a project and print its id.
    Create {
        name: String,
        /// The team that it belongs to
        #[arg(long)]
        team: Option<String>,
        #[command(flatten)]
        options: Options,
    },
    /// List the projects.
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Show a project.
    Show {
        #[command(flatten)]
        project: Named,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a project.
    Update(Update),
    /// Delete a project that has no keys, with its limits and budgets.
    Delete(Named),
}

#[derive(Debug, Args)]
struct Update {
    #[command(flatten)]
    project: Named,
    #[arg(long)]
    name: Option<String>,
    /// Give it to a team
    #[arg(long)]
    team: Option<String>,
    /// Take it from its team
    #[arg(long, conflicts_with = "team")]
    no_team: bool,
    /// Put the keys of the project out of use
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Put them to use again
    #[arg(long)]
    enable: bool,
}

#[derive(Debug, Args)]
struct Named {
    /// The project's id, its name, or the beginning of its id
    #[arg(value_name = "PROJECT")]
    project: String,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match &arguments.action {
        Action::Create {
            name,
            team,
            options,
        } => at_desk(options, Folder::Make, |desk| {
            create(desk, name, team.as_deref())
        }),
        Action::List { json, options } => {
            at_desk(options, Folder::Expect, |desk| list(desk, *json))
        }
        Action::Show { project, json } => project.with(|desk, id| {
            let project = desk.books.project(&desk.actor, id)?;
            shown::print(object(&project.value), *json);
            Ok(Exit::Success)
        }),
        Action::Update(update) => update.project.with(|desk, id| update.run(desk, id)),
        Action::Delete(project) => project.with(|desk, id| {
            desk.books.delete_project(&desk.act(), id)?;
            say(&format!("Deleted {id} with its limits and budgets."));
            Ok(Exit::Success)
        }),
    }
}

impl Named {
    fn with(&self, work: impl FnOnce(&Desk, &str) -> Result<Exit>) -> Exit {
        at_desk(&self.options, Folder::Expect, |desk| {
            work(desk, &project_id(&desk.accounts()?, &self.project)?)
        })
    }
}

fn create(desk: &Desk, name: &str, team: Option<&str>) -> Result<Exit> {
    let accounts = desk.accounts()?;
    let new = NewProject {
        name: name.to_owned(),
        team_id: team.map(|team| team_id(&accounts, team)).transpose()?,
    };
    let project = desk.books.create_project(&desk.act(), &new)?.value;
    data(&project.id);
    say(&format!("Made project {}.", plain(&project.name)));
    Ok(Exit::Success)
}

impl Update {
    fn run(&self, desk: &Desk, id: &str) -> Result<Exit> {
        let accounts = desk.accounts()?;
        let patch = ProjectPatch {
            name: self.name.clone(),
            team_id: match &self.team {
                Some(team) => Patch::Set(team_id(&accounts, team)?),
                None if self.no_team => Patch::Clear,
                None => Patch::Keep,
            },
            disabled: switch(self.disable, self.enable),
        };
        if patch == ProjectPatch::default() {
            let message =
                "Nothing to change was named: --name, --team, --no-team, --disable or --enable.";
            return Err(Error::invalid_value("update", message));
        }
        let project = desk.books.update_project(&desk.act(), id, &patch)?.value;
        say(&format!(
            "Changed {} ({}).",
            project.id,
            plain(&project.name)
        ));
        Ok(Exit::Success)
    }
}

fn list(desk: &Desk, json: bool) -> Result<Exit> {
    let accounts = desk.accounts()?;
    let projects = accounts.projects.values().map(|project| &project.value);
    if json {
        shown::print_all(projects.map(object).collect());
        return Ok(Exit::Success);
    }
    let rows: Vec<_> = projects.map(|project| row(&accounts, project)).collect();
    data(&table(&["id", "name", "team", "keys", "disabled"], &rows));
    Ok(Exit::Success)
}

fn row(accounts: &Accounts, project: &Project) -> Vec<String> {
    let id = Some(project.id.as_str());
    let team = project
        .team_id
        .as_ref()
        .and_then(|id| accounts.teams.get(id));
    let keys = accounts
        .keys
        .values()
        .filter(|key| key.value.project_id.as_deref() == id);
    vec![
        project.id.clone(),
        plain(&project.name),
        team.map(|team| plain(&team.value.name)).unwrap_or_default(),
        keys.count().to_string(),
        time::shown_or_not(project.disabled_at),
    ]
}

fn object(project: &Project) -> Map<String, Value> {
    shown::object(&Record::Project(project.clone()))
}
