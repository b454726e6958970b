//! Scripted loopback providers: they speak OpenAI's (chat and responses), Anthropic's and Gemini's wire formats
//! by the vendors' own schemas, misbehave on demand, and record what they accepted, produced and would bill. The
//! records are the oracle that the rest of the project is checked against. No TLS, no clock of their own,
//! loopback only.
//!
//! The OpenAI side has its other operations too: images, audio, moderations, rerank (Jina's on `/v1`, Cohere's
//! on `/v2`), files, fine-tuning jobs. Their model may be any; one named like a script brings its faults.
//!
//! A request's model selects the script: registered ([`TestProvider::register`], `POST /scenarios`) or built in.
//! Accepted keys begin with `test-`. Text after a `:` that is no parameter is ignored by the script but counted
//! apart, so that `e500-once:my-test` has a counter of its own; a vendor's name there (`tool:gpt-5.6`,
//! `tool:gemini-3`, `text:user-last`) brings that family's refusals. On Bedrock the script's name follows
//! `anthropic.`, as in `us.anthropic.tool`.
//!
//! The clouds' paths are served on every port: Azure OpenAI, Vertex (Gemini and Anthropic), Anthropic on
//! Bedrock, and the token endpoints of Google and Microsoft Entra (see `route.rs`, `tokens.rs`).
//!
//! | built-in | answer |
//! |---|---|
//! | `text`, `long-text`, `unicode` | short text, 2.7 KB of text, text with every awkward character; `gpt-…`, `claude-…`, `gemini-…` answer as `text` |
//! | `echo` | the last user text; input tokens = its words |
//! | `json` | structured output: JSON valid for the requested schema |
//! | `max-tokens`, `stop-sequence`, `refusal`, `content-filter`, `pause`, `context-full`, `empty-text` | that finish |
//! | `failed` | the model itself fails: response status `failed`, Gemini's `MALFORMED_FUNCTION_CALL`; elsewhere as `error-after-200` |
//! | `citations` | a text whose second part has a source |
//! | `cached` | usage 20 uncached, 1000 read, 200 + 30 written (5m + 1h), 40 out |
//! | `tool`, `parallel-tools` | calls the first declared tool (two tools) with its required properties; after tool results, a text that quotes them |
//! | `tool-no-args`, `tool-empty-args`, `tool-bad-args` | a call without arguments, with `""`, with cut JSON |
//! | `custom-tool` | responses: calls the first custom tool with text |
//! | `late-finish` | as `tool`; Gemini's finish reason comes in a chunk of its own, without content |
//! | `thinking`, `redacted-thinking`, `thinking-tool` | signed thinking (chat: `reasoning_content`; responses and Gemini show it only on request), redacted thinking, thinking + text + call |
//! | `e<status>[-once\|-twice][:<retry-after>]` | that error in the vendor's shape: any 4xx/5xx; `e429` waits 1 s unless told: a number, `none`, `date`, `garbage`; `-once` adds `retry-after-ms: 20` |
//! | `e400-context`, `e400-filter`, `e429-quota` | context too long; prompt filtered (Azure's words); quota used up |
//! | `error-after-200`, `error-mid-stream` | the vendor's error event at once, after five events |
//! | `cut-before-first`, `cut-in-head[:<n>]`, `cut-mid-text`, `cut-mid-tool` | the connection closes there |
//! | `cut-at:<n>`, `reset-at:<n>`, `end-at:<n>` | FIN, RST, or a well-framed end after n body bytes |
//! | `hang-before-head`, `hang-after-head`, `hang-mid-stream` | silence until the client leaves |
//! | `slow[:<ms>]`, `slow-head[:<ms>]` | a delay between events, before the head (50 ms) |
//! | `malformed`, `bad-utf8`, `html`, `wrong-type`, `empty`, `huge-line[:<n>]`, `bad-framing`, `redirect[:<status>]` | broken answers; the line is 4 MiB + 1 |
//! | `no-done`, `no-finish`, `no-usage`, `usage-every-chunk`, `usage-absurd`, `after-end` | odd streams |
//! | `bytewise`, `crlf`, `comments` | awkward but legal streams of the `unicode` text |
//! | `many:<n>`, `each:<n>`, `size:<bytes>` | static, for benchmarks: n events in one write, n events in n writes, a text of that size |
//! | `tokens:<n>[:<ms>]` | exactly n tokens (at most the caller's cap), one event each, `ms` apart |
//! | `bills:<factor>` | a short text, billed as `factor` times the caller's cap: a provider that does not keep to it |
//! | `close-idle` | a good answer, then the connection closes unannounced |

mod answer;
mod anthropic;
mod ask;
mod builtin;
mod clock;
mod control;
mod dialect;
mod eventstream;
mod family;
mod gemini;
mod http;
mod hub;
mod journal;
mod json;
mod openai;
mod operations;
mod provider;
mod record;
mod responses;
mod route;
mod scenario;
mod shelf;
mod sigv4;
mod tokens;
mod turn;
mod voice;
mod wire;

pub use builtin::{CITED_TEXT, NAMES as BUILTIN_NAMES, SHORT_TEXT, THINKING_TEXT, UNICODE_TEXT};
pub use control::Testkit;
pub use dialect::Dialect;
pub use hub::{Asked, Shelves, TestHub};
pub use provider::{Options, TestProvider};
pub use record::{End, Record, UploadedFile, fingerprint};
pub use scenario::{
    BilledUsage, Block, ErrorDetail, Fault, FaultKind, Finish, Scenario, ScriptedUsage,
};
pub use sigv4::{AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY};
pub use turn::sign_thinking;
pub use voice::KEY_PREFIX;
