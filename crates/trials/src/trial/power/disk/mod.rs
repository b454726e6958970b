//! What a disk may hold after the power was cut: a model of what is durable, what is not yet, and what may become of
//! it. It knows no process and no clock; a recording tells it what was done, and dice decide.
//!
//! Every change goes to the cache, which readers see. A completed `fsync` or `fdatasync` of a file brings everything
//! to the disk that had been written to it before the call began. Of what no sync covered, each write is lost, kept
//! or torn, whatever became of others; but a sector of the disk only ever holds what that sector of the cache held at
//! some moment, because that is what is written back. So a later write that is kept brings along the earlier
//! ones in the sectors that it touches. The size of a file may grow without its bytes.
//!
//! Not modelled: sectors that are torn themselves, blocks that go bad, a disk that lies about a sync.

use std::collections::BTreeMap;

use super::tree::{Change, Entry, Node, SECTOR, Tree};
use crate::dice::Dice;

/// Unix time in microseconds.
pub(super) type Micros = u64;

/// When names become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Names {
    /// As POSIX has it: with a sync of their folder, and before it each by itself
    Strict,
    /// As ext4 and XFS do it: in their order; a sync of a file covers its own name and every earlier change of names
    Journaled,
}

/// A call that changed the folder, or made changes durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) span: Span,
    pub(super) deed: Deed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Change(Change),
    Sync(Node),
    /// Of everything.
    SyncAll,
}

/// From the beginning of a call to its end: in time, and in the order of the recording, which is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) began: Micros,
    pub(super) began_as: usize,
    /// The end is that of the process when the call never returned.
    pub(super) ended: Option<(Micros, usize)>,
}

/// Everything that was done to a folder that was durable at the beginning.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    pub(super) base: Tree,
    /// The files and folders that were made since.
    pub(super) born: BTreeMap<Node, Born>,
    pub(super) events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Born {
    pub(super) is_folder: bool,
    /// The name that it got first.
    pub(super) name: String,
}

/// What becomes of what is not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    AllLost,
    AllKept,
    /// So many percent are lost; of the others, some are torn.
    Mixed(u64),
}

/// What a disk held, and how it came to that.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) tree: Tree,
    pub(super) fates: Fates,
    /// What became of each change that was not durable, in words.
    pub(super) log: Vec<String>,
}

/// How many changes that were not durable went which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fates {
    pub(super) lost: usize,
    pub(super) torn: usize,
    pub(super) kept: usize,
    pub(super) names_lost: usize,
    pub(super) names_kept: usize,
}

/// In percent: writes that are torn among those that can be and are not lost, and lost ones that grow their file.
const TORN: u64 = 40;
const GROWN: u64 = 20;

/// How a change stands at a cut, or what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Durable,
    Kept,
    Torn,
    /// Lost, though the file has its size.
    Grown,
    Lost,
}

/// Up to which point of the recording each file and folder is synced.
struct Synced {
    nodes: BTreeMap<Node, usize>,
    everything: usize,
}

// === impl Span ===

impl Span {
    fn had_begun(&self, at: Micros) -> bool {
        self.began <= at
    }

    fn had_ended(&self, at: Micros) -> bool {
        self.ended.is_some_and(|(ended, _)| ended <= at)
    }

    /// Whether it was over before another one began.
    fn is_before(&self, other: &Self) -> bool {
        self.ended.is_some_and(|(_, ended)| ended < other.began_as)
    }
}

// === impl Timeline ===

impl Timeline {
    /// The folder as readers see it at the end.
    pub(super) fn cache(&self) -> Tree {
        let mut tree = self.base.clone();
        self.know(&mut tree);
        for event in &self.events {
            if let Deed::Change(change) = &event.deed {
                tree.apply(change);
            }
        }
        tree
    }

