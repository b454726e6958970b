//! The vault's key: 32 random bytes in base64 or hexadecimal digits, from a file or the environment.
//!
//! What looks like no random key is refused, and the refusal names the setting, never the value.

use std::{fmt, fs, path::Path};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use sha2::{Digest as _, Sha256};
use tollgate_base::{Error, Result};

pub(crate) const ID_LENGTH: usize = 8;
const KEY_LENGTH: usize = 32;
/// Of 32 random bytes fewer than 16 different ones are less likely than guessing the key.
const LEAST_DIFFERENT: usize = 16;
/// No key file is longer.
const MAX_FILE: u64 = 1024;

/// The key that credentials are sealed under.
#[derive(Clone)]
pub struct MasterKey {
    bytes: [u8; KEY_LENGTH],
    raw_id: [u8; ID_LENGTH],
    id: String,
}

impl MasterKey {
    /// Reads a key that `setting` holds.
    pub fn from_text(setting: &str, text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(refused(setting, "is empty"));
        }
        let Some(bytes) = decode(text) else {
            return Err(refused(
                setting,
                "holds neither base64 nor hexadecimal digits",
            ));
        };
        let Ok(bytes) = <[u8; KEY_LENGTH]>::try_from(bytes) else {
            return Err(refused(setting, "does not hold 32 bytes"));
        };
        if let Some(fault) = weakness(&bytes) {
            return Err(refused(setting, fault));
        }
        Ok(Self::new(bytes))
    }

    /// Reads a key from the file that `setting` names. Others on the machine must not be able to read it.
    pub fn from_file(setting: &str, path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|error| {
            refused(
                setting,
                &format!("names a file that cannot be read ({})", error.kind()),
            )
        })?;
        if !metadata.is_file() {
            return Err(refused(setting, "does not name a file"));
        }
        if metadata.len() > MAX_FILE {
            return Err(refused(setting, "names a file that is too long for a key"));
        }
        #[cfg(unix)]
        if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o027 != 0 {
            let fault =
                "names a file that others may read or its group may write: give it the rights 0400";
            return Err(refused(setting, fault));
        }
        let text = fs::read_to_string(path).map_err(|error| {
            refused(
                setting,
                &format!("names a file that cannot be read ({})", error.kind()),
            )
        })?;
        Self::from_text(setting, &text)
    }

    /// A new key, as the text to put into a file or the environment.
    pub fn generate() -> Result<String> {
        let mut bytes = [0; KEY_LENGTH];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
            Error::internal("The operating system gave no randomness for a new key.")
        })?;
        Ok(STANDARD.encode(bytes))
    }

    /// The key's id, 16 hexadecimal digits; nothing can be learnt from it about the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn raw_id(&self) -> &[u8; ID_LENGTH] {
        &self.raw_id
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.bytes
    }

    fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        let digest = Sha256::new()
            .chain_update(b"tollgate vault key id")
            .chain_update(bytes)
            .finalize();
        let mut raw_id = [0; ID_LENGTH];
        raw_id.copy_from_slice(&digest[..ID_LENGTH]);
        Self {
            bytes,
            id: hex(&raw_id),
            raw_id,
        }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string does not fail.
        let _written = write!(out, "{byte:02x}");
        out
    })
}

/// 64 hexadecimal digits are read as such although they are base64, too.
fn decode(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && text.len() >= 44 {
        let digits: Vec<char> = text.chars().collect();
        let byte = |pair: &[char]| {
            let (high, low) = (pair[0].to_digit(16)?, pair[1].to_digit(16)?);
            u8::try_from(high << 4 | low).ok()
        };
        return digits.chunks_exact(2).map(byte).collect();
    }
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(text).ok())
}

/// Why these bytes were hardly drawn at random.
fn weakness(bytes: &[u8; KEY_LENGTH]) -> Option<&'static str> {
    let mut different = bytes.to_vec();
    different.sort_unstable();
    different.dedup();
    let step = bytes[1].wrapping_sub(bytes[0]);
    let is_a_row = bytes
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == step);
    if bytes.iter().all(|&byte| byte == 0) {
        Some("holds only zeros")
    } else if different.len() < LEAST_DIFFERENT {
        Some("repeats itself and was not drawn at random")
    } else if is_a_row {
        Some("counts up or down and was not drawn at random")
    } else if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        Some("holds text, not random bytes")
    } else {
        None
    }
}

fn refused(setting: &str, fault: &str) -> Error {
    let message = format!(
        "The vault's key is refused: {setting} {fault}. It must hold 32 random bytes in base64 or hexadecimal \
         digits, as `openssl rand -base64 32` makes them."
    );
    Error::invalid_value(setting, message)
}
