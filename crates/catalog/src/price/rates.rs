//! What a price is for, and a table of rates.

use std::fmt;

use tollgate_base::{Rate, Usage};

/// One thing that a provider charges for. Each unit of a [`Usage`] stands in exactly one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    Input,
    Output,
    CacheRead,
    /// A write to the prompt cache for its shorter lifetime.
    CacheWrite,
    /// A write to the prompt cache for its longer lifetime: an hour at Anthropic, twelve at OpenAI.
    CacheWriteLong,
    Reasoning,
    AudioInput,
    AudioOutput,
    ImageInput,
    ImageOutput,
    /// A search that the provider ran, or a unit of reranking.
    Search,
    /// An image that was made.
    Image,
    /// A millisecond of sound. Published and written by the second.
    AudioMs,
    Character,
}

/// A rate for some of the buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitPrices([Option<Rate>; Bucket::ALL.len()]);

// === impl Bucket ===

impl Bucket {
    /// Every bucket, in the order in which prices are shown.
    pub const ALL: [Self; 14] = [
        Self::Input,
        Self::Output,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWriteLong,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioOutput,
        Self::ImageInput,
        Self::ImageOutput,
        Self::Search,
        Self::Image,
        Self::AudioMs,
        Self::Character,
    ];

    /// The word for it in price files, in the configuration and in the unit prices of a ledger row.
    pub fn name(self) -> &'static str {
        match self {
            Bucket::Input => "input",
            Bucket::Output => "output",
            Bucket::CacheRead => "cache_read",
            Bucket::CacheWrite => "cache_write",
            Bucket::CacheWriteLong => "cache_write_1h",
            Bucket::Reasoning => "reasoning",
            Bucket::AudioInput => "audio_input",
            Bucket::AudioOutput => "audio_output",
            Bucket::ImageInput => "image_input",
            Bucket::ImageOutput => "image_output",
            Bucket::Search => "search",
            Bucket::Image => "image",
            Bucket::AudioMs => "audio_second",
            Bucket::Character => "character",
        }
    }

    /// How many of this a call consumed.
    pub fn of(self, usage: &Usage) -> u64 {
        match self {
            Bucket::Input => Some(usage.input),
            Bucket::Output => Some(usage.output),
            Bucket::CacheRead => usage.cache_read,
            Bucket::CacheWrite => usage.cache_write,
            Bucket::CacheWriteLong => usage.cache_write_1h,
            Bucket::Reasoning => usage.reasoning,
            Bucket::AudioInput => usage.audio_input,
            Bucket::AudioOutput => usage.audio_output,
            Bucket::ImageInput => usage.image_input,
            Bucket::ImageOutput => usage.image_output,
            Bucket::Search => usage.searches,
            Bucket::Image => usage.images,
            Bucket::AudioMs => usage.audio_ms,
            Bucket::Character => usage.characters,
        }
        .unwrap_or(0)
    }

    /// Whether it is counted in tokens: the size of the prompt, the region and the fast mode change the
    /// price of tokens, and of nothing else.
    pub fn is_token(self) -> bool {
        self.is_input() || self.is_output()
    }

    pub(super) fn is_input(self) -> bool {
        matches!(
            self,
            Bucket::Input
                | Bucket::CacheRead
                | Bucket::CacheWrite
                | Bucket::CacheWriteLong
                | Bucket::AudioInput
                | Bucket::ImageInput
        )
    }

    pub(super) fn is_output(self) -> bool {
        matches!(
            self,
            Bucket::Output | Bucket::Reasoning | Bucket::AudioOutput | Bucket::ImageOutput
        )
    }

    /// The bucket whose rate stands in where this one has none.
    pub(super) fn stand_in(self) -> Option<Self> {
        match self {
            Bucket::CacheWriteLong => Some(Bucket::CacheWrite),
            Bucket::CacheRead | Bucket::CacheWrite | Bucket::AudioInput | Bucket::ImageInput => {
                Some(Bucket::Input)
            }
            Bucket::Reasoning | Bucket::AudioOutput | Bucket::ImageOutput => Some(Bucket::Output),
            Bucket::Input
            | Bucket::Output
            | Bucket::Search
            | Bucket::Image
            | Bucket::AudioMs
            | Bucket::Character => None,
        }
    }

    /// The rate as it is published: sound by the second, everything else by its own unit.
    pub(super) fn published(self, rate: Rate) -> Rate {
        match self {
            Bucket::AudioMs => Rate(rate.0.saturating_mul(MS_PER_SECOND)),
            _ => rate,
        }
    }
}

pub(super) const MS_PER_SECOND: u64 = 1_000;

// === impl UnitPrices ===

impl UnitPrices {
    pub fn get(&self, bucket: Bucket) -> Option<Rate> {
        self.0.get(bucket as usize).copied().flatten()
    }

    pub(super) fn set(&mut self, bucket: Bucket, rate: Rate) {
        if let Some(place) = self.0.get_mut(bucket as usize) {
            *place = Some(rate);
        }
    }

    /// The buckets that have a rate, with it.
    pub fn iter(&self) -> impl Iterator<Item = (Bucket, Rate)> {
        Bucket::ALL
            .into_iter()
            .filter_map(|bucket| Some((bucket, self.get(bucket)?)))
    }

    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Dollars for one million units: `input=2.50 output=10.00`.
    pub fn to_text(self) -> String {
        let mut out = String::new();
        for (bucket, rate) in self.iter() {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(bucket.name());
            out.push('=');
            bucket.published(rate).push_decimal(&mut out);
        }
        out
    }
}

impl fmt::Display for UnitPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}