    /// What the disk may hold when the power is cut at this instant.
    pub(super) fn cut(&self, at: Micros, variant: Variant, names: Names, dice: &mut Dice) -> Cut {
        let synced = self.synced(at);
        let name_fates = self.name_fates(at, variant, names, dice);
        let mut cache = self.base.clone();
        self.know(&mut cache);
        let mut cut = Cut {
            tree: cache.clone(),
            fates: Fates::default(),
            log: Vec::new(),
        };
        for (index, event) in self.events.iter().enumerate() {
            let Deed::Change(change) = &event.deed else {
                continue;
            };
            if !event.span.had_begun(at) {
                continue;
            }
            cache.apply(change);
            let fate = match change {
                Change::Write { file, .. } | Change::Resize { file, .. } => {
                    let fate = if synced.covers(*file, &event.span) {
                        Fate::Durable
                    } else {
                        variant.of_data(change, dice)
                    };
                    cut.data(change, fate, &cache, dice);
                    fate
                }
                Change::Name { .. } | Change::Unname { .. } | Change::Rename { .. } => {
                    let fate = name_fates.get(&index).copied().unwrap_or(Fate::Lost);
                    if fate != Fate::Lost {
                        cut.tree.apply(change);
                    }
                    fate
                }
            };
            cut.note(change, fate, self);
        }
        cut
    }

    /// Files and folders that come later have their numbers from the beginning.
    fn know(&self, tree: &mut Tree) {
        for (node, born) in &self.born {
            tree.know(*node, born.is_folder);
        }
    }

    fn label(&self, node: Node) -> String {
        let base = || {
            self.base
                .files()
                .into_iter()
                .find(|(_, file)| *file == node)
        };
        match self.born.get(&node) {
            Some(born) => format!("{} (#{node})", born.name),
            None => base().map_or_else(|| format!("#{node}"), |(path, _)| path),
        }
    }

    fn synced(&self, at: Micros) -> Synced {
        let mut synced = Synced {
            nodes: BTreeMap::new(),
            everything: 0,
        };
        for event in self.events.iter().filter(|event| event.span.had_ended(at)) {
            let until = match &event.deed {
                Deed::Sync(node) => synced.nodes.entry(*node).or_default(),
                Deed::SyncAll => &mut synced.everything,
                Deed::Change(_) => continue,
            };
            *until = event.span.began_as.max(*until);
        }
        synced
    }

    /// What becomes of each change of names that had begun.
    fn name_fates(
        &self,
        at: Micros,
        variant: Variant,
        names: Names,
        dice: &mut Dice,
    ) -> BTreeMap<usize, Fate> {
        let all: Vec<usize> = (0..self.events.len())
            .filter(|index| self.events[*index].span.had_begun(at))
            .filter(|index| self.names_of(*index).is_some())
            .collect();
        match names {
            Names::Strict => {
                let synced = self.synced(at);
                let fate = |index: usize, dice: &mut Dice| match self.names_of(index) {
                    Some((folder, _)) if synced.covers(folder, &self.events[index].span) => {
                        Fate::Durable
                    }
                    _ => variant.of_name(dice),
                };
                all.into_iter()
                    .map(|index| (index, fate(index, dice)))
                    .collect()
            }
            Names::Journaled => {
                let durable = self.journaled(&all, at);
                let left = all.len() - durable;
                let kept = match variant {
                    Variant::AllLost => 0,
                    Variant::AllKept => left,
                    Variant::Mixed(_) => index(dice.below(left as u64 + 1)),
                };
                let fate = |place: usize| match place {
                    place if place < durable => Fate::Durable,
                    place if place < durable + kept => Fate::Kept,
                    _ => Fate::Lost,
                };
                all.iter()
                    .enumerate()
                    .map(|(place, index)| (*index, fate(place)))
                    .collect()
            }
        }
    }

    /// How many of these changes of names a journal of the file system has for certain.
    fn journaled(&self, all: &[usize], at: Micros) -> usize {
        let mut durable = 0;
        for sync in self.events.iter().filter(|event| event.span.had_ended(at)) {
            let is_covered = |index: &usize| -> bool {
                let Some((folder, node)) = self.names_of(*index) else {
                    return false;
                };
                let concerns = match sync.deed {
                    Deed::Sync(synced) => synced == folder || synced == node,
                    Deed::SyncAll => true,
                    Deed::Change(_) => false,
                };
                concerns && self.events[*index].span.is_before(&sync.span)
            };
            let covered = all[durable..].iter().rposition(is_covered);
            durable += covered.map_or(0, |place| place + 1);
        }
        durable
    }

    /// The folder that a change of names has to be synced with, and what has the name.
    fn names_of(&self, index: usize) -> Option<(Node, Node)> {
        match &self.events[index].deed {
            Deed::Change(
                Change::Name { entry, node }
                | Change::Unname { entry, node }
                | Change::Rename {
                    to: entry, node, ..
                },
            ) => Some((entry.folder, *node)),
            _ => None,
        }
    }
}

// === impl Synced ===

