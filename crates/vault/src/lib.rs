//! Providers' credentials, sealed in a file of the data folder under a key that is kept elsewhere.
//!
//! How one value is sealed stands in `seal`, where the key comes from and which keys are refused in `master`;
//! here is the file and what can be done with it. What a credential is for is not known here.

mod master;
mod seal;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use tollgate_base::{Error, Kind, Result, Secret, quote};

pub use master::MasterKey;
pub use seal::{Place, open, seal};

/// What the records are called where they are sealed; it keeps them apart from other sealed values.
const TABLE: &str = "credentials";
const COLUMN: &str = "secret";
/// The longest name and the longest secret, in bytes.
const MAX_NAME: usize = 256;
const MAX_SECRET: usize = 64 * 1024;
/// The form of the file.
const FORM: u32 = 1;

/// The sealed credentials of a data folder.
///
/// Each call reads the file anew, so that several processes may use it; those that change it wait for each other.
#[derive(Debug)]
pub struct Vault {
    path: PathBuf,
    current: MasterKey,
    former: Vec<MasterKey>,
}

/// What may be told of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub name: String,
    /// How often it was sealed.
    pub version: u64,
    /// The id of the key that it is sealed under.
    pub key_id: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    form: u32,
    credentials: BTreeMap<String, Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    version: u64,
    sealed: String,
}

impl Vault {
    /// The name of the file in the data folder.
    pub const FILE: &str = "vault.json";

    /// The vault of a data folder. What is put in is sealed under `current`; `former` keys open what a rotation
    /// has not reached yet.
    pub fn new(data_folder: &Path, current: MasterKey, former: Vec<MasterKey>) -> Self {
        Self {
            path: data_folder.join(Self::FILE),
            current,
            former,
        }
    }

    /// Seals a credential, in the place of an older one of this name.
    pub fn put(&self, name: &str, secret: &Secret) -> Result<()> {
        check(name, secret)?;
        self.change(|contents| {
            let version = contents.credentials.get(name).map_or(0, |row| row.version) + 1;
            let row = self.sealed(name, version, secret)?;
            contents.credentials.insert(name.to_owned(), row);
            Ok(())
        })
    }

    /// Opens a credential. `None` when there is none of this name.
    pub fn get(&self, name: &str) -> Result<Option<Secret>> {
        match self.read()?.credentials.get(name) {
            Some(row) => self.opened(name, row).map(Some),
            None => Ok(None),
        }
    }

    /// What there is, by name.
    pub fn list(&self) -> Result<Vec<Stored>> {
        let contents = self.read()?;
        let stored = contents.credentials.into_iter().map(|(name, row)| {
            Ok(Stored {
                key_id: seal::key_id(&bytes(&name, &row)?).ok_or_else(|| damaged(&name))?,
                version: row.version,
                name,
            })
        });
        stored.collect()
    }

    /// Takes a credential out. Whether there was one.
    pub fn remove(&self, name: &str) -> Result<bool> {
        self.change(|contents| Ok(contents.credentials.remove(name).is_some()))
    }

    /// Seals everything under the current key that is under another one; how many there were. The file is
    /// replaced whole: until then everything can be opened as before, and afterwards with the current key alone.
    pub fn rotate(&self) -> Result<usize> {
        self.change(|contents| {
            let mut rotated = 0;
            for (name, row) in &mut contents.credentials {
                let key_id = seal::key_id(&bytes(name, row)?);
                if key_id.as_deref() != Some(self.current.id()) {
                    let secret = self.opened(name, row)?;
                    *row = self.sealed(name, row.version + 1, &secret)?;
                    rotated += 1;
                }
            }
            Ok(rotated)
        })
    }

    fn sealed(&self, name: &str, version: u64, secret: &Secret) -> Result<Row> {
        let sealed = seal(
            &self.current,
            &place(name, version),
            secret.expose().as_bytes(),
        )?;
        Ok(Row {
            version,
            sealed: STANDARD.encode(sealed),
        })
    }

    fn opened(&self, name: &str, row: &Row) -> Result<Secret> {
        let sealed = bytes(name, row)?;
        let key_id = seal::key_id(&sealed).ok_or_else(|| damaged(name))?;
        let key = [&self.current]
            .into_iter()
            .chain(&self.former)
            .find(|key| key.id() == key_id)
            .ok_or_else(|| {
                let message = format!(
                    "The credential {} is sealed under the key {key_id}, which is not given. Name that key as a \
                     former key of the vault, or put the credential again.",
                    quote(name)
                );
                Error::new(Kind::Internal, "vault_key_missing", message)
            })?;
        let plain = open(key, &place(name, row.version), &sealed).ok_or_else(|| damaged(name))?;
        let text = String::from_utf8(plain).map_err(|_| damaged(name))?;
        Ok(Secret::new(text))
    }

    fn read(&self) -> Result<Contents> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Contents {
                    form: FORM,
                    credentials: BTreeMap::new(),
                });
            }
            Err(error) => return Err(self.unusable(&error)),
        };
        let contents: Contents = serde_json::from_slice(&text).map_err(|_| self.not_a_vault())?;
        if contents.form != FORM {
            return Err(self.not_a_vault());
        }
        Ok(contents)
    }

    /// Reads the file, changes it and replaces it, while no other process does.
    fn change<T>(&self, edit: impl FnOnce(&mut Contents) -> Result<T>) -> Result<T> {
        let lock = File::create(self.path.with_extension("lock"));
        let lock = lock.map_err(|error| self.unusable(&error))?;
        lock.lock().map_err(|error| self.unusable(&error))?;
        let mut contents = self.read()?;
        let answer = edit(&mut contents)?;
        self.replace(&contents)
            .map_err(|error| self.unusable(&error))?;
        Ok(answer)
    }

    /// Writes a new file beside the old one and puts it in its place, so that there always is a whole one.
    fn replace(&self, contents: &Contents) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, contents)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        // The new name is durable with its folder.
        File::open(folder)?.sync_all()
    }

    fn unusable(&self, error: &std::io::Error) -> Error {
        Error::internal(format!(
            "Cannot use {}: {error}. Check its owner and rights.",
            self.path.display()
        ))
    }

    fn not_a_vault(&self) -> Error {
        Error::internal(format!(
            "{} is damaged, or was written by a newer version. Restore it from a backup.",
            self.path.display()
        ))
    }
}

fn place(name: &str, version: u64) -> Place<'_> {
    Place {
        table: TABLE,
        row: name,
        column: COLUMN,
        version,
    }
}

fn bytes(name: &str, row: &Row) -> Result<Vec<u8>> {
    STANDARD.decode(&row.sealed).map_err(|_| damaged(name))
}

fn check(name: &str, secret: &Secret) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_plain) {
        let message =
            "A credential's name has letters, digits, `-`, `_`, `.` and `/`, at most 256.";
        return Err(Error::invalid_value("name", message));
    }
    if secret.expose().is_empty() || secret.expose().len() > MAX_SECRET {
        let message = "The credential must not be empty, and not be longer than 64 KiB.";
        return Err(Error::invalid_value("secret", message));
    }
    Ok(())
}

fn damaged(name: &str) -> Error {
    let message = format!(
        "The credential {} cannot be opened: it was changed, moved, or sealed under another key. Put it again.",
        quote(name)
    );
    Error::new(Kind::Internal, "vault_record_damaged", message)
}

#[cfg(test)]
mod tests;
