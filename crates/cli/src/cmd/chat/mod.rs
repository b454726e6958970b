//! `tollgate chat`: a conversation with any model, from the terminal, one question or many.
//!
//! Without `--url` the gateway runs inside this process, with the same configuration as `tollgate serve`, so
//! that a fresh machine needs neither a service nor a key. Answers go to standard output as they come, and
//! nothing else does, so that the command can stand in a pipe.

mod conversation;
mod line;

use std::io::{IsTerminal as _, Read as _};

use clap::Args;
use rustyline::{DefaultEditor, error::ReadlineError};

use crate::{
    Exit,
    settings::Options,
    terminal::{data, say},
};
use conversation::Conversation;
use line::Line;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to say. Piped input is added to it; with neither, a conversation begins
    prompt: Vec<String>,
    /// The model [default: the configuration's default_model, else the built-in model]
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// The system prompt
    #[arg(short, long, value_name = "TEXT")]
    system: Option<String>,
    /// How freely tokens are drawn, 0 to 2
    #[arg(short, long, value_name = "NUMBER")]
    temperature: Option<f64>,
    /// Draw from the most likely tokens that make up this share
    #[arg(long, value_name = "NUMBER")]
    top_p: Option<f64>,
    /// The most tokens of an answer
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// The same seed gives the same answer, where the model can do that
    #[arg(long, value_name = "N")]
    seed: Option<i64>,
    /// End the answer before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// A running gateway to talk to; its key is read from TOLLGATE_KEY
    #[arg(long, value_name = "URL", env = "TOLLGATE_URL")]
    url: Option<String>,
    #[command(flatten)]
    options: Options,
}

const HELP: &str = "\
  /model NAME    talk to another model
  /system TEXT   set the system prompt; without text, remove it
  /clear         forget the conversation
  /quit          leave (as does Ctrl-D); Ctrl-C ends an answer";

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match chat(arguments) {
        Ok(()) => Exit::Success,
        Err(exit) => exit,
    }
}

fn chat(arguments: &Arguments) -> Result<(), Exit> {
    let loaded = arguments.options.load(None)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            say(&error.to_string());
            Exit::Failure
        })?;
    let default_model = loaded
        .config
        .default_model
        .clone()
        .unwrap_or_else(|| "tollgate-demo".to_owned());
    let line = runtime
        .block_on(Line::open(arguments.url.as_deref(), loaded.config))
        .map_err(|error| {
            say(error.message());
            Exit::Usage
        })?;
    let mut conversation = Conversation::new(line, arguments, default_model);
    match question(arguments)? {
        Some(question) => runtime.block_on(answer(&mut conversation, question)),
        None => talk(&runtime, &mut conversation),
    }
}

/// The question of the command line and of a pipe; none when a person sits at the terminal and asked nothing.
fn question(arguments: &Arguments) -> Result<Option<String>, Exit> {
    let mut parts = Vec::new();
    if !arguments.prompt.is_empty() {
        parts.push(arguments.prompt.join(" "));
    }
    if !std::io::stdin().is_terminal() {
        let mut piped = String::new();
        std::io::stdin()
            .read_to_string(&mut piped)
            .map_err(|error| {
                say(&format!("Cannot read the piped input: {error}."));
                Exit::Usage
            })?;
        if !piped.trim().is_empty() {
            parts.push(piped.trim_end().to_owned());
        } else if parts.is_empty() {
            say("There is nothing to ask: the piped input is empty.");
            return Err(Exit::Usage);
        }
    }
    Ok((!parts.is_empty()).then(|| parts.join("\n\n")))
}

async fn answer(conversation: &mut Conversation, question: String) -> Result<(), Exit> {
    match conversation.ask(question).await {
        Ok(()) => {
            data("");
            Ok(())
        }
        Err(error) => {
            say(error.message());
            Err(Exit::Failure)
        }
    }
}

fn talk(runtime: &tokio::runtime::Runtime, conversation: &mut Conversation) -> Result<(), Exit> {
    let mut editor = DefaultEditor::new().map_err(|error| {
        say(&error.to_string());
        Exit::Failure
    })?;
    say(&format!(
        "Talking to {}. /help lists the commands.",
        conversation.model()
    ));
    loop {
        let text = match editor.readline("> ") {
            Ok(text) => text.trim().to_owned(),
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => {
                say(&error.to_string());
                return Err(Exit::Failure);
            }
        };
        if text.is_empty() {
            continue;
        }
        if editor.add_history_entry(&text).is_err() {
            // Only the arrow keys lose this line.
        }
        match text
            .split_once(' ')
            .map_or((text.as_str(), ""), |(word, rest)| (word, rest.trim()))
        {
            ("/quit" | "/exit", _) => return Ok(()),
            ("/help", _) => say(HELP),
            ("/clear", _) => conversation.clear(),
            ("/model", "") => say(conversation.model()),
            ("/model", name) => conversation.set_model(name),
            ("/system", prompt) => conversation.set_system(prompt),
            (word, _) if word.starts_with('/') => {
                say("There is no such command. /help lists them.");
            }
            _ => {
                // A failed question is said and forgotten; the conversation goes on.
                if runtime.block_on(answer(conversation, text)).is_err() {
                    conversation.forget_last();
                }
            }
        }
    }
}
