//! What a scripted provider answers: neutral of dialect, plain data, readable from JSON.
//!
//! Owns the script's nouns (scenario, block, finish, billed usage, fault). It does not know how a dialect
//! writes them (`openai`, `anthropic`) nor how bytes reach the socket (`wire`).

use serde::{Deserialize, Serialize};

/// One scripted answer, served in whichever dialect it is asked in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The `model` that selects this script.
    pub name: String,
    #[serde(default)]
    pub reply: Vec<Block>,
    /// Answer used instead of `reply` when the conversation ends with tool results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_tools: Option<Vec<Block>>,
    /// `None` means: `Tool` when the reply calls a tool, else `End`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Finish>,
    /// The text reported with `Finish::StopSequence`; the first requested one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_sequence: Option<String>,
    #[serde(default)]
    pub usage: ScriptedUsage,
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Cut the text at the caller's output cap and finish with `Length`, as a provider does.
    #[serde(default)]
    pub honour_cap: bool,
    /// Bill this many times the caller's output cap (without one: what was produced), whatever was produced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bills: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Block {
    Text {
        text: String,
    },
    /// Signed by the testkit, so that an edited replay is noticed.
    Thinking {
        thinking: String,
    },
    /// Has no form in the chat dialect: left out there.
    RedactedThinking {
        data: String,
    },
    /// The JSON arguments are the fragments joined; each is one event of a stream.
    ToolCall {
        name: String,
        #[serde(default)]
        fragments: Vec<String>,
    },
    Refusal {
        refusal: String,
    },
    /// Text with its source.
    Cited {
        text: String,
        url: String,
        title: String,
    },
    /// A call of a custom tool, which takes text. Only responses have it: left out elsewhere.
    CustomCall {
        name: String,
        input: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    End,
    Length,
    StopSequence,
    Tool,
    Refusal,
    ContentFilter,
    Pause,
    ContextFull,
    /// The model itself failed. Only responses and Gemini can say so.
    Failed,
}

/// Token counts of a script. What is `None` is counted from the request and the reply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedUsage {
    /// Input tokens neither read from nor written to a cache.
    #[serde(default)]
    pub input: Option<u64>,
    #[serde(default)]
    pub cache_read: u64,
    #[serde(default)]
    pub cache_write_5m: u64,
    #[serde(default)]
    pub cache_write_1h: u64,
    /// All output tokens, reasoning included.
    #[serde(default)]
    pub output: Option<u64>,
    #[serde(default)]
    pub reasoning: Option<u64>,
}

/// Token counts in disjoint buckets, as the provider would bill them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledUsage {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    /// Output without reasoning.
    pub output: u64,
    pub reasoning: u64,
}

