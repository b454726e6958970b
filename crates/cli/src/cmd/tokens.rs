//! `tollgate tokens`: counts the tokens of a text or of a whole request, the way admission does.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use tollgate_base::{Error, Result, quote};
use tollgate_config::BUILT_IN_PROVIDER;
use tollgate_dialect::{Dialect, RawObject};
use tollgate_engine::Prompt;
use tollgate_tokens::{ConversationCounter, Method};

use super::explain::{dialect, unknown};
use crate::{
    Exit,
    desk::complain,
    settings::Options,
    shelf,
    terminal::{data, say},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// PROVIDER/MODEL: whose tokens
    #[arg(long, value_name = "PROVIDER/MODEL")]
    model: String,
    /// Count a whole request of this dialect: openai-chat, openai-responses, anthropic-messages, gemini, …
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Options,
    /// The text, or with --dialect the request's JSON; `-` reads standard input
    #[arg(default_value = "-")]
    file: PathBuf,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Counted {
    tokens: u64,
    /// What admission would hold: never less than the tokens.
    at_most: u64,
    exact: bool,
    encoding: String,
    /// By how many percent the true count of ordinary text may be above, where the method is an estimate.
    error_percent: Option<u8>,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match arguments.count() {
        Ok(counted) => {
            data(&if arguments.json {
                serde_json::to_string(&counted).unwrap_or_default()
            } else {
                counted.tokens.to_string()
            });
            say(&counted.method());
            Exit::Success
        }
        Err(Failed::Said(exit)) => exit,
        Err(Failed::Unsaid(error)) => complain(&error),
    }
}

enum Failed {
    Said(Exit),
    Unsaid(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Unsaid(error)
    }
}

impl Arguments {
    fn count(&self) -> Result<Counted, Failed> {
        let (provider, model) = self.model.split_once('/').ok_or_else(|| {
            let message = format!(
                "{} names no model. Write it as `openai/gpt-4o`.",
                quote(&self.model)
            );
            Error::invalid_value("--model", message)
        })?;
        let config = self.options.load(None).map_err(Failed::Said)?.config;
        let kind = config
            .providers
            .get(provider)
            .map_or(provider, |known| &known.row.id);
        let text = read(&self.file)?;
        if provider == BUILT_IN_PROVIDER {
            return Ok(self.count_here(model, &config.data_dir, text)?);
        }
        let counter = ConversationCounter::for_model(kind, model);
        let (tokens, at_most) = match &self.dialect {
            None => (
                counter.text().count(&text),
                counter.text().upper_bound(&text),
            ),
            Some(name) => {
                let dialect: Dialect = dialect(name).ok_or_else(|| unknown("dialect", name))?;
                let raw = RawObject::parse(text.into())?;
                tollgate_gateway::request_tokens(dialect, &raw, &counter)?
            }
        };
        let (encoding, error_percent) = match counter.text().method() {
            Method::Exact(encoding) => (encoding, None),
            Method::Approximate { encoding, percent } => (encoding, Some(percent)),
        };
        Ok(Counted {
            tokens,
            at_most,
            exact: error_percent.is_none(),
            encoding: format!("{encoding:?}"),
            error_percent,
        })
    }
}

impl Arguments {
    /// By the tokenizer, and of a request the template, of a model of this machine.
    fn count_here(&self, model: &str, data_dir: &Path, text: String) -> Result<Counted> {
        let engine = shelf::engine(model, data_dir)?;
        let prompt = match &self.dialect {
            None => Prompt::Raw(text),
            Some(name) => {
                let dialect: Dialect = dialect(name).ok_or_else(|| unknown("dialect", name))?;
                tollgate_gateway::local_prompt(dialect, &RawObject::parse(text.into())?, model)?
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| Error::internal(format!("Cannot start: {error}.")))?;
        let counted = runtime
            .block_on(engine.count(&prompt))
            .map_err(|error| Error::invalid_value("file", error.sentence()))?;
        Ok(Counted {
            tokens: counted as u64,
            at_most: counted as u64,
            exact: true,
            encoding: model.to_owned(),
            error_percent: None,
        })
    }
}

impl Counted {
    fn method(&self) -> String {
        match self.error_percent {
            None => format!(
                "Counted with the model's own encoding, {}; at most {}.",
                self.encoding, self.at_most
            ),
            Some(percent) => format!(
                "Estimated from {}: ordinary text may be up to {percent} % more; at most {}.",
                self.encoding, self.at_most
            ),
        }
    }
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|error| {
        Error::invalid_value(
            "file",
            format!("{} cannot be read: {error}.", file.display()),
        )
    })
}
