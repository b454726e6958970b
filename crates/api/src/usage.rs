//! What was used: sums, single attempts, and what may be done about them; the ledger's own state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Amount, Shaped, Timestamp,
    schema::{Field, Kind, Shape, nullable, optional, required},
};

#[derive(Clone, Debug, Serialize)]
pub struct Usage {
    pub data: Vec<UsageRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct UsageRow {
    pub group: BTreeMap<String, String>,
    pub requests: u64,
    pub attempts: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    pub cost_usd: Amount,
    pub cost_reported_usd: Amount,
    pub cost_estimated_usd: Amount,
    pub cost_corrected_usd: Amount,
    pub unpriced_attempts: u64,
    pub unknown_attempts: u64,
    pub held_by_unknown_usd: Amount,
}

#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    pub id: String,
    pub request_id: String,
    pub number: u32,
    pub state: &'static str,
    pub at: Timestamp,
    pub key_id: String,
    pub project_id: Option<String>,
    pub team_id: Option<String>,
    pub operation: String,
    pub route: String,
    pub provider: String,
    pub model: String,
    pub stream: bool,
    pub outcome: Option<&'static str>,
    pub code: Option<String>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub usage_from: Option<&'static str>,
    pub held_usd: Option<Amount>,
    pub cost_usd: Option<Amount>,
    pub cost_corrected_usd: Option<Amount>,
    pub price_version: String,
    pub unit_prices: Option<String>,
    pub first_event_ms: Option<u64>,
    pub duration_ms: Option<u64>,
    pub resolved_at: Option<Timestamp>,
    pub tags: BTreeMap<String, String>,
}

/// At what a lost attempt is booked: one of the two.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resolution {
    pub cost_usd: Option<Amount>,
    pub at_hold: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reprice {
    pub from: Timestamp,
    pub to: Timestamp,
}

