//! What is written beside each model file: where it came from, what its bytes must be, what it is.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Facts;

/// A model file's papers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of this file.
    pub version: u32,
    /// How the model is named in every command: `owner/name/path.gguf`, a URL's host and file, or a file's stem.
    pub name: String,
    pub origin: Origin,
    /// In hexadecimal digits.
    pub sha256: String,
    /// Whether the hub named this checksum itself. If not, it is that of the bytes as they came.
    pub is_published: bool,
    pub size: u64,
    /// Milliseconds since 1970-01-01 UTC.
    pub pulled_at: u64,
    /// As the model's card says it, else as the file does.
    pub licence: Option<String>,
    pub facts: Facts,
}

/// Where a model came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    Hub {
        hub: String,
        repository: String,
        /// What was asked for.
        revision: String,
        /// What that was at the time.
        commit: Option<String>,
        file: String,
    },
    Url {
        url: String,
    },
    /// A file elsewhere on this machine, which stays where it is.
    Local {
        path: PathBuf,
    },
}

impl Manifest {
    pub(crate) const VERSION: u32 = 1;
    /// Far more than one takes.
    const LARGEST: u64 = 1 << 20;

    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        File::open(path)?
            .take(Self::LARGEST)
            .read_to_string(&mut text)?;
        let manifest: Self = serde_json::from_str(&text)?;
        if manifest.version != Self::VERSION {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        Ok(manifest)
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        write_whole(path, &serde_json::to_vec_pretty(self)?)
    }
}

/// Writes a small file so that after a crash there is the old one or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_folder(path)
}

/// Makes the name of a file as durable as its bytes.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// A short name for a long text, always the same.
pub(crate) fn key_of(text: &str) -> String {
    let mut digits = hex(&Sha256::digest(text.as_bytes()));
    digits.truncate(16);
    digits
}
