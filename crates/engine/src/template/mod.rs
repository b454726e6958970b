//! The chat template of a model file: a conversation becomes the text that the model was trained on.
//!
//! Templates are Jinja, written for Python's jinja2 as transformers sets it up; what that gives them and minijinja does
//! not is here: `tojson` with Python's spacing, `raise_exception`, `strftime_now`, Python's string methods. A template
//! comes from the model file and is not trusted: its steps and its output are limited, and it can reach nothing but the
//! messages. What it keeps in its variables on the way is not limited, nor how long a step over a long text takes;
//! minijinja has no measure of either.

mod date;
mod json;
mod values;

use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind as TemplateErrorKind, context};

use self::values::Values;
use crate::conversation::Conversation;
use crate::error::EngineError;
use crate::gguf::Gguf;
use crate::tokenizer::{Guard, Tokenizer};

/// Template instructions for one conversation. A message costs some fifty.
const FUEL: u64 = 1_000_000;
/// The longest template; those of published models have some ten thousand bytes, and compiling one long expression takes
/// the square of its length.
const MOST_SOURCE: usize = 64 << 10;
/// Expressions as deep as the source is long, and values as deep as the steps allow, are walked and freed by recursion,
/// and a stack that overflows ends the process. Pages that are not reached cost nothing.
const STACK: usize = 512 << 20;
/// A longer prompt fits no window.
const MOST_OUTPUT: usize = 32 << 20;
/// What `raise_exception` puts before the template's own words, so that they are told from the template's faults.
const RAISED: &str = "raised: ";

/// The chat templates of a model file.
#[derive(Debug)]
pub(crate) struct Template {
    source: String,
    /// The file's template for conversations with tools, where it has one apart.
    tool_use: Option<String>,
    begin: String,
    end: String,
    /// Whether a message's content may be a list of parts, and whether it must be one.
    takes_parts: bool,
    needs_parts: bool,
    environment: Environment<'static>,
}

/// A conversation in the model's own form.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// Stands in the text where it breaks what callers wrote.
    pub(crate) guard: Guard,
}

// === impl Template ===

impl Template {
    /// `None` where the file has no template.
    pub(crate) fn from_gguf(
        file: &Gguf<'_>,
        tokenizer: &Tokenizer,
    ) -> Result<Option<Template>, EngineError> {
        let Some(source) = file.optional_text("tokenizer.chat_template")? else {
            return Ok(None);
        };
        let tool_use = file.optional_text("tokenizer.chat_template.tool_use")?;
        Template::new(source, tool_use, tokenizer.begin_and_end_text()).map(Some)
    }

    /// `special` holds the texts of the begin and of the end token.
    pub(crate) fn new(
        source: &str,
        tool_use: Option<&str>,
        special: (String, String),
    ) -> Result<Template, EngineError> {
        let (begin, end) = special;
        let mut template = Template {
            source: source.to_owned(),
            tool_use: tool_use.map(str::to_owned),
            begin,
            end,
            takes_parts: false,
            needs_parts: false,
            environment: environment().map_err(|error| EngineError::internal(error.to_string()))?,
        };
        for source in [Some(source), tool_use].into_iter().flatten() {
            template.compile(source)?;
        }
        template.probe();
        Ok(template)
    }

    fn compile(&self, source: &str) -> Result<(), EngineError> {
        if source.len() > MOST_SOURCE {
            return Err(EngineError::unsupported_model(format!(
                "its chat template has {} bytes; at most {MOST_SOURCE} are read",
                source.len()
            )));
        }
        with_stack(|| self.environment.template_from_str(source).map(drop)).map_err(|error| {
            EngineError::unsupported_model(format!("its chat template does not compile: {error}"))
        })
    }

