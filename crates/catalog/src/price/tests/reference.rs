//! The cost of random usages at random prices, against a calculator of fractions that shares no code with
//! it: it starts from the written decimals and rounds where the result is compared.
//!
//! `TOLLGATE_CASES` sets the number of cases (10,000 by default), `TOLLGATE_SEED` the seed of a run to repeat.

use std::time::{SystemTime, UNIX_EPOCH};

use tollgate_base::{Money, Region, ServiceTier, Usage};

use super::price;

#[test]
fn random_prices_and_usages_equal_the_fractions_to_the_nano_dollar() {
    let seed = number("TOLLGATE_SEED").unwrap_or_else(clock);
    let cases = number("TOLLGATE_CASES").unwrap_or(10_000);
    println!("seed {seed}, {cases} cases (TOLLGATE_SEED, TOLLGATE_CASES)");
    let mut random = Random(seed);
    for case in 0..cases {
        let written = Written::random(&mut random);
        let usage = usage(&mut random, written.threshold);
        let priced = price(&written.json()).cost(&usage);
        let expected = written.cost(&usage);
        assert_eq!(
            priced.cost,
            Some(expected),
            "seed {seed}, case {case}: {usage:?}\n{}",
            written.json()
        );
    }
}

/// A price as decimals: one figure for each kind in `KINDS`, for each of the tiers, short and long.
struct Written {
    threshold: u64,
    /// By tier, then by size of the prompt, then by kind.
    figures: Vec<[Vec<String>; 2]>,
    us: Option<&'static str>,
}

const KINDS: [&str; 14] = [
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "image_input",
    "output",
    "reasoning",
    "audio_output",
    "image_output",
    "search",
    "image",
    "audio_second",
    "character",
];
const TOKEN_KINDS: usize = 10;
const SECONDS: usize = 12;

impl Written {
    fn random(random: &mut Random) -> Self {
        let us = [None, Some("1.1"), Some("1.25"), Some("2")][random.below(4)];
        // A factor leaves no room for the last decimals.
        let decimals = if us.is_some() { 6 } else { 9 };
        let mut column = || -> Vec<String> {
            let figure = |kind| random.figure(if kind == SECONDS { 6 } else { decimals });
            (0..KINDS.len()).map(figure).collect()
        };
        let figures = ServiceTier::ALL
            .iter()
            .map(|_| [column(), column()])
            .collect();
        Self {
            threshold: 1 + random.next() % 300_000,
            figures,
            us,
        }
    }

    fn json(&self) -> String {
        let of = |column: &[String]| -> String {
            let pairs = KINDS
                .iter()
                .zip(column)
                .map(|(kind, figure)| format!("\"{kind}\":\"{figure}\""));
            pairs.collect::<Vec<_>>().join(",")
        };
        let columns = |[short, long]: &[Vec<String>; 2]| {
            format!(
                "{},\"above\":{{\"tokens\":{},{}}}",
                of(short),
                self.threshold,
                of(long)
            )
        };
        let mut parts = vec![columns(&self.figures[0])];
        for (tier, figures) in ServiceTier::ALL.iter().zip(&self.figures).skip(1) {
            parts.push(format!("\"{}\":{{{}}}", tier.as_str(), columns(figures)));
        }
        if let Some(us) = self.us {
            parts.push(format!("\"us\":\"{us}\""));
        }
        format!("{{{}}}", parts.join(","))
    }

    fn cost(&self, usage: &Usage) -> Money {
        let counts = counts(usage);
        let prompt: u64 = counts[..6].iter().sum();
        let tier = ServiceTier::ALL
            .iter()
            .position(|tier| *tier == usage.tier)
            .unwrap();
        let column = &self.figures[tier][usize::from(prompt > self.threshold)];
        let mut dollars = Fraction(0, 1);
        for (kind, (&count, figure)) in counts.iter().zip(column).enumerate() {
            let mut part = Fraction::decimal(figure).times(Fraction(u128::from(count), 1_000_000));
            if let (Some(us), Region::Us, true) = (self.us, usage.region, kind < TOKEN_KINDS) {
                part = part.times(Fraction::decimal(us));
            }
            if kind == SECONDS {
                part = part.times(Fraction(1, 1_000));
            }
            dollars = dollars.plus(part);
        }
        dollars.nanos()
    }
}

