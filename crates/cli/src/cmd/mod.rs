//! The subcommands, one file each.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod budgets;
pub(crate) mod chat;
pub(crate) mod config;
pub(crate) mod explain;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod models;
pub(crate) mod prices;
pub(crate) mod projects;
pub(crate) mod providers;
pub(crate) mod sample;
pub(crate) mod scan;
pub(crate) mod serve;
pub(crate) mod teams;
pub(crate) mod tokens;
pub(crate) mod usage;
pub(crate) mod vault;
