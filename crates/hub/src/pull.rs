//! A pull from its name to a file with a manifest.
//!
//! In this order: what is meant, what the hub has, which file, whether it is here already, the lock, the transfer, a look
//! at the header, the name, the manifest.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use tollgate_base::{Error, Kind, Result, UnixMillis};

use crate::{
    Address, Choice, Disk, Event, Facts, Hub, Installed, Listener, Listing, Manifest, Name, Origin,
    RemoteFile, Repository, Store,
    download::Transfer,
    hub::About,
    manifest::key_of,
    name::checked_revision,
    part::{Part, State},
    pick::pick,
    store::{fault, hash, make_folder},
};

/// Brings models from a hub into a store.
#[derive(Debug)]
pub struct Puller<'a> {
    pub hub: &'a Hub,
    pub store: &'a Store,
    pub disk: &'a dyn Disk,
    /// Written into manifests.
    pub now: UnixMillis,
}

/// A model that is here after a pull.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub model: Installed,
    /// Nothing had to be fetched.
    pub was_here: bool,
    /// Why nothing could be read from the header, where nothing could.
    pub note: Option<String>,
}

/// A file on its way into the store.
struct Wanted<'a> {
    address: &'a Address,
    place: PathBuf,
    state: State,
    about: About<'a>,
    origin: Origin,
    licence: Option<String>,
}

const MAIN: &str = "main";

// === impl Puller ===

