//! Sources of a reply: `annotations` of the kind `url_citation`, whose places are characters of the whole
//! message; and the seal of another vendor on a tool call, in the field that the vendor documents for this
//! dialect: <https://ai.google.dev/gemini-api/docs/thought-signatures>.

use super::wire::Annotation;
use crate::{
    ir::{Citation, Issuer, Signature},
    json::{List, Object},
};

/// The citation that an annotation is; none of another kind. `start` is where the text block begins in the
/// message.
pub(super) fn citation(annotation: &Annotation<'_>, start: u64) -> Option<Citation> {
    let cited = annotation.url_citation.as_ref()?;
    let range = cited.start_index.0.zip(cited.end_index.0);
    let range = range.and_then(|(first, end)| {
        let (first, end) = (first.checked_sub(start)?, end.checked_sub(start)?);
        (first < end).then_some((first, end))
    });
    Some(Citation {
        url: cited.url.filled().map(str::to_owned),
        title: cited.title.filled().map(str::to_owned),
        quote: None,
        range,
    })
}

/// Writes the annotations of a text block that begins at `start` and has `length` characters. A source without
/// an address has no place here.
pub(super) fn put_annotations(
    list: &mut List<'_>,
    citations: &[Citation],
    start: u64,
    length: u64,
) {
    for citation in citations {
        let Some(url) = &citation.url else { continue };
        // A dialect that cites for whole blocks names no place.
        let (first, end) = citation.range.unwrap_or((0, length));
        let mut annotation = list.object();
        annotation.put("type", "url_citation");
        let mut cited = annotation.object("url_citation");
        cited.put("start_index", &start.saturating_add(first));
        cited.put("end_index", &start.saturating_add(end));
        cited.put("url", url);
        cited.put("title", citation.title.as_deref().unwrap_or_default());
    }
}

pub(super) fn length(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// Only this vendor documents a field for it; its own seal is what it checks.
pub(super) fn call_seal(signature: &Signature) -> Option<&str> {
    signature.of(Issuer::Gemini)
}

pub(super) fn put_seal(call: &mut Object<'_>, seal: Option<&str>) {
    if let Some(seal) = seal {
        let mut extra = call.object("extra_content");
        extra.object("google").put("thought_signature", seal);
    }
}
