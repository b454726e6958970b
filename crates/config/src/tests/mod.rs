//! The checker as a whole: what is written in, what comes out.

mod alerts;
mod cases;
mod generated;
mod money;
mod mutations;
mod sources;
mod vault;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Config, FileSource, Loaded, Mistake, Sources};

fn sources(text: &str, environment: &[(&str, &str)]) -> Sources {
    let mut environment: BTreeMap<String, String> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    environment
        .entry("HOME".to_owned())
        .or_insert_with(|| "/home/user".to_owned());
    Sources {
        file: FileSource::Text {
            name: PathBuf::from("tollgate.toml"),
            text: text.to_owned(),
        },
        environment,
        ..Sources::default()
    }
}

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Vec<Mistake>> {
    Config::load(&sources(text, environment))
}

fn config(text: &str, environment: &[(&str, &str)]) -> Config {
    load(text, environment)
        .unwrap_or_else(|mistakes| panic!("{}", print(&mistakes)))
        .config
}

/// The mistakes of a text, each as its first line.
fn mistakes(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let mistakes = match load(text, environment) {
        Ok(loaded) => loaded.warnings,
        Err(mistakes) => mistakes,
    };
    mistakes
        .iter()
        .map(|mistake| {
            mistake
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

fn print(mistakes: &[Mistake]) -> String {
    let mut lines: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    lines.push(String::new());
    lines.join("\n")
}
