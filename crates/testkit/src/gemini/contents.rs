//! The rules of a conversation: parts with exactly one datum, calls and responses in pairs, signatures on the
//! calls of the current turn.

use serde_json::Value;

use super::fields::{Checked, refuse};
use crate::family;
use crate::turn::{Signature, check_signature};

/// Values that the vendor documents for calls which another provider made.
const DUMMY_SIGNATURES: &[&str] = &[
    "skip_thought_signature_validator",
    "context_engineering_is_the_way_to_go",
];
const DATA: &[&str] = &[
    "codeExecutionResult",
    "executableCode",
    "fileData",
    "functionCall",
    "functionResponse",
    "inlineData",
    "text",
    "toolCall",
    "toolResponse",
];

pub(super) fn parts(content: &Value) -> impl Iterator<Item = &Value> {
    content["parts"].as_array().into_iter().flatten()
}

pub(super) fn is_model(content: &Value) -> bool {
    content["role"] == "model"
}

fn with<'a>(content: &'a Value, field: &'static str) -> impl Iterator<Item = &'a Value> {
    parts(content).filter(move |part| part.get(field).is_some())
}

/// What a call's signature signs: its name and its arguments, whatever the order of keys.
pub(crate) fn signed_call(name: &str, arguments: &Value) -> String {
    format!("call:{name}:{arguments}")
}

pub(super) fn check(contents: &[Value], model: &str) -> Checked<()> {
    if contents.is_empty() {
        return refuse("* GenerateContentRequest.contents: contents is not specified\n");
    }
    for (index, content) in contents.iter().enumerate() {
        check_content(index, content)?;
    }
    check_pairs(contents)?;
    check_signatures(contents, model)?;
    match contents.last() {
        Some(last) if is_model(last) && family::ends_with_user(model) => {
            refuse("Requests ending with a model turn are not supported.")
        }
        _ => Ok(()),
    }
}

pub(super) fn check_content(index: usize, content: &Value) -> Checked<()> {
    if !matches!(
        content["role"].as_str(),
        None | Some("user" | "model" | "function")
    ) {
        return refuse("Please use a valid role: user, model.");
    }
    if parts(content).next().is_none() {
        return refuse(format!(
            "* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"
        ));
    }
    for (part, item) in parts(content).enumerate() {
        let n = DATA
            .iter()
            .filter(|name| item.get(**name).is_some())
            .count();
        // What a stream of its own ends with is taken back.
        let is_blank = item["text"] == ""
            && item.get("thoughtSignature").is_none()
            && content["role"] != "model";
        let at = format!("GenerateContentRequest.contents[{index}].parts[{part}].data");
        match n {
            1 if is_blank => {
                return refuse(
                    "Unable to submit request because it must have a text parameter. Add a text parameter and try again.",
                );
            }
            1 => {}
            0 => {
                return refuse(format!(
                    "* {at}: required oneof field 'data' must have one initialized field\n"
                ));
            }
            _ => {
                return refuse(format!(
                    "Invalid value at 'contents[{index}].parts[{part}]' (oneof), oneof field 'data' is already set."
                ));
            }
        }
        check_datum(item, &at, is_model(content))?;
    }
    Ok(())
}

fn check_datum(part: &Value, at: &str, by_model: bool) -> Checked<()> {
    if let Some(call) = part.get("functionCall") {
        if !by_model {
            return refuse("Please ensure that function call parts are only in model turns.");
        }
        if call["name"].as_str().is_none_or(str::is_empty) {
            return refuse(format!(
                "* {at}.function_call.name: Name cannot be empty.\n"
            ));
        }
        if !(call["args"].is_object() || call["args"].is_null()) {
            return refuse(format!(
                "Invalid value at '{at}.function_call.args' (type.googleapis.com/google.protobuf.Struct), {}",
                call["args"]
            ));
        }
    }
    if let Some(response) = part.get("functionResponse") {
        if response["name"].as_str().is_none_or(str::is_empty) {
            return refuse(format!(
                "* {at}.function_response.name: Name cannot be empty.\n"
            ));
        }
        if !response["response"].is_object() {
            return refuse(format!(
                "Invalid value at '{at}.function_response.response' (type.googleapis.com/google.protobuf.Struct), {}",
                response["response"]
            ));
        }
    }
    if let Some(blob) = part.get("inlineData")
        && (blob["mimeType"].as_str().is_none_or(str::is_empty) || !is_base64(&blob["data"]))
    {
        return refuse(format!(
            "Invalid value at '{at}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"
        ));
    }
    if let Some(file) = part.get("fileData")
        && file["fileUri"].as_str().is_none_or(str::is_empty)
    {
        return refuse(format!("* {at}.file_data.file_uri: must not be empty.\n"));
    }
    Ok(())
}

