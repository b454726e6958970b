//! What is true: the checked settings that every other part reads.
//!
//! A [`Config`] is plain and immutable. Nothing in it needs to be parsed, resolved or checked again: keys
//! are read, addresses are addresses, every route's target names a provider that exists. The defaults of
//! all settings stand in the `Default` implementations here, and the reference is printed from them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tollgate_base::{Money, Rate, Secret};
use tollgate_catalog::ProviderRow;
use tollgate_policy::rules::{BudgetRule, LimitRule};

use crate::alerts::{AlertChannel, AlertingSettings};
use crate::url::BaseUrl;
use crate::vault::VaultKeys;

/// The name of the model that ships with the binary.
pub const BUILT_IN_MODEL: &str = "tollgate-demo";
/// The name under which this machine's own models are a provider: `tollgate/<model>` in a route's targets.
pub const BUILT_IN_PROVIDER: &str = "tollgate";

/// Everything that one run of Tollgate is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the database and of the keys.
    pub data_dir: PathBuf,
    /// What the credentials in the data folder are sealed under.
    pub vault: VaultKeys,
    pub server: ServerSettings,
    pub log: LogSettings,
    pub streaming: StreamSettings,
    pub retry: RetrySettings,
    pub ledger: LedgerSettings,
    /// A request that cannot be carried whole to the provider's dialect is refused.
    pub strict: bool,
    /// The model that ships with the binary answers.
    pub built_in_model: bool,
    /// Model servers on their usual local ports are looked for at the start.
    pub detect_local_servers: bool,
    /// The model of a request that names none.
    pub default_model: Option<String>,
    /// The providers that are switched on, by name.
    pub providers: BTreeMap<String, Provider>,
    /// The model names that callers use beside the providers' own, by name.
    pub routes: BTreeMap<String, Route>,
    /// Prices that go before the price book's own.
    pub prices: Vec<PriceSetting>,
    pub limits: Vec<LimitRule>,
    pub budgets: Vec<BudgetRule>,
    pub hub: HubSettings,
    pub engine: EngineSettings,
    pub alerting: AlertingSettings,
    /// Who is told, by name.
    pub alerts: Vec<AlertChannel>,
    /// Names of rows and providers that must stay off, also when a local server of that kind is found.
    pub disabled_providers: Vec<String>,
    pub first_keys: FirstKeys,
}

/// The HTTP edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    /// Threads that serve; the number of cores unless set.
    pub workers: usize,
    /// Seconds that open calls get to end when the service stops.
    pub drain: Duration,
    pub limits: LimitSettings,
}

/// Bounds on what a client may send and how slowly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    pub body_bytes: u64,
    /// An upload that streams through: a file, a recording.
    pub upload_bytes: u64,
    /// Request line and headers together.
    pub head_bytes: u64,
    pub header_count: usize,
    pub uri_bytes: u64,
    /// Request bodies of all open calls together.
    pub in_flight_body_bytes: u64,
    pub connections: usize,
    /// A kept-alive connection without a request.
    pub idle_timeout: Duration,
    /// From the first byte of a request to the end of its headers.
    pub head_timeout: Duration,
    /// From the end of the headers to the end of the body.
    pub body_timeout: Duration,
    /// A client that takes no byte of its answer.
    pub write_idle_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub level: LogLevel,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// How long a call to a provider may take, phase by phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Pause in a stream after which a heartbeat is sent, where the dialect has one.
    pub heartbeat: Duration,
    pub connect_timeout: Duration,
    /// From the request to the provider's first byte.
    pub first_byte_timeout: Duration,
    /// Between two bytes of the answer.
    pub idle_timeout: Duration,
    /// One call, all attempts and the whole stream.
    pub total_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySettings {
    /// Attempts for one call, the first included.
    pub max_attempts: u32,
    pub base_delay: Duration,
    pub max_delay: Duration,
    /// Retries allowed in a window, as percent of the calls in it.
    pub budget_percent: u32,
    /// Retries that are always allowed in a window.
    pub budget_floor: u32,
}

/// How calls are booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSettings {
    pub durability: Durability,
    pub unknown_price: UnknownPrice,
    pub on_disconnect: Disconnect,
    /// The longest that an answer without a reader is drained.
    pub drain_time: Duration,
    /// The most that an answer without a reader may go on to cost.
    pub drain_cost: Money,
    /// The largest output, in tokens, of a call that names none.
    pub max_output_tokens: u64,
    /// Where a file of the journal ends and the next begins, in MiB.
    pub journal_file_mib: u64,
}

/// Where model files come from, as the file says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubSettings {
    /// A sound URL.
    pub url: Option<String>,
    pub token: Option<Secret>,
}

/// How the local engine runs models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Bytes that the weights and caches of all loaded models may take; three quarters of the machine's unless set.
    pub memory: Option<u64>,
    /// Threads that compute for one model; one fewer than there are cores unless set.
    pub threads: Option<usize>,
    /// The most tokens of one conversation, where a model takes more.
    pub window: u32,
    /// Bytes of keys and values that one model keeps, a whole window at least.
    pub cache: u64,
    /// Sequences of one model that advance together.
    pub parallel: usize,
    /// Requests of one model that wait for a place.
    pub queue: usize,
    /// A model that nobody asked for so long is taken out of memory.
    pub idle: Duration,
}

