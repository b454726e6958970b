//! Where at a provider an operation is: paths with the model in them, ready to be dialled.

use http::{Uri, uri::PathAndQuery};
use tollgate_base::{Error, Result};

/// A path with its query. What differs from user to user is in it already; what differs from call to call
/// is the model.
#[derive(Clone, Debug)]
pub(crate) enum Path {
    Fixed(Uri),
    /// The text before and after the model.
    OfModel(String, String),
}

impl Path {
    /// `None` for a text that is no path.
    pub(crate) fn new(text: &str) -> Option<Self> {
        match text.split_once("{model}") {
            None => uri(text).map(Path::Fixed),
            Some((before, after)) => {
                uri(&format!("{before}m{after}"))?;
                Some(Path::OfModel(before.to_owned(), after.to_owned()))
            }
        }
    }

    /// The path for this model. A name that cannot stand in one is refused.
    pub(crate) fn of(&self, model: &str) -> Result<Uri> {
        match self {
            Path::Fixed(uri) => Ok(uri.clone()),
            // A segment that would lead elsewhere.
            Path::OfModel(..) if matches!(model, "." | "..") => Err(no_segment()),
            Path::OfModel(before, after) => {
                uri(&format!("{before}{}{after}", segment(model))).ok_or_else(no_segment)
            }
        }
    }

    /// A path below this one.
    pub(crate) fn below(&self, rest: &str) -> Option<Uri> {
        match self {
            Path::Fixed(_) if rest.starts_with("/..") => None,
            Path::Fixed(root) => uri(&format!("{root}{rest}")),
            Path::OfModel(..) => None,
        }
    }
}

fn no_segment() -> Error {
    Error::invalid_value("model", "The model's name cannot stand in a path.")
}

fn uri(text: &str) -> Option<Uri> {
    PathAndQuery::try_from(text).ok().map(Uri::from)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// One segment of a path: whatever might be read as more than that is percent-encoded.
pub(crate) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t53_a_model_is_one_segment_whatever_its_name() {
        let path = Path::new("/v1beta/models/{model}:streamGenerateContent?alt=sse").unwrap();
        for (model, wanted) in [
            (
                "gemini-3",
                "/v1beta/models/gemini-3:streamGenerateContent?alt=sse",
            ),
            (
                "a/../b?x=1#y",
                "/v1beta/models/a%2F..%2Fb%3Fx%3D1%23y:streamGenerateContent?alt=sse",
            ),
            (
                "anthropic.claude-v1:0",
                "/v1beta/models/anthropic.claude-v1%3A0:streamGenerateContent?alt=sse",
            ),
        ] {
            assert_eq!(path.of(model).unwrap().to_string(), wanted);
        }
    }

    #[test]
    fn a_fixed_path_is_the_same_for_every_model() {
        let path = Path::new("/v1/files").unwrap();
        assert_eq!(path.of("x").unwrap().to_string(), "/v1/files");
        assert_eq!(
            path.below("/file-1").unwrap().to_string(),
            "/v1/files/file-1"
        );
        assert!(Path::new("no path").is_none());
        assert!(path.below("/..").is_none() && path.below("/../admin").is_none());
        let of_model = Path::new("/deployments/{model}/chat").unwrap();
        assert!(of_model.of("..").is_err());
    }
}
