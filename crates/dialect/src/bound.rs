//! The most tokens that a request's input can have, found without a tokenizer: what is reserved before a call
//! is counted. What is counted is another file's subject.

use tollgate_base::Result;

use crate::{Dialect, RawObject, countable, gemini::fields::top};

/// The most that one piece of media is taken for in a bound: the largest budget that a vendor publishes for
/// an image (digest section 17). A document of many pages may have more.
const MEDIA_BOUND: u64 = 10_000;

/// More tokens than the input of this body has, but for documents of many pages: one for each byte of text,
/// and a fixed number for each piece of media. A body without media is only crossed for its strings; one
/// with media is taken apart, so that nobody hides text under a name that media have elsewhere.
pub fn input_bound(dialect: Dialect, raw: &RawObject) -> Result<u64> {
    /// Roles, separators and what else a provider puts around a text.
    const FRAME: u64 = 32;
    let Some(pieces) = far_media(raw.bytes()) else {
        let counted = countable(dialect, raw)?;
        let pieces = (counted.images.len() + counted.media.len()) as u64;
        let frames = (counted.messages.len() + counted.texts.len() + 1) as u64;
        // Whole tools: they hold more than what is counted of them.
        let tools = top(raw, "tools").map_or(0, |tools| tools.text().len() as u64);
        let functions = raw.get("functions").map_or(0, |text| text.len() as u64);
        return Ok([frames.saturating_mul(FRAME), tools, functions]
            .into_iter()
            .chain([counted.tokens, pieces.saturating_mul(MEDIA_BOUND)])
            .fold(counted.text_bytes(), u64::saturating_add));
    };
    let bytes = raw.bytes().len() as u64;
    Ok(bytes.saturating_add(pieces.saturating_mul(MEDIA_BOUND)))
}

/// How many media are named by their address; `None` where some are in the body itself.
fn far_media(body: &[u8]) -> Option<u64> {
    let (mut media, mut at) = (0_u64, 0);
    let mut key: &[u8] = b"";
    while let Some(open) = memchr::memchr(b'"', body.get(at..).unwrap_or_default()) {
        let start = at + open + 1;
        let end = string_end(body, start);
        let text = body.get(start..end).unwrap_or_default();
        at = end + 1;
        let rest = body.get(at..).unwrap_or_default();
        let next = rest.iter().find(|b| !b.is_ascii_whitespace());
        if next == Some(&b':') {
            key = text;
        } else if is_media(key, text) {
            if key == b"data" || key == b"file_data" || text.starts_with(b"data:") {
                return None;
            }
            media += 1;
        }
    }
    Some(media)
}

/// The names that the dialects have for media and for the address of media. A body without any of them, each in
/// its quotes, is bound by its own length.
pub(crate) const MEDIA_NAMES: [&str; 8] = [
    "data",
    "image_url",
    "url",
    "file_data",
    "file_url",
    "file_id",
    "fileUri",
    "file_uri",
];

/// Whether a string is media, or the address of it, by its name. A short text under one of these names costs
/// nothing to be taken for a text.
fn is_media(key: &[u8], text: &[u8]) -> bool {
    let is_named = MEDIA_NAMES.iter().any(|name| name.as_bytes() == key);
    is_named && !text.contains(&b' ') && (key != b"data" || text.len() > 64)
}

/// Where the string that begins here ends.
fn string_end(body: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(found) = memchr::memchr2(b'"', b'\\', body.get(at..).unwrap_or_default()) {
        at += found;
        if body.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    body.len()
}
