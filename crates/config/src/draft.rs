//! What was written: the shape of `tollgate.toml`, with the defaults for what it leaves out.
//!
//! Every value has its type, but nothing is known yet of how the values go together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tollgate_base::{Money, Rate, Secret};
use tollgate_policy::rules::{Measure, Period};

use crate::alerts::{AlertingSettings, MailTls};
use crate::model::{
    Disconnect, Durability, EngineSettings, LedgerSettings, LogFormat, LogLevel, LogSettings,
    NearBudget, RetrySettings, ServerSettings, Strategy, StreamSettings, UnknownPrice,
};

#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) strict: bool,
    pub(crate) built_in_model: bool,
    pub(crate) detect_local_servers: bool,
    pub(crate) default_model: Option<String>,
    pub(crate) disabled_providers: Vec<String>,
    pub(crate) server: ServerSettings,
    pub(crate) workers: Option<usize>,
    pub(crate) log: LogSettings,
    pub(crate) streaming: StreamSettings,
    pub(crate) retry: RetrySettings,
    pub(crate) ledger: LedgerSettings,
    pub(crate) vault_key_file: Option<PathBuf>,
    pub(crate) vault_former_key_file: Option<PathBuf>,
    pub(crate) hub: Option<String>,
    pub(crate) hub_token_file: Option<PathBuf>,
    pub(crate) engine: EngineSettings,
    pub(crate) alerting: AlertingSettings,
    pub(crate) providers: BTreeMap<String, ProviderDraft>,
    pub(crate) routes: BTreeMap<String, RouteDraft>,
    pub(crate) prices: BTreeMap<String, PriceDraft>,
    pub(crate) limits: BTreeMap<String, LimitDraft>,
    pub(crate) budgets: BTreeMap<String, BudgetDraft>,
    pub(crate) alerts: BTreeMap<String, AlertDraft>,
}

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own in the file"
)]
pub(crate) struct ProviderDraft {
    pub(crate) kind: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) api_key: Option<Secret>,
    pub(crate) api_key_env: Option<String>,
    pub(crate) api_key_file: Option<PathBuf>,
    pub(crate) api_key_vault: Option<String>,
    pub(crate) api_version: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) credentials_file: Option<PathBuf>,
    pub(crate) machine_identity: bool,
    pub(crate) tenant_id: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) headers: BTreeMap<String, Secret>,
    pub(crate) models: Option<Vec<String>>,
    pub(crate) enabled: bool,
    pub(crate) allow_private: bool,
    pub(crate) allow_http: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct RouteDraft {
    pub(crate) targets: Vec<String>,
    pub(crate) strategy: Strategy,
    pub(crate) strict: Option<bool>,
    pub(crate) near_budget: NearBudget,
    pub(crate) on_disconnect: Option<Disconnect>,
}

/// Dollars for a million, by what is paid for.
#[derive(Clone, Debug, Default)]
pub(crate) struct PriceDraft {
    pub(crate) free: bool,
    pub(crate) input: Option<Rate>,
    pub(crate) output: Option<Rate>,
    pub(crate) cache_read: Option<Rate>,
    pub(crate) cache_write: Option<Rate>,
    pub(crate) cache_write_1h: Option<Rate>,
    pub(crate) reasoning: Option<Rate>,
    pub(crate) audio_input: Option<Rate>,
    pub(crate) audio_output: Option<Rate>,
    pub(crate) image_input: Option<Rate>,
    pub(crate) image_output: Option<Rate>,
    pub(crate) image: Option<Rate>,
    pub(crate) audio_second: Option<Rate>,
    pub(crate) character: Option<Rate>,
    pub(crate) search: Option<Rate>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LimitDraft {
    pub(crate) scope: Option<String>,
    pub(crate) measure: Option<Measure>,
    pub(crate) most: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct BudgetDraft {
    pub(crate) scope: Option<String>,
    pub(crate) limit: Option<Money>,
    pub(crate) period: Period,
    pub(crate) zone: String,
    pub(crate) hard: bool,
    pub(crate) thresholds: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct AlertDraft {
    /// One of `alerts::WAYS`.
    pub(crate) kind: Option<&'static str>,
    pub(crate) url: Option<Secret>,
    pub(crate) secret: Option<Secret>,
    pub(crate) secret_env: Option<String>,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) server: Option<String>,
    pub(crate) tls: MailTls,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) password_env: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) from: Option<String>,
    pub(crate) to: Vec<String>,
    pub(crate) events: Option<Vec<String>>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) allow_private: bool,
    pub(crate) allow_http: bool,
}

/// A place for a value of type `T`: the type itself, an optional one, or one with a narrower range.
pub(crate) trait Holds<T> {
    fn put(&mut self, value: T);
    fn held(&self) -> Option<T>;
}

// === impl Draft ===

impl Default for Draft {
    fn default() -> Self {
        Self {
            data_dir: None,
            strict: false,
            built_in_model: true,
            detect_local_servers: true,
            default_model: None,
            disabled_providers: Vec::new(),
            server: ServerSettings::default(),
            workers: None,
            log: LogSettings::default(),
            streaming: StreamSettings::default(),
            retry: RetrySettings::default(),
            ledger: LedgerSettings::default(),
            vault_key_file: None,
            vault_former_key_file: None,
            hub: None,
            hub_token_file: None,
            engine: EngineSettings::default(),
            alerting: AlertingSettings::default(),
            providers: BTreeMap::new(),
            routes: BTreeMap::new(),
            prices: BTreeMap::new(),
            limits: BTreeMap::new(),
            budgets: BTreeMap::new(),
            alerts: BTreeMap::new(),
        }
    }
}

