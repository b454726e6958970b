//! A call as it came in, and what is read of it before anything is decided.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use tollgate_base::Result;
use tollgate_dialect::{Dialect, Head, RawObject, ir, parse_request, read_head};

use crate::responses::Keeping;

/// One request, its body read and nothing of it understood.
#[derive(Debug)]
pub struct Inbound {
    pub dialect: Dialect,
    /// What the path says where it says more than the dialect.
    pub addressed: Option<Addressed>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Given to the request at the edge, shown in its answer and in every log line.
    pub request_id: String,
    /// When its first byte was read.
    pub received: Instant,
}

/// A model named by the path, as Gemini's paths do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    pub model: String,
    pub stream: bool,
    /// A stream is a JSON array rather than events.
    pub as_array: bool,
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
    /// A stream is sent as a JSON array.
    pub(crate) as_array: bool,
    /// What becomes of a response of the Responses API.
    pub(crate) keeping: Option<Keeping>,
}

/// The request header that turns losses into refusals for one call.
const STRICT: HeaderName = HeaderName::from_static("x-tollgate-strict");

impl Call {
    pub(crate) fn read(inbound: Inbound) -> Result<Self> {
        let raw = RawObject::parse(inbound.body)?;
        let mut head = read_head(inbound.dialect, &raw)?;
        let mut as_array = false;
        if let Some(addressed) = inbound.addressed {
            head.model = addressed.model;
            head.stream = addressed.stream;
            as_array = addressed.as_array && addressed.stream;
        }
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
            as_array,
            keeping: None,
        })
    }

    /// The request's id without its prefix: what replies are named by when the provider names none.
    pub(crate) fn id_suffix(&self) -> &str {
        self.request_id
            .split_once('_')
            .map_or(&*self.request_id, |(_, id)| id)
    }

    /// The request as the caller wrote it, for a reply that repeats it.
    pub(crate) fn original(&self) -> &RawObject {
        self.keeping
            .as_ref()
            .map_or(&self.raw, |keeping| &keeping.original)
    }

    /// The request as the IR has it.
    pub(crate) fn parse(&self) -> Result<ir::Request> {
        let mut request = parse_request(self.dialect, &self.raw)?;
        // Where the path names them, the body does not.
        request.model.clone_from(&self.head.model);
        request.stream = self.head.stream;
        Ok(request)
    }
}
