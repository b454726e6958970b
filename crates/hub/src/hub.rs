//! What a Hugging Face compatible hub has: the files of a repository at a revision, and what its refusals mean.
//!
//! `GET /api/models/{repository}/revision/{revision}?blobs=true` lists files with sizes and the SHA-256 of those in LFS
//! (`HfApi.model_info(files_metadata=True)` of huggingface_hub; <https://huggingface.co/docs/hub/api>), and
//! `GET /{repository}/resolve/{revision}/{path}` is a file. Refusals carry `X-Error-Code`: `RepoNotFound`,
//! `RevisionNotFound`, `EntryNotFound`, `GatedRepo` (`utils/_http.py` there); a repository that does not exist and one that
//! is private are both 401 without a token.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tollgate_base::{Error, Kind, Result, Secret, quote};

use crate::{
    Address, Patience,
    download::{Event, Listener, pause_before_retry},
    fetch::{Answer, Fetcher, checked_sha256, passing, retry_after, strange},
    name::{Repository, encoded},
    near,
};

/// Where models come from unless another hub is named.
pub const PUBLIC_HUB: &str = "https://huggingface.co";

/// A hub, and who asks it.
#[derive(Debug)]
pub struct Hub {
    pub(crate) fetcher: Fetcher,
    pub(crate) patience: Patience,
    base: Address,
}

/// How a hub is reached.
#[derive(Clone, Debug)]
pub struct HubOptions {
    pub base: Address,
    pub token: Option<Secret>,
    pub patience: Patience,
}

/// What a repository holds at one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub commit: Option<String>,
    pub files: Vec<RemoteFile>,
    pub licence: Option<String>,
}

/// A file of a repository. Its path is the hub's word and not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    pub path: String,
    pub size: Option<u64>,
    /// In lower-case hexadecimal digits, where the file is in LFS.
    pub sha256: Option<String>,
}

/// The largest listing that is read.
const LARGEST_LISTING: usize = 16 << 20;

#[derive(Deserialize)]
struct Info {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default, rename = "cardData")]
    card: Option<Card>,
}

#[derive(Deserialize)]
struct Sibling {
    #[serde(alias = "path")]
    rfilename: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    #[serde(default, alias = "oid")]
    sha256: Option<String>,
    #[serde(default)]
    size: Option<u64>,
}

/// The card is written by people; what is no text is passed over.
#[derive(Deserialize)]
struct Card {
    #[serde(default)]
    license: serde_json::Value,
    #[serde(default)]
    license_name: serde_json::Value,
}

#[derive(Deserialize)]
struct Found {
    id: String,
}

#[derive(Deserialize)]
struct Refs {
    #[serde(default)]
    branches: Vec<Ref>,
    #[serde(default)]
    tags: Vec<Ref>,
}

#[derive(Deserialize)]
struct Ref {
    name: String,
}

// === impl Hub ===

impl Hub {
    pub fn new(options: HubOptions) -> Result<Self> {
        Ok(Self {
            fetcher: Fetcher::new(options.base.clone(), options.token, &options.patience)?,
            patience: options.patience,
            base: options.base,
        })
    }

    pub fn base(&self) -> &Address {
        &self.base
    }

    /// What a repository holds. A refusal names what is near, where the hub can be asked for that.
    pub async fn listing(
        &self,
        repository: &Repository,
        revision: &str,
        on: Listener<'_>,
    ) -> Result<Listing> {
        let tail = format!(
            "/api/models/{repository}/revision/{}?blobs=true",
            encoded(revision, "")
        );
        let about = About {
            repository: &repository.to_string(),
            revision,
            file: None,
        };
        let mut n_failures = 0;
        loop {
            let error = match self.json::<Info>(&tail, &about).await {
                Ok(info) => return Ok(of_info(info)),
                Err(error) => error,
            };
            n_failures += 1;
            let Some(pause) = pause_before_retry(&self.patience, n_failures, &error) else {
                return Err(self.with_near_names(error, repository, revision).await);
            };
            on(Event::Retries {
                reason: error.message().to_owned(),
                pause,
            });
            tokio::time::sleep(pause).await;
        }
    }

    /// Where a file is fetched from.
    pub(crate) fn file(
        &self,
        repository: &Repository,
        revision: &str,
        path: &str,
    ) -> Result<Address> {
        self.base.below(&format!(
            "/{repository}/resolve/{}/{}",
            encoded(revision, ""),
            encoded(path, "/")
        ))
    }

    async fn json<T: for<'a> Deserialize<'a>>(&self, tail: &str, about: &About<'_>) -> Result<T> {
        let address = &self.base.below(tail)?;
        let answer = self.fetcher.get(address, &HeaderMap::new()).await?;
        if answer.status != StatusCode::OK {
            return Err(refusal(&answer, about, self.fetcher.has_token()));
        }
        let reading =
            tokio::time::timeout(self.patience.idle, answer.body.collect(LARGEST_LISTING));
        let bytes = reading
            .await
            .map_err(|_| passing(address, "stopped in the middle of its answer"))?
            .map_err(|_| passing(address, "broke off in the middle of its answer"))?;
        serde_json::from_slice(&bytes)
            .map_err(|_| strange(address, "does not answer as a hub does"))
    }

