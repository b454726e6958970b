//! The subcommands, one file each.

pub(crate) mod alerts;
pub(crate) mod chat;
pub(crate) mod config;
pub(crate) mod explain;
pub(crate) mod keys;
pub(crate) mod prices;
pub(crate) mod providers;
pub(crate) mod scan;
pub(crate) mod serve;
pub(crate) mod vault;
