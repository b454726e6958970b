//! Virtual keys: their form, what is stored of them, and who a request comes from.
//!
//! A key is `sk-tg-` (or `sk-tga-` for administration), 30 random base62 characters (178 bits) and a
//! 6-character checksum, the CRC-32 of the 30 characters in base62. The checksum lets a secret scanner match
//! keys exactly and lets a mistyped key be refused without a look into the store (the form follows GitHub's
//! token format). Only the SHA-256 of the whole key is stored: a plain hash is fine for a secret of this
//! length (OWASP ASVS 5.0, 6.5.2).

use std::{collections::HashMap, fmt};

use sha2::{Digest as _, Sha256};
use tollgate_base::{Error, Kind, Result, Secret, UnixMillis, base62};

const RANDOM_LENGTH: usize = 30;
const CHECKSUM_LENGTH: usize = 6;

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Calls models.
    Model,
    /// Administers the gateway; refused on model routes.
    Admin,
}

/// A key of the right form. Whether it is known is the store's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    text: Secret,
    role: Role,
}

/// The SHA-256 of a whole key: what is stored, and what is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// What is known of a key. The key itself is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// `key_…`
    pub id: String,
    pub name: String,
    pub role: Role,
    pub digest: Digest,
    pub created_at: UnixMillis,
    pub expires_at: Option<UnixMillis>,
    pub revoked_at: Option<UnixMillis>,
}

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub key_id: String,
    pub role: Role,
}

/// Where keys are kept.
pub trait KeyStore: Send + Sync {
    /// Every key, revoked ones too.
    fn keys(&self) -> Result<Vec<KeyRecord>>;
    /// Adds a key. An id or a digest that exists already is a conflict.
    fn add_key(&self, key: &KeyRecord) -> Result<()>;
}

/// All keys, in memory, for the check on the call path.
#[derive(Debug, Default)]
pub struct KeyRing(HashMap<Digest, KeyRecord>);

// === impl Role ===

impl Role {
    /// The beginning of every key of this role.
    pub fn prefix(self) -> &'static str {
        match self {
            Role::Model => "sk-tg-",
            Role::Admin => "sk-tga-",
        }
    }

    /// The word for it in the store and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Model => "model",
            Role::Admin => "admin",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Role::Model, Role::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

// === impl Token ===

impl Token {
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
        if rest.len() != RANDOM_LENGTH + CHECKSUM_LENGTH
            || !rest.iter().all(u8::is_ascii_alphanumeric)
        {
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

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

// === impl KeyRing ===

impl KeyRing {
    pub fn new(keys: Vec<KeyRecord>) -> Self {
        Self(keys.into_iter().map(|key| (key.digest, key)).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who holds this key, if it may be used at `now` for what `role` does.
    pub fn check(&self, presented: &str, role: Role, now: UnixMillis) -> Result<Caller> {
        let Some(token) = Token::parse(presented) else {
            return Err(refuse(
                Kind::Authentication,
                "invalid_api_key",
                not_ours(presented),
            ));
        };
        let Some(key) = self.0.get(&token.digest()) else {
            return Err(refuse(
                Kind::Authentication,
                "invalid_api_key",
                "This key is not known here. Check it for typing errors, or ask for a new one.",
            ));
        };
        if key.revoked_at.is_some_and(|at| at <= now) {
            let message = "This key has been revoked. Ask for a new one.";
            return Err(refuse(Kind::Authentication, "key_revoked", message));
        }
        if key.expires_at.is_some_and(|at| at <= now) {
            let message = "This key has expired. Ask for a new one.";
            return Err(refuse(Kind::Authentication, "key_expired", message));
        }
        if key.role != role {
            return Err(refuse(
                Kind::Permission,
                "route_not_allowed",
                wrong_role(key.role),
            ));
        }
        Ok(Caller {
            key_id: key.id.clone(),
            role: key.role,
        })
    }
}

fn refuse(kind: Kind, code: &'static str, message: &str) -> Error {
    Error::new(kind, code, message).with_should_retry(false)
}

/// The hint for a key that is none of ours; its text is not repeated.
fn not_ours(presented: &str) -> &'static str {
    if presented.starts_with("sk-tg-") || presented.starts_with("sk-tga-") {
        "This key is damaged: its checksum is wrong. Copy it again, whole."
    } else if presented.starts_with("sk-")
        || presented.starts_with("AIza")
        || presented.starts_with("gsk_")
    {
        "This looks like a provider's own key. Send a key of this gateway, which begins with `sk-tg-`; \
         the provider's key belongs into the gateway's configuration."
    } else {
        "This is not a key of this gateway. Its keys begin with `sk-tg-`."
    }
}

fn wrong_role(role: Role) -> &'static str {
    match role {
        Role::Admin => {
            "An admin key cannot call models. Use a model key, which begins with `sk-tg-`."
        }
        Role::Model => "A model key cannot administer the gateway. Use the admin key.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn ring_with(change: impl FnOnce(&mut KeyRecord)) -> (KeyRing, Token) {
        let token = Token::generate(Role::Model).unwrap();
        let mut key = KeyRecord {
            id: "key_1".to_owned(),
            name: "first".to_owned(),
            role: Role::Model,
            digest: token.digest(),
            created_at: UnixMillis(0),
            expires_at: None,
            revoked_at: None,
        };
        change(&mut key);
        (KeyRing::new(vec![key]), token)
    }

    fn code(result: Result<Caller>) -> String {
        result.map_or_else(|error| error.code().to_owned(), |caller| caller.key_id)
    }

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
    fn a_key_passes_until_it_is_revoked_or_expires() {
        let (ring, token) = ring_with(|_| {});
        let text = token.secret().expose();
        assert_eq!(code(ring.check(text, Role::Model, NOW)), "key_1");
        assert_eq!(
            code(ring.check(text, Role::Admin, NOW)),
            "route_not_allowed"
        );

        let (ring, token) = ring_with(|key| key.revoked_at = Some(NOW));
        assert_eq!(
            code(ring.check(token.secret().expose(), Role::Model, NOW)),
            "key_revoked"
        );

        let (ring, token) = ring_with(|key| key.expires_at = Some(NOW));
        let text = token.secret().expose();
        assert_eq!(code(ring.check(text, Role::Model, NOW)), "key_expired");
        assert_eq!(
            code(ring.check(text, Role::Model, UnixMillis(NOW.0 - 1))),
            "key_1"
        );
    }

    #[test]
    fn an_unknown_key_and_a_foreign_key_are_told_apart_without_being_repeated() {
        let (ring, _) = ring_with(|_| {});
        let unknown = Token::generate(Role::Model).unwrap();
        assert_eq!(
            code(ring.check(unknown.secret().expose(), Role::Model, NOW)),
            "invalid_api_key"
        );
        let error = ring.check("sk-proj-canary", Role::Model, NOW).unwrap_err();
        assert!(
            error.message().contains("provider's own key") && !error.message().contains("canary")
        );
    }

    proptest! {
        #[test]
        fn no_text_that_was_not_generated_reads_as_a_key(text in "(sk-tg-|sk-tga-|sk-|)[ -~é]{0,60}") {
            prop_assert!(Token::parse(&text).is_none());
        }
    }
}
