//! The folder of models: where each file lies, what is there, and taking away again.
//!
//! ```text
//! models/<owner>--<name>/<commit>/<file>.gguf         a hub's file, and beside it
//! models/<owner>--<name>/<commit>/<file>.gguf.json    its manifest
//! models/@<host>/<key>/<file>.gguf                    a file from a URL
//! models/@local/<key>/<file>.gguf.json                a file elsewhere: a manifest alone
//! models/.partial/<key>.part, .json, .lock            what is on its way
//! ```
//!
//! Paths are never taken from a manifest: what a model's file is follows from where its manifest lies, so that no
//! manifest makes a command touch anything outside this folder. Links are not followed.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tollgate_base::{Error, Kind, Result, quote};

use crate::{
    Address, Repository, curated,
    manifest::{Manifest, Origin, hex, key_of},
    name::encoded,
    near, part, quantization_of,
};

/// The models folder of a data folder. Nothing is made before something is written.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A model that is here.
#[derive(Clone, Debug)]
pub struct Installed {
    pub manifest: Manifest,
    /// The model's file. For a registered one it lies elsewhere.
    pub path: PathBuf,
    manifest_path: PathBuf,
}

/// A download that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    pub name: String,
    pub have: u64,
    pub size: Option<u64>,
    key: String,
}

/// What hashing a file again showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    Sound,
    Missing,
    /// Its bytes are others than those that were pulled.
    Changed {
        found: String,
    },
}

const ENDING: &str = ".json";

// === impl Store ===

