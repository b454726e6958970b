//! A response and its stream as text, in the order of fields of the vendor's examples.
//!
//! Shapes: `Response` and `ResponseStreamEvent` of OpenAI's OpenAPI document 2.3.0. Each event says its type
//! twice, in `event:` and in the data; the terminal event carries the whole object.

use serde_json::Value;

use crate::ask::Ask;
use crate::builtin::ERROR_MESSAGE;
use crate::json::{quote, quote_or_null};
use crate::scenario::{BilledUsage, Block, Finish};
use crate::turn::{Frame, REDACTED_PIECES, Report, Role, Turn, count, pieces, sign_thinking};

/// An answer in every form it is asked for later.
pub(crate) struct Rendered {
    pub(crate) frames: Vec<Frame>,
    pub(crate) id: String,
    /// The finished object.
    pub(crate) object: String,
}

pub(crate) fn response(turn: &Turn, ask: &Ask, body: &Value) -> Rendered {
    let writer = Writer { turn, ask, body };
    let object = writer.object(writer.status(), &writer.items());
    let frames = if ask.stream {
        writer.stream()
    } else {
        vec![Frame {
            output: turn.usage.output,
            reasoning: turn.usage.reasoning,
            ..Frame::new(Role::Content, object.clone())
        }]
    };
    Rendered {
        frames,
        id: response_id(turn.serial),
        object,
    }
}

/// The object of a background response that has not begun.
pub(crate) fn queued(turn: &Turn, ask: &Ask, body: &Value) -> String {
    Writer { turn, ask, body }.object("queued", &[])
}

pub(crate) fn token_count(tokens: u64) -> String {
    format!(r#"{{"object":"response.input_tokens","input_tokens":{tokens}}}"#)
}

/// The event that ends a 200 stream with an error.
pub(crate) fn error_event(sequence: usize) -> String {
    format!(
        "event: error\ndata: {{\"type\":\"error\",\"code\":\"server_error\",\"message\":\"{ERROR_MESSAGE}: failed mid-stream.\",\"param\":null,\"sequence_number\":{sequence}}}\n\n"
    )
}

pub(crate) fn response_id(serial: u64) -> String {
    format!("resp_tk{serial:022}")
}

struct Writer<'a> {
    turn: &'a Turn,
    ask: &'a Ask,
    body: &'a Value,
}

/// One output item: the blocks it is made of and its place.
struct Item<'a> {
    index: usize,
    blocks: Vec<&'a Block>,
}

