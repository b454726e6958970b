//! Prices: what each model of each provider costs, and the arithmetic of it.
//!
//! Owns the price book (`data/prices.json` unless another file takes its place), the price of a usage, the
//! bound that a reservation holds and the projection of a workload. It reads no file and knows no budget.
//!
//! A model or a bucket without a price has no cost at all: zero is only what is marked as free.

mod book;
mod bound;
mod cost;
mod diff;
mod entry;
mod overrides;
mod parse;
mod rates;
mod schedule;

pub use book::PriceBook;
pub use bound::Ask;
pub use cost::{Priced, Workload};
pub use diff::{Change, ChangeKind, diff};
pub use entry::PriceEntry;
pub use overrides::PriceOverride;
pub use parse::LARGEST_FILE;
pub use rates::{Bucket, UnitPrices};
pub use schedule::Price;

#[cfg(test)]
mod tests;
