//! A provider's row: where it is, how it is spoken to, and how it differs from its dialect.

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_dialect::{Dialect, Quirks};

use crate::Operation;

/// One provider, as `data/providers.toml` has it.
#[derive(Clone, Debug)]
pub struct ProviderRow {
    /// What a user writes: `openai`, `ollama`.
    pub id: String,
    /// What a user reads: `OpenAI`.
    pub title: String,
    /// The vendor's public documentation.
    pub docs: String,
    /// The root that every path is put behind; `None` where the user must name it. `{region}` and the like
    /// stand for a variable.
    pub base_url: Option<String>,
    /// What the address and the paths leave open, by name.
    pub variables: BTreeMap<String, Variable>,
    pub endpoints: Endpoints,
    pub auth: Auth,
    /// Headers that go with every request.
    pub headers: Vec<(String, String)>,
    /// The one of these headers that names the version of the API.
    pub version_header: Option<String>,
    /// The environment variables that hold a key for it, the first that is set counts.
    pub key_env: Vec<String>,
    /// A server of this kind may run without a key.
    pub key_optional: bool,
    /// Where a server of this kind listens on this machine unless told otherwise.
    pub local_port: Option<u16>,
    /// Whose models it serves, where they are another row's: their facts stand there.
    pub models_of: Option<String>,
    /// `owned_by` in lists of models.
    pub owned_by: String,
    /// How its streams are framed.
    pub framing: Framing,
    pub quirks: Quirks,
}

/// A part of a provider's address that differs from user to user: a region, a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The environment variables that hold it, the first that is set counts.
    #[serde(default)]
    pub env: Vec<String>,
    /// What it is when nobody says it.
    pub default: Option<String>,
}

/// Where one event of a stream ends and the next begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Sse,
    /// `application/vnd.amazon.eventstream`.
    AwsEventStream,
}

/// What a provider offers; an operation that it does not offer is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Conversations, in the dialect that the provider is best spoken to.
    pub chat: Option<Endpoint>,
    /// Conversations in OpenAI's Responses, where the provider has both.
    pub responses: Option<Endpoint>,
    pub completions: Option<Endpoint>,
    pub embeddings: Option<Endpoint>,
    /// The path that lists models.
    pub models: Option<String>,
    /// Counts the tokens of a request of this dialect.
    pub count: Option<Endpoint>,
    /// Paths of what is passed through.
    pub operations: BTreeMap<Operation, String>,
}

/// One operation of a provider: its wire shape, and its path behind the base URL. In a path `{model}` stands
/// for the model, and the names of variables for their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub dialect: Dialect,
    pub path: String,
    /// The path of a streamed call, where it is another one.
    pub stream_path: Option<String>,
}

/// How a key is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer <key>`
    Bearer,
    /// `<name>: <key>`
    Header(String),
    /// AWS Signature Version 4 for this service, or a key as a bearer token.
    Aws { service: String },
    /// A Google access token, or a key in `x-goog-api-key`.
    Google,
    /// `api-key: <key>`, or an Entra access token.
    Azure,
}

// === impl ProviderRow ===

impl ProviderRow {
    /// The endpoint that serves a call of this dialect: its own where the provider has one, else the
    /// conversation endpoint, whichever dialect it speaks.
    pub fn endpoint(&self, dialect: Dialect) -> Option<&Endpoint> {
        let endpoints = &self.endpoints;
        match dialect {
            Dialect::OpenAiResponses => endpoints.responses.as_ref().or(endpoints.chat.as_ref()),
            Dialect::OpenAiChat | Dialect::AnthropicMessages | Dialect::GeminiGenerate => {
                endpoints.chat.as_ref()
            }
            Dialect::OpenAiCompletions => {
                endpoints.completions.as_ref().or(endpoints.chat.as_ref())
            }
            Dialect::OpenAiEmbeddings | Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => {
                endpoints.embeddings.as_ref()
            }
        }
    }

    /// Every endpoint with a wire shape of its own.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        let endpoints = &self.endpoints;
        [
            &endpoints.chat,
            &endpoints.responses,
            &endpoints.completions,
            &endpoints.embeddings,
        ]
        .into_iter()
        .flatten()
    }
}

