//! JSON text by hand, in the vendors' own order of fields.
//!
//! Replies are written as text, not through `serde_json::Value`, because a map would sort the keys and a
//! reader that peeks at the first field (`id`, `type`) must meet them where the vendor puts them.

/// `text` as a JSON string, quotes included.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A quoted string, or `null`.
pub(crate) fn quote_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), quote)
}
