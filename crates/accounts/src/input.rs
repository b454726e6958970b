//! What administrators ask for, before it is checked. How it is written in JSON or in arguments is known to those
//! who read it.

use tollgate_base::{Money, UnixMillis};
use tollgate_policy::{
    key::{AdminRole, KeyState, Role},
    rules::{Measure, Period},
    scope::Scope,
};

/// What becomes of a field that may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    pub name: String,
    pub role: Role,
    /// Needed for an admin key, and for no other.
    pub admin_role: Option<AdminRole>,
    pub owner: Option<String>,
    /// At most one of the two: a project brings its team.
    pub project_id: Option<String>,
    pub team_id: Option<String>,
    pub scopes: ScopesInput,
    pub expires_at: Option<UnixMillis>,
}

/// Scopes as they are written. An empty list restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopesInput {
    pub models: Vec<String>,
    pub operations: Vec<String>,
    pub sources: Vec<String>,
    pub strict: bool,
    pub max_output_tokens: Option<u64>,
}

/// What is to change of a key. Its role stays for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPatch {
    pub name: Option<String>,
    pub admin_role: Option<AdminRole>,
    pub owner: Patch<String>,
    pub project_id: Patch<String>,
    pub team_id: Patch<String>,
    pub models: Option<Vec<String>>,
    pub operations: Option<Vec<String>>,
    pub sources: Option<Vec<String>>,
    pub strict: Option<bool>,
    pub max_output_tokens: Patch<u64>,
    pub expires_at: Patch<UnixMillis>,
}

/// Which keys are listed. What is `None` is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    pub role: Option<Role>,
    pub state: Option<KeyState>,
    pub project_id: Option<String>,
    /// The team that keys count for.
    pub team_id: Option<String>,
    /// Text that the id, the name or the owner holds, as it is written, in any case.
    pub search: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTeam {
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeamPatch {
    pub name: Option<String>,
    /// Whether the team's keys are out of use.
    pub disabled: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProject {
    pub name: String,
    pub team_id: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectPatch {
    pub name: Option<String>,
    pub team_id: Patch<String>,
    /// Whether the project's keys are out of use.
    pub disabled: Option<bool>,
}

/// A budget. There is one for each scope and period; a second replaces the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBudget {
    pub scope: Scope,
    /// 0 blocks. For no bound there is no budget.
    pub limit: Money,
    pub period: Period,
    /// `UTC` when not said.
    pub zone: Option<String>,
    pub hard: bool,
    /// Percent of the limit.
    pub thresholds: Vec<u8>,
}

/// A limit. There is one for each scope and measure; a second replaces the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLimit {
    pub scope: Scope,
    pub measure: Measure,
    /// 0 blocks.
    pub most: u64,
}

// === impl Patch ===

impl<T> Patch<T> {
    /// The field after the change.
    pub(crate) fn apply(self, field: &mut Option<T>) {
        match self {
            Patch::Keep => {}
            Patch::Clear => *field = None,
            Patch::Set(value) => *field = Some(value),
        }
    }
}

impl<T> From<Option<T>> for Patch<T> {
    /// `None` clears the field.
    fn from(value: Option<T>) -> Self {
        value.map_or(Patch::Clear, Patch::Set)
    }
}

// === impl NewKey ===

impl NewKey {
    /// A key without restrictions. An admin key is an owner's.
    pub fn named(name: impl Into<String>, role: Role) -> Self {
        Self {
            name: name.into(),
            role,
            admin_role: (role == Role::Admin).then_some(AdminRole::Owner),
            owner: None,
            project_id: None,
            team_id: None,
            scopes: ScopesInput::default(),
            expires_at: None,
        }
    }
}
