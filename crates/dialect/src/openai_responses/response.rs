//! Whole responses.

use tollgate_base::{Error, Result};

use super::{
    custom::{self, Peculiar},
    errors::failure,
    not_a_reply,
    output::OutputItem,
    reply::{Envelope, put_response, reply_id},
    wire::{Item, Part, Reply},
};
use crate::{
    EncodeOptions, Loss, Reading, anthropic, ids,
    ir::{self, Block, FinishReason, Issuer, Response, ToolCall, dropped, sealed_reasoning},
    json::Object,
    openai_chat::logprobs::read_list,
};

/// Usage and end of a whole reply. One that is still being made has no end yet.
pub(crate) fn read_reply(body: &[u8]) -> Result<Reading> {
    let reply = parse_wire(body)?;
    Ok(Reading {
        usage: reply.to_usage().unwrap_or_default(),
        finish: reply_finish(&reply)?,
    })
}

pub(super) fn parse_wire(body: &[u8]) -> Result<Reply<'_>> {
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(|_| not_a_reply())?;
    if reply.object.as_deref() == Some("response") || reply.output.is_some() {
        return Ok(reply);
    }
    match &reply.error {
        Some(error) => Err(failure(Some(error))),
        None => Err(not_a_reply()),
    }
}

/// How a response ended; `None` while it has not. A failed one is an error inside of a 200 (traps T46).
pub(super) fn reply_finish(reply: &Reply<'_>) -> Result<Option<FinishReason>> {
    let items = || reply.output.iter().flatten();
    let has_calls = items().any(|item| {
        matches!(
            item.kind.as_deref(),
            Some("function_call" | "custom_tool_call")
        )
    });
    let has_refused = items()
        .flat_map(|item| item.content.iter().flatten())
        .any(|part| part.kind.as_deref() == Some("refusal"));
    let details = reply.incomplete_details.as_ref();
    let reason = details.and_then(|details| details.reason.as_deref());
    finish_of(reply, reason, has_calls, has_refused)
}

pub(super) fn finish_of(
    reply: &Reply<'_>,
    reason: Option<&str>,
    has_calls: bool,
    has_refused: bool,
) -> Result<Option<FinishReason>> {
    let finish = match (reply.status.as_deref(), reason) {
        (Some("failed"), _) => return Err(failure(reply.error.as_ref())),
        (Some("cancelled"), _) => {
            let text = "The provider cancelled the response.";
            return Err(Error::upstream_invalid(text));
        }
        (Some("in_progress" | "queued"), _) => return Ok(None),
        (Some("incomplete"), Some("content_filter")) => FinishReason::Refusal,
        // The reason has two names in the wild.
        (Some("incomplete"), _) => FinishReason::MaxTokens,
        _ if has_calls => FinishReason::ToolCalls,
        _ if has_refused => FinishReason::Refusal,
        _ => FinishReason::EndOfTurn,
    };
    Ok(Some(finish))
}

pub(crate) fn parse_response(body: &[u8]) -> Result<Response> {
    let reply = parse_wire(body)?;
    let Some(finish) = reply_finish(&reply)? else {
        let text = "The provider answered with a response that is not finished.";
        return Err(Error::upstream_invalid(text));
    };
    let was_cut = finish == FinishReason::MaxTokens;
    let reply_id = reply.id.to_text();
    let usage = reply.to_usage().unwrap_or_default();
    let mut blocks = Vec::new();
    let mut losses = Vec::new();
    for (i, item) in reply.output.iter().flatten().enumerate() {
        match item.kind.as_deref() {
            Some("message") => {
                let parts = item.content.iter().flatten();
                blocks.extend(parts.filter_map(part_block));
            }
            Some("reasoning") => blocks.extend(reasoning_block(item)),
            Some("function_call") => {
                blocks.push(Block::ToolCall(parse_call(item, &reply_id, i, was_cut)?));
            }
            Some("custom_tool_call") => {
                let input = custom::wrapped(item.input.as_deref().unwrap_or_default());
                blocks.push(Block::ToolCall(call(item, &reply_id, i, input)?));
            }
            Some(kind) => losses.push(hosted(i, kind)),
            None => {}
        }
    }
    Ok(Response {
        id: reply_id,
        model: reply.model.to_text(),
        blocks,
        finish,
        usage,
        service_tier: reply.service_tier.filled().map(str::to_owned),
        others: Vec::new(),
        losses,
    })
}

