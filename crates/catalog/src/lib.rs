//! Providers and models as data.
//!
//! Owns the rows of `data/providers.toml` (where a provider is, what it speaks, how it differs) and the
//! facts of `data/models.json` (what a model accepts) and the prices of `data/prices.json`. It does no IO, knows no key and opens no
//! connection; what a user writes about a provider is laid over these rows by the config crate.
//!
//! A vendor is a row here and nothing anywhere else: code reads columns, never names.

mod models;
mod operation;
pub mod price;
mod provider;

use std::sync::OnceLock;

use tollgate_dialect::ModelTraits;

use models::Models;
pub use operation::Operation;
pub use provider::{Auth, Endpoint, Endpoints, Framing, ProviderRow, Variable};

/// The provider rows and the model facts.
#[derive(Debug)]
pub struct Catalog {
    providers: Vec<ProviderRow>,
    /// Parsed at the first question about a model, because a cold start asks none.
    models: OnceLock<Models>,
}

impl Catalog {
    /// The catalogue that ships with the binary.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Catalog> = OnceLock::new();
        BUILTIN.get_or_init(|| Self {
            providers: provider::builtin(),
            models: OnceLock::new(),
        })
    }

    /// The row with this id.
    pub fn provider(&self, id: &str) -> Option<&ProviderRow> {
        self.providers.iter().find(|row| row.id == id)
    }

    /// Every row, in the order in which they are shown.
    pub fn providers(&self) -> &[ProviderRow] {
        &self.providers
    }

    /// What is known of a model of this provider: by its exact name, else by the name without the date of
    /// its snapshot, else nothing (the default, which refuses nothing and assumes nothing).
    pub fn traits(&self, provider_id: &str, model: &str) -> &ModelTraits {
        let row = self.provider(provider_id);
        match row.and_then(|row| row.models_of.as_deref()) {
            Some(vendor) => self.facts().traits(vendor, models::without_cloud(model)),
            None => self.facts().traits(provider_id, model),
        }
    }

    /// The names of the models of this provider that the catalogue knows, sorted.
    pub fn models(&self, provider_id: &str) -> impl Iterator<Item = &str> {
        self.facts().names(provider_id)
    }

    fn facts(&self) -> &Models {
        self.models.get_or_init(models::builtin)
    }
}

#[cfg(test)]
mod tests;
