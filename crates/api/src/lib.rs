//! The admin API as data: every route with who may use it, every request and answer with its fields, and the
//! OpenAPI document that is made of them. What the routes do stands in the server.

mod accounts;
mod amount;
mod audit;
mod keys;
mod openapi;
mod prices;
mod reference;
mod routes;
mod rules;
mod schema;
mod time;
mod usage;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tollgate_base::Result;

pub use accounts::{NewProject, NewTeam, Project, ProjectPatch, Team, TeamPatch};
pub use amount::Amount;
pub use audit::{AuditCheck, AuditEntry};
pub use keys::{Key, KeyPatch, MintedKey, NewKey, Rotation};
pub use openapi::openapi;
pub use prices::{
    EffectiveConfig, Forecast, Price, Prices, Projection, WhatIf, WhatIfAnswer, WhatIfRefusal,
};
pub use reference::reference;
pub use routes::{Answer, Endpoint, ROUTES, Route};
pub use rules::{
    Budget, BudgetBody, BudgetStanding, Limit, LimitBody, LimitStanding, NewBudget, NewLimit,
    Relief, ReliefRequest, Standings,
};
pub use schema::{Field, Kind, Need, Shape};
pub use time::Timestamp;
pub use usage::{
    Alarms, Attempt, Finding, LedgerCheck, LedgerHealth, Reprice, RepriceAnswer, Resolution, Usage,
    UsageRow,
};

/// A request whose fields are known.
pub trait Shaped: for<'de> Deserialize<'de> {
    const SHAPE: &'static Shape;

    /// Reads it from a body.
    fn read(body: &[u8]) -> Result<Self> {
        Self::SHAPE.read(body)
    }
}

/// A field of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It was left out.
    #[default]
    Keep,
    /// It was null.
    Clear,
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::deserialize(deserializer)?;
        Ok(value.map_or(Change::Clear, Change::Set))
    }
}

/// A part of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// What to write in `after` for the next page.
    pub next: Option<String>,
}

pub(crate) const NEXT: Field = schema::nullable(
    "next",
    Kind::Text,
    "What to send as `after` to get the next page; null on the last.",
);
pub(crate) const PAGE_SIZE: Field = schema::optional(
    "page_size",
    Kind::Whole(1, 1000),
    "How many a page has at most; 100 when left out.",
);
pub(crate) const AFTER: Field =
    schema::optional("after", Kind::Text, "The `next` of the page before.");

/// An answer as JSON. The types of this crate always have one.
pub fn to_json(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap_or_default()
}

/// JSON that was written before, to be put into an answer as it is.
pub fn raw(json: String) -> Option<Box<RawValue>> {
    RawValue::from_string(json).ok()
}
