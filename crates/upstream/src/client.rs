//! One exchange with a provider.

use std::{
    fmt,
    future::poll_fn,
    time::{Duration, Instant},
};

use http::{HeaderMap, Method, Response, Uri};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tollgate_base::crash_point;

use crate::{
    Endpoint, Fault, ReplyBody, RequestBody,
    body::Lease,
    connect,
    connection::Connection,
    exchange::{Broken, Outgoing},
    pool::Pool,
};

/// Sends requests over pooled connections. One for each serving thread; cheap to clone within it.
#[derive(Clone)]
pub struct Client {
    pool: Pool,
    timeouts: Timeouts,
    /// Whom to trust; without it, whom the machine trusts.
    trust: Option<TlsConnector>,
}

/// How long the phases of an exchange may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Resolving, dialling and the TLS handshake together.
    pub connect: Duration,
    /// From the request to the head of the answer.
    pub first_byte: Duration,
}

impl Client {
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            pool: Pool::default(),
            timeouts,
            trust: None,
        }
    }

    /// Trusts other roots than the machine does.
    #[must_use]
    pub fn trusting(self, trust: TlsConnector) -> Self {
        Self {
            trust: Some(trust),
            ..self
        }
    }

    /// Sends one request and waits for the head of the answer. `target` is a path with its query.
    ///
    /// A pooled connection that turns out to be closed before it took a byte of the request is replaced without
    /// a word; anything after that is a [`Fault`] that says how far the request got.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        method: Method,
        target: &Uri,
        headers: HeaderMap,
        body: impl Into<RequestBody>,
    ) -> Result<Response<ReplyBody>, Fault> {
        let fields = (endpoint.authority(), &headers);
        let mut outgoing = Outgoing::new(method, target, fields, body.into());
        while let Some(connection) = self.pool.take(endpoint, Instant::now()) {
            match self.exchange(endpoint, connection, &mut outgoing).await {
                Err(Broken::Unused) => {}
                other => return other.map_err(Fault::broken),
            }
        }
        // Apart on the heap: most calls dial nobody, and their state stays small.
        let connection = Box::pin(connect::open(
            endpoint,
            self.trust.as_ref(),
            self.timeouts.connect,
        ))
        .await?;
        self.exchange(endpoint, connection, &mut outgoing)
            .await
            .map_err(Fault::broken)
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        mut connection: Connection,
        outgoing: &mut Outgoing,
    ) -> Result<Response<ReplyBody>, Broken> {
        crash_point("after-connect");
        let answer = poll_fn(|cx| outgoing.poll(&mut connection, cx));
        let head = timeout(self.timeouts.first_byte, answer)
            .await
            .map_err(|_| Broken::TooSlow)??;
        crash_point("after-resp-head");
        let lease = Lease {
            connection,
            endpoint: endpoint.clone(),
            pool: self.pool.clone(),
            keeps: head.keeps,
        };
        let mut response = Response::new(ReplyBody::new(head.framing, lease));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("pool", &self.pool)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
