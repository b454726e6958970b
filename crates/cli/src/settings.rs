//! The settings as the command line, the environment and the file give them.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use tollgate_config::{Config, FileSource, Loaded, Overrides, Sources, VaultKeys};

use crate::{Exit, terminal::say};

/// The file that is read when none is named: in the working folder.
const DEFAULT_FILE: &str = "tollgate.toml";

/// Options that several subcommands share.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The configuration file [default: tollgate.toml, when there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the database [default: $XDG_DATA_HOME/tollgate or ~/.local/share/tollgate]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Options {
    /// Reads everything; what is wrong is said, and ends the program.
    pub(crate) fn load(&self, listen: Option<String>) -> Result<Loaded, Exit> {
        let loaded = Config::load(&self.sources(listen)).map_err(|mistakes| {
            for mistake in &mistakes {
                say(&mistake.to_string());
            }
            Exit::Usage
        })?;
        for warning in &loaded.warnings {
            say(&warning.to_string());
        }
        Ok(loaded)
    }

    /// Where the data is, and what its vault is sealed under.
    pub(crate) fn vault(&self) -> tollgate_base::Result<(PathBuf, VaultKeys)> {
        Config::vault(&self.sources(None)).map_err(|mistakes| {
            let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            tollgate_base::Error::invalid_value("vault", all.join("\n"))
        })
    }

    /// Where settings come from.
    pub(crate) fn sources(&self, listen: Option<String>) -> Sources {
        let file = match &self.config {
            Some(path) => FileSource::Named(path.clone()),
            None => FileSource::IfPresent(PathBuf::from(DEFAULT_FILE)),
        };
        Sources {
            file,
            environment: environment(),
            overrides: Overrides {
                listen,
                data_dir: self.data.clone(),
            },
        }
    }
}

/// The environment, read here and nowhere else. A variable that is no UTF-8 can hold neither a key nor a
/// folder of ours.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
