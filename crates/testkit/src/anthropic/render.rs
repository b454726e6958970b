//! Messages and their streams as text, in the order of fields of the vendor's examples.
//!
//! Shapes: `Message` and `RawMessageStreamEvent` of the official Python SDK 2.11.0 (API version 2026-10-21),
//! which hold for 2023-06-01 too.

use crate::ask::Ask;
use crate::json::{quote, quote_or_null};
use crate::route::Host;
use crate::scenario::{BilledUsage, Block, Finish};
use crate::turn::{Frame, Report, Role, Turn, pieces, sign_thinking};

pub(crate) fn message(turn: &Turn, ask: &Ask, host: Host) -> Vec<Frame> {
    if ask.stream {
        stream(turn, host)
    } else {
        vec![body(turn)]
    }
}

pub(crate) fn token_count(tokens: u64) -> String {
    format!(r#"{{"input_tokens":{tokens}}}"#)
}

pub(crate) fn model(id: &str) -> String {
    format!(
        r#"{{"type":"model","id":{},"display_name":{},"created_at":"2024-11-01T00:00:00Z","lifecycle":"active","max_input_tokens":200000,"max_tokens":64000}}"#,
        quote(id),
        quote(id)
    )
}

pub(crate) fn models(ids: &[String], has_more: bool) -> String {
    let rows: Vec<String> = ids.iter().map(|id| model(id)).collect();
    format!(
        r#"{{"data":[{}],"has_more":{has_more},"first_id":{},"last_id":{}}}"#,
        rows.join(","),
        quote_or_null(ids.first().map(String::as_str)),
        quote_or_null(ids.last().map(String::as_str))
    )
}

fn body(turn: &Turn) -> Frame {
    let content: Vec<String> = turn
        .blocks
        .iter()
        .enumerate()
        .filter_map(|(index, block)| match block {
            Block::Text { text } => Some(format!(r#"{{"type":"text","text":{}}}"#, quote(text))),
            Block::Thinking { thinking } => Some(format!(
                r#"{{"type":"thinking","thinking":{},"signature":"{}"}}"#,
                quote(thinking),
                sign_thinking(thinking)
            )),
            Block::RedactedThinking { data } => Some(format!(
                r#"{{"type":"redacted_thinking","data":{}}}"#,
                quote(data)
            )),
            Block::ToolCall { name, fragments } => Some(format!(
                r#"{{"type":"tool_use","id":"{}","name":{},"input":{}}}"#,
                tool_id(turn, index),
                quote(name),
                input(fragments)
            )),
            Block::Cited { text, .. } => Some(format!(
                r#"{{"type":"text","text":{},"citations":[{}]}}"#,
                quote(text),
                citation(block)
            )),
            Block::Refusal { .. } | Block::CustomCall { .. } => None,
        })
        .collect();
    let usage = match &turn.report {
        Report::Never => String::new(),
        Report::Instead(value) => format!(r#","usage":{value}"#),
        Report::AtEnd | Report::EveryChunk => format!(
            r#","usage":{}"#,
            full_usage(&turn.usage, turn.usage.all_output())
        ),
    };
    let text = format!(
        r#"{{"id":"{}","type":"message","role":"assistant","model":{},"content":[{}],{}{usage},"container":null}}"#,
        message_id(turn),
        quote(&turn.model),
        content.join(","),
        stop_fields(turn)
    );
    Frame {
        output: turn.usage.output,
        reasoning: turn.usage.reasoning,
        ..Frame::new(Role::Content, text)
    }
}

fn event(role: Role, name: &str, data: &str) -> Frame {
    Frame::new(role, format!("event: {name}\ndata: {data}\n\n"))
}

pub(crate) fn ping() -> Frame {
    event(Role::Noise, "ping", r#"{"type": "ping"}"#)
}

fn stream(turn: &Turn, host: Host) -> Vec<Frame> {
    let usage = match &turn.report {
        Report::Never => String::new(),
        _ => format!(r#","usage":{}"#, full_usage(&turn.usage, 1)),
    };
    let start = format!(
        r#"{{"type":"message_start","message":{{"id":"{}","type":"message","role":"assistant","model":{},"content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null{usage}}}}}"#,
        message_id(turn),
        quote(&turn.model)
    );
    let mut frames = vec![event(Role::Start, "message_start", &start)];
    let mut index = 0;
    for block in &turn.blocks {
        if matches!(block, Block::Refusal { .. } | Block::CustomCall { .. }) {
            continue;
        }
        push_block(&mut frames, turn, block, index);
        index += 1;
    }
    if turn.report == Report::EveryChunk {
        let usage = delta_usage(&turn.usage);
        let data = format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":null,"stop_sequence":null}},"usage":{usage}}}"#
        );
        frames.push(event(Role::Usage, "message_delta", &data));
    }
    let usage = match &turn.report {
        Report::Never => String::new(),
        Report::Instead(value) => format!(r#","usage":{value}"#),
        Report::AtEnd | Report::EveryChunk => format!(r#","usage":{}"#, delta_usage(&turn.usage)),
    };
    let data = format!(
        r#"{{"type":"message_delta","delta":{{{}}}{usage}}}"#,
        stop_fields(turn)
    );
    frames.push(event(Role::Finish, "message_delta", &data));
    let metrics = match host {
        Host::Bedrock => format!(
            r#","amazon-bedrock-invocationMetrics":{{"inputTokenCount":{},"outputTokenCount":{},"invocationLatency":1,"firstByteLatency":1,"cacheReadInputTokenCount":{},"cacheWriteInputTokenCount":{}}}"#,
            turn.usage.input,
            turn.usage.all_output(),
            turn.usage.cache_read,
            turn.usage.cache_write()
        ),
        _ => String::new(),
    };
    frames.push(event(
        Role::End,
        "message_stop",
        &format!(r#"{{"type":"message_stop"{metrics}}}"#),
    ));
    frames
}

fn push_block(frames: &mut Vec<Frame>, turn: &Turn, block: &Block, index: usize) {
    let open = match block {
        Block::Cited { .. } => r#"{"type":"text","text":"","citations":[]}"#.to_owned(),
        Block::Text { .. } | Block::Refusal { .. } | Block::CustomCall { .. } => {
            r#"{"type":"text","text":""}"#.to_owned()
        }
        Block::Thinking { .. } => r#"{"type":"thinking","thinking":"","signature":""}"#.to_owned(),
        Block::RedactedThinking { data } => {
            format!(r#"{{"type":"redacted_thinking","data":{}}}"#, quote(data))
        }
        Block::ToolCall { name, .. } => {
            format!(
                r#"{{"type":"tool_use","id":"{}","name":{},"input":{{}}}}"#,
                tool_id(turn, index),
                quote(name)
            )
        }
    };
    let data =
        format!(r#"{{"type":"content_block_start","index":{index},"content_block":{open}}}"#);
    let mut start = event(Role::Content, "content_block_start", &data);
    match block {
        Block::ToolCall { .. } => start.output = 1,
        Block::RedactedThinking { .. } => start.reasoning = 8,
        _ => {}
    }
    frames.push(start);
    if index == 0 {
        frames.push(ping());
    }
    let delta = |inner: String| {
        let data =
            format!(r#"{{"type":"content_block_delta","index":{index},"delta":{{{inner}}}}}"#);
        event(Role::Content, "content_block_delta", &data)
    };
    match block {
        Block::Text { text } | Block::Cited { text, .. } => {
            frames.extend(pieces(text).map(|piece| Frame {
                output: 1,
                ..delta(format!(r#""type":"text_delta","text":{}"#, quote(piece)))
            }));
            if let Block::Cited { .. } = block {
                frames.push(delta(format!(
                    r#""type":"citations_delta","citation":{}"#,
                    citation(block)
                )));
            }
        }
        Block::Thinking { thinking } => {
            frames.extend(pieces(thinking).map(|piece| Frame {
                reasoning: 1,
                ..delta(format!(
                    r#""type":"thinking_delta","thinking":{}"#,
                    quote(piece)
                ))
            }));
            frames.push(delta(format!(
                r#""type":"signature_delta","signature":"{}""#,
                sign_thinking(thinking)
            )));
        }
        Block::ToolCall { fragments, .. } => {
            frames.extend(fragments.iter().map(|fragment| Frame {
                output: 1,
                ..delta(format!(
                    r#""type":"input_json_delta","partial_json":{}"#,
                    quote(fragment)
                ))
            }));
        }
        Block::Refusal { .. } | Block::CustomCall { .. } | Block::RedactedThinking { .. } => {}
    }
    let data = format!(r#"{{"type":"content_block_stop","index":{index}}}"#);
    frames.push(event(Role::Content, "content_block_stop", &data));
}

/// The source of a cited text, as a web search names it.
fn citation(block: &Block) -> String {
    match block {
        Block::Cited { text, url, title } => format!(
            r#"{{"type":"web_search_result_location","cited_text":{},"encrypted_index":"{}","title":{},"url":{}}}"#,
            quote(text),
            sign_thinking(url),
            quote(title),
            quote(url)
        ),
        _ => String::new(),
    }
}

fn stop_fields(turn: &Turn) -> String {
    let refusal = turn.blocks.iter().find_map(|block| match block {
        Block::Refusal { refusal } => Some(refusal.as_str()),
        _ => None,
    });
    let details = match stop_reason(turn.finish) {
        "refusal" => format!(
            r#"{{"type":"refusal","category":"general_harms","explanation":{}}}"#,
            quote_or_null(refusal)
        ),
        _ => "null".to_owned(),
    };
    format!(
        r#""stop_reason":"{}","stop_sequence":{},"stop_details":{details}"#,
        stop_reason(turn.finish),
        quote_or_null(turn.stop_sequence.as_deref())
    )
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Failed => "end_turn",
        Finish::Length => "max_tokens",
        Finish::StopSequence => "stop_sequence",
        Finish::Tool => "tool_use",
        Finish::Refusal | Finish::ContentFilter => "refusal",
        Finish::Pause => "pause_turn",
        Finish::ContextFull => "model_context_window_exceeded",
    }
}

fn message_id(turn: &Turn) -> String {
    format!("msg_tk{:022}", turn.serial)
}

fn tool_id(turn: &Turn, index: usize) -> String {
    format!("toolu_tk{:018}{index:04}", turn.serial)
}

/// The input object as scripted; arguments that are not JSON cannot be written here and become `{}`.
fn input(fragments: &[String]) -> String {
    let text = fragments.concat();
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(serde_json::Value::Object(_)) => text,
        _ => "{}".to_owned(),
    }
}

fn full_usage(usage: &BilledUsage, output: u64) -> String {
    format!(
        r#"{{"input_tokens":{},"cache_creation_input_tokens":{},"cache_read_input_tokens":{},"cache_creation":{{"ephemeral_5m_input_tokens":{},"ephemeral_1h_input_tokens":{}}},"output_tokens":{output},"output_tokens_details":{{"thinking_tokens":{}}},"server_tool_use":null,"service_tier":"standard","inference_geo":"global"}}"#,
        usage.input,
        usage.cache_write(),
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.reasoning.min(output)
    )
}

/// Cumulative, and without the 5m/1h split: only `message_start` has it.
fn delta_usage(usage: &BilledUsage) -> String {
    format!(
        r#"{{"input_tokens":{},"cache_creation_input_tokens":{},"cache_read_input_tokens":{},"output_tokens":{},"output_tokens_details":{{"thinking_tokens":{}}},"server_tool_use":null}}"#,
        usage.input,
        usage.cache_write(),
        usage.cache_read,
        usage.all_output(),
        usage.reasoning
    )
}
