//! The price book: every known price, by provider and model, and the rule that finds one.
//!
//! A book never changes; a new file or other overrides make another book with another version.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use super::{overrides::Overrides, schedule::Price};
use crate::models::without_date;

/// Provider row, then model.
pub(super) type Prices = BTreeMap<String, BTreeMap<String, Price>>;

/// Prices of one day.
#[derive(Clone, Debug)]
pub struct PriceBook {
    version: String,
    as_of: String,
    prices: Arc<Prices>,
    pub(super) overrides: Arc<Overrides>,
}

// === impl PriceBook ===

impl PriceBook {
    /// The book that ships with the binary.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<PriceBook> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            Self::parse(include_bytes!("../../data/prices.json"))
                .expect("the embedded prices parse, which a test holds")
        })
    }

    pub(super) fn new(version: String, as_of: String, prices: Arc<Prices>) -> Self {
        Self {
            version,
            as_of,
            prices,
            overrides: Arc::default(),
        }
    }

    /// What a ledger row keeps: another book, or another set of overrides, has another version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The day of the prices, as `2026-11-20`.
    pub fn as_of(&self) -> &str {
        &self.as_of
    }

    /// The price of a model of a provider, by the id of its row or, where overrides name it, its own name.
    ///
    /// An override for the model wins, then one for every model of the provider, then the book. In the book
    /// the exact name wins. `ft:gpt-4o:org::id` is priced as `ft:gpt-4o`. A name that ends in a date
    /// (`-20241022`, `-2024-08-06`) is priced as the name without it, unless the book lists another snapshot
    /// of that model at another price: then the date matters, and there is no saying. Other endings such as
    /// `-latest` and `-preview` are models of their own.
    pub fn find(&self, provider: &str, model: &str) -> Option<&Price> {
        self.find_named(provider, provider, model)
    }

    /// As [`PriceBook::find`], for a provider with a name of its own: overrides for the name win over those
    /// for its row.
    pub fn find_named(&self, name: &str, row: &str, model: &str) -> Option<&Price> {
        match self.overrides.find(name, row, model) {
            Some(rule) => rule.price(self, model),
            None => self.published(row, model),
        }
    }

    /// The price in the book, whatever the overrides say.
    pub(super) fn published(&self, row: &str, model: &str) -> Option<&Price> {
        let models = self.prices.get(row)?;
        models.get(model).or_else(|| {
            let tuned = model
                .strip_prefix("ft:")
                .and_then(|rest| rest.split_once(':'));
            match tuned {
                Some((base, _)) => exact_or_base(models, &format!("ft:{base}")),
                None => exact_or_base(models, model),
            }
        })
    }

    /// Every published price, in the order of the names.
    pub fn prices(&self) -> impl Iterator<Item = (&str, &str, &Price)> {
        self.prices.iter().flat_map(|(provider, models)| {
            models
                .iter()
                .map(move |(model, price)| (provider.as_str(), model.as_str(), price))
        })
    }

    pub(super) fn has_provider(&self, row: &str) -> bool {
        self.prices.contains_key(row)
    }

    /// The same prices with these overrides, in the place of those it had.
    pub(super) fn overridden(&self, overrides: Overrides) -> Self {
        let published = self
            .version
            .split_once('+')
            .map_or(&*self.version, |(before, _)| before);
        Self {
            version: match overrides.mark() {
                Some(mark) => format!("{published}+{mark}"),
                None => published.to_owned(),
            },
            as_of: self.as_of.clone(),
            prices: Arc::clone(&self.prices),
            overrides: Arc::new(overrides),
        }
    }
}

fn exact_or_base<'a>(models: &'a BTreeMap<String, Price>, model: &str) -> Option<&'a Price> {
    if let Some(price) = models.get(model) {
        return Some(price);
    }
    let base = without_date(model)?;
    let price = models.get(base)?;
    let prefix = format!("{base}-");
    let mut siblings = models
        .range(prefix.clone()..)
        .take_while(|(name, _)| name.starts_with(&prefix))
        .filter(|(name, _)| without_date(name) == Some(base));
    siblings
        .all(|(_, sibling)| sibling == price)
        .then_some(price)
}
