//! How likely the tokens of a reply's text were, and what else the model thought of.

/// What vendors write for a token that is too unlikely to be told (OpenAI's reference of `logprob`).
pub(crate) const UNLIKELY: f64 = -9_999.0;

/// A token of a reply's text, or one that could have stood in its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenLogprob {
    /// The token as text. A part of a character is shown by the replacement character.
    pub token: String,
    /// What the token adds to the text; `None` for one that adds nothing that can be written, such as the mark
    /// at the end of a turn.
    pub bytes: Option<Vec<u8>>,
    /// Its number in the model's vocabulary, where it is said.
    pub id: Option<u32>,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// The most likely tokens at this place, most likely first; the token itself may be among them. Their own
    /// lists are empty.
    pub top: Vec<TokenLogprob>,
}

// === impl TokenLogprob ===

impl TokenLogprob {
    /// A token that is known by its bytes.
    pub fn of_bytes(id: u32, bytes: Vec<u8>, logprob: f64) -> Self {
        Self {
            token: String::from_utf8_lossy(&bytes).into_owned(),
            bytes: Some(bytes),
            id: Some(id),
            logprob,
            top: Vec::new(),
        }
    }

    /// A token that is known by its text.
    pub(crate) fn of_text(token: String, logprob: f64) -> Self {
        Self {
            bytes: Some(token.as_bytes().to_vec()),
            token,
            logprob,
            ..Self::default()
        }
    }

    /// The log-probability as JSON can write it: no token at all is infinitely unlikely there.
    pub(crate) fn finite(&self) -> f64 {
        if self.logprob.is_finite() {
            self.logprob
        } else {
            UNLIKELY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_half_a_character_keeps_its_bytes_and_shows_that_they_are_no_text() {
        let half = TokenLogprob::of_bytes(7, vec![0xf0, 0x9f], f64::NEG_INFINITY);
        assert_eq!(half.token, "\u{fffd}");
        assert_eq!(half.bytes.as_deref(), Some(&[0xf0, 0x9f][..]));
        assert!((half.finite() - UNLIKELY).abs() < f64::EPSILON);
    }
}
