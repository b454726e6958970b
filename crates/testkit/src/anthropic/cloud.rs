//! Messages as Bedrock and Vertex take them: the model and the stream in the path, the version in the body.

use serde_json::Value;

use super::check::{Checked, refuse};
use crate::route::Host;

/// The body as the vendor's own endpoint would take it.
pub(crate) fn body(body: &Value, host: Host, model: &str, stream: bool) -> Checked<Value> {
    let wanted = match host {
        Host::Bedrock => "bedrock-2023-05-31",
        _ => "vertex-2023-10-16",
    };
    let Some(fields) = body.as_object() else {
        return refuse("The request body is not valid JSON");
    };
    match fields
        .get("anthropic_version")
        .map(|version| version.as_str())
    {
        None => return refuse("anthropic_version: Field required"),
        Some(Some(version)) if version == wanted => {}
        Some(_) => return refuse(format!("anthropic_version: Input should be '{wanted}'")),
    }
    // Vertex takes `stream` in the body beside the verb, Bedrock does not.
    let foreign: &[&str] = match host {
        Host::Bedrock => &["model", "stream"],
        _ => &["model"],
    };
    if let Some(name) = foreign.iter().find(|name| fields.contains_key(**name)) {
        return refuse(format!("{name}: Extra inputs are not permitted"));
    }
    if let Some(said) = fields.get("stream").and_then(Value::as_bool)
        && said != stream
    {
        return refuse("stream: must be true exactly when streamRawPredict is called");
    }
    let mut fields = fields.clone();
    fields.remove("anthropic_version");
    if fields
        .remove("anthropic_beta")
        .is_some_and(|beta| !beta.is_array())
    {
        return refuse("anthropic_beta: Input should be a valid list");
    }
    fields.insert("model".to_owned(), model.into());
    fields.insert("stream".to_owned(), stream.into());
    Ok(Value::Object(fields))
}

/// Vertex names the model of `count-tokens` in the body.
pub(crate) fn count_body(body: &Value) -> Checked<Value> {
    let mut body = body.clone();
    match body
        .as_object_mut()
        .map(|fields| fields.remove("anthropic_version"))
    {
        Some(Some(Value::String(version))) if version == "vertex-2023-10-16" => Ok(body),
        Some(Some(_)) => refuse("anthropic_version: Input should be 'vertex-2023-10-16'"),
        _ => refuse("anthropic_version: Field required"),
    }
}
