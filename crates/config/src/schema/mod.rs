//! The one table of all settings: name, type, range, documentation, example, and the field that it fills.
//!
//! The checker reads a file by it, the reference page and the JSON Schema are printed from it, and the
//! defaults are what the fields hold before anything is written. Each part of the file has a file here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tollgate_base::{Money, Rate, Secret};

use crate::draft::Holds;

macro_rules! slot {
    ($($field:ident).+) => { |draft| &mut draft.$($field).+ };
}

mod alerts;
mod money;
mod providers;
mod routes;
mod settings;

pub(crate) use alerts::ALERT_SETTINGS;
pub(crate) use money::{BUDGET_SETTINGS, LIMIT_SETTINGS, PRICE_SETTINGS};
pub(crate) use providers::PROVIDER_SETTINGS;
pub(crate) use routes::ROUTE_SETTINGS;
pub(crate) use settings::SETTINGS;

/// The field of `D` that a setting fills.
pub(crate) type Slot<D, T> = for<'a> fn(&'a mut D) -> &'a mut dyn Holds<T>;

/// One setting of the table `D`.
pub(crate) struct Setting<D: 'static> {
    /// Dotted, inside its table: `server.limits.body_bytes`, `base_url`.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind<D>,
    /// What it does, in sentences.
    pub(crate) doc: &'static str,
    /// What an absent value means, where that is not a fixed value.
    pub(crate) absent: &'static str,
    /// A value as it stands in the file.
    pub(crate) example: &'static str,
}

/// What a setting holds, and where it goes.
pub(crate) enum Kind<D: 'static> {
    Flag(Slot<D, bool>),
    Count {
        min: u64,
        max: u64,
        slot: Slot<D, u64>,
    },
    /// Bytes, written with a unit.
    Size {
        min: u64,
        max: u64,
        slot: Slot<D, u64>,
    },
    /// Written with a unit.
    Time {
        min: Duration,
        max: Duration,
        slot: Slot<D, Duration>,
    },
    Address(Slot<D, SocketAddr>),
    Text(Slot<D, String>),
    /// The name of an environment variable.
    Variable(Slot<D, String>),
    Url(Slot<D, String>),
    Path(Slot<D, PathBuf>),
    Secret(Slot<D, Secret>),
    /// Dollars.
    Amount(Slot<D, Money>),
    /// Dollars for a million of something.
    Rate(Slot<D, Rate>),
    Choice {
        names: &'static [&'static str],
        slot: Slot<D, &'static str>,
    },
    List(Slot<D, Vec<String>>),
    /// Names and texts that may be secret.
    Headers(Slot<D, BTreeMap<String, Secret>>),
}

/// A table of the file, for the reference: its header and what it is for.
pub(crate) struct Section {
    pub(crate) path: &'static str,
    pub(crate) doc: &'static str,
}

pub(crate) const SECTIONS: &[Section] = &[
    Section {
        path: "",
        doc: "At the top of the file, before any table.",
    },
    Section {
        path: "server",
        doc: "The HTTP service.",
    },
    Section {
        path: "server.limits",
        doc: "Bounds on what a client may send, and how slowly. They guard the service against broken and hostile clients; an answer may stream for as long as it needs.",
    },
    Section {
        path: "log",
        doc: "What the service writes to standard error. Prompts, answers and keys are never written.",
    },
    Section {
        path: "streaming",
        doc: "How long a call to a provider may take, phase by phase.",
    },
    Section {
        path: "retry",
        doc: "What happens when a provider fails before the first byte of its answer has reached the client. Nothing is retried after that.",
    },
    Section {
        path: "vault",
        doc: "Where providers' credentials may be kept encrypted (AES-256-GCM), instead of in files or the environment.",
    },
    Section {
        path: "models",
        doc: "Where `tollgate models pull` gets model files from. The files lie in `models` of the data folder.",
    },
    Section {
        path: "engine",
        doc: "How models run on this machine: the built-in one, and every one that `tollgate models pull` has brought. Each is loaded when it is first asked for.",
    },
    Section {
        path: "ledger",
        doc: "What each call cost: how durably it is written down, and what is done where a price or an end is not known.",
    },
    Section {
        path: "alerting",
        doc: "When a key's spending counts as unusual. Who is told stands in `[alerts.<name>]`.",
    },
];
