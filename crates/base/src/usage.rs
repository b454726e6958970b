//! What a call consumed: tokens, and what else a provider charges for.

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
    /// Image tokens of the input, where the provider tells them apart.
    pub image_input: Option<u64>,
    /// Output tokens that are neither reasoning nor audio.
    pub output: u64,
    /// Output tokens spent on reasoning, shown or hidden.
    pub reasoning: Option<u64>,
    /// Audio tokens of the output.
    pub audio_output: Option<u64>,
    /// Image tokens of the output.
    pub image_output: Option<u64>,
    /// Searches that the provider ran for the call and charges by the piece.
    pub searches: Option<u64>,
    /// Images that were made and are charged by the piece.
    pub images: Option<u64>,
    /// Sound that is charged by its length, in milliseconds.
    pub audio_ms: Option<u64>,
    /// Text that is charged by the character (speech).
    pub characters: Option<u64>,
    /// The service tier in which the provider served the call.
    pub tier: ServiceTier,
    /// Where the call was served, when that has a price.
    pub region: Region,
    /// Where the figures come from.
    pub provenance: Provenance,
}

/// A provider's terms of service that change the price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceTier {
    #[default]
    Standard,
    /// Within a day, at a lower price.
    Batch,
    /// Slower, at a lower price.
    Flex,
    /// Sooner, at a higher price.
    Priority,
    /// Faster output at a higher price (Anthropic `speed: fast`, OpenAI `ultrafast`).
    Fast,
}

/// Where a call was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// Wherever the provider likes.
    #[default]
    Global,
    /// In the United States only (Anthropic `inference_geo: us`).
    Us,
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
            self.image_input,
        ]
        .into_iter()
        .flatten()
        .fold(self.input, u64::saturating_add)
    }

    /// Everything that came out.
    pub fn output_total(&self) -> u64 {
        [self.reasoning, self.audio_output, self.image_output]
            .into_iter()
            .flatten()
            .fold(self.output, u64::saturating_add)
    }
}

impl ServiceTier {
    pub const ALL: [Self; 5] = [
        Self::Standard,
        Self::Batch,
        Self::Flex,
        Self::Priority,
        Self::Fast,
    ];

    /// The word for it in the ledger and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceTier::Standard => "standard",
            ServiceTier::Batch => "batch",
            ServiceTier::Flex => "flex",
            ServiceTier::Priority => "priority",
            ServiceTier::Fast => "fast",
        }
    }
}

impl Region {
    pub const ALL: [Self; 2] = [Self::Global, Self::Us];

    /// The word for it in the ledger and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Region::Global => "global",
            Region::Us => "us",
        }
    }
}

impl Provenance {
    pub const ALL: [Self; 4] = [
        Self::Unknown,
        Self::Reported,
        Self::Partial,
        Self::Estimated,
    ];

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
