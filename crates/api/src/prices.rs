//! Prices, what a workload would cost, whether a call would be admitted, and the settings in force.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Amount, Shaped, Timestamp,
    schema::{Field, Kind, Shape, nullable, optional, required},
};

#[derive(Clone, Debug, Serialize)]
pub struct Prices {
    pub version: String,
    pub as_of: String,
    pub data: Vec<Price>,
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Price {
    pub model: String,
    pub figures: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    pub model: String,
    pub requests_per_day: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    #[serde(default)]
    pub days: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    pub cost_usd: Amount,
    pub days: u64,
    pub price_version: String,
    pub as_of: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    pub model: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
    #[serde(default)]
    pub key_id: Option<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct WhatIfAnswer {
    pub admitted: bool,
    pub target: String,
    pub most_usd: Option<Amount>,
    pub price_version: String,
    pub refused_by: Option<WhatIfRefusal>,
}

#[derive(Clone, Debug, Serialize)]
pub struct WhatIfRefusal {
    pub rule: String,
    pub scope: String,
    pub code: String,
    pub message: String,
    pub retry_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
pub struct EffectiveConfig {
    pub toml: String,
}

const COUNT: Kind = Kind::Whole(0, 1_000_000_000_000);
const MODEL: Field = required("model", Kind::Text, "The model, as `provider/model`.");
const INPUT: Field = required("input_tokens", COUNT, "Tokens of one request.");
const OUTPUT: Field = required("output_tokens", COUNT, "Tokens of one answer.");
const VERSION: Field = required("price_version", Kind::Text, "The prices that were used.");

static PRICE: Shape = Shape {
    name: "Price",
    doc: "What a model costs.",
    fields: &[
        MODEL,
        required(
            "figures",
            Kind::Texted,
            "Dollars for a million units, exact, by their path in a price file: `input`, `batch.output`, …",
        ),
    ],
    about: None,
};

pub(crate) static PRICES: Shape = Shape {
    name: "PriceList",
    doc: "Prices in force, by model.",
    fields: &[
        required(
            "version",
            Kind::Text,
            "The version of the prices, that attempts are booked with.",
        ),
        required("as_of", Kind::Text, "The day of the prices."),
        required("data", Kind::List(&PRICE), "The prices of this page."),
        crate::NEXT,
    ],
    about: None,
};

pub(crate) static PROJECTION: Shape = Shape {
    name: "Projection",
    doc: "Requests that are all alike.",
    fields: &[
        MODEL,
        required("requests_per_day", COUNT, "How many there are in a day."),
        INPUT,
        OUTPUT,
        optional(
            "days",
            Kind::Whole(1, 3660),
            "For how many days; 30 when left out.",
        ),
    ],
    about: None,
};

pub(crate) static FORECAST: Shape = Shape {
    name: "Forecast",
    doc: "What they cost at the standard prices.",
    fields: &[
        required("cost_usd", Kind::Amount, "All together."),
        required("days", COUNT, "For how many days."),
        VERSION,
        required("as_of", Kind::Text, "The day of the prices."),
    ],
    about: None,
};

pub(crate) static WHAT_IF: Shape = Shape {
    name: "WhatIf",
    doc: "A call that is not made.",
    fields: &[
        required(
            "model",
            Kind::Text,
            "The model, as callers name it, or as `provider/model`.",
        ),
        INPUT,
        OUTPUT,
        nullable(
            "key_id",
            Kind::Text,
            "The key that would call; its project and team count, too.",
        ),
        optional(
            "scopes",
            Kind::Texts,
            "More scopes that the call would lie in.",
        ),
    ],
    about: None,
};

static WHAT_IF_REFUSAL: Shape = Shape {
    name: "WhatIfRefusal",
    doc: "What stands in the call's way.",
    fields: &[
        required(
            "rule",
            Kind::Text,
            "The id of the limit or budget; empty where none is.",
        ),
        required(
            "scope",
            Kind::Text,
            "Whom it binds; empty where it is no rule.",
        ),
        required("code", Kind::Text, "The code that the caller would get."),
        required("message", Kind::Text, "What the caller would read."),
        nullable(
            "retry_at",
            Kind::Time,
            "When the call would be admitted, if no other comes first.",
        ),
    ],
    about: None,
};

pub(crate) static WHAT_IF_ANSWER: Shape = Shape {
    name: "WhatIfAnswer",
    doc: "What would become of the call.",
    fields: &[
        required("admitted", Kind::Bool, "Whether it would begin."),
        required("target", Kind::Text, "Who would be asked first."),
        nullable(
            "most_usd",
            Kind::Amount,
            "The most that it could cost; null when the price is not known.",
        ),
        VERSION,
        nullable(
            "refused_by",
            Kind::Object(&WHAT_IF_REFUSAL),
            "What stands in its way.",
        ),
    ],
    about: None,
};

pub(crate) static CONFIG: Shape = Shape {
    name: "EffectiveConfig",
    doc: "The settings in force.",
    fields: &[required(
        "toml",
        Kind::Text,
        "As a settings file, with its secrets masked.",
    )],
    about: None,
};

pub(crate) const FILTER: &[Field] = &[
    optional(
        "model",
        Kind::Text,
        "Of this model, as `provider/model`; its overrides count.",
    ),
    crate::PAGE_SIZE,
    crate::AFTER,
];

impl Shaped for Projection {
    const SHAPE: &'static Shape = &PROJECTION;
}
impl Shaped for WhatIf {
    const SHAPE: &'static Shape = &WHAT_IF;
}