/// A fault, on every attempt or only on the first few.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Strike only the first `n` attempts at this model name; `None` strikes each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attempts: Option<u32>,
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// What goes wrong. Byte counts are counts of body bytes, before any HTTP chunk framing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// An error answer with the vendor's documented body.
    Status {
        status: u16,
        #[serde(default)]
        detail: ErrorDetail,
        /// Text of the `retry-after` header.
        #[serde(default)]
        retry_after: Option<String>,
        #[serde(default)]
        retry_after_ms: Option<u64>,
    },
    DelayHead {
        ms: u64,
    },
    DelayEvents {
        ms: u64,
    },
    HangBeforeHead,
    /// Keep the connection open and silent after this many events (0: right after the head).
    HangAfterEvents {
        events: usize,
    },
    /// Close in the middle of the response head.
    CutInHead {
        bytes: usize,
    },
    CutAfterBytes {
        bytes: usize,
        /// Reset (RST) instead of an orderly close.
        #[serde(default)]
        reset: bool,
    },
    CutAfterEvents {
        events: usize,
    },
    /// End the HTTP body cleanly after this many bytes: well framed, yet incomplete.
    EndAfterBytes {
        bytes: usize,
    },
    /// The vendor's error event inside a 200 stream, then the end.
    ErrorAfterEvents {
        events: usize,
    },
    Html,
    /// One event (the whole body without a stream) that is not JSON.
    Malformed,
    /// A code point that loses its last byte inside a JSON string.
    InvalidUtf8,
    ByteWise,
    Crlf,
    /// Comment lines (and Anthropic pings) between the events.
    Comments,
    NoUsage,
    UsageEveryChunk,
    /// Report this object as usage, whatever was produced.
    ReportUsage {
        usage: serde_json::Value,
    },
    /// Leave out `[DONE]` or `message_stop`.
    NoDone,
    /// Gemini: the finish reason in a chunk of its own, behind the content. Elsewhere it always is.
    LateFinish,
    /// Leave out the finish reason, keep the end marker.
    NoFinish,
    EmptyBody,
    Redirect {
        status: u16,
        location: String,
    },
    ContentType {
        value: String,
    },
    /// One event whose line is at least this long.
    HugeLine {
        bytes: usize,
    },
    /// A chunk size that is not a number.
    BadFraming,
    /// These bytes between two events; past the last event they follow the end marker.
    InsertRaw {
        after_events: usize,
        raw: String,
    },
    ExtraHeaders {
        headers: Vec<(String, String)>,
    },
    /// Close the connection after a good answer, without announcing it.
    CloseIdle,
    /// One write per event, even without a delay.
    SeparateWrites,
}

/// Which of the vendor's errors of one status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorDetail {
    #[default]
    Plain,
    Context,
    Quota,
    /// The prompt was filtered, in Azure's words.
    Filter,
}

// === impl Scenario ===

impl Scenario {
    pub fn new(name: impl Into<String>, reply: Vec<Block>) -> Self {
        Self {
            name: name.into(),
            reply,
            ..Self::default()
        }
    }

    /// The faults that strike this attempt.
    pub(crate) fn faults_of(&self, attempt: u32) -> Vec<FaultKind> {
        self.faults
            .iter()
            .filter(|fault| fault.first_attempts.is_none_or(|n| attempt <= n))
            .map(|fault| fault.kind.clone())
            .collect()
    }

    #[must_use]
    pub fn with_fault(mut self, kind: FaultKind) -> Self {
        self.faults.push(Fault {
            first_attempts: None,
            kind,
        });
        self
    }

    /// A fault that strikes only the first `n` attempts.
    #[must_use]
    pub fn with_first(mut self, n: u32, kind: FaultKind) -> Self {
        self.faults.push(Fault {
            first_attempts: Some(n),
            kind,
        });
        self
    }

    #[must_use]
    pub fn with_finish(mut self, finish: Finish) -> Self {
        self.finish = Some(finish);
        self
    }

    #[must_use]
    pub fn with_usage(mut self, usage: ScriptedUsage) -> Self {
        self.usage = usage;
        self
    }
}

// === impl Block ===

impl Block {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    pub fn thinking(thinking: impl Into<String>) -> Self {
        Self::Thinking {
            thinking: thinking.into(),
        }
    }

    /// A tool call whose arguments arrive in fragments of seven characters.
    pub fn tool(name: impl Into<String>, arguments: &str) -> Self {
        let chars: Vec<char> = arguments.chars().collect();
        Self::ToolCall {
            name: name.into(),
            fragments: chars.chunks(7).map(|part| part.iter().collect()).collect(),
        }
    }
}

// === impl BilledUsage ===

impl BilledUsage {
    /// Input of every kind, as the chat dialect counts it.
    pub fn all_input(&self) -> u64 {
        self.input + self.cache_read + self.cache_write()
    }

    pub fn cache_write(&self) -> u64 {
        self.cache_write_5m + self.cache_write_1h
    }

    /// Output with reasoning, as both dialects count it.
    pub fn all_output(&self) -> u64 {
        self.output + self.reasoning
    }
}
