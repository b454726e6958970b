//! `tollgate config`: checks the configuration, shows what is in force, and prints its reference.

use clap::{Args, Subcommand};
use tollgate_config::{Config, json_schema, reference};

use crate::{
    Exit,
    settings::Options,
    terminal::{data, say},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List every mistake in the configuration, with its place and what to do about it.
    Check,
    /// Print the configuration in force, defaults included, secrets masked.
    Show,
    /// Print the reference of all settings.
    Reference,
    /// Print the JSON Schema of the configuration file, for editors.
    Schema,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match arguments.action {
        Action::Check => check(&arguments.options),
        Action::Show => match arguments.options.load(None) {
            Ok(loaded) => {
                data(&loaded.config.effective_toml());
                Exit::Success
            }
            Err(exit) => exit,
        },
        Action::Reference => {
            data(&reference());
            Exit::Success
        }
        Action::Schema => {
            data(&json_schema());
            Exit::Success
        }
    }
}

fn check(options: &Options) -> Exit {
    match Config::load(&options.sources(None)) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                data(&warning.to_string());
            }
            let file = match &loaded.file {
                Some(file) => format!("{} is good", file.display()),
                None => "There is no configuration file; the defaults are good".to_owned(),
            };
            say(&format!(
                "{file}: {} providers, {} routes.",
                loaded.config.providers.len(),
                loaded.config.routes.len()
            ));
            Exit::Success
        }
        Err(mistakes) => {
            for mistake in &mistakes {
                data(&mistake.to_string());
            }
            let errors = mistakes.iter().filter(|mistake| mistake.is_error()).count();
            say(&format!(
                "{errors} {} to mend.",
                if errors == 1 { "mistake" } else { "mistakes" }
            ));
            Exit::Usage
        }
    }
}