/// What a settled call survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power, once its last byte has gone out.
    Power,
    /// The death of the process.
    Process,
}

/// What is done with a call whose price is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPrice {
    Refuse,
    /// It is booked as a call of unknown cost.
    Book,
}

/// What is done when the caller leaves before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// The provider's work is cancelled; what was seen is booked.
    Cancel,
    /// The answer is read on, within bounds, for the provider's own figures.
    Drain,
}

/// What is done when a budget has room for a part of the answer only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NearBudget {
    /// The largest output is cut to what is left.
    Clamp,
    /// The route's cheaper targets are tried before that.
    Cheaper,
    Refuse,
}

/// A price that goes before the price book's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSetting {
    /// A provider's configured name.
    pub provider: String,
    /// Its name of the model; `*` stands for every model that no other setting names.
    pub model: String,
    pub free: bool,
    /// Dollars for a million, by the setting's name: `input`, `cache_read`, `image` …
    pub rates: Vec<(&'static str, Rate)>,
}

/// A provider that is switched on: its row of the catalogue, with what the user wrote laid over it.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name that targets use: `openai` in `openai/gpt-5`.
    pub name: String,
    pub row: &'static ProviderRow,
    pub base_url: BaseUrl,
    /// `None` where the server takes none.
    pub key: Option<Secret>,
    /// The row's headers, overlaid with the user's: lower-case name, value.
    pub headers: Vec<(String, Secret)>,
    /// The only models that may be used, where the user listed them.
    pub models: Option<Vec<String>>,
    /// How it is shown who calls, where a key is not enough.
    pub identity: Identity,
    /// What `{name}` stands for in its paths.
    pub variables: BTreeMap<String, String>,
    pub origin: Origin,
}

/// How a provider is shown who calls.
#[derive(Clone, Debug, Default)]
pub enum Identity {
    /// By [`Provider::key`], or not at all.
    #[default]
    Key,
    AwsKeyPair {
        id: String,
        secret: Secret,
        session: Option<Secret>,
    },
    /// The role of this machine or container at AWS.
    AwsMachine(AwsContainer),
    /// A service account's file, or a user's, as JSON.
    GoogleFile(Secret),
    /// The service account of this machine at Google.
    GoogleMachine,
    /// An application of Entra; its secret is [`Provider::key`].
    Entra { tenant: String, client_id: String },
    /// The managed identity of this machine at Azure.
    AzureMachine { client_id: Option<String> },
}

/// Where AWS gives credentials to a container; nothing of it is set on a machine of its own.
#[derive(Clone, Debug, Default)]
pub struct AwsContainer {
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`
    pub relative_uri: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`
    pub full_uri: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`
    pub authorization: Option<Secret>,
}

/// Where a provider comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A `[providers.<name>]` table.
    File,
    /// A key in this environment variable.
    Environment(String),
    /// A server that answered on its usual local port.
    Detected,
}

/// A model name that callers use, and what serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub name: String,
    /// At least one; no two alike.
    pub targets: Vec<RouteTarget>,
    pub strategy: Strategy,
    /// As the global setting, for this route alone.
    pub strict: bool,
    pub near_budget: NearBudget,
    pub on_disconnect: Disconnect,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// A name in [`Config::providers`], or [`BUILT_IN_PROVIDER`].
    pub provider: String,
    /// The provider's own name of the model.
    pub model: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The first target serves; the next ones only when it cannot.
    Order,
    /// Calls are spread over the targets; the others serve when the chosen one cannot.
    Spread,
}

/// Keys that the first start takes instead of making random ones.
#[derive(Clone, Debug, Default)]
pub struct FirstKeys {
    /// `TOLLGATE_ADMIN_KEY`
    pub admin: Option<Secret>,
    /// `TOLLGATE_KEY`
    pub caller: Option<Secret>,
}

// === impl ServerSettings ===

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4321)),
            workers: 0,
            drain: Duration::from_mins(2),
            limits: LimitSettings::default(),
        }
    }
}

// === impl LimitSettings ===

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            upload_bytes: 1 << 30,
            head_bytes: 32 << 10,
            header_count: 100,
            uri_bytes: 8 << 10,
            in_flight_body_bytes: 512 << 20,
            connections: 20_000,
            idle_timeout: Duration::from_mins(1),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_mins(1),
            write_idle_timeout: Duration::from_mins(1),
        }
    }
}

// === impl LogSettings ===

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Text,
        }
    }
}

// === impl StreamSettings ===

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_mins(10),
            idle_timeout: Duration::from_mins(5),
            total_timeout: Duration::from_hours(1),
        }
    }
}

// === impl LedgerSettings ===

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            durability: Durability::Power,
            unknown_price: UnknownPrice::Refuse,
            on_disconnect: Disconnect::Cancel,
            drain_time: Duration::from_secs(30),
            drain_cost: Money::from_nanos(100_000_000),
            max_output_tokens: 16_384,
            journal_file_mib: 64,
        }
    }
}

// === impl EngineSettings ===

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            memory: None,
            threads: None,
            window: 8192,
            cache: 1 << 30,
            parallel: 16,
            queue: 64,
            idle: Duration::from_mins(5),
        }
    }
}

// === impl RetrySettings ===

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(8),
            budget_percent: 10,
            budget_floor: 10,
        }
    }
}
