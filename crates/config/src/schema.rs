//! The one table of all settings: name, type, range, documentation, example, and the field that it fills.
//!
//! The checker reads a file by it, the reference page and the JSON Schema are printed from it, and the
//! defaults are what the fields hold before anything is written. A homogeneous table, so it is long.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tollgate_base::Secret;

use crate::draft::{Draft, Holds, ProviderDraft, RouteDraft};
use crate::model::{LogFormat, LogLevel, Strategy};

/// The field of `D` that a setting fills.
pub(crate) type Slot<D, T> = for<'a> fn(&'a mut D) -> &'a mut dyn Holds<T>;

/// One setting of the table `D`.
pub(crate) struct Setting<D: 'static> {
    /// Dotted, inside its table: `server.limits.body_bytes`, `base_url`.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind<D>,
    /// What it does, in sentences.
    pub(crate) doc: &'static str,
    /// What an absent value means, where that is not a fixed value.
    pub(crate) absent: &'static str,
    /// A value as it stands in the file.
    pub(crate) example: &'static str,
}

/// What a setting holds, and where it goes.
pub(crate) enum Kind<D: 'static> {
    Flag(Slot<D, bool>),
    Count {
        min: u64,
        max: u64,
        slot: Slot<D, u64>,
    },
    /// Bytes, written with a unit.
    Size {
        min: u64,
        max: u64,
        slot: Slot<D, u64>,
    },
    /// Written with a unit.
    Time {
        min: Duration,
        max: Duration,
        slot: Slot<D, Duration>,
    },
    Address(Slot<D, SocketAddr>),
    Text(Slot<D, String>),
    /// The name of an environment variable.
    Variable(Slot<D, String>),
    Url(Slot<D, String>),
    Path(Slot<D, PathBuf>),
    Secret(Slot<D, Secret>),
    Choice {
        names: &'static [&'static str],
        slot: Slot<D, &'static str>,
    },
    List(Slot<D, Vec<String>>),
    /// Names and texts that may be secret.
    Headers(Slot<D, BTreeMap<String, Secret>>),
}

/// A table of the file, for the reference: its header and what it is for.
pub(crate) struct Section {
    pub(crate) path: &'static str,
    pub(crate) doc: &'static str,
}

pub(crate) const SECTIONS: &[Section] = &[
    Section {
        path: "",
        doc: "At the top of the file, before any table.",
    },
    Section {
        path: "server",
        doc: "The HTTP service.",
    },
    Section {
        path: "server.limits",
        doc: "Bounds on what a client may send, and how slowly. They guard the service against broken and hostile clients; an answer may stream for as long as it needs.",
    },
    Section {
        path: "log",
        doc: "What the service writes to standard error. Prompts, answers and keys are never written.",
    },
    Section {
        path: "streaming",
        doc: "How long a call to a provider may take, phase by phase.",
    },
    Section {
        path: "retry",
        doc: "What happens when a provider fails before the first byte of its answer has reached the client. Nothing is retried after that.",
    },
];

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

macro_rules! slot {
    ($($field:ident).+) => { |draft| &mut draft.$($field).+ };
}

