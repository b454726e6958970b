//! `GenerateContentResponse` as text: one object, or a stream of them.
//!
//! Shape: the v1beta discovery document. Thoughts show only where they were asked for; a signature stands on
//! the first call of a step, else on the text (in a stream: on an empty text in the last chunk).

use serde_json::Value;

use super::contents::signed_call;
use crate::ask::Ask;
use crate::family;
use crate::json::quote;
use crate::scenario::{BilledUsage, Block, Finish};
use crate::turn::{Frame, REDACTED_PIECES, Report, Role, Turn, count, pieces, sign_thinking};

pub(crate) fn generate(turn: &Turn, ask: &Ask, is_array: bool) -> Vec<Frame> {
    if !ask.stream {
        return vec![body(turn, ask)];
    }
    let mut frames = stream(turn, ask);
    for (index, frame) in frames.iter_mut().enumerate() {
        let before: &[u8] = match (is_array, index) {
            (false, _) => b"data: ",
            (true, 0) => b"[",
            (true, _) => b",\r\n",
        };
        let after: &[u8] = if is_array { b"" } else { b"\r\n\r\n" };
        frame.bytes = [before, &frame.bytes, after].concat();
    }
    if is_array {
        frames.push(Frame::new(Role::End, "]\n".to_owned()));
    }
    frames
}

pub(crate) fn token_count(tokens: u64) -> String {
    format!(
        r#"{{"totalTokens":{tokens},"promptTokensDetails":[{{"modality":"TEXT","tokenCount":{tokens}}}]}}"#
    )
}

/// One part of the answer, and the pieces it stands for.
struct Part {
    json: String,
    output: u64,
    reasoning: u64,
    is_call: bool,
}

