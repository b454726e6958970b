//! Teams and projects.

use serde::{Deserialize, Serialize};

use crate::{
    Change, Shaped, Timestamp,
    schema::{Field, Kind, Shape, nullable, optional, required},
};

#[derive(Clone, Debug, Serialize)]
pub struct Team {
    pub id: String,
    pub version: u64,
    pub name: String,
    pub created_at: Timestamp,
    pub disabled_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Project {
    pub id: String,
    pub version: u64,
    pub name: String,
    pub team_id: Option<String>,
    pub created_at: Timestamp,
    pub disabled_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTeam {
    pub name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TeamPatch {
    pub name: Option<String>,
    pub disabled: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    pub name: String,
    #[serde(default)]
    pub team_id: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectPatch {
    pub name: Option<String>,
    pub team_id: Change<String>,
    pub disabled: Option<bool>,
}

const NAME: Field = required(
    "name",
    Kind::Text,
    "What to call it: one line of at most 256 bytes.",
);
const VERSION: Field = required(
    "version",
    Kind::Whole(0, u64::MAX),
    "Changes with every change; the `ETag` is this number in quotes.",
);
const CREATED: Field = required("created_at", Kind::Time, "When it was made.");
const DISABLED_AT: Field = nullable(
    "disabled_at",
    Kind::Time,
    "Since when its keys are out of use.",
);
const DISABLED: Field = optional(
    "disabled",
    Kind::Bool,
    "Whether its keys are out of use for the time being.",
);
const TEAM_ID: Field = nullable("team_id", Kind::Text, "The team that it belongs to.");

pub(crate) static TEAM: Shape = Shape {
    name: "Team",
    doc: "People who work together and share budgets.",
    fields: &[
        required("id", Kind::Text, "Its id, `team_…`."),
        VERSION,
        NAME,
        CREATED,
        DISABLED_AT,
    ],
    about: None,
};

pub(crate) static PROJECT: Shape = Shape {
    name: "Project",
    doc: "What keys are made for.",
    fields: &[
        required("id", Kind::Text, "Its id, `project_…`."),
        VERSION,
        NAME,
        TEAM_ID,
        CREATED,
        DISABLED_AT,
    ],
    about: None,
};

pub(crate) static TEAMS: Shape = Shape {
    name: "TeamList",
    doc: "Teams, by id.",
    fields: &[
        required("data", Kind::List(&TEAM), "The teams of this page."),
        crate::NEXT,
    ],
    about: None,
};

pub(crate) static PROJECTS: Shape = Shape {
    name: "ProjectList",
    doc: "Projects, by id.",
    fields: &[
        required("data", Kind::List(&PROJECT), "The projects of this page."),
        crate::NEXT,
    ],
    about: None,
};

pub(crate) static NEW_TEAM: Shape = Shape {
    name: "NewTeam",
    doc: "A team to be made.",
    fields: &[NAME],
    about: Some(&TEAM),
};

pub(crate) static TEAM_PATCH: Shape = Shape {
    name: "TeamPatch",
    doc: "What is to change of a team. What is left out stays as it is.",
    fields: &[NAME.optional(), DISABLED],
    about: Some(&TEAM),
};

pub(crate) static NEW_PROJECT: Shape = Shape {
    name: "NewProject",
    doc: "A project to be made.",
    fields: &[NAME, TEAM_ID],
    about: Some(&PROJECT),
};

pub(crate) static PROJECT_PATCH: Shape = Shape {
    name: "ProjectPatch",
    doc: "What is to change of a project. What is left out stays as it is, null clears.",
    fields: &[NAME.optional(), TEAM_ID, DISABLED],
    about: Some(&PROJECT),
};

impl Shaped for NewTeam {
    const SHAPE: &'static Shape = &NEW_TEAM;
}
impl Shaped for TeamPatch {
    const SHAPE: &'static Shape = &TEAM_PATCH;
}
impl Shaped for NewProject {
    const SHAPE: &'static Shape = &NEW_PROJECT;
}
impl Shaped for ProjectPatch {
    const SHAPE: &'static Shape = &PROJECT_PATCH;
}
