//! Provider keys: where each is taken from, and whether it can be one.
//!
//! A key is read once, here, from the settings file, the environment or a file of its own. No message
//! holds any part of it.

use std::path::{Path, PathBuf};

use tollgate_base::Secret;
use tollgate_catalog::ProviderRow;

use crate::draft::ProviderDraft;
use crate::findings::Findings;
use crate::resolve::Surroundings;
use crate::vault;

/// Larger than any key; a file beyond it is something else.
const LARGEST_KEY_FILE: u64 = 16 << 10;

/// What stands in examples, in lower case.
const PLACEHOLDERS: [&str; 14] = [
    "changeme",
    "change-me",
    "change_me",
    "sk-1234",
    "sk-...",
    "sk-xxx",
    "your-api-key",
    "your_api_key",
    "your-key-here",
    "your_key_here",
    "yourkey",
    "xxx",
    "todo",
    "replace-me",
];

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    Blank,
    Unsendable,
    Placeholder,
}

// === impl KeyFault ===

impl KeyFault {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Blank => "the key is empty",
            Self::Unsendable => "the key holds blanks, line breaks or letters outside ASCII",
            Self::Placeholder => "the key is a placeholder",
        }
    }
}

/// A key without the blanks and the line end around it.
pub(crate) fn check(text: &str) -> Result<Secret, KeyFault> {
    let key = text.trim();
    if key.is_empty() {
        return Err(KeyFault::Blank);
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyFault::Unsendable);
    }
    let lower = key.to_ascii_lowercase();
    let dots_or_x = lower.bytes().all(|byte| b".x*".contains(&byte));
    if PLACEHOLDERS.contains(&lower.as_str())
        || dots_or_x
        || (key.starts_with('<') && key.ends_with('>'))
    {
        return Err(KeyFault::Placeholder);
    }
    Ok(Secret::new(key))
}

/// The first of a row's variables that is set, with its value.
pub(crate) fn in_environment<'e>(
    row: &'e ProviderRow,
    around: &'e Surroundings<'_>,
) -> Option<(&'e str, &'e str)> {
    row.key_env.iter().find_map(|name| {
        let value = around.environment.get(name)?;
        (!value.trim().is_empty()).then_some((name.as_str(), value.as_str()))
    })
}