fn text_part(text: &str, signature: Option<&str>) -> Part {
    let signature = signature
        .map(|signature| format!(r#","thoughtSignature":"{signature}""#))
        .unwrap_or_default();
    Part {
        json: format!(r#"{{"text":{}{signature}}}"#, quote(text)),
        output: u64::from(!text.is_empty()),
        reasoning: 0,
        is_call: false,
    }
}

fn thought_part(text: &str) -> Part {
    Part {
        json: format!(r#"{{"text":{},"thought":true}}"#, quote(text)),
        output: 0,
        reasoning: 1,
        is_call: false,
    }
}

fn call_part(
    turn: &Turn,
    index: usize,
    name: &str,
    fragments: &[String],
    has_signature: bool,
) -> Part {
    let text = fragments.concat();
    let arguments: Value = serde_json::from_str(&text)
        .ok()
        .filter(Value::is_object)
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let is_object = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object());
    let written = if is_object { text } else { "{}".to_owned() };
    let id = if family::signs_calls(&turn.model) {
        format!(r#""id":"{}","#, call_id(turn, index))
    } else {
        String::new()
    };
    let signature = if has_signature {
        format!(
            r#","thoughtSignature":"{}""#,
            sign_thinking(&signed_call(name, &arguments))
        )
    } else {
        String::new()
    };
    Part {
        json: format!(
            r#"{{"functionCall":{{{id}"name":{},"args":{written}}}{signature}}}"#,
            quote(name)
        ),
        output: fragments.len() as u64 + 1,
        reasoning: 0,
        is_call: true,
    }
}

fn call_id(turn: &Turn, index: usize) -> String {
    format!("tk{:010}{index:02}", turn.serial)
}

/// The parts in order; `cut` says whether texts come in pieces, as in a stream.
fn parts(turn: &Turn, ask: &Ask, cut: bool) -> Vec<Part> {
    let mut out = Vec::new();
    let has_call = turn
        .blocks
        .iter()
        .any(|block| matches!(block, Block::ToolCall { .. }));
    let mut text_signature = None;
    let mut signs = family::signs_calls(&turn.model);
    let mut n_calls = 0;
    // Thinking that is not shown is produced all the same: it counts with the first part.
    let mut hidden = 0;
    for block in &turn.blocks {
        match block {
            Block::Thinking { thinking } => {
                signs = true;
                text_signature = Some(sign_thinking(thinking));
                if !ask.shows_thinking || thinking.is_empty() {
                    hidden += count(thinking);
                    continue;
                }
                if cut {
                    out.extend(pieces(thinking).map(thought_part));
                } else {
                    out.push(thought_part(thinking));
                }
            }
            Block::RedactedThinking { data } => {
                signs = true;
                text_signature = Some(sign_thinking(data));
                hidden += REDACTED_PIECES;
            }
            Block::Text { text } | Block::Cited { text, .. } => match cut {
                true => out.extend(pieces(text).map(|piece| text_part(piece, None))),
                false if has_call => out.push(text_part(text, None)),
                false => out.push(text_part(text, text_signature.as_deref())),
            },
            Block::ToolCall { name, fragments } => {
                let is_first = n_calls == 0;
                out.push(call_part(turn, n_calls, name, fragments, signs && is_first));
                n_calls += 1;
            }
            Block::Refusal { .. } | Block::CustomCall { .. } => {}
        }
    }
    if cut
        && !has_call
        && let Some(signature) = text_signature
    {
        out.push(text_part("", Some(&signature)));
    }
    if let Some(first) = out.first_mut() {
        first.reasoning += hidden;
    }
    out
}

/// What every object of one answer ends with.
fn tail(turn: &Turn, usage: Option<&str>) -> String {
    let usage = usage
        .map(|usage| format!(r#","usageMetadata":{usage}"#))
        .unwrap_or_default();
    format!(
        r#"{usage},"modelVersion":{},"responseId":"resp-tk{:020}""#,
        quote(&turn.model),
        turn.serial
    )
}

/// A prompt that is refused before any output has no candidate.
fn blocked(turn: &Turn) -> Option<String> {
    let is_refusal = turn
        .blocks
        .iter()
        .any(|block| matches!(block, Block::Refusal { .. }));
    is_refusal.then(|| {
        let usage = reported(turn, &BilledUsage { output: 0, reasoning: 0, ..turn.usage });
        format!(
            r#"{{"promptFeedback":{{"blockReason":"PROHIBITED_CONTENT","safetyRatings":[{{"category":"HARM_CATEGORY_DANGEROUS_CONTENT","probability":"HIGH","blocked":true}}]}}{}}}"#,
            tail(turn, usage.as_deref())
        )
    })
}

fn body(turn: &Turn, ask: &Ask) -> Frame {
    if let Some(blocked) = blocked(turn) {
        return Frame::new(Role::Content, blocked);
    }
    let parts = parts(turn, ask, false);
    let json: Vec<&str> = parts.iter().map(|part| part.json.as_str()).collect();
    let candidates: Vec<String> = (0..ask.n.max(1))
        .map(|index| {
            format!(
                r#"{{{}"finishReason":"{}",{}"index":{index}{}}}"#,
                content(&json.join(",")),
                finish_reason(turn.finish),
                finish_message(turn.finish),
                grounding(turn)
            )
        })
        .collect();
    let usage = reported(turn, &turn.usage);
    Frame {
        output: turn.usage.output,
        reasoning: turn.usage.reasoning,
        ..Frame::new(
            Role::Content,
            format!(
                r#"{{"candidates":[{}]{}}}"#,
                candidates.join(","),
                tail(turn, usage.as_deref())
            ),
        )
    }
}

/// A candidate without parts has no content.
fn content(parts: &str) -> String {
    match parts {
        "" => String::new(),
        parts => format!(r#""content":{{"parts":[{parts}],"role":"model"}},"#),
    }
}

/// One object per part. The finish comes with the last call or with an empty text behind the last text; a
/// script with `late_finish` sends it alone, without content.
fn stream(turn: &Turn, ask: &Ask) -> Vec<Frame> {
    if let Some(blocked) = blocked(turn) {
        return vec![Frame::new(Role::Finish, blocked)];
    }
    let mut frames = Vec::new();
    let so_far = BilledUsage {
        output: 0,
        reasoning: 0,
        ..turn.usage
    };
    for candidate in 0..ask.n.max(1) {
        let mut parts = parts(turn, ask, true);
        let is_last_call = parts.last().is_some_and(|part| part.is_call);
        let is_signature = parts
            .last()
            .is_some_and(|part| part.json.starts_with(r#"{"text":"""#));
        let closing = match () {
            () if turn.late_finish || parts.is_empty() => None,
            () if is_last_call || is_signature => parts.pop(),
            () => Some(text_part("", None)),
        };
        let running = match turn.report {
            Report::Never => None,
            _ => reported(turn, &so_far),
        };
        for part in parts {
            let text = format!(
                r#"{{"candidates":[{{{}"index":{candidate}}}]{}}}"#,
                content(&part.json),
                tail(turn, running.as_deref())
            );
            frames.push(Frame {
                output: part.output,
                reasoning: part.reasoning,
                ..Frame::new(Role::Content, text)
            });
        }
        let usage = reported(turn, &turn.usage);
        let text = format!(
            r#"{{"candidates":[{{{}"finishReason":"{}",{}"index":{candidate}{}}}]{}}}"#,
            closing
                .as_ref()
                .map(|part| content(&part.json))
                .unwrap_or_default(),
            finish_reason(turn.finish),
            finish_message(turn.finish),
            grounding(turn),
            tail(turn, usage.as_deref())
        );
        frames.push(Frame {
            output: closing.as_ref().map_or(0, |part| part.output),
            reasoning: closing.as_ref().map_or(0, |part| part.reasoning),
            ..Frame::new(Role::Finish, text)
        });
    }
    frames
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::End | Finish::StopSequence | Finish::Tool | Finish::Pause => "STOP",
        Finish::Length | Finish::ContextFull => "MAX_TOKENS",
        Finish::Refusal => "PROHIBITED_CONTENT",
        Finish::ContentFilter => "SAFETY",
        Finish::Failed => "MALFORMED_FUNCTION_CALL",
    }
}

fn finish_message(finish: Finish) -> &'static str {
    match finish {
        Finish::Failed => r#""finishMessage":"Malformed function call: print(default_api","#,
        _ => "",
    }
}

/// Where the cited texts come from. Positions count bytes of UTF-8, over the joined text.
fn grounding(turn: &Turn) -> String {
    let mut at = 0;
    let (mut chunks, mut supports) = (Vec::new(), Vec::new());
    for block in &turn.blocks {
        match block {
            Block::Text { text } => at += text.len(),
            Block::Cited { text, url, title } => {
                let end = at + text.len();
                supports.push(format!(
                    r#"{{"segment":{{"startIndex":{at},"endIndex":{end},"text":{}}},"groundingChunkIndices":[{}],"confidenceScores":[0.9]}}"#,
                    quote(text),
                    chunks.len()
                ));
                chunks.push(format!(
                    r#"{{"web":{{"uri":{},"title":{}}}}}"#,
                    quote(url),
                    quote(title)
                ));
                at = end;
            }
            _ => {}
        }
    }
    if chunks.is_empty() {
        return String::new();
    }
    format!(
        r#","groundingMetadata":{{"webSearchQueries":["testkit"],"groundingChunks":[{}],"groundingSupports":[{}]}}"#,
        chunks.join(","),
        supports.join(",")
    )
}

fn reported(turn: &Turn, usage: &BilledUsage) -> Option<String> {
    match &turn.report {
        Report::Never => None,
        Report::Instead(value) => Some(value.to_string()),
        Report::AtEnd | Report::EveryChunk => Some(metadata(usage)),
    }
}

fn metadata(usage: &BilledUsage) -> String {
    let count = |name: &str, tokens: u64| match tokens {
        0 => String::new(),
        tokens => format!(r#","{name}":{tokens}"#),
    };
    format!(
        r#"{{"promptTokenCount":{input}{}{},"totalTokenCount":{},"promptTokensDetails":[{{"modality":"TEXT","tokenCount":{input}}}]{}}}"#,
        count("candidatesTokenCount", usage.output),
        count("cachedContentTokenCount", usage.cache_read),
        usage.all_input() + usage.all_output(),
        count("thoughtsTokenCount", usage.reasoning),
        input = usage.all_input(),
    )
}
