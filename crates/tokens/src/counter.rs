//! Counts texts the way one model does.

use crate::family::{Family, Method, family};

/// Counts the tokens of texts for one model.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    family: Family,
}

impl Counter {
    /// The counter for `model` at a provider of the kind `provider_kind`, a row of the provider table.
    pub fn for_model(provider_kind: &str, model: &str) -> Self {
        Self {
            family: family(provider_kind, model),
        }
    }

    /// How this counter counts.
    pub fn method(&self) -> Method {
        self.family.method
    }

    /// Whether the model's own encoding counts.
    pub fn is_exact(&self) -> bool {
        matches!(self.family.method, Method::Exact(_))
    }

    /// The best estimate of the tokens of `text`; the count itself where the method is exact.
    pub fn count(&self, text: &str) -> u64 {
        self.estimate(self.raw(text), text.len())
    }

    /// What `text` counts at most: the count itself where the method is exact, else the estimate with its allowance. Never
    /// more than the bytes of the text.
    pub fn upper_bound(&self, text: &str) -> u64 {
        let raw = self.raw(text);
        let estimate = self.estimate(raw, text.len());
        match self.family.method {
            Method::Exact(_) => estimate,
            Method::Approximate { percent, .. } => {
                add_percent(estimate, percent).min(byte_bound(text.len()))
            }
        }
    }

    /// Tokens of the encoding, before the factor of the family.
    pub(crate) fn raw(self, text: &str) -> u64 {
        match self.family.method {
            Method::Exact(encoding) | Method::Approximate { encoding, .. } => encoding.count(text),
        }
    }

    /// The estimate from a raw count of a text of so many bytes.
    pub(crate) fn estimate(self, raw: u64, bytes: usize) -> u64 {
        raw.saturating_mul(u64::from(self.family.permille))
            .div_ceil(1000)
            .min(byte_bound(bytes))
    }
}

/// The most tokens that so many bytes of text can be: a token of a byte-level vocabulary is never shorter than one byte.
pub fn byte_bound(text_bytes: usize) -> u64 {
    text_bytes as u64
}

/// `count` and so many percent of it, rounded up.
pub(crate) fn add_percent(count: u64, percent: u8) -> u64 {
    count.saturating_add(count.saturating_mul(u64::from(percent)).div_ceil(100))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODELS: [&str; 5] = [
        "gpt-4o",
        "gpt-4",
        "claude-opus-5",
        "gemini-3-pro",
        "unheard-of",
    ];

    proptest! {
        #[test]
        fn count_upper_bound_and_bytes_stand_in_this_order(text in any::<String>()) {
            for model in MODELS {
                let counter = Counter::for_model("openai-compatible", model);
                prop_assert!(counter.count(&text) <= counter.upper_bound(&text));
                prop_assert!(counter.upper_bound(&text) <= byte_bound(text.len()));
            }
        }
    }

    #[test]
    fn a_family_without_vocabulary_counts_by_its_factor() {
        let text = "The quick brown fox jumps over the lazy dog.";
        let exact = Counter::for_model("openai", "gpt-4o").count(text);
        assert_eq!(exact, 10);
        let claude = Counter::for_model("anthropic", "claude-opus-4-7");
        assert_eq!(claude.count(text), 16);
        assert_eq!(claude.upper_bound(text), 32);
    }
}
