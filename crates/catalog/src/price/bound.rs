//! The most that a request can cost, known before it is sent: what a reservation holds.

use tollgate_base::{Money, Rate, Region, ServiceTier};

use super::{
    rates::Bucket,
    schedule::{Price, Terms},
};

/// A request that is about to be sent, as far as its price goes. Everything is possible that is not ruled out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Tokens of the prompt, at most.
    pub input: u64,
    /// Answers to one prompt. Zero counts as one.
    pub candidates: u32,
    /// The tier that the request asks for. `None`: it leaves the choice to the provider, which may be any
    /// that the model lists but those that must be asked for (batch and fast).
    pub tier: Option<ServiceTier>,
    /// Where it will be served, if the request says so.
    pub region: Option<Region>,
    /// Buckets that cannot fill: sound where the request has none, writes to a cache that it does not ask for.
    pub without: &'a [Bucket],
    /// What it may consume beside tokens, at most: searches, images, milliseconds of sound, characters.
    pub pieces: &'a [(Bucket, u64)],
}

/// What one set of terms makes of a request.
struct Line {
    /// Rate of the dearest token that can go in.
    input: Rate,
    /// Rate of the dearest token that can come out; `None` where there is none, as for embeddings.
    output: Option<Rate>,
    pieces: Vec<(u64, Rate)>,
}

impl Price {
    /// The most that the request can cost when each answer has at most `output` tokens, rounded up. `None` if
    /// that cannot be said, because a rate is missing.
    pub fn most(&self, ask: &Ask<'_>, output: u64) -> Option<Money> {
        let out = output.saturating_mul(candidates(ask));
        let mut most = Money::ZERO;
        for line in self.lines_of(ask)? {
            let output = match line.output {
                Some(rate) => rate,
                None if out == 0 => Rate::FREE,
                None => return None,
            };
            let tokens = [(ask.input, line.input), (out, output)];
            most = most.max(Rate::bound(tokens.into_iter().chain(line.pieces)));
        }
        Some(most)
    }

    /// The largest number of output tokens for each answer with which the request is sure to cost no more
    /// than `limit`; `None` if it may cost more even without any answer, or if that cannot be said.
    pub fn output_within(&self, ask: &Ask<'_>, limit: Money) -> Option<u64> {
        let candidates = candidates(ask);
        let mut most = u64::MAX / candidates;
        for line in self.lines_of(ask)? {
            let before = [(ask.input, line.input)].into_iter().chain(line.pieces);
            let spent = before.fold(0_i128, |sum, (units, rate)| {
                sum.saturating_add(i128::from(units).saturating_mul(i128::from(rate.0)))
            });
            // In millionths of a nano-dollar nothing is rounded.
            let left = limit
                .nanos()
                .saturating_mul(1_000_000)
                .saturating_sub(spent);
            if left < 0 {
                return None;
            }
            most = most.min(match line.output {
                None => 0,
                Some(Rate::FREE) => u64::MAX,
                Some(rate) => {
                    let of_one = i128::from(rate.0).saturating_mul(i128::from(candidates));
                    u64::try_from(left / of_one).unwrap_or(u64::MAX)
                }
            });
        }
        Some(most)
    }

    /// One line for each set of terms under which the request may be served.
    fn lines_of(&self, ask: &Ask<'_>) -> Option<Vec<Line>> {
        let regions = match ask.region {
            Some(region) => vec![region],
            None if self.us_milli.is_none() => vec![Region::Global],
            None => vec![Region::Global, Region::Us],
        };
        let mut lines = Vec::new();
        for tier in self.tiers_of(ask.tier) {
            // A prompt that turns out shorter than its bound is priced by the other column.
            let longs = if self.is_long(tier, ask.input) {
                vec![false, true]
            } else {
                vec![false]
            };
            for long in longs {
                for &region in &regions {
                    lines.push(self.line(ask, Terms { tier, region, long })?);
                }
            }
        }
        Some(lines)
    }

    fn line(&self, ask: &Ask<'_>, terms: Terms) -> Option<Line> {
        let dearest = |of_kind: fn(Bucket) -> bool| {
            let possible = |bucket: &Bucket| of_kind(*bucket) && !ask.without.contains(bucket);
            let rates = Bucket::ALL.into_iter().filter(possible);
            rates.filter_map(|bucket| self.rate(terms, bucket)).max()
        };
        let asked: Vec<_> = ask.pieces.iter().filter(|(_, count)| *count > 0).collect();
        let priced = asked
            .iter()
            .filter_map(|&&(bucket, count)| Some((count, self.rate(terms, bucket)?)));
        let pieces: Vec<_> = priced.collect();
        let (input, output) = (dearest(Bucket::is_input), dearest(Bucket::is_output));
        // A model charges for the same thing by the piece (pictures, speech) or by the token.
        if pieces.len() < asked.len() && output.is_none() {
            return None;
        }
        let by_piece = (!pieces.is_empty()).then_some(Rate::FREE);
        let no_tokens = (ask.input == 0).then_some(Rate::FREE);
        Some(Line {
            input: input.or(by_piece).or(no_tokens)?,
            output: output.or(by_piece),
            pieces,
        })
    }

    /// The tiers in which the request may be served. A provider may serve in the standard tier what it
    /// cannot serve sooner or faster.
    fn tiers_of(&self, asked: Option<ServiceTier>) -> Vec<ServiceTier> {
        match asked {
            Some(tier @ (ServiceTier::Priority | ServiceTier::Fast)) if self.lists(tier) => {
                vec![ServiceTier::Standard, tier]
            }
            Some(tier) if self.lists(tier) => vec![tier],
            // A tier that the model does not list says nothing of where it will be served.
            Some(_) | None => {
                let chosen =
                    |tier: &ServiceTier| !matches!(tier, ServiceTier::Batch | ServiceTier::Fast);
                [ServiceTier::Standard]
                    .into_iter()
                    .chain(self.tiers().filter(chosen))
                    .collect()
            }
        }
    }
}

impl Price {
    fn lists(&self, tier: ServiceTier) -> bool {
        tier == ServiceTier::Standard || self.tiers().any(|listed| listed == tier)
    }
}

fn candidates(ask: &Ask<'_>) -> u64 {
    u64::from(ask.candidates.max(1))
}
