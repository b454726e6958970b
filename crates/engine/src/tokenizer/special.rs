//! Tokens that stand for their own text wherever it is looked for, and the search for them.
//!
//! At one place the longest wins, and of two places the first, as in the libraries that trained these vocabularies. The
//! search costs a few steps per byte of the text however many tokens there are.

/// A token that stands for itself and is never made by merging.
#[derive(Debug, Clone)]
pub(crate) struct Special {
    pub(crate) text: String,
    pub(crate) token: u32,
    /// The white space that follows in rendered text belongs to the token.
    pub(super) takes_space: bool,
}

/// A set of specials that can be looked for in a text.
#[derive(Debug, Default)]
pub(crate) struct Specials {
    /// Sorted by text, each text once.
    sorted: Vec<Special>,
}

/// Where a special token was found.
pub(crate) struct Found<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) special: &'a Special,
}

// === impl Specials ===

impl Specials {
    pub(super) fn new(mut specials: Vec<Special>) -> Specials {
        specials.retain(|special| !special.text.is_empty());
        specials.sort_by(|a, b| a.text.cmp(&b.text));
        specials.dedup_by(|a, b| a.text == b.text);
        Specials { sorted: specials }
    }

    pub(super) fn all(&self) -> &[Special] {
        &self.sorted
    }

    /// The first special token at or after the byte `from`.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Found<'_>> {
        if self.sorted.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        (from..bytes.len()).find_map(|start| {
            let special = self.longest_at(bytes.get(start..)?)?;
            let end = start + special.text.len();
            Some(Found {
                start,
                end,
                special,
            })
        })
    }

    /// The longest special token with which the bytes begin.
    fn longest_at(&self, bytes: &[u8]) -> Option<&Special> {
        let mut candidates = self.sorted.as_slice();
        let mut longest = None;
        for (depth, byte) in bytes.iter().enumerate() {
            let at_depth = |special: &Special| special.text.as_bytes().get(depth).copied();
            // A text that ends here sorts before all that go on.
            let low = candidates.partition_point(|special| at_depth(special) < Some(*byte));
            let high = candidates.partition_point(|special| at_depth(special) <= Some(*byte));
            candidates = candidates.get(low..high).unwrap_or(&[]);
            let Some(first) = candidates.first() else {
                break;
            };
            if first.text.len() == depth + 1 {
                longest = Some(first);
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&str], text: &str) -> Option<(usize, String)> {
        let specials = (0..).zip(texts).map(|(token, text)| Special {
            text: (*text).to_owned(),
            token,
            takes_space: false,
        });
        Specials::new(specials.collect())
            .find(text, 0)
            .map(|found| (found.start, found.special.text.clone()))
    }

    #[test]
    fn the_first_place_and_there_the_longest_wins() {
        let texts = ["<a>", "<a>b", "c", "<", "é"];
        assert_eq!(found(&texts, "x<a>bc"), Some((1, "<a>b".to_owned())));
        assert_eq!(found(&texts, "x<a>c"), Some((1, "<a>".to_owned())));
        assert_eq!(found(&texts, "xc<a>"), Some((1, "c".to_owned())));
        assert_eq!(found(&texts, "x<a"), Some((1, "<".to_owned())));
        assert_eq!(found(&texts, "è"), None);
        assert_eq!(found(&texts, "eé"), Some((1, "é".to_owned())));
        assert_eq!(found(&[], "a"), None);
    }
}
