//! Embeddings and the model list. The vectors are made up, but the same text always gives the same vector.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::ask::words;
use crate::json::quote;

const DEFAULT_DIMENSIONS: u64 = 16;
/// 2024-11-01, the creation time of every scripted model.
const CREATED: u64 = 1_730_419_200;

/// The body and the input tokens of an accepted embeddings request.
pub(crate) fn render(body: &Value, model: &str) -> (String, u64) {
    let inputs = inputs(body.get("input").unwrap_or(&Value::Null));
    let dimensions = body
        .get("dimensions")
        .and_then(Value::as_u64)
        .unwrap_or(DEFAULT_DIMENSIONS);
    let base64 = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let mut tokens = 0;
    let mut rows = Vec::new();
    for (index, (seed, n_tokens)) in inputs.iter().enumerate() {
        tokens += n_tokens;
        let vector = vector(seed, dimensions);
        let embedding = if base64 {
            let bytes: Vec<u8> = vector
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            quote(&STANDARD.encode(bytes))
        } else {
            let numbers: Vec<String> = vector.iter().map(ToString::to_string).collect();
            format!("[{}]", numbers.join(","))
        };
        rows.push(format!(
            r#"{{"object":"embedding","index":{index},"embedding":{embedding}}}"#
        ));
    }
    let model = quote(model);
    let text = format!(
        r#"{{"object":"list","data":[{}],"model":{model},"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#,
        rows.join(",")
    );
    (text, tokens)
}

/// Each input as a seed and its token count.
fn inputs(input: &Value) -> Vec<(String, u64)> {
    match input {
        Value::String(text) => vec![(text.clone(), words(text).max(1))],
        Value::Array(items) if items.iter().all(Value::is_number) => {
            vec![(input.to_string(), items.len() as u64)]
        }
        Value::Array(items) => items.iter().flat_map(inputs).collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn vector(seed: &str, dimensions: u64) -> Vec<f32> {
    (0..dimensions)
        .map(|position| {
            let digest = Sha256::digest(format!("{position}:{seed}"));
            f32::from(i16::from_le_bytes([digest[0], digest[1]])) / 32768.0
        })
        .collect()
}

pub(crate) fn model(id: &str) -> String {
    format!(
        r#"{{"id":{},"object":"model","created":{CREATED},"owned_by":"testkit"}}"#,
        quote(id)
    )
}

pub(crate) fn models(ids: &[String]) -> String {
    let rows: Vec<String> = ids.iter().map(|id| model(id)).collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, rows.join(","))
}
