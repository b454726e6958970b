//! The built-in scripts, by model name: `name`, `name:<parameter>`, `name:<anything>`.
//!
//! Each is a function of the request, so that `tool` can call a declared tool and `echo` can echo. The table
//! of names stands in the crate's documentation; `NAMES` feeds the model list and the table's test.

use crate::ask::{Ask, Structured, example_json, words};
use crate::route::Shape;
use crate::scenario::{Block, ErrorDetail, FaultKind, Finish, Scenario, ScriptedUsage};

pub const SHORT_TEXT: &str = "Hello from the testkit: the quick brown fox jumps over the lazy dog.";
pub const UNICODE_TEXT: &str = "Grüße, 世界! Ünïcödé 🚀🧪 — naïve café, \"quoted\" \\ and\ttab,\nnew line, data: [DONE] inside.";
pub const THINKING_TEXT: &str =
    "The user wants an answer, so I weigh the options and pick the shortest.";
/// The cited part of the `citations` script.
pub const CITED_TEXT: &str = "Paris has 2.1 million inhabitants.";
pub(crate) const ERROR_MESSAGE: &str = "Scripted by the testkit";

/// Every built-in name with its default parameter; the error names are listed by their base form.
pub const NAMES: &[&str] = &[
    "text",
    "long-text",
    "unicode",
    "echo",
    "json",
    "max-tokens",
    "stop-sequence",
    "refusal",
    "content-filter",
    "pause",
    "context-full",
    "empty-text",
    "failed",
    "citations",
    "cached",
    "tool",
    "parallel-tools",
    "tool-no-args",
    "tool-empty-args",
    "tool-bad-args",
    "custom-tool",
    "late-finish",
    "thinking",
    "redacted-thinking",
    "thinking-tool",
    "e400",
    "e400-context",
    "e400-filter",
    "e401",
    "e402",
    "e403",
    "e404",
    "e409",
    "e413",
    "e422",
    "e429",
    "e429-quota",
    "e500",
    "e502",
    "e503",
    "e504",
    "e529",
    "e429-once",
    "e500-once",
    "e502-once",
    "e503-once",
    "e504-once",
    "e529-once",
    "error-after-200",
    "error-mid-stream",
    "cut-before-first",
    "cut-in-head",
    "cut-mid-text",
    "cut-mid-tool",
    "cut-at:40",
    "end-at:40",
    "reset-at:40",
    "hang-before-head",
    "hang-after-head",
    "hang-mid-stream",
    "slow:50",
    "slow-head:50",
    "malformed",
    "bad-utf8",
    "html",
    "no-done",
    "no-finish",
    "no-usage",
    "usage-every-chunk",
    "usage-absurd",
    "bytewise",
    "crlf",
    "comments",
    "after-end",
    "many:100",
    "each:100",
    "size:1024",
    "tokens:20",
    "bills:10",
    "redirect",
    "empty",
    "wrong-type",
    "huge-line",
    "bad-framing",
    "close-idle",
];

/// Names that vendors give their models answer as `text`.
const VENDOR_NAMES: &[&str] = &["gpt-", "claude-", "gemini-", "mistral-", "o3", "o4-"];

/// Tokens that the static benchmark scripts report for any prompt.
const STATIC_INPUT: u64 = 25;
const LINE_LIMIT: usize = 4 * 1024 * 1024 + 1;

/// The built-in script behind a model name.
pub(crate) fn scenario(model: &str, ask: &Ask) -> Option<Scenario> {
    let mut words = model.split(':');
    let base = words.next().unwrap_or_default();
    let parameter = words.next();
    let number = parameter.and_then(|text| text.parse::<usize>().ok());
    let found = plain(base, ask)
        .or_else(|| tools(base, ask))
        .or_else(|| cuts(base, number))
        .or_else(|| damage(base, number))
        .or_else(|| load(base, number))
        .or_else(|| metered(model, ask))
        .or_else(|| status(base, parameter))?;
    Some(Scenario {
        name: model.to_owned(),
        ..found
    })
}

/// Scripts whose answer never depends on the request: rendered once, sent from memory.
pub(crate) fn is_static(model: &str) -> bool {
    matches!(model.split(':').next(), Some("size" | "many" | "each"))
}

fn text_reply(text: impl Into<String>) -> Scenario {
    Scenario {
        honour_cap: true,
        ..Scenario::new("", vec![Block::text(text)])
    }
}