impl Store {
    pub fn new(data_folder: &Path) -> Self {
        Self {
            root: data_folder.join("models"),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The models here, by name, the newest of a name first.
    pub fn list(&self) -> Result<Vec<Installed>> {
        Ok(self.read()?.0)
    }

    /// Manifests that cannot be read.
    pub fn damaged(&self) -> Result<Vec<PathBuf>> {
        Ok(self.read()?.1)
    }

    pub fn unfinished(&self) -> Result<Vec<Unfinished>> {
        let mut found = Vec::new();
        for path in entries(&self.partial())? {
            let Some(key) = file_name(&path).and_then(|name| name.strip_suffix(ENDING)) else {
                continue;
            };
            if let Some(state) = part::State::read(&path) {
                let have = fs::metadata(path.with_extension("part")).map_or(0, |facts| facts.len());
                found.push(Unfinished {
                    name: state.name,
                    have,
                    size: state.size,
                    key: key.to_owned(),
                });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The model that `text` names: the newest where it was pulled more than once.
    pub fn find(&self, text: &str) -> Result<Installed> {
        self.all_named(text)?
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("A search found nothing and did not say so."))
    }

    /// Every file of the one model that `text` names, the newest first; at least one.
    pub fn all_named(&self, text: &str) -> Result<Vec<Installed>> {
        let all = self.list()?;
        let found: Vec<&Installed> = all.iter().filter(|model| model.is_named(text)).collect();
        let mut names: Vec<&str> = found.iter().map(|model| model.name()).collect();
        names.dedup();
        match names.as_slice() {
            [_] => Ok(found.into_iter().cloned().collect()),
            [] => {
                let known = all.iter().flat_map(|model| [model.name(), model.stem()]);
                let close = near::near(text, known);
                let hint = if close.is_empty() {
                    "`tollgate models list` shows what is here".to_owned()
                } else {
                    format!("did you mean {}?", near::or(&close))
                };
                let message = format!("There is no model {} here; {hint}.", quote(text));
                Err(Error::new(
                    Kind::NotFound,
                    "model_not_found",
                    message.replace("?.", "?"),
                ))
            }
            many => {
                let message = format!(
                    "{} stands for several models. Name one:\n  {}",
                    quote(text),
                    many.join("\n  ")
                );
                Err(Error::new(Kind::Conflict, "ambiguous_model", message))
            }
        }
    }

    /// Takes a model's file and manifest away; of a registered one the manifest alone.
    pub fn remove(&self, model: &Installed) -> Result<()> {
        let gone = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(fault(path, "removed", &error))
            }
            _ => Ok(()),
        };
        if !matches!(model.manifest.origin, Origin::Local { .. }) {
            gone(&model.path)?;
        }
        gone(&model.manifest_path)?;
        // Folders that still hold something stay.
        for folder in model.manifest_path.ancestors().skip(1).take(2) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Takes what is there of a download away.
    pub fn remove_unfinished(&self, unfinished: &Unfinished) -> Result<()> {
        part::discard(&self.partial(), &unfinished.key, &unfinished.name)
    }

    /// Hashes a model's file again. `on` hears how many bytes were read.
    pub fn verify(&self, model: &Installed, mut on: impl FnMut(u64)) -> Result<Checked> {
        let mut file = match File::open(&model.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Checked::Missing),
            Err(error) => return Err(fault(&model.path, "read", &error)),
        };
        let found = hash(&mut file, &mut on).map_err(|error| fault(&model.path, "read", &error))?;
        Ok(if found == model.manifest.sha256 {
            Checked::Sound
        } else {
            Checked::Changed { found }
        })
    }

    pub(crate) fn partial(&self) -> PathBuf {
        self.root.join(".partial")
    }

    /// Where a file of a repository goes.
    pub(crate) fn place_of_hub_file(
        &self,
        repository: &Repository,
        commit: Option<&str>,
        file: &str,
    ) -> PathBuf {
        let commit: String = commit
            .unwrap_or("unknown")
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(12)
            .collect();
        self.root
            .join(repository.folder())
            .join(commit)
            .join(encoded(file, " +()[],@="))
    }

    pub(crate) fn place_of_url(&self, url: &Address) -> PathBuf {
        let file = url.path().rsplit('/').next().unwrap_or_default();
        self.root
            .join(format!("@{}", encoded(url.host(), "")))
            .join(key_of(&url.to_string()))
            .join(encoded(file, ""))
    }

    pub(crate) fn place_of_local(&self, path: &Path) -> PathBuf {
        let name = file_name(path).unwrap_or("model.gguf");
        self.root
            .join("@local")
            .join(key_of(&path.to_string_lossy()))
            .join(encoded(name, ""))
    }

    /// Writes the manifest of a file that has its name, or of one elsewhere.
    pub(crate) fn record(place: &Path, manifest: Manifest) -> Result<Installed> {
        let manifest_path = manifest_of(place);
        make_folder(place)?;
        manifest
            .write(&manifest_path)
            .map_err(|error| fault(&manifest_path, "written", &error))?;
        Ok(Installed::new(manifest, manifest_path))
    }

    fn read(&self) -> Result<(Vec<Installed>, Vec<PathBuf>)> {
        let mut models = Vec::new();
        let mut damaged = Vec::new();
        for repository in folders(&self.root)? {
            for commit in folders(&repository)? {
                for path in entries(&commit)? {
                    if !file_name(&path).is_some_and(|name| name.ends_with(".gguf.json")) {
                        continue;
                    }
                    match Manifest::read(&path) {
                        Ok(manifest) => models.push(Installed::new(manifest, path)),
                        Err(_) => damaged.push(path),
                    }
                }
            }
        }
        models.sort_by(|a, b| {
            let newest_first = b.manifest.pulled_at.cmp(&a.manifest.pulled_at);
            a.name().cmp(b.name()).then(newest_first)
        });
        Ok((models, damaged))
    }
}

// === impl Installed ===

impl Installed {
    fn new(manifest: Manifest, manifest_path: PathBuf) -> Self {
        let path = match &manifest.origin {
            Origin::Local { path } => path.clone(),
            Origin::Hub { .. } | Origin::Url { .. } => manifest_path.with_extension(""),
        };
        Self {
            manifest,
            path,
            manifest_path,
        }
    }

    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    pub fn is_present(&self) -> bool {
        self.path.is_file()
    }

    fn stem(&self) -> &str {
        let file = self.name().rsplit('/').next().unwrap_or_default();
        file.strip_suffix(".gguf").unwrap_or(file)
    }

    /// What names it, the shortest first and its own name last. Others may share all of them but the last.
    pub fn names(&self) -> Vec<String> {
        let own = self.name();
        let entry = curated()
            .iter()
            .find(|entry| format!("{}/{}", entry.repository, entry.file) == own);
        let mut names: Vec<String> = entry.map(|entry| entry.name.clone()).into_iter().collect();
        names.push(self.stem().to_owned());
        if let Origin::Hub {
            repository, file, ..
        } = &self.manifest.origin
        {
            names.push(repository.clone());
            names.extend(quantization_of(file).map(|label| format!("{repository}:{label}")));
        }
        names.push(own.to_owned());
        names.dedup();
        names
    }

    fn is_named(&self, text: &str) -> bool {
        if self.names().iter().any(|name| name == text) {
            return true;
        }
        match &self.manifest.origin {
            Origin::Hub {
                repository, file, ..
            } => text.split_once(':').is_some_and(|(named, label)| {
                named == repository
                    && quantization_of(file).is_some_and(|own| own.eq_ignore_ascii_case(label))
            }),
            Origin::Url { url } => text == url,
            Origin::Local { path } => {
                let is_path = text.contains('/') || Path::new(text).extension().is_some();
                is_path && fs::canonicalize(text).is_ok_and(|named| named == *path)
            }
        }
    }
}

pub(crate) fn manifest_of(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(ENDING);
    PathBuf::from(name)
}

pub(crate) fn make_folder(place: &Path) -> Result<()> {
    let folder = place.parent().unwrap_or(place);
    fs::create_dir_all(folder).map_err(|error| fault(folder, "made", &error))
}

pub(crate) fn fault(path: &Path, what: &str, error: &io::Error) -> Error {
    let message = format!("{} cannot be {what}: {error}.", path.display());
    Error::new(Kind::Unprocessable, "models_folder", message)
}

/// The SHA-256 of what is left of a file, in hexadecimal digits.
pub(crate) fn hash(file: &mut File, on: &mut dyn FnMut(u64)) -> io::Result<String> {
    let mut hasher = Sha256::new();
    feed(file, &mut hasher, on)?;
    Ok(hex(&hasher.finalize()))
}

/// Reads a file to its end through a hasher; `on` hears how many bytes that were so far.
pub(crate) fn feed(
    file: &mut File,
    hasher: &mut Sha256,
    on: &mut dyn FnMut(u64),
) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut n_bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..n).filter(|bytes| !bytes.is_empty()) else {
            return Ok(n_bytes);
        };
        hasher.update(bytes);
        n_bytes += n as u64;
        on(n_bytes);
    }
}

/// What is in a folder, without links; nothing where there is no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let reading = match fs::read_dir(folder) {
        Ok(reading) => reading,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fault(folder, "read", &error)),
    };
    let mut found = Vec::new();
    for entry in reading {
        let entry = entry.map_err(|error| fault(folder, "read", &error))?;
        if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = entries(folder)?;
    found
        .retain(|path| path.is_dir() && file_name(path).is_some_and(|name| !name.starts_with('.')));
    Ok(found)
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}
