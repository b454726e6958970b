//! The check of what the ledger says against itself. It reads, and changes nothing.
//!
//! It looks at every attempt (its state fits what is known of it, its cost is what its usage comes to at its
//! own unit prices), at the sums (by each dimension they come to the same total) and at the journal's files
//! (every checksum, no gap in the numbers).

use std::{collections::HashSet, fs, io, path::Path};

use tollgate_base::{Rate, Result, Usage};
use tollgate_policy::ledger::{
    Attempt, AttemptFilter, AttemptQuery, AttemptState, Cost, Group, LedgerStore, ReportQuery,
    ReportRow,
};

use crate::{
    dead,
    journal::file_number,
    segment::{self, Around, Damage},
};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken, in one word that stays.
    pub rule: &'static str,
    pub message: String,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub attempts: u64,
    /// Settled attempts whose cost could be computed again, and was the same.
    pub recomputed: u64,
    pub journal_files: u64,
    pub journal_records: u64,
    pub findings: Vec<Finding>,
}

const PAGE: usize = 1_000;

/// Checks a store.
pub fn verify(store: &dyn LedgerStore) -> Result<Verified> {
    let mut verified = Verified::default();
    let mut seen = HashSet::new();
    let mut query = AttemptQuery {
        filter: AttemptFilter::default(),
        newest_first: false,
        after: None,
        limit: PAGE,
    };
    loop {
        let page = store.attempts(&query)?;
        let Some(last) = page.last() else {
            break;
        };
        query.after = Some(last.place);
        for listed in &page {
            verified.attempts += 1;
            if !seen.insert(listed.attempt.opening.id.clone()) {
                verified.find(&listed.attempt, "duplicate", "stands in the ledger twice");
            }
            verified.attempt(&listed.attempt);
        }
    }
    verified.sums(store)?;
    Ok(verified)
}

/// Checks the journal's files and the dead letters of a data folder, and adds to `verified`. The file that a
/// running process writes may end in the middle of a record, and files that it has no use for any more may vanish;
/// that is no finding, and neither is a data folder without a journal.
pub fn verify_journal(data: &Path, verified: &mut Verified) -> io::Result<()> {
    let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let folder = match fs::read_dir(data.join("journal")) {
        Err(error) if is_absent(&error) => return Ok(()),
        folder => folder?,
    };
    let mut scans = Vec::new();
    for file in folder {
        let path = file?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.extension().is_some_and(|end| end == "damaged") {
            verified.add("journal", format!("{name} was damaged and is kept aside"));
        }
        if file_number(&path).is_none() {
            continue;
        }
        let bytes = match fs::read(&path) {
            Err(error) if is_absent(&error) => continue,
            bytes => bytes?,
        };
        let scan = segment::scan(&bytes);
        verified.journal_files += 1;
        verified.journal_records += scan.records.len() as u64;
        scans.push((name, scan));
    }
    scans.sort_by(|(a, _), (b, _)| a.cmp(b));
    let synced = scans.iter().map(|(_, scan)| scan.synced).max();
    let mut around = Around {
        synced: synced.unwrap_or(0),
        before: 0,
    };
    for (name, scan) in scans {
        let Damage {
            is_headless,
            bytes,
            missing,
        } = scan.damage(around);
        around.before = around.before.max(scan.last());
        if is_headless {
            verified.add("journal", format!("{name} has no readable beginning"));
        }
        if bytes > 0 || missing > 0 {
            let text = format!("{name} has {bytes} damaged bytes and {missing} missing records");
            verified.add("journal", text);
        }
    }
    for letter in dead::dead_letters(data)? {
        let text = format!(
            "record {} of attempt {} was refused: {}",
            letter.number,
            letter.entry.id(),
            letter.reason
        );
        verified.add("dead-letter", text);
    }
    Ok(())
}

impl Verified {
    fn add(&mut self, rule: &'static str, message: String) {
        self.findings.push(Finding { rule, message });
    }

