//! `tollgate models`: gets model files for the local engine, and shows, checks and removes them.

mod list;
mod progress;
mod pull;
mod show;

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, stdin},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde::Serialize;
use tollgate_base::{Error, Result};
use tollgate_config::HubSettings;
use tollgate_hub::{Checked, Installed, Origin, Store, shown_size};

use self::progress::Progress;
use crate::{
    Exit,
    desk::complain,
    settings::{Options, environment},
    table::plain,
    terminal::{data, say, write_data},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Get a model file, or go on where an earlier pull ended.
    Pull(Pull),
    /// List the models that are here.
    List {
        /// List good small models to pull instead
        #[arg(long)]
        curated: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Show what is known of a model: where it came from, what its file says, what running it takes.
    Show {
        /// A model that is here, or the path of a GGUF file
        model: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Hash a model's file again, or every model's, and compare.
    Verify {
        /// A model that is here [default: all of them]
        model: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Remove a model's file, or what is here of an unfinished one.
    Rm {
        model: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Debug, Args)]
struct Pull {
    /// A name of `models list --curated`, owner/name, owner/name:Q4_K_M, owner/name/file.gguf, a URL, or a path
    model: String,
    /// A branch, tag or commit [default: main]
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// A Hugging Face compatible hub [default: models.hub, HF_ENDPOINT, or https://huggingface.co]
    #[arg(long, value_name = "URL")]
    hub: Option<String>,
    /// The file that holds the hub's token [default: models.token_file, or the variable HF_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON: an object a line, the last of which is the model
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Options,
}

/// What the actions work with.
struct Room {
    store: Store,
    hub: HubSettings,
    environment: BTreeMap<String, String>,
}

/// What `--json` prints of a model that is here.
#[derive(Serialize)]
struct ModelOut<'a> {
    name: &'a str,
    path: String,
    is_present: bool,
    size: u64,
    sha256: &'a str,
    /// Whether the hub named this checksum itself.
    sha256_is_published: bool,
    pulled_at: u64,
    licence: Option<&'a str>,
    origin: &'a Origin,
    facts: &'a tollgate_hub::Facts,
    memory: tollgate_hub::Memory,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let config = match arguments.action.options().load(None) {
        Ok(loaded) => loaded.config,
        Err(exit) => return exit,
    };
    let room = Room {
        store: Store::new(&config.data_dir),
        hub: config.hub,
        environment: environment(),
    };
    arguments
        .action
        .run(&room)
        .unwrap_or_else(|error| complain(&error))
}

impl Action {
    fn options(&self) -> &Options {
        match self {
            Action::Pull(Pull { options, .. })
            | Action::List { options, .. }
            | Action::Show { options, .. }
            | Action::Verify { options, .. }
            | Action::Rm { options, .. } => options,
        }
    }

    fn run(&self, room: &Room) -> Result<Exit> {
        match self {
            Action::Pull(pull) => pull.run(room),
            Action::List {
                curated: true,
                json,
                ..
            } => Ok(list::curated_models(*json)),
            Action::List { json, .. } => list::models(&room.store, *json),
            Action::Show { model, json, .. } => show::run(&room.store, model, *json),
            Action::Verify { model, json, .. } => verify(&room.store, model.as_deref(), *json),
            Action::Rm { model, yes, .. } => remove(&room.store, model, *yes),
        }
    }
}

impl<'a> ModelOut<'a> {
    fn of(model: &'a Installed) -> Self {
        let manifest = &model.manifest;
        Self {
            name: model.name(),
            path: model.path.display().to_string(),
            is_present: model.is_present(),
            size: manifest.size,
            sha256: &manifest.sha256,
            sha256_is_published: manifest.is_published,
            pulled_at: manifest.pulled_at,
            licence: manifest.licence.as_deref(),
            origin: &manifest.origin,
            facts: &manifest.facts,
            memory: tollgate_hub::memory(manifest.size, &manifest.facts),
        }
    }
}

fn print_json(value: &impl Serialize) {
    data(&serde_json::to_string(value).unwrap_or_default());
}

/// What `verify --json` prints of a model.
#[derive(Serialize)]
struct VerifiedOut<'a> {
    name: &'a str,
    is_sound: bool,
    sha256: &'a str,
    found: Option<&'a str>,
}

fn verify(store: &Store, model: Option<&str>, json: bool) -> Result<Exit> {
    let models = match model {
        Some(name) => store.all_named(name)?,
        None => store.list()?,
    };
    let mut results = Vec::new();
    for model in &models {
        let mut progress = Progress::for_people_only(json);
        progress.begin(model.name(), Some(model.manifest.size), 0);
        let checked = store.verify(model, |n_bytes| progress.has(n_bytes))?;
        progress.end();
        results.push((model, checked));
    }
    if json {
        let out = results.iter().map(|(model, checked)| VerifiedOut {
            name: model.name(),
            is_sound: *checked == Checked::Sound,
            sha256: &model.manifest.sha256,
            found: match checked {
                Checked::Changed { found } => Some(found),
                Checked::Sound | Checked::Missing => None,
            },
        });
        print_json(&out.collect::<Vec<_>>());
    } else {
        for (model, checked) in &results {
            let name = plain(model.name());
            data(&match checked {
                Checked::Sound => format!("{name}: sound"),
                Checked::Missing => format!("{name}: its file is missing; pull it again"),
                Checked::Changed { found } => format!(
                    "{name}: its bytes changed (SHA-256 {found}, {} when it came); remove it and pull it again",
                    model.manifest.sha256
                ),
            });
        }
    }
    let is_all_sound = results
        .iter()
        .all(|(_, checked)| *checked == Checked::Sound);
    Ok(if is_all_sound {
        Exit::Success
    } else {
        Exit::Failure
    })
}

fn remove(store: &Store, name: &str, yes: bool) -> Result<Exit> {
    let unfinished: Vec<_> = store
        .unfinished()?
        .into_iter()
        .filter(|one| one.name == name || one.name.rsplit('/').next() == Some(name))
        .collect();
    let models = match store.all_named(name) {
        Ok(models) => models,
        // There may be no more of it than its beginning.
        Err(error) if unfinished.is_empty() => return Err(error),
        Err(_) => Vec::new(),
    };
    for model in &models {
        say(&match &model.manifest.origin {
            Origin::Local { path } => format!(
                "Forgets {}. Its file {} stays where it is.",
                plain(model.name()),
                path.display()
            ),
            Origin::Hub { .. } | Origin::Url { .. } => format!(
                "Deletes {} ({}).",
                model.path.display(),
                shown_size(model.manifest.size)
            ),
        });
    }
    for one in &unfinished {
        say(&format!(
            "Deletes {} of the unfinished {}.",
            shown_size(one.have),
            plain(&one.name)
        ));
    }
    if !yes && !agreed() {
        say("Nothing was removed. Run it again with --yes to remove it.");
        return Ok(Exit::Failure);
    }
    for model in &models {
        store.remove(model)?;
    }
    for one in &unfinished {
        store.remove_unfinished(one)?;
    }
    say(&format!("Removed {}.", plain(name)));
    Ok(Exit::Success)
}

/// Asks, where there is somebody to ask.
fn agreed() -> bool {
    if !stdin().is_terminal() {
        return false;
    }
    write_data("Remove it? [y/N] ");
    let mut answer = String::new();
    stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Wrong settings in words that name where they stand.
fn wrong(setting: &'static str, message: String) -> Error {
    Error::invalid_value(setting, message)
}
