//! The rules of an Anthropic conversation: roles, blocks by role, non-empty text, tool results right after
//! their calls, thinking replayed unedited. Consecutive turns of one role are one turn, as the vendor merges
//! them.

use serde_json::Value;

use super::check::{Checked, Version, refuse};
use crate::ask::text_of;
use crate::turn::{Signature, check_signature};

/// What the rest of the testkit wants to know of a conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) last_user_text: String,
    /// Results in the last user turn.
    pub(super) tool_results: Vec<String>,
}

/// Consecutive messages of one role.
struct MergedTurn<'a> {
    role: &'a str,
    /// Index of the last message merged in: the vendor's errors count messages.
    last: usize,
    blocks: Vec<&'a Value>,
    texts: Vec<String>,
}

const TEXT_FIELDS: &[&str] = &["type", "text", "cache_control", "citations"];

pub(super) fn check(
    messages: &Value,
    version: Version,
    manual_thinking: bool,
) -> Checked<Conversation> {
    let Some(messages) = messages.as_array() else {
        return refuse("messages: Input should be a valid list");
    };
    if messages.is_empty() {
        return refuse("messages: at least one message is required");
    }
    let mut turns: Vec<MergedTurn<'_>> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = check_message(index, message, version)?;
        let turn = match turns.last_mut() {
            Some(turn) if turn.role == role => turn,
            _ => {
                turns.push(MergedTurn {
                    role,
                    last: index,
                    blocks: Vec::new(),
                    texts: Vec::new(),
                });
                turns
                    .last_mut()
                    .unwrap_or_else(|| unreachable!("a turn was just pushed"))
            }
        };
        turn.last = index;
        turn.texts.push(text_of(&message["content"]));
        turn.blocks
            .extend(message["content"].as_array().into_iter().flatten());
    }
    if turns[0].role != "user" {
        return refuse("messages: first message must use the \"user\" role");
    }
    check_systems(&turns)?;
    check_tool_order(&turns)?;
    if manual_thinking {
        check_thinking_first(&turns)?;
    }
    let user = turns.iter().rfind(|turn| turn.role == "user");
    let answers = turns.last().filter(|turn| turn.role == "user");
    Ok(Conversation {
        last_user_text: user
            .map(|turn| turn.texts.last().cloned().unwrap_or_default())
            .unwrap_or_default(),
        tool_results: answers
            .into_iter()
            .flat_map(|turn| turn.blocks.iter())
            .filter(|block| block["type"] == "tool_result")
            .map(|block| text_of(&block["content"]))
            .collect(),
    })
}

fn check_message(index: usize, message: &Value, version: Version) -> Checked<&str> {
    let role = message["role"].as_str().unwrap_or_default();
    if !matches!(role, "user" | "assistant" | "system") {
        return refuse(format!(
            "messages.{index}.role: Input should be 'user', 'assistant' or 'system'"
        ));
    }
    let known = message.as_object().into_iter().flatten();
    if let Some((unknown, _)) = known
        .into_iter()
        .find(|(key, _)| !matches!(key.as_str(), "role" | "content"))
    {
        return refuse(format!(
            "messages.{index}.{unknown}: Extra inputs are not permitted"
        ));
    }
    match &message["content"] {
        Value::String(text) if text.is_empty() => {
            refuse("messages: text content blocks must be non-empty")
        }
        Value::String(text) if text.trim().is_empty() => {
            refuse("messages: text content blocks must contain non-whitespace text")
        }
        Value::String(_) => Ok(role),
        Value::Array(blocks) if blocks.is_empty() && role == "user" => refuse(format!(
            "messages.{index}: user messages must have non-empty content"
        )),
        Value::Array(blocks) => {
            for (position, block) in blocks.iter().enumerate() {
                check_block(
                    &format!("messages.{index}.content.{position}"),
                    role,
                    block,
                    version,
                )?;
            }
            Ok(role)
        }
        _ => refuse(format!("messages.{index}.content: Field required")),
    }
}

/// Who may write a block of this type, and its fields. The fields that only answers have (`caller`) are there
/// because callers replay answers whole.
fn allowed(
    kind: &str,
    version: Version,
) -> Option<(&'static [&'static str], &'static [&'static str])> {
    let document = &[
        "type",
        "source",
        "cache_control",
        "citations",
        "context",
        "title",
    ];
    match kind {
        "text" => Some((&["user", "assistant", "system"], TEXT_FIELDS)),
        "image" => Some((
            &["user"],
            &["type", "source", "cache_control", "transformations"],
        )),
        "document" if version == Version::V2023 => Some((&["user", "assistant"], document)),
        "document" => Some((&["user"], document)),
        "search_result" => Some((
            &["user"],
            &[
                "type",
                "source",
                "title",
                "content",
                "cache_control",
                "citations",
            ],
        )),
        "tool_use" => Some((
            &["assistant"],
            &[
                "type",
                "id",
                "name",
                "input",
                "cache_control",
                "caller",
                "toolset_name",
            ],
        )),
        "tool_result" => Some((
            &["user"],
            &[
                "type",
                "tool_use_id",
                "content",
                "is_error",
                "cache_control",
                "toolset_name",
            ],
        )),
        "thinking" => Some((&["assistant"], &["type", "thinking", "signature"])),
        "redacted_thinking" => Some((&["assistant"], &["type", "data"])),
        _ => None,
    }
}