pub(crate) static SETTINGS: &[Setting<Draft>] = &[
    Setting {
        path: "data_dir",
        kind: Kind::Path(slot!(data_dir)),
        doc: "The folder of the database and of the keys. `--data` goes before it. A relative path starts at the folder of the settings file; `~/` is the home folder.",
        absent: "`$XDG_DATA_HOME/tollgate`, else `~/.local/share/tollgate`, else `./tollgate-data`",
        example: "\"/var/lib/tollgate\"",
    },
    Setting {
        path: "default_model",
        kind: Kind::Text(slot!(default_model)),
        doc: "The model of a request that names none: a route, or `provider/model`.",
        absent: "such a request is refused",
        example: "\"openai/gpt-4o-mini\"",
    },
    Setting {
        path: "strict",
        kind: Kind::Flag(slot!(strict)),
        doc: "Refuse a request that cannot be carried whole into the provider's dialect, instead of naming what was lost in a response header.",
        absent: "",
        example: "true",
    },
    Setting {
        path: "built_in_model",
        kind: Kind::Flag(slot!(built_in_model)),
        doc: "Offer the tiny model that ships with Tollgate. Its provider name is `tollgate`.",
        absent: "",
        example: "false",
    },
    Setting {
        path: "detect_local_servers",
        kind: Kind::Flag(slot!(detect_local_servers)),
        doc: "Look for model servers on their usual ports of this machine at the start, and switch on those that answer.",
        absent: "",
        example: "false",
    },
    Setting {
        path: "disabled_providers",
        kind: Kind::List(slot!(disabled_providers)),
        doc: "Providers that stay off although a key for them is in the environment, or a server of theirs runs on this machine.",
        absent: "",
        example: "[\"openai\", \"ollama\"]",
    },
    Setting {
        path: "server.listen",
        kind: Kind::Address(slot!(server.listen)),
        doc: "The address to listen on. `--listen` goes before it. Port 0 takes a free port, which the start-up line names.",
        absent: "",
        example: "\"0.0.0.0:4321\"",
    },
    Setting {
        path: "server.workers",
        kind: Kind::Count {
            min: 1,
            max: 1024,
            slot: slot!(workers),
        },
        doc: "Threads that serve requests.",
        absent: "the number of cores",
        example: "2",
    },
    Setting {
        path: "server.drain",
        kind: Kind::Time {
            min: Duration::ZERO,
            max: HOUR,
            slot: slot!(server.drain),
        },
        doc: "The time that open calls get to end when the service is told to stop.",
        absent: "",
        example: "\"30s\"",
    },
    Setting {
        path: "server.limits.body_bytes",
        kind: Kind::Size {
            min: 1 << 10,
            max: 1 << 30,
            slot: slot!(server.limits.body_bytes),
        },
        doc: "The largest request body.",
        absent: "",
        example: "\"64MiB\"",
    },
    Setting {
        path: "server.limits.upload_bytes",
        kind: Kind::Size {
            min: 1 << 10,
            max: 1 << 40,
            slot: slot!(server.limits.upload_bytes),
        },
        doc: "The largest upload: a file, an image, a recording. Uploads stream through and are not held in memory.",
        absent: "",
        example: "\"100MiB\"",
    },
    Setting {
        path: "server.limits.in_flight_body_bytes",
        kind: Kind::Size {
            min: 1 << 20,
            max: 1 << 40,
            slot: slot!(server.limits.in_flight_body_bytes),
        },
        doc: "Request bodies of all open calls together. A request beyond it is answered with 503.",
        absent: "",
        example: "\"1GiB\"",
    },
    Setting {
        path: "server.limits.head_bytes",
        kind: Kind::Size {
            min: 4 << 10,
            max: 1 << 20,
            slot: slot!(server.limits.head_bytes),
        },
        doc: "The request line and the headers together.",
        absent: "",
        example: "\"64KiB\"",
    },
    Setting {
        path: "server.limits.header_count",
        kind: Kind::Count {
            min: 16,
            max: 1000,
            slot: slot!(server.limits.header_count),
        },
        doc: "The most headers of one request.",
        absent: "",
        example: "200",
    },
    Setting {
        path: "server.limits.uri_bytes",
        kind: Kind::Size {
            min: 256,
            max: 64 << 10,
            slot: slot!(server.limits.uri_bytes),
        },
        doc: "The longest request target.",
        absent: "",
        example: "\"16KiB\"",
    },
    Setting {
        path: "server.limits.connections",
        kind: Kind::Count {
            min: 1,
            max: 1_000_000,
            slot: slot!(server.limits.connections),
        },
        doc: "The most client connections at once.",
        absent: "",
        example: "5000",
    },
    Setting {
        path: "server.limits.head_timeout",
        kind: Kind::Time {
            min: SECOND,
            max: HOUR,
            slot: slot!(server.limits.head_timeout),
        },
        doc: "From the first byte of a request to the end of its headers.",
        absent: "",
        example: "\"5s\"",
    },
    Setting {
        path: "server.limits.body_timeout",
        kind: Kind::Time {
            min: SECOND,
            max: HOUR,
            slot: slot!(server.limits.body_timeout),
        },
        doc: "From the end of the headers to the end of the body.",
        absent: "",
        example: "\"2m\"",
    },
    Setting {
        path: "server.limits.idle_timeout",
        kind: Kind::Time {
            min: SECOND,
            max: HOUR,
            slot: slot!(server.limits.idle_timeout),
        },
        doc: "How long a connection without a request is kept.",
        absent: "",
        example: "\"2m\"",
    },
    Setting {
        path: "server.limits.write_idle_timeout",
        kind: Kind::Time {
            min: SECOND,
            max: HOUR,
            slot: slot!(server.limits.write_idle_timeout),
        },
        doc: "How long a client may take no byte of its answer before it counts as gone.",
        absent: "",
        example: "\"2m\"",
    },
    Setting {
        path: "log.level",
        kind: Kind::Choice {
            names: LogLevel::NAMES,
            slot: slot!(log.level),
        },
        doc: "The least important line that is still written.",
        absent: "",
        example: "\"debug\"",
    },
    Setting {
        path: "log.format",
        kind: Kind::Choice {
            names: LogFormat::NAMES,
            slot: slot!(log.format),
        },
        doc: "`text` for people, `json` for machines: one object a line.",
        absent: "",
        example: "\"json\"",
    },
    Setting {
        path: "streaming.heartbeat",
        kind: Kind::Time {
            min: SECOND,
            max: HOUR,
            slot: slot!(streaming.heartbeat),
        },
        doc: "The pause in a stream after which the client is sent a heartbeat, where its dialect has one.",
        absent: "",
        example: "\"5s\"",
    },
    Setting {
        path: "streaming.connect_timeout",
        kind: Kind::Time {
            min: Duration::from_millis(100),
            max: Duration::from_mins(2),
            slot: slot!(streaming.connect_timeout),
        },
        doc: "To connect to the provider, TLS included.",
        absent: "",
        example: "\"2s\"",
    },
    Setting {
        path: "streaming.first_byte_timeout",
        kind: Kind::Time {
            min: SECOND,
            max: HOUR,
            slot: slot!(streaming.first_byte_timeout),
        },
        doc: "From the request to the first byte of the provider's answer.",
        absent: "",
        example: "\"2m\"",
    },
    Setting {
        path: "streaming.idle_timeout",
        kind: Kind::Time {
            min: SECOND,
            max: HOUR,
            slot: slot!(streaming.idle_timeout),
        },
        doc: "Between two bytes of the provider's answer.",
        absent: "",
        example: "\"1m\"",
    },
    Setting {
        path: "streaming.total_timeout",
        kind: Kind::Time {
            min: SECOND,
            max: Duration::from_hours(24),
            slot: slot!(streaming.total_timeout),
        },
        doc: "One call: all its attempts and the whole stream.",
        absent: "",
        example: "\"30m\"",
    },
    Setting {
        path: "retry.max_attempts",
        kind: Kind::Count {
            min: 1,
            max: 10,
            slot: slot!(retry.max_attempts),
        },
        doc: "Attempts for one call, the first included. 1 switches retries off.",
        absent: "",
        example: "1",
    },
    Setting {
        path: "retry.base_delay",
        kind: Kind::Time {
            min: Duration::from_millis(10),
            max: Duration::from_mins(1),
            slot: slot!(retry.base_delay),
        },
        doc: "The pause before the second attempt. It doubles with each further one, and a part of it is random.",
        absent: "",
        example: "\"200ms\"",
    },
    Setting {
        path: "retry.max_delay",
        kind: Kind::Time {
            min: Duration::from_millis(10),
            max: Duration::from_mins(2),
            slot: slot!(retry.max_delay),
        },
        doc: "The longest pause. A provider that asks for a longer one is not tried again.",
        absent: "",
        example: "\"5s\"",
    },
    Setting {
        path: "retry.budget_percent",
        kind: Kind::Count {
            min: 0,
            max: 100,
            slot: slot!(retry.budget_percent),
        },
        doc: "Retries allowed, as percent of the calls: what keeps retries from feeding an outage.",
        absent: "",
        example: "10",
    },
    Setting {
        path: "retry.budget_floor",
        kind: Kind::Count {
            min: 0,
            max: 1000,
            slot: slot!(retry.budget_floor),
        },
        doc: "Retries that are allowed in each ten seconds whatever the percentage, so that a quiet service retries too.",
        absent: "",
        example: "10",
    },
];

