//! How one value is sealed: AES-256-GCM with a random 96-bit nonce, bound to the place where it is kept.
//!
//! A sealed value is a version byte, the id of its key (8 bytes), the nonce (12), the ciphertext and the tag
//! (16). The place and the header are authenticated: a value that was changed, or moved to another row, does
//! not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use tollgate_base::{Error, Result};

use crate::master::{ID_LENGTH, MasterKey, hex};

const FORM: u8 = 1;
const HEADER: usize = 1 + ID_LENGTH;

/// Where a sealed value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub table: &'a str,
    pub row: &'a str,
    pub column: &'a str,
    /// How often the value was sealed.
    pub version: u64,
}

impl Place<'_> {
    /// The place and the header, each part with its length before it, so that no two places read alike.
    fn bound_to(&self, header: &[u8]) -> Vec<u8> {
        let version = self.version.to_be_bytes();
        let parts = [
            self.table.as_bytes(),
            self.row.as_bytes(),
            self.column.as_bytes(),
            &version,
            header,
        ];
        let mut out = Vec::new();
        for part in parts {
            out.extend((part.len() as u64).to_be_bytes());
            out.extend(part);
        }
        out
    }
}

/// Seals a value for its place.
pub fn seal(key: &MasterKey, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>> {
    let mut header = vec![FORM];
    header.extend(key.raw_id());
    let mut text = plain.to_vec();
    let nonce = cipher(key)
        .and_then(|cipher| {
            let bound = Aad::from(place.bound_to(&header));
            cipher.seal_in_place_append_tag(bound, &mut text).ok()
        })
        .ok_or_else(|| Error::internal("The credential could not be sealed."))?;
    header.extend(nonce.as_ref());
    header.append(&mut text);
    Ok(header)
}

/// Opens a value that was sealed under this key for this place. `None` when it was not, or was changed since.
pub fn open(key: &MasterKey, place: &Place<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = sealed.split_at_checked(HEADER)?;
    if header[0] != FORM || header[1..] != *key.raw_id() {
        return None;
    }
    let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let bound = Aad::from(place.bound_to(header));
    let mut text = text.to_vec();
    let length = cipher(key)?
        .open_in_place(nonce, bound, &mut text)
        .ok()?
        .len();
    text.truncate(length);
    Some(text)
}

/// The id of the key that a value says it is sealed under.
pub(crate) fn key_id(sealed: &[u8]) -> Option<String> {
    sealed.get(1..HEADER).map(hex)
}

fn cipher(key: &MasterKey) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, key.expose()).ok()
}
