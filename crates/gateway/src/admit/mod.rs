//! The stage *admit*: whether a call may begin, what it holds meanwhile, and what is booked when it has ended.
//!
//! A call asks twice. Once as a whole, before anything is tried: its requests, tokens and place under the limits
//! of its caller and of the model that it names ([`call`]). Then each attempt for itself, since each has its own
//! price, provider and row in the ledger ([`attempt`]). What both hold is given back by value, whatever ends the
//! call: the guards travel in the record, and the record in the response body.

mod attempt;
mod books;
mod call;
pub(crate) mod headers;
mod meter;
mod offer;
mod price;
mod size;

pub use books::{Books, Notice, Spent};
pub use size::request_tokens;

pub(crate) use attempt::{Booked, Booking, End, Offer};
pub(crate) use call::{Asker, CallHold};
pub(crate) use meter::Meter;
pub(crate) use offer::{Admitted, Declined, admit, counter, price_of};
pub(crate) use price::{Pricing, pricing, pricing_at, unbounded};
pub(crate) use size::{Size, counted};
