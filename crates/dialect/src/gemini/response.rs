//! Whole replies. A whole reply has the form of a stream's piece, so that both are read by the same code.

use tollgate_base::{Error, Provenance, Result};

use super::{
    GenerateDecoder, finish_name, finish_reason,
    logprobs::{self, Mean},
    not_a_reply, parse_error,
    parts::{Said, Writer},
    wire::{Reply, UsageOut},
};
use crate::{
    Decoder, EncodeOptions, Reading,
    ir::{Block, FinishReason, Issuer, Response, TokenLogprob},
    json::Object,
};

/// Usage and end of a whole reply.
pub(crate) fn read_reply(body: &[u8]) -> Result<Reading> {
    let reply = parse_wire(body)?;
    let usage = reply
        .usage_metadata
        .as_ref()
        .map(|usage| usage.to_usage(Provenance::Reported))
        .unwrap_or_default();
    let Some(candidate) = reply.candidates.as_ref().and_then(|all| all.first()) else {
        return Ok(Reading {
            usage,
            finish: Some(FinishReason::Refusal),
        });
    };
    let parts = candidate.content.iter().flat_map(|content| &content.parts);
    let parts = parts.flatten();
    let has_calls = parts.clone().any(|part| part.function_call.is_some());
    let has_content = has_calls || parts.clone().any(|part| part.thought != Some(true));
    let finish = match candidate.finish_reason.filled() {
        Some(name) => {
            finish_reason(name, has_calls, has_content)?.or(Some(FinishReason::EndOfTurn))
        }
        None => None,
    };
    Ok(Reading { usage, finish })
}

/// A reply that is one: JSON, no error inside, with a candidate or the word that the prompt was blocked.
fn parse_wire(body: &[u8]) -> Result<Reply<'_>> {
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(parse_error(200, None, body));
    }
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(|_| not_a_reply())?;
    if reply.error.is_some() {
        return Err(parse_error(200, None, body));
    }
    let is_blocked = reply
        .prompt_feedback
        .as_ref()
        .is_some_and(|feedback| feedback.block_reason.filled().is_some());
    match reply.candidates.as_deref() {
        Some([_, ..]) => Ok(reply),
        _ if is_blocked => Ok(reply),
        None => Err(not_a_reply()),
        Some([]) => Err(Error::upstream_invalid(
            "The provider's reply holds no answer.",
        )),
    }
}

pub(crate) fn parse_response(body: &[u8]) -> Result<Response> {
    let reply = parse_wire(body)?;
    let tier = reply
        .usage_metadata
        .as_ref()
        .and_then(|usage| usage.service_tier.filled())
        .map(str::to_owned);
    let mut decoder = GenerateDecoder::default();
    let mut events = Vec::new();
    decoder.read(body, &mut events);
    decoder.finish(&mut events);
    let mut response = Response::from_events(events)?;
    response.service_tier = tier;
    Ok(response)
}

pub(crate) fn render_response(response: &Response, options: &EncodeOptions) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut body = Object::new(&mut out);
    {
        let mut candidates = body.list("candidates");
        for answer in response.answers() {
            put_candidate(&mut candidates.object(), answer, options);
        }
    }
    if response.usage.provenance != Provenance::Unknown {
        let tier = response.service_tier.as_deref();
        body.put("usageMetadata", &UsageOut::new(&response.usage, tier));
    }
    body.put("modelVersion", &response.model);
    let id = if response.id.is_empty() {
        &options.id_suffix
    } else {
        &response.id
    };
    body.put("responseId", id);
    drop(body);
    out
}

fn put_candidate(
    candidate: &mut Object<'_>,
    (index, blocks, finish): (usize, &[Block], &FinishReason),
    options: &EncodeOptions,
) {
    let mut writer = Writer::default();
    {
        let mut content = candidate.object("content");
        {
            let mut parts = content.list("parts");
            for block in blocks {
                put_block(&mut writer, block, options, &mut parts);
            }
            writer.close(&mut parts);
            if parts.is_empty() {
                // Clients read the first part without asking whether there is one.
                parts.object().put("text", "");
            }
        }
        content.put("role", "model");
    }
    let finish = if writer.is_malformed && *finish == FinishReason::ToolCalls {
        "MALFORMED_FUNCTION_CALL"
    } else {
        finish_name(finish)
    };
    candidate.put("finishReason", finish);
    candidate.put("index", &index);
    put_logprobs(candidate, blocks);
    writer.put_sources(candidate);
}

fn put_logprobs(candidate: &mut Object<'_>, blocks: &[Block]) {
    let lists = blocks.iter().filter_map(|block| match block {
        Block::Text { logprobs, .. } => Some(logprobs),
        _ => None,
    });
    let tokens: Vec<TokenLogprob> = lists.flatten().cloned().collect();
    let mut mean = Mean::default();
    mean.add(&tokens);
    mean.put(candidate);
    logprobs::put(candidate, &tokens);
}

fn put_block(
    writer: &mut Writer,
    block: &Block,
    options: &EncodeOptions,
    parts: &mut crate::json::List<'_>,
) {
    match block {
        Block::Text {
            text, citations, ..
        } => {
            writer.begin_text();
            writer.put(parts, &Said::Text(text));
            for citation in citations {
                writer.cite(citation);
            }
        }
        Block::Refusal(text) => {
            writer.begin_text();
            writer.put(parts, &Said::Text(text));
        }
        Block::Reasoning { text, signature } => match signature {
            None => writer.put(parts, &Said::Thought(text, None)),
            Some(signature) if signature.issuer == Issuer::Gemini => {
                writer.put(parts, &Said::Thought(text, None));
                writer.seal(parts, &signature.data);
            }
            Some(signature) => {
                let seal = signature.written_for(Issuer::Gemini);
                writer.put(parts, &Said::Thought(text, Some(&seal)));
            }
        },
        Block::RedactedReasoning { data } => {
            let seal = crate::ir::redacted_for(Issuer::Gemini, data);
            writer.put(parts, &Said::Thought("", Some(&seal)));
        }
        Block::ToolCall(call) => writer.put(
            parts,
            &Said::Call {
                id: &call.id,
                name: options.names.original(&call.name),
                arguments: &call.arguments,
            },
        ),
    }
}
