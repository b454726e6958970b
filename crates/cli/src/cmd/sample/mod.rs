//! `tollgate sample`: what the next token after a prompt is drawn from, and what each sampling parameter does to it.

mod plot;
mod svg;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tollgate_base::{Error, Result, quote};
use tollgate_config::BUILT_IN_MODEL;
use tollgate_engine::{Candidate, Message, Prompt, Role, Sampling, Table};

use crate::{
    Exit,
    desk::complain,
    settings::Options,
    shelf,
    table::table,
    terminal::{data, say},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The text that the model goes on with
    #[arg(long)]
    prompt: String,
    /// A model of this machine: its name, or a GGUF file
    #[arg(long, default_value = BUILT_IN_MODEL)]
    model: String,
    /// Take the prompt as a user's message, in the model's own chat template
    #[arg(long)]
    chat: bool,
    /// 0 to 2: below 1 the likely become likelier, above 1 the unlikely do; 0 takes the likeliest
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
    /// Keep only the K likeliest tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value_t = 0)]
    top_k: u32,
    /// Keep the likeliest tokens whose probabilities reach P together
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f32,
    /// Keep tokens at least P times as likely as the likeliest
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    min_p: f32,
    /// Tokens to show, likeliest first
    #[arg(long, value_name = "N", default_value_t = 12)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=200))]
    rows: u32,
    /// Write the plot as SVG to this file too; `-` writes it to standard output, alone
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "svg")]
    json: bool,
    #[command(flatten)]
    options: Options,
}

/// A step of the way from the model's probabilities to those that a token is drawn by.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    of: fn(&Candidate) -> f64,
}

/// What is shown: the distribution, what was asked, and the steps of it.
struct Shown<'a> {
    arguments: &'a Arguments,
    table: Table,
    steps: Vec<Step>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Out<'a> {
    model: &'a str,
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    vocabulary_size: usize,
    n_after_top_k: usize,
    n_after_top_p: usize,
    n_after_min_p: usize,
    tokens: Vec<TokenOut>,
}

#[derive(Serialize)]
struct TokenOut {
    token: u32,
    text: String,
    logit: f32,
    before: f64,
    after_temperature: f64,
    after_top_k: f64,
    after_top_p: f64,
    after_min_p: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let data_dir = match arguments.options.load(None) {
        Ok(loaded) => loaded.config.data_dir,
        Err(exit) => return exit,
    };
    let shown = match arguments.look(&data_dir) {
        Ok(table) => Shown {
            arguments,
            table,
            steps: arguments.steps(),
        },
        Err(error) => return complain(&error),
    };
    shown.print().unwrap_or_else(|error| complain(&error))
}

impl Arguments {
    fn look(&self, data_dir: &Path) -> Result<Table> {
        let engine = shelf::engine(&self.model, data_dir)?;
        let prompt = if self.chat {
            Prompt::Messages(vec![Message {
                role: Role::User,
                content: self.prompt.clone(),
            }])
        } else {
            Prompt::Raw(self.prompt.clone())
        };
        let sampling = Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            ..Sampling::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| Error::internal(format!("Cannot start: {error}.")))?;
        let rows = usize::try_from(self.rows).unwrap_or(usize::MAX);
        runtime
            .block_on(engine.distribution(&prompt, &sampling, rows))
            .map_err(|error| Error::invalid_value("sample", error.sentence()))
    }

    /// Bias and penalties act before the temperature; this command sets none.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![
            Step {
                name: "model",
                of: |row| row.before,
            },
            Step {
                name: "temperature",
                of: |row| row.after_temperature,
            },
            Step {
                name: "top-k",
                of: |row| row.after_top_k,
            },
            Step {
                name: "top-p",
                of: |row| row.after_top_p,
            },
        ];
        if self.min_p > 0.0 {
            steps.push(Step {
                name: "min-p",
                of: |row| row.after_min_p,
            });
        }
        steps
    }
}

