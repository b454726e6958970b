//! The chat template of a model file: a conversation becomes the text that the model was trained on.
//!
//! Templates are Jinja, written for Python's jinja2 as transformers sets it up; what that gives them and minijinja does
//! not is here: `tojson` with Python's spacing, `raise_exception`, `strftime_now`, Python's string methods. A template
//! comes from the model file and is not trusted: its steps are limited, and it can reach nothing but the messages.

mod date;
mod json;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind as TemplateErrorKind, context};

use crate::error::EngineError;
use crate::request::Role;

/// Template instructions for one conversation. A message costs some fifty.
const FUEL: u64 = 5_000_000;

#[derive(Debug)]
pub(crate) struct Template {
    source: String,
    begin: String,
    end: String,
    environment: Environment<'static>,
}

impl Template {
    /// `special` holds the texts of the begin and of the end token.
    pub(crate) fn new(source: &str, special: (String, String)) -> Result<Template, EngineError> {
        let (begin, end) = special;
        let template = Template {
            source: source.to_owned(),
            begin,
            end,
            environment: environment().map_err(|error| EngineError::internal(error.to_string()))?,
        };
        template
            .environment
            .template_from_str(&template.source)
            .map_err(|error| {
                EngineError::unsupported_model(format!(
                    "its chat template does not compile: {error}"
                ))
            })?;
        Ok(template)
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The conversation, up to where the assistant begins to answer.
    pub(crate) fn render(
        &self,
        messages: impl Iterator<Item = (Role, String)>,
    ) -> Result<String, EngineError> {
        let messages: Vec<Value> = messages
            .map(|(role, content)| context! { role => role.name(), content => content })
            .collect();
        // Compiled each time (a tenth of a millisecond): a kept template would have to own its source and borrow it.
        self.environment
            .template_from_str(&self.source)
            .and_then(|template| {
                template.render(context! {
                    messages => messages,
                    add_generation_prompt => true,
                    bos_token => self.begin.as_str(),
                    eos_token => self.end.as_str(),
                    tools => (),
                    documents => (),
                })
            })
            .map_err(|error| refusal(&error))
    }
}

/// What the template itself raises is about the messages (a role that it does not take, an order that it forbids).
fn refusal(error: &Error) -> EngineError {
    let why = error
        .detail()
        .map_or_else(|| error.to_string(), str::to_owned);
    EngineError::invalid(
        "messages",
        format!("the model's chat template refuses these messages: {why}"),
    )
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
            Err(Error::new(TemplateErrorKind::InvalidOperation, message))
        },
    );
    environment.add_function("strftime_now", |format: String| date::now(&format));
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn check(source: &str, expect: Result<&str, &str>) {
        let template = Template::new(source, ("<s>".to_owned(), "</s>".to_owned())).unwrap();
        let messages = [(Role::System, "Be <brief>."), (Role::User, " \"Hi\" ü ")];
        let rendered = template.render(
            messages
                .into_iter()
                .map(|(role, text)| (role, text.to_owned())),
        );
        match expect {
            Ok(text) => assert_eq!(rendered.unwrap(), text),
            Err(part) => {
                let error = rendered.unwrap_err();
                assert_eq!(
                    error.kind,
                    ErrorKind::InvalidParameter { param: "messages" }
                );
                assert!(error.message.contains(part), "{}", error.message);
            }
        }
    }

    #[test]
    fn templates_render_as_in_python() {
        check(
            "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m.content | trim }}\n{% endfor %}{{ eos_token }}",
            Ok("<|system|>Be <brief>.\n<|user|>\"Hi\" ü\n</s>"),
        );
        check("  {% if not tools %}\nyes{% endif %}", Ok("yes"));
        check(
            "{{ messages[0] | tojson }}",
            Ok(r#"{"role": "system", "content": "Be <brief>."}"#),
        );
        check(
            "{{ [1, {'a': none}] | tojson(indent=2) }}",
            Ok("[\n  1,\n  {\n    \"a\": null\n  }\n]"),
        );
        check(
            "{{ 'ü🙂' | tojson(ensure_ascii=true) }}",
            Ok(r#""\u00fc\ud83d\ude42""#),
        );
        check(
            "{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':'), sort_keys=true) }}",
            Ok(r#"{"a":2,"b":1}"#),
        );
        check("{{ messages[1].content.strip().split('\"')[1] }}", Ok("Hi"));
        check(
            "{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            Ok("01"),
        );
        check(
            "{{ raise_exception('roles must alternate') }}",
            Err("roles must alternate"),
        );
        check(
            "{% for i in range(100000000) %}{% for j in range(9) %}x{% endfor %}{% endfor %}",
            Err(""),
        );
        check("{{ strftime_now('%Y') | length }}", Ok("4"));
    }

    #[test]
    fn a_broken_template_is_an_unsupported_model() {
        let error = Template::new("{% for %}", (String::new(), String::new())).unwrap_err();
        assert_eq!(error.kind, ErrorKind::UnsupportedModel);
    }
}
