//! From a request's head to the gateway, and every refusal on the way.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Response, header};
use tollgate_base::{Error, Kind, Result};
use tollgate_dialect::{Dialect, Family};
use tollgate_gateway::{Body, Gateway, Inbound, error_response};
use tollgate_http1::{Request, RequestBody, Service, Stop};
use tollgate_policy::key::Role;

use crate::{
    budget::{BodyBudget, Share},
    health,
    panic::CatchPanic,
    query,
    routes::{Action, Found, family_of, find},
};

/// The service that one thread offers on its connections.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) gateway: Gateway,
    pub(crate) body_limit: u64,
    pub(crate) bodies: BodyBudget,
    pub(crate) stop: Stop,
}

impl Service for Edge {
    type Body = Body;

    async fn call(&self, request: Request) -> Response<Body> {
        let received = Instant::now();
        let request_id = self.gateway.shared().ids.next("req_");
        let dialect = dialect_at(request.uri.path(), &request.headers);
        let id = request_id.clone();
        let answered = CatchPanic::new(async { self.answer(request, id, received).await }).await;
        match answered {
            Ok(Ok(response)) => response,
            Ok(Err(refusal)) => refusal.response(dialect, &request_id),
            Err(_) => {
                tracing::error!(request = %request_id, "a panic ended this request");
                let error = Error::internal(
                    "The gateway failed on this request. Report it with the request id.",
                );
                error_response(dialect, &error.closing(), &request_id)
            }
        }
    }

    fn refuse(&self, error: Error, target: Option<&str>) -> Response<Body> {
        let request_id = self.gateway.shared().ids.next("req_");
        let path = target.unwrap_or("").split('?').next().unwrap_or("");
        error_response(dialect_at(path, &HeaderMap::new()), &error, &request_id)
    }
}

/// An error, and the header that some of them need.
struct Refusal {
    error: Error,
    allow: Option<&'static str>,
}

impl Edge {
    async fn answer(
        &self,
        request: Request,
        request_id: String,
        received: Instant,
    ) -> Result<Response<Body>, Refusal> {
        let Request {
            method,
            uri,
            headers,
            mut body,
            ..
        } = request;
        let (action, id) = route(&method, uri.path())?;
        if matches!(action, Action::Live | Action::Ready) {
            return Ok(match action {
                Action::Live => health::live(),
                _ => health::ready(self.stop.is_set()),
            });
        }
        let caller = self
            .gateway
            .authenticate(Role::Model, &headers, uri.query())?;
        match action {
            Action::Call(dialect) => {
                check_media(&headers)?;
                let (body, _share) = self.read(&mut body).await?;
                let inbound = Inbound {
                    dialect,
                    headers,
                    body,
                    request_id,
                    received,
                };
                Ok(self.gateway.serve(&caller, inbound).await)
            }
            Action::ListModels => {
                let page = query::page(uri.query())?;
                let family = family_of(uri.path(), &headers);
                Ok(self.gateway.list_models(family, &page, &request_id).await)
            }
            Action::ShowModel => {
                let family = family_of(uri.path(), &headers);
                Ok(self
                    .gateway
                    .show_model(family, &query::decoded(id), &request_id)
                    .await)
            }
            Action::Live | Action::Ready => unreachable!("answered above, without a key"),
        }
    }

    /// Reads the body within its own limit and within what all bodies together may take.
    async fn read(&self, body: &mut RequestBody) -> Result<(Bytes, Share)> {
        let mut share = self.bodies.share();
        if let Some(length) = body.content_length() {
            share.grow(length.min(self.body_limit))?;
            return Ok((body.collect(self.body_limit).await?, share));
        }
        let mut whole = BytesMut::new();
        while let Some(chunk) = body.chunk().await? {
            share.grow(chunk.len() as u64)?;
            if (whole.len() + chunk.len()) as u64 > self.body_limit {
                return Err(too_large(self.body_limit));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok((whole.freeze(), share))
    }
}

fn too_large(limit: u64) -> Error {
    let message = format!(
        "The request body is larger than the {} MiB that are read here.",
        limit >> 20
    );
    Error::new(Kind::TooLarge, "request_too_large", message).closing()
}

fn route<'p>(method: &Method, path: &'p str) -> Result<(Action, &'p str), Refusal> {
    match find(method, path) {
        Found::Route { action, id } => Ok((action, id)),
        Found::WrongMethod { allowed } => {
            let message = format!("This path answers {allowed} only.");
            let error = Error::new(Kind::MethodNotAllowed, "method_not_allowed", message);
            Err(Refusal {
                error,
                allow: Some(allowed),
            })
        }
        Found::Nothing if matches!(*method, Method::CONNECT | Method::TRACE) => {
            let message = "This method is not offered here.";
            Err(
                Error::new(Kind::MethodNotAllowed, "method_not_allowed", message)
                    .closing()
                    .into(),
            )
        }
        Found::Nothing => {
            let message = "There is nothing at this path. The paths of the API begin with /v1/.";
            Err(Error::new(Kind::NotFound, "not_found", message).into())
        }
    }
}

/// Only plain JSON is read: what a proxy or a browser form may have made of it is refused by name.
fn check_media(headers: &HeaderMap) -> Result<()> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let message = "Compressed request bodies are not read here. Send the JSON as it is.";
        return Err(Error::new(Kind::UnsupportedMedia, "unsupported_encoding", message).closing());
    }
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let (kind, parameters) = media.split_once(';').unwrap_or((media, ""));
    let charset = parameters
        .split(';')
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("charset"))
        .map_or("utf-8", |(_, charset)| charset.trim_matches('"'));
    if kind.trim().eq_ignore_ascii_case("application/json") && charset.eq_ignore_ascii_case("utf-8")
    {
        return Ok(());
    }
    let message =
        "The body must be JSON in UTF-8. Send the header `Content-Type: application/json`.";
    Err(Error::new(Kind::UnsupportedMedia, "unsupported_media_type", message).closing())
}

/// The dialect whose error shape an answer on this path has.
fn dialect_at(path: &str, headers: &HeaderMap) -> Dialect {
    match family_of(path, headers) {
        Family::OpenAi => Dialect::OpenAiChat,
        Family::Anthropic => Dialect::AnthropicMessages,
    }
}

// === impl Refusal ===

impl Refusal {
    fn response(self, dialect: Dialect, request_id: &str) -> Response<Body> {
        let mut response = error_response(dialect, &self.error, request_id);
        if let Some(method) = self.allow {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(method));
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, allow: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(fields: &[(&'static str, &'static str)]) -> String {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        check_media(&headers).map_or_else(|error| error.code().to_owned(), |()| "read".to_owned())
    }

    #[test]
    fn h28_only_json_in_utf8_is_read() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert_eq!(media(&[("content-type", good)]), "read", "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json; charset=utf-16",
            "multipart/form-data; boundary=x",
        ] {
            assert_eq!(
                media(&[("content-type", bad)]),
                "unsupported_media_type",
                "{bad}"
            );
        }
        assert_eq!(media(&[]), "unsupported_media_type");
    }

    #[test]
    fn h27_compressed_bodies_are_refused() {
        for encoding in ["gzip", "br", "zstd", "gzip, gzip"] {
            let fields = [
                ("content-type", "application/json"),
                ("content-encoding", encoding),
            ];
            assert_eq!(media(&fields), "unsupported_encoding", "{encoding}");
        }
    }
}
