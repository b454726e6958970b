//! `tollgate models list`: what is here, and what is worth getting.

use serde::Serialize;
use tollgate_base::Result;
use tollgate_hub::{Curated, Installed, Memory, Store, curated, memory, shown_size};

use super::{ModelOut, print_json};
use crate::{
    Exit,
    table::{plain, table},
    terminal::{data, say},
};

/// The conversation that the column of memory is for, in tokens.
const CONVERSATION: u64 = 4_096;

/// What `--json` prints.
#[derive(Serialize)]
struct ListOut<'a> {
    models: Vec<ModelOut<'a>>,
    unfinished: Vec<UnfinishedOut<'a>>,
}

#[derive(Serialize)]
struct UnfinishedOut<'a> {
    name: &'a str,
    bytes: u64,
    size: Option<u64>,
}

#[derive(Serialize)]
struct CuratedOut<'a> {
    name: &'a str,
    repository: &'a str,
    file: &'a str,
    quantization: &'a str,
    size: u64,
    size_is_about: bool,
    memory: Memory,
    licence: &'a str,
    good_for: &'a str,
}

pub(super) fn models(store: &Store, json: bool) -> Result<Exit> {
    let models = store.list()?;
    let unfinished = store.unfinished()?;
    if json {
        let unfinished = unfinished.iter().map(|one| UnfinishedOut {
            name: &one.name,
            bytes: one.have,
            size: one.size,
        });
        print_json(&ListOut {
            models: models.iter().map(ModelOut::of).collect(),
            unfinished: unfinished.collect(),
        });
    } else if models.is_empty() {
        say(
            "No model is here yet. `tollgate models list --curated` shows good small ones to pull.",
        );
    } else {
        let columns = [
            "name",
            "size",
            "architecture",
            "quantisation",
            "context",
            "memory",
            "licence",
        ];
        let rows: Vec<_> = models.iter().map(row).collect();
        data(&table(&columns, &rows));
        say("Memory: weights and 4,096 tokens of conversation, estimated.");
    }
    if !json {
        for one in &unfinished {
            let of = one
                .size
                .map_or_else(String::new, |size| format!(" of {}", shown_size(size)));
            say(&format!(
                "Unfinished: {}, {}{of}. Pull it again to go on, or remove it.",
                plain(&one.name),
                shown_size(one.have)
            ));
        }
    }
    for path in store.damaged()? {
        say(&format!(
            "{} cannot be read and is passed over.",
            path.display()
        ));
    }
    Ok(Exit::Success)
}

fn row(model: &Installed) -> Vec<String> {
    let manifest = &model.manifest;
    let facts = &manifest.facts;
    let text = |text: &Option<String>| plain(text.as_deref().unwrap_or("-"));
    let size = if model.is_present() {
        shown_size(manifest.size)
    } else {
        "missing".to_owned()
    };
    vec![
        plain(model.name()),
        size,
        text(&facts.architecture),
        text(&facts.quantization),
        facts
            .context
            .map_or_else(|| "-".to_owned(), |n| n.to_string()),
        shown_size(memory(manifest.size, facts).in_use(CONVERSATION)),
        text(&manifest.licence),
    ]
}

pub(super) fn curated_models(json: bool) -> Exit {
    if json {
        let all = curated().iter().map(|entry| CuratedOut {
            name: &entry.name,
            repository: &entry.repository,
            file: &entry.file,
            quantization: &entry.quantization,
            size: entry.size,
            size_is_about: entry.size_is_about,
            memory: entry.memory(),
            licence: &entry.licence,
            good_for: &entry.good_for,
        });
        print_json(&all.collect::<Vec<_>>());
        return Exit::Success;
    }
    let columns = [
        "name",
        "size",
        "quantisation",
        "memory",
        "licence",
        "good for",
    ];
    let rows: Vec<_> = curated().iter().map(curated_row).collect();
    data(&table(&columns, &rows));
    say(
        "Memory: weights and 4,096 tokens of conversation, estimated. `tollgate models pull NAME` gets one.",
    );
    Exit::Success
}

fn curated_row(entry: &Curated) -> Vec<String> {
    let about = if entry.size_is_about { "about " } else { "" };
    vec![
        entry.name.clone(),
        format!("{about}{}", shown_size(entry.size)),
        entry.quantization.clone(),
        shown_size(entry.memory().in_use(CONVERSATION)),
        entry.licence.clone(),
        entry.good_for.clone(),
    ]
}
