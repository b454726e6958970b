//! How administrators change keys, teams, projects, budgets and limits. The command line and the admin API both
//! come through here, so that no rule is written twice.
//!
//! What a record is stands in `policy`, where it is kept in `store`; this crate decides who may change what, and
//! into what. A change is decided on all accounts of one generation and made only on that generation; when
//! somebody else was faster it is decided again. How a request or an argument reads is not known here.

mod check;
mod input;
mod keys;
mod log;
mod rules;
mod teams;

use std::{fmt, sync::Arc};

use tollgate_base::{Error, IdSource, Kind, Result, UnixMillis, quote};
use tollgate_policy::{
    account::{AccountStore, Accounts, Change, Record, RecordKind, Versioned},
    audit::AuditDraft,
    key::{AdminRole, Caller, KeyRing, Permission, Role},
    rules::{BudgetRule, LimitRule},
};

pub use input::{
    KeyFilter, KeyPatch, NewBudget, NewKey, NewLimit, NewProject, NewTeam, Patch, ProjectPatch,
    ScopesInput, TeamPatch,
};
pub use keys::MintedKey;
pub use log::AuditReport;

/// How often a change is decided anew because somebody else was faster.
const ATTEMPTS: usize = 16;

/// The accounts as those who administer them see them.
pub struct Administration {
    store: Arc<dyn AccountStore>,
    ids: IdSource,
    is_zone: fn(&str) -> bool,
}

/// Who changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The id of the admin key, or who acts without one.
    pub name: String,
    pub role: AdminRole,
}

/// One action: by whom, when, and on which version of the object (its `ETag`).
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    pub actor: &'a Actor,
    pub at: UnixMillis,
    /// The action fails when the object has another version. `None` takes any; 0, which no object has, makes
    /// sure that there is none yet.
    pub version: Option<u64>,
}

/// What the call path needs of the accounts at one generation.
#[derive(Debug, Default)]
pub struct AccountsSnapshot {
    pub generation: u64,
    pub keys: KeyRing,
    pub limits: Vec<LimitRule>,
    pub budgets: Vec<BudgetRule>,
}

/// A change that was decided and not yet made.
struct Plan {
    action: &'static str,
    kind: RecordKind,
    id: String,
    before: Option<Versioned<Record>>,
    /// `None` deletes.
    after: Option<Record>,
    /// What goes along.
    also: Vec<Change>,
}

// === impl Actor ===

impl Actor {
    /// The holder of an admin key.
    pub fn of(caller: &Caller) -> Result<Self> {
        match (caller.role, caller.admin_role) {
            (Role::Admin, Some(role)) => Ok(Self {
                name: caller.key_id.clone(),
                role,
            }),
            _ => Err(Error::new(
                Kind::Permission,
                "role_not_allowed",
                "A model key cannot administer the gateway. Use an admin key.",
            )),
        }
    }

    /// Somebody with access to the machine: `command line`, `start`.
    pub fn local(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: AdminRole::Owner,
        }
    }
}

// === impl Act ===

impl<'a> Act<'a> {
    /// An action on any version.
    pub fn new(actor: &'a Actor, at: UnixMillis) -> Self {
        Self {
            actor,
            at,
            version: None,
        }
    }

    #[must_use]
    pub fn on_version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    fn require(&self, permission: Permission) -> Result<()> {
        self.actor.role.require(permission)
    }

    /// Whether the object still is what the actor saw.
    fn expect<T>(&self, object: &Versioned<T>) -> Result<()> {
        if self.version.is_none_or(|version| version == object.version) {
            return Ok(());
        }
        Err(conflict(
            "Somebody else changed this in the meantime. Read it again and repeat the change.",
        ))
    }

    /// Whether the actor may find nothing here: not when an object was meant that is gone.
    fn expect_absent(&self) -> Result<()> {
        match self.version {
            None | Some(0) => Ok(()),
            Some(_) => Err(conflict("Somebody else deleted this in the meantime.")),
        }
    }
}

// === impl Administration ===

impl Administration {
    /// `is_zone` says which names of time zones are known.
    pub fn new(store: Arc<dyn AccountStore>, is_zone: fn(&str) -> bool) -> Self {
        Self {
            store,
            ids: IdSource::from_entropy(),
            is_zone,
        }
    }

    /// Everything, for lists.
    pub fn accounts(&self, actor: &Actor) -> Result<Accounts> {
        actor.role.require(Permission::Read)?;
        self.store.accounts()
    }

