//! The response object around the output: every field that the vendor's has, most of them the caller's own
//! request repeated.

use tollgate_base::Usage;

use super::{output::OutputItem, wire::UsageOut};
use crate::{
    EncodeOptions, RawObject, ids,
    ir::FinishReason,
    json::{Json, Object},
};

/// What is said of a response beside its output.
pub(super) struct Envelope<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    /// `None` while it is under way.
    pub(super) finish: Option<&'a FinishReason>,
    pub(super) usage: Usage,
    pub(super) service_tier: Option<&'a str>,
}

pub(super) fn reply_id(id: &str, options: &EncodeOptions) -> String {
    ids::reply_id("resp_", id, &options.id_suffix)
}

pub(super) fn put_response(
    body: &mut Object<'_>,
    envelope: &Envelope<'_>,
    items: &[OutputItem],
    options: &EncodeOptions,
) {
    let reason = envelope.finish.and_then(incomplete_reason);
    let status = match (envelope.finish, reason) {
        (None, _) => "in_progress",
        (Some(_), None) => "completed",
        (Some(_), Some(_)) => "incomplete",
    };
    body.put("id", envelope.id);
    body.put("object", "response");
    body.put("created_at", &options.created);
    body.put("status", status);
    body.put("background", &false);
    body.put("error", &());
    match reason {
        Some(reason) => body.object("incomplete_details").put("reason", reason),
        None => body.put("incomplete_details", &()),
    }
    body.put("model", envelope.model);
    {
        let mut output = body.list("output");
        for item in items {
            item.put(&mut output, "completed");
        }
    }
    put_echo(body, options.request.as_ref());
    body.put_some("service_tier", envelope.service_tier);
    // Clients break off at an end without it, so that usage that nobody said reads as none (traps T33).
    if envelope.finish.is_some() {
        body.put("usage", &UsageOut::new(&envelope.usage));
    }
}

/// Why a response is incomplete; `None` for one that is complete.
pub(super) fn incomplete_reason(finish: &FinishReason) -> Option<&'static str> {
    match finish {
        FinishReason::MaxTokens | FinishReason::ContextFull => Some("max_output_tokens"),
        FinishReason::Refusal => Some("content_filter"),
        // Paused: this dialect has no word for it; the conversation may go on as after any answer.
        FinishReason::EndOfTurn
        | FinishReason::StopSequence(_)
        | FinishReason::ToolCalls
        | FinishReason::Paused => None,
    }
}

/// The caller's request, with the vendor's defaults for what it does not say.
fn put_echo(body: &mut Object<'_>, request: Option<&RawObject>) {
    const FIELDS: [(&str, &str); 13] = [
        ("instructions", "null"),
        ("max_output_tokens", "null"),
        ("max_tool_calls", "null"),
        ("metadata", "{}"),
        ("parallel_tool_calls", "true"),
        ("previous_response_id", "null"),
        ("reasoning", r#"{"effort":null,"summary":null}"#),
        ("store", "true"),
        ("temperature", "1.0"),
        ("tool_choice", "\"auto\""),
        ("top_logprobs", "0"),
        ("top_p", "1.0"),
        ("truncation", "\"disabled\""),
    ];
    let said = |name: &str| request.and_then(|raw| raw.json(name)).map(Json::text);
    for (name, default) in FIELDS {
        body.raw(name, said(name).unwrap_or(default));
    }
    put_text(body, request);
    put_tools(body, request);
    for name in ["user", "safety_identifier", "prompt_cache_key"] {
        if let Some(json) = said(name) {
            body.raw(name, json);
        }
    }
}

fn put_text(body: &mut Object<'_>, request: Option<&RawObject>) {
    let said = request.and_then(|raw| raw.json("text"));
    let mut text = body.object("text");
    let mut has_format = false;
    for (name, value) in said.into_iter().flat_map(Json::fields) {
        if value.is_null() {
            continue;
        }
        has_format |= name == "format";
        text.raw(name, value.text());
    }
    if !has_format {
        text.object("format").put("type", "text");
    }
}

/// A function in a response says `strict` and `parameters` even where the request did not.
fn put_tools(body: &mut Object<'_>, request: Option<&RawObject>) {
    let said = request.and_then(|raw| raw.json("tools"));
    let mut list = body.list("tools");
    for tool in said.into_iter().flat_map(Json::items) {
        let is_function = tool.field("type").and_then(Json::as_str).as_deref() == Some("function");
        if !is_function {
            list.raw(tool.text());
            continue;
        }
        let mut out = list.object();
        for (name, value) in tool.fields() {
            out.raw(name, value.text());
        }
        for (name, default) in [("parameters", "null"), ("strict", "false")] {
            if tool.field(name).is_none() {
                out.raw(name, default);
            }
        }
    }
}