fn check_block(at: &str, role: &str, block: &Value, version: Version) -> Checked<()> {
    let kind = block["type"].as_str().unwrap_or_default();
    let Some((roles, fields)) = allowed(kind, version) else {
        return refuse(format!(
            "{at}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
        ));
    };
    if !roles.contains(&role) {
        return refuse(format!(
            "{at}: `{kind}` blocks are not allowed in `{role}` messages"
        ));
    }
    let present = block.as_object().into_iter().flatten();
    if let Some((unknown, _)) = present
        .into_iter()
        .find(|(key, _)| !fields.contains(&key.as_str()))
    {
        return refuse(format!(
            "{at}.{kind}.{unknown}: Extra inputs are not permitted"
        ));
    }
    match kind {
        "text" => {
            let cited = block["citations"]
                .as_array()
                .is_some_and(|citations| !citations.is_empty());
            if cited && role == "user" && version == Version::V2026 {
                return refuse(format!(
                    "{at}.text.citations: Extra inputs are not permitted"
                ));
            }
            check_text(block, "messages")
        }
        "image" => check_image(at, block),
        "tool_use" => check_tool_use(at, block),
        "tool_result" => check_tool_result(at, block, version),
        "thinking" => check_thinking(at, block),
        _ => Ok(()),
    }
}

/// The rules of one text block, in messages and in the system prompt.
pub(super) fn check_text(block: &Value, place: &str) -> Checked<()> {
    let present = block.as_object().into_iter().flatten();
    if let Some((unknown, _)) = present
        .into_iter()
        .find(|(key, _)| !TEXT_FIELDS.contains(&key.as_str()))
    {
        return refuse(format!(
            "{place}.text.{unknown}: Extra inputs are not permitted"
        ));
    }
    match block["text"].as_str() {
        None => refuse(format!("{place}.text.text: Field required")),
        Some("") => refuse(format!("{place}: text content blocks must be non-empty")),
        Some(text) if text.trim().is_empty() => refuse(format!(
            "{place}: text content blocks must contain non-whitespace text"
        )),
        Some(_) => Ok(()),
    }
}

fn check_image(at: &str, block: &Value) -> Checked<()> {
    let source = &block["source"];
    match source["type"].as_str() {
        Some("base64") => {
            let media = source["media_type"].as_str().unwrap_or_default();
            if !matches!(
                media,
                "image/jpeg" | "image/png" | "image/gif" | "image/webp"
            ) {
                return refuse(format!(
                    "{at}.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
                ));
            }
            if source["data"].as_str().is_none_or(str::is_empty) {
                return refuse(format!("{at}.image.source.base64.data: Field required"));
            }
            Ok(())
        }
        Some("url") if source["url"].is_string() => Ok(()),
        Some("file") if source["file_id"].is_string() => Ok(()),
        _ => refuse(format!(
            "{at}.image.source: Input tag does not match any of the expected tags: 'base64', 'file', 'url'"
        )),
    }
}