impl Puller<'_> {
    /// Makes the model that `name` means be here. `on` hears what happens.
    pub async fn pull(
        &self,
        name: &str,
        revision: Option<&str>,
        on: Listener<'_>,
    ) -> Result<Pulled> {
        let named = Name::parse(name, self.hub.base())?;
        let revision = revision.map(checked_revision).transpose()?;
        match named {
            Name::Hub {
                repository,
                choice,
                revision: own,
            } => {
                let revision = revision.or(own).unwrap_or_else(|| MAIN.to_owned());
                Box::pin(self.pull_from_hub(&repository, &choice, &revision, on)).await
            }
            Name::Url(url) => {
                refuse_revision(revision.as_deref())?;
                Box::pin(self.pull_from_url(&url, on)).await
            }
            Name::Local(path) => {
                refuse_revision(revision.as_deref())?;
                self.register(&path, on)
            }
        }
    }

    async fn pull_from_hub(
        &self,
        repository: &Repository,
        choice: &Choice,
        revision: &str,
        on: Listener<'_>,
    ) -> Result<Pulled> {
        let listing = self.hub.listing(repository, revision, &mut *on).await?;
        let file = pick(repository, &listing, choice)?;
        if let Some(model) = self.here(repository, &listing, file)? {
            return Ok(Pulled {
                model,
                was_here: true,
                note: None,
            });
        }
        // The commit is fetched, not the branch, so that what comes is what was listed.
        let Listing {
            commit, licence, ..
        } = &listing;
        let at = commit.as_deref().unwrap_or(revision);
        let address = self.hub.file(repository, at, &file.path)?;
        let repository_name = repository.to_string();
        let wanted = Wanted {
            address: &address,
            place: self
                .store
                .place_of_hub_file(repository, commit.as_deref(), &file.path),
            state: State {
                name: format!("{repository}/{}", file.path),
                sha256: file.sha256.clone(),
                size: file.size,
                etag: None,
            },
            about: About {
                repository: &repository_name,
                revision: at,
                file: Some(&file.path),
            },
            origin: Origin::Hub {
                hub: self.hub.base().to_string().trim_end_matches('/').to_owned(),
                repository: repository.to_string(),
                revision: revision.to_owned(),
                commit: commit.clone(),
                file: file.path.clone(),
            },
            licence: licence.clone(),
        };
        self.fetch(wanted, on).await
    }

    async fn pull_from_url(&self, url: &Address, on: Listener<'_>) -> Result<Pulled> {
        let shown = url.to_string();
        let name = shown
            .split_once("://")
            .map_or(shown.as_str(), |(_, rest)| rest);
        let wanted = Wanted {
            address: url,
            place: self.store.place_of_url(url),
            state: State {
                name: name.to_owned(),
                ..State::default()
            },
            about: About {
                repository: url.host(),
                revision: MAIN,
                file: Some(name),
            },
            origin: Origin::Url { url: shown.clone() },
            licence: None,
        };
        self.fetch(wanted, on).await
    }

    async fn fetch(&self, wanted: Wanted<'_>, on: Listener<'_>) -> Result<Pulled> {
        let key = key_of(&wanted.address.to_string());
        let folder = self.store.partial();
        let mut part = Part::open(&folder, &key, wanted.state, &mut |n| on(Event::Rereads(n)))?;
        let transfer = Transfer {
            fetcher: &self.hub.fetcher,
            patience: &self.hub.patience,
            disk: self.disk,
            address: wanted.address,
            about: wanted.about,
        };
        if let Err(error) = transfer.run(&mut part, &mut *on).await {
            // What can never become the file is not kept; what can is.
            if error.code() == "checksum_mismatch" || part.is_empty() {
                part.delete()?;
            }
            return Err(error);
        }
        if !begins_as_gguf(part.path()) {
            let message = format!(
                "What came as {} is no GGUF file. It was deleted; check the name or the URL.",
                part.state.name
            );
            part.delete()?;
            return Err(Error::new(Kind::Upstream, "not_gguf", message));
        }
        let (facts, note) = facts_of(part.path(), &part.state.name);
        let manifest = Manifest {
            version: Manifest::VERSION,
            name: part.state.name.clone(),
            origin: wanted.origin,
            is_published: part.state.sha256.is_some(),
            sha256: part.sha256(),
            size: part.have(),
            pulled_at: self.now.0,
            licence: wanted.licence.or_else(|| facts.licence.clone()),
            facts,
        };
        make_folder(&wanted.place)?;
        part.finish(&wanted.place)?;
        Ok(Pulled {
            model: Store::record(&wanted.place, manifest)?,
            was_here: false,
            note,
        })
    }

    /// A file that is here with the checksum that the hub lists, from whatever commit it came. Where it lists none, the
    /// commit has to be the same.
    fn here(
        &self,
        repository: &Repository,
        listing: &Listing,
        file: &RemoteFile,
    ) -> Result<Option<Installed>> {
        let name = format!("{repository}/{}", file.path);
        let is_same = |model: &Installed| match (&file.sha256, &model.manifest.origin) {
            (Some(sha256), _) => model.manifest.sha256 == *sha256,
            (None, Origin::Hub { commit, .. }) => commit.is_some() && *commit == listing.commit,
            (None, _) => false,
        };
        let is_whole = |model: &Installed| {
            fs::metadata(&model.path).is_ok_and(|facts| facts.len() == model.manifest.size)
        };
        let mut models = self.store.list()?.into_iter();
        Ok(models.find(|model| model.name() == name && is_same(model) && is_whole(model)))
    }

    /// Writes down where a file of this machine is. It is neither copied nor moved.
    fn register(&self, path: &Path, on: Listener<'_>) -> Result<Pulled> {
        let full = fs::canonicalize(path).map_err(|error| fault(path, "found", &error))?;
        if !full.is_file() || !begins_as_gguf(&full) {
            let message = format!("{} is no GGUF file.", full.display());
            return Err(Error::invalid_value("model", message));
        }
        let stem = full.file_stem().unwrap_or_default().to_string_lossy();
        let name: String = stem.chars().filter(|c| !c.is_control()).collect();
        let size = fs::metadata(&full).map_or(0, |facts| facts.len());
        on(Event::Begins {
            name: name.clone(),
            size: Some(size),
            have: 0,
        });
        let mut file = File::open(&full).map_err(|error| fault(&full, "opened", &error))?;
        let sha256 = hash(&mut file, &mut |n| on(Event::Has(n)))
            .map_err(|error| fault(&full, "read", &error))?;
        let (facts, note) = facts_of(&full, &name);
        let manifest = Manifest {
            version: Manifest::VERSION,
            name,
            origin: Origin::Local { path: full.clone() },
            sha256,
            is_published: false,
            size,
            pulled_at: self.now.0,
            licence: facts.licence.clone(),
            facts,
        };
        let place = self.store.place_of_local(&full);
        Ok(Pulled {
            model: Store::record(&place, manifest)?,
            was_here: true,
            note,
        })
    }
}

fn facts_of(path: &Path, name: &str) -> (Facts, Option<String>) {
    match Facts::read(path) {
        Ok(mut facts) => {
            // The name that the file has for now says nothing.
            facts.quantization = facts.quantization.or_else(|| crate::quantization_of(name));
            (facts, None)
        }
        Err(error) => {
            let shown = path.display().to_string();
            (
                Facts::default(),
                Some(error.message().replace(&shown, name)),
            )
        }
    }
}

fn begins_as_gguf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok_and(|()| magic == *b"GGUF")
}

fn refuse_revision(revision: Option<&str>) -> Result<()> {
    match revision {
        None => Ok(()),
        Some(_) => Err(Error::invalid_value(
            "--revision",
            "--revision goes with a repository of a hub, not with a URL or a path.",
        )),
    }
}
