//! Chat completions and legacy completions as text, in the order of fields of the vendor's examples.
//!
//! Shapes: `CreateChatCompletionResponse`, `CreateChatCompletionStreamResponse`, `CreateCompletionResponse`
//! of OpenAI's OpenAPI document 2.3.0. Thinking goes out as `reasoning_content`, the extension that
//! OpenAI-compatible servers use; redacted thinking has no form here.

use crate::ask::Ask;
use crate::json::{quote, quote_or_null};
use crate::route::Host;
use crate::scenario::{BilledUsage, Block, Finish};
use crate::turn::{Frame, Report, Role, Turn, pieces};

/// What Azure found in the prompt: its streams begin with it, in a chunk without choices.
const PROMPT_FILTER: &str = r#""prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}}]"#;

pub(crate) fn chat(turn: &Turn, ask: &Ask, host: Host) -> Vec<Frame> {
    let is_azure = host == Host::Azure;
    if !ask.stream {
        return vec![chat_body(turn, ask, is_azure)];
    }
    let mut frames = chat_stream(turn, ask);
    if is_azure {
        let first = format!(
            "data: {{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",{PROMPT_FILTER}}}\n\n"
        );
        frames.insert(0, Frame::new(Role::Start, first));
    }
    frames
}

pub(crate) fn completion(turn: &Turn, ask: &Ask) -> Vec<Frame> {
    let id = format!("cmpl-tk{:022}", turn.serial);
    let head = format!(
        r#""id":"{id}","object":"text_completion","created":{},"model":{},"system_fingerprint":"fp_testkit","#,
        turn.created,
        quote(&turn.model)
    );
    let text = whole_text(turn);
    let finish = if turn.finish == Finish::Length {
        "length"
    } else {
        "stop"
    };
    let usage = reported(turn);
    if !ask.stream {
        let choices = (0..ask.n.max(1))
            .map(|index| {
                format!(
                    r#"{{"text":{},"index":{index},"logprobs":null,"finish_reason":"{finish}"}}"#,
                    quote(&text)
                )
            })
            .collect::<Vec<_>>()
            .join(",");
        let usage = usage
            .map(|usage| format!(r#","usage":{usage}"#))
            .unwrap_or_default();
        let mut frame = Frame::new(
            Role::Content,
            format!(r#"{{{head}"choices":[{choices}]{usage}}}"#),
        );
        frame.output = pieces(&text).count() as u64;
        return vec![frame];
    }
    let null_usage = if ask.include_usage {
        r#","usage":null"#
    } else {
        ""
    };
    let event = |role, text: &str, finish: &str| {
        Frame::new(
            role,
            format!(
                "data: {{{head}\"choices\":[{{\"text\":{},\"index\":0,\"logprobs\":null,\"finish_reason\":{finish}}}]{null_usage}}}\n\n",
                quote(text)
            ),
        )
    };
    let mut frames: Vec<Frame> = pieces(&text)
        .map(|piece| Frame {
            output: 1,
            ..event(Role::Content, piece, "null")
        })
        .collect();
    frames.push(event(Role::Finish, "", &format!("\"{finish}\"")));
    if let (true, Some(usage)) = (ask.include_usage, usage) {
        frames.push(Frame::new(
            Role::Usage,
            format!("data: {{{head}\"choices\":[],\"usage\":{usage}}}\n\n"),
        ));
    }
    frames.push(Frame::new(Role::End, "data: [DONE]\n\n".to_owned()));
    frames
}

fn chat_body(turn: &Turn, ask: &Ask, is_azure: bool) -> Frame {
    let message = message(turn);
    let finish = finish_reason(turn.finish);
    let choices = (0..ask.n.max(1))
        .map(|index| format!(r#"{{"index":{index},"message":{message},"logprobs":null,"finish_reason":"{finish}"}}"#))
        .collect::<Vec<_>>()
        .join(",");
    let usage = reported(turn)
        .map(|usage| format!(r#","usage":{usage}"#))
        .unwrap_or_default();
    let filter = if is_azure {
        format!(",{PROMPT_FILTER}")
    } else {
        String::new()
    };
    let text = format!(
        r#"{{"id":"chatcmpl-tk{:022}","object":"chat.completion","created":{},"model":{},"choices":[{choices}]{usage},"service_tier":"default","system_fingerprint":"fp_testkit"{filter}}}"#,
        turn.serial,
        turn.created,
        quote(&turn.model)
    );
    Frame {
        output: turn.usage.output,
        reasoning: turn.usage.reasoning,
        ..Frame::new(Role::Content, text)
    }
}

fn message(turn: &Turn) -> String {
    let text = turn
        .blocks
        .iter()
        .any(|block| matches!(block, Block::Text { .. } | Block::Cited { .. }))
        .then(|| whole_text(turn));
    let mut thinking = String::new();
    let mut calls = Vec::new();
    let mut refusal: Option<&str> = None;
    for block in &turn.blocks {
        match block {
            Block::Thinking { thinking: part } => thinking.push_str(part),
            Block::ToolCall { name, fragments } => {
                calls.push(format!(
                    r#"{{"id":"{}","type":"function","function":{{"name":{},"arguments":{}}}}}"#,
                    call_id(turn, calls.len()),
                    quote(name),
                    quote(&arguments(fragments))
                ));
            }
            Block::Refusal { refusal: words } => refusal = Some(words),
            Block::Text { .. }
            | Block::Cited { .. }
            | Block::CustomCall { .. }
            | Block::RedactedThinking { .. } => {}
        }
    }
    let silent = text.is_none() && calls.is_empty() && refusal.is_none();
    let content = if silent {
        "\"\"".to_owned()
    } else {
        quote_or_null(text.as_deref())
    };
    let mut out = format!(
        r#"{{"role":"assistant","content":{content},"refusal":{}"#,
        quote_or_null(refusal)
    );
    if !thinking.is_empty() {
        out.push_str(r#","reasoning_content":"#);
        out.push_str(&quote(&thinking));
    }
    if !calls.is_empty() {
        out.push_str(r#","tool_calls":["#);
        out.push_str(&calls.join(","));
        out.push(']');
    }
    out.push_str(r#","annotations":"#);
    out.push_str(&annotations(turn));
    out.push('}');
    out
}

/// The parts of a chunk that all chunks of one stream share.
struct Chunks<'a> {
    turn: &'a Turn,
    head: String,
    usage_field: String,
}

impl<'a> Chunks<'a> {
    fn new(turn: &'a Turn, ask: &Ask) -> Self {
        let usage_field = match (&turn.report, ask.include_usage) {
            (Report::EveryChunk, _) => format!(r#","usage":{}"#, usage(&turn.usage)),
            (_, true) => r#","usage":null"#.to_owned(),
            (_, false) => String::new(),
        };
        let head = format!(
            r#""id":"chatcmpl-tk{:022}","object":"chat.completion.chunk","created":{},"model":{},"service_tier":"default","system_fingerprint":"fp_testkit","#,
            turn.serial,
            turn.created,
            quote(&turn.model)
        );
        Self {
            turn,
            head,
            usage_field,
        }
    }

    fn chunk(&self, role: Role, choice: u32, delta: &str, finish: &str) -> Frame {
        let Self {
            head, usage_field, ..
        } = self;
        Frame::new(
            role,
            format!(
                "data: {{{head}\"choices\":[{{\"index\":{choice},\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]{usage_field}}}\n\n"
            ),
        )
    }

    fn content(&self, choice: u32, field: &str, piece: &str) -> Frame {
        let mut frame = self.chunk(
            Role::Content,
            choice,
            &format!(r#"{{"{field}":{}}}"#, quote(piece)),
            "null",
        );
        if field == "reasoning_content" {
            frame.reasoning = 1;
        } else {
            frame.output = 1;
        }
        frame
    }

    fn tool(&self, choice: u32, index: usize, name: &str, fragments: &[String]) -> Vec<Frame> {
        let open = format!(
            r#"{{"tool_calls":[{{"index":{index},"id":"{}","type":"function","function":{{"name":{},"arguments":""}}}}]}}"#,
            call_id(self.turn, index),
            quote(name)
        );
        let mut frames = vec![Frame {
            output: 1,
            ..self.chunk(Role::Content, choice, &open, "null")
        }];
        let whole = [arguments(fragments)];
        let fragments = if fragments.is_empty() {
            &whole[..]
        } else {
            fragments
        };
        for fragment in fragments {
            let delta = format!(
                r#"{{"tool_calls":[{{"index":{index},"function":{{"arguments":{}}}}}]}}"#,
                quote(fragment)
            );
            frames.push(Frame {
                output: 1,
                ..self.chunk(Role::Content, choice, &delta, "null")
            });
        }
        frames
    }
}

fn chat_stream(turn: &Turn, ask: &Ask) -> Vec<Frame> {
    let chunks = Chunks::new(turn, ask);
    let mut frames = Vec::new();
    for choice in 0..ask.n.max(1) {
        let opens_with_tool = matches!(turn.blocks.first(), Some(Block::ToolCall { .. }));
        let content = if opens_with_tool { "null" } else { "\"\"" };
        let open = format!(r#"{{"role":"assistant","content":{content},"refusal":null}}"#);
        frames.push(chunks.chunk(Role::Start, choice, &open, "null"));
        let mut n_calls = 0;
        for block in &turn.blocks {
            match block {
                Block::Text { text } | Block::Cited { text, .. } => frames
                    .extend(pieces(text).map(|piece| chunks.content(choice, "content", piece))),
                Block::Thinking { thinking } => {
                    frames.extend(
                        pieces(thinking)
                            .map(|piece| chunks.content(choice, "reasoning_content", piece)),
                    );
                }
                Block::Refusal { refusal } => {
                    frames.extend(
                        pieces(refusal).map(|piece| chunks.content(choice, "refusal", piece)),
                    );
                }
                Block::ToolCall { name, fragments } => {
                    frames.extend(chunks.tool(choice, n_calls, name, fragments));
                    n_calls += 1;
                }
                Block::RedactedThinking { .. } | Block::CustomCall { .. } => {}
            }
        }
        let annotations = annotations(turn);
        if annotations != "[]" {
            let delta = format!(r#"{{"annotations":{annotations}}}"#);
            frames.push(chunks.chunk(Role::Content, choice, &delta, "null"));
        }
        frames.push(chunks.chunk(
            Role::Finish,
            choice,
            "{}",
            &format!("\"{}\"", finish_reason(turn.finish)),
        ));
    }
    if let (true, Some(usage)) = (ask.include_usage, reported(turn)) {
        frames.push(Frame::new(
            Role::Usage,
            format!(
                "data: {{{}\"choices\":[],\"usage\":{usage}}}\n\n",
                chunks.head
            ),
        ));
    }
    frames.push(Frame::new(Role::End, "data: [DONE]\n\n".to_owned()));
    frames
}

fn whole_text(turn: &Turn) -> String {
    let texts = turn.blocks.iter().filter_map(|block| match block {
        Block::Text { text } | Block::Cited { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// The sources of cited texts. Positions count characters of the whole text.
fn annotations(turn: &Turn) -> String {
    let mut at = 0;
    let mut out = Vec::new();
    for block in &turn.blocks {
        match block {
            Block::Text { text } => at += text.chars().count(),
            Block::Cited { text, url, title } => {
                let end = at + text.chars().count();
                out.push(format!(
                    r#"{{"type":"url_citation","url_citation":{{"end_index":{end},"start_index":{at},"title":{},"url":{}}}}}"#,
                    quote(title),
                    quote(url)
                ));
                at = end;
            }
            _ => {}
        }
    }
    format!("[{}]", out.join(","))
}

/// A call without arguments says `{}`; only a script with an explicit empty fragment sends none.
fn arguments(fragments: &[String]) -> String {
    if fragments.is_empty() {
        "{}".to_owned()
    } else {
        fragments.concat()
    }
}

fn call_id(turn: &Turn, index: usize) -> String {
    format!("call_tk{:018}{index:04}", turn.serial)
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::End | Finish::StopSequence | Finish::Refusal | Finish::Pause | Finish::Failed => {
            "stop"
        }
        Finish::Length | Finish::ContextFull => "length",
        Finish::Tool => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

fn reported(turn: &Turn) -> Option<String> {
    match &turn.report {
        Report::Never => None,
        Report::Instead(value) => Some(value.to_string()),
        Report::AtEnd | Report::EveryChunk => Some(usage(&turn.usage)),
    }
}

fn usage(usage: &BilledUsage) -> String {
    let write = match usage.cache_write() {
        0 => String::new(),
        tokens => format!(r#","cache_write_tokens":{tokens}"#),
    };
    format!(
        r#"{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{},"audio_tokens":0{write}}},"completion_tokens_details":{{"reasoning_tokens":{},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        usage.all_input(),
        usage.all_output(),
        usage.all_input() + usage.all_output(),
        usage.cache_read,
        usage.reasoning
    )
}
