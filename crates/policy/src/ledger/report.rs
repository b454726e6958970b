//! What is asked of the ledger: lists of attempts, and sums over them. The sums are always computed from
//! the attempts themselves; nothing keeps a running total.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_base::{Money, UnixMillis};

use super::{Attempt, AttemptState, Correction};

/// What attempts are added up by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    Key,
    Project,
    Team,
    Model,
    Provider,
    Route,
    Operation,
    /// The UTC day of the admission, `2026-01-31`.
    Day,
    /// A tag of the caller's, by its name. Attempts without it stand under the empty value.
    Tag(String),
}

/// Which attempts are meant. Every field that is given has to match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// By admission: from, inclusive; to, exclusive.
    pub from: Option<UnixMillis>,
    pub to: Option<UnixMillis>,
    pub key_id: Option<String>,
    pub project_id: Option<String>,
    pub team_id: Option<String>,
    pub model: Option<String>,
    pub provider: Option<String>,
    pub route: Option<String>,
    pub operation: Option<String>,
    pub request_id: Option<String>,
    pub state: Option<AttemptState>,
    /// A tag's name and value.
    pub tag: Option<(String, String)>,
}

/// A page of attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptQuery {
    pub filter: AttemptFilter,
    /// The newest first, else in the order in which they came.
    pub newest_first: bool,
    /// The place of the last attempt of the page before.
    pub after: Option<u64>,
    pub limit: usize,
}

/// One attempt of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its place in the store, in order of arrival: the next page begins after it.
    pub place: u64,
    pub attempt: Attempt,
    /// The latest correction.
    pub correction: Option<Correction>,
}

/// Sums wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportQuery {
    pub groups: Vec<Group>,
    pub filter: AttemptFilter,
}

/// Sums over the attempts of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportRow {
    /// One value for each group that was asked for.
    pub values: Vec<String>,
    /// Calls, however often each was tried.
    pub requests: u64,
    pub attempts: u64,
    /// Everything that went in, tokens of the prompt cache too.
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// The parts of the input that were read from a prompt cache and written to one.
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    /// Costs of attempts whose usage the provider reported.
    pub cost_reported: Money,
    /// Costs of attempts whose usage was counted here, in part or whole, or that were resolved by hand.
    pub cost_estimated: Money,
    /// Both costs, with each corrected attempt at its corrected price.
    pub cost_corrected: Money,
    /// Attempts that were settled without a price: no cost contains them.
    pub unpriced: u64,
    /// Attempts of which nobody knows how they ended, and what is held for them.
    pub unknown: u64,
    pub held_unknown: Money,
}

// === impl Group ===

impl Group {
    /// Reads `key`, `project`, `team`, `model`, `provider`, `route`, `operation`, `day` or `tag:NAME`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "key" => Group::Key,
            "project" => Group::Project,
            "team" => Group::Team,
            "model" => Group::Model,
            "provider" => Group::Provider,
            "route" => Group::Route,
            "operation" => Group::Operation,
            "day" => Group::Day,
            _ => Group::Tag(
                text.strip_prefix("tag:")
                    .filter(|name| !name.is_empty())?
                    .to_owned(),
            ),
        })
    }

    /// What `attempt` has for it; empty when it has nothing.
    pub fn value_of(&self, attempt: &Attempt) -> String {
        let opening = &attempt.opening;
        match self {
            Group::Key => opening.key_id.clone(),
            Group::Project => opening.project_id.clone().unwrap_or_default(),
            Group::Team => opening.team_id.clone().unwrap_or_default(),
            Group::Model => opening.model.clone(),
            Group::Provider => opening.provider.clone(),
            Group::Route => opening.route.clone(),
            Group::Operation => opening.operation.clone(),
            Group::Day => day_of(opening.at),
            Group::Tag(name) => tag(attempt, name).unwrap_or_default().to_owned(),
        }
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Group::Key => "key",
            Group::Project => "project",
            Group::Team => "team",
            Group::Model => "model",
            Group::Provider => "provider",
            Group::Route => "route",
            Group::Operation => "operation",
            Group::Day => "day",
            Group::Tag(name) => return write!(f, "tag:{name}"),
        })
    }
}

