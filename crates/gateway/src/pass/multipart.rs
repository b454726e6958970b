//! Finds the field `model` of a multipart form while the form streams by (RFC 7578, RFC 2046 section 5.1).

use std::ops::Range;

use memchr::memmem;
use tollgate_base::{Error, Result};

/// More headers than any client writes before a part.
const MAX_HEADERS: usize = 16 * 1024;
/// Longer than any model's name.
const MAX_MODEL: usize = 1024;

/// Reads a form as it comes, until it knows the model.
#[derive(Debug)]
pub(crate) struct ModelField {
    delimiter: Vec<u8>,
    /// Bytes that are not decided yet.
    held: Vec<u8>,
    /// Where in the form `held` begins. The form is thought to begin with a line end, as every delimiter does.
    at: i64,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Inside of a part that is not the model, or before the first.
    Content,
    AfterDelimiter,
    Headers,
    Model,
    Known(Option<Model>),
}

/// The model that a form names, and the bytes of the form that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) place: Range<u64>,
}

impl ModelField {
    /// A reader for the form of this `Content-Type`.
    pub(crate) fn of(content_type: &str) -> Result<Self> {
        let boundary = content_type
            .split(';')
            .skip(1)
            .filter_map(|parameter| parameter.trim().split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("boundary"))
            .map(|(_, value)| value.trim_matches('"'))
            .filter(|boundary| (1..=70).contains(&boundary.len()))
            .ok_or_else(|| {
                Error::invalid_value(
                    "content-type",
                    "The form has no boundary. Let your HTTP library write the header `Content-Type`.",
                )
            })?;
        Ok(Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            held: b"\r\n".to_vec(),
            at: -2,
            state: State::Content,
        })
    }

    /// Whether the form's end, or the model, was seen: then what follows need not be read for it.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self.state, State::Known(_))
    }

    /// The model, as far as it was seen.
    pub(crate) fn into_model(self) -> Option<Model> {
        match self.state {
            State::Known(model) => model,
            _ => None,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.is_known() {
            return Ok(());
        }
        self.held.extend_from_slice(bytes);
        while self.step()? {}
        Ok(())
    }

    /// One decision; `false` when it needs more bytes, or none are needed.
    fn step(&mut self) -> Result<bool> {
        match self.state {
            State::Content => {
                if let Some(found) = memmem::find(&self.held, &self.delimiter) {
                    self.consume(found + self.delimiter.len());
                    self.state = State::AfterDelimiter;
                    return Ok(true);
                }
                let kept = self.held.len().min(self.delimiter.len() - 1);
                self.consume(self.held.len() - kept);
            }
            State::AfterDelimiter => {
                if self.held.starts_with(b"--") {
                    self.state = State::Known(None);
                } else if let Some(line_end) = memmem::find(&self.held, b"\r\n") {
                    // The line end stays: the headers may be none.
                    self.consume(line_end);
                    self.state = State::Headers;
                    return Ok(true);
                }
            }
            State::Headers => {
                if let Some(end) = memmem::find(&self.held, b"\r\n\r\n") {
                    let is_model = names_model(&self.held[..end]);
                    // For a part without content the line end belongs to the delimiter, too.
                    self.consume(end + 4);
                    self.state = if is_model {
                        State::Model
                    } else {
                        State::Content
                    };
                    return Ok(true);
                }
                if self.held.len() > MAX_HEADERS {
                    return Err(malformed("The headers of a part of the form do not end."));
                }
            }
            State::Model => {
                if let Some(end) = memmem::find(&self.held, &self.delimiter) {
                    let name = std::str::from_utf8(&self.held[..end])
                        .map_err(|_| malformed("The field `model` is not UTF-8 text."))?;
                    let start = u64::try_from(self.at).unwrap_or_default();
                    self.state = State::Known(Some(Model {
                        name: name.to_owned(),
                        place: start..start + end as u64,
                    }));
                } else if self.held.len() > MAX_MODEL + self.delimiter.len() {
                    return Err(malformed(
                        "The field `model` is too long to be a model's name.",
                    ));
                }
            }
            State::Known(_) => {}
        }
        Ok(false)
    }

    fn consume(&mut self, n: usize) {
        self.held.drain(..n);
        self.at += i64::try_from(n).unwrap_or(i64::MAX);
    }
}

/// Whether these headers are those of the plain field `model`.
fn names_model(headers: &[u8]) -> bool {
    let Ok(headers) = std::str::from_utf8(headers) else {
        return false;
    };
    headers.split("\r\n").any(|line| {
        let Some((name, value)) = line.split_once(':') else {
            return false;
        };
        let mut parameters = value.split(';').map(str::trim);
        name.trim().eq_ignore_ascii_case("content-disposition")
            && parameters
                .next()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("form-data"))
            && parameters.any(|parameter| {
                parameter.split_once('=').is_some_and(|(name, value)| {
                    name.trim().eq_ignore_ascii_case("name")
                        && value.trim().trim_matches('"') == "model"
                })
            })
    })
}

fn malformed(message: &str) -> Error {
    Error::invalid_value("model", message)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"xYz\"";

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut out = String::new();
        for (disposition, content) in parts {
            write!(
                out,
                "--xYz\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n"
            )
            .unwrap();
        }
        (out + "--xYz--\r\n").into_bytes()
    }

    fn read(form: &[u8], piece: usize) -> Option<Model> {
        let mut field = ModelField::of(TYPE).unwrap();
        for bytes in form.chunks(piece) {
            field.push(bytes).unwrap();
        }
        assert!(field.is_known(), "the form has ended");
        field.into_model()
    }

    #[test]
    fn the_model_is_found_wherever_it_stands_and_however_the_bytes_are_cut() {
        let file = (
            "name=\"file\"; filename=\"model\"",
            "RIFF\r\n--xY\r\n\r\nname=\"model\"",
        );
        let model = ("name=\"model\"", "openai/whisper-1");
        for parts in [
            vec![model, file],
            vec![file, model],
            vec![("name=\"empty\"", ""), file, model, file],
        ] {
            let form = form(&parts);
            for piece in 1..=form.len() {
                let found = read(&form, piece).expect("the form names a model");
                assert_eq!(found.name, "openai/whisper-1");
                let start = usize::try_from(found.place.start).unwrap();
                let end = usize::try_from(found.place.end).unwrap();
                assert_eq!(
                    &form[start..end],
                    b"openai/whisper-1",
                    "in pieces of {piece}"
                );
            }
        }
    }

    #[test]
    fn a_form_without_a_model_says_so_at_its_end() {
        let form = form(&[
            ("name=\"file\"; filename=\"a\"", "model"),
            ("name=\"models\"", "x"),
        ]);
        assert_eq!(read(&form, 7), None);
    }

    #[test]
    fn a_form_that_cannot_be_read_is_refused() {
        for bad in ["multipart/form-data", "multipart/form-data; boundary="] {
            assert!(ModelField::of(bad).is_err(), "{bad}");
        }
        let mut field = ModelField::of(TYPE).unwrap();
        let endless = format!("--xYz\r\nx: {}", "y".repeat(MAX_HEADERS));
        assert!(field.push(endless.as_bytes()).is_err());
        let mut field = ModelField::of(TYPE).unwrap();
        let long = form(&[("name=\"model\"", &"m".repeat(MAX_MODEL * 2))]);
        assert!(field.push(&long[..MAX_MODEL + 200]).is_err());
    }
}
