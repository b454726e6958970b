//! Prices, what a workload costs, and the settings in force.

use std::collections::BTreeMap;

use tollgate_api::{Amount, EffectiveConfig, Forecast, Price, Prices, Projection, Shaped as _};
use tollgate_base::{Error, Kind, Result, quote};
use tollgate_catalog::price::{self, Workload};
use tollgate_gateway::Snapshot;

use super::{
    Desk,
    asked::Asked,
    reply::{Reply, page},
};

/// A month.
const DAYS: u64 = 30;

impl Desk {
    pub(super) fn prices(&self, asked: &Asked) -> Result<Reply> {
        let snapshot = self.shared.snapshot.load();
        let book = snapshot.price_book();
        let all: BTreeMap<String, &price::Price> = if let Some(name) = asked.parameter("model") {
            BTreeMap::from([(name.to_owned(), find(&snapshot, name)?)])
        } else {
            let named = |(provider, model, price)| (format!("{provider}/{model}"), price);
            book.prices().map(named).collect()
        };
        let shown: BTreeMap<String, Price> = all.into_iter().map(shown).collect();
        let (after, size) = (asked.parameter("after"), asked.page_size());
        let page = page(shown.iter(), after, size, Clone::clone);
        Ok(Reply::json(&Prices {
            version: book.version().to_owned(),
            as_of: book.as_of().to_owned(),
            data: page.data,
            next: page.next,
        }))
    }

    pub(super) fn projection(&self, asked: &Asked) -> Result<Reply> {
        let wish = Projection::read(&asked.body)?;
        let days = wish.days.unwrap_or(DAYS);
        let snapshot = self.shared.snapshot.load();
        let workload = Workload {
            requests_per_day: wish.requests_per_day,
            input: wish.input_tokens,
            output: wish.output_tokens,
            days,
        };
        let cost = find(&snapshot, &wish.model)?.projection(&workload);
        let cost = cost.ok_or_else(|| {
            let message = format!("{} has no price for all of this.", quote(&wish.model));
            Error::new(Kind::InvalidRequest, "price_unknown", message).with_param("model")
        })?;
        let book = snapshot.price_book();
        Ok(Reply::json(&Forecast {
            cost_usd: Amount(cost),
            days,
            price_version: book.version().to_owned(),
            as_of: book.as_of().to_owned(),
        }))
    }

    pub(super) fn effective_config(&self) -> Reply {
        let toml = self.shared.snapshot.load().config.effective_toml();
        Reply::json(&EffectiveConfig { toml })
    }
}

fn shown((model, price): (String, &price::Price)) -> (String, Price) {
    let figures = price.figures().into_iter().collect();
    let shown = Price {
        model: model.clone(),
        figures,
    };
    (model, shown)
}

/// The price of a model at a configured provider, or else as it is published.
fn find<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s price::Price> {
    name.split_once('/')
        .and_then(|(provider, model)| {
            let configured = snapshot.price(provider, model);
            configured.or_else(|| snapshot.price_book().find(provider, model))
        })
        .ok_or_else(|| {
            let message = format!(
                "{} has no price. Write it as `provider/model`, and prices of your own under [prices] in the settings.",
                quote(name)
            );
            Error::new(Kind::NotFound, "not_found", message).with_param("model")
        })
}