    /// Adds what was perhaps meant; that it cannot be found out changes nothing.
    async fn with_near_names(
        &self,
        error: Error,
        repository: &Repository,
        revision: &str,
    ) -> Error {
        let about = About {
            repository: &repository.to_string(),
            revision,
            file: None,
        };
        let names: Vec<String> = match error.code() {
            "repository_not_found" => {
                let name = repository.to_string();
                let (_, name) = name.split_once('/').unwrap_or_default();
                let tail = format!("/api/models?search={}&limit=5", encoded(name, ""));
                let found = self.json::<Vec<Found>>(&tail, &about).await;
                found
                    .map(|all| all.into_iter().map(|one| one.id).collect())
                    .unwrap_or_default()
            }
            "revision_not_found" => {
                let tail = format!("/api/models/{repository}/refs");
                let found = self.json::<Refs>(&tail, &about).await;
                found
                    .map(|refs| refs.branches.into_iter().chain(refs.tags))
                    .map(|refs| refs.map(|one| one.name).take(5).collect())
                    .unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
        if names.is_empty() {
            return error;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let message = format!("{} There is {}.", error.message(), near::or(&names));
        Error::new(error.kind(), error.code().to_owned(), message)
    }
}

/// What was asked for, for the words of a refusal.
pub(crate) struct About<'a> {
    pub(crate) repository: &'a str,
    pub(crate) revision: &'a str,
    pub(crate) file: Option<&'a str>,
}

/// What an answer other than the thing itself means, and what to do about it.
pub(crate) fn refusal(answer: &Answer, about: &About<'_>, has_token: bool) -> Error {
    let About {
        repository,
        revision,
        file,
    } = about;
    let code = answer
        .headers
        .get("x-error-code")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let host = answer.address.host();
    match (answer.status.as_u16(), code) {
        (401 | 403, "GatedRepo") => {
            let next = if has_token {
                "with the account of your token"
            } else {
                "and then set HF_TOKEN to a token of that account"
            };
            let message = format!(
                "{repository} is gated: its owner lets in only who has accepted the terms. Open \
                 {}/{repository} in a browser, accept them {next}, and run this again.",
                answer.address.origin()
            );
            Error::new(Kind::Permission, "gated", message)
        }
        (401 | 404, "RepoNotFound") | (404, "") if file.is_none() => {
            let hint = if has_token {
                "or your token may not see it"
            } else {
                "or it is private: then set HF_TOKEN"
            };
            let message = format!("{host} has no repository {repository}, {hint}.");
            Error::new(Kind::NotFound, "repository_not_found", message)
        }
        (404, "RevisionNotFound") => {
            let message = format!("{repository} has no revision {}.", quote(revision));
            Error::new(Kind::NotFound, "revision_not_found", message)
        }
        (404 | 410, _) => {
            let file = file.unwrap_or("such a file");
            let message = format!(
                "{host} has no {file} in {repository} at {}.",
                quote(revision)
            );
            Error::new(Kind::NotFound, "file_not_found", message)
        }
        (401, _) => {
            let message = if has_token {
                format!(
                    "{host} does not accept the token. Make a new one with read access, and set HF_TOKEN to it."
                )
            } else {
                format!(
                    "{host} asks for a token for {repository}. Set HF_TOKEN, or models.token_file in tollgate.toml."
                )
            };
            Error::new(Kind::Authentication, "token_refused", message)
        }
        (403, _) => {
            let message = format!(
                "{host} does not let this account read {repository}. Check that the token may read it, and that \
                 its terms are accepted."
            );
            Error::new(Kind::Permission, "forbidden", message)
        }
        (429, _) => {
            let error = passing(&answer.address, "refuses further requests for now (429)");
            with_wait(error, answer)
        }
        (408 | 500..=599, _) => with_wait(
            passing(
                &answer.address,
                &format!("answered {}", answer.status.as_u16()),
            ),
            answer,
        ),
        (status, _) => strange(&answer.address, &format!("answered {status}")),
    }
}

fn with_wait(error: Error, answer: &Answer) -> Error {
    match retry_after(&answer.headers) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

fn of_info(info: Info) -> Listing {
    let files = info.siblings.into_iter().map(|file| {
        let lfs = file.lfs;
        RemoteFile {
            size: lfs.as_ref().and_then(|lfs| lfs.size).or(file.size),
            sha256: lfs.and_then(|lfs| checked_sha256(&lfs.sha256?)),
            path: file.rfilename,
        }
    });
    let is_commit = |text: &String| {
        (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    Listing {
        files: files.collect(),
        commit: info.sha.filter(is_commit),
        licence: info.card.and_then(|card| {
            // `other` is what a card says when the licence has a name of its own.
            let own = text_of(&card.license_name);
            match text_of(&card.license) {
                Some(text) if text != "other" => Some(text),
                other => own.or(other),
            }
        }),
    }
}

fn text_of(value: &serde_json::Value) -> Option<String> {
    let text = match value {
        serde_json::Value::Array(all) => all.first()?.as_str()?,
        one => one.as_str()?,
    };
    let plain: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    (!plain.is_empty()).then_some(plain)
}
