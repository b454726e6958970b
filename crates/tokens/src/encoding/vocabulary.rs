//! A vocabulary of byte-level tokens by rank, and the merging that finds how many of them a piece becomes.
//!
//! Merging takes the pair of neighbours with the lowest rank, again and again, until no pair is a token. Short pieces are
//! searched through each time; long ones keep their pairs in a heap, so that a piece of n bytes costs n·log n steps and a hundred
//! kilobytes of one letter are no burden. Nothing here knows of special tokens: in a text they are ordinary text.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// No token.
const NONE: u32 = u32::MAX;
/// Up to this many bytes a piece is merged by searching through its pairs.
const SHORT: usize = 96;

/// Tokens by rank and ranks by token.
pub(super) struct Vocabulary {
    packed: &'static [u8],
    /// Where in `packed` the token of each rank begins, at its length byte.
    starts: Vec<u32>,
    /// Ranks by the hash of their token, open addressing.
    slots: Vec<Slot>,
    /// Ranks of the tokens of two bytes, by these bytes: the first pairs of every merge.
    pairs: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Slot {
    rank: u32,
    /// Bits of the hash that the place of the slot does not tell.
    tag: u32,
}

impl Vocabulary {
    /// Reads the packed form: length byte, bytes, in the order of rank. A form cut short ends with its last whole token.
    pub(super) fn read(packed: &'static [u8]) -> Self {
        let mut vocabulary = Self {
            packed,
            starts: Vec::new(),
            slots: Vec::new(),
            pairs: vec![NONE; 1 << 16],
        };
        let mut at = 0;
        while let Some(length) = packed.get(at)
            && let Ok(start) = u32::try_from(at)
        {
            vocabulary.starts.push(start);
            at += 1 + usize::from(*length);
        }
        let size = (vocabulary.starts.len() * 2).next_power_of_two();
        vocabulary.slots = vec![Slot { rank: NONE, tag: 0 }; size];
        for rank in (0u32..).take(vocabulary.starts.len()) {
            vocabulary.insert(rank);
        }
        vocabulary
    }

    fn insert(&mut self, rank: u32) {
        let token = self.token(rank);
        if let [first, second] = token
            && let Some(pair) = self.pairs.get_mut(pair_index(*first, *second))
        {
            *pair = rank;
        }
        let hash = hash(token);
        let mask = self.slots.len() - 1;
        let mut index = slot_index(hash, mask);
        while let Some(slot) = self.slots.get_mut(index) {
            if slot.rank == NONE {
                *slot = Slot {
                    rank,
                    tag: tag(hash),
                };
                return;
            }
            index = (index + 1) & mask;
        }
    }

    fn token(&self, rank: u32) -> &'static [u8] {
        let start = self
            .starts
            .get(rank as usize)
            .map_or(0, |start| *start as usize);
        let length = self
            .packed
            .get(start)
            .map_or(0, |length| usize::from(*length));
        self.packed
            .get(start + 1..start + 1 + length)
            .unwrap_or(&[])
    }

    fn rank(&self, bytes: &[u8]) -> u32 {
        if let [first, second] = bytes {
            return self.pair(*first, *second);
        }
        if bytes.len() > 255 {
            return NONE;
        }
        let hash = hash(bytes);
        let mask = self.slots.len() - 1;
        let mut index = slot_index(hash, mask);
        while let Some(slot) = self.slots.get(index)
            && slot.rank != NONE
        {
            if slot.tag == tag(hash) && self.token(slot.rank) == bytes {
                return slot.rank;
            }
            index = (index + 1) & mask;
        }
        NONE
    }

    fn pair(&self, first: u8, second: u8) -> u32 {
        self.pairs
            .get(pair_index(first, second))
            .copied()
            .unwrap_or(NONE)
    }

    /// The number of tokens that `piece` becomes, and each of their ranks through `each`.
    #[cfg(test)]
    pub(super) fn ranks(&self, piece: &[u8]) -> Vec<u32> {
        if self.rank(piece) != NONE {
            return vec![self.rank(piece)];
        }
        let ends = self.merge_long(piece);
        let mut start = 0;
        ends.into_iter()
            .map(|end| {
                let rank = self.rank(&piece[start..end]);
                start = end;
                rank
            })
            .collect()
    }

    /// The number of tokens that `piece` becomes.
    pub(super) fn count(&self, piece: &[u8]) -> usize {
        if piece.len() < 2 {
            return piece.len();
        }
        // Most words are one token, and a token is never split again.
        if self.rank(piece) != NONE {
            return 1;
        }
        if piece.len() <= SHORT {
            self.count_short(piece)
        } else {
            self.merge_long(piece).len()
        }
    }

