//! Whole chat replies.

use tollgate_base::{Error, Provenance, Result};

use super::{
    cite, finish_reason, logprobs, not_a_reply, parse_error,
    stream::CALLS_LIMIT,
    wire::{CallFragment, Delta, Glance, GlanceChoice, Reply, ReplyChoice, UsageOut, reply_usage},
};
use crate::{
    EncodeOptions, Loss, Reading, anthropic, ids,
    ir::{Answer, Block, FinishReason, Response, TokenLogprob, ToolCall, dropped},
    json::{List, Object},
};

/// Usage and end of a whole reply of chat or legacy completions, without reading what it says.
pub(crate) fn read_reply(body: &[u8]) -> Result<Reading> {
    let reply: Glance<'_> = serde_json::from_slice(body).map_err(|_| not_a_reply())?;
    if reply.error.is_some() || reply.object.as_deref() == Some("error") {
        return Err(parse_error(200, None, body));
    }
    if !reply.choices.is_list {
        return Err(not_a_reply());
    }
    Ok(Reading {
        usage: reply_usage(reply.usage, reply.service_tier.as_deref()),
        finish: match &reply.choices.first {
            Some(choice) => glance_finish(choice)?,
            None => None,
        },
    })
}

fn glance_finish(choice: &GlanceChoice<'_>) -> Result<Option<FinishReason>> {
    let Some(name) = choice.finish_reason.filled() else {
        return Ok(None);
    };
    let message = choice.message.as_ref();
    let has_calls = message.is_some_and(|message| {
        message.function_call.is_some()
            || message
                .tool_calls
                .as_ref()
                .is_some_and(|calls| !calls.is_empty())
    });
    let has_refused = message.is_some_and(|message| message.refusal.filled().is_some());
    finish_reason(name, choice.stop_reason.as_deref(), has_calls, has_refused).map(Some)
}

/// A reply that is one: JSON, no error inside, with choices.
fn parse_wire(body: &[u8]) -> Result<Reply<'_>> {
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(|_| not_a_reply())?;
    if reply.error.is_some() || reply.object.as_deref() == Some("error") {
        return Err(parse_error(200, None, body));
    }
    if !reply.choices.is_list {
        return Err(not_a_reply());
    }
    Ok(reply)
}

fn choice_finish(choice: &ReplyChoice<'_>) -> Result<Option<FinishReason>> {
    let Some(name) = choice.finish_reason.filled() else {
        return Ok(None);
    };
    let message = choice.message.as_ref();
    let has_calls = message.is_some_and(|message| {
        message
            .tool_calls
            .as_ref()
            .is_some_and(|calls| !calls.is_empty())
            || message.function_call.is_some()
    });
    let has_refused = message.is_some_and(|message| message.refusal.filled().is_some());
    finish_reason(name, choice.stop_reason.as_deref(), has_calls, has_refused).map(Some)
}

/// A whole reply of chat or legacy completions.
pub(crate) fn parse_response(body: &[u8]) -> Result<Response> {
    let reply = parse_wire(body)?;
    let Some(choice) = &reply.choices.first else {
        return Err(Error::upstream_invalid(
            "The provider's reply holds no answer.",
        ));
    };
    let id = reply.id.to_text();
    let mut losses = Vec::new();
    let first = parse_choice(0, choice, &id, &mut losses)?;
    let mut others: Vec<Answer> = Vec::new();
    for (index, choice) in &reply.choices.others {
        if !others.iter().any(|other| other.index == *index) {
            others.push(parse_choice(*index, choice, &id, &mut losses)?);
        }
    }
    others.sort_by_key(|answer| answer.index);
    Ok(Response {
        id,
        model: reply.model.to_text(),
        blocks: first.blocks,
        finish: first.finish,
        others,
        usage: reply_usage(reply.usage, reply.service_tier.as_deref()),
        service_tier: reply.service_tier.filled().map(str::to_owned),
        losses,
    })
}