pub(crate) static PROVIDER_SETTINGS: &[Setting<ProviderDraft>] = &[
    Setting {
        path: "kind",
        kind: Kind::Text(slot!(kind)),
        doc: "What it is: a name of the list of kinds below. `openai-compatible` and `anthropic-compatible` stand for any server that speaks that API.",
        absent: "the provider's name, where that is a kind",
        example: "\"openai-compatible\"",
    },
    Setting {
        path: "base_url",
        kind: Kind::Url(slot!(base_url)),
        doc: "The root of its API, without the path of an operation. `https`, or `http` to this machine; anything else needs `allow_private` or `allow_http`.",
        absent: "the kind's own",
        example: "\"https://llm.example.com/v1\"",
    },
    Setting {
        path: "api_key_env",
        kind: Kind::Variable(slot!(api_key_env)),
        doc: "The environment variable that holds the key.",
        absent: "the kind's own variables",
        example: "\"WORK_OPENAI_KEY\"",
    },
    Setting {
        path: "api_key_file",
        kind: Kind::Path(slot!(api_key_file)),
        doc: "The file that holds the key, readable by its owner alone (mode 0600). A relative path starts at the folder of the settings file; `~/` is the home folder.",
        absent: "",
        example: "\"/run/secrets/openai\"",
    },
    Setting {
        path: "api_key",
        kind: Kind::Secret(slot!(api_key)),
        doc: "The key itself. Prefer one of the two above: a key in a settings file ends up in backups and repositories.",
        absent: "",
        example: "\"…\"",
    },
    Setting {
        path: "api_version",
        kind: Kind::Text(slot!(api_version)),
        doc: "The version of the API to ask for, where the kind has versions.",
        absent: "the kind's own",
        example: "\"2026-10-21\"",
    },
    Setting {
        path: "region",
        kind: Kind::Text(slot!(region)),
        doc: "Where the models are, for a kind that has regions: an AWS region, a Google Cloud location.",
        absent: "the kind's own variables",
        example: "\"eu-central-1\"",
    },
    Setting {
        path: "project",
        kind: Kind::Text(slot!(project)),
        doc: "The Google Cloud project that pays.",
        absent: "the kind's own variables",
        example: "\"my-project\"",
    },
    Setting {
        path: "resource",
        kind: Kind::Text(slot!(resource)),
        doc: "The name of the Azure resource: the first part of its host name.",
        absent: "the kind's own variables",
        example: "\"my-resource\"",
    },
    Setting {
        path: "credentials_file",
        kind: Kind::Path(slot!(credentials_file)),
        doc: "The JSON file of a Google service account, readable by its owner alone (mode 0600).",
        absent: "`$GOOGLE_APPLICATION_CREDENTIALS`",
        example: "\"/run/secrets/vertex.json\"",
    },
    Setting {
        path: "machine_identity",
        kind: Kind::Flag(slot!(machine_identity)),
        doc: "Use the identity that the cloud gives to this machine: an AWS role, a Google service account, an Azure managed identity. No key is needed then.",
        absent: "",
        example: "true",
    },
    Setting {
        path: "tenant_id",
        kind: Kind::Text(slot!(tenant_id)),
        doc: "The Entra tenant of the application that calls Azure. With it and `client_id`, the key is the application's secret.",
        absent: "",
        example: "\"00000000-0000-0000-0000-000000000000\"",
    },
    Setting {
        path: "client_id",
        kind: Kind::Text(slot!(client_id)),
        doc: "The Entra application, or the managed identity where the machine has several.",
        absent: "",
        example: "\"00000000-0000-0000-0000-000000000000\"",
    },
    Setting {
        path: "headers",
        kind: Kind::Headers(slot!(headers)),
        doc: "Headers that go with every request. They may be secret, so they are never printed.",
        absent: "",
        example: "{ x-team = \"search\" }",
    },
    Setting {
        path: "models",
        kind: Kind::List(slot!(models)),
        doc: "The only models that may be used there.",
        absent: "every model that it has",
        example: "[\"gpt-4o\", \"gpt-4o-mini\"]",
    },
    Setting {
        path: "enabled",
        kind: Kind::Flag(slot!(enabled)),
        doc: "`false` switches it off and keeps its settings.",
        absent: "",
        example: "false",
    },
    Setting {
        path: "allow_private",
        kind: Kind::Flag(slot!(allow_private)),
        doc: "Allow a private address (`10.0.0.0/8`, `192.168.0.0/16`, a host name without a dot …), by `http` also. Link-local and cloud metadata addresses stay refused.",
        absent: "",
        example: "true",
    },
    Setting {
        path: "allow_http",
        kind: Kind::Flag(slot!(allow_http)),
        doc: "Allow `http` to a public address: key and prompts travel in plain text.",
        absent: "",
        example: "true",
    },
];

pub(crate) static ROUTE_SETTINGS: &[Setting<RouteDraft>] = &[
    Setting {
        path: "targets",
        kind: Kind::List(slot!(targets)),
        doc: "What serves this name, as `provider/model`; at least one. `tollgate/…` is the built-in model.",
        absent: "required",
        example: "[\"openai/gpt-4o\", \"anthropic/claude-sonnet-4-5\"]",
    },
    Setting {
        path: "strategy",
        kind: Kind::Choice {
            names: Strategy::NAMES,
            slot: slot!(strategy),
        },
        doc: "`order`: the first target serves, the next ones when it cannot. `spread`: calls are spread over the targets.",
        absent: "",
        example: "\"spread\"",
    },
    Setting {
        path: "strict",
        kind: Kind::Flag(slot!(strict)),
        doc: "As the global `strict`, for this route alone.",
        absent: "the global `strict`",
        example: "true",
    },
];
