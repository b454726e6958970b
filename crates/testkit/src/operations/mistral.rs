//! Mistral's embeddings: OpenAI's answer to a request with other fields, and its own refusal of foreign ones.
//! Fields: `EmbeddingRequest` of Mistral's OpenAPI document.

use serde_json::Value;

use crate::json::quote;

const FIELDS: &[&str] = &[
    "encoding_format",
    "input",
    "metadata",
    "model",
    "output_dimension",
    "output_dtype",
];

pub(crate) fn is_mistral(model: &str) -> bool {
    model.starts_with("mistral-embed") || model.starts_with("codestral-embed")
}

/// The field that Mistral does not know, and its 422.
pub(crate) fn foreign_field(body: &Value) -> Option<(String, String)> {
    let unknown = body
        .as_object()?
        .keys()
        .find(|key| !FIELDS.contains(&key.as_str()))?;
    let text = format!(
        r#"{{"detail":[{{"type":"extra_forbidden","loc":["body",{}],"msg":"Extra inputs are not permitted","input":{}}}]}}"#,
        quote(unknown),
        body[unknown.as_str()]
    );
    Some((format!("{unknown}: Extra inputs are not permitted"), text))
}

/// The request in OpenAI's fields.
pub(crate) fn as_openai(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("metadata");
        fields.remove("output_dtype");
        if let Some(dimension) = fields.remove("output_dimension").filter(|n| !n.is_null()) {
            fields.insert("dimensions".to_owned(), dimension);
        }
    }
    body
}
