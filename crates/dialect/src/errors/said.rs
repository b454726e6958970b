//! The words of an error body, in any of the forms that providers use (traps T45): the envelopes of both
//! vendors, a bare string, FastAPI's `detail`, a flat object, a list around any of them, plain text, HTML.

use serde_json::Value;

use super::redact;

/// Bodies beyond this are no error that a program wrote.
const BODY_LIMIT: usize = 1024 * 1024;
const MESSAGE_LIMIT: usize = 2 * 1024;

#[derive(Debug, Default)]
pub(super) struct Said {
    text: String,
    /// `error.type`, or Google's `error.status`.
    pub(super) kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

impl Said {
    pub(super) fn read(body: &[u8]) -> Self {
        if body.len() <= BODY_LIMIT
            && let Ok(value) = serde_json::from_slice::<Value>(body)
        {
            return Self::from_json(&value);
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(MESSAGE_LIMIT)]);
        let text = text.trim();
        // A page of a login form, a content network or a proxy explains nothing to a program.
        let is_markup = text.starts_with('<');
        let is_json = text.starts_with(['{', '[']);
        if is_markup || is_json {
            return Self::default();
        }
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    fn from_json(value: &Value) -> Self {
        match value {
            Value::Array(items) => items.first().map(Self::from_json).unwrap_or_default(),
            Value::String(text) => Self {
                text: text.clone(),
                ..Self::default()
            },
            Value::Object(outer) => match outer.get("error") {
                Some(inner @ Value::Object(_)) => Self::from_fields(inner),
                Some(Value::String(text)) => Self {
                    text: text.clone(),
                    kind: text_of(value, "error_type"),
                    ..Self::from_fields(value)
                },
                _ => match outer.get("errors") {
                    Some(errors @ Value::Array(_)) => Self::from_json(errors),
                    _ => Self::from_fields(value),
                },
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::default(),
        }
    }

    fn from_fields(fields: &Value) -> Self {
        let details = fields.get("details");
        let code = details
            .and_then(|details| text_of(details, "error_code"))
            .or_else(|| text_of(fields, "code"));
        let text = text_of(fields, "message")
            .or_else(|| fields.get("detail").and_then(detail))
            .or_else(|| text_of(fields, "msg"))
            .or_else(|| fields.get("message").and_then(detail))
            .unwrap_or_default();
        Self {
            text,
            kind: text_of(fields, "type").or_else(|| text_of(fields, "status")),
            code,
            param: text_of(fields, "param"),
        }
    }

    /// The provider's words, cut and cleaned; `None` when it said nothing that can be shown.
    pub(super) fn message(&self) -> Option<String> {
        let text = redact(&self.text, MESSAGE_LIMIT);
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn message_or_default(&self, status: u16) -> String {
        self.message().unwrap_or_else(|| match status {
            200 => "The provider reported an error and did not say which.".to_owned(),
            _ => format!("The provider answered with status {status} and did not say why."),
        })
    }

    /// A code that is a name, not a number or a sentence.
    pub(super) fn code(&self) -> Option<String> {
        self.code
            .clone()
            .filter(|code| is_name(code) && !code.bytes().all(|b| b.is_ascii_digit()))
    }

    pub(super) fn param(&self) -> Option<String> {
        let is_path = |param: &String| {
            (1..=128).contains(&param.len())
                && param
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.[]-".contains(&b))
        };
        self.param
            .clone()
            .filter(is_path)
            .filter(|param| redact(param, 128) == *param)
    }

    pub(super) fn is_context_overflow(&self) -> bool {
        const CODES: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];
        const PHRASES: [&str; 9] = [
            "maximum context length",
            "prompt is too long",
            "context length exceeded",
            "exceeds the available context size",
            "exceeds the context window",
            "exceeds the model's context",
            "input is too long for requested model",
            "too many tokens in the prompt",
            "exceeds the maximum number of tokens allowed",
        ];
        let is_named = [&self.code, &self.kind]
            .into_iter()
            .flatten()
            .any(|name| CODES.contains(&&**name));
        is_named || {
            let text = self.text.to_ascii_lowercase();
            PHRASES.iter().any(|phrase| text.contains(phrase))
        }
    }

    /// A quota or a spend limit is used up: waiting a moment does not help.
    pub(super) fn is_out_of_quota(&self) -> bool {
        [&self.code, &self.kind].into_iter().flatten().any(|name| {
            matches!(&**name, "insufficient_quota" | "billing_hard_limit_reached")
                || name.ends_with("spend_limit_reached")
        })
    }

    /// The account is out of prepaid credit, which one vendor reports as a plain 400.
    pub(super) fn is_out_of_credit(&self) -> bool {
        self.kind.as_deref() == Some("billing_error")
            || self
                .text
                .to_ascii_lowercase()
                .contains("credit balance is too low")
    }

    pub(super) fn is_about_a_model(&self) -> bool {
        self.code.as_deref() == Some("model_not_found")
            || self.text.to_ascii_lowercase().contains("model")
    }
}

/// A field's text; a number's digits, since some servers write codes as numbers.
fn text_of(fields: &Value, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `detail`: a text, an object with a message, or a list of `{"loc": […], "msg": "…"}`.
fn detail(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(_) => text_of(value, "msg")
            .or_else(|| text_of(value, "message"))
            .or_else(|| {
                // The list may itself be wrapped once more.
                value.get("detail").and_then(detail)
            }),
        Value::Array(items) => {
            let lines: Vec<String> = items
                .iter()
                .take(8)
                .filter_map(|item| {
                    let text = text_of(item, "msg")?;
                    let path: Vec<String> = item
                        .get("loc")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                        .map(|step| {
                            step.as_str()
                                .map_or_else(|| step.to_string(), str::to_owned)
                        })
                        .collect();
                    Some(if path.is_empty() {
                        text
                    } else {
                        format!("{}: {text}", path.join("."))
                    })
                })
                .collect();
            (!lines.is_empty()).then(|| lines.join("; "))
        }
        _ => None,
    }
}

fn is_name(code: &str) -> bool {
    (1..=64).contains(&code.len())
        && code
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}
