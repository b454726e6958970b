//! L13: the power is cut. What a client saw complete and what an administrator was told is there after the restart,
//! whatever the disk lost of what was not synced.
//!
//! The real program is recorded under load, every call that touches its data folder (`round`, `strace`,
//! `recording`). Then, for chosen instants (`instants`), a model of the disk (`disk`, `tree`) makes the folder that
//! a power cut could have left, the program starts on that, and its ledger is laid beside the oracle (`check`).
//! After ALICE (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).

mod check;
mod disk;
mod instants;
mod load;
mod recording;
mod round;
mod strace;
mod tree;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::check::{Checked, Promised, check, keep, place};
pub(crate) use self::disk::Names;
use self::disk::{Cut, Fates};
use self::instants::{Chosen, Instants};
use self::load::Facts;
use self::round::{Round, can_record, record};
use crate::dice::Dice;
use crate::gateway::Place;
use crate::price::DISTINCT;
use crate::report::Report;
use crate::stage::{Common, Oracle};

/// How many cuts one recording is good for.
const CUTS_A_ROUND: u64 = 20;
/// After so many recordings comes one that begins with nothing again.
const NEW_EVERY: usize = 4;

/// What can be chosen.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) cuts: u64,
    pub(crate) names: Names,
    pub(crate) durability: Durability,
    /// Where the folders of violated cuts are kept.
    pub(crate) keep: Option<PathBuf>,
}

/// What the gateway is told of durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Durability {
    /// The default of the product, and what it promises
    Power,
    /// Nothing is synced for an answer: this trial has to find what is lost
    Process,
}

/// All cuts together.
#[derive(Debug, Default)]
struct Sum {
    cuts: usize,
    undurable: usize,
    fates: Fates,
    opened: usize,
    rows: usize,
    whole: usize,
    promised: usize,
    lost: usize,
    duplicated: usize,
    oldest: u64,
    slowest: Duration,
    events: usize,
}

/// `power`: records, cuts, starts, compares.
pub(crate) async fn run(common: &Common, options: &Options) -> Result<Report, String> {
    let began = Instant::now();
    can_record().await?;
    let mut dice = Dice::new(common.seed);
    let mut report = Report::new(format!(
        "power: {} cuts, names {:?}, seed {}",
        options.cuts, options.names, common.seed
    ));
    let oracle = Oracle::start(DISTINCT).await?;
    let mut sum = Sum::default();
    // The first recording begins with nothing, most later ones on what a cut of the one before left.
    let mut next = Place::new(&common.binary, &settings(&oracle, options))?;
    let mut known = Facts::default();
    let mut left = options.cuts;
    for number in 1.. {
        let cuts = left.min(CUTS_A_ROUND);
        left -= cuts;
        let mut round = record(&next, number, &mut dice).await?;
        oracle.quiet().await?;
        let instants = Instants::of(&round);
        round.facts.join(known);
        sum.events += round.timeline.events.len();
        known = Facts::default();
        for turn in 1..=cuts {
            let chosen = instants.choose(&mut dice);
            let (mut cut, checked) =
                once(common, options, (&oracle, &round), chosen, &mut dice).await?;
            let name = format!("cut-{number}-{turn}");
            let what = describe(&name, &chosen, &cut, &round);
            if let (Some(folder), false) = (&options.keep, checked.violations.is_empty()) {
                keep(folder, &name, &cut)?;
            }
            report.violations(
                checked
                    .violations
                    .iter()
                    .map(|found| format!("{what}: {found}")),
            );
            sum.add(&cut, &checked);
            if turn < cuts || left == 0 {
                continue;
            }
            // What is lost once would be missed again and again.
            if number % NEW_EVERY == 0 || !checked.violations.is_empty() {
                next = Place::new(&common.binary, &settings(&oracle, options))?;
            } else {
                next = place((common, options), &oracle, &mut cut.tree, &mut dice)?;
                known = round.facts.at(chosen.at);
            }
        }
        if left == 0 {
            break;
        }
    }
    sum.figures(&mut report);
    report.figure("took", &format!("{} s", began.elapsed().as_secs()));
    Ok(report)
}

/// Cuts the power at one instant, and starts on what is left.
async fn once(
    common: &Common,
    options: &Options,
    (oracle, round): (&Oracle, &Round),
    chosen: Chosen,
    dice: &mut Dice,
) -> Result<(Cut, Checked), String> {
    let mut dice = dice.fork();
    let mut cut = round
        .timeline
        .cut(chosen.at, chosen.variant, options.names, &mut dice);
    let place = place((common, options), oracle, &mut cut.tree, &mut dice)?;
    let facts = round.facts.at(chosen.at);
    let promised = Promised {
        facts: &facts,
        running: round.running_at(chosen.at),
    };
    let checked = check(oracle, &place, &promised).await?;
    Ok((cut, checked))
}

/// Small journal files, so that there are many.
fn settings(oracle: &Oracle, options: &Options) -> String {
    let durability = match options.durability {
        Durability::Power => "power",
        Durability::Process => "process",
    };
    oracle.settings(&format!(
        "[ledger]\njournal_file_mib = 1\ndurability = \"{durability}\"\n"
    ))
}

fn describe(name: &str, chosen: &Chosen, cut: &Cut, round: &Round) -> String {
    let Chosen { at, why, variant } = chosen;
    let ms = at.saturating_sub(round.began) / 1000;
    let (lost, names) = (cut.fates.lost, cut.fates.names_lost);
    format!("{name} ({ms} ms on, {why}, {variant:?}: {lost} writes and {names} names lost)")
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, cut: &Cut, checked: &Checked) {
        let Fates {
            lost,
            torn,
            kept,
            names_lost,
            names_kept,
        } = cut.fates;
        self.cuts += 1;
        self.undurable += usize::from(cut.fates.all() > 0);
        self.fates.lost += lost;
        self.fates.torn += torn;
        self.fates.kept += kept;
        self.fates.names_lost += names_lost;
        self.fates.names_kept += names_kept;
        self.opened += usize::from(checked.opened);
        self.rows += checked.rows;
        self.whole += checked.whole;
        self.promised += checked.promised;
        self.lost += checked.lost;
        self.duplicated += checked.duplicated;
        self.oldest = self.oldest.max(checked.oldest);
        self.slowest = self.slowest.max(checked.ready_after);
    }

    fn figures(&self, report: &mut Report) {
        let fates = &self.fates;
        let pair = |one: usize, other: usize| format!("{one} / {other}");
        report.figure("recorded changes and syncs", &self.events);
        report.figure(
            "cuts, with something not durable",
            &pair(self.cuts, self.undurable),
        );
        let writes = format!("{} / {} / {}", fates.lost, fates.torn, fates.kept);
        report.figure("writes not synced: lost / torn / kept", &writes);
        let names = pair(fates.names_lost, fates.names_kept);
        report.figure("names not synced: lost / kept", &names);
        report.figure("rows", &self.rows);
        report.figure("calls seen whole, looked for", &self.whole);
        report.figure("changes answered, looked for", &self.promised);
        report.figure("lost", &self.lost);
        report.figure("duplicated", &self.duplicated);
        report.figure("open failures", &(self.cuts - self.opened));
        let oldest = format!("{} ms", self.oldest / 1000);
        report.figure("oldest attempt without a row", &oldest);
        let slowest = format!("{} ms", self.slowest.as_millis());
        report.figure("slowest restart", &slowest);
    }
}
