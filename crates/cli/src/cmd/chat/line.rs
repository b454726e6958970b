//! The line to a gateway: one inside this process, or a running one by HTTP.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body::Body as _;
use tollgate_base::{Error, Kind, Result, SystemClock};
use tollgate_catalog::price::PriceBook;
use tollgate_config::{Allowances, BaseUrl, Config, UnknownPrice};
use tollgate_dialect::{Dialect, parse_error};
use tollgate_gateway::{Body, Books, Gateway, Inbound, LocalModels, Shared, Snapshot};
use tollgate_ledger::{Config as LedgerConfig, Durability, Ledger};
use tollgate_policy::{
    admission::Rules,
    key::{Caller, KeyRing},
};
use tollgate_store::{MemoryLedger, MemoryStore};
use tollgate_upstream::{Client, Endpoint, ReplyBody, Timeouts};

use crate::{detect, settings::environment, shelf};

pub(super) enum Line {
    Local {
        gateway: Box<Gateway>,
        caller: Arc<Caller>,
        /// Where the books of this conversation are, for as long as it lasts.
        _folder: tempfile::TempDir,
    },
    Remote {
        client: Client,
        endpoint: Endpoint,
        path: Uri,
        headers: HeaderMap,
    },
}

/// An answer as it comes.
pub(super) struct Answer {
    body: AnswerBody,
    /// What could not be carried to the model.
    pub(super) losses: Option<String>,
}

enum AnswerBody {
    Local(Body),
    Remote(ReplyBody),
}

/// The largest error answer that is read.
const MAX_ERROR: usize = 64 * 1024;

impl Line {
    pub(super) async fn open(url: Option<&str>, mut config: Config) -> Result<Self> {
        if let Some(url) = url {
            return Self::remote(url, &config);
        }
        detect::add_local_servers(&mut config, &environment()).await;
        // Whoever talks at the terminal pays for it as the machine's owner: nothing is refused for want of a price,
        // and nothing is booked.
        config.ledger.unknown_price = UnknownPrice::Book;
        let folder = tempfile::tempdir().map_err(|error| {
            Error::internal(format!("Cannot make a temporary folder: {error}."))
        })?;
        let ledger = Ledger::open(
            LedgerConfig {
                durability: Durability::Process,
                ..LedgerConfig::new(folder.path())
            },
            Arc::new(MemoryLedger::default()),
            Arc::new(SystemClock),
        )
        .map_err(|error| Error::internal(error.to_string()))?;
        let books = Books::new(Rules::default(), ledger, None);
        let local = shelf::models(&config, &LocalModels::default());
        let shared = Shared::new(
            Snapshot::new(config, PriceBook::builtin(), local)?,
            KeyRing::default(),
            (Arc::new(MemoryStore::default()), books),
            Box::new(SystemClock),
        );
        Ok(Self::Local {
            gateway: Box::new(Gateway::new(Arc::new(shared))),
            caller: Arc::new(Caller::local("terminal")),
            _folder: folder,
        })
    }

    fn remote(url: &str, config: &Config) -> Result<Self> {
        let allow = Allowances {
            private: true,
            http: true,
        };
        let base = BaseUrl::parse(url.trim_end_matches('/').trim_end_matches("/v1"), allow)
            .map_err(|fault| {
                Error::invalid_value(
                    "--url",
                    format!("The URL {}; {}.", fault.message, fault.hint),
                )
            })?;
        let bad_url = || {
            Error::invalid_value(
                "--url",
                "The URL is not usable. Write it as http://host:port.",
            )
        };
        let path = Uri::try_from(base.join("/v1/chat/completions")).ok();
        let path = path
            .and_then(|uri| uri.into_parts().path_and_query)
            .map(Uri::from)
            .ok_or_else(bad_url)?;
        let endpoint =
            Endpoint::new(base.host(), base.port(), base.is_tls(), |_| true).ok_or_else(bad_url)?;
        let key = config.first_keys.caller.as_ref().ok_or_else(|| {
            let message = "A running gateway needs a key. Set TOLLGATE_KEY to one.";
            Error::new(Kind::Authentication, "missing_api_key", message)
        })?;
        let mut headers = HeaderMap::new();
        let bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()));
        headers.insert(
            header::AUTHORIZATION,
            bearer
                .map_err(|_| Error::invalid_value("TOLLGATE_KEY", "TOLLGATE_KEY holds no key."))?,
        );
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        let streaming = &config.streaming;
        let timeouts = Timeouts {
            connect: streaming.connect_timeout,
            first_byte: streaming.first_byte_timeout,
        };
        Ok(Self::Remote {
            client: Client::new(timeouts),
            endpoint,
            path,
            headers,
        })
    }

    /// Sends a chat request. A refusal is an error with the gateway's own words.
    pub(super) async fn ask(&self, body: Bytes) -> Result<Answer> {
        let (parts, body) = match self {
            Line::Local {
                gateway, caller, ..
            } => {
                let inbound = Inbound {
                    dialect: Dialect::OpenAiChat,
                    addressed: None,
                    headers: HeaderMap::new(),
                    body,
                    request_id: gateway.shared().request_id(),
                    received: Instant::now(),
                };
                let (parts, body) = gateway.serve(caller, inbound).await.into_parts();
                (parts, AnswerBody::Local(body))
            }
            Line::Remote {
                client,
                endpoint,
                path,
                headers,
            } => {
                let response = client
                    .send(endpoint, Method::POST, path, headers.clone(), body)
                    .await
                    .map_err(|fault| Error::new(fault.error.kind(), "unreachable", "The gateway could not be reached. Is it running, and is the URL right?"))?;
                let (parts, body) = response.into_parts();
                (parts, AnswerBody::Remote(body))
            }
        };
        let losses = parts
            .headers
            .get("x-tollgate-loss")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut answer = Answer { body, losses };
        if parts.status == StatusCode::OK {
            return Ok(answer);
        }
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            text.extend_from_slice(
                &chunk[..chunk.len().min(MAX_ERROR - text.len().min(MAX_ERROR))],
            );
        }
        Err(refusal(parts.status, &text))
    }
}

/// A gateway's refusal. Its own 401 and 403 are about this key, unlike a provider's.
fn refusal(status: StatusCode, body: &[u8]) -> Error {
    let plain = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => 400,
        other => other.as_u16(),
    };
    parse_error(Dialect::OpenAiChat, plain, None, body)
}

impl Answer {
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        match &mut self.body {
            AnswerBody::Remote(body) => body.chunk().await.transpose(),
            AnswerBody::Local(body) => loop {
                match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
                    None => return Ok(None),
                    Some(Ok(frame)) => {
                        if let Ok(bytes) = frame.into_data() {
                            return Ok(Some(bytes));
                        }
                    }
                    Some(Err(never)) => match never {},
                }
            },
        }
    }
}
