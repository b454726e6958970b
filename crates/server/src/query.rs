//! The few query parameters that routes take.

use tollgate_base::{Error, Result};
use tollgate_gateway::Page;

/// The page of a list of models.
pub(crate) fn page(query: Option<&str>) -> Result<Page> {
    let mut page = Page::default();
    for pair in query.unwrap_or("").split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "after_id" | "pageToken" => page.after_id = Some(decoded(value)),
            "before_id" => page.before_id = Some(decoded(value)),
            "limit" | "pageSize" => {
                let limit = value.parse().map_err(|_| {
                    Error::invalid_value(
                        "limit",
                        "`limit` must be a whole number between 1 and 1000.",
                    )
                })?;
                page.limit = Some(limit);
            }
            // Clients add parameters of their own (`beta=true`); they change nothing here.
            _ => {}
        }
    }
    Ok(page)
}

/// The first parameter of this name.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    query?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| decoded(value))
}

/// Undoes percent-encoding; what is no UTF-8 afterwards matches no id.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |at: usize| {
            tail.get(at)
                .and_then(|&digit| char::from(digit).to_digit(16))
        };
        if first == b'%'
            && let (Some(high), Some(low)) = (hex(0), hex(1))
        {
            bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_undone_once_and_broken_ones_stay() {
        assert_eq!(decoded("ollama%2Fllama3%3A8b"), "ollama/llama3:8b");
        assert_eq!(decoded("a%2"), "a%2");
        assert_eq!(decoded("%252F"), "%2F");
        assert_eq!(decoded("%ff"), "\u{fffd}");
    }

    #[test]
    fn the_page_is_read_and_a_bad_limit_is_named() {
        let page = page(Some("limit=5&after_id=a%2Fb&beta=true")).unwrap();
        assert_eq!(
            (page.limit, page.after_id.as_deref()),
            (Some(5), Some("a/b"))
        );
        assert_eq!(
            super::page(Some("limit=x")).unwrap_err().param(),
            Some("limit")
        );
    }
}
