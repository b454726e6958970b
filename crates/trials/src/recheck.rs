//! Judges refusals and admissions afterwards, from the ledger's rows, and from when clients had their answers.
//!
//! A refusal is wrong when even the dearest reading of the rows left room for the call all the time it was decided;
//! an admission is wrong when even the cheapest reading left none. What lies between the two stays undecided.

use std::collections::BTreeMap;

use crate::export::{Provenance, Row, State};
use crate::price::{Rates, dollars};

/// The rules that held during the trial, all of the scope `gateway`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) budget: i128,
    pub(crate) requests_per_minute: usize,
    pub(crate) concurrent: usize,
    /// Output alone costs, so that what a call needs is known from its cap.
    pub(crate) rates: Rates,
}

/// A refused call: when it was decided, and what it asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) max_tokens: u64,
}

/// How far instants of the ledger and of the client may be apart.
const SLACK_MS: i64 = 50;
const MINUTE_MS: i64 = 60_000;

/// When clients had the end of their answers, by request id, in milliseconds. A call is open until then, and not only
/// until its last attempt ended: it may wait for another one that is then refused, or for the disk.
pub(crate) type Ends = BTreeMap<String, i64>;

/// Why this refusal was wrong, if it was.
pub(crate) fn refusal(
    rules: &Rules,
    (rows, ends): (&[Row], &Ends),
    code: &str,
    asked: &Asked,
) -> Option<String> {
    let (from, to) = (asked.from_ms - SLACK_MS, asked.to_ms + SLACK_MS);
    match code {
        "insufficient_quota" | "budget_exceeded" => {
            let used: i128 = rows
                .iter()
                .filter(|row| row.admitted_at_ms <= to)
                .map(|row| dearest(row, from))
                .sum();
            let needed = i128::from(asked.max_tokens) * rules.rates.output / 1_000_000;
            (used + needed <= rules.budget).then(|| {
                format!(
                    "refused by the budget with at most ${} of ${} used and ${} needed",
                    dollars(used),
                    dollars(rules.budget),
                    dollars(needed)
                )
            })
        }
        "concurrency_limit_exceeded" => {
            let ends_by = |id: &str, end: i64| end.max(ends.get(id).copied().unwrap_or(end));
            let is_open = |(id, span): &(&str, Span)| {
                span.from <= to && span.to.is_none_or(|end| ends_by(id, end) >= from)
            };
            let open = spans(rows).into_iter().filter(is_open).count();
            (open < rules.concurrent).then(|| {
                format!(
                    "refused with at most {open} of {} calls open",
                    rules.concurrent
                )
            })
        }
        "rate_limit_exceeded" => {
            let is_recent = |span: &&Span| (from - MINUTE_MS..=to).contains(&span.from);
            let begun = spans(rows).values().filter(is_recent).count();
            (begun < rules.requests_per_minute).then(|| {
                format!(
                    "refused with at most {begun} of {} calls in the last minute",
                    rules.requests_per_minute
                )
            })
        }
        // Anthropic's errors have a type and no code: some rule must explain it.
        "rate_limit_error" => [
            "insufficient_quota",
            "concurrency_limit_exceeded",
            "rate_limit_exceeded",
        ]
        .map(|code| refusal(rules, (rows, ends), code, asked))
        .into_iter()
        .collect::<Option<Vec<String>>>()
        .map(|reasons| reasons.join("; ")),
        other => Some(format!(
            "refused with the code `{other}`, which no rule explains"
        )),
    }
}

/// What was admitted beyond a rule.
pub(crate) fn admissions(rules: &Rules, rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    let spent: i128 = rows
        .iter()
        .filter(|row| row.state == State::Settled)
        .filter_map(Row::cost)
        .sum();
    if spent > rules.budget {
        wrong.push(format!(
            "${} spent of ${}",
            dollars(spent),
            dollars(rules.budget)
        ));
    }
    let spans = spans(rows);
    let begun = most_within_a_minute(&spans);
    if begun > rules.requests_per_minute {
        let most = rules.requests_per_minute;
        wrong.push(format!("{begun} calls within a minute, at most {most}"));
    }
    let open = most_at_once(&spans);
    if open > rules.concurrent {
        wrong.push(format!(
            "{open} calls open at once, at most {}",
            rules.concurrent
        ));
    }
    wrong
}

/// A call from its admission to the end of its last attempt; without an end it may still be open.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    to: Option<i64>,
}

/// Calls, not attempts.
fn spans(rows: &[Row]) -> BTreeMap<&str, Span> {
    let mut spans: BTreeMap<&str, Span> = BTreeMap::new();
    for row in rows {
        let span = spans.entry(&row.request_id).or_insert(Span {
            from: row.admitted_at_ms,
            to: row.settled_at_ms,
        });
        span.from = span.from.min(row.admitted_at_ms);
        span.to = span.to.zip(row.settled_at_ms).map(|(a, b)| a.max(b));
    }
    spans
}

