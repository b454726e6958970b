//! `tollgate models show`: everything that is known of one model.

use std::path::Path;

use serde::Serialize;
use tollgate_base::{Result, UnixMillis};
use tollgate_hub::{Facts, Installed, Memory, Origin, Store, memory, shown_size};

use super::{ModelOut, print_json};
use crate::{
    Exit,
    table::plain,
    terminal::{data, say},
    time,
};

/// What `--json` prints of a file that is not among the models.
#[derive(Serialize)]
struct FileOut<'a> {
    path: &'a str,
    size: u64,
    facts: &'a Facts,
    memory: Memory,
}

pub(super) fn run(store: &Store, named: &str, json: bool) -> Result<Exit> {
    match store.find(named) {
        Ok(model) => {
            of_model(&model, json);
            Ok(Exit::Success)
        }
        Err(error) => {
            let path = Path::new(named);
            let is_file = path.is_file() && named.to_ascii_lowercase().contains(".gguf");
            if is_file {
                of_file(path, json)
            } else {
                Err(error)
            }
        }
    }
}

fn of_model(model: &Installed, json: bool) {
    // What the file says now, which is what would be loaded; a file that cannot be read has its manifest's facts.
    let mut model = model.clone();
    let mut note = None;
    match Facts::read(&model.path) {
        Ok(facts) => model.manifest.facts = facts,
        Err(error) => note = Some(error.message().to_owned()),
    }
    if json {
        print_json(&ModelOut::of(&model));
    } else {
        let manifest = &model.manifest;
        let mut lines = vec![
            ("name", plain(model.name())),
            ("path", model.path.display().to_string()),
        ];
        lines.extend(of_origin(&manifest.origin));
        lines.push(("pulled", time::shown(UnixMillis(manifest.pulled_at))));
        let published = if manifest.is_published {
            "as the hub lists it"
        } else {
            "of what came; nobody published one"
        };
        lines.push(("sha256", format!("{} ({published})", manifest.sha256)));
        let licence = manifest
            .licence
            .as_ref()
            .or(manifest.facts.licence.as_ref());
        lines.extend(of_facts(&manifest.facts, manifest.size, licence));
        print(&lines);
    }
    if let Some(note) = note {
        say(&plain(&note));
    }
}

fn of_file(path: &Path, json: bool) -> Result<Exit> {
    let facts = Facts::read(path)?;
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    let shown = path.display().to_string();
    if json {
        print_json(&FileOut {
            path: &shown,
            size,
            facts: &facts,
            memory: memory(size, &facts),
        });
    } else {
        let mut lines = vec![("path", shown)];
        lines.extend(of_facts(&facts, size, facts.licence.as_ref()));
        print(&lines);
    }
    Ok(Exit::Success)
}

fn of_origin(origin: &Origin) -> Vec<(&'static str, String)> {
    match origin {
        Origin::Hub {
            hub,
            repository,
            revision,
            commit,
            ..
        } => {
            let commit = commit.as_deref().unwrap_or("unknown");
            vec![
                ("from", plain(&format!("{hub}/{repository}"))),
                ("revision", plain(&format!("{revision} (commit {commit})"))),
            ]
        }
        Origin::Url { url } => vec![("from", plain(url))],
        Origin::Local { .. } => vec![(
            "from",
            "a file of this machine, which stays where it is".to_owned(),
        )],
    }
}

fn of_facts(facts: &Facts, size: u64, licence: Option<&String>) -> Vec<(&'static str, String)> {
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    let of = memory(size, facts);
    let memory = if of.kv_per_1k_tokens > 0 {
        format!(
            "about {} for the weights, and {} for each 1,024 tokens of conversation",
            shown_size(of.weights),
            shown_size(of.kv_per_1k_tokens)
        )
    } else {
        format!("about {} for the weights", shown_size(of.weights))
    };
    let template = if facts.has_chat_template { "yes" } else { "no" };
    [
        ("title", facts.title.clone()),
        ("licence", licence.cloned()),
        ("size", Some(format!("{} ({size} bytes)", shown_size(size)))),
        ("architecture", facts.architecture.clone()),
        ("parameters", facts.parameters.clone()),
        ("quantisation", facts.quantization.clone()),
        ("layers", number(facts.layers)),
        ("context", facts.context.map(|n| format!("{n} tokens"))),
        ("vocabulary", number(facts.vocabulary)),
        ("tokenizer", facts.tokenizer.clone()),
        ("chat template", Some(template.to_owned())),
        ("memory", Some(memory)),
    ]
    .into_iter()
    .map(|(name, value)| {
        (
            name,
            plain(value.as_deref().unwrap_or("not said in the file")),
        )
    })
    .collect()
}

fn print(lines: &[(&str, String)]) {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"))
        .collect();
    data(&lines.join("\n"));
}
