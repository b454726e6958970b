//! Settings: what was written, checked into what is true.
//!
//! Owns the file `tollgate.toml`, the environment's provider keys and the overrides of the command line:
//! [`load`] reads them all and gives a [`Config`], or every mistake at once. One table ([`schema`]) says
//! what may be written; the checker, the reference page and the JSON Schema are made from it.
//!
//! Reading the settings file and key files is the only IO. There is no reload here, no HTTP and no runtime,
//! and nothing downstream parses a setting again.

mod alerts;
mod draft;
mod findings;
mod identity;
mod json_schema;
mod keys;
mod kind;
mod load;
mod mistake;
mod model;
mod money;
mod providers;
mod read;
mod reference;
mod resolve;
mod routes;
mod schema;
mod show;
mod suggest;
mod url;
mod value;
mod vault;

pub use alerts::{
    AlertChannel, AlertEvent, AlertWay, AlertingSettings, HookUrl, Mail, MailLogin, MailTls,
};
pub use identity::filled;
pub use json_schema::json_schema;
pub use load::{FileSource, Loaded, Overrides, Sources};
pub use mistake::{Mistake, Place, Severity};
pub use model::{
    AwsContainer, BUILT_IN_MODEL, BUILT_IN_PROVIDER, Config, Disconnect, Durability,
    EngineSettings, FirstKeys, HubSettings, Identity, LedgerSettings, LimitSettings, LogFormat,
    LogLevel, LogSettings, NearBudget, Origin, PriceSetting, Provider, RetrySettings, Route,
    RouteTarget, ServerSettings, Strategy, StreamSettings, UnknownPrice,
};
pub use reference::reference;
pub use url::{Allowances, BaseUrl, Reach, UrlFault};
pub use vault::VaultKeys;

#[cfg(test)]
mod tests;
