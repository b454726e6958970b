//! Numbers of a sane length. JSON's grammar lets digits and exponents go on for ever, some models do, and few readers take
//! `1e999999`; so a number in a bound answer has so many digits at most, and so many in its exponent.
//!
//! It only looks at bytes, outside of strings. Where a schema leaves nothing but a longer number, the schema wins.

const MOST_DIGITS: u32 = 30;
const MOST_EXPONENT_DIGITS: u32 = 2;

/// Where an answer stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbers {
    is_in_string: bool,
    is_escaped: bool,
    n_digits: u32,
    is_in_exponent: bool,
}

// === impl Numbers ===

impl Numbers {
    pub(super) fn is_in_string(self) -> bool {
        self.is_in_string
    }

    /// Goes on by these bytes. False where a number among them becomes too long.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let mut is_short = true;
        for byte in bytes {
            is_short &= self.step(*byte);
        }
        is_short
    }

    fn step(&mut self, byte: u8) -> bool {
        if self.is_in_string {
            let ends = byte == b'"' && !self.is_escaped;
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            // No string of JSON has a line break: what looked like one was reasoning.
            self.is_in_string = !ends && byte != b'\n';
            return true;
        }
        match byte {
            b'"' => {
                *self = Numbers {
                    is_in_string: true,
                    ..Numbers::default()
                }
            }
            b'0'..=b'9' => self.n_digits += 1,
            b'e' | b'E' if self.n_digits > 0 => {
                self.is_in_exponent = true;
                self.n_digits = 0;
            }
            b'.' | b'+' | b'-' => {}
            _ => *self = Numbers::default(),
        }
        let most = if self.is_in_exponent {
            MOST_EXPONENT_DIGITS
        } else {
            MOST_DIGITS
        };
        self.n_digits <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_of_strings_have_a_length() {
        let digits = "1".repeat(30);
        for (text, expect) in [
            (format!("{{\"a\": -{digits}, \"b\": {digits}}}"), true),
            (format!("{{\"a\": 1{digits}"), false),
            (format!("[0.{}", &digits[1..]), true),
            (format!("[0.{digits}"), false),
            ("[1e99, 1E-12, true".to_owned(), true),
            ("[1e100".to_owned(), false),
            (format!("[\"1e100 \\\" {digits}{digits}\", 1"), true),
            (format!("so \"\n[{digits}1"), false),
        ] {
            assert_eq!(Numbers::default().push(text.as_bytes()), expect, "{text}");
        }
    }
}
