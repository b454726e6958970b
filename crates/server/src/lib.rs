//! The HTTP edge: it listens, hands connections to serving threads, finds the route of a request, reads its
//! body within the limits, and stops without cutting anyone off.
//!
//! Under `/admin/v1/` it serves the admin API.
//!
//! It knows which dialect a route speaks and nothing of what the dialect says. Framing is the business of
//! `http1`, everything behind the route that of `gateway`.

mod admin;
mod budget;
mod edge;
mod health;
mod listen;
mod media;
mod panic;
mod query;
mod routes;
mod upload;

pub use admin::Admin;
pub use listen::{Running, Server};
pub use routes::{Action, ROUTES, Route};
