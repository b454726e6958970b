//! The items of a reply's output as a caller sees them: each block is one item, its id a function of the
//! reply's id and the block's place.

use super::custom::{self, Peculiar};
use crate::{
    NameMap, ids,
    ir::{Block, Citation, Issuer, TokenLogprob},
    json::{List, Object},
    openai_chat::logprobs::{Bytes, put_list},
};

const CALL_ID_LIMIT: usize = 64;

/// A block as an item.
#[derive(Clone, Debug)]
pub(super) struct OutputItem {
    pub(super) id: String,
    pub(super) said: Said,
}

#[derive(Clone, Debug)]
pub(super) enum Said {
    Text {
        text: String,
        citations: Vec<Citation>,
        logprobs: Vec<TokenLogprob>,
    },
    Refusal(String),
    Reasoning {
        text: String,
        /// What the next turn needs to give the reasoning back to whoever sealed it.
        seal: Option<String>,
    },
    Call {
        call_id: String,
        name: String,
        namespace: Option<String>,
        arguments: String,
        /// A custom tool's: told as free text.
        is_custom: bool,
    },
}

impl OutputItem {
    /// The item that a block is. `tools` knows the caller's tools that are no plain functions.
    pub(super) fn of_block(
        block: &Block,
        reply_id: &str,
        n: usize,
        names: &NameMap,
        tools: &Peculiar,
    ) -> Self {
        let said = match block {
            Block::Text {
                text,
                citations,
                logprobs,
            } => Said::Text {
                text: text.clone(),
                citations: citations.clone(),
                logprobs: logprobs.clone(),
            },
            Block::Refusal(text) => Said::Refusal(text.clone()),
            Block::Reasoning { text, signature } => Said::Reasoning {
                text: text.clone(),
                seal: signature
                    .as_ref()
                    .map(|it| it.written_for(Issuer::OpenAi).into_owned()),
            },
            Block::RedactedReasoning { data } => Said::Reasoning {
                text: String::new(),
                seal: Some(crate::ir::redacted_for(Issuer::OpenAi, data)),
            },
            Block::ToolCall(call) => {
                let name = names.original(&call.name);
                let (namespace, name) = match tools.namespace(name) {
                    Some((namespace, name)) => (Some(namespace.to_owned()), name),
                    None => (None, name),
                };
                Said::Call {
                    call_id: ids::call_id_within(&call.id, CALL_ID_LIMIT).into_owned(),
                    is_custom: namespace.is_none() && tools.is_custom(name),
                    name: name.to_owned(),
                    namespace,
                    arguments: call.arguments.clone(),
                }
            }
        };
        let id = ids::item_id(said.prefix(), reply_id, n);
        Self { id, said }
    }

    pub(super) fn put(&self, list: &mut List<'_>, status: &str) {
        self.put_in(&mut list.object(), status);
    }

    pub(super) fn put_in(&self, out: &mut Object<'_>, status: &str) {
        match &self.said {
            Said::Text { .. } | Said::Refusal(_) => {
                out.put("type", "message");
                out.put("id", &self.id);
                out.put("status", status);
                out.put("role", "assistant");
                let mut content = out.list("content");
                self.said.put_part(&mut content.object());
            }
            Said::Reasoning { text, seal } => {
                out.put("type", "reasoning");
                out.put("id", &self.id);
                {
                    let mut summary = out.list("summary");
                    if !text.is_empty() {
                        put_summary(&mut summary.object(), text);
                    }
                }
                out.put_some("encrypted_content", seal.as_ref());
            }
            Said::Call {
                call_id,
                name,
                namespace,
                arguments,
                is_custom,
            } => {
                let kind = if *is_custom {
                    "custom_tool_call"
                } else {
                    "function_call"
                };
                out.put("type", kind);
                out.put("id", &self.id);
                if !*is_custom {
                    out.put("status", status);
                }
                out.put("call_id", call_id);
                out.put("name", name);
                out.put_some("namespace", namespace.as_ref());
                if *is_custom {
                    out.put("input", &custom::unwrapped(arguments));
                } else {
                    out.put("arguments", filled(arguments));
                }
            }
        }
    }

    /// The item before anything of it was said.
    pub(super) fn put_empty(&self, out: &mut Object<'_>) {
        match &self.said {
            Said::Text { .. } | Said::Refusal(_) => {
                out.put("type", "message");
                out.put("id", &self.id);
                out.put("status", "in_progress");
                out.put("role", "assistant");
                out.list("content");
            }
            Said::Reasoning { .. } => {
                out.put("type", "reasoning");
                out.put("id", &self.id);
                out.list("summary");
            }
            Said::Call {
                call_id,
                name,
                namespace,
                is_custom,
                ..
            } => {
                let (kind, field) = if *is_custom {
                    ("custom_tool_call", "input")
                } else {
                    ("function_call", "arguments")
                };
                out.put("type", kind);
                out.put("id", &self.id);
                if !*is_custom {
                    out.put("status", "in_progress");
                }
                out.put("call_id", call_id);
                out.put("name", name);
                out.put_some("namespace", namespace.as_ref());
                out.put(field, "");
            }
        }
    }
}

impl Said {
    fn prefix(&self) -> &'static str {
        match self {
            Said::Text { .. } | Said::Refusal(_) => "msg_",
            Said::Reasoning { .. } => "rs_",
            Said::Call {
                is_custom: true, ..
            } => "ctc_",
            Said::Call { .. } => "fc_",
        }
    }

    /// The one part of a message.
    pub(super) fn put_part(&self, out: &mut Object<'_>) {
        match self {
            Said::Text {
                text,
                citations,
                logprobs,
            } => {
                out.put("type", "output_text");
                out.put("text", text);
                {
                    let mut annotations = out.list("annotations");
                    for citation in citations.iter().filter(|it| it.url.is_some()) {
                        put_annotation(&mut annotations.object(), citation, text);
                    }
                }
                put_list(&mut out.list("logprobs"), logprobs, Bytes::OrEmpty);
            }
            Said::Refusal(text) => {
                out.put("type", "refusal");
                out.put("refusal", text);
            }
            Said::Reasoning { .. } | Said::Call { .. } => {}
        }
    }
}

pub(super) fn put_summary(out: &mut Object<'_>, text: &str) {
    out.put("type", "summary_text");
    out.put("text", text);
}

/// A source on the web. One that names no words of the reply stands behind all of them.
pub(super) fn put_annotation(out: &mut Object<'_>, citation: &Citation, text: &str) {
    let whole = || (0, u64::try_from(text.chars().count()).unwrap_or(u64::MAX));
    let (start, end) = citation.range.unwrap_or_else(whole);
    out.put("type", "url_citation");
    out.put("url", citation.url.as_deref().unwrap_or_default());
    out.put("start_index", &start);
    out.put("end_index", &end);
    out.put("title", citation.title.as_deref().unwrap_or_default());
}

/// A call without arguments has an empty object of them.
pub(super) fn filled(arguments: &str) -> &str {
    if arguments.trim().is_empty() {
        "{}"
    } else {
        arguments
    }
}