impl Shown<'_> {
    fn print(&self) -> Result<Exit> {
        if self.arguments.json {
            data(&serde_json::to_string(&self.out()).unwrap_or_default());
            return Ok(Exit::Success);
        }
        match &self.arguments.svg {
            Some(path) if path.as_os_str() == "-" => {
                data(&svg::draw(self));
                return Ok(Exit::Success);
            }
            Some(path) => {
                std::fs::write(path, svg::draw(self)).map_err(|error| {
                    let message = format!("{} cannot be written: {error}.", path.display());
                    Error::invalid_value("--svg", message)
                })?;
                say(&format!("The plot is in {}.", path.display()));
            }
            None => {}
        }
        data(&format!(
            "{}\n\n{}\n\n{}\n\n{}",
            self.title(),
            self.rows(),
            self.rest(),
            plot::draw(self)
        ));
        Ok(Exit::Success)
    }

    fn title(&self) -> String {
        let Arguments {
            model,
            prompt,
            temperature,
            top_k,
            top_p,
            min_p,
            ..
        } = self.arguments;
        let top_k = match top_k {
            0 => "off".to_owned(),
            k => k.to_string(),
        };
        let min_p = match *min_p {
            p if p > 0.0 => format!(", min-p {p}"),
            _ => String::new(),
        };
        format!(
            "The next token after {} by {model}: temperature {temperature}, top-k {top_k}, top-p {top_p}{min_p}",
            quote(prompt)
        )
    }

    fn rows(&self) -> String {
        let mut names = vec!["token", "text", "logit"];
        names.extend(self.steps.iter().map(|step| step.name));
        let rows: Vec<Vec<String>> = self
            .table
            .rows
            .iter()
            .map(|row| {
                let mut cells = vec![
                    row.token.to_string(),
                    visible(&row.text),
                    format!("{:.2}", row.logit),
                ];
                cells.extend(self.steps.iter().map(|step| percent((step.of)(row))));
                cells
            })
            .collect();
        table(&names, &rows)
    }

    /// What the table leaves out.
    fn rest(&self) -> String {
        let Table {
            rows,
            vocabulary_size,
            n_after_top_k,
            n_after_top_p,
            n_after_min_p,
        } = &self.table;
        let shown: f64 = rows.iter().map(|row| row.before).sum();
        let min_p = if self.arguments.min_p > 0.0 {
            format!(", then min-p {n_after_min_p}")
        } else {
            String::new()
        };
        format!(
            "Percentages. The other {} tokens have {} of the model's. Of {vocabulary_size} tokens, top-k leaves \
             {n_after_top_k} and top-p {n_after_top_p}{min_p}.",
            vocabulary_size - rows.len(),
            percent((1.0 - shown).max(0.0)),
        )
    }

    fn out(&self) -> Out<'_> {
        let token = |row: &Candidate| TokenOut {
            token: row.token,
            text: row.text.clone(),
            logit: row.logit,
            before: row.before,
            after_temperature: row.after_temperature,
            after_top_k: row.after_top_k,
            after_top_p: row.after_top_p,
            after_min_p: row.after_min_p,
        };
        Out {
            model: &self.arguments.model,
            temperature: self.arguments.temperature,
            top_k: self.arguments.top_k,
            top_p: self.arguments.top_p,
            min_p: self.arguments.min_p,
            vocabulary_size: self.table.vocabulary_size,
            n_after_top_k: self.table.n_after_top_k,
            n_after_top_p: self.table.n_after_top_p,
            n_after_min_p: self.table.n_after_min_p,
            tokens: self.table.rows.iter().map(token).collect(),
        }
    }

    /// The distribution that the token is drawn from.
    fn drawn(&self, row: &Candidate) -> f64 {
        self.steps.last().map_or(0.0, |step| (step.of)(row))
    }
}

/// A token as it can be seen: its blanks and line ends shown, in quotes.
fn visible(text: &str) -> String {
    let shown: String = text.chars().flat_map(char::escape_debug).collect();
    format!("\"{}\"", shown.replace("\\'", "'"))
}

fn percent(probability: f64) -> String {
    format!("{:.2}", probability * 100.0)
}
