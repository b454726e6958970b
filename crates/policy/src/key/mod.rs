//! Virtual keys: what is kept of them, what they may do, and who a request comes from.
//!
//! A key's text is the business of `token`; its restrictions are those of `scopes`; the check on the call path
//! is `ring`. How keys are changed stands in the accounts crate, and where they are kept in `account`.

mod ring;
mod scopes;
mod token;

use std::{net::IpAddr, sync::Arc};

use tollgate_base::{Error, Kind, Result, UnixMillis, quote};

pub use ring::{Holder, KeyRing};
pub use scopes::{KeyScopes, Network, OPERATIONS, Pattern};
pub use token::{Digest, Token};

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Calls models.
    Model,
    /// Administers the gateway; refused on model routes.
    Admin,
}

/// What an admin key may do. Each may do all that the next may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdminRole {
    /// Everything, admin keys and providers' credentials too.
    Owner,
    /// Model keys, teams, projects, budgets and limits.
    Manager,
    /// Looks, and changes nothing.
    Viewer,
}

/// What the admin API, the command line and the console ask leave for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See keys, teams, projects, budgets and limits, usage and prices.
    Read,
    /// See the audit log.
    ReadAudit,
    /// Change model keys.
    WriteKeys,
    /// Change teams and projects.
    WriteTeams,
    /// Change budgets and limits.
    WriteRules,
    /// Change admin keys.
    WriteAdmins,
    /// Change prices, and book what a lost attempt cost.
    WriteLedger,
    /// Change providers' credentials.
    WriteCredentials,
}

/// What is known of a key. The key itself is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// `key_…`
    pub id: String,
    pub name: String,
    pub role: Role,
    /// What an admin key may do; `None` for a key that calls models.
    pub admin_role: Option<AdminRole>,
    pub digest: Digest,
    /// The last four characters of the key, to tell it apart by; empty when they are not known.
    pub last_four: String,
    /// What the key was before it was rotated, the oldest first.
    pub former: Vec<FormerDigest>,
    /// Who answers for the key, in the words of the administrators.
    pub owner: Option<String>,
    pub project_id: Option<String>,
    /// The team of a key that belongs to no project; a project brings its own.
    pub team_id: Option<String>,
    pub scopes: Arc<KeyScopes>,
    pub created_at: UnixMillis,
    pub expires_at: Option<UnixMillis>,
    /// Out of use for the time being.
    pub disabled_at: Option<UnixMillis>,
    /// Out of use for good.
    pub revoked_at: Option<UnixMillis>,
}

/// A text of a key that was replaced by rotation. It goes on to work for a while, for the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormerDigest {
    pub digest: Digest,
    /// From here on the text is revoked.
    pub until: UnixMillis,
}

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub key_id: String,
    pub role: Role,
    pub admin_role: Option<AdminRole>,
    pub project_id: Option<String>,
    pub team_id: Option<String>,
    pub scopes: Arc<KeyScopes>,
}

// === impl Role ===

impl Role {
    /// The beginning of every key of this role.
    pub fn prefix(self) -> &'static str {
        match self {
            Role::Model => "sk-tg-",
            Role::Admin => "sk-tga-",
        }
    }

    /// The word for it in the store and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Model => "model",
            Role::Admin => "admin",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Role::Model, Role::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

// === impl AdminRole ===

impl AdminRole {
    pub const ALL: [Self; 3] = [Self::Owner, Self::Manager, Self::Viewer];

    /// The word for it in the store, the API and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            AdminRole::Owner => "owner",
            AdminRole::Manager => "manager",
            AdminRole::Viewer => "viewer",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// The table of who may do what.
    pub fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::Read | Permission::ReadAudit => true,
            Permission::WriteKeys | Permission::WriteTeams | Permission::WriteRules => {
                self != AdminRole::Viewer
            }
            Permission::WriteAdmins | Permission::WriteLedger | Permission::WriteCredentials => {
                self == AdminRole::Owner
            }
        }
    }

    /// As [`AdminRole::may`], with the refusal.
    pub fn require(self, permission: Permission) -> Result<()> {
        if self.may(permission) {
            return Ok(());
        }
        let message = format!(
            "The admin role {} may not do this. Ask for a key of a higher role.",
            self.as_str()
        );
        Err(refuse(Kind::Permission, "role_not_allowed", message))
    }
}

// === impl KeyRecord ===