/// The rows that ship with the binary.
pub(crate) fn builtin() -> Vec<ProviderRow> {
    parse(include_str!("../data/providers.toml"))
        .expect("the embedded rows parse, which a test holds")
}

pub(crate) fn parse(text: &str) -> Result<Vec<ProviderRow>, toml::de::Error> {
    let file: File = toml::from_str(text)?;
    Ok(file.provider.into_iter().map(ProviderRow::from).collect())
}

/// `data/providers.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    title: String,
    docs: String,
    base_url: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    chat: Option<EndpointColumn>,
    responses: Option<String>,
    completions: Option<String>,
    embeddings: Option<EndpointColumn>,
    models: Option<String>,
    count: Option<EndpointColumn>,
    #[serde(default)]
    operations: BTreeMap<Operation, String>,
    auth: AuthColumn,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    version_header: Option<String>,
    #[serde(default)]
    key_env: Vec<String>,
    #[serde(default)]
    key_optional: bool,
    local_port: Option<u16>,
    models_of: Option<String>,
    owned_by: String,
    #[serde(default)]
    framing: Framing,
    #[serde(default)]
    quirks: Quirks,
}

/// `{ dialect = "openai-chat", path = "/chat/completions" }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointColumn {
    dialect: DialectColumn,
    path: String,
    stream_path: Option<String>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct DialectColumn(Dialect);

/// `"bearer"`, `"header:<name>"`, `"aws:<service>"`, `"google-token"` or `"entra"`
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct AuthColumn(Auth);

// === impl DialectColumn ===

impl TryFrom<String> for DialectColumn {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        [
            Dialect::OpenAiChat,
            Dialect::OpenAiEmbeddings,
            Dialect::OpenAiResponses,
            Dialect::AnthropicMessages,
            Dialect::GeminiGenerate,
            Dialect::GeminiBatchEmbed,
        ]
        .into_iter()
        .find(|dialect| dialect.name() == name)
        .map(Self)
        .ok_or_else(|| format!("unknown dialect {name:?}"))
    }
}

// === impl AuthColumn ===

impl TryFrom<String> for AuthColumn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let auth = match text.split_once(':') {
            None if text == "bearer" => Auth::Bearer,
            None if text == "google-token" => Auth::Google,
            None if text == "entra" => Auth::Azure,
            Some(("header", name)) if !name.is_empty() => Auth::Header(name.to_owned()),
            Some(("aws", service)) if !service.is_empty() => Auth::Aws {
                service: service.to_owned(),
            },
            _ => return Err(format!("unknown auth scheme {text:?}")),
        };
        Ok(Self(auth))
    }
}

// === impl EndpointColumn ===

impl From<EndpointColumn> for Endpoint {
    fn from(column: EndpointColumn) -> Self {
        Self {
            dialect: column.dialect.0,
            path: column.path,
            stream_path: column.stream_path,
        }
    }
}

// === impl Row ===

impl From<Row> for ProviderRow {
    fn from(row: Row) -> Self {
        let of = |dialect| {
            move |path| Endpoint {
                dialect,
                path,
                stream_path: None,
            }
        };
        Self {
            endpoints: Endpoints {
                chat: row.chat.map(Endpoint::from),
                responses: row.responses.map(of(Dialect::OpenAiResponses)),
                completions: row.completions.map(of(Dialect::OpenAiCompletions)),
                embeddings: row.embeddings.map(Endpoint::from),
                models: row.models,
                count: row.count.map(Endpoint::from),
                operations: row.operations,
            },
            id: row.id,
            title: row.title,
            docs: row.docs,
            base_url: row.base_url,
            variables: row.variables,
            auth: row.auth.0,
            headers: row.headers.into_iter().collect(),
            version_header: row.version_header,
            key_env: row.key_env,
            key_optional: row.key_optional,
            local_port: row.local_port,
            models_of: row.models_of,
            owned_by: row.owned_by,
            framing: row.framing,
            quirks: row.quirks,
        }
    }
}
