//! AWS: keys that are given, or those of the machine: a container's endpoint (ECS, EKS Pod Identity) or the
//! instance's metadata, version 2. Environment and profile files are read elsewhere or not at all.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, header::AUTHORIZATION};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tollgate_base::{Result, Secret, UnixMillis};

use crate::{Fetch, oauth, oauth::Peer, percent, refusal, sigv4::Keys, token::Token};

const METADATA: &str = "http://169.254.169.254";
const CONTAINER: &str = "http://169.254.170.2";
/// The addresses besides this machine's own at which a container's endpoint may be asked without TLS.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
const SESSION_TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const SESSION: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

const CONTAINER_PEER: Peer = Peer {
    name: "AWS's container endpoint",
    advice: "Check that the task or pod has a role.",
};
const METADATA_PEER: Peer = Peer {
    name: "AWS's instance metadata",
    advice: "Check that the instance has a role and that its metadata's hop limit lets containers ask, or give keys.",
};

/// What a machine on AWS says about where its keys are. Nothing set means the instance's metadata.
#[derive(Clone, Debug, Default)]
pub struct AwsMachine {
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`; goes before the full one.
    pub relative_uri: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`
    pub full_uri: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`
    pub authorization: Option<Secret>,
    /// The instance metadata's address in place of the usual one.
    pub metadata: Option<String>,
}

/// Where short-lived keys come from.
pub(crate) enum Machine {
    Container {
        url: String,
        authorization: Option<HeaderValue>,
    },
    Instance {
        base: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Granted {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: String,
}

// === impl Machine ===

impl Machine {
    pub(crate) fn new(said: AwsMachine) -> Result<Self> {
        let url = match (said.relative_uri, said.full_uri) {
            (Some(path), _) if path.starts_with('/') => format!("{CONTAINER}{path}"),
            (Some(_), _) => {
                return Err(refusal(
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is no path. Let it start with `/`, or unset it.",
                ));
            }
            (None, Some(url)) if is_container(&url) => url,
            (None, Some(_)) => {
                return Err(refusal(
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine or of a container agent. Correct or unset it.",
                ));
            }
            (None, None) => {
                let base = said
                    .metadata
                    .as_deref()
                    .unwrap_or(METADATA)
                    .trim_end_matches('/');
                return Ok(Self::Instance {
                    base: base.to_owned(),
                });
            }
        };
        let authorization = match said.authorization {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::from_str(token.expose().trim_end()).map_err(|_| {
                    refusal("AWS_CONTAINER_AUTHORIZATION_TOKEN holds a line break. Correct or unset it.")
                })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self::Container { url, authorization })
    }

    pub(crate) async fn fetch(&self, fetch: &impl Fetch) -> Result<Token<Arc<Keys>>> {
        match self {
            Self::Container { url, authorization } => {
                let mut request = oauth::request(Method::GET, Bytes::new());
                if let Some(value) = authorization {
                    request.headers_mut().insert(AUTHORIZATION, value.clone());
                }
                let answer = oauth::send(fetch, CONTAINER_PEER, url, request).await?;
                granted(CONTAINER_PEER, &answer)
            }
            Self::Instance { base } => instance(fetch, base).await,
        }
    }
}

/// Three steps: a session with the metadata, the role's name, the role's keys.
async fn instance(fetch: &impl Fetch, base: &str) -> Result<Token<Arc<Keys>>> {
    let mut request = oauth::request(Method::PUT, Bytes::new());
    request
        .headers_mut()
        .insert(SESSION_TTL, HeaderValue::from_static("21600"));
    let url = format!("{base}/latest/api/token");
    let session = oauth::send(fetch, METADATA_PEER, &url, request).await?;
    let mut session =
        HeaderValue::from_maybe_shared(session.slice(..session.trim_ascii_end().len()))
            .map_err(|_| oauth::unreadable(METADATA_PEER))?;
    session.set_sensitive(true);

    let roles = format!("{base}/latest/meta-data/iam/security-credentials/");
    let get = |session: HeaderValue| {
        let mut request = oauth::request(Method::GET, Bytes::new());
        request.headers_mut().insert(SESSION, session);
        request
    };
    let names = oauth::send(fetch, METADATA_PEER, &roles, get(session.clone())).await?;
    let role = std::str::from_utf8(&names)
        .ok()
        .and_then(|names| names.lines().next())
        .map(str::trim)
        .filter(|role| !role.is_empty())
        .ok_or_else(|| oauth::unreadable(METADATA_PEER))?;

    let mut url = roles.clone();
    percent::encode_into(&mut url, role.as_bytes());
    let answer = oauth::send(fetch, METADATA_PEER, &url, get(session)).await?;
    granted(METADATA_PEER, &answer)
}

fn granted(peer: Peer, answer: &[u8]) -> Result<Token<Arc<Keys>>> {
    let granted: Granted = oauth::parse(peer, answer)?;
    let expires = OffsetDateTime::parse(&granted.expiration, &Rfc3339)
        .ok()
        .and_then(|end| u64::try_from(end.unix_timestamp()).ok())
        .ok_or_else(|| oauth::unreadable(peer))?;
    let keys = Keys {
        id: granted.access_key_id,
        secret: Secret::new(granted.secret_access_key),
        session: granted.token.map(Secret::new),
    };
    Ok(Token {
        value: Arc::new(keys),
        expires: UnixMillis(expires.saturating_mul(1000)),
    })
}

fn is_container(url: &str) -> bool {
    oauth::is_safe(url)
        || url.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme_str() == Some("http")
                && uri
                    .host()
                    .is_some_and(|host| CONTAINER_HOSTS.contains(&host))
        })
}
