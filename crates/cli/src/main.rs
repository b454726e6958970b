//! The command line. Arguments and exit codes are decided here; each subcommand has a file in `cmd/`.

mod cmd;
mod detect;
mod keys;
mod logging;
mod prices;
mod settings;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An LLM API in one binary: many providers behind one key.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Serve(cmd::serve::Arguments),
    /// Talk to a model from the terminal.
    Chat(cmd::chat::Arguments),
    /// Check and show the configuration.
    Config(cmd::config::Arguments),
    /// List the providers: what each offers, what is switched on, and how to switch on the others.
    Providers(cmd::providers::Arguments),
    /// Translate a request without sending it, and name what is lost.
    Explain(cmd::explain::Arguments),
    /// Try the channels of alerts.
    Alerts(cmd::alerts::Arguments),
    /// Make keys.
    Keys(cmd::keys::Arguments),
    /// Show, compare and update the prices.
    Prices(cmd::prices::Arguments),
    /// Keep providers' credentials encrypted in the data folder.
    Vault(cmd::vault::Arguments),
    /// Find leaked keys in files, or in what is about to be committed.
    Scan(cmd::scan::Arguments),
}

/// Why the program ended, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    /// What was asked for could not be done.
    Failure = 1,
    /// The arguments or the configuration are wrong.
    Usage = 2,
    /// The data folder was written by another version.
    DataVersion = 3,
}

fn main() -> ExitCode {
    let exit = match Arguments::parse().command {
        Command::Serve(arguments) => cmd::serve::run(&arguments),
        Command::Chat(arguments) => cmd::chat::run(&arguments),
        Command::Config(arguments) => cmd::config::run(&arguments),
        Command::Providers(arguments) => cmd::providers::run(&arguments),
        Command::Explain(arguments) => cmd::explain::run(&arguments),
        Command::Alerts(arguments) => cmd::alerts::run(&arguments),
        Command::Keys(arguments) => cmd::keys::run(&arguments),
        Command::Prices(arguments) => cmd::prices::run(&arguments),
        Command::Vault(arguments) => cmd::vault::run(&arguments),
        Command::Scan(arguments) => cmd::scan::run(&arguments),
    };
    ExitCode::from(exit as u8)
}
