//! What people write to name a model, and what of it is refused.
//!
//! Names come from the command line and from a hub's listing, and end as folders and files, so every part is checked
//! here before anything else sees it. The rules for repositories are those of `validate_repo_id` in huggingface_hub
//! (<https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/utils/_validators.py>).

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tollgate_base::{Error, Result, quote};

use crate::{Address, curated, near};

/// A model as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A file of a hub's repository.
    Hub {
        repository: Repository,
        choice: Choice,
        /// Where the name itself says it.
        revision: Option<String>,
    },
    /// A file at a URL of its own.
    Url(Address),
    /// A file on this machine.
    Local(PathBuf),
}

/// `owner/name`, safe to be a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    owner: String,
    name: String,
}

/// Which file of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The only one there is.
    Only,
    /// The one of this quantisation: `Q4_K_M`.
    Quantization(String),
    /// The one at this path.
    File(String),
}

/// Longest part of a repository's name.
const LONGEST_PART: usize = 96;
/// Longest path of a file, so that its name on disk stays within what file systems take.
const LONGEST_PATH: usize = 180;

// === impl Name ===

impl Name {
    /// Reads a curated name, `owner/name`, `owner/name:Q4_K_M`, `owner/name/path.gguf`, a URL, or a path. A URL of `hub`
    /// that leads to a file of a repository means that file.
    pub fn parse(text: &str, hub: &Address) -> Result<Self> {
        if text.contains("://") {
            return of_url(text, hub);
        }
        let is_gguf = has_ending(text);
        let n_parts = text.split('/').count();
        let is_path = ["/", "./", "../", "~/"]
            .iter()
            .any(|start| text.starts_with(start));
        // A path that a shell completed has no `./`, so a file that is there wins.
        if is_path || (is_gguf && (n_parts <= 2 || Path::new(text).is_file())) {
            return Ok(Self::Local(PathBuf::from(text)));
        }
        if n_parts == 1 {
            return of_curated(text);
        }
        let mut parts = text.splitn(3, '/');
        let owner = parts.next().unwrap_or_default();
        let name = parts.next().unwrap_or_default();
        let (name, choice) = match (parts.next(), name.split_once(':')) {
            (Some(path), None) => (name, Choice::File(checked_path(path)?)),
            (None, Some((name, label))) => (name, Choice::Quantization(checked_label(label)?)),
            (None, None) => (name, Choice::Only),
            (Some(_), Some(_)) => {
                return Err(refused(
                    text,
                    "it names both a quantisation and a file; write one of them",
                ));
            }
        };
        Ok(Self::Hub {
            repository: Repository::new(owner, name)?,
            choice,
            revision: None,
        })
    }
}

// === impl Repository ===

impl Repository {
    pub fn new(owner: &str, name: &str) -> Result<Self> {
        for part in [owner, name] {
            if let Some(why) = fault_of_part(part) {
                return Err(refused(&format!("{owner}/{name}"), why));
            }
        }
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Its folder. `--` cannot stand in a part, so no two repositories share one.
    pub(crate) fn folder(&self) -> String {
        format!("{}--{}", self.owner, self.name)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

fn of_curated(text: &str) -> Result<Name> {
    let (name, label) = match text.split_once(':') {
        Some((name, label)) => (name, Some(label)),
        None => (text, None),
    };
    let Some(entry) = curated().iter().find(|entry| entry.name == name) else {
        let close = near::near(name, curated().iter().map(|entry| entry.name.as_str()));
        let hint = if close.is_empty() {
            "`tollgate models list --curated` shows the names that have no owner".to_owned()
        } else {
            format!("did you mean {}?", near::or(&close))
        };
        return Err(refused(
            text,
            &format!("a hub's model is written as owner/name; {hint}"),
        ));
    };
    let (owner, repository) = entry.repository.split_once('/').unwrap_or_default();
    Ok(Name::Hub {
        repository: Repository::new(owner, repository)?,
        choice: match label {
            Some(label) => Choice::Quantization(checked_label(label)?),
            None => Choice::File(checked_path(&entry.file)?),
        },
        revision: None,
    })
}

fn of_url(text: &str, hub: &Address) -> Result<Name> {
    let address = Address::parse(text)?;
    let decoded = decoded(address.path());
    if let Some(rest) = decoded.strip_prefix(hub.path().trim_end_matches('/'))
        && address.is_same_origin(hub)
        && let [owner, name, "resolve" | "blob", revision, path] = rest
            .trim_start_matches('/')
            .splitn(5, '/')
            .collect::<Vec<_>>()[..]
    {
        return Ok(Name::Hub {
            repository: Repository::new(owner, name)?,
            choice: Choice::File(checked_path(path)?),
            revision: Some(checked_revision(revision)?),
        });
    }
    if !address.is_tls() && !address.is_loopback() {
        return Err(refused(
            text,
            "a file is fetched over https only; without it anybody on the way can change it",
        ));
    }
    let file = decoded.rsplit('/').next().unwrap_or_default();
    checked_path(file)?;
    Ok(Name::Url(address))
}

/// A path inside a repository that can do no harm as a file's name.
pub(crate) fn checked_path(path: &str) -> Result<String> {
    let is_bad_part = |part: &str| {
        part.is_empty()
            || part.starts_with('.')
            || part.starts_with('-')
            || part.ends_with([' ', '.'])
            || part
                .chars()
                .any(|c| c.is_control() || "\\:*?\"<>|".contains(c))
    };
    if path.len() > LONGEST_PATH || path.split('/').any(is_bad_part) {
        return Err(refused(
            path,
            "it is no file's path: parts may not be empty, begin with `.` or `-`, or hold \\ : * ? \" < > |",
        ));
    }
    if !has_ending(path) {
        return Err(refused(path, "only files that end in .gguf are taken"));
    }
    Ok(path.to_owned())
}

/// A branch, tag, commit or `refs/pr/1`.
pub(crate) fn checked_revision(text: &str) -> Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let is_good = (1..=128).contains(&text.len())
        && text.bytes().all(is_plain)
        && !text.contains("..")
        && !text.starts_with(['-', '.', '/']);
    if is_good {
        Ok(text.to_owned())
    } else {
        Err(refused(
            text,
            "it is no revision; write a branch, a tag or a commit",
        ))
    }
}

fn checked_label(label: &str) -> Result<String> {
    let is_good = (1..=24).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_good {
        Ok(label.to_ascii_uppercase())
    } else {
        Err(refused(
            label,
            "it is no quantisation; write one such as Q4_K_M",
        ))
    }
}

fn fault_of_part(part: &str) -> Option<&'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if part.is_empty() || part.len() > LONGEST_PART {
        Some("owner and name have 1 to 96 characters each")
    } else if !part.bytes().all(is_plain) {
        Some("owner and name hold letters, digits, `-`, `_` and `.` only")
    } else if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
        Some("owner and name neither begin nor end with `-` or `.`")
    } else if part.contains("--") || part.contains("..") {
        Some("owner and name hold neither `--` nor `..`")
    } else {
        None
    }
}