    fn count_short(&self, piece: &[u8]) -> usize {
        // ends[i] is the offset behind part i; ranks[i] is the rank of part i joined with the one behind it.
        let mut ends = [0u8; SHORT];
        let mut ranks = [NONE; SHORT];
        for (end, at) in ends.iter_mut().zip(1u8..) {
            *end = at;
        }
        for (rank, pair) in ranks.iter_mut().zip(piece.windows(2)) {
            if let [first, second] = pair {
                *rank = self.pair(*first, *second);
            }
        }
        let mut parts = piece.len().min(SHORT);
        while parts > 1 {
            // The least rank first and its place after: two plain loops are faster than one that keeps both.
            let open = ranks.get(..parts - 1).unwrap_or_default();
            let best = open.iter().copied().min().unwrap_or(NONE);
            if best == NONE {
                break;
            }
            let at = open.iter().position(|rank| *rank == best).unwrap_or(0);
            // Part `at` takes the end of the part behind it, whose places close up.
            ends.copy_within(at + 1..parts, at);
            ranks.copy_within(at + 1..parts, at);
            parts -= 1;
            if let Some(last) = ranks.get_mut(parts - 1) {
                *last = NONE;
            }
            let joined = |index: usize| {
                let start = index
                    .checked_sub(1)
                    .and_then(|before| ends.get(before))
                    .map_or(0, |end| usize::from(*end));
                let end = ends
                    .get(index + 1)
                    .filter(|_| index + 1 < parts)
                    .map(|end| usize::from(*end));
                end.and_then(|end| piece.get(start..end))
                    .map_or(NONE, |bytes| self.rank(bytes))
            };
            let here = joined(at);
            let before = at.checked_sub(1).map(|index| (index, joined(index)));
            if let Some(rank) = ranks.get_mut(at) {
                *rank = here;
            }
            if let Some((index, value)) = before
                && let Some(rank) = ranks.get_mut(index)
            {
                *rank = value;
            }
        }
        parts
    }

    /// The ends of the tokens that a piece of any length becomes.
    fn merge_long(&self, piece: &[u8]) -> Vec<usize> {
        let mut parts = Parts::of(piece.len());
        let first = piece.windows(2).enumerate().filter_map(|(at, pair)| {
            let [first, second] = pair else { return None };
            parts.offer(at, self.pair(*first, *second))
        });
        let mut heap: Heap = first.collect();
        while let Some(Reverse(pair)) = heap.pop() {
            let (rank, at) = unpacked(pair);
            // What the heap says is old when the pair has changed or gone since.
            if parts.rank_of(at) != rank {
                continue;
            }
            let before = parts.join(at);
            for start in [Some(at), before].into_iter().flatten() {
                let rank = parts
                    .pair_end(start)
                    .and_then(|end| piece.get(start..end))
                    .map_or(NONE, |bytes| self.rank(bytes));
                heap.extend(parts.offer(start, rank));
            }
        }
        parts.ends()
    }
}

/// Pairs of neighbours by rank and then by place, the lowest first: the rank in the upper half of the number, the place in the
/// lower.
type Heap = BinaryHeap<Reverse<u64>>;

fn unpacked(pair: u64) -> (u32, usize) {
    let rank = u32::try_from(pair >> 32).unwrap_or(NONE);
    let at = usize::try_from(pair & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    (rank, at)
}

/// The parts of a long piece while they are merged, as a list linked by offsets.
struct Parts {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    before: u32,
    end: u32,
    /// Rank of this part joined with the next.
    rank: u32,
}

impl Parts {
    fn of(length: usize) -> Self {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let nodes = (0..length)
            .map(|at| Node {
                before: at.wrapping_sub(1),
                end: at + 1,
                rank: NONE,
            })
            .collect();
        Self { nodes }
    }

    fn node(&self, at: usize) -> Option<Node> {
        self.nodes.get(at).copied()
    }

    fn rank_of(&self, at: usize) -> u32 {
        self.node(at).map_or(NONE, |node| node.rank)
    }

    /// Notes the rank of the pair at `at`; if it is a token, gives its place in the heap.
    fn offer(&mut self, at: usize, rank: u32) -> Option<Reverse<u64>> {
        self.nodes.get_mut(at)?.rank = rank;
        (rank != NONE).then_some(Reverse(u64::from(rank) << 32 | at as u64))
    }

    /// The end of the part at `at` together with the next.
    fn pair_end(&self, at: usize) -> Option<usize> {
        let next = self.node(self.node(at)?.end as usize)?;
        Some(next.end as usize)
    }

    /// Joins the part at `at` with the next; says where the part before it begins.
    fn join(&mut self, at: usize) -> Option<usize> {
        let node = self.node(at)?;
        let gone = self.nodes.get_mut(node.end as usize)?;
        let end = gone.end;
        gone.rank = NONE;
        if let Some(after) = self.nodes.get_mut(end as usize) {
            after.before = u32::try_from(at).unwrap_or(NONE);
        }
        self.nodes.get_mut(at)?.end = end;
        (node.before != NONE).then_some(node.before as usize)
    }

    fn ends(&self) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut at = 0;
        while let Some(node) = self.node(at) {
            at = node.end as usize;
            ends.push(at);
        }
        ends
    }
}

fn pair_index(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper bits are the tag's"
)]
fn slot_index(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

fn tag(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0)
}

/// Eight bytes at a time, multiplied and folded. The vocabulary is fixed, so nobody can choose what collides in it, and
/// a text can only choose to be looked up and not found.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = (bytes.len() as u64).wrapping_mul(FACTOR);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
        hash ^= hash >> 29;
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(chunks.remainder()) {
        *to = *from;
    }
    hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> 29
}
