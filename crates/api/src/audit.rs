//! The audit log.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Timestamp,
    schema::{Field, Kind, Shape, nullable, required},
};

/// One change.
#[derive(Clone, Debug, Serialize)]
pub struct AuditEntry {
    pub number: u64,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub object: String,
    pub before: Option<Box<RawValue>>,
    pub after: Option<Box<RawValue>>,
    pub previous: String,
    pub seal: String,
}

/// What a check of the whole log found.
#[derive(Clone, Debug, Serialize)]
pub struct AuditCheck {
    pub sound: bool,
    pub entries: u64,
    pub head: String,
    pub fault_at: Option<u64>,
    pub fault: Option<&'static str>,
}

const PREVIOUS: Field = required(
    "previous",
    Kind::Text,
    "The seal of the entry before, in hexadecimal digits.",
);

pub(crate) static ENTRY: Shape = Shape {
    name: "AuditEntry",
    doc: "One change: who made it, when, and what the object was before and after.",
    fields: &[
        required(
            "number",
            Kind::Whole(1, u64::MAX),
            "Counted from 1, without gaps.",
        ),
        required("at", Kind::Time, "When."),
        required(
            "actor",
            Kind::Text,
            "The id of the admin key, or who acted without one.",
        ),
        required("action", Kind::Text, "What was done, such as `key.create`."),
        required("object", Kind::Text, "The id of what was changed."),
        nullable(
            "before",
            Kind::Any,
            "The object before; null when there was none.",
        ),
        nullable(
            "after",
            Kind::Any,
            "The object afterwards; null when it was deleted.",
        ),
        PREVIOUS,
        required(
            "seal",
            Kind::Text,
            "SHA-256 over this entry and the seal before, in hexadecimal digits.",
        ),
    ],
    about: None,
};

pub(crate) static ENTRIES: Shape = Shape {
    name: "AuditList",
    doc: "Entries of the audit log, the newest first.",
    fields: &[
        required("data", Kind::List(&ENTRY), "The entries of this page."),
        crate::NEXT,
    ],
    about: None,
};

pub(crate) static CHECK: Shape = Shape {
    name: "AuditCheck",
    doc: "What a check of the whole audit log found.",
    fields: &[
        required(
            "sound",
            Kind::Bool,
            "Whether every entry follows the one before it.",
        ),
        required(
            "entries",
            Kind::Whole(0, u64::MAX),
            "The number of the newest entry.",
        ),
        required(
            "head",
            Kind::Text,
            "The newest seal. Kept elsewhere, it shows later that the log up to here is still the same.",
        ),
        nullable(
            "fault_at",
            Kind::Whole(1, u64::MAX),
            "The number of the first entry that is wrong.",
        ),
        nullable("fault", Kind::Text, "What is wrong with it."),
    ],
    about: None,
};

pub(crate) const FILTER: &[Field] = &[crate::PAGE_SIZE, crate::AFTER];