#[derive(Clone, Debug, Serialize)]
pub struct RepriceAnswer {
    pub corrected: u64,
    pub before_usd: Amount,
    pub after_usd: Amount,
    pub price_version: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct LedgerHealth {
    pub ready: bool,
    pub refuses: Option<&'static str>,
    pub disk_error: Option<String>,
    pub store_error: Option<String>,
    pub waiting_entries: u64,
    pub waiting_bytes: u64,
    pub alarms: Alarms,
}

#[derive(Clone, Debug, Serialize)]
pub struct Alarms {
    pub torn_tails: u64,
    pub damaged_files: u64,
    pub missing_records: u64,
    pub dead_letters: u64,
    pub write_failures: u64,
    pub sync_failures: u64,
    pub store_failures: u64,
    pub parked: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct LedgerCheck {
    pub sound: bool,
    pub attempts: u64,
    pub recomputed: u64,
    pub journal_files: u64,
    pub journal_records: u64,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub rule: &'static str,
    pub message: String,
}

const COUNT: Kind = Kind::Whole(0, u64::MAX);
const STATES: &[&str] = &["held", "dispatched", "settled", "released", "unknown"];

static USAGE_ROW: Shape = Shape {
    name: "UsageRow",
    doc: "Sums over the attempts of one group.",
    fields: &[
        required(
            "group",
            Kind::Texted,
            "The value of each group that was asked for.",
        ),
        required("requests", COUNT, "Calls, however often each was tried."),
        required("attempts", COUNT, "Tries."),
        required(
            "input_tokens",
            COUNT,
            "Everything that went in, tokens of the prompt cache too.",
        ),
        required("output_tokens", COUNT, "Everything that came out."),
        required(
            "cache_read_tokens",
            COUNT,
            "Of the input: read from a prompt cache.",
        ),
        required(
            "cache_write_tokens",
            COUNT,
            "Of the input: written to a prompt cache.",
        ),
        required(
            "cost_usd",
            Kind::SignedAmount,
            "Everything that was booked.",
        ),
        required(
            "cost_reported_usd",
            Kind::SignedAmount,
            "Of it: by usage that the provider reported.",
        ),
        required(
            "cost_estimated_usd",
            Kind::SignedAmount,
            "Of it: by usage that was counted here, or resolved by hand.",
        ),
        required(
            "cost_corrected_usd",
            Kind::SignedAmount,
            "The same with each corrected attempt at its corrected price.",
        ),
        required(
            "unpriced_attempts",
            COUNT,
            "Attempts without a price: no cost contains them.",
        ),
        required(
            "unknown_attempts",
            COUNT,
            "Attempts of which nobody knows how they ended.",
        ),
        required(
            "held_by_unknown_usd",
            Kind::SignedAmount,
            "What is held for those.",
        ),
    ],
    about: None,
};

pub(crate) static USAGE: Shape = Shape {
    name: "Usage",
    doc: "Sums, by the groups' values in ascending order.",
    fields: &[required("data", Kind::List(&USAGE_ROW), "The rows.")],
    about: None,
};

pub(crate) static ATTEMPT: Shape = Shape {
    name: "Attempt",
    doc: "One try of one call.",
    fields: &[
        required(
            "id",
            Kind::Text,
            "Its id: the request's id, `-`, and its number.",
        ),
        required("request_id", Kind::Text, "The id of the call."),
        required(
            "number",
            Kind::Whole(1, u64::MAX),
            "Which try of the call it is.",
        ),
        required("state", Kind::Word(STATES), "Where it stands."),
        required("at", Kind::Time, "When its call was admitted."),
        required("key_id", Kind::Text, "The key that called."),
        nullable("project_id", Kind::Text, "The key's project then."),
        nullable("team_id", Kind::Text, "The key's team then."),
        required("operation", Kind::Text, "What was asked for."),
        required("route", Kind::Text, "The model that the caller named."),
        required("provider", Kind::Text, "Who was asked."),
        required("model", Kind::Text, "The provider's name of the model."),
        required(
            "stream",
            Kind::Bool,
            "Whether the answer was to be a stream.",
        ),
        nullable(
            "outcome",
            Kind::Text,
            "`complete`, `failed`, `client_gone` or `cache_hit`.",
        ),
        nullable("code", Kind::Text, "The error's code."),
        nullable("input_tokens", COUNT, "Everything that went in."),
        nullable("output_tokens", COUNT, "Everything that came out."),
        nullable("usage_from", Kind::Text, "Where the usage comes from."),
        nullable(
            "held_usd",
            Kind::SignedAmount,
            "The most that it could cost; null when its price is not known.",
        ),
        nullable("cost_usd", Kind::SignedAmount, "What is booked for it."),
        nullable(
            "cost_corrected_usd",
            Kind::SignedAmount,
            "What it comes to by its latest correction.",
        ),
        required(
            "price_version",
            Kind::Text,
            "The prices that it was booked by.",
        ),
        nullable("unit_prices", Kind::Text, "The rates that were used."),
        nullable("first_event_ms", COUNT, "Until the first event."),
        nullable("duration_ms", COUNT, "Until the end."),
        nullable(
            "resolved_at",
            Kind::Time,
            "When an administrator booked it.",
        ),
        required("tags", Kind::Texted, "The caller's own labels."),
    ],
    about: None,
};

pub(crate) static ATTEMPTS: Shape = Shape {
    name: "AttemptList",
    doc: "Attempts, the newest first.",
    fields: &[
        required("data", Kind::List(&ATTEMPT), "The attempts of this page."),
        crate::NEXT,
    ],
    about: None,
};

pub(crate) static RESOLUTION: Shape = Shape {
    name: "Resolution",
    doc: "At what an attempt of unknown outcome is booked: `cost_usd`, or `at_hold`.",
    fields: &[
        optional("cost_usd", Kind::Amount, "What it cost."),
        optional("at_hold", Kind::Bool, "Book what is held for it."),
    ],
    about: Some(&ATTEMPT),
};

pub(crate) static REPRICE: Shape = Shape {
    name: "Reprice",
    doc: "Which attempts are priced again by the prices in force.",
    fields: &[
        required("from", Kind::Time, "Admitted from then on."),
        required("to", Kind::Time, "Admitted before then."),
    ],
    about: None,
};

pub(crate) static REPRICED: Shape = Shape {
    name: "Repriced",
    doc: "What pricing again came to. What was booked stays; corrections are kept beside it.",
    fields: &[
        required("corrected", COUNT, "How many attempts have a price now."),
        required("before_usd", Kind::SignedAmount, "What is booked for them."),
        required("after_usd", Kind::SignedAmount, "What they come to now."),
        required("price_version", Kind::Text, "The prices that were used."),
    ],
    about: None,
};

static ALARMS: Shape = Shape {
    name: "LedgerAlarms",
    doc: "What an operator has to look at when it is not zero.",
    fields: &[
        required(
            "torn_tails",
            COUNT,
            "Journal files whose last record was cut: normal after a crash.",
        ),
        required(
            "damaged_files",
            COUNT,
            "Journal files that were damaged in the middle.",
        ),
        required(
            "missing_records",
            COUNT,
            "Records that are missing because of that.",
        ),
        required("dead_letters", COUNT, "Entries that the store refused."),
        required(
            "write_failures",
            COUNT,
            "Writes of the journal that failed.",
        ),
        required("sync_failures", COUNT, "Syncs of the journal that failed."),
        required(
            "store_failures",
            COUNT,
            "Times that the store failed to take entries.",
        ),
        required(
            "parked",
            COUNT,
            "Endings that wait in memory to be written.",
        ),
    ],
    about: None,
};

pub(crate) static HEALTH: Shape = Shape {
    name: "LedgerHealth",
    doc: "How the ledger is.",
    fields: &[
        required("ready", Kind::Bool, "Whether new traffic should come here."),
        nullable(
            "refuses",
            Kind::Text,
            "Why new attempts are refused: `storage_full` or `storage_unavailable`.",
        ),
        nullable(
            "disk_error",
            Kind::Text,
            "What the disk said when it last failed.",
        ),
        nullable(
            "store_error",
            Kind::Text,
            "What the store says, while it fails.",
        ),
        required(
            "waiting_entries",
            COUNT,
            "Entries that are in the journal and not yet in the store.",
        ),
        required("waiting_bytes", COUNT, "Their size."),
        required("alarms", Kind::Object(&ALARMS), "What went wrong so far."),
    ],
    about: None,
};

static FINDING: Shape = Shape {
    name: "LedgerFinding",
    doc: "Something that must not be.",
    fields: &[
        required("rule", Kind::Text, "The rule that is broken."),
        required("message", Kind::Text, "Where, and how."),
    ],
    about: None,
};

pub(crate) static CHECK: Shape = Shape {
    name: "LedgerCheck",
    doc: "What a check of the whole ledger found.",
    fields: &[
        required("sound", Kind::Bool, "Whether nothing was found."),
        required("attempts", COUNT, "Attempts that were looked at."),
        required(
            "recomputed",
            COUNT,
            "Settled attempts whose cost was computed again, and was the same.",
        ),
        required("journal_files", COUNT, "Journal files that were read."),
        required("journal_records", COUNT, "Their records."),
        required(
            "findings",
            Kind::List(&FINDING),
            "What was found, the first thousand.",
        ),
    ],
    about: None,
};

const FROM: Field = optional("from", Kind::Time, "Admitted from then on.");
const TO: Field = optional("to", Kind::Time, "Admitted before then.");
const KEY: Field = optional("key", Kind::Text, "Of this key.");
const PROJECT: Field = optional("project", Kind::Text, "Of this project.");
const TEAM: Field = optional("team", Kind::Text, "Of this team.");
const MODEL: Field = optional(
    "model",
    Kind::Text,
    "Of this model, by the provider's name of it.",
);
const PROVIDER: Field = optional("provider", Kind::Text, "Of this provider.");
const ROUTE: Field = optional(
    "route",
    Kind::Text,
    "Of this model, by the name that callers use.",
);
const OPERATION: Field = optional("operation", Kind::Text, "Of this operation.");
const TAG: Field = optional("tag", Kind::Text, "With this tag, as `name:value`.");
const FORMAT: Field = optional(
    "format",
    Kind::Word(&["json", "csv"]),
    "`json` when left out.",
);

pub(crate) const USAGE_FILTER: &[Field] = &[
    optional(
        "group",
        Kind::Text,
        "What is added up by, at most four with commas between: `key`, `project`, `team`, `model`, `provider`, \
         `route`, `operation`, `day` (UTC), `tag:NAME`.",
    ),
    FROM,
    TO,
    KEY,
    PROJECT,
    TEAM,
    MODEL,
    PROVIDER,
    ROUTE,
    OPERATION,
    TAG,
    FORMAT,
];

pub(crate) const ATTEMPT_FILTER: &[Field] = &[
    optional("request_id", Kind::Text, "Of this call."),
    optional("state", Kind::Word(STATES), "In this state."),
    FROM,
    TO,
    KEY,
    PROJECT,
    TEAM,
    MODEL,
    PROVIDER,
    ROUTE,
    OPERATION,
    TAG,
    FORMAT,
    crate::PAGE_SIZE,
    crate::AFTER,
];

impl Shaped for Resolution {
    const SHAPE: &'static Shape = &RESOLUTION;
}
impl Shaped for Reprice {
    const SHAPE: &'static Shape = &REPRICE;
}

#[cfg(test)]
mod tests {
    use tollgate_policy::ledger::AttemptState;

    use super::STATES;

    #[test]
    fn the_states_are_those_of_the_ledger() {
        assert!(
            AttemptState::ALL
                .iter()
                .map(|state| state.as_str())
                .eq(STATES.iter().copied())
        );
    }
}
