//! Files that nobody would write: the checker answers, and does not break.

use std::hash::{BuildHasher, RandomState};

use super::{load, print};
use crate::reference::EXAMPLE;

const PIECES: [&str; 24] = [
    "\"",
    "\"\"\"",
    "'",
    "=",
    "[",
    "]",
    "[[",
    "{",
    "}",
    ".",
    ",",
    "\n",
    "\r",
    "\t",
    "#",
    "\\",
    "é",
    "\u{1F512}",
    "\0",
    "-1",
    "99999999999999999999",
    "providers",
    "targets = []",
    "\u{feff}",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n.max(1) as u64).unwrap()
    }
}

#[test]
fn broken_files_are_refused_and_never_break_the_checker() {
    let seed = std::env::var_os("TOLLGATE_SEED")
        .and_then(|seed| seed.to_str()?.parse().ok())
        .unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("TOLLGATE_SEED={seed}");
    let mut random = Random(seed);
    for _ in 0..2000 {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for _ in 0..=random.below(4) {
            let at = random.below(text.len());
            let end = (at + random.below(12)).min(text.len());
            let piece = PIECES[random.below(PIECES.len())];
            match random.below(3) {
                0 => drop(text.drain(at..end)),
                1 => drop(text.splice(at..at, piece.chars())),
                _ => drop(text.splice(at..end, piece.chars())),
            }
        }
        let text: String = text.into_iter().collect();
        match load(&text, &[("WORK_ANTHROPIC_KEY", "sk-ant-canary")]) {
            Ok(loaded) => assert!(!loaded.config.effective_toml().contains("canary"), "{text}"),
            Err(mistakes) => {
                assert!(mistakes.iter().any(crate::Mistake::is_error), "{text}");
                assert!(!print(&mistakes).contains("sk-ant-canary"), "{text}");
            }
        }
    }
}
