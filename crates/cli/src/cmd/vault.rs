//! `tollgate vault`: providers' credentials, encrypted in the data folder.

use std::io::{IsTerminal as _, Read as _};

use clap::{Args, Subcommand};
use tollgate_base::{Error, Result, Secret};
use tollgate_vault::{MasterKey, Vault};

use crate::{
    Exit,
    settings::Options,
    terminal::{data, say},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a new key for the vault. It is not stored: put it into a file that `vault.key_file` names, or into
    /// TOLLGATE_VAULT_KEY.
    Key,
    /// Seal a credential, read from standard input, under a name that `api_key_vault` can name.
    Put {
        name: String,
        #[command(flatten)]
        options: Options,
    },
    /// List the names, never the credentials.
    List {
        #[command(flatten)]
        options: Options,
    },
    /// Take a credential out.
    Remove {
        name: String,
        #[command(flatten)]
        options: Options,
    },
    /// Seal everything under the present key that is under the former one.
    Rotate {
        #[command(flatten)]
        options: Options,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let done = match &arguments.action {
        Action::Key => MasterKey::generate().map(|key| data(&key)),
        Action::Put { name, options } => with(options, |vault| put(vault, name)),
        Action::List { options } => with(options, list),
        Action::Remove { name, options } => with(options, |vault| remove(vault, name)),
        Action::Rotate { options } => with(options, rotate),
    };
    match done {
        Ok(()) => Exit::Success,
        Err(error) => {
            say(error.message());
            Exit::Failure
        }
    }
}

/// Opens the vault that the settings name. Settings that name a credential which is not in it yet are no
/// hindrance to putting it there: only the vault's own settings and the data folder are asked for.
fn with(options: &Options, act: impl FnOnce(&Vault) -> Result<()>) -> Result<()> {
    let (data_dir, keys) = options.vault()?;
    let vault = keys.open(&data_dir).ok_or_else(|| {
        let message = "The vault has no key. Make one with `tollgate vault key`, and set TOLLGATE_VAULT_KEY or `vault.key_file`.";
        Error::invalid_value("vault.key_file", message)
    })?;
    act(&vault)
}

fn put(vault: &Vault, name: &str) -> Result<()> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        say("Paste the credential, then end the input with Ctrl-D.");
    }
    let mut text = String::new();
    input
        .read_to_string(&mut text)
        .map_err(|_| Error::invalid_value("stdin", "The credential cannot be read."))?;
    vault.put(name, &Secret::new(text.trim()))?;
    say(&format!("Sealed. Use it with api_key_vault = \"{name}\"."));
    Ok(())
}

fn list(vault: &Vault) -> Result<()> {
    for stored in vault.list()? {
        data(&format!(
            "{}\tversion {}\tkey {}",
            stored.name, stored.version, stored.key_id
        ));
    }
    Ok(())
}

fn remove(vault: &Vault, name: &str) -> Result<()> {
    if vault.remove(name)? {
        say(&format!("Removed {name}."));
        return Ok(());
    }
    Err(Error::invalid_value(
        "name",
        format!("There is no credential {name}. `tollgate vault list` names them."),
    ))
}

fn rotate(vault: &Vault) -> Result<()> {
    let sealed = vault.rotate()?;
    say(&format!(
        "{sealed} sealed under the present key. `vault.former_key_file` can go now."
    ));
    Ok(())
}
