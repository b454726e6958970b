//! `tollgate explain`: translates a request without sending it, and names everything that is lost on the way.

use std::{io::Read as _, path::PathBuf};

use clap::Args;
use serde::Serialize;
use tollgate_base::{Error, Result};
use tollgate_catalog::{Catalog, ProviderRow};
use tollgate_dialect::{
    Dialect, Loss, LossKind, RawObject, Rendered, Target, parse_request, patch_request, read_head,
    render_request,
};

use crate::{
    Exit,
    terminal::{data, say},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The dialect of the request: openai-chat, openai-completions, openai-responses, anthropic-messages, gemini
    #[arg(long, value_name = "DIALECT")]
    from: String,
    /// Where it goes: a dialect, or a kind of provider (`tollgate providers` lists them)
    #[arg(long, value_name = "DIALECT|KIND")]
    to: String,
    /// The provider's name of the model [default: the request's own]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Refuse a request that loses something, as strict mode does
    #[arg(long)]
    strict: bool,
    /// Print one JSON object with the request and its losses
    #[arg(long)]
    json: bool,
    /// A file with the request's JSON; `-` reads standard input
    file: PathBuf,
}

/// The dialects of conversations, by the names that may be written.
const DIALECTS: [(&str, Dialect); 7] = [
    ("openai-chat", Dialect::OpenAiChat),
    ("openai-completions", Dialect::OpenAiCompletions),
    ("openai-responses", Dialect::OpenAiResponses),
    ("anthropic-messages", Dialect::AnthropicMessages),
    ("gemini", Dialect::GeminiGenerate),
    ("anthropic", Dialect::AnthropicMessages),
    ("openai", Dialect::OpenAiChat),
];

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match explain(arguments) {
        Ok(rendered) => {
            print(arguments, &rendered);
            if arguments.strict && !rendered.losses.is_empty() {
                say("Strict mode refuses this request: it would lose what is named above.");
                return Exit::Failure;
            }
            Exit::Success
        }
        Err(error) => {
            let place = error
                .param()
                .map(|param| format!("{param}: "))
                .unwrap_or_default();
            say(&format!("{place}{}", error.message()));
            Exit::Failure
        }
    }
}

fn explain(arguments: &Arguments) -> Result<Rendered> {
    let from = dialect(&arguments.from).ok_or_else(|| unknown("from", &arguments.from))?;
    let row = destination(&arguments.to).ok_or_else(|| unknown("to", &arguments.to))?;
    let to = dialect(&arguments.to)
        .or_else(|| row.endpoint(from).map(|endpoint| endpoint.dialect))
        .ok_or_else(|| unknown("to", &arguments.to))?;
    let raw = RawObject::parse(read(&arguments.file)?.into())?;
    let head = read_head(from, &raw)?;
    let model = arguments.model.clone().unwrap_or(head.model);
    let target = Target {
        model: &model,
        traits: Catalog::builtin().traits(&row.id, &model),
        quirks: &row.quirks,
        max_output: None,
    };
    if from == to {
        return patch_request(to, &raw, target);
    }
    let mut request = parse_request(from, &raw)?;
    request.model.clone_from(&model);
    render_request(to, &request, target)
}

pub(super) fn dialect(name: &str) -> Option<Dialect> {
    DIALECTS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, dialect)| *dialect)
}

/// The row of a kind, or the first that speaks a dialect: its vendor's own.
fn destination(name: &str) -> Option<&'static ProviderRow> {
    let catalog = Catalog::builtin();
    catalog.provider(name).or_else(|| {
        let wanted = dialect(name)?;
        catalog
            .providers()
            .iter()
            .find(|row| row.endpoints().any(|endpoint| endpoint.dialect == wanted))
    })
}

pub(super) fn unknown(option: &str, name: &str) -> Error {
    let names: Vec<_> = DIALECTS[..5].iter().map(|(name, _)| *name).collect();
    Error::invalid_value(
        format!("--{option}"),
        format!(
            "`{name}` is not known. The dialects are {}.",
            names.join(", ")
        ),
    )
}

fn read(file: &std::path::Path) -> Result<String> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::read_to_string(file).map(|read| {
            text = read;
            0
        })
    };
    read.map(|_| text).map_err(|error| {
        Error::invalid_value(
            file.display().to_string(),
            format!("cannot be read: {error}."),
        )
    })
}

fn print(arguments: &Arguments, rendered: &Rendered) {
    let body = String::from_utf8_lossy(&rendered.body);
    if arguments.json {
        let said = Explained {
            request: &body,
            losses: rendered.losses.iter().map(LossOut::from).collect(),
        };
        return data(&said.json());
    }
    data(&indented(&body));
    for loss in &rendered.losses {
        say(&format!("{} {}: {}", word(loss), loss.field, loss.reason));
    }
    if rendered.losses.is_empty() {
        say("Nothing is lost.");
    }
}

/// What `--json` prints.
struct Explained<'a> {
    /// JSON text, told as it is.
    request: &'a str,
    losses: Vec<LossOut<'a>>,
}

#[derive(Serialize)]
struct LossOut<'a> {
    field: &'a str,
    kind: &'static str,
    reason: &'a str,
}

impl Explained<'_> {
    fn json(&self) -> String {
        let losses = serde_json::to_string(&self.losses).unwrap_or_default();
        format!("{{\"request\":{},\"losses\":{losses}}}", self.request)
    }
}

impl<'a> From<&'a Loss> for LossOut<'a> {
    fn from(loss: &'a Loss) -> Self {
        Self {
            field: &loss.field,
            kind: word(loss),
            reason: &loss.reason,
        }
    }
}

fn word(loss: &Loss) -> &'static str {
    match loss.kind {
        LossKind::Dropped => "dropped",
        LossKind::Changed => "changed",
    }
}

/// JSON with a line for each field, its order and its numbers as they are.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        let new_line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        };
        match c {
            '{' | '[' if matches!(chars.peek(), Some('}' | ']')) => {
                out.push(c);
                out.extend(chars.next());
            }
            '{' | '[' => {
                depth += 1;
                out.push(c);
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indenting_changes_white_space_alone() {
        let json = r#"{"b":[1,{"a":"x, {y}: \"z\\"}],"c":{},"d":12345678901234567890}"#;
        let text = indented(json);
        let squeezed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            squeezed,
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
        assert!(
            text.contains("\n  \"c\": {},\n  \"d\": 12345678901234567890\n}"),
            "{text}"
        );
    }

    #[test]
    fn a_dialect_and_a_kind_are_both_destinations() {
        assert_eq!(
            destination("gemini")
                .unwrap()
                .endpoints
                .chat
                .as_ref()
                .unwrap()
                .dialect,
            Dialect::GeminiGenerate
        );
        assert_eq!(destination("ollama").unwrap().id, "ollama");
        assert!(destination("nowhere").is_none());
    }
}
