//! What a provider's error means, whichever of the many forms it came in. The names that only one dialect
//! uses stand in that dialect's own table.

mod redact;
mod retry_after;
mod said;

use tollgate_base::{Error, Kind};

pub(crate) use redact::redact;
pub use retry_after::parse_retry_after;
pub(crate) use retry_after::seconds as parse_seconds;
use said::Said;

/// The class that one dialect gives an error of this `type`.
pub(crate) type KindOfType = fn(&str) -> Option<Kind>;

/// Reads an error reply. A `status` of 200 stands for an error inside of a reply that began well: its class
/// is what its `type` says.
pub(crate) fn parse(
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    kind_of_type: KindOfType,
) -> Error {
    let said = Said::read(body);
    let error = if said.is_context_overflow() && matches!(status, 200 | 400 | 413 | 422 | 500) {
        plain(
            Kind::InvalidRequest,
            "context_length_exceeded",
            &said,
            status,
        )
    } else if said.is_out_of_quota() {
        plain(Kind::Quota, "insufficient_quota", &said, status).with_should_retry(false)
    } else {
        let by_type = || said.kind.as_deref().and_then(kind_of_type);
        let kind = if said.is_out_of_credit() {
            Kind::Billing
        } else if status >= 400 {
            kind_of_status(status)
        } else {
            by_type().unwrap_or(Kind::Upstream)
        };
        by_kind(kind, &said, status)
    };
    match retry_after.and_then(retry_after::seconds) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

fn kind_of_status(status: u16) -> Kind {
    match status {
        401 => Kind::Authentication,
        402 => Kind::Billing,
        403 => Kind::Permission,
        404 => Kind::NotFound,
        408 | 504 | 522 | 524 => Kind::UpstreamTimeout,
        409 => Kind::Conflict,
        413 => Kind::TooLarge,
        415 => Kind::UnsupportedMedia,
        429 => Kind::RateLimit,
        501 => Kind::NotSupported,
        503 | 529 => Kind::Overloaded,
        // These say that the gateway asked wrongly, not that the caller did.
        405 | 407 | 421 | 426 => Kind::Upstream,
        400..=499 => Kind::InvalidRequest,
        _ => Kind::Upstream,
    }
}

fn by_kind(kind: Kind, said: &Said, status: u16) -> Error {
    match kind {
        Kind::Authentication => {
            // The text may quote the key, so none of it is shown.
            Error::new(
                Kind::Upstream,
                "upstream_auth",
                "The provider refused the gateway's key.",
            )
            .with_should_retry(false)
        }
        Kind::Permission => {
            let message = match said.message() {
                Some(text) => format!("The provider refused the gateway access: {text}"),
                None => "The provider refused the gateway access.".to_owned(),
            };
            Error::new(Kind::Upstream, "upstream_auth", message).with_should_retry(false)
        }
        Kind::Billing => plain(kind, "insufficient_quota", said, status).with_should_retry(false),
        Kind::NotFound => {
            let code = if said.is_about_a_model() {
                "model_not_found"
            } else {
                "not_found"
            };
            plain(kind, code, said, status)
        }
        Kind::Conflict => plain(kind, "conflict", said, status),
        Kind::TooLarge => plain(kind, "request_too_large", said, status),
        Kind::UnsupportedMedia => plain(kind, "unsupported_media_type", said, status),
        Kind::RateLimit => plain(kind, "rate_limit_exceeded", said, status),
        Kind::NotSupported => plain(kind, "not_supported", said, status),
        Kind::Overloaded => plain(kind, "overloaded", said, status),
        Kind::UpstreamTimeout => plain(kind, "upstream_timeout", said, status),
        Kind::InvalidRequest => {
            let code = said.code().unwrap_or_else(|| "invalid_request".to_owned());
            let error = Error::new(kind, code, said.message_or_default(status));
            match said.param() {
                Some(param) => error.with_param(param),
                None => error,
            }
        }
        _ => plain(Kind::Upstream, "upstream_error", said, status),
    }
}

fn plain(kind: Kind, code: &'static str, said: &Said, status: u16) -> Error {
    let error = Error::new(kind, code, said.message_or_default(status));
    match said.param() {
        Some(param) if kind == Kind::InvalidRequest => error.with_param(param),
        _ => error,
    }
}
