//! The text of a key: how it is made and read, and the digest that is stored in its place.
//!
//! A key is `sk-tg-` (or `sk-tga-` for administration), 30 random base62 characters (178 bits) and a
//! 6-character checksum, the CRC-32 of the 30 characters in base62. The checksum lets a secret scanner match
//! keys exactly and lets a mistyped key be refused without a look into the store (the form follows GitHub's
//! token format). Only the SHA-256 of the whole key is stored: a plain hash is fine for a secret of this
//! length (OWASP ASVS 5.0, 6.5.2).

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tollgate_base::{Error, Result, Secret, base62};

use super::Role;

const RANDOM_LENGTH: usize = 30;
const CHECKSUM_LENGTH: usize = 6;

/// A key of the right form. Whether it is known is the store's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    text: Secret,
    role: Role,
}

/// The SHA-256 of a whole key: what is stored, and what is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

// === impl Token ===

impl Token {
    /// How long the part of a key after its prefix is.
    pub const BODY_LENGTH: usize = RANDOM_LENGTH + CHECKSUM_LENGTH;

    /// A new key from the operating system's randomness.
    pub fn generate(role: Role) -> Result<Self> {
        let mut random = String::with_capacity(RANDOM_LENGTH);
        while random.len() < RANDOM_LENGTH {
            let mut byte = [0];
            getrandom::fill(&mut byte).map_err(|_| {
                Error::internal("The operating system gave no randomness for a new key.")
            })?;
            // 248 is the largest multiple of 62 in a byte: what lies above would favour some letters.
            if byte[0] < 248 {
                base62(u128::from(byte[0] % 62), 1, &mut random);
            }
        }
        let text = format!("{}{random}{}", role.prefix(), checksum(&random));
        Ok(Self {
            text: Secret::new(text),
            role,
        })
    }

    /// Reads a key. `None` when it has not our form: wrong prefix, length, alphabet or checksum.
    pub fn parse(text: &str) -> Option<Self> {
        let role = [Role::Model, Role::Admin]
            .into_iter()
            .find(|role| text.starts_with(role.prefix()))?;
        let rest = &text.as_bytes()[role.prefix().len()..];
        if rest.len() != Self::BODY_LENGTH || !rest.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let (random, sum) = text[role.prefix().len()..].split_at(RANDOM_LENGTH);
        (checksum(random) == sum).then(|| Self {
            text: Secret::new(text),
            role,
        })
    }

    pub fn role(&self) -> Role {
        self.role
    }

    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.text.expose().as_bytes()).into())
    }

    pub fn secret(&self) -> &Secret {
        &self.text
    }

    /// The last four characters, by which people tell keys apart.
    pub fn last_four(&self) -> String {
        let text = self.text.expose();
        text[text.len() - 4..].to_owned()
    }
}

fn checksum(random: &str) -> String {
    let mut out = String::with_capacity(CHECKSUM_LENGTH);
    base62(
        u128::from(crc32fast::hash(random.as_bytes())),
        CHECKSUM_LENGTH,
        &mut out,
    );
    out
}

// === impl Digest ===

impl Digest {
    /// Whether two digests are equal, in a time that does not depend on where they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut out, b| {
            // Writing to a string does not fail.
            let _written = write!(out, "{b:02x}");
            out
        })
    }

    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut out = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (hex_digit(pair[0])?, hex_digit(pair[1])?);
            *byte = high << 4 | low;
        }
        Some(Self(out))
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_generated_key_has_the_documented_form_and_reads_back() {
        for role in [Role::Model, Role::Admin] {
            let token = Token::generate(role).unwrap();
            assert_eq!(token.secret().expose().len(), role.prefix().len() + 36);
            assert_eq!(Token::parse(token.secret().expose()), Some(token));
        }
    }

    #[test]
    fn one_wrong_letter_anywhere_breaks_the_checksum() {
        let token = Token::generate(Role::Model).unwrap();
        let good = token.secret().expose();
        for at in "sk-tg-".len()..good.len() {
            let mut bad = good.to_owned().into_bytes();
            bad[at] = if bad[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(
                Token::parse(std::str::from_utf8(&bad).unwrap()),
                None,
                "at {at}"
            );
        }
    }

    #[test]
    fn a_digest_reads_back_from_its_digits_and_prints_none() {
        let digest = Token::generate(Role::Model).unwrap().digest();
        assert_eq!(Digest::from_hex(&digest.to_hex()), Some(digest));
        for bad in ["", "zz", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(Digest::from_hex(bad), None, "{bad}");
        }
        assert_eq!(format!("{digest:?}"), "Digest(…)");
    }

    proptest! {
        #[test]
        fn no_text_that_was_not_generated_reads_as_a_key(text in "(sk-tg-|sk-tga-|sk-|)[ -~é]{0,60}") {
            prop_assert!(Token::parse(&text).is_none());
        }
    }
}
