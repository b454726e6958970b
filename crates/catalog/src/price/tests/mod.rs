//! The prices, held against what is published and against a calculator of fractions.

mod bill;
mod bounds;
mod files;
mod finding;
mod reference;

use tollgate_base::{Money, Usage};

use super::{Price, PriceBook, PriceEntry};

/// The price of one JSON entry.
fn price(json: &str) -> Price {
    let entry: PriceEntry = serde_json::from_str(json).unwrap();
    entry.check("price").unwrap()
}

fn builtin(provider: &str, model: &str) -> &'static Price {
    PriceBook::builtin()
        .find(provider, model)
        .unwrap_or_else(|| panic!("{provider}/{model} has no price"))
}

fn dollars(text: &str) -> Option<Money> {
    Money::parse(text)
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage {
        input,
        output,
        ..Usage::default()
    }
}
