//! The settings of `[alerts.<name>]`: who is told, and how.

use super::{Kind, Setting};
use crate::{
    alerts::{MailTls, WAYS},
    draft::AlertDraft,
};

pub(crate) static ALERT_SETTINGS: &[Setting<AlertDraft>] = &[
    Setting {
        path: "kind",
        kind: Kind::Choice {
            names: &WAYS,
            slot: slot!(kind),
        },
        doc: "`webhook`: a JSON document by POST. `slack`: a text, as Slack's incoming webhooks and those like them take it. `email`: a mail.",
        absent: "required",
        example: "\"slack\"",
    },
    Setting {
        path: "url",
        kind: Kind::Secret(slot!(url)),
        doc: "Where a webhook posts to. Whoever knows it can post there, so it is never printed.",
        absent: "required, but for `email`",
        example: "\"https://hooks.example.com/services/T0/B0/x\"",
    },
    Setting {
        path: "secret_env",
        kind: Kind::Variable(slot!(secret_env)),
        doc: "The environment variable that holds the secret that signs a webhook's requests.",
        absent: "requests are not signed",
        example: "\"ALERT_SECRET\"",
    },
    Setting {
        path: "secret_file",
        kind: Kind::Path(slot!(secret_file)),
        doc: "The file that holds the secret, readable by its owner alone (mode 0600).",
        absent: "",
        example: "\"/run/secrets/alerts\"",
    },
    Setting {
        path: "secret",
        kind: Kind::Secret(slot!(secret)),
        doc: "The secret itself. Prefer one of the two above.",
        absent: "",
        example: "\"a-long-random-text\"",
    },
    Setting {
        path: "server",
        kind: Kind::Text(slot!(server)),
        doc: "The mail server, as `host:port`. Without a port it is 587, 465 or 25, as `tls` says.",
        absent: "required for `email`",
        example: "\"smtp.example.com:587\"",
    },
    Setting {
        path: "tls",
        kind: Kind::Choice {
            names: MailTls::NAMES,
            slot: slot!(tls),
        },
        doc: "`starttls`: encrypted before anything is said, or not at all. `implicit`: encrypted from the first byte. `none`: plain, to this machine alone.",
        absent: "",
        example: "\"implicit\"",
    },
    Setting {
        path: "username",
        kind: Kind::Text(slot!(username)),
        doc: "The user name at the mail server.",
        absent: "no login",
        example: "\"tollgate@example.com\"",
    },
    Setting {
        path: "password_env",
        kind: Kind::Variable(slot!(password_env)),
        doc: "The environment variable that holds the password at the mail server.",
        absent: "",
        example: "\"SMTP_PASSWORD\"",
    },
    Setting {
        path: "password_file",
        kind: Kind::Path(slot!(password_file)),
        doc: "The file that holds the password, readable by its owner alone (mode 0600).",
        absent: "",
        example: "\"/run/secrets/smtp\"",
    },
    Setting {
        path: "password",
        kind: Kind::Secret(slot!(password)),
        doc: "The password itself. Prefer one of the two above.",
        absent: "",
        example: "\"a-long-random-text\"",
    },
    Setting {
        path: "from",
        kind: Kind::Text(slot!(from)),
        doc: "The sender of the mails.",
        absent: "required for `email`",
        example: "\"tollgate@example.com\"",
    },
    Setting {
        path: "to",
        kind: Kind::List(slot!(to)),
        doc: "Who gets the mails.",
        absent: "required for `email`",
        example: "[\"ops@example.com\"]",
    },
    Setting {
        path: "events",
        kind: Kind::List(slot!(events)),
        doc: "What is told: `budget`, `unusual`, `ledger`, `storage`, `price`, `outcome`, `audit`.",
        absent: "everything",
        example: "[\"budget\", \"unusual\"]",
    },
    Setting {
        path: "scopes",
        kind: Kind::List(slot!(scopes)),
        doc: "Whose alerts are told, as the `scope` of a limit. What is about the service itself has the scope `gateway`.",
        absent: "everybody's",
        example: "[\"team:team_4kX\"]",
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
        doc: "Allow `http` to a public address: alerts travel in plain text.",
        absent: "",
        example: "true",
    },
];
