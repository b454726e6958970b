//! The command line. Arguments and exit codes are decided here; each subcommand has a file in `cmd/`.

mod cmd;
mod desk;
mod detect;
mod filter;
mod keys;
mod ledger;
mod logging;
mod prices;
mod settings;
mod shelf;
mod shown;
mod standing;
mod table;
mod terminal;
mod time;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Calls are made of many small pieces: with the C library's allocator a seventh of a call's time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Make, show, change, rotate and revoke keys.
    Keys(cmd::keys::Arguments),
    /// Make, show, change and delete teams.
    Teams(cmd::teams::Arguments),
    /// Make, show, change and delete projects.
    Projects(cmd::projects::Arguments),
    /// Set, list and remove budgets, and say whether a call would fit.
    Budgets(cmd::budgets::Arguments),
    /// Set, list and remove limits.
    Limits(cmd::limits::Arguments),
    /// Report what was used and spent, and project it.
    Usage(cmd::usage::Arguments),
    /// Export, check and complete the record of every attempt.
    Ledger(cmd::ledger::Arguments),
    /// List who changed what, and check that the log of it is whole.
    Audit(cmd::audit::Arguments),
    /// Show, compare and update the prices.
    Prices(cmd::prices::Arguments),
    /// Keep providers' credentials encrypted in the data folder.
    Vault(cmd::vault::Arguments),
    /// Show what the next token after a prompt is drawn from, and what each sampling parameter does to it.
    Sample(cmd::sample::Arguments),
    /// Get, list, show, check and remove model files for the local engine.
    Models(cmd::models::Arguments),
    /// Count the tokens of a text or a request.
    Tokens(cmd::tokens::Arguments),
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
        Command::Teams(arguments) => cmd::teams::run(&arguments),
        Command::Projects(arguments) => cmd::projects::run(&arguments),
        Command::Budgets(arguments) => cmd::budgets::run(&arguments),
        Command::Limits(arguments) => cmd::limits::run(&arguments),
        Command::Usage(arguments) => cmd::usage::run(&arguments),
        Command::Ledger(arguments) => cmd::ledger::run(&arguments),
        Command::Audit(arguments) => cmd::audit::run(&arguments),
        Command::Prices(arguments) => cmd::prices::run(&arguments),
        Command::Vault(arguments) => cmd::vault::run(&arguments),
        Command::Sample(arguments) => cmd::sample::run(&arguments),
        Command::Models(arguments) => cmd::models::run(&arguments),
        Command::Tokens(arguments) => cmd::tokens::run(&arguments),
        Command::Scan(arguments) => cmd::scan::run(&arguments),
    };
    ExitCode::from(exit as u8)
}
