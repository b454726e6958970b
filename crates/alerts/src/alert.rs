//! The alerts there are: what each says, and the id that makes it one of a kind.
//!
//! Every text names what happened, whom it concerns, and what to do next.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use tollgate_base::{Money, UnixMillis, base62};
use tollgate_config::AlertEvent;
use tollgate_policy::scope::Scope;

use crate::pattern::Unusual;

/// Something that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Decided by the crossing alone (event, scope, window, threshold): the same crossing, found again after
    /// a restart, has the same id. Receivers use it to recognise a repetition.
    pub id: String,
    pub event: AlertEvent,
    pub severity: Severity,
    pub scope: Scope,
    pub at: UnixMillis,
    /// One line.
    pub title: String,
    /// What happened, and what to do next.
    pub text: String,
    /// The figures by name, for programs.
    pub fields: Vec<(String, String)>,
}

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    /// Somebody should look at it today.
    Warning,
    /// Calls are refused, or the books are in danger.
    Critical,
}

/// A budget that reached one of its thresholds.
#[derive(Clone, Copy, Debug)]
pub struct BudgetCrossing<'a> {
    pub scope: &'a Scope,
    pub budget: &'a str,
    /// In percent of the limit.
    pub threshold: u8,
    /// Settled in the period so far.
    pub posted: Money,
    pub limit: Money,
    /// A wall: what would go beyond it is refused.
    pub hard: bool,
    pub period_start: UnixMillis,
    /// `None` for a budget without an end.
    pub period_end: Option<UnixMillis>,
}

// === impl Severity ===

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

// === impl Alert ===

impl Alert {
    /// A budget reached a threshold. Once for each period, budget and threshold.
    pub fn budget_crossed(crossing: &BudgetCrossing<'_>, at: UnixMillis) -> Self {
        let BudgetCrossing {
            scope,
            budget,
            threshold,
            posted,
            limit,
            hard,
            period_start,
            period_end,
        } = *crossing;
        let is_spent = threshold >= 100;
        let until = period_end.map_or(String::new(), |end| format!(" until {}", date_time(end)));
        let next = match (is_spent, hard) {
            (true, true) => format!(
                "Calls of {scope} that would cost more are refused{until}. Raise the limit, or grant a relief: \
                 `tollgate budgets --help`."
            ),
            (true, false) => {
                format!(
                    "The budget is soft, so calls go on. It counts{until}; decide whether they should."
                )
            }
            (false, true) => format!(
                "At 100% its calls are refused{until}. See what spends it: `tollgate usage --help`."
            ),
            (false, false) => "See what spends it: `tollgate usage --help`.".to_owned(),
        };
        let mut fields = vec![
            ("budget".to_owned(), budget.to_owned()),
            ("threshold_percent".to_owned(), threshold.to_string()),
            ("posted_usd".to_owned(), posted.to_decimal()),
            ("limit_usd".to_owned(), limit.to_decimal()),
            ("hard".to_owned(), hard.to_string()),
            ("period_start".to_owned(), date_time(period_start)),
        ];
        fields.extend(period_end.map(|end| ("period_end".to_owned(), date_time(end))));
        Self::new(
            Facts {
                event: AlertEvent::Budget,
                severity: match (is_spent, hard) {
                    (true, true) => Severity::Critical,
                    _ => Severity::Warning,
                },
                scope: scope.clone(),
                at,
            },
            &[budget, &period_start.0.to_string(), &threshold.to_string()],
            &format!("Budget {budget} of {scope} reached {threshold}%"),
            format!("{posted} of {limit} are spent. {next}"),
            fields,
        )
    }

    /// A key spends several times what it usually does. Once for each hour at most.
    pub fn unusual_spend(key: &str, unusual: &Unusual, at: UnixMillis) -> Self {
        let Unusual {
            hour,
            spent,
            usual,
            limit,
        } = *unusual;
        Self::new(
            Facts {
                event: AlertEvent::Unusual,
                severity: Severity::Warning,
                scope: Scope::Key(key.to_owned()),
                at,
            },
            &[&hour.0.to_string()],
            &format!("Key {key} spends unusually much"),
            format!(
                "{spent} since {}; its usual hour costs up to {usual}, and {limit} is unusual. \
                 Ask its owner, or disable it: `tollgate keys --help`.",
                date_time(hour)
            ),
            vec![
                ("key".to_owned(), key.to_owned()),
                ("hour".to_owned(), date_time(hour)),
                ("spent_usd".to_owned(), spent.to_decimal()),
                ("usual_usd".to_owned(), usual.to_decimal()),
                ("alert_at_usd".to_owned(), limit.to_decimal()),
            ],
        )
    }

    /// The ledger cannot write as it should. `since` is when it began: once for each such time.
    pub fn ledger_degraded(reason: &str, since: UnixMillis, at: UnixMillis) -> Self {
        let reason = one_line(reason);
        Self::new(
            Facts::of_gateway(AlertEvent::Ledger, Severity::Critical, at),
            &["degraded", &since.0.to_string()],
            "The ledger is degraded",
            format!(
                "What calls cost cannot be written down: {reason}. Free the disk or repair the data folder; then check \
                 with `tollgate ledger verify`."
            ),
            vec![
                ("reason".to_owned(), reason),
                ("since".to_owned(), date_time(since)),
            ],
        )
    }

