//! The vault's key, and the credentials in it that providers name.

use std::path::Path;

use tollgate_vault::{MasterKey, Vault};

use crate::draft::Draft;
use crate::findings::Findings;
use crate::mistake::{Place, Severity};
use crate::resolve::Surroundings;

/// The variable that holds the vault's key, unless a file does.
const VARIABLE: &str = "TOLLGATE_VAULT_KEY";

/// The keys that credentials are sealed under.
#[derive(Clone, Debug, Default)]
pub struct VaultKeys {
    /// What new credentials are sealed under; without it there is no vault.
    pub current: Option<MasterKey>,
    /// What a rotation has not reached yet.
    pub former: Vec<MasterKey>,
}

impl VaultKeys {
    /// The vault of a data folder.
    pub fn open(&self, data_dir: &Path) -> Option<Vault> {
        let current = self.current.clone()?;
        Some(Vault::new(data_dir, current, self.former.clone()))
    }
}

pub(crate) fn keys(
    draft: &Draft,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> VaultKeys {
    let mut of_file = |setting: &'static str, file: Option<&std::path::PathBuf>| {
        let read = MasterKey::from_file(setting, &around.resolve(file?));
        read.map_err(|error| findings.error(setting, error.message(), ""))
            .ok()
    };
    let current = of_file("vault.key_file", draft.vault_key_file.as_ref());
    let former = of_file(
        "vault.former_key_file",
        draft.vault_former_key_file.as_ref(),
    );
    VaultKeys {
        current: current.or_else(|| in_environment(draft, around, findings)),
        former: former.into_iter().collect(),
    }
}

fn in_environment(
    draft: &Draft,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<MasterKey> {
    let text = around.environment.get(VARIABLE)?;
    if draft.vault_key_file.is_some() {
        return None;
    }
    match MasterKey::from_text(VARIABLE, text) {
        Ok(key) => Some(key),
        Err(error) => {
            findings.elsewhere(
                Severity::Error,
                Place::Environment(VARIABLE.to_owned()),
                error.message().to_owned(),
                "make one with `tollgate vault key`".to_owned(),
            );
            None
        }
    }
}

/// A credential of the vault, by its name.
pub(crate) fn credential(
    at: &str,
    name: &str,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<String> {
    let Some(vault) = around.vault.get().and_then(Option::as_ref) else {
        let hint = format!("set {VARIABLE}, or `vault.key_file`");
        findings.error(
            at,
            "names a credential of the vault, which has no key",
            hint,
        );
        return None;
    };
    match vault.get(name) {
        Ok(Some(secret)) => Some(secret.expose().to_owned()),
        Ok(None) => {
            let hint = format!("put it there with `tollgate vault put {name}`");
            findings.error(at, "names a credential that is not in the vault", hint);
            None
        }
        Err(error) => {
            findings.error(at, error.message().to_owned(), "");
            None
        }
    }
}
