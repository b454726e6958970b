//! Embeddings and the model list. The same text gives the same vector as on the OpenAI side.

use crate::ask::words;
use crate::json::quote;
use crate::openai::embeddings::vector;

/// Length of a vector when the caller names none.
pub(crate) const DIMENSIONS: u64 = 16;

/// The body and the input tokens.
pub(crate) fn render(inputs: &[(String, u64)], is_batch: bool) -> (String, u64) {
    let tokens: u64 = inputs.iter().map(|(text, _)| words(text).max(1)).sum();
    let rows: Vec<String> = inputs
        .iter()
        .map(|(text, dimensions)| {
            let numbers: Vec<String> = vector(text, *dimensions)
                .iter()
                .map(ToString::to_string)
                .collect();
            format!(r#"{{"values":[{}]}}"#, numbers.join(","))
        })
        .collect();
    let usage = format!(
        r#""usageMetadata":{{"promptTokenCount":{tokens},"promptTokenDetails":[{{"modality":"TEXT","tokenCount":{tokens}}}]}}"#
    );
    let vectors = if is_batch {
        format!(r#""embeddings":[{}]"#, rows.join(","))
    } else {
        format!(r#""embedding":{}"#, rows.concat())
    };
    (format!("{{{vectors},{usage}}}"), tokens)
}

pub(crate) fn model(id: &str) -> String {
    format!(
        r#"{{"name":{},"version":"001","displayName":{},"description":"Scripted","inputTokenLimit":1048576,"outputTokenLimit":65536,"supportedGenerationMethods":["generateContent","countTokens","embedContent"],"temperature":1,"topP":0.95,"topK":64,"maxTemperature":2,"thinking":true}}"#,
        quote(&format!("models/{id}")),
        quote(id)
    )
}

/// One page of the list; the token is the position of the next model.
pub(crate) fn models(ids: &[String], size: usize, token: Option<&str>) -> String {
    let start = token
        .and_then(|token| token.parse().ok())
        .unwrap_or(0)
        .min(ids.len());
    let end = ids.len().min(start + size.clamp(1, 1000));
    let rows: Vec<String> = ids[start..end].iter().map(|id| model(id)).collect();
    let next = if end < ids.len() {
        format!(r#","nextPageToken":"{end}""#)
    } else {
        String::new()
    };
    format!(r#"{{"models":[{}]{next}}}"#, rows.join(","))
}
