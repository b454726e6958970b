//! Who makes a request: one reader of credentials for all routes and all three header forms, so that no
//! restriction applies to one of them and not to another.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tollgate_base::{Error, Kind, Result, UnixMillis};
use tollgate_policy::key::{Caller, KeyRing, Role};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Finds the caller of a request that `role` is needed for. `query_key` is the key in the address, where the
/// caller's dialect has it there.
pub(crate) fn authenticate(
    keys: &KeyRing,
    role: Role,
    headers: &HeaderMap,
    query: Option<&str>,
    query_key: Option<&str>,
    now: UnixMillis,
) -> Result<Arc<Caller>> {
    keys.check(presented(headers, query, query_key)?, role, now)
}

/// The one key that a request presents, in whichever header.
fn presented<'h>(
    headers: &'h HeaderMap,
    query: Option<&str>,
    query_key: Option<&'h str>,
) -> Result<&'h str> {
    let mut found = query_key;
    for (name, scheme) in [
        (header::AUTHORIZATION, Scheme::Bearer),
        (X_API_KEY, Scheme::Bare),
        (X_GOOG_API_KEY, Scheme::Bare),
    ] {
        let mut values = headers.get_all(&name).iter();
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            let message = format!("The header `{name}` occurs twice. Send one key, once.");
            return Err(Error::new(
                Kind::InvalidRequest,
                "ambiguous_credentials",
                message,
            ));
        }
        let key = scheme.key(value).ok_or_else(malformed)?;
        if found.is_some_and(|other| other != key) {
            let message = "Two different keys were sent. Send one, in `Authorization: Bearer …` or in `x-api-key`.";
            return Err(Error::new(
                Kind::InvalidRequest,
                "ambiguous_credentials",
                message,
            ));
        }
        found = Some(key);
    }
    found.ok_or_else(|| missing(query))
}

enum Scheme {
    Bearer,
    Bare,
}

impl Scheme {
    fn key<'h>(&self, value: &'h HeaderValue) -> Option<&'h str> {
        let text = value.to_str().ok()?;
        let key = match self {
            Scheme::Bare => text,
            Scheme::Bearer => {
                let (scheme, key) = text.split_once(' ')?;
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return None;
                }
                key
            }
        };
        (!key.is_empty() && !key.starts_with(' ')).then_some(key)
    }
}

fn malformed() -> Error {
    let message = "The key is not readable. Send it as `Authorization: Bearer sk-tg-…` or as `x-api-key: sk-tg-…`.";
    Error::new(Kind::Authentication, "invalid_api_key", message).with_should_retry(false)
}

fn missing(query: Option<&str>) -> Error {
    let in_query = query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair.starts_with("key=") || pair.starts_with("api_key="))
    });
    let message = if in_query {
        "A key in the address ends up in logs and is not read. Send it as `Authorization: Bearer sk-tg-…`."
    } else {
        "No key was sent. Send one as `Authorization: Bearer sk-tg-…` or as `x-api-key: sk-tg-…`."
    };
    Error::new(Kind::Authentication, "missing_api_key", message).with_should_retry(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn outcome(fields: &[(&'static str, &'static str)]) -> String {
        match presented(&headers(fields), None, None) {
            Ok(key) => format!("key {key}"),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn a_key_is_read_from_each_of_the_three_headers() {
        for fields in [
            ("authorization", "Bearer k"),
            ("authorization", "bearer k"),
            ("x-api-key", "k"),
            ("x-goog-api-key", "k"),
        ] {
            assert_eq!(outcome(&[fields]), "key k", "{fields:?}");
        }
    }

    #[test]
    fn c07_two_different_keys_are_refused_and_c08_equal_ones_pass() {
        assert_eq!(
            outcome(&[("authorization", "Bearer a"), ("x-api-key", "b")]),
            "ambiguous_credentials"
        );
        assert_eq!(
            outcome(&[("authorization", "Bearer a"), ("x-api-key", "a")]),
            "key a"
        );
        assert_eq!(
            outcome(&[("authorization", "Bearer a"), ("authorization", "Bearer a")]),
            "ambiguous_credentials"
        );
    }

    #[test]
    fn c02_other_schemes_and_empty_keys_are_no_keys() {
        for value in [
            "Bearer",
            "Bearer ",
            "bearer  x",
            "Basic eDp5",
            "Token x",
            "x",
        ] {
            assert_eq!(
                outcome(&[("authorization", value)]),
                "invalid_api_key",
                "{value}"
            );
        }
        assert_eq!(outcome(&[("x-api-key", "")]), "invalid_api_key");
    }

    #[test]
    fn c10_a_key_in_the_query_gets_a_hint_and_is_not_repeated() {
        let error = presented(&HeaderMap::new(), Some("key=sk-canary"), None).unwrap_err();
        assert_eq!(error.code(), "missing_api_key");
        assert!(error.message().contains("ends up in logs") && !error.message().contains("canary"));
    }
}
