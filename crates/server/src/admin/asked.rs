//! What a request asks for, as far as its head says it: parameters, the version that is meant, who asks.

use bytes::Bytes;
use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use tollgate_accounts::{Act, Actor};
use tollgate_api::{Field, Kind as FieldKind, Route, Timestamp};
use tollgate_base::{Error, Kind, Result, UnixMillis, quote};

use super::idempotency::IdempotencyKey;
use crate::query;

/// How many a page has when nothing is said.
const PAGE_SIZE: u64 = 100;
/// The longest text of an idempotency key.
const MAX_IDEMPOTENCY_KEY: usize = 255;

#[derive(Debug)]
pub(super) struct Asked {
    pub(super) actor: Actor,
    pub(super) now: UnixMillis,
    /// What the path names.
    pub(super) id: String,
    pub(super) body: Bytes,
    version: Option<u64>,
    /// Parameters, each known to the route, checked, and there once.
    parameters: Vec<(&'static str, String)>,
}

impl Asked {
    pub(super) fn read(
        route: &Route,
        id: &str,
        (query, headers): (Option<&str>, &HeaderMap),
        actor: Actor,
        now: UnixMillis,
    ) -> Result<Self> {
        let version = version(headers)?;
        if route.needs_version() && !headers.contains_key(header::IF_MATCH) {
            let message = "Send the `ETag` of the object as you read it in the header `If-Match`.";
            return Err(Error::new(Kind::Precondition, "if_match_required", message));
        }
        Ok(Self {
            actor,
            now,
            id: query::decoded(id),
            body: Bytes::new(),
            version,
            parameters: parameters(route.query, query)?,
        })
    }

    /// The action, on the version that was meant.
    pub(super) fn act(&self) -> Act<'_> {
        Act {
            actor: &self.actor,
            at: self.now,
            version: self.version,
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.parameter(name).map(str::to_owned)
    }

    pub(super) fn time(&self, name: &str) -> Option<UnixMillis> {
        Some(Timestamp::parse(self.parameter(name)?)?.0)
    }

    pub(super) fn page_size(&self) -> usize {
        let said = self
            .parameter("page_size")
            .and_then(|size| size.parse().ok());
        usize::try_from(said.unwrap_or(PAGE_SIZE)).unwrap_or(usize::MAX)
    }

    /// `after` where it is a number.
    pub(super) fn after_number(&self) -> Result<Option<u64>> {
        let read = |text: &str| {
            text.parse().map_err(|_| {
                Error::invalid_value("after", "`after` must be the `next` of the page before.")
            })
        };
        self.parameter("after").map(read).transpose()
    }

    /// Refuses a body where the action takes none.
    pub(super) fn has_no_body(&self) -> Result<()> {
        if self.body.trim_ascii().is_empty() || self.body.trim_ascii() == b"{}" {
            return Ok(());
        }
        let message = "This takes no body.";
        Err(Error::new(Kind::InvalidRequest, "unknown_field", message))
    }

    pub(super) fn wants_csv(&self) -> bool {
        self.parameter("format") == Some("csv")
    }

    /// What makes this request the same as another one.
    pub(super) fn idempotency(
        &self,
        route: &Route,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Option<IdempotencyKey>> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next().filter(|_| route.method == "POST") else {
            return Ok(None);
        };
        let text = value.to_str().ok().filter(|text| {
            !text.is_empty() && text.len() <= MAX_IDEMPOTENCY_KEY && values.next().is_none()
        });
        let Some(text) = text else {
            let message = "`Idempotency-Key` must be one text of 1 to 255 visible characters.";
            return Err(Error::new(Kind::InvalidRequest, "invalid_header", message));
        };
        let mut request = Sha256::new();
        request.update(path.as_bytes());
        request.update([0]);
        request.update(self.version.unwrap_or_default().to_be_bytes());
        request.update(&self.body);
        Ok(Some(IdempotencyKey {
            actor: self.actor.name.clone(),
            text: text.to_owned(),
            request: request.finalize().into(),
        }))
    }
}

/// The version in `If-Match`; `None` for any.
fn version(headers: &HeaderMap) -> Result<Option<u64>> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" && values.next().is_none() {
        return Ok(None);
    }
    let number = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|text| text.parse().ok());
    if number.is_none() || values.next().is_some() {
        let message = "`If-Match` must be one `ETag` as it was given, such as \"12\" with its quotes, or `*`.";
        return Err(Error::new(Kind::InvalidRequest, "invalid_header", message));
    }
    Ok(number)
}

fn parameters(known: &[Field], query: Option<&str>) -> Result<Vec<(&'static str, String)>> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    for pair in query
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = query::decoded(name);
        let Some(field) = known.iter().find(|field| field.name == name) else {
            let message = format!("There is no parameter {}.", quote(&name));
            let error = Error::new(Kind::InvalidRequest, "unknown_field", message);
            return Err(error.with_param(quote(&name).trim_matches('`')));
        };
        let value = query::decoded(&value.replace('+', " "));
        check(field, &value)?;
        if found.iter().any(|(other, _)| *other == field.name) {
            let message = format!("The parameter `{}` stands there twice.", field.name);
            let error = Error::new(Kind::InvalidRequest, "duplicate_field", message);
            return Err(error.with_param(field.name));
        }
        found.push((field.name, value));
    }
    Ok(found)
}

fn check(field: &Field, value: &str) -> Result<()> {
    let rule = match field.kind {
        FieldKind::Word(words) if !words.contains(&value) => {
            format!("must be one of {}", words.join(", "))
        }
        FieldKind::Whole(from, to)
            if !value
                .parse()
                .is_ok_and(|number: u64| (from..=to).contains(&number)) =>
        {
            format!("must be a whole number from {from} to {to}")
        }
        FieldKind::Time if Timestamp::parse(value).is_none() => {
            "must be a time such as 2026-11-21T09:30:00Z".to_owned()
        }
        _ if value.is_empty() => "must not be empty".to_owned(),
        _ => return Ok(()),
    };
    Err(Error::invalid_value(
        field.name,
        format!("`{}` {rule}.", field.name),
    ))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn if_match(values: &[&'static str]) -> Result<Option<u64>, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_static(value));
        }
        version(&headers).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn p07_a_version_is_one_strong_tag() {
        assert_eq!(if_match(&["\"12\""]), Ok(Some(12)));
        assert_eq!(if_match(&["*"]), Ok(None));
        assert_eq!(if_match(&[]), Ok(None));
        for bad in [
            &["12"][..],
            &["W/\"12\""],
            &["\"1\", \"2\""],
            &["\"x\""],
            &["\"1\"", "\"2\""],
            &["*", "*"],
            &[""],
        ] {
            assert_eq!(if_match(bad), Err("invalid_header".to_owned()), "{bad:?}");
        }
    }
}