fn parse_choice(
    index: usize,
    choice: &ReplyChoice<'_>,
    reply_id: &str,
    losses: &mut Vec<Loss>,
) -> Result<Answer> {
    let finish = choice_finish(choice)?;
    let mut blocks = Vec::new();
    if let Some(text) = choice.text.filled() {
        blocks.push(Block::text(text));
    }
    if let Some(message) = &choice.message {
        let was_cut = finish == Some(FinishReason::MaxTokens);
        parse_prose(message, &mut blocks);
        parse_calls((index, message), reply_id, was_cut, &mut blocks)?;
    }
    let lost = put_tokens(logprobs::read(choice.logprobs), &mut blocks);
    losses.extend(lost.map(|reason| dropped(format!("choices[{index}].logprobs"), reason)));
    let has_calls = blocks
        .iter()
        .any(|block| matches!(block, Block::ToolCall(_)));
    let seen = if has_calls {
        FinishReason::ToolCalls
    } else {
        FinishReason::EndOfTurn
    };
    Ok(Answer {
        index,
        blocks,
        finish: finish.unwrap_or(seen),
    })
}

/// Lays the tokens on the text that they are of, and says why some of them are lost.
fn put_tokens(said: logprobs::Said, blocks: &mut [Block]) -> Option<&'static str> {
    let text = blocks.iter_mut().find_map(|block| match block {
        Block::Text { logprobs, .. } => Some(logprobs),
        _ => None,
    });
    match text {
        Some(logprobs) => *logprobs = said.tokens,
        None if said.tokens.is_empty() => {}
        None => return said.lost.or(Some("They belong to no text.")),
    }
    said.lost
}

fn parse_prose(message: &Delta<'_>, blocks: &mut Vec<Block>) {
    let reasoning = message
        .reasoning_content
        .filled()
        .or(message.reasoning.filled());
    let reasoning = reasoning.or(Some(&*message.content.thinking).filter(|text| !text.is_empty()));
    if let Some(text) = reasoning {
        blocks.push(Block::Reasoning {
            text: text.to_owned(),
            signature: None,
        });
    }
    if let Some(text) = message
        .content
        .text
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        let annotations = message.annotations.iter().flatten();
        blocks.push(Block::Text {
            text: text.to_owned(),
            citations: annotations
                .filter_map(|annotation| cite::citation(annotation, 0))
                .collect(),
            logprobs: Vec::new(),
        });
    }
    if let Some(text) = message.refusal.filled() {
        blocks.push(Block::Refusal(text.to_owned()));
    }
}

fn parse_calls(
    (index, message): (usize, &Delta<'_>),
    reply_id: &str,
    was_cut: bool,
    blocks: &mut Vec<Block>,
) -> Result<()> {
    for (i, call) in message.tool_calls.iter().flatten().enumerate() {
        let place = i + index * CALLS_LIMIT;
        blocks.push(Block::ToolCall(parse_call(call, reply_id, place, was_cut)?));
    }
    if let Some(function) = &message.function_call {
        let name = function.name.to_text();
        let arguments = function
            .arguments
            .0
            .as_deref()
            .unwrap_or_default()
            .to_owned();
        blocks.push(Block::ToolCall(ToolCall {
            id: ids::made_call_id(reply_id, &name, index * CALLS_LIMIT),
            name,
            arguments,
        }));
    }
    Ok(())
}

fn parse_call(
    call: &CallFragment<'_>,
    reply_id: &str,
    i: usize,
    was_cut: bool,
) -> Result<ToolCall> {
    let function = call.function.as_ref();
    let Some(name) = function.and_then(|function| function.name.filled()) else {
        return Err(Error::upstream_invalid(
            "The provider sent a tool call without a name.",
        ));
    };
    let arguments = function
        .and_then(|function| function.arguments.0.as_deref())
        .unwrap_or_default();
    if anthropic::arguments_object(arguments).is_none() && !was_cut {
        // Arguments that are cut with the reply are what the model said; others would be called wrongly.
        return Err(Error::upstream_invalid(
            "The model wrote a tool call whose arguments are no JSON object.",
        ));
    }
    let id = call
        .id
        .filled()
        .map_or_else(|| ids::made_call_id(reply_id, name, i), str::to_owned);
    Ok(ToolCall {
        id,
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    })
}

/// What is said of a reply's end.
pub(super) fn finish_name(finish: &FinishReason) -> &'static str {
    match finish {
        // Paused: this dialect has no word for it; the conversation may go on as after any answer.
        FinishReason::EndOfTurn | FinishReason::StopSequence(_) | FinishReason::Paused => "stop",
        FinishReason::MaxTokens | FinishReason::ContextFull => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::Refusal => "content_filter",
    }
}