/// What the usage holds, in the order of `KINDS`.
fn counts(usage: &Usage) -> [u64; 14] {
    let of = |count: Option<u64>| count.unwrap_or(0);
    [
        usage.input,
        of(usage.cache_read),
        of(usage.cache_write),
        of(usage.cache_write_1h),
        of(usage.audio_input),
        of(usage.image_input),
        usage.output,
        of(usage.reasoning),
        of(usage.audio_output),
        of(usage.image_output),
        of(usage.searches),
        of(usage.images),
        of(usage.audio_ms),
        of(usage.characters),
    ]
}

fn usage(random: &mut Random, threshold: u64) -> Usage {
    let tier = ServiceTier::ALL[random.below(5)];
    let region = [Region::Global, Region::Us][random.below(2)];
    // A tenth of the prompts stand at the threshold, or one token above it.
    let at_threshold = random.below(10) == 0;
    let above = random.next() % 2;
    let mut count = || match random.below(4) {
        0 => None,
        1 => Some(random.next() % 10),
        2 => Some(random.next() % 100_000),
        _ => Some(random.next() % 5_000_000),
    };
    let usage = Usage {
        input: count().unwrap_or(0),
        cache_read: count(),
        cache_write: count(),
        cache_write_1h: count(),
        audio_input: count(),
        image_input: count(),
        output: count().unwrap_or(0),
        reasoning: count(),
        audio_output: count(),
        image_output: count(),
        searches: count(),
        images: count(),
        audio_ms: count(),
        characters: count(),
        tier,
        region,
        ..Usage::default()
    };
    if !at_threshold {
        return usage;
    }
    Usage {
        input: threshold + above,
        cache_read: None,
        cache_write: None,
        cache_write_1h: None,
        audio_input: None,
        image_input: None,
        ..usage
    }
}

/// A non-negative fraction in lowest terms.
#[derive(Clone, Copy)]
struct Fraction(u128, u128);

impl Fraction {
    fn decimal(text: &str) -> Self {
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let digits: u128 = format!("{whole}{rest}").parse().unwrap();
        Self(digits, 10_u128.pow(u32::try_from(rest.len()).unwrap())).reduced()
    }

    fn times(self, other: Self) -> Self {
        let (a, b) = (
            Self(self.0, other.1).reduced(),
            Self(other.0, self.1).reduced(),
        );
        Self(a.0 * b.0, a.1 * b.1)
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0 * other.1 + other.0 * self.1, self.1 * other.1).reduced()
    }

    fn reduced(self) -> Self {
        let (mut a, mut b) = (self.0, self.1);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self(self.0 / a, self.1 / a)
    }

    /// To the nearest nano-dollar, a half upwards.
    fn nanos(self) -> Money {
        let nanos = self.times(Self(1_000_000_000, 1));
        let (whole, rest) = (nanos.0 / nanos.1, nanos.0 % nanos.1);
        let up = u128::from(rest * 2 >= nanos.1);
        Money::from_nanos(i128::try_from(whole + up).unwrap())
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// A price: from a tenth of a cent to thousands, with up to so many decimals.
    fn figure(&mut self, decimals: usize) -> String {
        let whole = self.next() % [1, 10, 100, 40_000][self.below(4)];
        let kept = self.below(decimals) + 1;
        let rest: String = (1..kept)
            .map(|_| char::from(b"0123456789"[self.below(10)]))
            .collect();
        format!("{whole}.{rest}{}", 1 + self.below(9))
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?;
    Some(text.to_str().unwrap().parse().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "a seed is wanted, no time")]
fn clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos() % u128::from(u64::MAX)).unwrap()
}