impl Synced {
    fn covers(&self, node: Node, span: &Span) -> bool {
        let until = self
            .nodes
            .get(&node)
            .copied()
            .unwrap_or(0)
            .max(self.everything);
        span.ended.is_some_and(|(_, ended)| ended < until)
    }
}

// === impl Variant ===

impl Variant {
    fn of_data(self, change: &Change, dice: &mut Dice) -> Fate {
        let lost = match self {
            Self::AllLost => return Fate::Lost,
            Self::AllKept => return Fate::Kept,
            Self::Mixed(lost) => lost,
        };
        let sectors = match change {
            Change::Write { at, bytes, .. } => sectors(*at, bytes.len()).count(),
            _ => 0,
        };
        match dice.percent(lost) {
            true if sectors > 0 && dice.percent(GROWN) => Fate::Grown,
            true => Fate::Lost,
            false if sectors > 1 && dice.percent(TORN) => Fate::Torn,
            false => Fate::Kept,
        }
    }

    fn of_name(self, dice: &mut Dice) -> Fate {
        let is_lost = match self {
            Self::AllLost => true,
            Self::AllKept => false,
            Self::Mixed(lost) => dice.percent(lost),
        };
        if is_lost { Fate::Lost } else { Fate::Kept }
    }
}

// === impl Cut ===

impl Cut {
    fn data(&mut self, change: &Change, fate: Fate, cache: &Tree, dice: &mut Dice) {
        match (change, fate) {
            (_, Fate::Lost) => {}
            (Change::Write { file, at, bytes }, Fate::Durable | Fate::Kept) => {
                self.tree.persist(*file, (*at, at + bytes.len()), cache);
            }
            (Change::Write { file, at, bytes }, Fate::Torn) => {
                let all: Vec<usize> = sectors(*at, bytes.len()).collect();
                for sector in torn(&all, dice) {
                    let from = sector * SECTOR;
                    self.tree.persist(*file, (from, from + SECTOR), cache);
                }
            }
            (Change::Write { file, .. }, Fate::Grown) => self.tree.persist_size(*file, cache),
            (other, _) => self.tree.apply(other),
        }
    }

    fn note(&mut self, change: &Change, fate: Fate, timeline: &Timeline) {
        let is_name = !matches!(change, Change::Write { .. } | Change::Resize { .. });
        let counter = match (fate, is_name) {
            (Fate::Durable, _) => return,
            (Fate::Kept, true) => &mut self.fates.names_kept,
            (_, true) => &mut self.fates.names_lost,
            (Fate::Kept, false) => &mut self.fates.kept,
            (Fate::Torn, false) => &mut self.fates.torn,
            (Fate::Lost | Fate::Grown, false) => &mut self.fates.lost,
        };
        *counter += 1;
        let place = |entry: &Entry| format!("{:?} in {}", entry.name, timeline.label(entry.folder));
        let what = match change {
            Change::Write { file, at, bytes } => {
                format!("{} bytes at {at} of {}", bytes.len(), timeline.label(*file))
            }
            Change::Resize { file, size } => format!("size {size} of {}", timeline.label(*file)),
            Change::Name { entry, node } => format!("name {} of #{node}", place(entry)),
            Change::Unname { entry, node } => format!("removal of {} of #{node}", place(entry)),
            Change::Rename { from, to, node } => {
                format!("renaming {} to {} of #{node}", place(from), place(to))
            }
        };
        self.log.push(format!("{fate:?}: {what}"));
    }
}

// === impl Fates ===

impl Fates {
    /// Changes that were not durable.
    pub(super) fn all(&self) -> usize {
        self.lost + self.torn + self.kept + self.names_lost + self.names_kept
    }
}

fn sectors(at: usize, length: usize) -> std::ops::Range<usize> {
    at / SECTOR..(at + length).div_ceil(SECTOR)
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Some of these sectors, not all: a beginning, an end, or any.
fn torn(all: &[usize], dice: &mut Dice) -> Vec<usize> {
    let place = index(dice.between(1, all.len().saturating_sub(1) as u64));
    let (before, after) = all.split_at(place.min(all.len()));
    match dice.below(3) {
        0 => before.to_vec(),
        1 => after.to_vec(),
        _ => {
            let is_kept = |sector: &usize| *sector != all[place - 1] && dice.percent(50);
            all.iter().copied().filter(is_kept).collect()
        }
    }
}

#[cfg(test)]
mod tests;
