//! What a call consumed, in tokens.

/// Tokens of one call in disjoint buckets: their sum is everything the call consumed, and each token
/// stands in exactly one of them. Vendors nest these figures differently (cached tokens inside or
/// outside of the input, reasoning inside or outside of the output); each dialect converts on its border.
///
/// `None` means that the vendor did not say, which is not the same as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens that were neither read from a prompt cache nor written to one, text and images.
    pub input: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read: Option<u64>,
    /// Input tokens written to the provider's prompt cache, kept for its shorter lifetime (5 minutes).
    pub cache_write: Option<u64>,
    /// Input tokens written to the prompt cache for its longer lifetime (1 hour).
    pub cache_write_1h: Option<u64>,
    /// Audio tokens of the input.
    pub audio_input: Option<u64>,
    /// Output tokens that are neither reasoning nor audio.
    pub output: u64,
    /// Output tokens spent on reasoning, shown or hidden.
    pub reasoning: Option<u64>,
    /// Audio tokens of the output.
    pub audio_output: Option<u64>,
    /// Where the figures come from.
    pub provenance: Provenance,
}

/// How much a usage figure can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provenance {
    /// Nobody said anything yet.
    #[default]
    Unknown,
    /// The provider reported it, and the call came to its end.
    Reported,
    /// The provider reported a part (such as the input at the start of a stream), and then it ended.
    Partial,
    /// Counted here, because the provider said nothing.
    Estimated,
}

impl Usage {
    /// Everything that went in.
    pub fn input_total(&self) -> u64 {
        [
            self.cache_read,
            self.cache_write,
            self.cache_write_1h,
            self.audio_input,
        ]
        .into_iter()
        .flatten()
        .fold(self.input, u64::saturating_add)
    }

    /// Everything that came out.
    pub fn output_total(&self) -> u64 {
        [self.reasoning, self.audio_output]
            .into_iter()
            .flatten()
            .fold(self.output, u64::saturating_add)
    }
}

impl Provenance {
    /// The word for it in logs and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Provenance::Unknown => "unknown",
            Provenance::Reported => "reported",
            Provenance::Partial => "partial",
            Provenance::Estimated => "estimated",
        }
    }
}