fn has_ending(text: &str) -> bool {
    text.len() > 5 && text.to_ascii_lowercase().ends_with(".gguf")
}

fn refused(text: &str, why: &str) -> Error {
    Error::invalid_value(
        "model",
        format!("{} cannot be used: {why}.", quote(text)).replace("?.", "?"),
    )
}

/// Percent-encoding undone; what is no UTF-8 then stays as it was.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

/// Text as one segment of a path: everything but letters, digits and `-._~` is encoded; `keep` stays too.
pub(crate) fn encoded(text: &str, keep: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric()
                || b"-._~".contains(&byte)
                || keep.as_bytes().contains(&byte)
            {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Name> {
        Name::parse(text, &Address::parse("https://hub.example/mirror").unwrap())
    }

    fn hub(text: &str) -> (String, Choice, Option<String>) {
        match parse(text).unwrap() {
            Name::Hub {
                repository,
                choice,
                revision,
            } => (repository.to_string(), choice, revision),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn each_way_of_naming_a_model_is_understood() {
        let file = |path: &str| Choice::File(path.to_owned());
        assert_eq!(hub("o/n"), ("o/n".to_owned(), Choice::Only, None));
        assert_eq!(
            hub("o/n:q4_k_m").1,
            Choice::Quantization("Q4_K_M".to_owned())
        );
        assert_eq!(hub("o/n/sub/f.gguf").1, file("sub/f.gguf"));
        let by_url = hub("https://hub.example/mirror/o/n/blob/refs%2Fpr%2F1/f.gguf?download=true");
        assert_eq!(by_url.0, "o/n");
        let by_url = hub("https://hub.example/mirror/o/n/resolve/main/a/f.gguf");
        assert_eq!(
            by_url,
            ("o/n".to_owned(), file("a/f.gguf"), Some("main".to_owned()))
        );
        assert_eq!(hub("qwen2.5-0.5b").0, "Qwen/Qwen2.5-0.5B-Instruct-GGUF");
        assert!(matches!(
            parse("https://other.example/x.gguf"),
            Ok(Name::Url(_))
        ));
        for path in ["./x.gguf", "/a/b/c.gguf", "x.gguf", "models/x.gguf"] {
            assert!(matches!(parse(path), Ok(Name::Local(_))), "{path}");
        }
    }

    #[test]
    fn names_with_tricks_are_refused() {
        for text in [
            "",
            "o/",
            "/",
            "../../etc",
            "o/..",
            "o/n/../../../x.gguf",
            "o/n/a/../x.gguf",
            "o/n//x.gguf",
            "o/n/.hidden.gguf",
            "o/n/a\\b.gguf",
            "o/n/a\nb.gguf",
            "o/n/-rf.gguf",
            "o/n/x.bin",
            "o--x/n",
            "o/n--m",
            "o/n:Q4/../x",
            "o/n:",
            "o/n:Q4_0/x.gguf",
            "o%2e%2e/n",
            "http://other.example/x.gguf",
            "https://other.example/x.html",
            "https://other.example/%2e%2e",
            "https://hub.example/mirror/o/n/resolve/main/..%2f..%2fx.gguf",
            "ftp://other.example/x.gguf",
        ] {
            let parsed = parse(text);
            assert!(
                parsed.is_err()
                    || matches!(parsed, Ok(Name::Local(_))) && text.starts_with(['.', '/']),
                "{text}: {parsed:?}"
            );
        }
    }

    #[test]
    fn a_curated_name_that_is_nearly_right_is_answered_with_the_right_one() {
        let error = parse("qwen3-06b").unwrap_err();
        assert!(
            error.message().contains("did you mean qwen3-0.6b"),
            "{error}"
        );
    }
}
