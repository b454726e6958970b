//! How many tokens a request has: what a provider is asked, what it answers, and an estimate where nobody
//! can be asked. A count has no reply of a model, so that only what goes in is said.

use bytes::Bytes;
use serde::Deserialize;
use tollgate_base::{Error, Result};

use crate::{
    Dialect, RawObject,
    ir::{Part, Request},
};

/// What a count is asked with, of the fields of a whole request: the others are refused there.
const MESSAGES_FIELDS: [&str; 9] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "mcp_servers",
];
const RESPONSES_FIELDS: [&str; 9] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "truncation",
];

/// The call whose input is to be counted, as the caller's dialect would send it whole.
pub fn counted_call(dialect: Dialect, raw: RawObject) -> Result<RawObject> {
    match dialect {
        // A count names no maximum; a call must.
        Dialect::AnthropicMessages if raw.get("max_tokens").is_none() => {
            RawObject::parse(raw.with(&[("max_tokens", Some("1"))]))
        }
        Dialect::GeminiGenerate => match raw.get("generateContentRequest") {
            Some(request) => RawObject::parse(Bytes::from(request.to_owned())),
            None => Ok(raw),
        },
        _ => Ok(raw),
    }
}

/// The body that asks a provider how many tokens this rendered request has.
pub fn count_request(dialect: Dialect, rendered: Bytes, model: &str) -> Result<Bytes> {
    let raw = RawObject::parse(rendered)?;
    let fields: &[&str] = match dialect {
        Dialect::GeminiGenerate => {
            let model = serde_json::Value::from(format!("models/{model}")).to_string();
            let whole = raw.with(&[("model", Some(&model))]);
            let whole = String::from_utf8_lossy(&whole);
            return Ok(format!("{{\"generateContentRequest\":{whole}}}").into());
        }
        Dialect::OpenAiResponses => &RESPONSES_FIELDS,
        _ => &MESSAGES_FIELDS,
    };
    let refused: Vec<_> = raw
        .fields()
        .filter(|(name, _)| !fields.contains(name))
        .map(|(name, _)| (name, None))
        .collect();
    Ok(raw.with(&refused))
}

/// The tokens that a provider counted.
pub fn parse_count(body: &[u8]) -> Result<u64> {
    #[derive(Deserialize)]
    struct Count {
        #[serde(alias = "totalTokens")]
        input_tokens: u64,
    }
    let count: Count = serde_json::from_slice(body).map_err(|_| {
        Error::upstream_invalid("The provider was asked for a count and did not give one.")
    })?;
    Ok(count.input_tokens)
}

/// A count as the caller's dialect says it.
pub fn render_count(dialect: Dialect, tokens: u64) -> Bytes {
    match dialect {
        Dialect::GeminiGenerate => format!("{{\"totalTokens\":{tokens}}}"),
        Dialect::OpenAiResponses => {
            format!("{{\"object\":\"response.input_tokens\",\"input_tokens\":{tokens}}}")
        }
        _ => format!("{{\"input_tokens\":{tokens}}}"),
    }
    .into()
}

/// About how many tokens a request has: four bytes of text are one, and each message, call and tool has a
/// frame around it. Media count as a thousand each, which is the order of the vendors' own formulas.
pub fn estimate_tokens(request: &Request) -> u64 {
    const FRAME: usize = 16;
    const MEDIA: usize = 4000;
    let said = |part: &Part| match part {
        Part::Text { text, .. } | Part::Reasoning { text, .. } | Part::Refusal { text } => {
            text.len()
        }
        Part::ToolCall { call, .. } => FRAME + call.name.len() + call.arguments.len(),
        Part::ToolResult { .. } => FRAME,
        Part::Image { .. } | Part::Document { .. } | Part::Audio { .. } => MEDIA,
        Part::RedactedReasoning { data } => data.len(),
        Part::Opaque { json, .. } => json.get().len(),
    };
    let inside = |part: &Part| match part {
        Part::ToolResult { result, .. } => result.content.iter().map(said).sum(),
        _ => 0,
    };
    let messages: usize = request
        .messages
        .iter()
        .flat_map(|message| &message.parts)
        .map(|part| said(part) + inside(part))
        .sum();
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| {
            let schema = tool.parameters.as_ref().map_or(0, |json| json.get().len());
            FRAME + tool.name.len() + tool.description.as_ref().map_or(0, String::len) + schema
        })
        .sum();
    let bytes = messages + tools + request.messages.len() * FRAME;
    (bytes as u64).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawObject {
        RawObject::parse(Bytes::from(text.to_owned())).unwrap()
    }

    #[test]
    fn a_count_is_asked_with_the_input_alone() {
        let rendered = r#"{"model":"m","max_tokens":9,"messages":[],"stream":true,"system":"s"}"#;
        let asked = count_request(Dialect::AnthropicMessages, rendered.into(), "m").unwrap();
        assert_eq!(asked, r#"{"model":"m","messages":[],"system":"s"}"#);
        let asked =
            count_request(Dialect::GeminiGenerate, "{\"contents\":[]}".into(), "g").unwrap();
        assert_eq!(
            asked,
            r#"{"generateContentRequest":{"contents":[],"model":"models/g"}}"#
        );
    }

    #[test]
    fn every_dialects_count_is_read_and_written() {
        for dialect in [
            Dialect::AnthropicMessages,
            Dialect::GeminiGenerate,
            Dialect::OpenAiResponses,
        ] {
            assert_eq!(parse_count(&render_count(dialect, 7)).unwrap(), 7);
        }
        assert!(parse_count(b"{\"tokens\":7}").is_err());
    }

    #[test]
    fn t50_a_longer_prompt_is_estimated_higher() {
        let of = |text: &str| {
            let body =
                format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
            estimate_tokens(&crate::parse_request(Dialect::OpenAiChat, &raw(&body)).unwrap())
        };
        assert_eq!(of("four"), 5);
        assert!(of(&"word ".repeat(100)) > 100);
    }

    #[test]
    fn a_count_needs_no_maximum() {
        let call = counted_call(Dialect::AnthropicMessages, raw(r#"{"model":"m"}"#)).unwrap();
        assert_eq!(call.get("max_tokens"), Some("1"));
        let wrapped = raw(r#"{"generateContentRequest":{"contents":[1]}}"#);
        let call = counted_call(Dialect::GeminiGenerate, wrapped).unwrap();
        assert_eq!(call.get("contents"), Some("[1]"));
    }
}
