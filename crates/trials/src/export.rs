//! The ledger as it is exported: the one place that knows the export's form.

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_testkit::BilledUsage;

use crate::price::nanos;

/// One attempt as `tollgate ledger export --format jsonl` prints it. Fields that no trial reads are left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    /// `<request id>-<number>`, as the provider was told it.
    pub(crate) attempt: String,
    pub(crate) request_id: String,
    pub(crate) number: u32,
    pub(crate) state: State,
    #[serde(default)]
    pub(crate) outcome: Option<Outcome>,
    #[serde(default)]
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) provider: String,
    #[serde(default)]
    pub(crate) input: u64,
    #[serde(default)]
    pub(crate) cache_read: Option<u64>,
    #[serde(default)]
    pub(crate) cache_write: Option<u64>,
    #[serde(default)]
    pub(crate) cache_write_1h: Option<u64>,
    #[serde(default)]
    pub(crate) output: u64,
    #[serde(default)]
    pub(crate) reasoning: Option<u64>,
    #[serde(default)]
    pub(crate) provenance: Option<Provenance>,
    /// Dollars in plain decimal notation; `None`: the price is not known.
    #[serde(default)]
    pub(crate) cost_usd: Option<String>,
    #[serde(default)]
    pub(crate) held_usd: Option<String>,
    pub(crate) admitted_at_ms: i64,
    #[serde(default)]
    pub(crate) settled_at_ms: Option<i64>,
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Held,
    Dispatched,
    Settled,
    Released,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Complete,
    Failed,
    ClientGone,
    CacheHit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Provenance {
    Reported,
    Partial,
    Estimated,
    Unknown,
}

/// What `tollgate ledger verify --json` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Verified {
    pub(crate) findings: Vec<serde_json::Value>,
}

impl Row {
    /// The row's buckets in the oracle's words; what was not reported counts as none.
    pub(crate) fn bill(&self) -> BilledUsage {
        BilledUsage {
            input: self.input,
            cache_read: self.cache_read.unwrap_or(0),
            cache_write_5m: self.cache_write.unwrap_or(0),
            cache_write_1h: self.cache_write_1h.unwrap_or(0),
            output: self.output,
            reasoning: self.reasoning.unwrap_or(0),
        }
    }

    pub(crate) fn cost(&self) -> Option<i128> {
        self.cost_usd.as_deref().and_then(nanos)
    }

    pub(crate) fn held(&self) -> Option<i128> {
        self.held_usd.as_deref().and_then(nanos)
    }
}

/// Reads an export, one JSON object a line. An amount that is no decimal number is an error, not an unknown price.
pub(crate) fn rows(text: &str) -> Result<Vec<Row>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            let row: Row = serde_json::from_str(line)
                .map_err(|error| format!("line {} of the export: {error}: {line}", index + 1))?;
            for amount in [&row.cost_usd, &row.held_usd].into_iter().flatten() {
                if nanos(amount).is_none() {
                    return Err(format!(
                        "line {} of the export: `{amount}` is no amount in dollars",
                        index + 1
                    ));
                }
            }
            Ok(row)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"attempt":"req_1-2","request_id":"req_1","number":2,"state":"settled","outcome":"client_gone","key_id":"key_1","route":"oracle/text","provider":"oracle","model":"text","input":20,"cache_read":1000,"cache_write":null,"cache_write_1h":30,"output":40,"reasoning":null,"audio_input":null,"audio_output":null,"provenance":"partial","cost_usd":"0.000123","held_usd":null,"price_version":"settings","admitted_at_ms":5,"settled_at_ms":9,"tags":{"run":"a"}}"#;

    #[test]
    fn a_line_of_the_export_is_read_whole() {
        let found = rows(&format!("{LINE}\n\n{LINE}\n")).unwrap();
        assert_eq!(found.len(), 2);
        let row = &found[0];
        assert_eq!((row.attempt.as_str(), row.number), ("req_1-2", 2));
        assert_eq!(
            (row.state, row.outcome, row.provenance),
            (
                State::Settled,
                Some(Outcome::ClientGone),
                Some(Provenance::Partial)
            )
        );
        assert_eq!((row.cost(), row.held()), (Some(123_000), None));
        assert_eq!(row.bill().cache_read, 1000);
        assert_eq!(row.tags["run"], "a");
    }

    #[test]
    fn what_is_no_export_is_an_error_with_its_line() {
        let bad = LINE.replace("0.000123", "1.2e-4");
        assert!(
            rows(&format!("{LINE}\n{bad}"))
                .unwrap_err()
                .contains("line 2")
        );
        let bad = LINE.replace("settled\"", "lost\"");
        assert!(rows(&bad).unwrap_err().contains("line 1"));
    }
}
