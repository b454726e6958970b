//! Whether the process is alive, and whether it can serve. Neither says more than that to a stranger.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use tollgate_gateway::Body;

/// Depends on nothing outside of the process.
pub(crate) fn live() -> Response<Body> {
    answer(StatusCode::OK, "ok")
}

/// Not ready while the service drains: a balancer then sends new calls elsewhere.
pub(crate) fn ready(draining: bool) -> Response<Body> {
    if draining {
        answer(StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        answer(StatusCode::OK, "ready")
    }
}

fn answer(status: StatusCode, word: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Bytes::from_static(word.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
