//! `tollgate models pull`: which hub, which token, and what is said while the bytes come.

use std::path::Path;

use serde::Serialize;
use tollgate_base::{Clock as _, Error, Result, Secret, SystemClock};
use tollgate_hub::{
    Address, Event, Hub, HubOptions, LocalDisk, PUBLIC_HUB, Patience, Pulled, Puller, shown_size,
};

use super::{ModelOut, Progress, Pull, Room, print_json, wrong};
use crate::{Exit, table::plain, terminal::say};

/// The largest file that is read for a token.
const LARGEST_TOKEN: u64 = 4096;

/// What the last line of `pull --json` is.
#[derive(Serialize)]
struct PulledOut<'a> {
    event: &'static str,
    was_here: bool,
    note: Option<&'a str>,
    model: ModelOut<'a>,
}

impl Pull {
    pub(super) fn run(&self, room: &Room) -> Result<Exit> {
        let hub = Hub::new(HubOptions {
            base: Address::parse(self.hub_url(room))?,
            token: self.token(room)?,
            patience: Patience::default(),
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::internal(format!("No runtime: {error}.")))?;
        let mut progress = Progress::new(self.json);
        let puller = Puller {
            hub: &hub,
            store: &room.store,
            disk: &LocalDisk,
            now: SystemClock.now(),
        };
        let mut on = |event| show(&mut progress, event);
        let pulled = runtime.block_on(puller.pull(&self.model, self.revision.as_deref(), &mut on));
        progress.end();
        self.say(&pulled?);
        Ok(Exit::Success)
    }

    fn say(&self, pulled: &Pulled) {
        let model = &pulled.model;
        if self.json {
            return print_json(&PulledOut {
                event: "pulled",
                was_here: pulled.was_here,
                note: pulled.note.as_deref(),
                model: ModelOut::of(model),
            });
        }
        crate::terminal::data(&model.path.display().to_string());
        let name = plain(model.name());
        let size = shown_size(model.manifest.size);
        say(&match (pulled.was_here, model.manifest.is_published) {
            (true, _) => format!("{name} is here ({size})."),
            (false, true) => format!("{name} is here ({size}); its checksum is right."),
            (false, false) => format!(
                "{name} is here ({size}). Nobody published a checksum for it; what came has the SHA-256 {}.",
                model.manifest.sha256
            ),
        });
        if let Some(licence) = &model.manifest.licence {
            say(&format!("Licence: {}.", plain(licence)));
        }
        if let Some(note) = &pulled.note {
            say(&plain(note));
        }
    }

    fn hub_url<'a>(&'a self, room: &'a Room) -> &'a str {
        let in_environment = room
            .environment
            .get("HF_ENDPOINT")
            .filter(|url| !url.is_empty());
        self.hub
            .as_ref()
            .or(room.hub.url.as_ref())
            .or(in_environment)
            .map_or(PUBLIC_HUB, String::as_str)
    }

    fn token(&self, room: &Room) -> Result<Option<Secret>> {
        if let Some(file) = &self.token_file {
            return read_token(file).map(Some);
        }
        let in_environment = || {
            let text = room.environment.get("HF_TOKEN")?.trim();
            (!text.is_empty()).then(|| Secret::new(text))
        };
        Ok(room.hub.token.clone().or_else(in_environment))
    }
}

fn read_token(file: &Path) -> Result<Secret> {
    let fault = |what: String| wrong("--token-file", format!("{} {what}.", file.display()));
    let size = std::fs::metadata(file)
        .map_err(|error| fault(format!("cannot be read: {error}")))?
        .len();
    if size > LARGEST_TOKEN {
        return Err(fault("is too large to be a token".to_owned()));
    }
    let text =
        std::fs::read_to_string(file).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(fault(
            "holds no token; write the token alone into it".to_owned(),
        ));
    }
    Ok(Secret::new(token))
}

fn show(progress: &mut Progress, event: Event) {
    match event {
        Event::Begins { name, size, have } => progress.begin(&name, size, have),
        Event::Rereads(n_bytes) => progress.rereads(n_bytes),
        Event::Has(n_bytes) => progress.has(n_bytes),
        Event::Restarts(reason) => {
            progress.note("restarts", &format!("Beginning anew: {reason}"));
        }
        Event::Retries { reason, pause } => {
            let pause = pause.as_secs_f32();
            progress.note(
                "retries",
                &format!("{reason} Trying again in {pause:.0} s."),
            );
        }
        _ => {}
    }
}
