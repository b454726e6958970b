//! The one error of Tollgate.
//!
//! What went wrong is decided where it is noticed (a [`Kind`] and a code); how it looks on the wire is
//! decided in one table per dialect. An `Error` never holds a credential, an upstream address or a body:
//! its message is written to be shown to the caller.

use std::{borrow::Cow, fmt, time::Duration};

/// A result whose error is Tollgate's own.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, said to the caller. One pointer wide, so that it travels cheaply in results.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: Kind,
    code: Cow<'static, str>,
    message: String,
    param: Option<String>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    close: bool,
}

/// The class of an error. It decides the status, and each dialect's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 400: the request is wrong and will be wrong again.
    InvalidRequest,
    /// 401: no usable key.
    Authentication,
    /// 402: the account behind the provider has no money left.
    Billing,
    /// 403: a good key that may not do this.
    Permission,
    /// 404: no such route, model or object.
    NotFound,
    /// 405: the route exists, the method does not.
    MethodNotAllowed,
    /// 408: the request did not arrive in time.
    RequestTimeout,
    /// 409: another request is in the way.
    Conflict,
    /// 413: the body is larger than allowed.
    TooLarge,
    /// 414: the request target is longer than allowed.
    UriTooLong,
    /// 415: the body is not of a type or encoding that is read here.
    UnsupportedMedia,
    /// 417: an expectation that cannot be met.
    ExpectationFailed,
    /// 421: the request names another host.
    Misdirected,
    /// 422: understood, and it contradicts what was said before.
    Unprocessable,
    /// 428: it must be said which version of the object is meant.
    Precondition,
    /// 429: too much, too fast; waiting helps.
    RateLimit,
    /// 429: a quota is used up; waiting a moment does not help.
    Quota,
    /// 431: the request head is larger than allowed.
    HeadersTooLarge,
    /// 500: a fault of our own.
    Internal,
    /// 501: understood, and not offered.
    NotSupported,
    /// 502: the provider failed, or answered with something that is no answer.
    Upstream,
    /// 503: too busy, or a part that is needed is down.
    Overloaded,
    /// 504: the provider did not answer in time.
    UpstreamTimeout,
}

impl Kind {
    /// The HTTP status of this class of error, before a dialect's own habits.
    pub fn status(self) -> u16 {
        match self {
            Kind::InvalidRequest => 400,
            Kind::Authentication => 401,
            Kind::Billing => 402,
            Kind::Permission => 403,
            Kind::NotFound => 404,
            Kind::MethodNotAllowed => 405,
            Kind::RequestTimeout => 408,
            Kind::Conflict => 409,
            Kind::TooLarge => 413,
            Kind::UriTooLong => 414,
            Kind::UnsupportedMedia => 415,
            Kind::ExpectationFailed => 417,
            Kind::Misdirected => 421,
            Kind::Unprocessable => 422,
            Kind::Precondition => 428,
            Kind::RateLimit | Kind::Quota => 429,
            Kind::HeadersTooLarge => 431,
            Kind::Internal => 500,
            Kind::NotSupported => 501,
            Kind::Upstream => 502,
            Kind::Overloaded => 503,
            Kind::UpstreamTimeout => 504,
        }
    }
}

// === impl Error ===

impl Error {
    /// An error of `kind` with a stable, machine-readable `code` and a message for the caller.
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: code.into(),
            message: message.into(),
            param: None,
            retry_after: None,
            should_retry: None,
            close: false,
        }))
    }

    /// 400 `invalid_value`: the field `param` holds something it must not hold.
    pub fn invalid_value(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, "invalid_value", message).with_param(param)
    }

    /// 400 `missing_field`: the field `param` is needed and absent.
    pub fn missing_field(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("Missing required field `{param}`.");
        Self::new(Kind::InvalidRequest, "missing_field", message).with_param(param)
    }

    /// 400 `unsupported_value`: the field is right, but what stands behind this model cannot do it.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, "unsupported_value", message).with_param(param)
    }

    /// 502 `upstream_invalid`: the provider's answer cannot be understood.
    pub fn upstream_invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Upstream, "upstream_invalid", message)
    }

    /// 500 `internal`: a fault of our own. The message must not describe the inside.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "internal", message)
    }

    /// Names the field that is wrong, as a path such as `messages[2].content`.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// Says how long the caller should wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Tells client libraries whether trying again makes sense (`x-should-retry`).
    #[must_use]
    pub fn with_should_retry(mut self, yes: bool) -> Self {
        self.0.should_retry = Some(yes);
        self
    }

    /// Marks the connection as unusable after this error: what follows on it cannot be framed.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.close = true;
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn code(&self) -> &str {
        &self.0.code
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    pub fn should_retry(&self) -> Option<bool> {
        self.0.should_retry
    }

    /// Whether the connection must be closed after this error.
    pub fn closes(&self) -> bool {
        self.0.close
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind)
            .field("code", &self.0.code)
            .field("message", &self.0.message);
        if let Some(param) = &self.0.param {
            out.field("param", param);
        }
        out.finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// Quotes at most 64 bytes of a caller's input for a message, escaped so that it cannot break a log line.
pub fn quote(input: &str) -> String {
    const LIMIT: usize = 64;
    let mut out = String::with_capacity(LIMIT + 8);
    out.push('`');
    for c in input.chars() {
        let before = out.len();
        out.extend(c.escape_default().take(if c.is_ascii() { 8 } else { 0 }));
        if !c.is_ascii() {
            if c.is_control() {
                out.extend(c.escape_unicode());
            } else {
                out.push(c);
            }
        }
        if out.len() > LIMIT {
            out.truncate(before);
            out.push('…');
            break;
        }
    }
    out.push('`');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_with_our_error_stays_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn quoting_escapes_control_characters_and_stops_at_the_limit() {
        assert_eq!(quote("gpt-4\r\nX: y"), "`gpt-4\\r\\nX: y`");
        let long = quote(&"ä".repeat(1000));
        assert!(long.len() < 80 && long.ends_with("…`"), "{long}");
        assert_eq!(quote("\u{202e}x\u{85}"), "`\u{202e}x\\u{85}`");
    }
}
