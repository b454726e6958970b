//! Grammars of whole replies: JSON behind reasoning, and calls of tools as each family of models writes them.
//!
//! The forms are those that `reply` reads, spelled the way the families' chat templates spell them, so that a model is led
//! where it was trained to go.

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use serde_json::Value;

use super::{Manner, schema};
use crate::conversation::Tool;
use crate::error::EngineError;
use crate::reply::{CallFormat, Thinking};

const MOST_TOOLS: usize = 128;

/// What may stand beside a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Nothing,
    Calls,
    /// Calls and text, or no call at all.
    Anything,
}

/// How a family writes a call, as pieces of text.
struct Form {
    /// Stands before a call, or before a list of them.
    marker: &'static str,
    before_name: &'static str,
    is_name_quoted: bool,
    before_arguments: &'static str,
    behind: &'static str,
    /// Parts calls that need no marker of their own. `None` where each has its marker.
    between: Option<&'static str>,
    /// Ends a list of calls.
    end: &'static str,
}

/// JSON, behind reasoning where the model reasons.
pub(super) fn json(schema: Value, thinking: Option<Thinking>) -> TopLevelGrammar {
    let rules = format!("start: {}@json\n{}", opening(thinking), reasoning(thinking));
    together(rules, vec![named("json".to_owned(), schema)])
}

/// The tools that a call may be of.
pub(super) fn chosen<'a>(
    tools: &'a [Tool],
    name: Option<&str>,
) -> Result<Vec<&'a Tool>, EngineError> {
    let is_wanted = |tool: &&Tool| name.is_none_or(|name| tool.name == name);
    let chosen: Vec<&Tool> = tools.iter().filter(is_wanted).collect();
    if let (true, Some(name)) = (chosen.is_empty(), name) {
        return Err(EngineError::invalid(
            "tool_choice",
            format!("tool_choice names the tool {name:?}, which tools does not have"),
        ));
    }
    if chosen.is_empty() || chosen.len() > MOST_TOOLS {
        return Err(EngineError::invalid(
            "tools",
            format!("between 1 and {MOST_TOOLS} tools are needed for calls that are bound"),
        ));
    }
    Ok(chosen)
}

/// Calls of these tools.
pub(super) fn calls(
    manner: Manner,
    tools: &[&Tool],
    more: More,
) -> Result<TopLevelGrammar, EngineError> {
    let Some(format) = manner.format.calls else {
        return Err(EngineError::internal("calls without a form"));
    };
    let form = Form::of(format, manner.names_before_arguments);
    let thinking = manner.format.thinking;
    let mut rules = match more {
        More::Anything => anything(format, &form, thinking),
        More::Calls | More::Nothing => forced(&form, thinking, more),
    };
    rules += &list(&form, more);
    rules += &reasoning(thinking);
    let mut grammars = Vec::new();
    let names: Vec<String> = (0..tools.len()).map(|i| format!("tool_{i}")).collect();
    rules += "call: ";
    rules += &names.join(" | ");
    rules += "\n";
    for (rule, tool) in names.iter().zip(tools) {
        let name = if form.is_name_quoted {
            quoted(&tool.name)
        } else {
            plain(&tool.name)?
        };
        let before = literal(&format!(
            "{}{name}{}",
            form.before_name, form.before_arguments
        ));
        let behind = optional_literal(form.behind);
        let call = format!("{rule}: {before} @{rule}_arguments{behind}\n");
        rules += &call;
        let arguments = schema::read_arguments(&tool.name, tool.parameters.as_deref())?;
        grammars.push(named(format!("{rule}_arguments"), arguments));
    }
    Ok(together(rules, grammars))
}

// === impl Form ===