fn plain(base: &str, ask: &Ask) -> Option<Scenario> {
    let script = match base {
        "text" => text_reply(SHORT_TEXT),
        name if VENDOR_NAMES.iter().any(|prefix| name.starts_with(prefix)) => {
            text_reply(SHORT_TEXT)
        }
        "long-text" => text_reply(SHORT_TEXT.repeat(40)),
        "unicode" => text_reply(UNICODE_TEXT),
        "echo" => text_reply(ask.last_user_text.clone()).with_usage(ScriptedUsage {
            input: Some(words(&ask.last_user_text)),
            ..ScriptedUsage::default()
        }),
        "json" => Scenario::new("", vec![Block::text(structured(&ask.structured))]),
        "max-tokens" => text_reply("This text stops in the").with_finish(Finish::Length),
        "stop-sequence" => text_reply("One, two, ").with_finish(Finish::StopSequence),
        "refusal" => Scenario::new(
            "",
            vec![Block::Refusal {
                refusal: "I cannot help with that.".to_owned(),
            }],
        ),
        "content-filter" => {
            text_reply("Partial text before the").with_finish(Finish::ContentFilter)
        }
        "pause" => text_reply("Paused.").with_finish(Finish::Pause),
        "context-full" => text_reply("The window is").with_finish(Finish::ContextFull),
        "empty-text" => Scenario::new("", Vec::new()),
        "failed" => failed(ask),
        "citations" => Scenario::new(
            "",
            vec![
                Block::text("According to the source, "),
                Block::Cited {
                    text: CITED_TEXT.to_owned(),
                    url: "https://example.com/paris".to_owned(),
                    title: "Paris – facts".to_owned(),
                },
            ],
        ),
        "cached" => text_reply(SHORT_TEXT).with_usage(ScriptedUsage {
            input: Some(20),
            cache_read: 1000,
            cache_write_5m: 200,
            cache_write_1h: 30,
            output: Some(40),
            reasoning: None,
        }),
        "thinking" => Scenario::new(
            "",
            vec![Block::thinking(THINKING_TEXT), Block::text(SHORT_TEXT)],
        ),
        "redacted-thinking" => Scenario::new(
            "",
            vec![
                Block::RedactedThinking {
                    data: "dGVzdGtpdC1yZWRhY3RlZA==".to_owned(),
                },
                Block::text(SHORT_TEXT),
            ],
        ),
        _ => return None,
    };
    Some(script)
}

/// The failure of the model itself; where the dialect has no word for it, an error right after 200.
fn failed(ask: &Ask) -> Scenario {
    match ask.shape {
        Shape::Responses | Shape::Gemini => {
            Scenario::new("", Vec::new()).with_finish(Finish::Failed)
        }
        _ => Scenario::new("", Vec::new()).with_fault(FaultKind::ErrorAfterEvents { events: 0 }),
    }
}

fn structured(wanted: &Structured) -> String {
    match wanted {
        Structured::Schema(schema) => example_json(schema, true),
        Structured::Off | Structured::AnyObject => {
            r#"{"city":"Paris","population":2100000}"#.to_owned()
        }
    }
}

