//! The caller's own labels of a call, by which reports can be grouped: what a customer, a feature or a row of a
//! table cost.
//!
//! They come in the header `x-tollgate-tags` (`customer=acme, feature=search`), and in the field `metadata` where
//! it is an object of texts, as OpenAI's dialects have it. A tag is never sent on because of the header.

use http::{HeaderMap, HeaderName};
use tollgate_base::{Error, Kind, Result, quote};
use tollgate_dialect::RawObject;

const HEADER: HeaderName = HeaderName::from_static("x-tollgate-tags");

/// As many and as long as OpenAI's `metadata` may be.
const MOST: usize = 16;
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 512;

/// Names and values, by name; the header goes before the body.
pub(crate) fn read(headers: &HeaderMap, raw: Option<&RawObject>) -> Result<Vec<(String, String)>> {
    let mut tags = in_header(headers)?;
    for (name, value) in raw.map(in_body).unwrap_or_default() {
        if tags.len() < MOST
            && is_sound(&name, &value)
            && tags.iter().all(|(known, _)| *known != name)
        {
            tags.push((name, value));
        }
    }
    tags.sort_unstable();
    Ok(tags)
}

fn in_header(headers: &HeaderMap) -> Result<Vec<(String, String)>> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for value in headers.get_all(HEADER) {
        let text = value
            .to_str()
            .map_err(|_| malformed("it holds characters that are not ASCII"))?;
        for pair in text
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()))
                .ok_or_else(|| malformed(&format!("{} has no `=`", quote(pair))))?;
            if !is_sound(name, value) {
                return Err(malformed(&format!(
                    "a name has 1 to {LONGEST_NAME} characters, a value up to {LONGEST_VALUE}"
                )));
            }
            if tags.iter().any(|(known, _)| known == name) {
                return Err(malformed(&format!("{} occurs twice", quote(name))));
            }
            tags.push((name.to_owned(), value.to_owned()));
        }
    }
    if tags.len() > MOST {
        return Err(malformed(&format!("a call has up to {MOST} tags")));
    }
    Ok(tags)
}

/// What is no object of texts is the vendor's business, and no tag.
fn in_body(raw: &RawObject) -> Vec<(String, String)> {
    let metadata: Option<std::collections::BTreeMap<String, serde_json::Value>> = raw
        .get("metadata")
        .and_then(|json| serde_json::from_str(json).ok());
    metadata
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| match value {
            serde_json::Value::String(text) => Some((name, text)),
            _ => None,
        })
        .collect()
}

fn is_sound(name: &str, value: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && value.len() <= LONGEST_VALUE
        && !name.chars().chain(value.chars()).any(char::is_control)
}

fn malformed(what: &str) -> Error {
    let message = format!(
        "The header `{HEADER}` cannot be read: {what}. Write it as `customer=acme, feature=search`."
    );
    Error::new(Kind::InvalidRequest, "invalid_header", message)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    fn tags(header: &'static str, body: &'static str) -> Result<Vec<(String, String)>> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static(header));
        read(
            &headers,
            Some(&RawObject::parse(Bytes::from_static(body.as_bytes()))?),
        )
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn the_header_goes_before_the_metadata() {
        let body = r#"{"metadata":{"customer":"other","row":"7","nested":{"a":1}}}"#;
        assert_eq!(
            tags("feature=search, customer=acme", body).unwrap(),
            owned(&[("customer", "acme"), ("feature", "search"), ("row", "7")])
        );
        assert_eq!(tags("", r#"{"metadata":"text"}"#).unwrap(), []);
    }

    #[test]
    fn a_header_that_cannot_be_read_is_refused() {
        for header in [
            "customer",
            "=acme",
            "a=1,a=2",
            "a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=1,k=2,l=3,m=4,n=5,o=6,p=7,q=8",
        ] {
            assert_eq!(
                tags(header, "{}").unwrap_err().code(),
                "invalid_header",
                "{header}"
            );
        }
    }
}
