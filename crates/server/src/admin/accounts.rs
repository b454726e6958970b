//! Teams and projects.

use tollgate_accounts::{
    NewProject as ProjectWish, NewTeam as TeamWish, ProjectPatch as ProjectChange,
    TeamPatch as TeamChange,
};
use tollgate_api::{
    NewProject, NewTeam, Project, ProjectPatch, Shaped as _, Team, TeamPatch, Timestamp,
};
use tollgate_base::Result;
use tollgate_policy::account::{self, Versioned};

use super::{
    Desk,
    asked::Asked,
    reply::{Reply, page},
};

impl Desk {
    pub(super) fn list_teams(&self, asked: &Asked) -> Result<Reply> {
        let teams = self.accounts.accounts(&asked.actor)?.teams;
        let (after, size) = (asked.parameter("after"), asked.page_size());
        Ok(Reply::json(&page(teams.iter(), after, size, team)))
    }

    pub(super) fn create_team(&self, asked: &Asked) -> Result<Reply> {
        let NewTeam { name } = NewTeam::read(&asked.body)?;
        let made = self
            .accounts
            .create_team(&asked.act(), &TeamWish { name })?;
        Ok(team_reply(&made).created())
    }

    pub(super) fn show_team(&self, asked: &Asked) -> Result<Reply> {
        Ok(team_reply(&self.accounts.team(&asked.actor, &asked.id)?))
    }

    pub(super) fn change_team(&self, asked: &Asked) -> Result<Reply> {
        let TeamPatch { name, disabled } = TeamPatch::read(&asked.body)?;
        let change = TeamChange { name, disabled };
        let changed = self
            .accounts
            .update_team(&asked.act(), &asked.id, &change)?;
        Ok(team_reply(&changed))
    }

    pub(super) fn delete_team(&self, asked: &Asked) -> Result<Reply> {
        self.accounts.delete_team(&asked.act(), &asked.id)?;
        Ok(Reply::nothing())
    }

    pub(super) fn list_projects(&self, asked: &Asked) -> Result<Reply> {
        let projects = self.accounts.accounts(&asked.actor)?.projects;
        let (after, size) = (asked.parameter("after"), asked.page_size());
        Ok(Reply::json(&page(projects.iter(), after, size, project)))
    }

    pub(super) fn create_project(&self, asked: &Asked) -> Result<Reply> {
        let NewProject { name, team_id } = NewProject::read(&asked.body)?;
        let wish = ProjectWish { name, team_id };
        let made = self.accounts.create_project(&asked.act(), &wish)?;
        Ok(project_reply(&made).created())
    }

    pub(super) fn show_project(&self, asked: &Asked) -> Result<Reply> {
        let found = self.accounts.project(&asked.actor, &asked.id)?;
        Ok(project_reply(&found))
    }

    pub(super) fn change_project(&self, asked: &Asked) -> Result<Reply> {
        let patch = ProjectPatch::read(&asked.body)?;
        let change = ProjectChange {
            name: patch.name,
            team_id: super::said(patch.team_id),
            disabled: patch.disabled,
        };
        let changed = self
            .accounts
            .update_project(&asked.act(), &asked.id, &change)?;
        Ok(project_reply(&changed))
    }

    pub(super) fn delete_project(&self, asked: &Asked) -> Result<Reply> {
        self.accounts.delete_project(&asked.act(), &asked.id)?;
        Ok(Reply::nothing())
    }
}

fn team_reply(found: &Versioned<account::Team>) -> Reply {
    Reply::json(&team(found)).of_version(found.version)
}

fn project_reply(found: &Versioned<account::Project>) -> Reply {
    Reply::json(&project(found)).of_version(found.version)
}

fn team(Versioned { version, value }: &Versioned<account::Team>) -> Team {
    Team {
        id: value.id.clone(),
        version: *version,
        name: value.name.clone(),
        created_at: Timestamp(value.created_at),
        disabled_at: value.disabled_at.map(Timestamp),
    }
}

fn project(Versioned { version, value }: &Versioned<account::Project>) -> Project {
    Project {
        id: value.id.clone(),
        version: *version,
        name: value.name.clone(),
        team_id: value.team_id.clone(),
        created_at: Timestamp(value.created_at),
        disabled_at: value.disabled_at.map(Timestamp),
    }
}
