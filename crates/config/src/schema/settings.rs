//! The settings that stand at the top of the file and in its fixed tables.

use std::time::Duration;

use super::{Kind, Setting};
use crate::{
    draft::Draft,
    model::{Disconnect, Durability, LogFormat, LogLevel, UnknownPrice},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

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
    Setting {
        path: "vault.key_file",
        kind: Kind::Path(slot!(vault_key_file)),
        doc: "The file that holds the vault's key: 32 random bytes in base64 or hexadecimal digits, readable by its owner alone. `tollgate vault key` makes one. Keep it apart from the data folder and its backups.",
        absent: "the environment variable `TOLLGATE_VAULT_KEY`",
        example: "\"/run/secrets/tollgate-vault\"",
    },
    Setting {
        path: "vault.former_key_file",
        kind: Kind::Path(slot!(vault_former_key_file)),
        doc: "The file of the key before, until `tollgate vault rotate` has sealed everything under the new one.",
        absent: "",
        example: "\"/run/secrets/tollgate-vault-before\"",
    },
    Setting {
        path: "ledger.durability",
        kind: Kind::Choice {
            names: Durability::NAMES,
            slot: slot!(ledger.durability),
        },
        doc: "`power`: before the last byte of an answer goes out, what it cost is on the disk and survives the loss of power. `process`: it survives the death of the process, and the answer waits for no disk.",
        absent: "",
        example: "\"process\"",
    },
    Setting {
        path: "ledger.unknown_price",
        kind: Kind::Choice {
            names: UnknownPrice::NAMES,
            slot: slot!(ledger.unknown_price),
        },
        doc: "A model whose price is not known: `refuse` its calls, or `book` them as calls of unknown cost. They are never booked as free, and no budget can hold them.",
        absent: "",
        example: "\"book\"",
    },
    Setting {
        path: "ledger.on_disconnect",
        kind: Kind::Choice {
            names: Disconnect::NAMES,
            slot: slot!(ledger.on_disconnect),
        },
        doc: "When the caller leaves before the end: `cancel` the provider's work at once and book what was seen, or `drain` the answer within the two bounds below so that the provider can say what it cost.",
        absent: "",
        example: "\"drain\"",
    },
    Setting {
        path: "ledger.drain_time",
        kind: Kind::Time {
            min: SECOND,
            max: HOUR,
            slot: slot!(ledger.drain_time),
        },
        doc: "The longest that an answer without a reader is drained.",
        absent: "",
        example: "\"10s\"",
    },
    Setting {
        path: "ledger.drain_cost",
        kind: Kind::Amount(slot!(ledger.drain_cost)),
        doc: "The most, in dollars, that an answer without a reader may go on to cost.",
        absent: "",
        example: "0.05",
    },
    Setting {
        path: "ledger.max_output_tokens",
        kind: Kind::Count {
            min: 16,
            max: 10_000_000,
            slot: slot!(ledger.max_output_tokens),
        },
        doc: "The largest output of a call that names none, where a budget or a token limit has to hold room for it. The provider is sent the same number.",
        absent: "",
        example: "4096",
    },
    Setting {
        path: "alerting.unusual",
        kind: Kind::Flag(slot!(alerting.unusual)),
        doc: "Watch every key for hours in which it spends several times its own pattern of the last days.",
        absent: "",
        example: "false",
    },
    Setting {
        path: "alerting.unusual_factor",
        kind: Kind::Count {
            min: 2,
            max: 1000,
            slot: slot!(alerting.factor),
        },
        doc: "How many times its usual hour a key must spend. The usual is the mean of the last days and one standard deviation.",
        absent: "",
        example: "10",
    },
    Setting {
        path: "alerting.unusual_floor",
        kind: Kind::Amount(slot!(alerting.floor)),
        doc: "An hour that costs less than this, in dollars, is never unusual.",
        absent: "",
        example: "20",
    },
    Setting {
        path: "alerting.unusual_history",
        kind: Kind::Count {
            min: 1,
            max: 168,
            slot: slot!(alerting.history_hours),
        },
        doc: "Hours that a key is watched before its first such alert.",
        absent: "",
        example: "72",
    },
];
