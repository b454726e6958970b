//! `tollgate alerts`: says something through the channels of alerts, to see whether it arrives.

use clap::{Args, Subcommand};
use tollgate_alerts::{Alert, channels};
use tollgate_base::{Clock as _, SystemClock};

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
    /// Send a test through each channel, or through one. The service need not run.
    Test {
        /// A name of `[alerts.<name>]` [default: all of them]
        name: Option<String>,
        #[command(flatten)]
        options: Options,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let Action::Test { name, options } = &arguments.action;
    test(name.as_deref(), options)
        .err()
        .unwrap_or(Exit::Success)
}

fn test(name: Option<&str>, options: &Options) -> Result<(), Exit> {
    let config = options.load(None)?.config;
    let mut channels = channels(&config.alerts).map_err(|error| {
        say(error.message());
        Exit::Usage
    })?;
    channels.retain(|channel| name.is_none_or(|name| channel.name() == name));
    if channels.is_empty() {
        say(&match name {
            Some(name) => format!("There is no channel `{name}`; write [alerts.{name}]."),
            None => {
                "There is no channel; write [alerts.<name>], as docs/alerts.md shows.".to_owned()
            }
        });
        return Err(Exit::Usage);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            say(&format!("The runtime could not be started: {error}"));
            Exit::Failure
        })?;
    let mut all_arrived = true;
    for channel in &channels {
        let now = SystemClock.now();
        let alert = Alert::test(channel.name(), now);
        match runtime.block_on(channel.deliver(&alert, now)) {
            Ok(()) => data(&format!("{}: accepted ({})", channel.name(), alert.id)),
            Err(reason) => {
                all_arrived = false;
                say(&format!("{}: {reason}", channel.name()));
            }
        }
    }
    if all_arrived {
        Ok(())
    } else {
        Err(Exit::Failure)
    }
}
