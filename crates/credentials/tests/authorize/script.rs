//! The scripted token endpoints, and a request authorised as a gateway does it.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::Uri;
use parking_lot::Mutex;
use serde_json::Value;
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use tollgate_base::Error;
use tollgate_base::Kind;
use tollgate_base::Result;
use tollgate_base::UnixMillis;
use tollgate_credentials::Credentials;
use tollgate_credentials::Fetch;
use tollgate_credentials::Signed;

/// 2026-01-02T03:04:05Z
pub(crate) const NOW: UnixMillis = UnixMillis(1_767_323_045_000);
pub(crate) const HOUR: u64 = 3_600_000;

/// Answers in order, and what was asked: `METHOD url`, each header, and the body.
pub(crate) struct Script {
    answers: Mutex<Vec<Result<(u16, String)>>>,
    asked: Mutex<Vec<String>>,
    slow: AtomicBool,
}

pub(crate) fn script<const N: usize>(answers: [(u16, Value); N]) -> Script {
    let mut answers: Vec<Result<(u16, String)>> = answers
        .into_iter()
        .map(|(status, body)| {
            Ok((
                status,
                body.as_str()
                    .map_or_else(|| body.to_string(), str::to_owned),
            ))
        })
        .collect();
    answers.reverse();
    Script {
        answers: Mutex::new(answers),
        asked: Mutex::new(Vec::new()),
        slow: AtomicBool::new(false),
    }
}

impl Script {
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }

    /// Fails the next fetch.
    pub(crate) fn fail_next(&self, error: Error) {
        self.answers.lock().push(Err(error));
    }

    /// Answers no fetch from now on, or answers again.
    pub(crate) fn stall(&self, stalled: bool) {
        self.slow.store(stalled, Ordering::Relaxed);
    }
}

impl Fetch for Script {
    async fn fetch(&self, url: &str, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let mut line = format!("{} {url}", request.method());
        for (name, value) in request.headers() {
            write!(line, "\n{name}: {}", value.to_str().unwrap()).unwrap();
        }
        if !request.body().is_empty() {
            line.push_str("\n\n");
            line.push_str(std::str::from_utf8(request.body()).unwrap());
        }
        self.asked.lock().push(line);
        if self.slow.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let answer = self
            .answers
            .lock()
            .pop()
            .expect("a fetch that the script does not hold");
        answer.map(|(status, body)| {
            Response::builder()
                .status(status)
                .body(Bytes::from(body))
                .unwrap()
        })
    }
}

pub(crate) fn is_send<T: Send>(value: T) -> T {
    value
}

pub(crate) fn authorize(
    credentials: &Credentials,
    script: &Script,
    now: UnixMillis,
) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let host = HeaderValue::from_static("provider.example");
    let target = Uri::from_static("/model/a%3A0/converse");
    let outcome = {
        let future = is_send(credentials.authorize(
            script,
            now,
            Signed {
                method: &Method::POST,
                host: &host,
                target: &target,
                headers: &mut headers,
                body: b"{}",
            },
        ));
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("scripted fetches never wait"),
        }
    };
    outcome.map(|()| headers)
}

pub(crate) fn bearer(credentials: &Credentials, script: &Script, now: UnixMillis) -> String {
    let headers = authorize(credentials, script, now).unwrap();
    assert!(headers["authorization"].is_sensitive());
    headers["authorization"].to_str().unwrap().to_owned()
}

/// An error as it must be: ours, with a next step, and without anything that was sent or answered.
#[track_caller]
pub(crate) fn refused(error: &Error, expect: &str) {
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::Upstream, "upstream_auth")
    );
    assert!(error.message().contains(expect), "{error:?}");
    for part in ["canary", "://", "169.254"] {
        assert!(!format!("{error:?}").contains(part), "{error:?}");
    }
}