/// What a hosted tool did, which the answer's text tells.
pub(super) fn hosted(i: usize, kind: &str) -> Loss {
    let kind: String = kind.chars().take(64).collect();
    dropped(
        format!("output[{i}]"),
        format!(
            "No other dialect has an item of type {}.",
            tollgate_base::quote(&kind)
        ),
    )
}

fn part_block(part: &Part<'_>) -> Option<Block> {
    if let Some(text) = part.refusal.filled() {
        return Some(Block::Refusal(text.to_owned()));
    }
    let text = part.text.filled()?.to_owned();
    let annotations = part.annotations.iter().flatten();
    Some(Block::Text {
        text,
        citations: annotations
            .map(super::wire::Annotation::to_citation)
            .collect(),
        logprobs: read_list(part.logprobs),
    })
}

fn reasoning_block(item: &Item<'_>) -> Option<Block> {
    let text = reasoning_text(item);
    let seal = item.encrypted_content.filled();
    if text.is_empty() && seal.is_none() {
        return None;
    }
    match sealed_reasoning(Issuer::OpenAi, text, seal) {
        ir::Part::RedactedReasoning { data } => Some(Block::RedactedReasoning { data }),
        ir::Part::Reasoning { text, signature } => Some(Block::Reasoning { text, signature }),
        _ => None,
    }
}

/// The summary, or else the reasoning itself.
pub(super) fn reasoning_text(item: &Item<'_>) -> String {
    let joined = |parts: &Option<Vec<Part<'_>>>| {
        let texts: Vec<&str> = parts
            .iter()
            .flatten()
            .filter_map(|part| part.text.filled())
            .collect();
        texts.join("\n\n")
    };
    let summary = joined(&item.summary);
    if summary.is_empty() {
        joined(&item.content)
    } else {
        summary
    }
}

fn parse_call(item: &Item<'_>, reply_id: &str, i: usize, was_cut: bool) -> Result<ToolCall> {
    let arguments = item.arguments.to_text();
    if anthropic::arguments_object(&arguments).is_none() && !was_cut {
        // Arguments that are cut with the reply are what the model said; others would be called wrongly.
        return Err(Error::upstream_invalid(
            "The model wrote a tool call whose arguments are no JSON object.",
        ));
    }
    call(item, reply_id, i, arguments)
}

/// The call of an item; the item's own id serves where the provider gave the call none.
pub(super) fn call(
    item: &Item<'_>,
    reply_id: &str,
    i: usize,
    arguments: String,
) -> Result<ToolCall> {
    let Some(name) = item.name.filled() else {
        return Err(Error::upstream_invalid(
            "The provider sent a tool call without a name.",
        ));
    };
    let id = item.call_id.filled().or(item.id.filled());
    Ok(ToolCall {
        id: id.map_or_else(|| ids::made_call_id(reply_id, name, i), str::to_owned),
        name: name.to_owned(),
        arguments,
    })
}

pub(crate) fn render_response(response: &Response, options: &EncodeOptions) -> Vec<u8> {
    let id = reply_id(&response.id, options);
    let tools = Peculiar::of_request(options);
    let items: Vec<OutputItem> = response
        .blocks
        .iter()
        .enumerate()
        .map(|(n, block)| OutputItem::of_block(block, &id, n, &options.names, &tools))
        .collect();
    let envelope = Envelope {
        id: &id,
        model: &response.model,
        finish: Some(&response.finish),
        usage: response.usage,
        service_tier: response.service_tier.as_deref().map(tier_name),
    };
    let mut out = Vec::with_capacity(1024);
    put_response(&mut Object::new(&mut out), &envelope, &items, options);
    out
}

/// `standard` is the other vendor's word for `default`.
fn tier_name(tier: &str) -> &str {
    if tier == "standard" { "default" } else { tier }
}