pub(crate) fn render_response(response: &Response, options: &EncodeOptions) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut body = Object::new(&mut out);
    body.put(
        "id",
        &ids::reply_id("chatcmpl-", &response.id, &options.id_suffix),
    );
    body.put("object", "chat.completion");
    body.put("created", &options.created);
    body.put("model", &response.model);
    {
        let mut choices = body.list("choices");
        for (index, blocks, finish) in response.answers() {
            let mut choice = choices.object();
            choice.put("index", &index);
            put_message(&mut choice, blocks, finish, options);
            logprobs::put(&mut choice, &tokens(blocks));
            choice.put("finish_reason", finish_name(finish));
        }
    }
    if response.usage.provenance != Provenance::Unknown {
        body.put("usage", &UsageOut::new(&response.usage));
    }
    body.put_some(
        "service_tier",
        response.service_tier.as_deref().map(tier_name),
    );
    drop(body);
    out
}

/// The tokens of all texts, which are one text here.
fn tokens(blocks: &[Block]) -> Vec<TokenLogprob> {
    let lists = blocks.iter().filter_map(|block| match block {
        Block::Text { logprobs, .. } => Some(logprobs),
        _ => None,
    });
    lists.flatten().cloned().collect()
}

/// `standard` is the other vendor's word for `default`.
fn tier_name(tier: &str) -> &str {
    if tier == "standard" { "default" } else { tier }
}

fn put_message(
    choice: &mut Object<'_>,
    blocks: &[Block],
    finish: &FinishReason,
    options: &EncodeOptions,
) {
    let (mut text, mut reasoning, mut refusal) = (String::new(), String::new(), String::new());
    let mut calls = Vec::new();
    let mut annotations = Vec::new();
    let mut seal = None;
    {
        let mut annotations = List::new(&mut annotations);
        for block in blocks {
            let seal_before = seal.take();
            match block {
                Block::Text {
                    text: more,
                    citations,
                    ..
                } => {
                    let (start, length) = (cite::length(&text), cite::length(more));
                    cite::put_annotations(&mut annotations, citations, start, length);
                    text.push_str(more);
                }
                Block::Reasoning {
                    text: more,
                    signature,
                } => {
                    reasoning.push_str(more);
                    seal = signature.as_ref().and_then(cite::call_seal);
                }
                Block::Refusal(more) => refusal.push_str(more),
                Block::ToolCall(call) => calls.push((call, seal_before)),
                Block::RedactedReasoning { .. } => {}
            }
        }
    }
    let is_refusal = *finish == FinishReason::Refusal;
    // What was said before a refusal must not be used.
    let has_text = !is_refusal && (!text.is_empty() || calls.is_empty());
    let mut message = choice.object("message");
    message.put("role", "assistant");
    message.put("content", &has_text.then_some(&text));
    message.put(
        "refusal",
        &(is_refusal || !refusal.is_empty()).then_some(&refusal),
    );
    if !reasoning.is_empty() {
        message.put("reasoning_content", &reasoning);
    }
    if has_text && annotations != b"[]" {
        let annotations = String::from_utf8(annotations).unwrap_or_default();
        message.raw("annotations", &annotations);
    }
    if calls.is_empty() {
        return;
    }
    let mut list = message.list("tool_calls");
    for (call, seal) in calls {
        let mut out = list.object();
        out.put("id", &call.id);
        out.put("type", "function");
        cite::put_seal(&mut out, seal);
        let mut function = out.object("function");
        function.put("name", options.names.original(&call.name));
        function.put(
            "arguments",
            if call.arguments.trim().is_empty() {
                "{}"
            } else {
                &*call.arguments
            },
        );
    }
}