    /// The number of changes so far, whoever made them.
    pub fn generation(&self) -> Result<u64> {
        self.store.generation()
    }

    /// What the call path needs, as it is now.
    pub fn snapshot(&self) -> Result<AccountsSnapshot> {
        let accounts = self.store.accounts()?;
        Ok(AccountsSnapshot {
            generation: accounts.generation,
            keys: accounts.key_ring(),
            limits: accounts.limits.into_values().map(|it| it.value).collect(),
            budgets: accounts.budgets.into_values().map(|it| it.value).collect(),
        })
    }

    /// Notes when keys were used last.
    pub fn touch_keys(&self, uses: &[(String, UnixMillis)]) -> Result<()> {
        self.store.touch_keys(uses)
    }

    /// Decides a change and makes it, together with its audit entry. Returns what `decide` made of it and the
    /// version of the object. A change that changes nothing is not made.
    fn change<T>(
        &self,
        act: &Act<'_>,
        decide: impl Fn(&Accounts) -> Result<(Plan, T)>,
    ) -> Result<Versioned<T>> {
        for _ in 0..ATTEMPTS {
            let accounts = self.store.accounts()?;
            let (plan, value) = decide(&accounts)?;
            if let (Some(before), Some(after)) = (&plan.before, &plan.after)
                && before.value == *after
                && plan.also.is_empty()
            {
                let version = before.version;
                return Ok(Versioned { version, value });
            }
            let audit = plan.audit(act);
            let changes = plan.into_changes();
            keep_an_owner(&accounts, &changes, act.at)?;
            let made = self.store.commit(accounts.generation, &changes, &audit)?;
            if let Some(entry) = made {
                let version = entry.number;
                return Ok(Versioned { version, value });
            }
        }
        Err(conflict(
            "Others change the accounts at the same time. Try again.",
        ))
    }
}

impl fmt::Debug for Administration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Administration")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

// === impl Plan ===

impl Plan {
    fn create(action: &'static str, record: Record) -> Self {
        Self {
            action,
            kind: record.kind(),
            id: record.id().to_owned(),
            before: None,
            after: Some(record),
            also: Vec::new(),
        }
    }

    fn update(action: &'static str, before: Versioned<Record>, after: Record) -> Self {
        Self {
            before: Some(before),
            ..Self::create(action, after)
        }
    }

    fn delete(action: &'static str, before: Versioned<Record>, also: Vec<Change>) -> Self {
        Self {
            action,
            kind: before.value.kind(),
            id: before.value.id().to_owned(),
            before: Some(before),
            after: None,
            also,
        }
    }

    fn audit(&self, act: &Act<'_>) -> AuditDraft {
        let before = self.before.as_ref().map(|record| record.value.to_shown());
        AuditDraft {
            at: act.at,
            actor: act.actor.name.clone(),
            action: self.action.to_owned(),
            object: self.id.clone(),
            before,
            after: self.after.as_ref().map(Record::to_shown),
        }
    }

    fn into_changes(self) -> Vec<Change> {
        let first = match self.after {
            Some(record) => Change::put(record),
            None => Change::delete(self.kind, self.id),
        };
        [first].into_iter().chain(self.also).collect()
    }
}

/// No change may take away the last key that can administer everything.
fn keep_an_owner(accounts: &Accounts, changes: &[Change], now: UnixMillis) -> Result<()> {
    let has_owner = |accounts: &Accounts| {
        accounts.keys.values().any(|Versioned { value: key, .. }| {
            key.admin_role == Some(AdminRole::Owner) && key.is_usable(now)
        })
    };
    if !has_owner(accounts) {
        return Ok(());
    }
    let mut changed = accounts.clone();
    changed.apply(accounts.generation, changes);
    if has_owner(&changed) {
        return Ok(());
    }
    Err(conflict(
        "This is the last admin key of an owner that is in use. Make another one first.",
    ))
}

/// The object of an id, or that there is none.
fn found<'a, T>(
    of: &'a std::collections::BTreeMap<String, Versioned<T>>,
    kind: RecordKind,
    id: &str,
) -> Result<&'a Versioned<T>> {
    of.get(id).ok_or_else(|| absent(kind, id))
}

fn absent(kind: RecordKind, id: &str) -> Error {
    let message = format!("There is no {} {}.", kind.as_str(), quote(id));
    Error::new(Kind::NotFound, "not_found", message)
}

fn conflict(message: impl Into<String>) -> Error {
    Error::new(Kind::Conflict, "conflict", message)
}
