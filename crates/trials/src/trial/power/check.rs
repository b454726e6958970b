//! After a cut: the program itself starts on what the disk held, and everything promised must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Options;
use super::disk::{Cut, Micros};
use super::load::Facts;
use super::recording::SHARED_MEMORY;
use super::tree::Tree;
use crate::api::Api;
use crate::compare::{Evidence, Seen, Violation, Witness, compare};
use crate::dice::Dice;
use crate::export::Row;
use crate::gateway::{Place, READY_WITHIN};
use crate::report::Report;
use crate::stage::{Common, Oracle, call, client};

/// What one cut came to.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) opened: bool,
    pub(super) ready_after: Duration,
    pub(super) rows: usize,
    /// Calls whose end their clients had seen, and changes that administrators had been told.
    pub(super) whole: usize,
    pub(super) promised: usize,
    pub(super) lost: usize,
    pub(super) duplicated: usize,
    /// How long before the cut the provider had got the oldest attempt that has no row.
    pub(super) oldest: Micros,
    pub(super) violations: Vec<String>,
}

/// What a cut is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promised<'a> {
    pub(super) facts: &'a Facts,
    /// Since when the process ran whose power was cut, and until when.
    pub(super) running: (Micros, Micros),
}

/// The folder of a cut, made on a real disk. Shared memory may hold anything, so it does.
pub(super) fn place(
    (common, options): (&Common, &Options),
    oracle: &Oracle,
    tree: &mut Tree,
    dice: &mut Dice,
) -> Result<Place, String> {
    for (path, node) in tree.files() {
        if !path.ends_with(SHARED_MEMORY) {
            continue;
        }
        match dice.below(3) {
            0 => tree.remove(&path),
            1 => tree.replace(node, vec![0; 32 * 1024]),
            _ => tree.replace(
                node,
                (0..4096).flat_map(|_| dice.next().to_le_bytes()).collect(),
            ),
        }
    }
    let place = Place::new(&common.binary, &super::settings(oracle, options))?;
    tree.write(&place.data())
        .map_err(|error| format!("the folder of a cut cannot be made: {error}"))?;
    Ok(place)
}

/// Starts on the folder, makes a call, looks for what was promised, stops, compares.
pub(super) async fn check(
    oracle: &Oracle,
    place: &Place,
    promised: &Promised<'_>,
) -> Result<Checked, String> {
    let mut checked = Checked::default();
    let mut report = Report::default();
    let mut gateway = match place.start(None).await {
        Ok(gateway) => gateway,
        Err(what) => {
            checked.violations.push(format!("does not open: {what}"));
            return Ok(checked);
        }
    };
    checked.opened = true;
    checked.ready_after = gateway.ready_after;
    report.expect(gateway.ready_after <= READY_WITHIN, || {
        format!("ready after {:?}", gateway.ready_after)
    });
    let again = call(&mut Dice::new(1), "tokens:5", 100);
    let answer = client(&gateway, place).send(&again).await;
    report.expect(answer.is_whole(&again), || {
        format!("the first call after the restart got {}", answer.status)
    });
    let limits = promised.facts.limits();
    checked.promised = limits.len();
    let admin = Api::admin(gateway.addr, place.admin_key());
    match are_kept(&admin, &limits).await {
        Ok(broken) => report.violations(broken),
        Err(what) => report.violation(what),
    }
    oracle.quiet().await?;
    if let Err(what) = gateway.stop().await {
        report.violation(what);
    }
    let findings = place.verify().await?.findings;
    // What was never durable and promised to nobody is nothing to be told of.
    let found = findings
        .iter()
        .map(|finding| format!("ledger verify: {finding}"));
    checked.violations.extend(found);
    let rows = place.export().await?;
    checked.compare(oracle, &rows, promised);
    checked.violations.extend(report.into_violations());
    Ok(checked)
}

/// Which limits are not there, and whether the audit log is sound.
async fn are_kept(admin: &Api, promised: &[String]) -> Result<Vec<String>, String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = admin.get(&format!("limits?page_size=100{after}")).await?;
        for limit in page["data"].as_array().into_iter().flatten() {
            *found
                .entry(limit["id"].as_str().unwrap_or_default().to_owned())
                .or_default() += 1;
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let times = |id: &String| found.get(id).copied().unwrap_or(0);
    let broken = promised.iter().filter(|id| times(id) != 1);
    let mut broken: Vec<String> = broken
        .map(|id| {
            format!(
                "limit {id} was answered as made, and is there {} times",
                times(id)
            )
        })
        .collect();
    let audit = admin.get("audit/verify").await?;
    if audit["sound"] != true {
        broken.push(format!("the audit log is not sound: {audit}"));
    }
    Ok(broken)
}

// === impl Checked ===

impl Checked {
    /// Lays the rows beside the oracle. Of an attempt under way at the cut there may be a row or none.
    fn compare(&mut self, oracle: &Oracle, rows: &[Row], promised: &Promised<'_>) {
        let seen = promised.facts.seen();
        let whole = whole(&seen);
        let booked: BTreeSet<&str> = rows.iter().map(|row| row.attempt.as_str()).collect();
        let mut witnesses = Vec::new();
        for record in oracle.records() {
            let Some(witness) = Witness::of(&record) else {
                continue;
            };
            let (began, ended) = promised.running;
            if booked.contains(witness.attempt.as_str())
                || whole.contains(request(&witness.attempt))
            {
                witnesses.push(witness);
            } else if (began..=ended).contains(&record.accepted_us) {
                self.oldest = self.oldest.max(ended - record.accepted_us);
            }
        }
        let comparison = compare(&Evidence {
            rows,
            witnesses: &witnesses,
            seen: &seen,
            rates: &oracle.rates,
            in_flight: promised.facts.open(),
            tokens_under_way: 5,
        });
        self.rows = rows.len();
        self.whole = whole.len();
        self.lost = comparison.lost();
        self.duplicated = comparison.duplicated();
        for violation in comparison.violations {
            // Its row is there and its end is not.
            if matches!(violation, Violation::CompleteNotSettled { .. }) {
                self.lost += 1;
            }
            self.violations.push(violation.to_string());
        }
    }
}

/// The requests that were seen whole.
fn whole(seen: &[Seen]) -> BTreeSet<&str> {
    let whole = seen.iter().filter(|seen| seen.is_whole);
    whole.map(|seen| seen.request_id.as_str()).collect()
}

fn request(attempt: &str) -> &str {
    attempt.rsplit_once('-').map_or("", |(request, _)| request)
}

/// Keeps what a violated cut was made of, for study.
pub(super) fn keep(folder: &std::path::Path, name: &str, cut: &Cut) -> Result<(), String> {
    let folder = folder.join(name);
    let text = cut.log.join("\n") + "\n";
    cut.tree
        .write(&folder.join("data"))
        .and_then(|()| std::fs::write(folder.join("not-durable.txt"), text))
        .map_err(|error| format!("{}: {error}", folder.display()))
}
