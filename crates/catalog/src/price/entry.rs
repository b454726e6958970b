//! A price as a person or a file writes it, and the check that makes a [`Price`] of it.
//!
//! Figures are decimal strings of dollars for one million units. A JSON or TOML number is refused, because on
//! its way it would have been a binary fraction.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, Error as _, MapAccess, Visitor},
};
use tollgate_base::{Error, Rate, Result, ServiceTier, quote};

use super::{
    rates::{Bucket, MS_PER_SECOND, UnitPrices},
    schedule::{Above, Columns, Price},
};

/// The written form of a price; also of an override in the configuration:
///
/// ```toml
/// [prices."openai/gpt-4o"]
/// input = "2.50"
/// output = "10.00"
/// batch = { input = "1.25", output = "5.00" }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceEntry {
    /// Costs nothing. The only way to write zero.
    pub free: bool,
    /// Costs what another costs: `openai` (the model of the same name there) or `openai/gpt-4o`.
    pub same_as: Option<String>,
    /// In `above` alone: the size of the prompt above which those rates hold.
    pub tokens: Option<u64>,
    /// What tokens cost in the United States, as a factor: `1.1`.
    pub us: Option<String>,
    pub rates: Vec<(Bucket, String)>,
    pub above: Option<Box<PriceEntry>>,
    pub tiers: Vec<(ServiceTier, PriceEntry)>,
}

/// The largest factor that is believed.
const MOST_MILLI: u32 = 100_000;

// === impl PriceEntry ===

impl PriceEntry {
    /// The price, if every figure is one. `path` is where the entry stands, for the message.
    pub fn check(&self, path: &str) -> Result<Price> {
        if self.free {
            return if *self == FREE {
                Ok(Price {
                    free: true,
                    ..Price::default()
                })
            } else {
                Err(refused(path, "what is free has no other price"))
            };
        }
        if self.same_as.is_some() {
            return Err(refused(path, "`same_as` has no meaning here"));
        }
        let us_milli = self
            .us
            .as_deref()
            .map(|text| factor(&join(path, "us"), text))
            .transpose()?;
        let standard = self.columns(path)?;
        if standard.rates.get(Bucket::Input).is_none()
            && standard.rates.get(Bucket::Output).is_some()
        {
            return Err(refused(path, "output has a price and input has none"));
        }
        let mut tiers = Vec::with_capacity(self.tiers.len());
        for (tier, entry) in &self.tiers {
            let path = join(path, tier.as_str());
            if !entry.tiers.is_empty() || entry.us.is_some() {
                return Err(refused(
                    &path,
                    "a service tier holds rates and `above`, nothing else",
                ));
            }
            entry.bare(&path)?;
            tiers.push((*tier, entry.columns(&path)?));
        }
        tiers.sort_by_key(|(tier, _)| *tier);
        let price = Price {
            free: false,
            standard,
            tiers,
            us_milli,
        };
        whole_in_the_us(&price, path)?;
        Ok(price)
    }

    fn columns(&self, path: &str) -> Result<Columns> {
        if self.tokens.is_some() {
            return Err(refused(&join(path, "tokens"), "stands in `above` alone"));
        }
        Ok(Columns {
            rates: self.unit_prices(path)?,
            above: match &self.above {
                Some(above) => Some(above.above(&join(path, "above"))?),
                None => None,
            },
        })
    }

    fn above(&self, path: &str) -> Result<Above> {
        if self.above.is_some() || !self.tiers.is_empty() || self.us.is_some() {
            return Err(refused(path, "holds `tokens` and rates, nothing else"));
        }
        self.bare(path)?;
        match self.tokens {
            Some(tokens) if tokens > 0 => Ok(Above {
                tokens,
                rates: self.unit_prices(path)?,
            }),
            _ => Err(refused(
                &join(path, "tokens"),
                "say above how many tokens these rates hold",
            )),
        }
    }

    fn bare(&self, path: &str) -> Result<()> {
        if self.free || self.same_as.is_some() {
            return Err(refused(
                path,
                "only a whole model is free or the same as another",
            ));
        }
        Ok(())
    }

    fn unit_prices(&self, path: &str) -> Result<UnitPrices> {
        let mut rates = UnitPrices::default();
        for (bucket, text) in &self.rates {
            let path = join(path, bucket.name());
            if rates.get(*bucket).is_some() {
                return Err(refused(&path, "is written twice"));
            }
            rates.set(*bucket, rate(&path, *bucket, text)?);
        }
        if rates.is_empty() {
            return Err(refused(
                path,
                "has no rate; write one, or `free` for what costs nothing",
            ));
        }
        Ok(rates)
    }
}

