//! The price of a model: its rates by service tier, size of the prompt and region.
//!
//! What the vendor published is kept as it was written, and the rate of a bucket is worked out by
//! [`Price::rate`], the one place that says what stands in for a rate that nobody published:
//!
//! * The size of the whole prompt chooses one column for the whole call; nothing is graduated.
//! * A tier that is cheaper than the standard one (batch, flex) has the standard rate where it has none; what
//!   has no rate in the standard tier either is stood in for in its own tier.
//! * A tier or column that is dearer (priority, fast, a long prompt) never lends a rate below its own: the
//!   dearest of what stands in for the bucket there and what the bucket costs otherwise.
//! * A read from a cache, a write to it, sound and pictures cost what plain input costs; reasoning, sound and
//!   pictures that came out cost what plain output costs.
//! * A dear tier that the model does not list has no price at all.

use tollgate_base::{Rate, Region, ServiceTier};

use super::rates::{Bucket, UnitPrices};

/// Nano-units in a thousandth.
const NANOS_PER_MILLI: u64 = 1_000_000;

/// What the units of a model cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Costs nothing, whatever it consumes.
    pub(super) free: bool,
    pub(super) standard: Columns,
    /// The tiers that have rates of their own, sorted.
    pub(super) tiers: Vec<(ServiceTier, Columns)>,
    /// What tokens cost in the United States, in thousandths of what they cost elsewhere.
    pub(super) us_milli: Option<u32>,
}

/// Rates for short prompts, and for long ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) rates: UnitPrices,
    pub(super) above: Option<Above>,
}

/// The rates of every token of a call whose prompt has more tokens than this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Above {
    pub(super) tokens: u64,
    pub(super) rates: UnitPrices,
}

/// The conditions under which a call is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) tier: ServiceTier,
    pub(super) region: Region,
    /// Whether the prompt is longer than the threshold.
    pub(super) long: bool,
}

// === impl Price ===

impl Price {
    pub fn is_free(&self) -> bool {
        self.free
    }

    /// The standard rates of a short prompt, as published.
    pub fn standard(&self) -> &UnitPrices {
        &self.standard.rates
    }

    /// The size of the prompt above which the long-context rates hold.
    pub fn threshold(&self) -> Option<u64> {
        let own = self.tiers.iter().map(|(_, columns)| columns);
        own.chain([&self.standard])
            .filter_map(|columns| Some(columns.above.as_ref()?.tokens))
            .min()
    }

    /// The service tiers that have rates of their own.
    pub fn tiers(&self) -> impl Iterator<Item = ServiceTier> {
        self.tiers.iter().map(|(tier, _)| *tier)
    }

    /// Everything that is published, by its path in a price file: `input` and `2.50`, `batch.above.tokens` and
    /// `272000`, `us` and `1.10`.
    pub fn figures(&self) -> Vec<(String, String)> {
        if self.free {
            return vec![("free".to_owned(), "true".to_owned())];
        }
        let mut figures = Vec::new();
        self.standard.figures("", &mut figures);
        for (tier, columns) in &self.tiers {
            columns.figures(&format!("{}.", tier.as_str()), &mut figures);
        }
        if let Some(milli) = self.us_milli {
            let factor = Rate(u64::from(milli).saturating_mul(NANOS_PER_MILLI)).to_decimal();
            figures.push(("us".to_owned(), factor));
        }
        figures
    }

    /// Whether a prompt of so many tokens is priced by the long-context column of this tier.
    pub(super) fn is_long(&self, tier: ServiceTier, prompt: u64) -> bool {
        let threshold = |columns: &Columns| Some(columns.above.as_ref()?.tokens);
        self.columns(tier)
            .and_then(threshold)
            .or_else(|| threshold(&self.standard))
            .is_some_and(|tokens| prompt > tokens)
    }

    /// The rate of a bucket on these terms; `None` if there is no saying.
    pub(super) fn rate(&self, terms: Terms, bucket: Bucket) -> Option<Rate> {
        if self.free {
            return Some(Rate::FREE);
        }
        let rate = self.rate_anywhere(terms.tier, terms.long, bucket)?;
        match self.us_milli {
            Some(milli) if terms.region == Region::Us && bucket.is_token() => scaled(rate, milli),
            _ => Some(rate),
        }
    }

    fn rate_anywhere(&self, tier: ServiceTier, long: bool, bucket: Bucket) -> Option<Rate> {
        let columns = self.columns(tier);
        let written = if long {
            columns.and_then(|columns| columns.above.as_ref()?.rates.get(bucket))
        } else {
            columns.and_then(|columns| columns.rates.get(bucket))
        };
        if written.is_some() {
            return written;
        }
        let otherwise = match tier {
            ServiceTier::Standard if long => self.rate_anywhere(tier, false, bucket),
            ServiceTier::Standard => None,
            ServiceTier::Batch | ServiceTier::Flex => {
                return match bucket.stand_in() {
                    Some(other) if !self.standard.lists(bucket) => {
                        self.rate_anywhere(tier, long, other)
                    }
                    _ => self.rate_anywhere(ServiceTier::Standard, long, bucket),
                };
            }
            ServiceTier::Priority | ServiceTier::Fast => {
                columns?;
                let standard = self.rate_anywhere(ServiceTier::Standard, long, bucket);
                let short = if long {
                    self.rate_anywhere(tier, false, bucket)
                } else {
                    None
                };
                standard.max(short)
            }
        };
        let stand_in = bucket.stand_in();
        otherwise.max(stand_in.and_then(|bucket| self.rate_anywhere(tier, long, bucket)))
    }

    fn columns(&self, tier: ServiceTier) -> Option<&Columns> {
        match tier {
            ServiceTier::Standard => Some(&self.standard),
            _ => self
                .tiers
                .iter()
                .find_map(|(listed, columns)| (*listed == tier).then_some(columns)),
        }
    }
}

// === impl Columns ===

impl Columns {
    fn lists(&self, bucket: Bucket) -> bool {
        let above = self
            .above
            .as_ref()
            .and_then(|above| above.rates.get(bucket));
        self.rates.get(bucket).or(above).is_some()
    }

    fn figures(&self, prefix: &str, out: &mut Vec<(String, String)>) {
        let mut of = |prefix: &str, rates: &UnitPrices| {
            out.extend(rates.iter().map(|(bucket, rate)| {
                (
                    format!("{prefix}{}", bucket.name()),
                    bucket.published(rate).to_decimal(),
                )
            }));
        };
        of(prefix, &self.rates);
        if let Some(above) = &self.above {
            let prefix = format!("{prefix}above.");
            of(&prefix, &above.rates);
            out.push((format!("{prefix}tokens"), above.tokens.to_string()));
        }
    }
}

/// A rate times a factor in thousandths. The parser has seen that it is whole; if not, it is rounded up.
pub(super) fn scaled(rate: Rate, milli: u32) -> Option<Rate> {
    let product = u128::from(rate.0) * u128::from(milli);
    u64::try_from(product.div_ceil(1_000)).ok().map(Rate)
}
