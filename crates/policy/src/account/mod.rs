//! Accounts: everything that administrators change. Keys, the teams and projects they belong to, and the budgets
//! and limits that bind them; and the trait of the store that keeps them with their audit log.
//!
//! Everything is small enough to be one value in memory. Which change is allowed is decided in the accounts
//! crate; the store keeps changes whole and in order.

mod json;

use std::collections::BTreeMap;

use tollgate_base::{Result, UnixMillis};

use crate::{
    audit::{AuditDraft, AuditEntry, AuditHead},
    key::{KeyRecord, KeyRing},
    rules::{BudgetRule, LimitRule},
};

pub use json::Unreadable;

/// People who work together and share budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// `team_…`
    pub id: String,
    pub name: String,
    pub created_at: UnixMillis,
    /// From here on the team's keys are out of use.
    pub disabled_at: Option<UnixMillis>,
}

/// What keys are made for. It may belong to a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// `project_…`
    pub id: String,
    pub name: String,
    pub team_id: Option<String>,
    pub created_at: UnixMillis,
    /// From here on the project's keys are out of use.
    pub disabled_at: Option<UnixMillis>,
}

/// One thing that administrators change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Key(KeyRecord),
    Team(Team),
    Project(Project),
    Budget(BudgetRule),
    Limit(LimitRule),
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    Key,
    Team,
    Project,
    Budget,
    Limit,
}

/// A record with the generation that it was last changed in: its `ETag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    pub version: u64,
    pub value: T,
}

/// All records at one generation, each kind by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// How many changes there were: the number of the newest audit entry.
    pub generation: u64,
    pub keys: BTreeMap<String, Versioned<KeyRecord>>,
    pub teams: BTreeMap<String, Versioned<Team>>,
    pub projects: BTreeMap<String, Versioned<Project>>,
    pub budgets: BTreeMap<String, Versioned<BudgetRule>>,
    pub limits: BTreeMap<String, Versioned<LimitRule>>,
    /// When keys were last used, by id, a little late.
    pub last_used: BTreeMap<String, UnixMillis>,
}

/// What the store does to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a record, or replaces the one with its id.
    Put(Box<Record>),
    Delete(RecordKind, String),
}

/// Where accounts are kept.
pub trait AccountStore: Send + Sync + std::fmt::Debug {
    /// All records, of one instant.
    fn accounts(&self) -> Result<Accounts>;
    /// The number of changes so far, whoever made them: cheap enough to be asked for every second.
    fn generation(&self) -> Result<u64>;
    /// Makes changes and writes their audit entry in one transaction. They were decided on the generation
    /// `based_on`; when another change came first nothing is written, and the answer is `None`. Two keys with
    /// one digest are a conflict.
    fn commit(
        &self,
        based_on: u64,
        changes: &[Change],
        audit: &AuditDraft,
    ) -> Result<Option<AuditEntry>>;
    /// Audit entries from a number on, in order, at most `most`.
    fn audit(&self, from: u64, most: usize) -> Result<Vec<AuditEntry>>;
    /// The end of the audit log.
    fn audit_head(&self) -> Result<AuditHead>;
    /// Notes when keys were used. It is no change of the accounts and may come late; an earlier time than the
    /// one known is ignored.
    fn touch_keys(&self, uses: &[(String, UnixMillis)]) -> Result<()>;
}

// === impl Change ===

impl Change {
    pub fn put(record: Record) -> Self {
        Change::Put(Box::new(record))
    }

    pub fn delete(kind: RecordKind, id: impl Into<String>) -> Self {
        Change::Delete(kind, id.into())
    }
}

// === impl Record ===

impl Record {
    pub fn kind(&self) -> RecordKind {
        match self {
            Record::Key(_) => RecordKind::Key,
            Record::Team(_) => RecordKind::Team,
            Record::Project(_) => RecordKind::Project,
            Record::Budget(_) => RecordKind::Budget,
            Record::Limit(_) => RecordKind::Limit,
        }
    }

