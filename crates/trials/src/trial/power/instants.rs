//! When the power is cut: mostly where something is not durable yet, and right after something was promised.

use std::collections::BTreeMap;

use super::disk::{Deed, Micros, Variant};
use super::round::Round;
use super::tree::{Change, Node};
use crate::dice::Dice;

/// The instants of one recording that are worth a cut.
#[derive(Debug)]
pub(super) struct Instants {
    ends: Vec<Micros>,
    answers: Vec<Micros>,
    /// By file: a busy one must not hide the others.
    syncs: BTreeMap<Node, Vec<(Micros, Micros)>>,
    writes: BTreeMap<Node, Vec<Micros>>,
    names: Vec<Micros>,
    starts: Vec<Micros>,
    runs: Vec<(Micros, Micros)>,
}

/// One cut: when, why then, and what becomes of what is not durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    pub(super) at: Micros,
    pub(super) why: &'static str,
    pub(super) variant: Variant,
}

/// How long after an end, in microseconds, the power may still be cut "right after" it.
const SOON: u64 = 300;
/// How long a start takes at most while it is recorded, in microseconds.
const STARTING: u64 = 600_000;

impl Instants {
    /// Those of a recording, before facts of earlier ones are added to it.
    pub(super) fn of(round: &Round) -> Self {
        let (ends, answers) = round.facts.instants();
        let mut instants = Self {
            ends,
            answers,
            syncs: BTreeMap::new(),
            writes: BTreeMap::new(),
            names: Vec::new(),
            starts: round.runs.iter().map(|(start, _)| *start).collect(),
            runs: round.runs.clone(),
        };
        for event in &round.timeline.events {
            let Some((ended, _)) = event.span.ended else {
                continue;
            };
            match &event.deed {
                Deed::Sync(node) => {
                    let span = (event.span.began, ended);
                    instants.syncs.entry(*node).or_default().push(span);
                }
                Deed::SyncAll => {}
                Deed::Change(Change::Write { file, .. } | Change::Resize { file, .. }) => {
                    instants.writes.entry(*file).or_default().push(ended);
                }
                Deed::Change(_) => instants.names.push(ended),
            }
        }
        instants
    }

    pub(super) fn choose(&self, dice: &mut Dice) -> Chosen {
        let soon = if dice.percent(30) {
            0
        } else {
            dice.below(SOON)
        };
        let after = |all: &[Micros], dice: &mut Dice| match all {
            [] => None,
            all => Some(dice.pick(all) + soon),
        };
        let (at, why) = match dice.below(100) {
            0..35 => (after(&self.ends, dice), "after an answer's end"),
            35..43 => (after(&self.answers, dice), "after a change was answered"),
            43..50 => {
                let start = after(&self.starts, dice);
                let at = start.map(|start| start + dice.below(STARTING));
                (at, "while it starts")
            }
            50..65 => {
                let within = |(began, ended): (Micros, Micros), dice: &mut Dice| {
                    dice.between(began, ended.saturating_sub(1).max(began))
                };
                let sync = of_a_file(&self.syncs, dice).copied();
                (sync.map(|sync| within(sync, dice)), "within a sync")
            }
            65..75 => {
                let sync = of_a_file(&self.syncs, dice);
                (sync.map(|(_, ended)| ended + soon), "after a sync")
            }
            75..82 => (after(&self.names, dice), "after a change of names"),
            82..92 => {
                let write = of_a_file(&self.writes, dice);
                (write.map(|ended| ended + soon), "after a write")
            }
            _ => (None, "at any time"),
        };
        let variant = match dice.below(100) {
            0..25 => Variant::AllLost,
            25..32 => Variant::AllKept,
            _ => Variant::Mixed(*dice.pick(&[10, 50, 90])),
        };
        let any = |dice: &mut Dice| {
            let (began, ended) = *dice.pick(&self.runs);
            dice.between(began, ended)
        };
        Chosen {
            at: at.unwrap_or_else(|| any(dice)),
            why,
            variant,
        }
    }
}

/// Any of what one of the files has.
fn of_a_file<'a, T>(all: &'a BTreeMap<Node, Vec<T>>, dice: &mut Dice) -> Option<&'a T> {
    let files: Vec<&Vec<T>> = all.values().collect();
    if files.is_empty() {
        return None;
    }
    let file = *dice.pick(&files);
    Some(dice.pick(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::power::disk::Timeline;
    use crate::trial::power::load::Facts;

    #[test]
    fn a_recording_in_which_nothing_happened_is_cut_while_it_ran() {
        let round = Round {
            timeline: Timeline::default(),
            facts: Facts::default(),
            began: 0,
            runs: vec![(100, 200), (5000, 5100)],
        };
        let instants = Instants::of(&round);
        for seed in 0..200 {
            let Chosen { at, why, .. } = instants.choose(&mut Dice::new(seed));
            let is_running = round
                .runs
                .iter()
                .any(|(began, ended)| (*began..=*ended).contains(&at));
            assert!(
                is_running || why == "while it starts",
                "seed {seed}: {at}, {why}"
            );
        }
        assert_eq!(
            (round.running_at(150), round.running_at(3000)),
            ((100, 150), (100, 200))
        );
    }
}
