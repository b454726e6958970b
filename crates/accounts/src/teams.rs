//! Teams and projects.

use tollgate_base::{Result, UnixMillis};
use tollgate_policy::{
    account::{Accounts, Project, Record, RecordKind, Team, Versioned},
    key::Permission,
    scope::Scope,
};

use crate::{
    Act, Actor, Administration, Plan, check, conflict, found,
    input::{NewProject, NewTeam, Patch, ProjectPatch, TeamPatch},
    rules,
};

impl Administration {
    pub fn team(&self, actor: &Actor, id: &str) -> Result<Versioned<Team>> {
        let accounts = self.accounts(actor)?;
        found(&accounts.teams, RecordKind::Team, id).cloned()
    }

    pub fn create_team(&self, act: &Act<'_>, new: &NewTeam) -> Result<Versioned<Team>> {
        act.require(Permission::WriteTeams)?;
        check::name("name", &new.name)?;
        let team = Team {
            id: self.ids.next("team_"),
            name: new.name.clone(),
            created_at: act.at,
            disabled_at: None,
        };
        self.change(act, |_| {
            let plan = Plan::create("team.create", Record::Team(team.clone()));
            Ok((plan, team.clone()))
        })
    }

    pub fn update_team(
        &self,
        act: &Act<'_>,
        id: &str,
        patch: &TeamPatch,
    ) -> Result<Versioned<Team>> {
        act.require(Permission::WriteTeams)?;
        if let Some(name) = &patch.name {
            check::name("name", name)?;
        }
        self.change(act, |accounts| {
            let before = found(&accounts.teams, RecordKind::Team, id)?;
            act.expect(before)?;
            let mut team = before.value.clone();
            team.name = patch.name.clone().unwrap_or(team.name);
            team.disabled_at = switched(team.disabled_at, patch.disabled, act.at);
            let plan = Plan::update("team.update", record(before), Record::Team(team.clone()));
            Ok((plan, team))
        })
    }

    /// Deletes a team that has neither keys nor projects, with its limits and budgets.
    pub fn delete_team(&self, act: &Act<'_>, id: &str) -> Result<()> {
        act.require(Permission::WriteTeams)?;
        self.change(act, |accounts| {
            let team = found(&accounts.teams, RecordKind::Team, id)?;
            act.expect(team)?;
            refuse_when_used(id, accounts)?;
            let also = rules::of(&Scope::Team(id.to_owned()), accounts);
            Ok((Plan::delete("team.delete", record(team), also), ()))
        })
        .map(drop)
    }

    pub fn project(&self, actor: &Actor, id: &str) -> Result<Versioned<Project>> {
        let accounts = self.accounts(actor)?;
        found(&accounts.projects, RecordKind::Project, id).cloned()
    }

    pub fn create_project(&self, act: &Act<'_>, new: &NewProject) -> Result<Versioned<Project>> {
        act.require(Permission::WriteTeams)?;
        check::name("name", &new.name)?;
        let project = Project {
            id: self.ids.next("project_"),
            name: new.name.clone(),
            team_id: new.team_id.clone(),
            created_at: act.at,
            disabled_at: None,
        };
        self.change(act, |accounts| {
            team_exists(project.team_id.as_deref(), accounts)?;
            let plan = Plan::create("project.create", Record::Project(project.clone()));
            Ok((plan, project.clone()))
        })
    }

    pub fn update_project(
        &self,
        act: &Act<'_>,
        id: &str,
        patch: &ProjectPatch,
    ) -> Result<Versioned<Project>> {
        act.require(Permission::WriteTeams)?;
        if let Some(name) = &patch.name {
            check::name("name", name)?;
        }
        self.change(act, |accounts| {
            let before = found(&accounts.projects, RecordKind::Project, id)?;
            act.expect(before)?;
            let mut project = before.value.clone();
            project.name = patch.name.clone().unwrap_or(project.name);
            patch.team_id.clone().apply(&mut project.team_id);
            project.disabled_at = switched(project.disabled_at, patch.disabled, act.at);
            if patch.team_id != Patch::Keep {
                team_exists(project.team_id.as_deref(), accounts)?;
            }
            let after = Record::Project(project.clone());
            let plan = Plan::update("project.update", project_record(before), after);
            Ok((plan, project))
        })
    }

    /// Deletes a project that has no keys, with its limits and budgets.
    pub fn delete_project(&self, act: &Act<'_>, id: &str) -> Result<()> {
        act.require(Permission::WriteTeams)?;
        self.change(act, |accounts| {
            let project = found(&accounts.projects, RecordKind::Project, id)?;
            act.expect(project)?;
            let mut keys = accounts.keys.values();
            if keys.any(|key| key.value.project_id.as_deref() == Some(id)) {
                return Err(conflict(
                    "This project has keys. Delete them or give them another project first.",
                ));
            }
            let also = rules::of(&Scope::Project(id.to_owned()), accounts);
            let plan = Plan::delete("project.delete", project_record(project), also);
            Ok((plan, ()))
        })
        .map(drop)
    }
}

/// When something is out of use, after it was switched or left alone.
fn switched(
    disabled_at: Option<UnixMillis>,
    disabled: Option<bool>,
    now: UnixMillis,
) -> Option<UnixMillis> {
    match disabled {
        None => disabled_at,
        Some(true) => disabled_at.or(Some(now)),
        Some(false) => None,
    }
}

fn refuse_when_used(team_id: &str, accounts: &Accounts) -> Result<()> {
    let is_used_by_keys = accounts
        .keys
        .values()
        .any(|key| key.value.team_id.as_deref() == Some(team_id));
    let is_used_by_projects = accounts
        .projects
        .values()
        .any(|project| project.value.team_id.as_deref() == Some(team_id));
    if is_used_by_keys || is_used_by_projects {
        return Err(conflict(
            "This team has keys or projects. Delete them or give them another team first.",
        ));
    }
    Ok(())
}

fn team_exists(id: Option<&str>, accounts: &Accounts) -> Result<()> {
    match id {
        None => Ok(()),
        Some(id) => found(&accounts.teams, RecordKind::Team, id)
            .map(drop)
            .map_err(|error| error.with_param("team_id")),
    }
}

fn record(team: &Versioned<Team>) -> Versioned<Record> {
    Versioned {
        version: team.version,
        value: Record::Team(team.value.clone()),
    }
}

fn project_record(project: &Versioned<Project>) -> Versioned<Record> {
    Versioned {
        version: project.version,
        value: Record::Project(project.value.clone()),
    }
}
