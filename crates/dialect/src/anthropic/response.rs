//! Whole Messages replies.

use serde::Deserialize;
use tollgate_base::{Provenance, Result};

use super::{
    arguments_object, finish_reason, not_a_reply, parse_error,
    wire::{Reply, UsageOut, WireCitation},
};
use crate::{
    EncodeOptions, Reading, ids,
    ir::{Block, Citation, FinishReason, Issuer, Response, Signature, ToolCall},
    json::{List, Object, Text},
};

/// Usage and end of a whole reply.
pub(crate) fn read_reply(body: &[u8]) -> Result<Reading> {
    let reply = parse_wire(body)?;
    let usage = reply
        .usage
        .map(|usage| usage.to_usage(Provenance::Reported))
        .unwrap_or_default();
    Ok(Reading {
        usage,
        finish: reply_finish(&reply),
    })
}

fn parse_wire(body: &[u8]) -> Result<Reply<'_>> {
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(|_| not_a_reply())?;
    if reply.error.is_some() || reply.kind.as_deref() == Some("error") {
        return Err(parse_error(200, None, body));
    }
    if reply.content.is_none() {
        return Err(not_a_reply());
    }
    Ok(reply)
}

fn reply_finish(reply: &Reply<'_>) -> Option<FinishReason> {
    let has_calls = reply
        .content
        .iter()
        .flatten()
        .any(|block| block.kind.as_deref() == Some("tool_use"));
    let name = reply.stop_reason.filled()?;
    Some(finish_reason(
        name,
        reply.stop_sequence.as_deref(),
        has_calls,
    ))
}

/// A whole reply. Blocks of kinds that no other dialect has are not told.
pub(crate) fn parse_response(body: &[u8]) -> Result<Response> {
    let reply = parse_wire(body)?;
    let finish = reply_finish(&reply);
    let mut blocks = Vec::new();
    for block in reply.content.iter().flatten() {
        match block.kind.as_deref() {
            Some("text") => {
                if let Some(text) = block.text.filled() {
                    let citations = block.citations.iter().flatten();
                    blocks.push(Block::Text {
                        text: text.to_owned(),
                        citations: citations.filter_map(WireCitation::to_citation).collect(),
                        logprobs: Vec::new(),
                    });
                }
            }
            Some("thinking") => blocks.push(Block::Reasoning {
                text: block.thinking.to_text(),
                signature: block
                    .signature
                    .filled()
                    .map(|seal| Signature::new(Issuer::Anthropic, seal)),
            }),
            Some("redacted_thinking") => blocks.push(Block::RedactedReasoning {
                data: block.data.to_text(),
            }),
            Some("tool_use") => blocks.push(Block::ToolCall(ToolCall {
                id: block.id.to_text(),
                name: block.name.to_text(),
                arguments: block
                    .input
                    .map_or_else(|| "{}".to_owned(), |input| input.get().to_owned()),
            })),
            _ => {}
        }
    }
    let explanation = reply
        .stop_details
        .as_ref()
        .and_then(|details| details.explanation.filled());
    if let (Some(FinishReason::Refusal), Some(text)) = (&finish, explanation) {
        blocks.push(Block::Refusal(text.to_owned()));
    }
    let has_calls = blocks
        .iter()
        .any(|block| matches!(block, Block::ToolCall(_)));
    let seen = if has_calls {
        FinishReason::ToolCalls
    } else {
        FinishReason::EndOfTurn
    };
    Ok(Response {
        id: reply.id.to_text(),
        model: reply.model.to_text(),
        blocks,
        finish: finish.unwrap_or(seen),
        usage: reply
            .usage
            .map(|usage| usage.to_usage(Provenance::Reported))
            .unwrap_or_default(),
        service_tier: service_tier(body),
        others: Vec::new(),
        losses: Vec::new(),
    })
}

/// The tier that served a reply, which this dialect names in the middle of its usage.
fn service_tier(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Tiered<'a> {
        #[serde(borrow, default)]
        usage: Option<Tier<'a>>,
    }
    #[derive(Deserialize)]
    struct Tier<'a> {
        #[serde(borrow, default)]
        service_tier: Text<'a>,
    }
    let tiered: Tiered<'_> = serde_json::from_slice(body).ok()?;
    tiered.usage?.service_tier.filled().map(str::to_owned)
}