/// The key of a provider of the file: from the one source that it names, else from its row's variables.
pub(crate) fn of_provider(
    path: &str,
    draft: &ProviderDraft,
    row: &ProviderRow,
    is_required: bool,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<Secret> {
    let written: Vec<&str> = ["api_key", "api_key_env", "api_key_file", "api_key_vault"]
        .into_iter()
        .filter(|source| findings.was_written(&format!("{path}.{source}")))
        .collect();
    if let [first, .., last] = written.as_slice() {
        findings.error(
            &format!("{path}.{last}"),
            format!("the key has two sources: `{first}` and `{last}`"),
            "keep one of them",
        );
        return None;
    }
    let at = written
        .first()
        .map_or_else(|| path.to_owned(), |source| format!("{path}.{source}"));
    let text = if let Some(key) = &draft.api_key {
        Some(key.expose().to_owned())
    } else if let Some(variable) = &draft.api_key_env {
        from_variable(&at, variable, around, findings)
    } else if let Some(file) = &draft.api_key_file {
        from_file(&at, &around.resolve(file), findings)
    } else if let Some(name) = &draft.api_key_vault {
        vault::credential(&at, name, around, findings)
    } else if written.is_empty() {
        let found = in_environment(row, around);
        if found.is_none() && is_required && draft.enabled {
            findings.error(&at, "no key", how_to_give_one(row));
        }
        found.map(|(_, value)| value.to_owned())
    } else {
        None
    };
    match check(&text?) {
        Ok(key) => Some(key),
        Err(fault) if fault == KeyFault::Placeholder && row.key_optional => {
            findings.warning(&at, fault.message(), "a server without keys needs none");
            None
        }
        Err(fault) => {
            findings.error(&at, fault.message(), how_to_give_one(row));
            None
        }
    }
}

fn how_to_give_one(row: &ProviderRow) -> String {
    match row.key_env.first() {
        Some(variable) => {
            format!("set the environment variable {variable}, or name another with `api_key_env`")
        }
        None => "name the environment variable that holds it with `api_key_env`".to_owned(),
    }
}

pub(crate) fn from_variable(
    at: &str,
    variable: &str,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<String> {
    if !is_variable_name(variable) {
        // Most likely the key itself, so nothing of it is repeated.
        findings.hide_setting(at);
        findings.error(
            at,
            "is not the name of an environment variable",
            "write the name, such as \"MY_KEY\", not the key",
        );
        return None;
    }
    match around.environment.get(variable) {
        Some(value) if !value.trim().is_empty() => Some(value.clone()),
        Some(_) => {
            findings.error(
                at,
                format!("the environment variable {variable} is empty"),
                "set it to the key",
            );
            None
        }
        None => {
            findings.error(
                at,
                format!("the environment variable {variable} is not set"),
                "set it to the key",
            );
            None
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        // Keys are long and mixed; a long name in mixed case is not a variable that anyone has.
        && (name.len() <= 40 || name.to_ascii_uppercase() == name)
}

pub(crate) fn from_file(at: &str, file: &Path, findings: &mut Findings<'_>) -> Option<String> {
    let shown = PathBuf::from(file);
    let shown = shown.display();
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) => {
            findings.error(
                at,
                format!("cannot read {shown}: {}", reason(&error)),
                "write the key into it, mode 0600",
            );
            return None;
        }
    };
    if !metadata.is_file() {
        findings.error(
            at,
            format!("{shown} is not a file"),
            "name the file that holds the key",
        );
        return None;
    }
    if metadata.len() > LARGEST_KEY_FILE {
        findings.error(
            at,
            format!("{shown} is too large to be a key"),
            "name the file that holds the key alone",
        );
        return None;
    }
    match readers(&metadata) {
        Readers::Owner => {}
        Readers::Group => findings.warning(
            at,
            format!("the group can read {shown}"),
            format!("chmod 600 {shown}"),
        ),
        Readers::Everyone => {
            findings.error(
                at,
                format!("everyone on this machine can read {shown}"),
                format!("chmod 600 {shown}"),
            );
        }
    }
    match std::fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) => {
            findings.error(
                at,
                format!("cannot read {shown}: {}", reason(&error)),
                "write the key into it, mode 0600",
            );
            None
        }
    }
}

/// Who can read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    Owner,
    Group,
    Everyone,
}

#[cfg(unix)]
pub(crate) fn readers(metadata: &std::fs::Metadata) -> Readers {
    use std::os::unix::fs::PermissionsExt;
    match metadata.permissions().mode() {
        mode if mode & 0o004 != 0 => Readers::Everyone,
        mode if mode & 0o040 != 0 => Readers::Group,
        _ => Readers::Owner,
    }
}

#[cfg(not(unix))]
pub(crate) fn readers(_metadata: &std::fs::Metadata) -> Readers {
    Readers::Owner
}

/// An IO error in words, without the number that the system gives it.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error")
                .next()
                .unwrap_or_default()
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_broken_keys_are_no_keys() {
        for (text, fault) in [
            ("", KeyFault::Blank),
            (" \n", KeyFault::Blank),
            ("changeme", KeyFault::Placeholder),
            ("CHANGEME", KeyFault::Placeholder),
            ("sk-1234", KeyFault::Placeholder),
            ("xxxxxxxx", KeyFault::Placeholder),
            ("...", KeyFault::Placeholder),
            ("<your key>", KeyFault::Unsendable),
            ("<key>", KeyFault::Placeholder),
            ("sk-a b", KeyFault::Unsendable),
            ("sk-a\nb", KeyFault::Unsendable),
            ("sk-é", KeyFault::Unsendable),
        ] {
            assert_eq!(check(text).err(), Some(fault), "{text}");
        }
        assert_eq!(check("sk-canary\n").unwrap().expose(), "sk-canary");
    }

    #[test]
    fn a_key_is_not_taken_for_a_variable() {
        for name in ["OPENAI_API_KEY", "my_key", "_K1"] {
            assert!(is_variable_name(name), "{name}");
        }
        for key in [
            "sk-canary",
            "",
            "1KEY",
            "gskAbcdefghijklmnopqrstuvwxyz0123456789abcdefgh",
        ] {
            assert!(!is_variable_name(key), "{key}");
        }
    }
}
