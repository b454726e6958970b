//! A call as it came in, and what is read of it before anything is decided.

use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use tollgate_base::Result;
use tollgate_dialect::{Dialect, Head, RawObject, read_head};

/// One request, its body read and nothing of it understood.
#[derive(Debug)]
pub struct Inbound {
    pub dialect: Dialect,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Given to the request at the edge, shown in its answer and in every log line.
    pub request_id: String,
    /// When its first byte was read.
    pub received: Instant,
}

/// One request whose head has been read and checked; its body is still the bytes that came.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) dialect: Dialect,
    pub(crate) headers: HeaderMap,
    pub(crate) raw: RawObject,
    pub(crate) head: Head,
    pub(crate) request_id: String,
    pub(crate) received: Instant,
    /// The caller wants a refusal rather than a loss.
    pub(crate) strict: bool,
}

/// The request header that turns losses into refusals for one call.
const STRICT: &str = "x-tollgate-strict";

impl Call {
    pub(crate) fn read(inbound: Inbound) -> Result<Self> {
        let raw = RawObject::parse(inbound.body)?;
        let head = read_head(inbound.dialect, &raw)?;
        let strict = inbound
            .headers
            .get(STRICT)
            .is_some_and(|value| value == "true");
        Ok(Self {
            dialect: inbound.dialect,
            headers: inbound.headers,
            raw,
            head,
            request_id: inbound.request_id,
            received: inbound.received,
            strict,
        })
    }
}