fn most_within_a_minute(spans: &BTreeMap<&str, Span>) -> usize {
    let mut begins: Vec<i64> = spans.values().map(|span| span.from).collect();
    begins.sort_unstable();
    // A millisecond less than a minute: the ledger's instants are cut to milliseconds.
    let within = |(index, from): (usize, &i64)| {
        begins.partition_point(|at| *at < from + MINUTE_MS - 1) - index
    };
    begins.iter().enumerate().map(within).max().unwrap_or(0)
}

/// Calls that were surely open together: each is taken a millisecond shorter on both sides.
fn most_at_once(spans: &BTreeMap<&str, Span>) -> usize {
    let mut changes: Vec<(i64, bool)> = Vec::new();
    for span in spans.values() {
        let (from, Some(to)) = (span.from + 1, span.to) else {
            continue;
        };
        if to - 1 > from {
            changes.extend([(from, true), (to - 1, false)]);
        }
    }
    // Ends before beginnings of the same millisecond.
    changes.sort_unstable();
    let (mut open, mut most) = (0_usize, 0);
    for (_, begins) in changes {
        open = if begins { open + 1 } else { open - 1 };
        most = most.max(open);
    }
    most
}

/// The most that a row can have counted for at this instant or later.
fn dearest(row: &Row, at: i64) -> i128 {
    let cost = row.cost().unwrap_or(0);
    match row.state {
        State::Released if row.settled_at_ms.is_some_and(|end| end < at) => 0,
        State::Settled
            if row.settled_at_ms.is_some_and(|end| end < at)
                && row.provenance == Some(Provenance::Reported) =>
        {
            cost
        }
        // Of what is not known exactly, nothing that was held is free again.
        _ => cost.max(row.held().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{CENT, DOLLAR, OUTPUT_ONLY};

    const RULES: Rules = Rules {
        budget: DOLLAR,
        requests_per_minute: 60,
        concurrent: 10,
        rates: OUTPUT_ONLY,
    };

    fn row(number: usize, from: i64, to: Option<i64>) -> Row {
        let line = format!(
            r#"{{"attempt":"r{number}-1","request_id":"r{number}","number":1,"state":"settled","output":1000,"provenance":"reported","cost_usd":"0.01","held_usd":"0.01","admitted_at_ms":{from},"settled_at_ms":{}}}"#,
            to.map_or("null".to_owned(), |to| to.to_string())
        );
        crate::export::rows(&line).unwrap().remove(0)
    }

    fn rows(count: usize, to: Option<i64>) -> Vec<Row> {
        (0..count).map(|number| row(number, 1000, to)).collect()
    }

    fn is_wrong(rows: &[Row], code: &str, at: i64) -> bool {
        let asked = Asked {
            from_ms: at,
            to_ms: at,
            max_tokens: 1000,
        };
        refusal(&RULES, (rows, &Ends::new()), code, &asked).is_some()
    }

    #[test]
    fn a_refusal_is_wrong_exactly_when_there_was_room() {
        assert!(is_wrong(&rows(99, Some(2000)), "insufficient_quota", 5000));
        assert!(!is_wrong(
            &rows(100, Some(2000)),
            "insufficient_quota",
            5000
        ));
        assert!(is_wrong(&rows(9, None), "concurrency_limit_exceeded", 5000));
        assert!(!is_wrong(
            &rows(10, None),
            "concurrency_limit_exceeded",
            5000
        ));
        assert!(is_wrong(
            &rows(10, Some(2000)),
            "concurrency_limit_exceeded",
            5000
        ));
        assert!(is_wrong(&rows(59, Some(2000)), "rate_limit_exceeded", 5000));
        assert!(!is_wrong(
            &rows(60, Some(2000)),
            "rate_limit_exceeded",
            5000
        ));
        assert!(is_wrong(
            &rows(60, Some(2000)),
            "rate_limit_exceeded",
            62_000
        ));
        assert!(is_wrong(&rows(60, None), "overloaded", 5000));
        assert!(is_wrong(&rows(9, None), "rate_limit_error", 5000));
        assert!(!is_wrong(&rows(10, None), "rate_limit_error", 5000));
    }

    #[test]
    fn a_call_is_open_until_its_client_has_the_end() {
        let asked = Asked {
            from_ms: 5000,
            to_ms: 5000,
            max_tokens: 1000,
        };
        let rows = rows(10, Some(2000));
        let judged = |end: i64| {
            let ends = Ends::from([("r3".to_owned(), end)]);
            refusal(&RULES, (&rows, &ends), "concurrency_limit_exceeded", &asked)
        };
        assert!(judged(4000).is_some_and(|why| why.contains("at most 0 of 10")));
        assert!(judged(5000).is_some_and(|why| why.contains("at most 1 of 10")));
    }

    #[test]
    fn admissions_beyond_a_rule_are_found() {
        assert!(admissions(&RULES, &rows(10, Some(2000))).is_empty());
        let found = admissions(&RULES, &rows(101, Some(2000)));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains(&dollars(101 * CENT)));
    }
}