fn is_base64(data: &Value) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    data.as_str().is_some_and(|data| {
        !data.is_empty() && (STANDARD.decode(data).is_ok() || URL_SAFE.decode(data).is_ok())
    })
}

/// Responses stand directly behind their calls, as many as there were calls.
fn check_pairs(contents: &[Value]) -> Checked<()> {
    let mut waiting = 0;
    for (index, content) in contents.iter().enumerate() {
        let n_responses = with(content, "functionResponse").count();
        if n_responses > 0 && waiting == 0 {
            return refuse(
                "Please ensure that function response turn comes immediately after a function call turn.",
            );
        }
        if n_responses != waiting {
            return refuse(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
            );
        }
        if n_responses > 0 {
            let calls: Vec<&Value> = with(&contents[index - 1], "functionCall").collect();
            check_ids(&calls, content)?;
        }
        waiting = with(content, "functionCall").count();
        if waiting > 0 && (index == 0 || is_model(&contents[index - 1])) {
            return refuse(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
            );
        }
    }
    if waiting == 0 {
        return Ok(());
    }
    refuse(
        "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
    )
}

/// A response answers a call of its name, and of its id where both have one.
fn check_ids(calls: &[&Value], content: &Value) -> Checked<()> {
    for part in with(content, "functionResponse") {
        let response = &part["functionResponse"];
        let fits = calls.iter().any(|call| {
            let call = &call["functionCall"];
            call["name"] == response["name"]
                && (call["id"].is_null()
                    || response["id"].is_null()
                    || call["id"] == response["id"])
        });
        if !fits {
            return refuse(format!(
                "Please ensure that function response parts match the function call parts of the function call turn: no call '{}' waits for a response.",
                response["name"].as_str().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

/// Every signature is genuine or a documented dummy; each step of the current turn has one on its first call.
fn check_signatures(contents: &[Value], model: &str) -> Checked<()> {
    for part in contents.iter().flat_map(parts) {
        if let Some(signature) = part["thoughtSignature"].as_str() {
            check_signature_of(part, signature)?;
        }
    }
    if !family::signs_calls(model) {
        return Ok(());
    }
    let turn = contents
        .iter()
        .rposition(|content| {
            !is_model(content) && with(content, "functionResponse").next().is_none()
        })
        .map_or(0, |last| last + 1);
    for (index, content) in contents.iter().enumerate().skip(turn) {
        let Some(first) = with(content, "functionCall").next() else {
            continue;
        };
        if first["thoughtSignature"].as_str().is_none_or(str::is_empty) {
            let name = first["functionCall"]["name"].as_str().unwrap_or_default();
            return refuse(format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call `default_api:{name}` , position {}. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                index + 1
            ));
        }
    }
    Ok(())
}

fn check_signature_of(part: &Value, signature: &str) -> Checked<()> {
    if DUMMY_SIGNATURES.contains(&signature) {
        return Ok(());
    }
    let signed = part.get("functionCall").map_or_else(String::new, |call| {
        let empty = Value::Object(serde_json::Map::new());
        let arguments = call.get("args").unwrap_or(&empty);
        signed_call(call["name"].as_str().unwrap_or_default(), arguments)
    });
    // Text is cut and joined on its way: only the scheme of its signature can be checked.
    let is_call = part.get("functionCall").is_some();
    // Both alphabets of base64 are taken, as ProtoJSON says.
    let signature = signature.replace('-', "+").replace('_', "/");
    match check_signature(&signed, &signature) {
        Signature::Valid => Ok(()),
        Signature::Edited if !is_call => Ok(()),
        Signature::Edited | Signature::Foreign => refuse("Corrupted thought signature."),
    }
}