const FREE: PriceEntry = PriceEntry {
    free: true,
    same_as: None,
    tokens: None,
    us: None,
    rates: Vec::new(),
    above: None,
    tiers: Vec::new(),
};

fn rate(path: &str, bucket: Bucket, text: &str) -> Result<Rate> {
    let read = Rate::per_million(text).filter(|_| !text.starts_with('$'));
    let Some(rate) = read else {
        let message = format!(
            "{} is no price: write dollars for one million units with at most nine decimals, such as \"2.50\"",
            quote(text)
        );
        return Err(refused(path, &message));
    };
    if rate == Rate::FREE {
        return Err(refused(
            path,
            "is zero; write `free` for a model that costs nothing",
        ));
    }
    if bucket != Bucket::AudioMs {
        return Ok(rate);
    }
    if rate.0 % MS_PER_SECOND != 0 {
        return Err(refused(
            path,
            "a price by the second has at most six decimals",
        ));
    }
    Ok(Rate(rate.0 / MS_PER_SECOND))
}

/// A factor of at least one with at most three decimals, in thousandths.
fn factor(path: &str, text: &str) -> Result<u32> {
    const MILLI: u64 = 1_000_000;
    Rate::per_million(text)
        .filter(|factor| factor.0 % MILLI == 0)
        .and_then(|factor| u32::try_from(factor.0 / MILLI).ok())
        .filter(|milli| (1_000..=MOST_MILLI).contains(milli))
        .ok_or_else(|| {
            let message = format!(
                "{} is no factor: write a number from 1 to 100 with at most three decimals",
                quote(text)
            );
            refused(path, &message)
        })
}

/// Refuses a factor that makes a rate finer than a rate can be, because that would have to be rounded.
fn whole_in_the_us(price: &Price, path: &str) -> Result<()> {
    let Some(milli) = price.us_milli else {
        return Ok(());
    };
    let columns = price
        .tiers
        .iter()
        .map(|(_, columns)| columns)
        .chain([&price.standard]);
    let tables = columns.flat_map(|columns| {
        [
            Some(&columns.rates),
            columns.above.as_ref().map(|above| &above.rates),
        ]
    });
    for (bucket, rate) in tables.flatten().flat_map(UnitPrices::iter) {
        let product = u128::from(rate.0) * u128::from(milli);
        if bucket.is_token() && (product % 1_000 != 0 || product / 1_000 > u128::from(u64::MAX)) {
            let message = format!(
                "times the price of {} is finer than nine decimals",
                bucket.name()
            );
            return Err(refused(&join(path, "us"), &message));
        }
    }
    Ok(())
}

pub(super) fn refused(path: &str, message: &str) -> Error {
    Error::invalid_value(path, format!("{path}: {message}."))
}

pub(super) fn join(path: &str, name: &str) -> String {
    format!("{path}.{name}")
}

// Reading: one table of names, so that a bucket or a tier that is added is read without another line here.

impl<'de> Deserialize<'de> for PriceEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = PriceEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a price, such as { input = \"2.50\", output = \"10.00\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PriceEntry, A::Error> {
        let mut entry = PriceEntry::default();
        let mut seen: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("{key}: is written twice")));
            }
            let read = entry.read(&key, &mut map);
            read.map_err(|error| A::Error::custom(format!("{key}: {error}")))?;
            seen.push(key);
        }
        Ok(entry)
    }
}

impl PriceEntry {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let bucket = Bucket::ALL.into_iter().find(|bucket| bucket.name() == key);
        let mut tiers = ServiceTier::ALL.into_iter();
        let tier = tiers.find(|tier| *tier != ServiceTier::Standard && tier.as_str() == key);
        match (key, bucket, tier) {
            (_, Some(bucket), _) => self.rates.push((bucket, map.next_value::<Decimal>()?.0)),
            (_, _, Some(tier)) => self.tiers.push((tier, map.next_value()?)),
            ("above", ..) => self.above = Some(Box::new(map.next_value()?)),
            ("free", ..) => self.free = map.next_value()?,
            ("same_as", ..) => self.same_as = Some(map.next_value()?),
            ("tokens", ..) => self.tokens = Some(map.next_value()?),
            ("us", ..) => self.us = Some(map.next_value::<Decimal>()?.0),
            _ => return Err(A::Error::custom("is not known here")),
        }
        Ok(())
    }
}

/// A decimal number in quotes.
struct Decimal(String);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number in quotes, such as \"2.50\"")
            }

            fn visit_str<E>(self, text: &str) -> Result<Decimal, E> {
                Ok(Decimal(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Quoted)
    }
}
