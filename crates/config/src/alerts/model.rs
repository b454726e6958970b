//! What is true of alerts: which events there are, when spending counts as unusual, and who is told how.

use tollgate_base::{Money, Secret};
use tollgate_policy::scope::Scope;

use crate::url::{BaseUrl, Reach};

/// What an alert is about. A channel names the ones it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlertEvent {
    /// A budget reached a threshold.
    Budget,
    /// A key spends several times what it usually does.
    Unusual,
    /// The ledger cannot write as it should.
    Ledger,
    /// The disk of the data folder is full, or nearly.
    Storage,
    /// A call was booked without a price.
    Price,
    /// Calls whose end is not known, found after a restart.
    Outcome,
    /// The chain of the audit log is broken.
    Audit,
    /// Asked for by `tollgate alerts test`; every channel gets it.
    Test,
}

/// When the spending of a key counts as unusual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertingSettings {
    /// Switches the alert on.
    pub unusual: bool,
    /// How many times the usual spending of an hour.
    pub factor: u64,
    /// An hour below this amount is never unusual.
    pub floor: Money,
    /// Hours that a key is watched before its first alert.
    pub history_hours: u64,
}

/// Somebody who is told.
#[derive(Clone, Debug)]
pub struct AlertChannel {
    pub name: String,
    pub way: AlertWay,
    /// `None`: all of them.
    pub events: Option<Vec<AlertEvent>>,
    /// `None`: whatever the scope.
    pub scopes: Option<Vec<Scope>>,
}

/// How somebody is told.
#[derive(Clone, Debug)]
pub enum AlertWay {
    /// A JSON document by POST, signed when there is a secret.
    Webhook {
        url: HookUrl,
        secret: Option<Secret>,
    },
    /// A text by POST, as Slack and those who follow it take it.
    Slack {
        url: HookUrl,
    },
    Email(Mail),
}

/// The address of a webhook. Whoever knows its path may post there, so the path is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookUrl {
    /// Scheme, host and port.
    pub origin: BaseUrl,
    /// Path and query.
    pub target: Secret,
}

/// A mail server and whom it is given mail for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub host: String,
    pub port: u16,
    pub reach: Reach,
    pub tls: MailTls,
    pub login: Option<MailLogin>,
    pub from: String,
    /// At least one.
    pub to: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailLogin {
    pub username: String,
    pub password: Secret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// Plain at first, encrypted before anything is said.
    Starttls,
    /// Encrypted from the first byte.
    Implicit,
    /// Never; to this machine alone.
    None,
}

// === impl AlertEvent ===

impl AlertEvent {
    /// Every event that a channel may name, with its word.
    pub const ALL: [(&'static str, Self); 7] = [
        ("budget", Self::Budget),
        ("unusual", Self::Unusual),
        ("ledger", Self::Ledger),
        ("storage", Self::Storage),
        ("price", Self::Price),
        ("outcome", Self::Outcome),
        ("audit", Self::Audit),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, event)| *event == self)
            .map_or("test", |(word, _)| word)
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, event)| *event)
    }
}

// === impl AlertingSettings ===

impl Default for AlertingSettings {
    fn default() -> Self {
        Self {
            unusual: true,
            factor: 5,
            floor: Money::from_nanos(1_000_000_000),
            history_hours: 24,
        }
    }
}

// === impl MailTls ===

impl MailTls {
    /// The port on which servers speak this way.
    pub(crate) fn default_port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}
