//! Prices that the operator writes: for one model, or for every model of a provider.

use std::collections::BTreeMap;

use tollgate_base::Result;

use super::{
    book::PriceBook,
    entry::{PriceEntry, refused},
    schedule::Price,
};
use crate::models::without_cloud;

/// The model's name that stands for every model.
const EVERY_MODEL: &str = "*";

/// A price in the place of the book's. It replaces the whole price; nothing of the book's is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceOverride {
    /// A provider's own name, or the id of its row.
    pub provider: String,
    /// The model's name, exactly as it is sent, or `*`.
    pub model: String,
    pub price: PriceEntry,
}

#[derive(Debug, Default)]
pub(super) struct Overrides {
    rules: BTreeMap<String, BTreeMap<String, Rule>>,
    /// A hash of what was written, for the version.
    mark: Option<u64>,
}

#[derive(Debug)]
pub(super) enum Rule {
    Price(Box<Price>),
    /// What this model costs there, or with `None` the model of the same name.
    SameAs {
        row: String,
        model: Option<String>,
    },
}

// === impl PriceOverride ===

impl PriceOverride {
    /// Of a key of the configuration's table, `openai/gpt-4o` or `ollama/*`.
    pub fn new(key: &str, price: PriceEntry) -> Result<Self> {
        match key.split_once('/') {
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() => Ok(Self {
                provider: provider.to_owned(),
                model: model.to_owned(),
                price,
            }),
            _ => Err(refused(
                &path(key),
                "write the provider, `/`, and the model or `*`",
            )),
        }
    }
}

impl PriceBook {
    /// This book with these overrides in the place of those that it had. An override that is wrong is
    /// refused with its path, and so are two for the same model.
    pub fn with_overrides(&self, overrides: &[PriceOverride]) -> Result<PriceBook> {
        let mut rules: BTreeMap<String, BTreeMap<String, Rule>> = BTreeMap::new();
        for one in overrides {
            let path = path(&format!("{}/{}", one.provider, one.model));
            let rule = self.rule(&one.price, &path)?;
            let models = rules.entry(one.provider.clone()).or_default();
            if models.insert(one.model.clone(), rule).is_some() {
                return Err(refused(&path, "is written twice"));
            }
        }
        let mark = (!overrides.is_empty()).then(|| hash(&format!("{rules:?}")));
        Ok(self.overridden(Overrides { rules, mark }))
    }

    fn rule(&self, entry: &PriceEntry, path: &str) -> Result<Rule> {
        let Some(same_as) = &entry.same_as else {
            return entry.check(path).map(|price| Rule::Price(Box::new(price)));
        };
        if *entry
            != (PriceEntry {
                same_as: entry.same_as.clone(),
                ..PriceEntry::default()
            })
        {
            return Err(refused(
                path,
                "what is the same as another has no other price",
            ));
        }
        let (row, model) = match same_as.split_once('/') {
            Some((row, model)) => (row, Some(model)),
            None => (same_as.as_str(), None),
        };
        let known = match model {
            Some(model) => self.published(row, model).is_some(),
            None => self.has_provider(row),
        };
        if !known {
            return Err(refused(path, "`same_as` names nothing that has a price"));
        }
        Ok(Rule::SameAs {
            row: row.to_owned(),
            model: model.map(str::to_owned),
        })
    }
}

// === impl Overrides ===

impl Overrides {
    pub(super) fn find(&self, name: &str, row: &str, model: &str) -> Option<&Rule> {
        let of = |provider: &str, model: &str| self.rules.get(provider)?.get(model);
        of(name, model)
            .or_else(|| of(row, model))
            .or_else(|| of(name, EVERY_MODEL))
            .or_else(|| of(row, EVERY_MODEL))
    }

    pub(super) fn mark(&self) -> Option<String> {
        self.mark.map(|hash| format!("{hash:016x}"))
    }
}

// === impl Rule ===

impl Rule {
    pub(super) fn price<'a>(&'a self, book: &'a PriceBook, model: &str) -> Option<&'a Price> {
        match self {
            Rule::Price(price) => Some(price),
            Rule::SameAs {
                row,
                model: Some(model),
            } => book.published(row, model),
            Rule::SameAs { row, model: None } => book
                .published(row, model)
                .or_else(|| book.published(row, without_cloud(model))),
        }
    }
}

fn path(key: &str) -> String {
    format!("prices.\"{key}\"")
}

/// FNV-1a: tells one set of overrides from another; it guards nothing.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