    fn find(&mut self, attempt: &Attempt, rule: &'static str, what: &str) {
        self.add(rule, format!("attempt {} {what}", attempt.opening.id));
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let (settled, resolved) = (attempt.settlement.is_some(), attempt.resolved.is_some());
        let fits = match attempt.state {
            AttemptState::Held | AttemptState::Released | AttemptState::Dispatched => {
                !settled && !resolved && attempt.lost_at.is_none()
            }
            AttemptState::Unknown => !settled && !resolved && attempt.lost_at.is_some(),
            AttemptState::Settled => settled != resolved,
        };
        if !fits {
            self.find(
                attempt,
                "state",
                "is in a state that what is known of it contradicts",
            );
        }
        let Some(settlement) = &attempt.settlement else {
            return;
        };
        if settlement.at < attempt.opening.at {
            self.find(attempt, "time", "ended before it was admitted");
        }
        match (
            settlement.cost,
            recompute(&settlement.usage, &settlement.unit_prices),
        ) {
            (Cost::Known(cost), Some(again)) if cost != again => {
                let what = format!("is booked with {cost}, and its usage comes to {again}");
                self.find(attempt, "cost", &what);
            }
            (Cost::Known(_), Some(_)) => self.recomputed += 1,
            (Cost::Known(cost), None) if cost.nanos() < 0 => {
                self.find(attempt, "cost", "costs less than nothing");
            }
            (Cost::Known(_) | Cost::Unknown, _) => {}
        }
    }

    /// By each dimension, the sums come to the whole.
    fn sums(&mut self, store: &dyn LedgerStore) -> Result<()> {
        let whole = store.report(&ReportQuery::default())?;
        let whole = whole.into_iter().next().unwrap_or_default();
        for group in [
            Group::Key,
            Group::Project,
            Group::Team,
            Group::Model,
            Group::Provider,
            Group::Route,
            Group::Operation,
            Group::Day,
        ] {
            let query = ReportQuery {
                groups: vec![group.clone()],
                filter: AttemptFilter::default(),
            };
            let mut total = ReportRow::default();
            for row in store.report(&query)? {
                add(&mut total, &row);
            }
            // A call whose attempts went to two models counts once in the whole, and once under each.
            total.requests = whole.requests;
            if total != whole {
                let text = format!(
                    "the sums by {group} come to {}, and the whole is {}",
                    total.cost(),
                    whole.cost()
                );
                self.add("conservation", text);
            }
        }
        Ok(())
    }
}

fn add(total: &mut ReportRow, row: &ReportRow) {
    total.attempts += row.attempts;
    total.input_tokens = total.input_tokens.saturating_add(row.input_tokens);
    total.output_tokens = total.output_tokens.saturating_add(row.output_tokens);
    total.cache_read_tokens = total
        .cache_read_tokens
        .saturating_add(row.cache_read_tokens);
    total.cache_write_tokens = total
        .cache_write_tokens
        .saturating_add(row.cache_write_tokens);
    total.cost_reported += row.cost_reported;
    total.cost_estimated += row.cost_estimated;
    total.cost_corrected += row.cost_corrected;
    total.unpriced += row.unpriced;
    total.unknown += row.unknown;
    total.held_unknown += row.held_unknown;
}

/// What a usage costs at unit prices as they stand on a row. `None` when one of them is for something
/// that the usage has no figure for, or when there are none: then only who priced it can do it again.
pub fn recompute(usage: &Usage, unit_prices: &str) -> Option<tollgate_base::Money> {
    match unit_prices {
        "" => return None,
        "free" => return Some(tollgate_base::Money::ZERO),
        _ => {}
    }
    let parts = unit_prices.split(' ').map(|pair| {
        let (name, rate) = pair.split_once('=')?;
        let units = match name {
            "input" => usage.input,
            "cache_read" => usage.cache_read.unwrap_or(0),
            "cache_write" => usage.cache_write.unwrap_or(0),
            "cache_write_1h" => usage.cache_write_1h.unwrap_or(0),
            "audio_input" => usage.audio_input.unwrap_or(0),
            "image_input" => usage.image_input.unwrap_or(0),
            "output" => usage.output,
            "reasoning" => usage.reasoning.unwrap_or(0),
            "audio_output" => usage.audio_output.unwrap_or(0),
            "image_output" => usage.image_output.unwrap_or(0),
            _ => return None,
        };
        Some((units, Rate::per_million(rate)?))
    });
    Some(Rate::total(parts.collect::<Option<Vec<_>>>()?))
}
