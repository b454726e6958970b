//! OpenAI's operations beside text generation, and the few of Cohere's and Jina's that have the same purpose.
//! Each answers by its request alone; a model named like a script brings that script's faults.

mod audio;
pub(crate) mod files;
pub(crate) mod form;
mod images;
pub(crate) mod mistral;
mod rank;
pub(crate) mod tuning;

use serde_json::Value;

use self::form::Form;
use crate::openai::check::{Checked, refuse};
use crate::openai::errors::Refused;
use crate::turn::{Frame, Role};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    ImageGenerations,
    ImageEdits,
    ImageVariations,
    Transcriptions,
    Translations,
    Speech,
    Moderations,
    /// Jina's shape, `/v1/rerank`.
    Rerank,
    /// Cohere's shape, `/v2/rerank`.
    CohereRerank,
    CohereEmbed,
}

impl Operation {
    /// The operation of a path below `/v1/`.
    pub(crate) fn of(rest: &str) -> Option<Self> {
        Some(match rest {
            "images/generations" => Self::ImageGenerations,
            "images/edits" => Self::ImageEdits,
            "images/variations" => Self::ImageVariations,
            "audio/transcriptions" => Self::Transcriptions,
            "audio/translations" => Self::Translations,
            "audio/speech" => Self::Speech,
            "moderations" => Self::Moderations,
            "rerank" => Self::Rerank,
            _ => return None,
        })
    }

    /// The model when the request names none; `None` where it must.
    fn default_model(self) -> Option<&'static str> {
        match self {
            Self::ImageGenerations | Self::ImageEdits | Self::ImageVariations => Some("dall-e-2"),
            Self::Moderations => Some("omni-moderation-latest"),
            _ => None,
        }
    }

    pub(crate) fn is_cohere(self) -> bool {
        matches!(self, Self::CohereRerank | Self::CohereEmbed)
    }
}

/// What an operation answers.
pub(crate) struct Said {
    pub(crate) content_type: &'static str,
    pub(crate) frames: Vec<Frame>,
    pub(crate) is_stream: bool,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Said {
    fn json(text: String, input: u64, output: u64) -> Self {
        Self {
            content_type: "application/json",
            frames: vec![Frame {
                output,
                ..Frame::new(Role::Content, text)
            }],
            is_stream: false,
            input,
            output,
        }
    }

    /// Events as data-only SSE; the last one is the finish.
    fn events(events: Vec<String>, input: u64, output: u64) -> Self {
        let last = events.len().saturating_sub(1);
        let frames = events
            .into_iter()
            .enumerate()
            .map(|(index, event)| {
                let role = if index == last {
                    Role::Finish
                } else {
                    Role::Content
                };
                Frame {
                    output: u64::from(index < last),
                    ..Frame::new(role, event)
                }
            })
            .collect();
        Self {
            content_type: "text/event-stream; charset=utf-8",
            frames,
            is_stream: true,
            input,
            output,
        }
    }
}

/// An event in OpenAI's form: its type stands in `event:` and in the data.
fn event(kind: &str, fields: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{fields}}}\n\n")
}

/// The model that an operation runs, as the request or its default names it.
pub(crate) fn model(operation: Operation, body: &Value) -> Checked<String> {
    match (body["model"].as_str(), operation.default_model()) {
        (Some(model), _) if !model.is_empty() => Ok(model.to_owned()),
        (_, Some(model)) => Ok(model.to_owned()),
        _ => refuse("", "", "you must provide a model parameter"),
    }
}

/// The answer of an operation; `form` holds the parts of a multipart body.
pub(crate) fn run(
    operation: Operation,
    body: &Value,
    form: Option<&Form<'_>>,
    model: &str,
    serial: u64,
) -> Checked<Said> {
    match operation {
        Operation::ImageGenerations => images::generations(body, model),
        Operation::ImageEdits => images::edits(body, form, model),
        Operation::ImageVariations => images::variations(body, form, model),
        Operation::Transcriptions => audio::transcriptions(body, form, model),
        Operation::Translations => audio::translations(body, form),
        Operation::Speech => audio::speech(body),
        Operation::Moderations => rank::moderations(body, model, serial),
        Operation::Rerank => rank::jina(body, model),
        Operation::CohereRerank => rank::cohere(body, serial),
        Operation::CohereEmbed => rank::cohere_embed(body, serial),
    }
}

/// Cohere's error body.
pub(crate) fn cohere_refusal(refused: &Refused, serial: u64) -> String {
    format!(
        r#"{{"id":"tk{serial}","message":{}}}"#,
        crate::json::quote(&refused.message)
    )
}

/// Refuses what the operation does not know and what it lacks.
fn check_fields(body: &Value, known: &[&str], required: &[&str]) -> Checked<()> {
    let Some(fields) = body.as_object() else {
        return refuse("", "", "We could not parse the body of your request.");
    };
    if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return refuse(
            unknown.clone(),
            "unknown_parameter",
            format!("Unknown parameter: '{unknown}'."),
        );
    }
    match required
        .iter()
        .find(|name| fields.get(**name).is_none_or(Value::is_null))
    {
        Some(missing) => refuse(
            *missing,
            "missing_required_parameter",
            format!("Missing required parameter: '{missing}'."),
        ),
        None => Ok(()),
    }
}

/// Refuses a value that is not among those an option takes.
fn check_option(body: &Value, name: &str, values: &[&str]) -> Checked<()> {
    match &body[name] {
        Value::Null => Ok(()),
        Value::String(value) if values.contains(&value.as_str()) => Ok(()),
        other => refuse(
            name,
            "invalid_value",
            format!(
                "Invalid value: {other}. Supported values are: '{}'.",
                values.join("', '")
            ),
        ),
    }
}

/// A number from JSON or from a form, within its range.
fn number(body: &Value, name: &str, default: u64, high: u64) -> Checked<u64> {
    let value = match &body[name] {
        Value::Null => Some(default),
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    };
    match value {
        Some(value) if value <= high => Ok(value),
        _ => refuse(
            name,
            "invalid_value",
            format!("Invalid '{name}': expected an integer of at most {high}."),
        ),
    }
}

/// A switch from JSON or from a form.
fn is_on(body: &Value, name: &str) -> bool {
    body[name] == true || body[name] == "true"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lists of fields are the vendor's, read from the vendored schema.
    #[test]
    fn known_fields_are_the_vendors() {
        let schemas: Value =
            serde_json::from_str(include_str!("../../schemas/openai-operations.json")).unwrap();
        for (name, known) in [
            ("CreateImageRequest", images::GENERATION_FIELDS),
            ("CreateImageEditRequest", images::EDIT_FIELDS),
            ("CreateImageVariationRequest", images::VARIATION_FIELDS),
            ("CreateTranscriptionRequest", audio::TRANSCRIPTION_FIELDS),
            ("CreateTranslationRequest", audio::TRANSLATION_FIELDS),
            ("CreateSpeechRequest", audio::SPEECH_FIELDS),
            ("CreateModerationRequest", rank::MODERATION_FIELDS),
            ("CreateFileRequest", files::FIELDS),
            ("CreateFineTuningJobRequest", tuning::FIELDS),
        ] {
            assert_eq!(
                schemas["x-request-fields"][name],
                Value::from(known.to_vec()),
                "{name}"
            );
        }
    }
}