impl Writer<'_> {
    fn status(&self) -> &'static str {
        match self.turn.finish {
            Finish::Length | Finish::ContextFull | Finish::ContentFilter => "incomplete",
            Finish::Failed => "failed",
            Finish::End | Finish::StopSequence | Finish::Tool | Finish::Refusal | Finish::Pause => {
                "completed"
            }
        }
    }

    /// Neighbouring texts and refusals are the parts of one message; all else stands alone.
    fn grouped(&self) -> Vec<Item<'_>> {
        let is_said = |block: &Block| {
            matches!(
                block,
                Block::Text { .. } | Block::Cited { .. } | Block::Refusal { .. }
            )
        };
        let mut items: Vec<Item<'_>> = Vec::new();
        for block in &self.turn.blocks {
            match items.last_mut() {
                Some(item) if is_said(block) && item.blocks.iter().all(|other| is_said(other)) => {
                    item.blocks.push(block);
                }
                _ => items.push(Item {
                    index: items.len(),
                    blocks: vec![block],
                }),
            }
        }
        items
    }

    fn items(&self) -> Vec<String> {
        let items = self.grouped();
        let last = items.len().saturating_sub(1);
        items
            .iter()
            .map(|item| {
                let is_cut = item.index == last && self.status() == "incomplete";
                self.item(item, if is_cut { "incomplete" } else { "completed" }, true)
            })
            .collect()
    }

    fn item_id(&self, item: &Item<'_>) -> String {
        let prefix = match item.blocks.first() {
            Some(Block::Thinking { .. } | Block::RedactedThinking { .. }) => "rs",
            Some(Block::ToolCall { .. }) => "fc",
            Some(Block::CustomCall { .. }) => "ctc",
            _ => "msg",
        };
        format!("{prefix}_tk{:018}{:04}", self.turn.serial, item.index)
    }

    fn call_id(&self, item: &Item<'_>) -> String {
        format!("call_tk{:018}{:04}", self.turn.serial, item.index)
    }

    /// The item as it is, or as it begins: without its content.
    fn item(&self, item: &Item<'_>, status: &str, is_whole: bool) -> String {
        let id = self.item_id(item);
        match item.blocks.first() {
            Some(Block::Thinking { thinking }) => {
                let summary = if is_whole && self.ask.shows_thinking {
                    summary_part(thinking)
                } else {
                    String::new()
                };
                let sealed = is_whole.then(|| sign_thinking(thinking));
                self.reasoning(&id, &summary, sealed)
            }
            Some(Block::RedactedThinking { data }) => {
                self.reasoning(&id, "", is_whole.then(|| sign_thinking(data)))
            }
            Some(Block::ToolCall { name, fragments }) => format!(
                r#"{{"id":"{id}","type":"function_call","status":"{status}","arguments":{},"call_id":"{}","name":{}}}"#,
                quote(&if is_whole {
                    arguments(fragments)
                } else {
                    String::new()
                }),
                self.call_id(item),
                quote(name)
            ),
            Some(Block::CustomCall { name, input }) => format!(
                r#"{{"id":"{id}","type":"custom_tool_call","call_id":"{}","input":{},"name":{}}}"#,
                self.call_id(item),
                quote(if is_whole { input } else { "" }),
                quote(name)
            ),
            _ => {
                let parts: Vec<String> = if is_whole {
                    item.blocks.iter().map(|block| part(block, true)).collect()
                } else {
                    Vec::new()
                };
                format!(
                    r#"{{"id":"{id}","type":"message","status":"{status}","role":"assistant","content":[{}]}}"#,
                    parts.join(",")
                )
            }
        }
    }

    fn reasoning(&self, id: &str, summary: &str, sealed: Option<String>) -> String {
        let sealed = sealed
            .filter(|_| self.ask.seals_thinking)
            .map(|sealed| format!(r#","encrypted_content":"{sealed}""#))
            .unwrap_or_default();
        format!(r#"{{"id":"{id}","type":"reasoning","summary":[{summary}]{sealed}}}"#)
    }

    /// The response object: what was asked for, echoed, around the output.
    fn object(&self, status: &str, items: &[String]) -> String {
        let echo = |name: &str, default: &str| match &self.body[name] {
            Value::Null => default.to_owned(),
            value => value.to_string(),
        };
        let ended = !matches!(status, "in_progress" | "queued");
        let usage = match &self.turn.report {
            _ if !ended => r#","usage":null"#.to_owned(),
            Report::Never => String::new(),
            Report::Instead(value) => format!(r#","usage":{value}"#),
            Report::AtEnd | Report::EveryChunk => {
                format!(r#","usage":{}"#, usage(&self.turn.usage))
            }
        };
        let completed_at = match status {
            "completed" => self.turn.created.to_string(),
            _ => "null".to_owned(),
        };
        let error = match status {
            "failed" => {
                format!(r#"{{"code":"server_error","message":"{ERROR_MESSAGE}: failed."}}"#)
            }
            _ => "null".to_owned(),
        };
        let incomplete = match (status, self.turn.finish) {
            ("incomplete", Finish::ContentFilter) => r#"{"reason":"content_filter"}"#,
            ("incomplete", _) => r#"{"reason":"max_output_tokens"}"#,
            _ => "null",
        };
        format!(
            r#"{{"id":"{}","object":"response","created_at":{},"status":"{status}","background":{},"completed_at":{completed_at},"error":{error},"incomplete_details":{incomplete},"instructions":{},"max_output_tokens":{},"model":{},"output":[{}],"parallel_tool_calls":{},"previous_response_id":{},"reasoning":{},"service_tier":"default","store":{},"temperature":{},"text":{},"tool_choice":{},"tools":{},"top_p":{},"truncation":{}{usage},"metadata":{}}}"#,
            response_id(self.turn.serial),
            self.turn.created,
            echo("background", "false"),
            echo("instructions", "null"),
            echo("max_output_tokens", "null"),
            quote(&self.turn.model),
            items.join(","),
            echo("parallel_tool_calls", "true"),
            echo("previous_response_id", "null"),
            echo("reasoning", r#"{"effort":null,"summary":null}"#),
            echo("store", "true"),
            echo("temperature", "1.0"),
            echo("text", r#"{"format":{"type":"text"}}"#),
            echo("tool_choice", "\"auto\""),
            tools(&self.body["tools"]),
            echo("top_p", "1.0"),
            echo("truncation", "\"disabled\""),
            echo("metadata", "{}"),
        )
    }

    fn stream(&self) -> Vec<Frame> {
        let mut events = Events::default();
        let begun = self.object("in_progress", &[]);
        for kind in ["response.created", "response.in_progress"] {
            let role = if events.frames.is_empty() {
                Role::Start
            } else {
                Role::Content
            };
            events.push(role, kind, &format!(r#""response":{begun}"#));
        }
        let items = self.grouped();
        for item in &items {
            let added = format!(
                r#""output_index":{},"item":{}"#,
                item.index,
                self.item(item, "in_progress", false)
            );
            events.push(Role::Content, "response.output_item.added", &added);
            self.push_item(&mut events, item);
            let is_cut = item.index + 1 == items.len() && self.status() == "incomplete";
            let done = format!(
                r#""output_index":{},"item":{}"#,
                item.index,
                self.item(item, if is_cut { "incomplete" } else { "completed" }, true)
            );
            events.push(Role::Content, "response.output_item.done", &done);
        }
        let status = self.status();
        let object = self.object(status, &self.items());
        events.push(
            Role::Finish,
            &format!("response.{status}"),
            &format!(r#""response":{object}"#),
        );
        events.frames
    }

    fn push_item(&self, events: &mut Events, item: &Item<'_>) {
        let place = format!(
            r#""item_id":"{}","output_index":{}"#,
            self.item_id(item),
            item.index
        );
        match item.blocks.first() {
            Some(Block::Thinking { thinking })
                if self.ask.shows_thinking && !thinking.is_empty() =>
            {
                push_summary(events, &place, thinking);
            }
            Some(Block::Thinking { thinking }) => events.hidden(count(thinking)),
            Some(Block::RedactedThinking { .. }) => events.hidden(REDACTED_PIECES),
            None => {}
            Some(Block::ToolCall { name, fragments }) => {
                for fragment in fragments {
                    events.push_output(
                        "response.function_call_arguments.delta",
                        &format!(r#"{place},"delta":{}"#, quote(fragment)),
                    );
                }
                events.push(
                    Role::Content,
                    "response.function_call_arguments.done",
                    &format!(
                        r#"{place},"name":{},"arguments":{}"#,
                        quote(name),
                        quote(&arguments(fragments))
                    ),
                );
            }
            Some(Block::CustomCall { input, .. }) => {
                for piece in pieces(input) {
                    events.push_output(
                        "response.custom_tool_call_input.delta",
                        &format!(r#"{place},"delta":{}"#, quote(piece)),
                    );
                }
                events.push(
                    Role::Content,
                    "response.custom_tool_call_input.done",
                    &format!(r#"{place},"input":{}"#, quote(input)),
                );
            }
            Some(Block::Text { .. } | Block::Cited { .. } | Block::Refusal { .. }) => {
                for (index, block) in item.blocks.iter().enumerate() {
                    push_part(
                        events,
                        &format!(r#"{place},"content_index":{index}"#),
                        block,
                    );
                }
            }
        }
    }
}

/// Events in order, numbered from 0.
#[derive(Default)]
struct Events {
    frames: Vec<Frame>,
}

impl Events {
    fn push(&mut self, role: Role, kind: &str, fields: &str) {
        let text = format!(
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{},{fields}}}\n\n",
            self.frames.len()
        );
        self.frames.push(Frame::new(role, text));
    }

    /// Thinking that is not shown is produced all the same: it counts with the event before.
    fn hidden(&mut self, pieces: u64) {
        if let Some(frame) = self.frames.last_mut() {
            frame.reasoning += pieces;
        }
    }

    /// An event with one piece of output in it.
    fn push_output(&mut self, kind: &str, fields: &str) {
        self.push(Role::Content, kind, fields);
        if let Some(frame) = self.frames.last_mut() {
            frame.output = 1;
        }
    }
}

fn push_summary(events: &mut Events, place: &str, thinking: &str) {
    let place = format!(r#"{place},"summary_index":0"#);
    events.push(
        Role::Content,
        "response.reasoning_summary_part.added",
        &format!(r#"{place},"part":{}"#, summary_part("")),
    );
    for piece in pieces(thinking) {
        events.push(
            Role::Content,
            "response.reasoning_summary_text.delta",
            &format!(r#"{place},"delta":{}"#, quote(piece)),
        );
        if let Some(frame) = events.frames.last_mut() {
            frame.reasoning = 1;
        }
    }
    events.push(
        Role::Content,
        "response.reasoning_summary_text.done",
        &format!(r#"{place},"text":{}"#, quote(thinking)),
    );
    events.push(
        Role::Content,
        "response.reasoning_summary_part.done",
        &format!(r#"{place},"part":{}"#, summary_part(thinking)),
    );
}

fn push_part(events: &mut Events, place: &str, block: &Block) {
    let (text, name, field, logprobs) = match block {
        Block::Refusal { refusal } => (refusal, "refusal", "refusal", ""),
        Block::Text { text } | Block::Cited { text, .. } => {
            (text, "output_text", "text", r#","logprobs":[]"#)
        }
        _ => return,
    };
    events.push(
        Role::Content,
        "response.content_part.added",
        &format!(r#"{place},"part":{}"#, part(block, false)),
    );
    for piece in pieces(text) {
        events.push_output(
            &format!("response.{name}.delta"),
            &format!(r#"{place},"delta":{}{logprobs}"#, quote(piece)),
        );
    }
    if let Some(annotation) = annotation(block) {
        events.push(
            Role::Content,
            "response.output_text.annotation.added",
            &format!(r#"{place},"annotation_index":0,"annotation":{annotation}"#),
        );
    }
    events.push(
        Role::Content,
        &format!("response.{name}.done"),
        &format!(r#"{place},"{field}":{}{logprobs}"#, quote(text)),
    );
    events.push(
        Role::Content,
        "response.content_part.done",
        &format!(r#"{place},"part":{}"#, part(block, true)),
    );
}

/// A content part as it is, or as it begins.
fn part(block: &Block, is_whole: bool) -> String {
    match block {
        Block::Refusal { refusal } => format!(
            r#"{{"type":"refusal","refusal":{}}}"#,
            quote(if is_whole { refusal } else { "" })
        ),
        Block::Text { text } | Block::Cited { text, .. } => format!(
            r#"{{"type":"output_text","text":{},"annotations":[{}],"logprobs":[]}}"#,
            quote(if is_whole { text } else { "" }),
            annotation(block).filter(|_| is_whole).unwrap_or_default()
        ),
        _ => String::new(),
    }
}

/// Positions count characters within the part.
fn annotation(block: &Block) -> Option<String> {
    match block {
        Block::Cited { text, url, title } => Some(format!(
            r#"{{"type":"url_citation","end_index":{},"start_index":0,"title":{},"url":{}}}"#,
            text.chars().count(),
            quote(title),
            quote(url)
        )),
        _ => None,
    }
}

fn summary_part(text: &str) -> String {
    format!(r#"{{"type":"summary_text","text":{}}}"#, quote(text))
}

fn arguments(fragments: &[String]) -> String {
    if fragments.is_empty() {
        "{}".to_owned()
    } else {
        fragments.concat()
    }
}

/// The declared tools as the vendor resolves them: what was left out of a function is filled in.
fn tools(declared: &Value) -> String {
    let tools: Vec<String> = declared
        .as_array()
        .into_iter()
        .flatten()
        .map(|tool| match tool["type"].as_str() {
            Some("function") => format!(
                r#"{{"type":"function","description":{},"name":{},"parameters":{},"strict":{}}}"#,
                quote_or_null(tool["description"].as_str()),
                tool["name"],
                tool["parameters"],
                tool["strict"].as_bool().unwrap_or(true)
            ),
            _ => tool.to_string(),
        })
        .collect();
    format!("[{}]", tools.join(","))
}

fn usage(usage: &BilledUsage) -> String {
    format!(
        r#"{{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{},"cache_write_tokens":{}}},"output_tokens":{},"output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}}"#,
        usage.all_input(),
        usage.cache_read,
        usage.cache_write(),
        usage.all_output(),
        usage.reasoning,
        usage.all_input() + usage.all_output()
    )
}
