//! Reads the sources and puts the phases together: text, draft, configuration.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tollgate_catalog::Catalog;

use crate::findings::Findings;
use crate::keys::{Readers, readers, reason};
use crate::mistake::{Mistake, Place, Severity, SourceText};
use crate::model::Config;
use crate::read::read;
use crate::resolve::{Surroundings, resolve, resolve_vault};
use crate::vault::VaultKeys;

/// The largest settings file that is read.
const LARGEST_FILE: u64 = 1 << 20;

/// Everything that settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub file: FileSource,
    /// The environment, which is never read behind the caller's back.
    pub environment: BTreeMap<String, String>,
    pub overrides: Overrides,
}

/// The settings file.
#[derive(Clone, Debug, Default)]
pub enum FileSource {
    #[default]
    None,
    /// The user named it, so it must be there.
    Named(PathBuf),
    /// It counts when it is there.
    IfPresent(PathBuf),
    /// Text under a name, for what has no file.
    Text { name: PathBuf, text: String },
}

/// What the command line says; it goes before the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub listen: Option<String>,
    pub data_dir: Option<PathBuf>,
}

/// A good configuration, and what should be said about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Mistake>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

struct FileText {
    name: PathBuf,
    content: String,
    readers: Readers,
}

// === impl Config ===

impl Config {
    /// Where the data is and what its vault is sealed under, and nothing else: settings that name a credential
    /// which is not in the vault yet do not matter here.
    pub fn vault(sources: &Sources) -> Result<(PathBuf, VaultKeys), Vec<Mistake>> {
        let text = sources.file.text().map_err(|mistake| vec![*mistake])?;
        let mut findings = findings(text.as_ref());
        let draft = read(&mut findings);
        if findings.is_unreadable() {
            return Err(findings.into_mistakes());
        }
        let found = resolve_vault(
            &draft,
            &sources.overrides,
            &surroundings(sources, text.as_ref()),
            &mut findings,
        );
        // Only what is wrong with the vault's own settings is in the way.
        if found.1.current.is_none() && findings.has_errors() {
            return Err(findings.into_mistakes());
        }
        Ok(found)
    }

    /// Reads and checks everything. `Err` holds every mistake, warnings included, in the order of the file.
    pub fn load(sources: &Sources) -> Result<Loaded, Vec<Mistake>> {
        let text = sources.file.text().map_err(|mistake| vec![*mistake])?;
        let mut findings = findings(text.as_ref());
        let draft = read(&mut findings);
        if findings.is_unreadable() {
            return Err(findings.into_mistakes());
        }
        let around = surroundings(sources, text.as_ref());
        let config = resolve(&draft, &sources.overrides, &around, &mut findings);
        let failed = findings.has_errors();
        let mistakes = findings.into_mistakes();
        if failed {
            return Err(mistakes);
        }
        Ok(Loaded {
            config,
            warnings: mistakes,
            file: text.map(|text| text.name),
        })
    }
}

fn findings(text: Option<&FileText>) -> Findings<'_> {
    Findings::new(text.map(|text| SourceText {
        file: &text.name,
        text: &text.content,
    }))
}

fn surroundings<'a>(sources: &'a Sources, text: Option<&FileText>) -> Surroundings<'a> {
    Surroundings {
        environment: &sources.environment,
        catalog: Catalog::builtin(),
        folder: text
            .and_then(|text| text.name.parent())
            .map(Path::to_owned)
            .unwrap_or_default(),
        file_readers: text.map_or(Readers::Owner, |text| text.readers),
        vault: OnceCell::new(),
    }
}

// === impl FileSource ===

impl FileSource {
    fn text(&self) -> Result<Option<FileText>, Box<Mistake>> {
        let (path, must_exist) = match self {
            Self::None => return Ok(None),
            Self::Text { name, text } => {
                return Ok(Some(FileText {
                    name: name.clone(),
                    content: text.clone(),
                    readers: Readers::Owner,
                }));
            }
            Self::Named(path) => (path, true),
            Self::IfPresent(path) => (path, false),
        };
        match read_file(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if !must_exist && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Box::new(Mistake {
                severity: Severity::Error,
                place: Place::File {
                    file: path.clone(),
                    line: 0,
                    column: 0,
                    excerpt: String::new(),
                },
                path: String::new(),
                message: format!("cannot read the settings: {}", reason(&error)),
                hint: String::new(),
            })),
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<FileText> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if metadata.len() > LARGEST_FILE {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(FileText {
        name: path.to_owned(),
        content: std::fs::read_to_string(path)?,
        readers: readers(&metadata),
    })
}