    /// Finds out whether contents may be lists: only the template's answer tells.
    fn probe(&mut self) {
        const TEXT: &str = "as it is";
        let part = context! { type => "text", text => TEXT };
        let answers = |content: Value| {
            let messages = vec![context! { role => "user", content => content }];
            let rendered = self.write(&self.source, context! { messages => messages });
            // A list that is merely printed shows its keys.
            let is_printed = |text: &str| text.contains("'type'") || text.contains("\"type\"");
            rendered.is_ok_and(|text| text.contains(TEXT) && !is_printed(&text))
        };
        let takes_text = answers(Value::from(TEXT));
        self.takes_parts = answers(Value::from(vec![part]));
        self.needs_parts = self.takes_parts && !takes_text;
    }

    /// The template that a conversation is put through.
    pub(crate) fn source(&self, has_tools: bool) -> &str {
        match &self.tool_use {
            Some(tool_use) if has_tools => tool_use,
            _ => &self.source,
        }
    }

    /// The conversation, up to where the assistant begins to answer.
    pub(crate) fn render(
        &self,
        conversation: &Conversation,
        tokenizer: &Tokenizer,
    ) -> Result<Rendered, EngineError> {
        let source = self.source(!conversation.tools.is_empty());
        let guard = Guard::for_texts(conversation.texts().chain([source]))?;
        let values = Values {
            guard: &guard,
            tokenizer,
            takes_parts: self.takes_parts,
            needs_parts: self.needs_parts,
        };
        let mut known = vec![
            ("messages".to_owned(), values.messages(conversation)),
            ("tools".to_owned(), values.tools(conversation)?),
            ("documents".to_owned(), Value::from(())),
        ];
        if let Some(thinking) = conversation.thinking {
            known.push(("enable_thinking".to_owned(), Value::from(thinking)));
        }
        known.extend(values.arguments(conversation)?);
        let text = self
            .write(source, Value::from_pairs(known))
            .map_err(|error| refusal(&error))?;
        Ok(Rendered { text, guard })
    }

    fn write(&self, source: &str, known: Value) -> Result<String, Error> {
        let always = context! {
            add_generation_prompt => true,
            bos_token => self.begin.as_str(),
            eos_token => self.end.as_str(),
        };
        let mut out = Bounded(Vec::new());
        with_stack(|| {
            // Compiled each time (a tenth of a millisecond): a kept template would have to own its source and borrow it.
            let template = self.environment.template_from_str(source)?;
            template
                .render_captured_to(context! { ..always, ..known }, &mut out)
                .map(drop)
        })?;
        String::from_utf8(out.0)
            .map_err(|error| Error::new(TemplateErrorKind::WriteFailure, error.to_string()))
    }
}

/// Does the work on a thread of its own, with a stack that no template overflows.
fn with_stack(work: impl FnOnce() -> Result<(), Error> + Send) -> Result<(), Error> {
    let failed = |why: String| Error::new(TemplateErrorKind::InvalidOperation, why);
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("tollgate-template".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|error| failed(format!("a thread cannot be started: {error}")))?
            .join()
            .unwrap_or_else(|_| Err(failed("it panicked".to_owned())))
    })
}

/// Output that ends in an error before it fills the memory.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_OUTPUT {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the template raises is about the messages (a role that it does not take, an order that it forbids); anything
/// else is between the template and this engine.
fn refusal(error: &Error) -> EngineError {
    let why = error
        .detail()
        .map_or_else(|| error.to_string(), str::to_owned);
    let message = match why.strip_prefix(RAISED) {
        Some(raised) => format!("the model's chat template refuses these messages: {raised}"),
        None if error.kind() == TemplateErrorKind::OutOfFuel => {
            "the model's chat template takes too many steps for these messages; shorten the conversation".to_owned()
        }
        None if error.kind() == TemplateErrorKind::WriteFailure => {
            "the model's chat template makes more text than any window holds".to_owned()
        }
        None => format!("the model's chat template fails on these messages: {why}"),
    };
    EngineError::invalid("messages", message)
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", json::to_json);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            let message = format!("{RAISED}{message}");
            Err(Error::new(TemplateErrorKind::InvalidOperation, message))
        },
    );
    environment.add_function("strftime_now", |format: String| date::now(&format));
    Ok(environment)
}

#[cfg(test)]
mod tests;
