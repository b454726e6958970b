//! Keys.

use serde::{Deserialize, Serialize};

use crate::{
    Change, Shaped, Timestamp,
    schema::{Field, Kind, Shape, nullable, optional, required},
};

/// A key as it is shown: nothing of its text but the end.
#[derive(Clone, Debug, Serialize)]
pub struct Key {
    pub id: String,
    pub version: u64,
    pub name: String,
    pub role: &'static str,
    pub admin_role: Option<&'static str>,
    pub state: &'static str,
    pub last_four: String,
    pub owner: Option<String>,
    pub project_id: Option<String>,
    pub team_id: Option<String>,
    pub models: Vec<String>,
    pub operations: Vec<String>,
    pub sources: Vec<String>,
    pub strict: bool,
    pub max_output_tokens: Option<u64>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub former_until: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// A key with its text, which is nowhere else.
#[derive(Clone, Debug, Serialize)]
pub struct MintedKey {
    pub key: Key,
    pub token: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewKey {
    pub name: String,
    pub role: Option<String>,
    pub admin_role: Option<String>,
    pub owner: Option<String>,
    pub project_id: Option<String>,
    pub team_id: Option<String>,
    pub models: Vec<String>,
    pub operations: Vec<String>,
    pub sources: Vec<String>,
    pub strict: bool,
    pub max_output_tokens: Option<u64>,
    pub expires_at: Option<Timestamp>,
}

/// What is left out stays; null clears.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyPatch {
    pub name: Option<String>,
    pub admin_role: Option<String>,
    pub owner: Change<String>,
    pub project_id: Change<String>,
    pub team_id: Change<String>,
    pub models: Option<Vec<String>>,
    pub operations: Option<Vec<String>>,
    pub sources: Option<Vec<String>>,
    pub strict: Option<bool>,
    pub max_output_tokens: Change<u64>,
    pub expires_at: Change<Timestamp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    pub overlap_seconds: u64,
}

const ROLES: &[&str] = &["model", "admin"];
const ADMIN_ROLES: &[&str] = &["owner", "manager", "viewer"];
const STATES: &[&str] = &["active", "disabled", "expired", "revoked"];

const NAME: Field = required(
    "name",
    Kind::Text,
    "What to call it: one line of at most 256 bytes.",
);
const ROLE: Field = required(
    "role",
    Kind::Word(ROLES),
    "`model` calls models, `admin` administers the gateway. `model` when left out; it stays for ever.",
);
const ADMIN_ROLE: Field = nullable(
    "admin_role",
    Kind::Word(ADMIN_ROLES),
    "What an admin key may do. Only owners make and change admin keys.",
);
const OWNER: Field = nullable(
    "owner",
    Kind::Text,
    "Who answers for the key, in your own words.",
);
const PROJECT: Field = nullable(
    "project_id",
    Kind::Text,
    "The project that it is used for. A project brings its own team.",
);
const TEAM: Field = nullable(
    "team_id",
    Kind::Text,
    "The team of a key without a project.",
);
const MODELS: Field = required(
    "models",
    Kind::Texts,
    "The models that it may ask for, as names or beginnings that end in `*`. Empty: all.",
);
const OPERATIONS: Field = required(
    "operations",
    Kind::Texts,
    "What it may be used for. Empty: everything.",
);
const SOURCES: Field = required(
    "sources",
    Kind::Texts,
    "The networks that it may be used from, as `10.0.0.0/8`. Empty: anywhere.",
);
const STRICT: Field = required(
    "strict",
    Kind::Bool,
    "Whether its calls refuse what would get lost in translation.",
);
const MAX_OUTPUT: Field = nullable(
    "max_output_tokens",
    Kind::Whole(1, u64::MAX),
    "The largest answer of one call.",
);
const EXPIRES: Field = nullable(
    "expires_at",
    Kind::Time,
    "When it expires; it must lie in the future.",
);

pub(crate) static KEY: Shape = Shape {
    name: "Key",
    doc: "A key. Its text is shown once, when it is made.",
    fields: &[
        required("id", Kind::Text, "Its id, `key_…`."),
        required(
            "version",
            Kind::Whole(0, u64::MAX),
            "Changes with every change; the `ETag` is this number in quotes.",
        ),
        NAME,
        ROLE,
        ADMIN_ROLE,
        required(
            "state",
            Kind::Word(STATES),
            "What the key itself is now; its team or project may be disabled besides.",
        ),
        required(
            "last_four",
            Kind::Text,
            "The last four characters of its text.",
        ),
        OWNER,
        PROJECT,
        TEAM,
        MODELS,
        OPERATIONS,
        SOURCES,
        STRICT,
        MAX_OUTPUT,
        required("created_at", Kind::Time, "When it was made."),
        EXPIRES,
        nullable(
            "disabled_at",
            Kind::Time,
            "Since when it is out of use for the time being.",
        ),
        nullable(
            "revoked_at",
            Kind::Time,
            "Since when it is out of use for good.",
        ),
        nullable(
            "former_until",
            Kind::Time,
            "Until when the text before the last rotation works, too.",
        ),
        nullable(
            "last_used_at",
            Kind::Time,
            "When it was used last, some seconds late.",
        ),
    ],
    about: None,
};

pub(crate) static MINTED_KEY: Shape = Shape {
    name: "MintedKey",
    doc: "A key that was just made or given a new text.",
    fields: &[
        required("key", Kind::Object(&KEY), "The key."),
        required("token", Kind::Text, "Its text. It is shown this once."),
    ],
    about: None,
};

pub(crate) static KEYS: Shape = Shape {
    name: "KeyList",
    doc: "Keys, by id.",
    fields: &[
        required("data", Kind::List(&KEY), "The keys of this page."),
        crate::NEXT,
    ],
    about: None,
};

pub(crate) static NEW_KEY: Shape = Shape {
    name: "NewKey",
    doc: "A key to be made.",
    fields: &[
        NAME,
        ROLE.optional(),
        ADMIN_ROLE,
        OWNER,
        PROJECT,
        TEAM,
        MODELS.optional(),
        OPERATIONS.optional(),
        SOURCES.optional(),
        STRICT.optional(),
        MAX_OUTPUT,
        EXPIRES,
    ],
    about: Some(&KEY),
};

pub(crate) static KEY_PATCH: Shape = Shape {
    name: "KeyPatch",
    doc: "What is to change of a key. What is left out stays as it is, null clears.",
    fields: &[
        NAME.optional(),
        ADMIN_ROLE.optional(),
        OWNER,
        PROJECT,
        TEAM,
        MODELS.optional(),
        OPERATIONS.optional(),
        SOURCES.optional(),
        STRICT.optional(),
        MAX_OUTPUT,
        EXPIRES,
    ],
    about: Some(&KEY),
};

pub(crate) static ROTATION: Shape = Shape {
    name: "Rotation",
    doc: "How a key gets a new text.",
    fields: &[optional(
        "overlap_seconds",
        Kind::Whole(0, 90 * 86_400),
        "How long the old text goes on to work. 0 when left out: it is revoked at once.",
    )],
    about: None,
};

/// What keys are listed by.
pub(crate) const KEY_FILTER: &[Field] = &[
    optional("role", Kind::Word(ROLES), "Keys of this role."),
    optional("state", Kind::Word(STATES), "Keys in this state."),
    optional("project_id", Kind::Text, "Keys of this project."),
    optional("team_id", Kind::Text, "Keys that count for this team."),
    optional(
        "search",
        Kind::Text,
        "Keys whose id, name or owner holds this text of at least three characters, taken literally.",
    ),
    crate::PAGE_SIZE,
    crate::AFTER,
];

impl Shaped for NewKey {
    const SHAPE: &'static Shape = &NEW_KEY;
}
impl Shaped for KeyPatch {
    const SHAPE: &'static Shape = &KEY_PATCH;
}
impl Shaped for Rotation {
    const SHAPE: &'static Shape = &ROTATION;
}
