//! Budgets, limits, and how both stand.

use serde::{Deserialize, Serialize};

use crate::{
    Amount, Change, Shaped, Timestamp,
    schema::{Field, Kind, Shape, nullable, optional, required},
};

#[derive(Clone, Debug, Serialize)]
pub struct Budget {
    pub id: String,
    pub version: u64,
    pub scope: String,
    pub limit_usd: Amount,
    pub period: &'static str,
    pub zone: String,
    pub hard: bool,
    pub thresholds: Vec<u8>,
    pub relief: Option<Relief>,
}

/// Another limit of a budget for a while.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relief {
    pub limit_usd: Amount,
    pub until: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBudget {
    pub scope: String,
    pub limit_usd: Amount,
    pub period: String,
    #[serde(default)]
    pub zone: Option<String>,
    #[serde(default = "yes")]
    pub hard: bool,
    #[serde(default)]
    pub thresholds: Vec<u8>,
}

/// A budget with other figures; its scope and period stay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetBody {
    pub limit_usd: Amount,
    #[serde(default)]
    pub zone: Option<String>,
    #[serde(default = "yes")]
    pub hard: bool,
    #[serde(default)]
    pub thresholds: Vec<u8>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReliefRequest {
    #[serde(default)]
    pub relief: Change<Relief>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    pub id: String,
    pub version: u64,
    pub scope: String,
    pub measure: &'static str,
    pub most: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLimit {
    pub scope: String,
    pub measure: String,
    pub most: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitBody {
    pub most: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Standings {
    pub at: Timestamp,
    pub limits: Vec<LimitStanding>,
    pub budgets: Vec<BudgetStanding>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LimitStanding {
    pub id: String,
    pub scope: String,
    pub measure: &'static str,
    pub most: u64,
    pub used: u64,
    pub held: u64,
    pub remaining: u64,
    pub frees_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
pub struct BudgetStanding {
    pub id: String,
    pub scope: String,
    pub period: &'static str,
    pub hard: bool,
    pub limit_usd: Amount,
    pub posted_usd: Amount,
    pub held_usd: Amount,
    pub doubtful_usd: Amount,
    pub remaining_usd: Amount,
    pub from: Timestamp,
    pub until: Option<Timestamp>,
}

fn yes() -> bool {
    true
}

const PERIODS: &[&str] = &["day", "week", "month", "total"];
const MEASURES: &[&str] = &[
    "requests-per-second",
    "requests-per-minute",
    "requests-per-day",
    "tokens-per-second",
    "tokens-per-minute",
    "tokens-per-day",
    "input-tokens-per-second",
    "input-tokens-per-minute",
    "input-tokens-per-day",
    "output-tokens-per-second",
    "output-tokens-per-minute",
    "output-tokens-per-day",
    "concurrent-requests",
    "tokens-per-request",
];

const VERSION: Field = required(
    "version",
    Kind::Whole(0, u64::MAX),
    "Changes with every change; the `ETag` is this number in quotes.",
);
const SCOPE: Field = required(
    "scope",
    Kind::Text,
    "Whom it binds: `gateway`, `team:ID`, `project:ID`, `key:ID`, `model:NAME` or `provider:NAME`.",
);
const LIMIT_USD: Field = required(
    "limit_usd",
    Kind::Amount,
    "What may be spent in a period. 0 blocks everything; for no bound, have no budget. It may be larger than the \
     budget of a wider scope: each holds by itself, so the smallest decides.",
);
const PERIOD: Field = required(
    "period",
    Kind::Word(PERIODS),
    "How long it is for; a week begins on Monday.",
);
const ZONE: Field = required(
    "zone",
    Kind::Text,
    "The time zone of the period's borders, such as `Europe/Berlin`.",
);
const ZONE_IN: Field = nullable(
    "zone",
    Kind::Text,
    "The time zone of the period's borders, such as `Europe/Berlin`; `UTC` when left out.",
);
const HARD: Field = required(
    "hard",
    Kind::Bool,
    "A wall, or only something to be told of. A wall when left out.",
);
const THRESHOLDS: Field = required(
    "thresholds",
    Kind::Wholes(1, 200),
    "Shares of the limit in percent at which an alert is sent, each once in a period.",
);
const MEASURE: Field = required("measure", Kind::Word(MEASURES), "What it limits.");
const MOST: Field = required(
    "most",
    Kind::Whole(0, u64::MAX),
    "How much of it; 0 blocks.",
);
const ID: Field = required(
    "id",
    Kind::Text,
    "Its id, or its name in the configuration.",
);
const PERIOD_OUT: Field = required("period", Kind::Word(PERIODS), "How long it is for.");

pub(crate) static RELIEF: Shape = Shape {
    name: "Relief",
    doc: "Another limit of a budget until it expires.",
    fields: &[
        required("limit_usd", Kind::Amount, "What may be spent in its place."),
        required(
            "until",
            Kind::Time,
            "Until when; it must lie in the future.",
        ),
    ],
    about: None,
};

pub(crate) static BUDGET: Shape = Shape {
    name: "Budget",
    doc: "How much a scope may spend in a period. There is one for each scope and period.",
    fields: &[
        ID,
        VERSION,
        SCOPE,
        LIMIT_USD,
        PERIOD,
        ZONE,
        HARD,
        THRESHOLDS,
        nullable(
            "relief",
            Kind::Object(&RELIEF),
            "Another limit for a while.",
        ),
    ],
    about: None,
};

pub(crate) static BUDGETS: Shape = Shape {
    name: "BudgetList",
    doc: "Budgets, by id. Those of the configuration are in `standings`.",
    fields: &[
        required("data", Kind::List(&BUDGET), "The budgets of this page."),
        crate::NEXT,
    ],
    about: None,
};

pub(crate) static NEW_BUDGET: Shape = Shape {
    name: "NewBudget",
    doc: "A budget to be made.",
    fields: &[
        SCOPE,
        LIMIT_USD,
        PERIOD,
        ZONE_IN,
        HARD.optional(),
        THRESHOLDS.optional(),
    ],
    about: Some(&BUDGET),
};

pub(crate) static BUDGET_BODY: Shape = Shape {
    name: "BudgetBody",
    doc: "A budget's new figures. Its scope and its period stay; its relief does, too.",
    fields: &[LIMIT_USD, ZONE_IN, HARD.optional(), THRESHOLDS.optional()],
    about: Some(&BUDGET),
};

pub(crate) static RELIEF_REQUEST: Shape = Shape {
    name: "ReliefRequest",
    doc: "Gives a budget another limit for a while, or takes that back.",
    fields: &[nullable(
        "relief",
        Kind::Object(&RELIEF),
        "The other limit; null takes it back.",
    )],
    about: None,
};

pub(crate) static LIMIT: Shape = Shape {
    name: "Limit",
    doc: "How much of something a scope may use, how fast. There is one for each scope and measure.",
    fields: &[ID, VERSION, SCOPE, MEASURE, MOST],
    about: None,
};

pub(crate) static LIMITS: Shape = Shape {
    name: "LimitList",
    doc: "Limits, by id. Those of the configuration are in `standings`.",
    fields: &[
        required("data", Kind::List(&LIMIT), "The limits of this page."),
        crate::NEXT,
    ],
    about: None,
};

pub(crate) static NEW_LIMIT: Shape = Shape {
    name: "NewLimit",
    doc: "A limit to be made.",
    fields: &[SCOPE, MEASURE, MOST],
    about: Some(&LIMIT),
};

pub(crate) static LIMIT_BODY: Shape = Shape {
    name: "LimitBody",
    doc: "A limit's new size. Its scope and its measure stay.",
    fields: &[MOST],
    about: Some(&LIMIT),
};

pub(crate) static LIMIT_STANDING: Shape = Shape {
    name: "LimitStanding",
    doc: "How a limit stands now.",
    fields: &[
        ID,
        SCOPE,
        MEASURE,
        MOST,
        required(
            "used",
            Kind::Whole(0, u64::MAX),
            "By calls that have ended.",
        ),
        required(
            "held",
            Kind::Whole(0, u64::MAX),
            "By calls that have not ended.",
        ),
        required(
            "remaining",
            Kind::Whole(0, u64::MAX),
            "What may still be taken now.",
        ),
        nullable(
            "frees_at",
            Kind::Time,
            "When all of it is free again if nothing comes; null when it is, and where that does not depend on time.",
        ),
    ],
    about: None,
};

pub(crate) static BUDGET_STANDING: Shape = Shape {
    name: "BudgetStanding",
    doc: "How a budget stands now.",
    fields: &[
        ID,
        SCOPE,
        PERIOD_OUT,
        HARD,
        required(
            "limit_usd",
            Kind::Amount,
            "What is in force now: the relief, while there is one.",
        ),
        required("posted_usd", Kind::SignedAmount, "Booked costs."),
        required(
            "held_usd",
            Kind::SignedAmount,
            "The most that open calls can cost.",
        ),
        required(
            "doubtful_usd",
            Kind::SignedAmount,
            "What ended calls may have cost beyond what is booked, because their provider did not say exactly.",
        ),
        required("remaining_usd", Kind::Amount, "What may still be spent."),
        required("from", Kind::Time, "When the period began."),
        nullable("until", Kind::Time, "When it ends."),
    ],
    about: None,
};

pub(crate) static STANDINGS: Shape = Shape {
    name: "Standings",
    doc: "How limits and budgets stand, those of the configuration, too.",
    fields: &[
        required("at", Kind::Time, "When this was."),
        required(
            "limits",
            Kind::List(&LIMIT_STANDING),
            "The limits, but those of one request.",
        ),
        required("budgets", Kind::List(&BUDGET_STANDING), "The budgets."),
    ],
    about: None,
};

pub(crate) const FILTER: &[Field] = &[
    optional("scope", Kind::Text, "Those of this scope."),
    crate::PAGE_SIZE,
    crate::AFTER,
];
pub(crate) const STANDINGS_FILTER: &[Field] = &[optional(
    "scope",
    Kind::Text,
    "Those of this scope; all when left out.",
)];

impl Shaped for NewBudget {
    const SHAPE: &'static Shape = &NEW_BUDGET;
}
impl Shaped for BudgetBody {
    const SHAPE: &'static Shape = &BUDGET_BODY;
}
impl Shaped for ReliefRequest {
    const SHAPE: &'static Shape = &RELIEF_REQUEST;
}
impl Shaped for NewLimit {
    const SHAPE: &'static Shape = &NEW_LIMIT;
}
impl Shaped for LimitBody {
    const SHAPE: &'static Shape = &LIMIT_BODY;
}

#[cfg(test)]
mod tests {
    use tollgate_policy::rules::{Measure, Period};

    use super::{MEASURES, PERIODS};

    #[test]
    fn the_words_are_those_of_the_rules() {
        assert!(Measure::ALL.iter().map(|(word, _)| word).eq(MEASURES));
        assert!(Period::ALL.iter().map(|(word, _)| word).eq(PERIODS));
    }
}
