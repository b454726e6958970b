//! Every error this crate can give, in one place: status, code and words.
//!
//! All of them close the connection: after any of them the bytes that follow cannot be trusted to be the
//! next request.

use tollgate_base::{Error, Kind};

/// 400 `invalid_framing`: where the request ends is not certain.
pub(crate) fn framing(message: impl Into<String>) -> Error {
    Error::new(Kind::InvalidRequest, "invalid_framing", message).closing()
}

/// 400 `invalid_header`: one header field is malformed or not allowed.
pub(crate) fn header(message: impl Into<String>) -> Error {
    Error::new(Kind::InvalidRequest, "invalid_header", message).closing()
}

/// 400 `invalid_url`: the request target is not a path on this server.
pub(crate) fn target(message: impl Into<String>) -> Error {
    Error::new(Kind::InvalidRequest, "invalid_url", message).closing()
}

/// 421 `misdirected_request`: the request target names another host.
pub(crate) fn misdirected() -> Error {
    let message = "The request target names another host than the Host header. Send a path only.";
    Error::new(Kind::Misdirected, "misdirected_request", message).closing()
}

/// 414 `uri_too_long`.
pub(crate) fn target_too_long(limit: usize) -> Error {
    let message = format!("The request target is longer than {limit} bytes.");
    Error::new(Kind::UriTooLong, "uri_too_long", message).closing()
}

/// 431 `headers_too_large`.
pub(crate) fn head_too_large(message: impl Into<String>) -> Error {
    Error::new(Kind::HeadersTooLarge, "headers_too_large", message).closing()
}

/// 501 `not_supported`: a transfer coding other than `chunked`.
pub(crate) fn transfer_coding() -> Error {
    let message = "The only transfer coding read here is `chunked`.";
    Error::new(Kind::NotSupported, "not_supported", message).closing()
}

/// 417 `expectation_failed`: an expectation other than `100-continue`.
pub(crate) fn expectation() -> Error {
    let message = "The only expectation met here is `100-continue`.";
    Error::new(Kind::ExpectationFailed, "expectation_failed", message).closing()
}

/// 413 `request_too_large`.
pub(crate) fn body_too_large(limit: u64) -> Error {
    let message = format!("The request body is larger than {limit} bytes.");
    Error::new(Kind::TooLarge, "request_too_large", message).closing()
}

/// 408 `request_timeout`: the head or the body took too long to arrive.
pub(crate) fn timeout(part: &str) -> Error {
    let message = format!("The request {part} did not arrive in time.");
    Error::new(Kind::RequestTimeout, "request_timeout", message).closing()
}

/// What a body reports that outlives its exchange; no client sees it.
pub(crate) fn exchange_over() -> Error {
    framing("The exchange ended before the request body was read.")
}
