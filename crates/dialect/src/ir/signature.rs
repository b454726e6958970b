//! The vendor's seal on a piece of reasoning, and how it travels through a dialect that is not its own.
//!
//! A vendor takes back only what it sealed itself. A caller of another dialect is given the seal in an
//! envelope that names its issuer, sends it back as it is, and the next turn finds out from the envelope
//! whether the provider at hand may see it. Nothing is kept here for that.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::Part;

/// Who sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Issuer {
    /// The `signature` of a thinking block.
    Anthropic,
    /// The `encrypted_content` of a reasoning item.
    OpenAi,
    /// The `thoughtSignature` of a part: base64, as it stands on the wire. It belongs to the part that
    /// follows the reasoning (a call, or text).
    Gemini,
}

/// An opaque proof that reasoning is the vendor's own, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub issuer: Issuer,
    pub data: String,
}

const ENVELOPE: &str = "tollgate.";
const REDACTED: &str = "anthropic-redacted";

impl Issuer {
    fn name(self) -> &'static str {
        match self {
            Issuer::Anthropic => "anthropic",
            Issuer::OpenAi => "openai",
            Issuer::Gemini => "gemini",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Issuer::Anthropic, Issuer::OpenAi, Issuer::Gemini]
            .into_iter()
            .find(|issuer| issuer.name() == name)
    }
}

impl Signature {
    pub(crate) fn new(issuer: Issuer, data: impl Into<String>) -> Self {
        Self {
            issuer,
            data: data.into(),
        }
    }

    /// What stands in a field of the `own` dialect: the seal as it is, or in its envelope.
    pub(crate) fn written_for(&self, own: Issuer) -> Cow<'_, str> {
        if self.issuer == own {
            Cow::Borrowed(&self.data)
        } else {
            Cow::Owned(enclosed(own, self.issuer.name(), &self.data))
        }
    }

    /// The seal, when this vendor issued it.
    pub(crate) fn of(&self, issuer: Issuer) -> Option<&str> {
        (self.issuer == issuer).then_some(&self.data)
    }
}

/// Reasoning that its vendor encrypted whole, for a field of another dialect.
pub(crate) fn redacted_for(own: Issuer, data: &str) -> String {
    enclosed(own, REDACTED, data)
}

/// The part that a reasoning text and the seal in a field of the `own` dialect are.
pub(crate) fn sealed_reasoning(own: Issuer, text: String, seal: Option<&str>) -> Part {
    let Some(seal) = seal.filter(|seal| !seal.is_empty()) else {
        return Part::Reasoning {
            text,
            signature: None,
        };
    };
    let opened = opened(own, seal);
    let enclosed = opened
        .strip_prefix(ENVELOPE)
        .and_then(|inner| inner.split_once('.'));
    match enclosed {
        Some((REDACTED, data)) => Part::RedactedReasoning {
            data: data.to_owned(),
        },
        Some((name, data)) if let Some(issuer) = Issuer::from_name(name) => Part::Reasoning {
            text,
            signature: Some(Signature::new(issuer, data)),
        },
        _ => Part::Reasoning {
            text,
            signature: Some(Signature::new(own, seal)),
        },
    }
}

/// Gemini's field must be base64, so that the envelope is, too.
fn enclosed(own: Issuer, name: &str, data: &str) -> String {
    let envelope = format!("{ENVELOPE}{name}.{data}");
    match own {
        Issuer::Gemini => STANDARD.encode(envelope),
        Issuer::Anthropic | Issuer::OpenAi => envelope,
    }
}

fn opened(own: Issuer, seal: &str) -> Cow<'_, str> {
    let decoded = (own == Issuer::Gemini)
        .then(|| STANDARD.decode(seal).ok())
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map_or(Cow::Borrowed(seal), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUERS: [Issuer; 3] = [Issuer::Anthropic, Issuer::OpenAi, Issuer::Gemini];

    #[test]
    fn a_seal_comes_back_whole_through_every_dialect() {
        for issuer in ISSUERS {
            for own in ISSUERS {
                let signature = Signature::new(issuer, "EqQB.CkYI+/=");
                let written = signature.written_for(own).into_owned();
                let part = sealed_reasoning(own, "so".to_owned(), Some(&written));
                let Part::Reasoning {
                    text,
                    signature: Some(back),
                } = part
                else {
                    panic!("{issuer:?} through {own:?}");
                };
                assert_eq!((text.as_str(), back), ("so", signature), "through {own:?}");
            }
        }
    }

    #[test]
    fn redacted_reasoning_comes_back_redacted() {
        for own in ISSUERS {
            let written = redacted_for(own, "Emw.x==");
            let part = sealed_reasoning(own, String::new(), Some(&written));
            assert!(
                matches!(&part, Part::RedactedReasoning { data } if data == "Emw.x=="),
                "{part:?}"
            );
        }
    }

    #[test]
    fn only_the_issuer_may_see_a_seal() {
        let signature = Signature::new(Issuer::Gemini, "x");
        assert_eq!(signature.of(Issuer::Gemini), Some("x"));
        assert_eq!(signature.of(Issuer::Anthropic), None);
    }
}
