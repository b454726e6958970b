//! What bodies may be.

use http::{HeaderMap, header};
use tollgate_base::{Error, Kind, Result};

/// Only plain JSON is read: what a proxy or a browser form may have made of it is refused by name.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<()> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let message = "Compressed request bodies are not read here. Send the JSON as it is.";
        return Err(Error::new(Kind::UnsupportedMedia, "unsupported_encoding", message).closing());
    }
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let (kind, parameters) = media.split_once(';').unwrap_or((media, ""));
    let charset = parameters
        .split(';')
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("charset"))
        .map_or("utf-8", |(_, charset)| charset.trim_matches('"'));
    if kind.trim().eq_ignore_ascii_case("application/json") && charset.eq_ignore_ascii_case("utf-8")
    {
        return Ok(());
    }
    let message =
        "The body must be JSON in UTF-8. Send the header `Content-Type: application/json`.";
    Err(Error::new(Kind::UnsupportedMedia, "unsupported_media_type", message).closing())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn media(fields: &[(&'static str, &'static str)]) -> String {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        check_json(&headers).map_or_else(|error| error.code().to_owned(), |()| "read".to_owned())
    }

    #[test]
    fn h28_only_json_in_utf8_is_read() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert_eq!(media(&[("content-type", good)]), "read", "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json; charset=utf-16",
            "multipart/form-data; boundary=x",
        ] {
            assert_eq!(
                media(&[("content-type", bad)]),
                "unsupported_media_type",
                "{bad}"
            );
        }
        assert_eq!(media(&[]), "unsupported_media_type");
    }

    #[test]
    fn h27_compressed_bodies_are_refused() {
        for encoding in ["gzip", "br", "zstd", "gzip, gzip"] {
            let fields = [
                ("content-type", "application/json"),
                ("content-encoding", encoding),
            ];
            assert_eq!(media(&fields), "unsupported_encoding", "{encoding}");
        }
    }
}