// === impl AttemptFilter ===

impl AttemptFilter {
    pub fn matches(&self, attempt: &Attempt) -> bool {
        let opening = &attempt.opening;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == found
        };
        self.from.is_none_or(|from| opening.at >= from)
            && self.to.is_none_or(|to| opening.at < to)
            && self.state.is_none_or(|state| attempt.state == state)
            && is(&self.key_id, Some(&opening.key_id))
            && is(&self.project_id, opening.project_id.as_deref())
            && is(&self.team_id, opening.team_id.as_deref())
            && is(&self.model, Some(&opening.model))
            && is(&self.provider, Some(&opening.provider))
            && is(&self.route, Some(&opening.route))
            && is(&self.operation, Some(&opening.operation))
            && is(&self.request_id, Some(&opening.id.request_id))
            && self
                .tag
                .as_ref()
                .is_none_or(|(name, value)| tag(attempt, name) == Some(value))
    }
}

/// The first tag of that name.
fn tag<'a>(attempt: &'a Attempt, name: &str) -> Option<&'a str> {
    let tags = &attempt.opening.tags;
    let found = tags.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

// === impl ReportRow ===

impl ReportRow {
    /// Adds one attempt; counting requests is left to who knows which attempts belong together.
    pub fn add(&mut self, attempt: &Attempt, correction: Option<&Correction>) {
        self.attempts += 1;
        if let Some(settlement) = &attempt.settlement {
            let usage = &settlement.usage;
            let writes = [usage.cache_write, usage.cache_write_1h];
            let sum = |total: &mut u64, more: u64| *total = total.saturating_add(more);
            sum(&mut self.input_tokens, usage.input_total());
            sum(&mut self.output_tokens, usage.output_total());
            sum(&mut self.cache_read_tokens, usage.cache_read.unwrap_or(0));
            for write in writes.into_iter().flatten() {
                sum(&mut self.cache_write_tokens, write);
            }
        }
        let cost = attempt.cost().unwrap_or_default();
        if attempt.is_reported() {
            self.cost_reported += cost;
        } else {
            self.cost_estimated += cost;
        }
        self.cost_corrected += correction.map_or(cost, |correction| correction.cost);
        self.unpriced += u64::from(attempt.is_unpriced());
        if attempt.state == AttemptState::Unknown {
            self.unknown += 1;
            self.held_unknown += attempt.opening.held.unwrap_or_default();
        }
    }

    /// Everything that was booked.
    pub fn cost(&self) -> Money {
        self.cost_reported.plus(self.cost_estimated)
    }
}

/// Adds up the attempts that match: what every store's own way to do it has to come to.
pub fn sum_up<'a>(
    query: &ReportQuery,
    attempts: impl IntoIterator<Item = (&'a Attempt, Option<&'a Correction>)>,
) -> Vec<ReportRow> {
    let mut sums: BTreeMap<Vec<String>, (ReportRow, BTreeSet<&str>)> = BTreeMap::new();
    for (attempt, correction) in attempts {
        if !query.filter.matches(attempt) {
            continue;
        }
        let values = query.groups.iter().map(|group| group.value_of(attempt));
        let (row, requests) = sums.entry(values.collect()).or_default();
        row.add(attempt, correction);
        requests.insert(&attempt.opening.id.request_id);
    }
    let rows = sums.into_iter().map(|(values, (row, requests))| ReportRow {
        values,
        requests: requests.len() as u64,
        ..row
    });
    rows.collect()
}

/// The UTC day of an instant, `2026-01-31`.
///
/// Days since 1970 become a date by Howard Hinnant's `civil_from_days`, in years that begin in March so
/// that the leap day is the last (<https://howardhinnant.github.io/date_algorithms.html>).
pub fn day_of(at: UnixMillis) -> String {
    let days = at.as_secs() / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
