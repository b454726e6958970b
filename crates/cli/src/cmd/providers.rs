//! `tollgate providers`: what can be switched on, and what is.

use clap::Args;
use serde::Serialize;
use tollgate_catalog::{Catalog, ProviderRow};
use tollgate_config::{Config, Origin};

use crate::{Exit, settings::Options, terminal::data};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only the providers that are switched on
    #[arg(long)]
    on: bool,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let config = match arguments.options.load(None) {
        Ok(loaded) => loaded.config,
        Err(exit) => return exit,
    };
    let lines = lines(&config, arguments.on);
    if arguments.json {
        let list: Vec<_> = lines.iter().map(Line::out).collect();
        data(&serde_json::to_string(&list).unwrap_or_default());
    } else {
        data(&table(&lines));
    }
    Exit::Success
}

/// A kind, or a provider of that kind that is switched on.
struct Line {
    name: String,
    row: &'static ProviderRow,
    /// Why it is on; `None` for a kind that is not.
    on: Option<String>,
}

fn lines(config: &Config, only_on: bool) -> Vec<Line> {
    let mut lines: Vec<Line> = config
        .providers
        .values()
        .map(|provider| Line {
            name: provider.name.clone(),
            row: provider.row,
            on: Some(match &provider.origin {
                Origin::File => "by the configuration file".to_owned(),
                Origin::Environment(variable) => format!("by {variable}"),
                Origin::Detected => "found on this machine".to_owned(),
            }),
        })
        .collect();
    if !only_on {
        let off = Catalog::builtin()
            .providers()
            .iter()
            .filter(|row| !config.providers.values().any(|on| on.row.id == row.id));
        lines.extend(off.map(|row| Line {
            name: row.id.clone(),
            row,
            on: None,
        }));
    }
    lines
}

impl Line {
    /// How it is switched on.
    fn remedy(&self) -> String {
        match self.row.key_env.first() {
            Some(variable) if self.row.variables.is_empty() => format!("set {variable}"),
            _ => format!("write [providers.{}]", self.row.id),
        }
    }

    fn offers(&self) -> Vec<&'static str> {
        let endpoints = &self.row.endpoints;
        let mut offers: Vec<_> = self.row.endpoints().map(|at| at.dialect.name()).collect();
        offers.extend(
            endpoints
                .operations
                .keys()
                .map(|operation| operation.name()),
        );
        offers
    }

    fn out(&self) -> LineOut<'_> {
        LineOut {
            name: &self.name,
            kind: &self.row.id,
            title: &self.row.title,
            docs: &self.row.docs,
            on: self.on.is_some(),
            because: self.on.as_deref(),
            offers: self.offers(),
            key_env: &self.row.key_env,
        }
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct LineOut<'a> {
    name: &'a str,
    kind: &'a str,
    title: &'a str,
    docs: &'a str,
    on: bool,
    because: Option<&'a str>,
    offers: Vec<&'static str>,
    key_env: &'a [String],
}

fn table(lines: &[Line]) -> String {
    let rows: Vec<[String; 3]> = lines
        .iter()
        .map(|line| {
            let state = match &line.on {
                Some(why) => format!("on, {why}"),
                None => format!("off: {}", line.remedy()),
            };
            [line.name.clone(), state, line.offers().join(" ")]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let text: Vec<String> = rows
        .iter()
        .map(|[name, state, offers]| format!("{name:first$}  {state:second$}  {offers}"))
        .collect();
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_how_it_is_switched_on() {
        for row in Catalog::builtin().providers() {
            let line = Line {
                name: row.id.clone(),
                row,
                on: None,
            };
            assert!(!line.offers().is_empty(), "{}", row.id);
            let remedy = line.remedy();
            assert!(
                remedy.starts_with("set ") || remedy.contains(&row.id),
                "{remedy}"
            );
        }
    }
}