/// What is said of a reply's end: the reason, and the sequence that was hit.
pub(super) fn finish_names(finish: &FinishReason) -> (&'static str, Option<&str>) {
    match finish {
        // Which sequence it was is the point of that reason, so that without it there is only the end.
        FinishReason::EndOfTurn | FinishReason::StopSequence(None) => ("end_turn", None),
        FinishReason::StopSequence(Some(text)) => ("stop_sequence", Some(text)),
        FinishReason::MaxTokens => ("max_tokens", None),
        FinishReason::ContextFull => ("model_context_window_exceeded", None),
        FinishReason::ToolCalls => ("tool_use", None),
        FinishReason::Refusal => ("refusal", None),
        FinishReason::Paused => ("pause_turn", None),
    }
}

pub(crate) fn render_response(response: &Response, options: &EncodeOptions) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut body = Object::new(&mut out);
    body.put(
        "id",
        &ids::reply_id("msg_", &response.id, &options.id_suffix),
    );
    body.put("type", "message");
    body.put("role", "assistant");
    body.put("model", &response.model);
    {
        let mut content = body.list("content");
        for block in answered(&response.blocks) {
            put_block(&mut content, block, options);
        }
    }
    let (reason, sequence) = finish_names(&response.finish);
    body.put("stop_reason", reason);
    body.put("stop_sequence", &sequence);
    let tier = response.service_tier.as_deref();
    body.put("usage", &UsageOut::new(&response.usage).with_tier(tier));
    drop(body);
    out
}

/// The blocks without a seal that stands alone after the answer: clients take the last block for the answer.
fn answered(blocks: &[Block]) -> &[Block] {
    match blocks.split_last() {
        Some((Block::Reasoning { text, .. }, answer)) if text.is_empty() && !answer.is_empty() => {
            answer
        }
        _ => blocks,
    }
}

fn put_block(content: &mut List<'_>, block: &Block, options: &EncodeOptions) {
    match block {
        Block::Text { text, .. } | Block::Refusal(text) if text.is_empty() => {}
        Block::Refusal(text) => {
            let mut out = content.object();
            out.put("type", "text");
            out.put("text", text);
        }
        Block::Text {
            text, citations, ..
        } => {
            let mut out = content.object();
            out.put("type", "text");
            out.put("text", text);
            if citations.is_empty() {
                return;
            }
            let mut list = out.list("citations");
            for citation in citations {
                put_citation(&mut list.object(), citation);
            }
        }
        Block::Reasoning { text, signature } => {
            let mut out = content.object();
            out.put("type", "thinking");
            out.put("thinking", text);
            // Empty where there is none: a made-up one would be refused later, and this one is known again.
            let seal = signature
                .as_ref()
                .map(|signature| signature.written_for(Issuer::Anthropic));
            out.put("signature", seal.as_deref().unwrap_or_default());
        }
        Block::RedactedReasoning { data } => {
            let mut out = content.object();
            out.put("type", "redacted_thinking");
            out.put("data", data);
        }
        Block::ToolCall(call) => {
            let mut out = content.object();
            out.put("type", "tool_use");
            out.put("id", &*ids::call_id_of_word_characters(&call.id));
            out.put("name", options.names.original(&call.name));
            match arguments_object(&call.arguments) {
                Some(input) => out.raw("input", input),
                None => out.object("input").put("_raw", &call.arguments),
            }
        }
    }
}

/// A source as the vendor's own web search tells it. The index is for the vendor to read back; there is none.
pub(super) fn put_citation(out: &mut Object<'_>, citation: &Citation) {
    out.put("type", "web_search_result_location");
    out.put("cited_text", citation.quote.as_deref().unwrap_or_default());
    out.put("encrypted_index", "");
    out.put("title", &citation.title);
    out.put("url", citation.url.as_deref().unwrap_or_default());
}
