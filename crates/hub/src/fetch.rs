//! One GET, with the redirects that a hub answers with, and the token that must not leave its origin.
//!
//! A hub keeps large files elsewhere and redirects to them with a signed URL. What it knows of a file stands in headers
//! of the redirect itself (`X-Linked-Size`, `X-Linked-ETag`, `X-Repo-Commit`: `get_hf_file_metadata` and `constants.py`
//! in <https://github.com/huggingface/huggingface_hub/tree/main/src/huggingface_hub>), so they are read from every answer
//! of the hub's own origin on the way. Proxies of the environment are not read, as nowhere in Tollgate.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tollgate_base::{Error, Kind, Result, Secret};
use tollgate_upstream::{Client, Fault, ReplyBody, Timeouts};

use crate::{Address, Patience};

/// Fetches from one hub, and from wherever it redirects to.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: Client,
    /// The origin that the token belongs to.
    home: Address,
    token: Option<Secret>,
}

/// The answer at the end of the redirects.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ReplyBody,
    pub(crate) address: Address,
    pub(crate) linked: Linked,
}

/// What the hub itself says of a file that lies elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<String>,
}

/// A hub takes two or three; more is a loop or a trap.
const MOST_REDIRECTS: usize = 8;

// === impl Fetcher ===

impl Fetcher {
    /// A token goes in plain text to this machine only.
    pub(crate) fn new(home: Address, token: Option<Secret>, patience: &Patience) -> Result<Self> {
        if token.is_some() && !home.is_tls() && !home.is_loopback() {
            let message = format!(
                "The token would travel in plain text to {}. Use an https:// hub, or go without a token.",
                home.origin()
            );
            return Err(Error::invalid_value("hub", message));
        }
        Ok(Self {
            client: Client::new(Timeouts {
                connect: patience.connect,
                first_byte: patience.first_byte,
            }),
            home,
            token,
        })
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) async fn get(&self, from: &Address, extra: &HeaderMap) -> Result<Answer> {
        let mut address = from.clone();
        let mut linked = Linked::default();
        let mut seen = vec![];
        loop {
            let answer = self.exchange(&address, extra).await?;
            if address.is_same_origin(&self.home) {
                linked.read(answer.headers());
            }
            let location = answer
                .status()
                .is_redirection()
                .then(|| answer.headers().get(header::LOCATION))
                .flatten()
                .and_then(|location| location.to_str().ok());
            let Some(location) = location else {
                let (head, body) = answer.into_parts();
                return Ok(Answer {
                    status: head.status,
                    headers: head.headers,
                    body,
                    address,
                    linked,
                });
            };
            let next = address.join(location)?;
            if address.is_tls() && !next.is_tls() {
                return Err(strange(&address, "redirects from https to http"));
            }
            let trail = (next.origin(), next.target());
            if seen.contains(&trail) || seen.len() >= MOST_REDIRECTS {
                return Err(strange(from, "redirects in a circle"));
            }
            seen.push(trail);
            address = next;
        }
    }

    async fn exchange(
        &self,
        address: &Address,
        extra: &HeaderMap,
    ) -> Result<http::Response<ReplyBody>> {
        let unusable = || Error::invalid_value("url", format!("{address} cannot be asked for."));
        let endpoint = address.endpoint().ok_or_else(unusable)?;
        let target = address.target().ok_or_else(unusable)?;
        let mut headers = extra.clone();
        let agent = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        if let Some(token) = &self.token
            && address.is_same_origin(&self.home)
        {
            let bearer = format!("Bearer {}", token.expose());
            let mut value = HeaderValue::try_from(bearer).map_err(|_| {
                Error::invalid_value(
                    "token",
                    "The token holds characters that no header can carry.",
                )
            })?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        self.client
            .send(&endpoint, Method::GET, &target, headers, Bytes::new())
            .await
            .map_err(|fault| of_fault(address, &fault))
    }
}

// === impl Linked ===

impl Linked {
    /// The first answer that says something is believed.
    fn read(&mut self, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let size = text("x-linked-size").and_then(|text| text.parse().ok());
        self.size = self.size.or(size);
        let digest =
            text("x-linked-etag").map(|tag| tag.trim_start_matches("W/").trim_matches('"'));
        if self.sha256.is_none() {
            self.sha256 = digest.and_then(checked_sha256);
        }
    }
}

/// 64 hexadecimal digits, in lower case. An ETag of a small file is a git hash, which has 40.
pub(crate) fn checked_sha256(text: &str) -> Option<String> {
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| text.to_ascii_lowercase())
}

/// How long a server asks to be left alone, in whole seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// An answer that no retry makes better.
pub(crate) fn strange(address: &Address, what: &str) -> Error {
    let message = format!(
        "{} {what}. Check the hub's address (--hub, HF_ENDPOINT, models.hub).",
        address.host()
    );
    Error::new(Kind::Upstream, "hub_strange", message)
}

/// Something that may go better the next time.
pub(crate) fn passing(address: &Address, what: &str) -> Error {
    let message = format!("{} {what}.", address.host());
    Error::new(Kind::Upstream, "hub_fault", message).with_should_retry(true)
}

fn of_fault(address: &Address, fault: &Fault) -> Error {
    match fault.error.code() {
        "upstream_unreachable" => passing(
            address,
            "cannot be reached; check the address and the network",
        ),
        "upstream_timeout" => passing(address, "did not begin to answer in time"),
        "upstream_closed" => passing(address, "closed the connection"),
        "upstream_tls" => {
            let reason = fault
                .error
                .message()
                .replace("the provider", address.host());
            Error::new(Kind::Upstream, "hub_tls", reason)
        }
        _ => strange(address, "does not answer with proper HTTP"),
    }
}