    pub fn id(&self) -> &str {
        match self {
            Record::Key(key) => &key.id,
            Record::Team(team) => &team.id,
            Record::Project(project) => &project.id,
            Record::Budget(budget) => &budget.id,
            Record::Limit(limit) => &limit.id,
        }
    }

    /// The record as JSON for the store, all but its id. A key's digests are in it.
    pub fn to_stored(&self) -> String {
        json::write(self, true)
    }

    /// The record as JSON for the audit log and for people: without anything of a key's text but its end.
    pub fn to_shown(&self) -> String {
        json::write(self, false)
    }

    /// Reads what [`Record::to_stored`] wrote.
    pub fn from_stored(kind: RecordKind, id: &str, json: &str) -> Result<Self, Unreadable> {
        json::read(kind, id, json)
    }
}

impl RecordKind {
    pub const ALL: [Self; 5] = [
        Self::Key,
        Self::Team,
        Self::Project,
        Self::Budget,
        Self::Limit,
    ];

    /// The word for it in the store, the audit log and ids.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordKind::Key => "key",
            RecordKind::Team => "team",
            RecordKind::Project => "project",
            RecordKind::Budget => "budget",
            RecordKind::Limit => "limit",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

// === impl Accounts ===

impl Accounts {
    /// Adds or replaces a record that was written in generation `version`.
    pub fn put(&mut self, version: u64, record: Record) {
        fn into<T>(map: &mut BTreeMap<String, Versioned<T>>, id: String, version: u64, value: T) {
            map.insert(id, Versioned { version, value });
        }
        match record {
            Record::Key(key) => into(&mut self.keys, key.id.clone(), version, key),
            Record::Team(team) => into(&mut self.teams, team.id.clone(), version, team),
            Record::Project(it) => into(&mut self.projects, it.id.clone(), version, it),
            Record::Budget(rule) => into(&mut self.budgets, rule.id.clone(), version, rule),
            Record::Limit(rule) => into(&mut self.limits, rule.id.clone(), version, rule),
        }
    }

    /// Takes a record out. Whether there was one.
    pub fn delete(&mut self, kind: RecordKind, id: &str) -> bool {
        match kind {
            RecordKind::Key => self.keys.remove(id).is_some(),
            RecordKind::Team => self.teams.remove(id).is_some(),
            RecordKind::Project => self.projects.remove(id).is_some(),
            RecordKind::Budget => self.budgets.remove(id).is_some(),
            RecordKind::Limit => self.limits.remove(id).is_some(),
        }
    }

    /// Makes changes, as a store does in the generation `version`.
    pub fn apply(&mut self, version: u64, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(record) => self.put(version, Record::clone(record)),
                Change::Delete(kind, id) => {
                    self.delete(*kind, id);
                }
            }
        }
        self.generation = version;
    }

    /// The project of a key.
    pub fn project_of(&self, key: &KeyRecord) -> Option<&Project> {
        let id = key.project_id.as_ref()?;
        self.projects.get(id).map(|project| &project.value)
    }

    /// The id of the team that a key counts for: its project's, or its own when it has no project.
    pub fn team_id_of<'a>(&'a self, key: &'a KeyRecord) -> Option<&'a str> {
        match self.project_of(key) {
            Some(project) => project.team_id.as_deref(),
            None => key.team_id.as_deref(),
        }
    }

    /// Since when a key is out of use for the time being, by itself, its project or its team.
    pub fn disabled_at(&self, key: &KeyRecord) -> Option<UnixMillis> {
        let project = self.project_of(key).and_then(|project| project.disabled_at);
        let team = self
            .team_id_of(key)
            .and_then(|id| self.teams.get(id))
            .and_then(|team| team.value.disabled_at);
        [key.disabled_at, project, team].into_iter().flatten().min()
    }

    /// The keys as the call path checks them.
    pub fn key_ring(&self) -> KeyRing {
        let mut ring = KeyRing::default();
        for Versioned { value: key, .. } in self.keys.values() {
            let team_id = self.team_id_of(key).map(str::to_owned);
            ring.add(key, team_id, self.disabled_at(key));
        }
        ring
    }
}

#[cfg(test)]
mod tests;
