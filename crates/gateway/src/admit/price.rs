//! What a target costs, as one call sees it.

use std::sync::Arc;

use tollgate_base::{Error, Kind, Money, Result, Usage, quote};
use tollgate_catalog::price::{Ask, Price};
use tollgate_config::{BUILT_IN_PROVIDER, UnknownPrice};
use tollgate_policy::ledger::Cost;

use crate::{
    plan::{Place, Target},
    snapshot::Snapshot,
};

/// The price of one target.
#[derive(Clone, Debug)]
pub(crate) enum Pricing {
    /// Runs here, or costs nothing.
    Free,
    Known(Arc<Price>),
    /// Nobody knows, and that is allowed: what it costs is booked as unknown.
    Unknown,
}

/// The price of a target, or the refusal of one whose price is not known.
pub(crate) fn pricing(snapshot: &Snapshot, target: &Target) -> Result<Pricing> {
    let Place::Provider(provider) = &target.place else {
        return Ok(Pricing::Free);
    };
    pricing_at(snapshot, &provider.name, &target.model)
}

/// As [`pricing`], for a provider's name and its name of the model.
pub(crate) fn pricing_at(snapshot: &Snapshot, provider: &str, model: &str) -> Result<Pricing> {
    if provider == BUILT_IN_PROVIDER {
        return Ok(Pricing::Free);
    }
    match &snapshot.facts(provider, model).price {
        Some(price) if price.is_free() => Ok(Pricing::Free),
        Some(price) => Ok(Pricing::Known(price.clone())),
        None if snapshot.config.ledger.unknown_price == UnknownPrice::Book => Ok(Pricing::Unknown),
        None => Err(unknown(&format!("{provider}/{model}"))),
    }
}

/// What is done with a call whose most cannot be told, because its price has no figure for a part of it.
pub(crate) fn unbounded(snapshot: &Snapshot, target: &str) -> Result<()> {
    match snapshot.config.ledger.unknown_price {
        UnknownPrice::Book => Ok(()),
        UnknownPrice::Refuse => Err(unknown(target)),
    }
}

fn unknown(target: &str) -> Error {
    let message = format!(
        "The price of {} is not known, so that its cost could not be booked. Add [prices.\"{}\"] to the settings, \
         or set `ledger.unknown_price = \"book\"`.",
        quote(target),
        target.escape_default()
    );
    Error::new(Kind::InvalidRequest, "price_unknown", message)
        .with_param("model")
        .with_should_retry(false)
}

impl Pricing {
    /// The most that a request can cost; `None` when that cannot be said.
    pub(crate) fn most(&self, ask: &Ask<'_>, output: u64) -> Option<Money> {
        match self {
            Pricing::Free => Some(Money::ZERO),
            Pricing::Known(price) => price.most(ask, output),
            Pricing::Unknown => None,
        }
    }

    /// The largest output with which a request stays within `room`.
    pub(crate) fn output_within(&self, ask: &Ask<'_>, room: Money) -> Option<u64> {
        match self {
            Pricing::Known(price) => price.output_within(ask, room),
            Pricing::Free | Pricing::Unknown => None,
        }
    }

    /// What a usage cost, and the rates that were used.
    pub(crate) fn cost(&self, usage: &Usage) -> (Cost, String) {
        match self {
            Pricing::Free => (Cost::Known(Money::ZERO), "free".to_owned()),
            Pricing::Unknown => (Cost::Unknown, String::new()),
            Pricing::Known(price) => {
                let priced = price.cost(usage);
                let cost = priced.cost.map_or(Cost::Unknown, Cost::Known);
                (cost, priced.unit_prices)
            }
        }
    }
}
