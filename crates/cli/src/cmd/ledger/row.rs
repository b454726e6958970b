//! One attempt as `tollgate ledger` prints it, in JSON and in CSV.

use std::collections::BTreeMap;

use serde::Serialize;
use tollgate_base::Usage;
use tollgate_ledger::report::csv_line;
use tollgate_policy::ledger::{Attempt, Listed};

use crate::{table::plain, time};

/// The fields, as they are named outside.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    attempt: String,
    request_id: &'a str,
    number: u32,
    state: &'static str,
    outcome: Option<&'static str>,
    key_id: &'a str,
    route: &'a str,
    provider: &'a str,
    model: &'a str,
    operation: &'a str,
    input: u64,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
    output: u64,
    reasoning: Option<u64>,
    audio_input: Option<u64>,
    audio_output: Option<u64>,
    provenance: &'static str,
    cost_usd: Option<String>,
    held_usd: Option<String>,
    price_version: &'a str,
    admitted_at_ms: u64,
    settled_at_ms: Option<u64>,
    tags: BTreeMap<&'a str, &'a str>,
}

impl<'a> Row<'a> {
    /// The names of the columns, in their order.
    pub(super) const NAMES: [&'static str; 25] = [
        "attempt",
        "request_id",
        "number",
        "state",
        "outcome",
        "key_id",
        "route",
        "provider",
        "model",
        "operation",
        "input",
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "output",
        "reasoning",
        "audio_input",
        "audio_output",
        "provenance",
        "cost_usd",
        "held_usd",
        "price_version",
        "admitted_at_ms",
        "settled_at_ms",
        "tags",
    ];

    pub(super) fn of(attempt: &'a Attempt) -> Self {
        let opening = &attempt.opening;
        let settlement = attempt.settlement.as_ref();
        let usage = settlement.map_or_else(Usage::default, |settlement| settlement.usage);
        let settled_at = match (settlement, attempt.resolved) {
            (Some(settlement), _) => Some(settlement.at.0),
            (None, resolved) => resolved.map(|(at, _)| at.0),
        };
        Self {
            attempt: opening.id.to_string(),
            request_id: &opening.id.request_id,
            number: opening.id.number,
            state: attempt.state.as_str(),
            outcome: settlement.map(|settlement| settlement.outcome.as_str()),
            key_id: &opening.key_id,
            route: &opening.route,
            provider: &opening.provider,
            model: &opening.model,
            operation: &opening.operation,
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
            cache_write_1h: usage.cache_write_1h,
            output: usage.output,
            reasoning: usage.reasoning,
            audio_input: usage.audio_input,
            audio_output: usage.audio_output,
            provenance: usage.provenance.as_str(),
            cost_usd: attempt.cost().map(tollgate_base::Money::to_decimal),
            held_usd: opening.held.map(tollgate_base::Money::to_decimal),
            price_version: &opening.price_version,
            admitted_at_ms: opening.at.0,
            settled_at_ms: settled_at,
            tags: opening
                .tags
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        }
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// One line of CSV, its end included. The tags are JSON in one field.
    pub(super) fn csv(&self) -> String {
        let number =
            |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let text = str::to_owned;
        let fields = [
            self.attempt.clone(),
            text(self.request_id),
            self.number.to_string(),
            text(self.state),
            text(self.outcome.unwrap_or_default()),
            text(self.key_id),
            text(self.route),
            text(self.provider),
            text(self.model),
            text(self.operation),
            self.input.to_string(),
            number(self.cache_read),
            number(self.cache_write),
            number(self.cache_write_1h),
            self.output.to_string(),
            number(self.reasoning),
            number(self.audio_input),
            number(self.audio_output),
            text(self.provenance),
            self.cost_usd.clone().unwrap_or_default(),
            self.held_usd.clone().unwrap_or_default(),
            text(self.price_version),
            self.admitted_at_ms.to_string(),
            number(self.settled_at_ms),
            serde_json::to_string(&self.tags).unwrap_or_default(),
        ];
        let mut line = String::new();
        csv_line(fields.into_iter(), &mut line);
        line
    }

    /// For people: what there is, a field on each line, and what only they ask for.
    pub(super) fn lines(&self, listed: &Listed) -> String {
        let attempt = &listed.attempt;
        let settlement = attempt.settlement.as_ref();
        let tags: Vec<String> = self
            .tags
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let known = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let [input, output] = self.token_texts();
        let has_usage = settlement.is_some();
        let fields = [
            ("attempt", self.attempt.clone()),
            ("state", self.state.to_owned()),
            ("outcome", known(self.outcome)),
            (
                "error",
                settlement
                    .map(|settlement| settlement.code.clone())
                    .unwrap_or_default(),
            ),
            ("admitted", time::shown(attempt.opening.at)),
            (
                "settled",
                time::shown_or_not(self.settled_at_ms.map(tollgate_base::UnixMillis)),
            ),
            ("key", self.key_id.to_owned()),
            ("project", known(attempt.opening.project_id.as_deref())),
            ("team", known(attempt.opening.team_id.as_deref())),
            ("route", self.route.to_owned()),
            ("model", format!("{}/{}", self.provider, self.model)),
            ("operation", self.operation.to_owned()),
            ("tags", tags.join(", ")),
            ("input tokens", input),
            ("output tokens", output),
            (
                "usage",
                if has_usage {
                    self.provenance.to_owned()
                } else {
                    String::new()
                },
            ),
            (
                "held",
                attempt
                    .opening
                    .held
                    .map(|held| held.to_string())
                    .unwrap_or_default(),
            ),
            (
                "cost",
                attempt
                    .cost()
                    .map(|cost| cost.to_string())
                    .unwrap_or_default(),
            ),
            (
                "corrected",
                listed
                    .correction
                    .as_ref()
                    .map(|it| it.cost.to_string())
                    .unwrap_or_default(),
            ),
            (
                "unit prices",
                settlement
                    .map(|settlement| settlement.unit_prices.clone())
                    .unwrap_or_default(),
            ),
            ("price version", self.price_version.to_owned()),
        ];
        let lines = fields.into_iter().filter(|(_, text)| !text.is_empty());
        lines
            .map(|(name, text)| format!("{name:13}  {}", plain(&text)))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// What went in and came out, with the parts that were told apart. Nothing before the end.
    fn token_texts(&self) -> [String; 2] {
        let tokens = |count: u64, parts: &[(&str, Option<u64>)]| {
            let parts = parts
                .iter()
                .filter_map(|(name, part)| Some((name, (*part)?)));
            parts.fold(count.to_string(), |text, (name, part)| {
                format!("{text}, {name} {part}")
            })
        };
        if self.outcome.is_none() {
            return Default::default();
        }
        let inputs = [
            ("read from a cache", self.cache_read),
            ("written to one", self.cache_write),
            ("written for an hour", self.cache_write_1h),
            ("audio", self.audio_input),
        ];
        let outputs = [("reasoning", self.reasoning), ("audio", self.audio_output)];
        [tokens(self.input, &inputs), tokens(self.output, &outputs)]
    }

    /// The line of names.
    pub(super) fn csv_names() -> String {
        let mut line = String::new();
        csv_line(Self::NAMES.into_iter().map(str::to_owned), &mut line);
        line
    }
}
