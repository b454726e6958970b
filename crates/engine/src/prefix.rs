//! What sequences left in the cache, for prompts that begin as they did.
//!
//! Only requests of the same owner share: how fast an answer comes, and how many tokens it reports as cached, must not
//! tell one caller what another one asked.

use std::collections::VecDeque;

use crate::model::Cache;

/// As many ends of former sequences are kept, if their blocks leave room for so many. Each is looked at for a new prompt.
const MOST: usize = 256;
/// A shorter common beginning is computed again: nearly all prompts share their first few tokens.
pub(crate) const SHORTEST: usize = 16;

/// Former sequences, the one that was used longest ago first.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    kept: VecDeque<Prefix>,
}

/// The tokens that a cache has.
#[derive(Debug, Clone)]
pub(crate) struct Prefix {
    pub(crate) owner: String,
    pub(crate) tokens: Vec<u32>,
    pub(crate) cache: Cache,
}

// === impl Prefixes ===

impl Prefixes {
    /// Keeps what a sequence leaves. Those that only begin like it are not needed any more.
    pub(crate) fn keep(&mut self, prefix: Prefix) {
        if prefix.tokens.len() < SHORTEST {
            return;
        }
        let is_begun_by = |other: &Prefix| {
            other.owner == prefix.owner && prefix.tokens.starts_with(&other.tokens)
        };
        self.kept.retain(|other| !is_begun_by(other));
        if self.kept.len() >= MOST {
            self.kept.pop_front();
        }
        self.kept.push_back(prefix);
    }

    /// The cache of the longest beginning that a prompt of this owner shares with a former sequence. The prompt's last
    /// token is never in it: what follows the prompt is computed from that.
    pub(crate) fn find(&mut self, owner: &str, prompt: &[u32]) -> Option<Cache> {
        let shared = self
            .kept
            .iter()
            .map(|prefix| n_shared(owner, prompt, &prefix.owner, &prefix.tokens));
        let (at, length) = shared.enumerate().max_by_key(|(_, n)| *n)?;
        if length < SHORTEST {
            return None;
        }
        let prefix = self.kept.remove(at)?;
        let mut cache = prefix.cache.clone();
        cache.truncate(length);
        self.kept.push_back(prefix);
        Some(cache)
    }

    /// Forgets the one that was used longest ago. `false` where there is none.
    pub(crate) fn forget_oldest(&mut self) -> bool {
        self.kept.pop_front().is_some()
    }
}

/// How many of a prompt's tokens, without its last one, `tokens` begins with.
pub(crate) fn n_shared(owner: &str, prompt: &[u32], other: &str, tokens: &[u32]) -> usize {
    if owner != other {
        return 0;
    }
    let most = prompt.len().saturating_sub(1);
    let pairs = prompt.iter().zip(tokens).take(most);
    pairs.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(n: u32) -> Vec<u32> {
        (0..n).collect()
    }

    fn prefix(owner: &str, tokens: Vec<u32>) -> Prefix {
        let mut cache = Cache::default();
        cache.fill(tokens.len());
        Prefix {
            owner: owner.to_owned(),
            tokens,
            cache,
        }
    }

    fn found(prefixes: &mut Prefixes, owner: &str, prompt: &[u32]) -> Option<usize> {
        prefixes.find(owner, prompt).map(|cache| cache.len())
    }

    #[test]
    fn the_longest_shared_beginning_is_found_and_never_the_whole_prompt() {
        let mut prefixes = Prefixes::default();
        prefixes.keep(prefix("a", [tokens(100), vec![7; 30]].concat()));
        prefixes.keep(prefix("a", [tokens(40), vec![8; 30]].concat()));
        assert_eq!(found(&mut prefixes, "a", &tokens(60)), Some(59));
        assert_eq!(found(&mut prefixes, "a", &tokens(200)), Some(100));
        let other = [tokens(40), vec![8; 90]].concat();
        assert_eq!(found(&mut prefixes, "a", &other), Some(70));
        assert_eq!(found(&mut prefixes, "a", &tokens(16)), None);
        assert_eq!(found(&mut prefixes, "a", &tokens(17)), Some(16));
        assert_eq!(found(&mut prefixes, "a", &[]), None);
    }

    #[test]
    fn nothing_is_shared_between_owners() {
        let mut prefixes = Prefixes::default();
        prefixes.keep(prefix("a", tokens(100)));
        assert_eq!(found(&mut prefixes, "b", &tokens(100)), None);
        prefixes.keep(prefix("b", tokens(100)));
        assert_eq!(prefixes.kept.len(), 2);
    }

    #[test]
    fn the_one_that_was_used_longest_ago_is_forgotten_first() {
        let mut prefixes = Prefixes::default();
        for first in 0..3 {
            prefixes.keep(prefix("a", [vec![first; 20], tokens(20)].concat()));
        }
        let of = |first| [vec![first; 20], vec![9]].concat();
        assert_eq!(found(&mut prefixes, "a", &of(0)), Some(20));
        assert!(prefixes.forget_oldest());
        assert_eq!(found(&mut prefixes, "a", &of(1)), None);
        assert_eq!(found(&mut prefixes, "a", &of(0)), Some(20));
        assert!(prefixes.forget_oldest() && prefixes.forget_oldest());
        assert!(!prefixes.forget_oldest());
    }

    #[test]
    fn a_conversation_that_goes_on_replaces_its_beginning_and_the_number_is_bounded() {
        let mut prefixes = Prefixes::default();
        prefixes.keep(prefix("a", tokens(50)));
        prefixes.keep(prefix("a", tokens(90)));
        assert_eq!(prefixes.kept.len(), 1);
        for first in 1000..2000 {
            prefixes.keep(prefix("a", vec![first; 20]));
        }
        assert_eq!(prefixes.kept.len(), MOST);
        prefixes.keep(prefix("a", vec![3; SHORTEST - 1]));
        assert_eq!(prefixes.kept.len(), MOST);
    }
}