    /// The disk of the data folder is full, or nearly. `since` as in [`Alert::ledger_degraded`].
    pub fn storage_full(free_bytes: u64, since: UnixMillis, at: UnixMillis) -> Self {
        Self::new(
            Facts::of_gateway(AlertEvent::Storage, Severity::Critical, at),
            &["full", &since.0.to_string()],
            "The disk of the data folder is nearly full",
            format!(
                "{free_bytes} bytes are free. Make room, or move `data_dir`: a call whose cost cannot be written down \
                 is refused."
            ),
            vec![
                ("free_bytes".to_owned(), free_bytes.to_string()),
                ("since".to_owned(), date_time(since)),
            ],
        )
    }

    /// A call was booked without a price. Once for each target and version of the price book.
    pub fn unknown_price(target: &str, price_version: &str, at: UnixMillis) -> Self {
        let target = one_line(target);
        Self::new(
            Facts {
                event: AlertEvent::Price,
                severity: Severity::Warning,
                scope: Scope::Model(target.clone()),
                at,
            },
            &[price_version],
            &format!("No price is known for {target}"),
            format!(
                "Its calls are booked as calls of unknown cost, and no budget holds them. Write [prices.\"{target}\"], \
                 or update the price book: `tollgate prices --help`."
            ),
            vec![
                ("target".to_owned(), target.clone()),
                ("price_version".to_owned(), one_line(price_version)),
            ],
        )
    }

    /// Calls whose end is not known, found after a restart. Once for each start.
    pub fn unknown_outcomes(calls: u64, held: Money, started: UnixMillis, at: UnixMillis) -> Self {
        let calls_are = if calls == 1 {
            "1 call"
        } else {
            &format!("{calls} calls")
        };
        Self::new(
            Facts::of_gateway(AlertEvent::Outcome, Severity::Warning, at),
            &[&started.0.to_string()],
            &format!("{calls_are} of unknown outcome after a restart"),
            format!(
                "They were under way when the service ended, and hold {held} of budgets. Compare them with the \
                 provider's bill: `tollgate ledger --help`."
            ),
            vec![
                ("calls".to_owned(), calls.to_string()),
                ("held_usd".to_owned(), held.to_decimal()),
                ("started".to_owned(), date_time(started)),
            ],
        )
    }

    /// The audit log's chain does not hold at this entry. Once for each entry.
    pub fn audit_broken(entry: u64, at: UnixMillis) -> Self {
        Self::new(
            Facts::of_gateway(AlertEvent::Audit, Severity::Critical, at),
            &[&entry.to_string()],
            "The audit log was changed",
            format!(
                "Its chain breaks at entry {entry}: an entry was altered or removed. Keep the data folder as it is, and \
                 compare it with a backup: `tollgate audit --help`."
            ),
            vec![("entry".to_owned(), entry.to_string())],
        )
    }

    /// An alert that says that alerts arrive.
    pub fn test(channel: &str, at: UnixMillis) -> Self {
        Self::new(
            Facts::of_gateway(AlertEvent::Test, Severity::Info, at),
            &[channel, &at.0.to_string()],
            "Alerts of Tollgate arrive here",
            format!("This is a test of the channel {channel}. Nothing needs to be done."),
            vec![("channel".to_owned(), channel.to_owned())],
        )
    }

    fn new(
        facts: Facts,
        crossing: &[&str],
        title: &str,
        text: String,
        fields: Vec<(String, String)>,
    ) -> Self {
        let Facts {
            event,
            severity,
            scope,
            at,
        } = facts;
        Self {
            id: id(event, &scope, crossing),
            event,
            severity,
            title: one_line(title),
            scope,
            at,
            text,
            fields,
        }
    }
}

/// What every alert has beside its words.
struct Facts {
    event: AlertEvent,
    severity: Severity,
    scope: Scope,
    at: UnixMillis,
}

impl Facts {
    fn of_gateway(event: AlertEvent, severity: Severity, at: UnixMillis) -> Self {
        Self {
            event,
            severity,
            scope: Scope::Gateway,
            at,
        }
    }
}

/// A digest, because a name of a budget or a target may hold anything and an id goes into headers.
fn id(event: AlertEvent, scope: &Scope, crossing: &[&str]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [event.as_str(), &scope.to_string()].iter().chain(crossing) {
        // With its length in front, so that no two lists of parts run together alike.
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finish();
    let mut first = [0; 16];
    for (to, from) in first.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    let mut id = "alert_".to_owned();
    base62(u128::from_be_bytes(first), 22, &mut id);
    id
}

/// Text that stays on its line, whatever it was made of.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// `2026-11-21T08:00:00Z`
pub(crate) fn date_time(at: UnixMillis) -> String {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};

    i64::try_from(at.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.0.to_string())
}