impl Form {
    fn of(format: CallFormat, names_before_arguments: bool) -> Form {
        match format {
            CallFormat::Tagged => Form {
                marker: "<tool_call>",
                before_name: "\n{\"name\": ",
                is_name_quoted: true,
                before_arguments: ", \"arguments\": ",
                behind: "}\n</tool_call>",
                between: None,
                end: "",
            },
            CallFormat::Bare => Form {
                marker: "",
                before_name: "{\"name\": ",
                is_name_quoted: true,
                before_arguments: ", \"parameters\": ",
                behind: "}",
                between: Some("; "),
                end: "",
            },
            CallFormat::Mistral if names_before_arguments => Form {
                marker: "[TOOL_CALLS]",
                before_name: "",
                is_name_quoted: false,
                before_arguments: "[ARGS]",
                behind: "",
                between: None,
                end: "",
            },
            CallFormat::Mistral => Form {
                marker: "[TOOL_CALLS]",
                before_name: "{\"name\": ",
                is_name_quoted: true,
                before_arguments: ", \"arguments\": ",
                behind: "}",
                between: Some(", "),
                end: "]",
            },
        }
    }

    /// What opens a list behind the marker.
    fn open(&self) -> &'static str {
        if self.end.is_empty() { "" } else { "[" }
    }
}

/// Reasoning, then calls and nothing else.
fn forced(form: &Form, thinking: Option<Thinking>, more: More) -> String {
    let marked = format!("{} list", literal(form.marker));
    let marked = if form.marker.is_empty() {
        "list".to_owned()
    } else {
        marked
    };
    let again = match (more, form.between) {
        (More::Calls, None) => format!(" (\"\\n\"? {marked})*"),
        _ => String::new(),
    };
    format!("start: {}{marked}{again}\n", opening(thinking))
}

/// Text in which the marker begins calls.
fn anything(format: CallFormat, form: &Form, thinking: Option<Thinking>) -> String {
    if format == CallFormat::Bare {
        // A bare call is one only where the reply begins.
        return format!(
            "start: {}(list | FREE)?\nFREE: /(?s:.+)/ & ~/(?s:\\s*(<\\|python_tag\\|>)?\\s*\\{{.*)/\n",
            opening(thinking)
        );
    }
    let marker = escaped(form.marker);
    format!(
        "start: (head list)* FREE?\nhead[lazy]: /(?s:.*){marker}/\nFREE: /(?s:.+)/ & ~/(?s:.*){marker}(?s:.*)/\n"
    )
}

/// The calls behind one marker.
fn list(form: &Form, more: More) -> String {
    let open = optional_literal(form.open());
    let end = optional_literal(form.end);
    let again = match (more, form.between) {
        (More::Calls | More::Anything, Some(between)) => format!(" ({} call)*", literal(between)),
        _ => String::new(),
    };
    format!("list:{open} call{again}{end}\n")
}

/// The beginning of `start` where the model may reason first.
fn opening(thinking: Option<Thinking>) -> &'static str {
    match thinking {
        None => "",
        Some(Thinking { is_open: true, .. }) => "thoughts GAP? ",
        Some(Thinking { is_open: false, .. }) => "(OPEN thoughts GAP?)? ",
    }
}

/// The rules that `opening` uses.
fn reasoning(thinking: Option<Thinking>) -> String {
    let Some(Thinking { tags, .. }) = thinking else {
        return String::new();
    };
    format!(
        "OPEN: {}\nthoughts[lazy]: /(?s:.*){}/\nGAP: /[ \\n]{{1,4}}/\n",
        literal(tags.open()),
        escaped(tags.close())
    )
}

fn together(rules: String, mut grammars: Vec<GrammarWithLexer>) -> TopLevelGrammar {
    grammars.insert(0, GrammarWithLexer::from_lark(rules));
    TopLevelGrammar {
        grammars,
        max_tokens: None,
    }
}

fn named(name: String, schema: Value) -> GrammarWithLexer {
    GrammarWithLexer {
        name: Some(name),
        ..GrammarWithLexer::from_json_schema(schema)
    }
}

/// A text as the grammar's language quotes it, which is as JSON does.
fn literal(text: &str) -> String {
    quoted(text)
}

/// The same behind a space; nothing for nothing.
fn optional_literal(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" {}", literal(text))
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A name that stands without quotes.
fn plain(name: &str) -> Result<String, EngineError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.is_empty() && name.chars().all(is_plain) {
        return Ok(name.to_owned());
    }
    Err(EngineError::invalid(
        "tools",
        format!("the tool name {name:?} must be of letters, digits, dots, dashes and underscores"),
    ))
}

/// A text inside a regular expression between slashes.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() && c != '_' && c != '<' && c != '>' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
