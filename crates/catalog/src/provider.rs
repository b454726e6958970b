//! A provider's row: where it is, how it is spoken to, and how it differs from its dialect.

use serde::Deserialize;
use tollgate_dialect::{Dialect, Quirks};

/// One provider, as `data/providers.toml` has it.
#[derive(Clone, Debug)]
pub struct ProviderRow {
    /// What a user writes: `openai`, `ollama`.
    pub id: String,
    /// What a user reads: `OpenAI`.
    pub title: String,
    /// The vendor's public documentation.
    pub docs: String,
    /// The root that every path is put behind; `None` where the user must name it.
    pub base_url: Option<String>,
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
    /// `owned_by` in lists of models.
    pub owned_by: String,
    pub quirks: Quirks,
}

/// What a provider offers; an operation that it does not offer is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Conversations: OpenAI chat or Anthropic messages.
    pub chat: Option<Endpoint>,
    pub completions: Option<Endpoint>,
    pub embeddings: Option<Endpoint>,
    /// The path that lists models.
    pub models: Option<String>,
}

/// One operation of a provider: its wire shape, and its path behind the base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub dialect: Dialect,
    pub path: String,
}

/// How a key is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer <key>`
    Bearer,
    /// `<name>: <key>`
    Header(String),
}

// === impl ProviderRow ===

impl ProviderRow {
    /// The endpoint that serves a call of this dialect: its own for completions and embeddings, and for a
    /// conversation the one conversation endpoint, whichever of the two dialects it speaks.
    pub fn endpoint(&self, dialect: Dialect) -> Option<&Endpoint> {
        match dialect {
            Dialect::OpenAiChat | Dialect::AnthropicMessages => self.endpoints.chat.as_ref(),
            Dialect::OpenAiCompletions => self.endpoints.completions.as_ref(),
            Dialect::OpenAiEmbeddings => self.endpoints.embeddings.as_ref(),
        }
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
    chat: Option<Chat>,
    completions: Option<String>,
    embeddings: Option<String>,
    models: Option<String>,
    auth: AuthColumn,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    version_header: Option<String>,
    #[serde(default)]
    key_env: Vec<String>,
    #[serde(default)]
    key_optional: bool,
    local_port: Option<u16>,
    owned_by: String,
    #[serde(default)]
    quirks: Quirks,
}

/// `{ dialect = "openai-chat", path = "/chat/completions" }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chat {
    dialect: ChatDialect,
    path: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ChatDialect {
    OpenaiChat,
    AnthropicMessages,
}

/// `"bearer"` or `"header:<name>"`
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct AuthColumn(Auth);

// === impl AuthColumn ===

impl TryFrom<String> for AuthColumn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.split_once(':') {
            None if text == "bearer" => Ok(Self(Auth::Bearer)),
            Some(("header", name)) if !name.is_empty() => Ok(Self(Auth::Header(name.to_owned()))),
            _ => Err(format!("unknown auth scheme {text:?}")),
        }
    }
}

// === impl Row ===

impl From<Row> for ProviderRow {
    fn from(row: Row) -> Self {
        let of = |dialect| move |path| Endpoint { dialect, path };
        Self {
            endpoints: Endpoints {
                chat: row.chat.map(|chat| Endpoint {
                    dialect: match chat.dialect {
                        ChatDialect::OpenaiChat => Dialect::OpenAiChat,
                        ChatDialect::AnthropicMessages => Dialect::AnthropicMessages,
                    },
                    path: chat.path,
                }),
                completions: row.completions.map(of(Dialect::OpenAiCompletions)),
                embeddings: row.embeddings.map(of(Dialect::OpenAiEmbeddings)),
                models: row.models,
            },
            id: row.id,
            title: row.title,
            docs: row.docs,
            base_url: row.base_url,
            auth: row.auth.0,
            headers: row.headers.into_iter().collect(),
            version_header: row.version_header,
            key_env: row.key_env,
            key_optional: row.key_optional,
            local_port: row.local_port,
            owned_by: row.owned_by,
            quirks: row.quirks,
        }
    }
}