fn tools(base: &str, ask: &Ask) -> Option<Scenario> {
    let call = |fragments: Option<Vec<String>>| -> Option<Block> {
        let (name, arguments) = match ask.called_tool() {
            Some(tool) => (tool.name.clone(), example_json(&tool.schema, false)),
            None if ask.tools.is_empty() => (
                "get_weather".to_owned(),
                r#"{"location":"Paris"}"#.to_owned(),
            ),
            None => return None,
        };
        Some(match fragments {
            Some(fragments) => Block::ToolCall { name, fragments },
            None => Block::tool(name, &arguments),
        })
    };
    let mut blocks: Vec<Block> = match base {
        "tool" | "late-finish" => call(None).into_iter().collect(),
        "custom-tool" => custom_call(ask).into_iter().collect(),
        "tool-no-args" => call(Some(Vec::new())).into_iter().collect(),
        "tool-empty-args" => call(Some(vec![String::new()])).into_iter().collect(),
        "tool-bad-args" => call(Some(vec![r#"{"location": "Par"#.to_owned()]))
            .into_iter()
            .collect(),
        "thinking-tool" => [
            Some(Block::thinking(THINKING_TEXT)),
            Some(Block::text("I look it up.")),
            call(None),
        ]
        .into_iter()
        .flatten()
        .collect(),
        "parallel-tools" => parallel_calls(ask),
        _ => return None,
    };
    if !blocks
        .iter()
        .any(|block| matches!(block, Block::ToolCall { .. } | Block::CustomCall { .. }))
    {
        blocks = vec![Block::text("No tool may be called.")];
    }
    let quoted = format!("The tool said: {}", ask.tool_results.join(" | "));
    let after = match base {
        "thinking-tool" => vec![Block::thinking("The result is in."), Block::text(quoted)],
        _ => vec![Block::text(quoted)],
    };
    let script = Scenario {
        after_tools: Some(after),
        ..Scenario::new("", blocks)
    };
    Some(match base {
        "late-finish" => script.with_fault(FaultKind::LateFinish),
        _ => script,
    })
}

/// The first custom tool, called with text.
fn custom_call(ask: &Ask) -> Option<Block> {
    ask.custom_tools.first().map(|name| Block::CustomCall {
        name: name.clone(),
        input: "print(\"hello from the testkit\")".to_owned(),
    })
}

/// Two calls: the first two declared tools, or one tool twice; one call when parallel calls are off.
fn parallel_calls(ask: &Ask) -> Vec<Block> {
    if ask.tools.is_empty() {
        return vec![
            Block::tool("get_weather", r#"{"location":"Paris"}"#),
            Block::tool("get_time", r#"{"zone":"Europe/Paris"}"#),
        ];
    }
    let Some(first) = ask.called_tool() else {
        return Vec::new();
    };
    let second = ask
        .tools
        .iter()
        .find(|tool| tool.name != first.name)
        .unwrap_or(first);
    let count = if ask.parallel { 2 } else { 1 };
    [first, second]
        .into_iter()
        .take(count)
        .map(|tool| Block::tool(tool.name.clone(), &example_json(&tool.schema, false)))
        .collect()
}

fn cuts(base: &str, number: Option<usize>) -> Option<Scenario> {
    let bytes = number.unwrap_or(40);
    let fault = match base {
        "cut-before-first" => FaultKind::CutAfterBytes {
            bytes: 0,
            reset: false,
        },
        "cut-in-head" => FaultKind::CutInHead {
            bytes: number.unwrap_or(12),
        },
        "cut-mid-text" | "cut-mid-tool" => FaultKind::CutAfterEvents { events: 5 },
        "cut-at" => FaultKind::CutAfterBytes {
            bytes,
            reset: false,
        },
        "reset-at" => FaultKind::CutAfterBytes { bytes, reset: true },
        "end-at" => FaultKind::EndAfterBytes { bytes },
        "error-after-200" => FaultKind::ErrorAfterEvents { events: 0 },
        "error-mid-stream" => FaultKind::ErrorAfterEvents { events: 5 },
        "hang-before-head" => FaultKind::HangBeforeHead,
        "hang-after-head" => FaultKind::HangAfterEvents { events: 0 },
        "hang-mid-stream" => FaultKind::HangAfterEvents { events: 5 },
        _ => return None,
    };
    let script = match base {
        "cut-mid-tool" => Scenario::new(
            "",
            vec![Block::tool(
                "get_weather",
                r#"{"location":"Paris","unit":"celsius","days":3}"#,
            )],
        ),
        _ => Scenario::new("", vec![Block::text(SHORT_TEXT)]),
    };
    Some(script.with_fault(fault))
}

fn damage(base: &str, number: Option<usize>) -> Option<Scenario> {
    let fault = match base {
        "malformed" => FaultKind::Malformed,
        "bad-utf8" => FaultKind::InvalidUtf8,
        "html" => FaultKind::Html,
        "no-done" => FaultKind::NoDone,
        "no-finish" => FaultKind::NoFinish,
        "no-usage" => FaultKind::NoUsage,
        "usage-every-chunk" => FaultKind::UsageEveryChunk,
        "usage-absurd" => FaultKind::ReportUsage {
            usage: absurd_usage(),
        },
        "bytewise" => FaultKind::ByteWise,
        "crlf" => FaultKind::Crlf,
        "comments" => FaultKind::Comments,
        "after-end" => FaultKind::InsertRaw {
            after_events: usize::MAX,
            raw: "data: {\"late\":true}\n\ndata: [DONE]\n\n".to_owned(),
        },
        "redirect" => FaultKind::Redirect {
            status: number
                .and_then(|status| u16::try_from(status).ok())
                .unwrap_or(302),
            location: "http://127.0.0.1:9/elsewhere".to_owned(),
        },
        "empty" => FaultKind::EmptyBody,
        "wrong-type" => FaultKind::ContentType {
            value: "text/plain".to_owned(),
        },
        "huge-line" => FaultKind::HugeLine {
            bytes: number.unwrap_or(LINE_LIMIT),
        },
        "bad-framing" => FaultKind::BadFraming,
        "close-idle" => FaultKind::CloseIdle,
        _ => return None,
    };
    let text = if matches!(base, "bytewise" | "crlf" | "comments") {
        UNICODE_TEXT
    } else {
        SHORT_TEXT
    };
    Some(Scenario::new("", vec![Block::text(text)]).with_fault(fault))
}

/// Counts that no answer can have, under every dialect's names.
fn absurd_usage() -> serde_json::Value {
    let negative = ["prompt_tokens", "input_tokens", "promptTokenCount"]
        .map(|name| (name.to_owned(), (-5).into()));
    let beyond_f64 = ["completion_tokens", "output_tokens", "candidatesTokenCount"]
        .map(|name| (name.to_owned(), 9_007_199_254_740_993_u64.into()));
    let total = [("total_tokens".to_owned(), 1.into())];
    serde_json::Value::Object(
        negative
            .into_iter()
            .chain(beyond_f64)
            .chain(total)
            .collect(),
    )
}

fn load(base: &str, number: Option<usize>) -> Option<Scenario> {
    let fixed = ScriptedUsage {
        input: Some(STATIC_INPUT),
        ..ScriptedUsage::default()
    };
    let ms = number.unwrap_or(50) as u64;
    let script = match base {
        "many" => Scenario::new("", vec![Block::text("word ".repeat(number.unwrap_or(100)))])
            .with_usage(fixed),
        "each" => Scenario::new("", vec![Block::text("word ".repeat(number.unwrap_or(100)))])
            .with_usage(fixed)
            .with_fault(FaultKind::SeparateWrites),
        "size" => {
            Scenario::new("", vec![Block::text(filler(number.unwrap_or(1024)))]).with_usage(fixed)
        }
        "slow" => text_reply(SHORT_TEXT).with_fault(FaultKind::DelayEvents { ms }),
        "slow-head" => text_reply(SHORT_TEXT).with_fault(FaultKind::DelayHead { ms }),
        _ => return None,
    };
    Some(script)
}

/// Scripts about what is billed: an exact number of tokens, and a bill beyond the cap.
fn metered(model: &str, ask: &Ask) -> Option<Scenario> {
    let mut parts = model.split(':');
    let base = parts.next()?;
    let mut numbers = parts.map(|part| part.parse::<u64>().ok());
    let first = numbers.next().flatten();
    match base {
        "tokens" => {
            let wanted = first.unwrap_or(20);
            let tokens = ask.cap.map_or(wanted, |cap| wanted.min(cap));
            let text = "word ".repeat(usize::try_from(tokens).ok()?);
            let mut script = text_reply(text);
            if tokens < wanted {
                script.finish = Some(Finish::Length);
            }
            Some(match numbers.next().flatten() {
                Some(ms) => script.with_fault(FaultKind::DelayEvents { ms }),
                None => script,
            })
        }
        "bills" => Some(Scenario {
            bills: Some(first.unwrap_or(10)),
            ..text_reply(SHORT_TEXT)
        }),
        _ => None,
    }
}

/// Text of exactly this many bytes.
fn filler(bytes: usize) -> String {
    const WORDS: &str = "lorem ipsum dolor sit amet consectetur ";
    WORDS.chars().cycle().take(bytes).collect()
}

/// `e<status>[-context|-quota|-filter][-once|-twice]`, with the text of `retry-after` as parameter.
fn status(base: &str, parameter: Option<&str>) -> Option<Scenario> {
    let rest = base.strip_prefix('e')?;
    let mut parts = rest.split('-');
    let status: u16 = parts
        .next()?
        .parse()
        .ok()
        .filter(|status| (400..600).contains(status))?;
    let mut detail = ErrorDetail::Plain;
    let mut first = None;
    for part in parts {
        match part {
            "context" => detail = ErrorDetail::Context,
            "quota" => detail = ErrorDetail::Quota,
            "filter" => detail = ErrorDetail::Filter,
            "once" => first = Some(1),
            "twice" => first = Some(2),
            _ => return None,
        }
    }
    let waits = status == 429 && detail == ErrorDetail::Plain;
    let retry_after = match parameter {
        Some("none") => None,
        Some("date") => Some(crate::clock::http_date_in(2)),
        Some("garbage") => Some("soon".to_owned()),
        Some(text) if text.parse::<f64>().is_ok() => Some(text.to_owned()),
        _ => waits.then(|| "1".to_owned()),
    };
    // Lets a retry in a test come at once; only without a `retry-after` of the test's own.
    let is_own = parameter.is_some_and(|text| {
        text.parse::<f64>().is_ok() || matches!(text, "none" | "date" | "garbage")
    });
    let retry_after_ms = (first.is_some() && waits && !is_own).then_some(20);
    let fault = FaultKind::Status {
        status,
        detail,
        retry_after,
        retry_after_ms,
    };
    let script = text_reply(SHORT_TEXT);
    Some(match first {
        Some(n) => script.with_first(n, fault),
        None => script.with_fault(fault),
    })
}