// === impl ProviderDraft ===

impl Default for ProviderDraft {
    fn default() -> Self {
        Self {
            kind: None,
            base_url: None,
            api_key: None,
            api_key_env: None,
            api_key_file: None,
            api_key_vault: None,
            api_version: None,
            region: None,
            project: None,
            resource: None,
            credentials_file: None,
            machine_identity: false,
            tenant_id: None,
            client_id: None,
            headers: BTreeMap::new(),
            models: None,
            enabled: true,
            allow_private: false,
            allow_http: false,
        }
    }
}

impl ProviderDraft {
    /// What the file says of a variable of the address.
    pub(crate) fn variable(&self, name: &str) -> Option<&String> {
        match name {
            "region" => self.region.as_ref(),
            "project" => self.project.as_ref(),
            "resource" => self.resource.as_ref(),
            "api_version" => self.api_version.as_ref(),
            _ => None,
        }
    }
}

// === impl RouteDraft ===

impl Default for RouteDraft {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            strategy: Strategy::Order,
            strict: None,
            near_budget: NearBudget::Clamp,
            on_disconnect: None,
        }
    }
}

// === impl AlertDraft ===

impl Default for AlertDraft {
    fn default() -> Self {
        Self {
            kind: None,
            url: None,
            secret: None,
            secret_env: None,
            secret_file: None,
            server: None,
            tls: MailTls::Starttls,
            username: None,
            password: None,
            password_env: None,
            password_file: None,
            from: None,
            to: Vec::new(),
            events: None,
            scopes: None,
            allow_private: false,
            allow_http: false,
        }
    }
}

// === impl BudgetDraft ===

impl Default for BudgetDraft {
    fn default() -> Self {
        Self {
            scope: None,
            limit: None,
            period: Period::Month,
            zone: "UTC".to_owned(),
            hard: true,
            thresholds: vec!["80%".to_owned(), "100%".to_owned()],
        }
    }
}

// === impl Holds ===

impl<T: Clone> Holds<T> for T {
    fn put(&mut self, value: T) {
        *self = value;
    }

    fn held(&self) -> Option<T> {
        Some(self.clone())
    }
}

impl<T: Clone> Holds<T> for Option<T> {
    fn put(&mut self, value: T) {
        *self = Some(value);
    }

    fn held(&self) -> Option<T> {
        self.clone()
    }
}

// The range of a count's setting is narrower than these types, so no value is cut.

impl Holds<u64> for u32 {
    fn put(&mut self, value: u64) {
        *self = Self::try_from(value).unwrap_or(Self::MAX);
    }

    fn held(&self) -> Option<u64> {
        Some(u64::from(*self))
    }
}

impl Holds<u64> for usize {
    fn put(&mut self, value: u64) {
        *self = Self::try_from(value).unwrap_or(Self::MAX);
    }

    fn held(&self) -> Option<u64> {
        u64::try_from(*self).ok()
    }
}

impl Holds<u64> for Option<usize> {
    fn put(&mut self, value: u64) {
        *self = usize::try_from(value).ok();
    }

    fn held(&self) -> Option<u64> {
        self.and_then(|value| u64::try_from(value).ok())
    }
}

impl Holds<&'static str> for Option<Measure> {
    fn put(&mut self, word: &'static str) {
        *self = Measure::from_word(word);
    }

    fn held(&self) -> Option<&'static str> {
        self.map(Measure::as_str)
    }
}

impl Holds<&'static str> for Period {
    fn put(&mut self, word: &'static str) {
        if let Some(period) = Period::from_word(word) {
            *self = period;
        }
    }

    fn held(&self) -> Option<&'static str> {
        Some(self.as_str())
    }
}

impl Holds<&'static str> for Option<Disconnect> {
    fn put(&mut self, name: &'static str) {
        let mut policy = Disconnect::Cancel;
        policy.put(name);
        *self = Some(policy);
    }

    fn held(&self) -> Option<&'static str> {
        self.map(Disconnect::name)
    }
}

/// An enumeration with the names that stand for its values in the file.
macro_rules! named {
    ($($type:ty { $($name:literal => $value:path),+ $(,)? })+) => {$(
        impl $type {
            pub(crate) const NAMES: &'static [&'static str] = &[$($name),+];

            pub fn name(self) -> &'static str {
                match self {
                    $($value => $name),+
                }
            }
        }

        impl Holds<&'static str> for $type {
            fn put(&mut self, name: &'static str) {
                $(if name == $name {
                    *self = $value;
                })+
            }

            fn held(&self) -> Option<&'static str> {
                Some(self.name())
            }
        }
    )+};
}

named! {
    LogLevel {
        "error" => Self::Error,
        "warn" => Self::Warn,
        "info" => Self::Info,
        "debug" => Self::Debug,
        "trace" => Self::Trace,
    }
    LogFormat {
        "text" => Self::Text,
        "json" => Self::Json,
    }
    Strategy {
        "order" => Self::Order,
        "spread" => Self::Spread,
    }
    MailTls {
        "starttls" => Self::Starttls,
        "implicit" => Self::Implicit,
        "none" => Self::None,
    }
    Durability {
        "power" => Self::Power,
        "process" => Self::Process,
    }
    UnknownPrice {
        "refuse" => Self::Refuse,
        "book" => Self::Book,
    }
    Disconnect {
        "cancel" => Self::Cancel,
        "drain" => Self::Drain,
    }
    NearBudget {
        "clamp" => Self::Clamp,
        "cheaper" => Self::Cheaper,
        "refuse" => Self::Refuse,
    }
}