impl KeyRecord {
    /// A key without restrictions, of no team and no project. An admin key is an owner's.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        token: &Token,
        at: UnixMillis,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            role: token.role(),
            admin_role: (token.role() == Role::Admin).then_some(AdminRole::Owner),
            digest: token.digest(),
            last_four: token.last_four(),
            former: Vec::new(),
            owner: None,
            project_id: None,
            team_id: None,
            scopes: Arc::default(),
            created_at: at,
            expires_at: None,
            disabled_at: None,
            revoked_at: None,
        }
    }

    /// Whether the key itself could be used at `now`; what its team and project say is not asked.
    pub fn is_usable(&self, now: UnixMillis) -> bool {
        self.state(now) == KeyState::Active
    }

    /// What the key is at `now`.
    pub fn state(&self, now: UnixMillis) -> KeyState {
        if self.revoked_at.is_some_and(|at| at <= now) {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            KeyState::Expired
        } else if self.disabled_at.is_some_and(|at| at <= now) {
            KeyState::Disabled
        } else {
            KeyState::Active
        }
    }
}

/// What a key is at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    Active,
    Disabled,
    Expired,
    Revoked,
}

impl KeyState {
    /// The word for it in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Active => "active",
            KeyState::Disabled => "disabled",
            KeyState::Expired => "expired",
            KeyState::Revoked => "revoked",
        }
    }
}

// === impl Caller ===

impl Caller {
    /// A caller that no key stands for: the program itself, in the terminal.
    pub fn local(name: impl Into<String>) -> Self {
        Self {
            key_id: name.into(),
            role: Role::Model,
            admin_role: None,
            project_id: None,
            team_id: None,
            scopes: Arc::default(),
        }
    }

    /// Whether the key's scopes allow a call from `source` that does `operation` with a model that goes by
    /// `model_names` (what was asked for, and its aliases): one allowed name is enough. Without a name the
    /// call concerns no model.
    pub fn may_use(&self, model_names: &[&str], operation: &str, source: IpAddr) -> Result<()> {
        self.may_come_from(source)?;
        self.may_do(operation)?;
        if model_names.is_empty() || self.may_ask(model_names) {
            return Ok(());
        }
        Err(self.model_refused(model_names.first().copied().unwrap_or_default()))
    }

    /// The refusal of a model that the key may not ask for.
    pub fn model_refused(&self, model: &str) -> Error {
        let message = format!(
            "This key may not use the model {}. It may use: {}.",
            quote(model),
            listed(&self.scopes.models)
        );
        refuse(Kind::Permission, "model_not_allowed", message).with_param("model")
    }

    /// Whether one of these names of a model is allowed.
    pub fn may_ask(&self, model_names: &[&str]) -> bool {
        let models = &self.scopes.models;
        models.is_empty()
            || models
                .iter()
                .any(|pattern| model_names.iter().any(|name| pattern.matches(name)))
    }

    /// Whether some model of this provider is allowed.
    pub fn may_ask_at(&self, provider: &str) -> bool {
        let models = &self.scopes.models;
        models.is_empty()
            || models.iter().any(|pattern| {
                let name = pattern.as_str().trim_end_matches('*');
                match name.split_once('/') {
                    Some((own, _)) => own == provider,
                    None => pattern.as_str() == "*",
                }
            })
    }

    /// Whether the operation is allowed.
    pub fn may_do(&self, operation: &str) -> Result<()> {
        let operations = &self.scopes.operations;
        if operations.is_empty() || operations.iter().any(|pattern| pattern.matches(operation)) {
            return Ok(());
        }
        let message = format!(
            "This key may not be used for {operation}. It may be used for: {}.",
            listed(operations)
        );
        Err(refuse(Kind::Permission, "route_not_allowed", message))
    }

    /// Whether calls may come from this address.
    pub fn may_come_from(&self, source: IpAddr) -> Result<()> {
        let sources = &self.scopes.sources;
        if sources.is_empty() || sources.iter().any(|network| network.contains(source)) {
            return Ok(());
        }
        let message = "This key may not be used from this address. Call from one that it is meant for, or ask \
                       for the address to be allowed.";
        Err(refuse(Kind::Permission, "source_not_allowed", message))
    }
}

fn listed(patterns: &[Pattern]) -> String {
    let names: Vec<_> = patterns.iter().map(Pattern::as_str).collect();
    names.join(", ")
}

fn refuse(kind: Kind, code: &'static str, message: impl Into<String>) -> Error {
    Error::new(kind, code, message).with_should_retry(false)
}

#[cfg(test)]
mod tests;
