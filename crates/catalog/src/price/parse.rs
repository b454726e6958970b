//! The format of a price file, `prices.json`: what is read, and everything that is refused.
//!
//! A file is taken as a whole or not at all. It is JSON: `as_of` (a day), `version` (any word), and `prices`,
//! by provider row and model.

use std::{collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserialize,
    de::{Deserializer, Error as _, MapAccess, Visitor},
};
use tollgate_base::{Error, Result};

use super::{
    book::PriceBook,
    entry::{PriceEntry, join, refused},
};

/// Larger files are refused unread. The built-in book has about 70 KB.
pub const LARGEST_FILE: usize = 16 << 20;
/// Entries at one level of a file. The built-in book has about 550.
const MOST_NAMES: usize = 50_000;
/// Bytes of a name.
const LONGEST_NAME: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    as_of: String,
    version: String,
    prices: Unique<Unique<PriceEntry>>,
}

impl PriceBook {
    /// Reads a price file. Whatever is wrong in it is refused with its path, and nothing of it is taken.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > LARGEST_FILE {
            return Err(refused("prices", "the file is larger than 16 MiB"));
        }
        let file: File = serde_json::from_slice(bytes)
            .map_err(|error| Error::invalid_value("prices", format!("The price file: {error}.")))?;
        if !is_day(&file.as_of) {
            return Err(refused("as_of", "is no day; write it as 2026-11-20"));
        }
        if file.version.is_empty() || !is_name(&file.version) {
            return Err(refused("version", "is no word of at most 256 letters"));
        }
        let mut prices: BTreeMap<String, BTreeMap<String, _>> = BTreeMap::new();
        for (provider, entries) in file.prices.0 {
            let path = join("prices", &provider);
            let models = prices.entry(provider).or_default();
            for (model, entry) in entries.0 {
                let price = entry.check(&join(&path, &model))?;
                models.insert(model, price);
            }
        }
        if prices.values().all(BTreeMap::is_empty) {
            return Err(refused("prices", "holds no price"));
        }
        Ok(Self::new(file.version, file.as_of, Arc::new(prices)))
    }
}

/// Four digits, two, and two, of a month and a day that can be.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let number = |part: &str, digits: usize| {
        let are_digits = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        are_digits.then(|| part.parse::<u32>().ok()).flatten()
    };
    number(year, 4).is_some()
        && number(month, 2).is_some_and(|month| (1..=12).contains(&month))
        && number(day, 2).is_some_and(|day| (1..=31).contains(&day))
}

/// Names are shown on terminals and stand in ledger rows.
fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// A map in which a name stands once.
struct Unique<V>(BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueVisitor<V> {
    type Value = Unique<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<V>, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if entries.len() == MOST_NAMES {
                return Err(A::Error::custom("more than 50000 names"));
            }
            if name.is_empty() || !is_name(&name) {
                return Err(A::Error::custom(format!("{name:?} is no name")));
            }
            let read = map.next_value::<V>();
            let value = read.map_err(|error| A::Error::custom(format!("{name}: {error}")))?;
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format!("{name}: is written twice")));
            }
            entries.insert(name, value);
        }
        Ok(Unique(entries))
    }
}
