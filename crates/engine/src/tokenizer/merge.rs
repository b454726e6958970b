//! The merges of BPE, applied to one piece of text in the order of their rank.
//!
//! A piece may be as long as the whole prompt (a megabyte of one letter), so the best merge comes from a heap and the
//! symbols form a linked list: n log n steps, never n squared.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::error::EngineError;

#[derive(Debug, Default)]
pub(super) struct Merges {
    /// A pair of tokens, to the rank of its merge and the token that it becomes.
    by_pair: HashMap<(u32, u32), (u32, u32)>,
    /// Tokens that are only steps on the way to others; what is left of them becomes its two parts again.
    taken_apart: HashSet<u32>,
}

#[derive(Clone, Copy)]
struct Symbol {
    token: u32,
    before: usize,
    after: usize,
    merged_away: bool,
}

/// Ordered by rank, then from left to right.
type Candidate = Reverse<(u32, usize, u32, u32)>;

const NONE: usize = usize::MAX;

// === impl Merges ===

impl Merges {
    /// Merges to a token that is not `made` of text are left out.
    pub(super) fn read(
        lines: &[&str],
        ids: &HashMap<&str, u32>,
        made: impl Fn(u32) -> bool,
    ) -> Result<Merges, EngineError> {
        let mut merges = Merges::default();
        for (rank, line) in (0..).zip(lines) {
            let unusable = || {
                EngineError::corrupt(format!("the merge {line:?} is not made of its vocabulary"))
            };
            // A space cannot be part of a token here: byte-level text writes it as another character.
            let (left, right) = line.split_once(' ').ok_or_else(unusable)?;
            let merged = [left, right].concat();
            let id = |text: &str| ids.get(text).copied().ok_or_else(unusable);
            let (pair, merged) = ((id(left)?, id(right)?), id(&merged)?);
            if made(merged) {
                merges.add(pair, rank, merged);
            }
        }
        Ok(merges)
    }

    /// The first merge of a pair is the one that counts.
    pub(super) fn add(&mut self, pair: (u32, u32), rank: u32, merged: u32) {
        self.by_pair.entry(pair).or_insert((rank, merged));
    }

    pub(super) fn take_apart(&mut self, token: u32) {
        self.taken_apart.insert(token);
    }

    /// Appends the tokens that `symbols` become.
    pub(super) fn apply(&self, symbols: impl Iterator<Item = u32>, tokens: &mut Vec<u32>) {
        let mut list: Vec<Symbol> = symbols
            .enumerate()
            .map(|(i, token)| Symbol {
                token,
                before: i.checked_sub(1).unwrap_or(NONE),
                after: i + 1,
                merged_away: false,
            })
            .collect();
        if let Some(last) = list.last_mut() {
            last.after = NONE;
        }
        let mut heap = BinaryHeap::new();
        // What a token that is taken apart again was last made of.
        let mut parts = HashMap::new();
        for left in 0..list.len().saturating_sub(1) {
            self.offer(&list, left, &mut heap);
        }
        while let Some(Reverse((_, left, expected_left, expected_right))) = heap.pop() {
            let right = list[left].after;
            // An older candidate may speak of symbols that have changed since.
            if list[left].merged_away
                || right == NONE
                || list[left].token != expected_left
                || list[right].token != expected_right
            {
                continue;
            }
            let Some((_, merged)) = self.rank(expected_left, expected_right) else {
                continue;
            };
            if self.taken_apart.contains(&merged) {
                parts.insert(merged, (expected_left, expected_right));
            }
            list[left].token = merged;
            list[left].after = list[right].after;
            list[right].merged_away = true;
            let next = list[left].after;
            if next != NONE {
                list[next].before = left;
                self.offer(&list, left, &mut heap);
            }
            if list[left].before != NONE {
                self.offer(&list, list[left].before, &mut heap);
            }
        }
        for symbol in list.iter().filter(|symbol| !symbol.merged_away) {
            if parts.is_empty() {
                tokens.push(symbol.token);
            } else {
                push_parts(symbol.token, &parts, tokens);
            }
        }
    }

    /// The rank and the result of a pair's merge.
    pub(super) fn rank(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        self.by_pair.get(&(left, right)).copied()
    }

    fn offer(&self, list: &[Symbol], left: usize, heap: &mut BinaryHeap<Candidate>) {
        let Some(right) = list.get(list[left].after) else {
            return;
        };
        let pair = (list[left].token, right.token);
        if let Some((rank, _)) = self.rank(pair.0, pair.1) {
            heap.push(Reverse((rank, left, pair.0, pair.1)));
        }
    }
}

/// A token, or the parts of it that are not taken apart.
fn push_parts(token: u32, parts: &HashMap<u32, (u32, u32)>, tokens: &mut Vec<u32>) {
    let mut waiting = vec![token];
    while let Some(token) = waiting.pop() {
        match parts.get(&token) {
            Some((left, right)) => waiting.extend([*right, *left]),
            None => tokens.push(token),
        }
    }
}
