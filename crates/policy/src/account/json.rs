//! Records as JSON: one form for the store, and the same without what belongs to a key's text for the audit log.
//! Money is text in dollars, times are milliseconds.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tollgate_base::{Money, UnixMillis};

use super::{Project, Record, RecordKind, Team};
use crate::{
    key::{AdminRole, Digest, FormerDigest, KeyRecord, KeyScopes, Network, Pattern, Role},
    rules::{BudgetRule, LimitRule, Measure, Period, Relief},
    scope::Scope,
};

/// A stored record that this program cannot read: which field is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

#[derive(Serialize, Deserialize)]
struct KeyBody {
    name: String,
    role: String,
    admin_role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(default)]
    last_four: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<FormerBody>,
    owner: Option<String>,
    project_id: Option<String>,
    team_id: Option<String>,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    operations: Vec<String>,
    #[serde(default)]
    sources: Vec<String>,
    #[serde(default)]
    strict: bool,
    max_output_tokens: Option<u64>,
    created_at: u64,
    expires_at: Option<u64>,
    disabled_at: Option<u64>,
    revoked_at: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct FormerBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    until: u64,
}

#[derive(Serialize, Deserialize)]
struct TeamBody {
    name: String,
    created_at: u64,
    disabled_at: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct ProjectBody {
    name: String,
    team_id: Option<String>,
    created_at: u64,
    disabled_at: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct BudgetBody {
    scope: String,
    limit: String,
    period: String,
    zone: String,
    hard: bool,
    thresholds: Vec<u8>,
    relief: Option<ReliefBody>,
}

#[derive(Serialize, Deserialize)]
struct ReliefBody {
    limit: String,
    until: u64,
}

#[derive(Serialize, Deserialize)]
struct LimitBody {
    scope: String,
    measure: String,
    most: u64,
}

/// Writes a record; `whole` with the digests of a key.
pub(super) fn write(record: &Record, whole: bool) -> String {
    match record {
        Record::Key(key) => text(&key_body(key, whole)),
        Record::Team(team) => text(&TeamBody {
            name: team.name.clone(),
            created_at: team.created_at.0,
            disabled_at: millis(team.disabled_at),
        }),
        Record::Project(project) => text(&ProjectBody {
            name: project.name.clone(),
            team_id: project.team_id.clone(),
            created_at: project.created_at.0,
            disabled_at: millis(project.disabled_at),
        }),
        Record::Budget(rule) => text(&BudgetBody {
            scope: rule.scope.to_string(),
            limit: rule.limit.to_decimal(),
            period: rule.period.as_str().to_owned(),
            zone: rule.zone.clone(),
            hard: rule.hard,
            thresholds: rule.thresholds.clone(),
            relief: rule.relief.map(|relief| ReliefBody {
                limit: relief.limit.to_decimal(),
                until: relief.until.0,
            }),
        }),
        Record::Limit(rule) => text(&LimitBody {
            scope: rule.scope.to_string(),
            measure: rule.measure.as_str().to_owned(),
            most: rule.most,
        }),
    }
}

fn key_body(key: &KeyRecord, whole: bool) -> KeyBody {
    let patterns = |list: &[Pattern]| list.iter().map(|one| one.as_str().to_owned()).collect();
    KeyBody {
        name: key.name.clone(),
        role: key.role.as_str().to_owned(),
        admin_role: key.admin_role.map(|role| role.as_str().to_owned()),
        digest: whole.then(|| key.digest.to_hex()),
        last_four: key.last_four.clone(),
        former: key
            .former
            .iter()
            .map(|former| FormerBody {
                digest: whole.then(|| former.digest.to_hex()),
                until: former.until.0,
            })
            .collect(),
        owner: key.owner.clone(),
        project_id: key.project_id.clone(),
        team_id: key.team_id.clone(),
        models: patterns(&key.scopes.models),
        operations: patterns(&key.scopes.operations),
        sources: key.scopes.sources.iter().map(Network::to_string).collect(),
        strict: key.scopes.strict,
        max_output_tokens: key.scopes.max_output_tokens,
        created_at: key.created_at.0,
        expires_at: millis(key.expires_at),
        disabled_at: millis(key.disabled_at),
        revoked_at: millis(key.revoked_at),
    }
}

/// Structs of text, numbers and lists always have a JSON form.
fn text(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

fn millis(time: Option<UnixMillis>) -> Option<u64> {
    time.map(|time| time.0)
}

/// Reads a record as the store has it.
pub(super) fn read(kind: RecordKind, id: &str, json: &str) -> Result<Record, Unreadable> {
    let id = id.to_owned();
    Ok(match kind {
        RecordKind::Key => Record::Key(read_key(id, body(json)?)?),
        RecordKind::Team => {
            let body: TeamBody = body(json)?;
            Record::Team(Team {
                id,
                name: body.name,
                created_at: UnixMillis(body.created_at),
                disabled_at: body.disabled_at.map(UnixMillis),
            })
        }
        RecordKind::Project => {
            let body: ProjectBody = body(json)?;
            Record::Project(Project {
                id,
                name: body.name,
                team_id: body.team_id,
                created_at: UnixMillis(body.created_at),
                disabled_at: body.disabled_at.map(UnixMillis),
            })
        }
        RecordKind::Budget => Record::Budget(read_budget(id, body(json)?)?),
        RecordKind::Limit => {
            let body: LimitBody = body(json)?;
            Record::Limit(LimitRule {
                id,
                scope: need("scope", Scope::parse(&body.scope))?,
                measure: need("measure", Measure::from_word(&body.measure))?,
                most: body.most,
            })
        }
    })
}

fn body<T: DeserializeOwned>(json: &str) -> Result<T, Unreadable> {
    serde_json::from_str(json).map_err(|error| Unreadable(error.to_string()))
}

fn need<T>(field: &str, value: Option<T>) -> Result<T, Unreadable> {
    value.ok_or_else(|| Unreadable(format!("{field} has a value that is not known")))
}

fn read_key(id: String, body: KeyBody) -> Result<KeyRecord, Unreadable> {
    let digest = |hex: Option<String>| need("digest", hex.as_deref().and_then(Digest::from_hex));
    let patterns = |field, texts: Vec<String>| -> Result<Vec<Pattern>, Unreadable> {
        let read = texts.iter().map(|text| need(field, Pattern::parse(text)));
        read.collect()
    };
    let former = body.former.into_iter().map(|former| {
        Ok(FormerDigest {
            digest: digest(former.digest)?,
            until: UnixMillis(former.until),
        })
    });
    let sources = body.sources.iter();
    let sources = sources.map(|text| need("sources", Network::parse(text)));
    let admin_role = match &body.admin_role {
        Some(word) => Some(need("admin_role", AdminRole::from_word(word))?),
        None => None,
    };
    Ok(KeyRecord {
        id,
        name: body.name,
        role: need("role", Role::from_word(&body.role))?,
        admin_role,
        digest: digest(body.digest)?,
        last_four: body.last_four,
        former: former.collect::<Result<_, Unreadable>>()?,
        owner: body.owner,
        project_id: body.project_id,
        team_id: body.team_id,
        scopes: Arc::new(KeyScopes {
            models: patterns("models", body.models)?,
            operations: patterns("operations", body.operations)?,
            sources: sources.collect::<Result<_, _>>()?,
            strict: body.strict,
            max_output_tokens: body.max_output_tokens,
        }),
        created_at: UnixMillis(body.created_at),
        expires_at: body.expires_at.map(UnixMillis),
        disabled_at: body.disabled_at.map(UnixMillis),
        revoked_at: body.revoked_at.map(UnixMillis),
    })
}

fn read_budget(id: String, body: BudgetBody) -> Result<BudgetRule, Unreadable> {
    let relief = match body.relief {
        Some(relief) => Some(Relief {
            limit: need("relief", Money::parse(&relief.limit))?,
            until: UnixMillis(relief.until),
        }),
        None => None,
    };
    Ok(BudgetRule {
        id,
        scope: need("scope", Scope::parse(&body.scope))?,
        limit: need("limit", Money::parse(&body.limit))?,
        period: need("period", Period::from_word(&body.period))?,
        zone: body.zone,
        hard: body.hard,
        thresholds: body.thresholds,
        relief,
    })
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}
