//! What a call cost, and what calls will cost.

use tollgate_base::{Money, Rate, Region, ServiceTier, Usage};

use super::{
    rates::{Bucket, UnitPrices},
    schedule::{Price, Terms},
};

/// A usage with its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// `None` if a bucket that holds something has no rate: an unknown cost is never zero.
    pub cost: Option<Money>,
    /// The rates that were used, after tier, size of the prompt and region: dollars for one million units, as
    /// `input=2.50 output=10.00`; `free` for a model that costs nothing.
    pub unit_prices: String,
    /// The buckets that hold something and have no rate.
    pub unpriced: Vec<&'static str>,
}

/// So many requests a day, all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    pub requests_per_day: u64,
    /// Tokens of one request.
    pub input: u64,
    /// Tokens of one answer.
    pub output: u64,
    pub days: u64,
}

impl Price {
    /// What this usage cost: each bucket at the rate of the tier and the region in which the call was
    /// served and of the size of its whole prompt, added up exactly and rounded once.
    pub fn cost(&self, usage: &Usage) -> Priced {
        let terms = Terms {
            tier: usage.tier,
            region: usage.region,
            long: self.is_long(usage.tier, usage.input_total()),
        };
        self.priced(terms, |bucket| bucket.of(usage))
    }

    /// What a workload costs at the standard rates, rounded once for all of it; `None` if a rate is missing.
    pub fn projection(&self, workload: &Workload) -> Option<Money> {
        let requests = workload.requests_per_day.saturating_mul(workload.days);
        let terms = Terms {
            tier: ServiceTier::Standard,
            region: Region::Global,
            long: self.is_long(ServiceTier::Standard, workload.input),
        };
        self.priced(terms, |bucket| match bucket {
            Bucket::Input => requests.saturating_mul(workload.input),
            Bucket::Output => requests.saturating_mul(workload.output),
            _ => 0,
        })
        .cost
    }

    fn priced(&self, terms: Terms, units: impl Fn(Bucket) -> u64) -> Priced {
        let mut used = UnitPrices::default();
        let mut parts = Vec::with_capacity(4);
        let mut unpriced = Vec::new();
        for bucket in Bucket::ALL {
            let count = units(bucket);
            if count == 0 {
                continue;
            }
            match self.rate(terms, bucket) {
                None => unpriced.push(bucket.name()),
                Some(rate) => {
                    used.set(bucket, rate);
                    parts.push((count, rate));
                }
            }
        }
        Priced {
            cost: unpriced.is_empty().then(|| Rate::total(parts)),
            unit_prices: if self.free {
                "free".to_owned()
            } else {
                used.to_text()
            },
            unpriced,
        }
    }
}
