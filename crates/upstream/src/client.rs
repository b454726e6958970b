//! One exchange with a provider.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, Response, Uri, header};
use hyper::client::conn::http1::SendRequest;
use tokio::time::timeout;
use tollgate_base::crash_point;

use crate::{
    Endpoint, Fault, ReplyBody, RequestBody, body::Lease, connect, fault::Progress, pool::Pool,
};

/// Sends requests over pooled connections. One for each serving thread; cheap to clone within it.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool,
    timeouts: Timeouts,
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
        }
    }

    /// Sends one request and waits for the head of the answer. `target` is a path with its query.
    ///
    /// A pooled connection that turns out to be closed before the request was handed to it is replaced
    /// without a word; anything after that is a [`Fault`] that says how far the request got.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        method: Method,
        target: &Uri,
        headers: HeaderMap,
        body: impl Into<RequestBody>,
    ) -> Result<Response<ReplyBody>, Fault> {
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = target.clone();
        *request.headers_mut() = headers;
        request
            .headers_mut()
            .insert(header::HOST, endpoint.authority().clone());

        while let Some(mut sender) = self.pool.take(endpoint, Instant::now()) {
            if sender.ready().await.is_err() {
                continue;
            }
            match self.exchange(endpoint, sender, request).await {
                Ok(response) => return Ok(response),
                Err(Unsent::Request(back)) => request = *back,
                Err(Unsent::Lost(fault)) => return Err(fault),
            }
        }
        let sender = connect::open(endpoint, self.timeouts.connect).await?;
        self.exchange(endpoint, sender, request)
            .await
            .map_err(|unsent| match unsent {
                Unsent::Lost(fault) => fault,
                Unsent::Request(_) => Fault {
                    progress: Progress::NotSent,
                    ..Fault::unreachable(&std::io::Error::from(std::io::ErrorKind::ConnectionReset))
                },
            })
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        mut sender: SendRequest<RequestBody>,
        request: Request<RequestBody>,
    ) -> Result<Response<ReplyBody>, Unsent> {
        crash_point("after-connect");
        let answer = timeout(self.timeouts.first_byte, sender.try_send_request(request))
            .await
            .map_err(|_| Unsent::Lost(Fault::first_byte_timeout()))?;
        match answer {
            Ok(response) => {
                crash_point("after-resp-head");
                let lease = Lease {
                    sender,
                    endpoint: endpoint.clone(),
                    pool: self.pool.clone(),
                };
                Ok(response.map(|incoming| ReplyBody::new(incoming, lease)))
            }
            Err(mut failed) => Err(match failed.take_message() {
                Some(request) => Unsent::Request(Box::new(request)),
                None => Unsent::Lost(Fault::broken(&failed.into_error())),
            }),
        }
    }
}

/// Why an exchange on one connection failed.
enum Unsent {
    /// Nothing was sent; the request is back.
    Request(Box<Request<RequestBody>>),
    Lost(Fault),
}
