//! Answers of the admin API and their headers: never kept by anybody on the way, never shown to another site.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use tollgate_api::{Page, openapi, to_json};
use tollgate_gateway::Body;

/// An answer that is not on its way yet.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: StatusCode,
    media: &'static str,
    version: Option<u64>,
    pub(super) body: Bytes,
}

const JSON: &str = "application/json; charset=utf-8";
const CSV: &str = "text/csv; charset=utf-8; header=present";

impl Reply {
    pub(super) fn json(answer: &impl Serialize) -> Self {
        Self {
            status: StatusCode::OK,
            media: JSON,
            version: None,
            body: Bytes::from(to_json(answer)),
        }
    }

    pub(super) fn csv(text: String) -> Self {
        Self {
            status: StatusCode::OK,
            media: CSV,
            version: None,
            body: Bytes::from(text),
        }
    }

    pub(super) fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            media: "",
            version: None,
            body: Bytes::new(),
        }
    }

    pub(super) fn created(self) -> Self {
        Self {
            status: StatusCode::CREATED,
            ..self
        }
    }

    /// With the object's `ETag`.
    pub(super) fn of_version(self, version: u64) -> Self {
        Self {
            version: Some(version),
            ..self
        }
    }

    pub(super) fn response(self, request_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::Whole(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !self.media.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if self.media == CSV {
            let name = HeaderValue::from_static("attachment; filename=\"tollgate.csv\"");
            headers.insert(header::CONTENT_DISPOSITION, name);
        }
        if let Some(version) = self.version
            && let Ok(tag) = HeaderValue::try_from(format!("\"{version}\""))
        {
            headers.insert(header::ETAG, tag);
        }
        if let Ok(id) = HeaderValue::try_from(request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        response
    }
}

/// The OpenAPI document.
pub(super) fn document() -> Reply {
    Reply::json(&openapi())
}

/// A page of what comes in the order of its ids: at most `size` after `after`.
pub(super) fn page<'a, T: 'a, A>(
    all: impl Iterator<Item = (&'a String, &'a T)>,
    after: Option<&str>,
    size: usize,
    show: impl Fn(&T) -> A,
) -> Page<A> {
    let mut rest = all.skip_while(|(id, _)| after.is_some_and(|after| id.as_str() <= after));
    let mut data = Vec::new();
    let mut last = None;
    for (id, value) in rest.by_ref().take(size) {
        data.push(show(value));
        last = Some(id.clone());
    }
    Page {
        data,
        next: rest.next().and(last),
    }
}