fn is_tool_id(id: &str) -> bool {
    !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn check_tool_use(at: &str, block: &Value) -> Checked<()> {
    if !block["id"].as_str().is_some_and(is_tool_id) {
        return refuse(format!(
            "{at}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        ));
    }
    if block["name"].as_str().is_none_or(str::is_empty) {
        return refuse(format!("{at}.tool_use.name: Field required"));
    }
    if !block["input"].is_object() {
        return refuse(format!(
            "{at}.tool_use.input: Input should be a valid dictionary"
        ));
    }
    Ok(())
}

fn check_tool_result(at: &str, block: &Value, version: Version) -> Checked<()> {
    if !block["tool_use_id"].as_str().is_some_and(is_tool_id) {
        return refuse(format!(
            "{at}.tool_result.tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        ));
    }
    match &block["content"] {
        Value::Null | Value::String(_) => Ok(()),
        Value::Array(parts) => {
            for (index, part) in parts.iter().enumerate() {
                match part["type"].as_str() {
                    Some("text" | "image" | "search_result" | "document") => {
                        check_block(
                            &format!("{at}.tool_result.content.{index}"),
                            "user",
                            part,
                            version,
                        )?;
                    }
                    Some("tool_reference") => {}
                    _ => {
                        return refuse(format!(
                            "{at}.tool_result.content.{index}: Input tag does not match any of the expected tags"
                        ));
                    }
                }
            }
            Ok(())
        }
        _ => refuse(format!(
            "{at}.tool_result.content: Input should be a valid string or list"
        )),
    }
}

fn check_thinking(at: &str, block: &Value) -> Checked<()> {
    let thinking = block["thinking"].as_str().unwrap_or_default();
    match check_signature(thinking, block["signature"].as_str().unwrap_or_default()) {
        Signature::Valid => Ok(()),
        Signature::Edited => refuse(format!(
            "{at}: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. These blocks must remain as they were in the original response."
        )),
        Signature::Foreign => refuse(format!("{at}: Invalid `signature` in `thinking` block")),
    }
}

/// A system turn follows a user turn and precedes an assistant turn or the end, never between call and result.
fn check_systems(turns: &[MergedTurn<'_>]) -> Checked<()> {
    for (index, turn) in turns
        .iter()
        .enumerate()
        .filter(|(_, turn)| turn.role == "system")
    {
        let after_user = index > 0 && turns[index - 1].role == "user";
        let before_assistant = turns
            .get(index + 1)
            .is_none_or(|next| next.role == "assistant");
        if !after_user || !before_assistant {
            return refuse(format!(
                "messages.{}: `system` messages must follow a `user` message and precede an `assistant` message",
                turn.last
            ));
        }
    }
    Ok(())
}

fn ids<'a>(turn: &MergedTurn<'a>, kind: &str, field: &str) -> Vec<&'a str> {
    turn.blocks
        .iter()
        .filter(|block| block["type"] == kind)
        .filter_map(|block| block[field].as_str())
        .collect()
}

fn check_tool_order(turns: &[MergedTurn<'_>]) -> Checked<()> {
    let mut seen: Vec<&str> = Vec::new();
    let mut waiting: Vec<&str> = Vec::new();
    for turn in turns {
        let results = ids(turn, "tool_result", "tool_use_id");
        if let Some(orphan) = results.iter().find(|id| !waiting.contains(id)) {
            return refuse(format!(
                "messages.{}: unexpected `tool_use_id` found in `tool_result` blocks: {orphan}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
                turn.last
            ));
        }
        let missing: Vec<&str> = waiting
            .iter()
            .copied()
            .filter(|id| !results.contains(id))
            .collect();
        let is_first = turn
            .blocks
            .iter()
            .take(results.len())
            .all(|block| block["type"] == "tool_result");
        if !missing.is_empty() || !is_first {
            let names = if missing.is_empty() { results } else { missing };
            return refuse(format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                turn.last.saturating_sub(1),
                names.join(", ")
            ));
        }
        if results
            .iter()
            .enumerate()
            .any(|(index, id)| results[..index].contains(id))
        {
            return refuse(format!(
                "messages.{}: each tool_use must have a single result",
                turn.last
            ));
        }
        waiting = if turn.role == "assistant" {
            ids(turn, "tool_use", "id")
        } else {
            Vec::new()
        };
        if let Some(repeated) = waiting
            .iter()
            .enumerate()
            .find(|(index, id)| seen.contains(id) || waiting[..*index].contains(id))
        {
            return refuse(format!(
                "messages.{}: `tool_use` ids must be unique: {}",
                turn.last, repeated.1
            ));
        }
        seen.extend(&waiting);
    }
    match (turns.last(), waiting.is_empty()) {
        (Some(turn), false) => refuse(format!(
            "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
            turn.last,
            waiting.join(", ")
        )),
        (Some(turn), true)
            if turn.role == "assistant"
                && turn
                    .texts
                    .last()
                    .is_some_and(|text| text.ends_with(char::is_whitespace)) =>
        {
            refuse("messages: final assistant content cannot end with trailing whitespace")
        }
        _ => Ok(()),
    }
}

/// Manual thinking: the assistant turn that made the pending calls begins with its thinking.
fn check_thinking_first(turns: &[MergedTurn<'_>]) -> Checked<()> {
    let [.., assistant, user] = turns else {
        return Ok(());
    };
    let answers_calls = user
        .blocks
        .iter()
        .any(|block| block["type"] == "tool_result");
    let first = assistant
        .blocks
        .first()
        .map(|block| block["type"].as_str().unwrap_or_default());
    match first {
        Some(kind) if answers_calls && !matches!(kind, "thinking" | "redacted_thinking") => {
            refuse(format!(
                "messages.{}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block.",
                assistant.last
            ))
        }
        _ => Ok(()),
    }
}
