//! `messages` rewritten for servers with other habits: roles, the place of system messages, the form of tool
//! call ids. Only the values concerned are replaced; every other byte stays as the caller wrote it.

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use memchr::memmem::Finder;

use super::patch::quoted;
use crate::{
    Loss, LossKind, Mark, Marks, Quirks, ids,
    json::{Json, List, Shape},
};

static DEVELOPER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"developer\""));
static SYSTEM: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"system\""));

/// The text of `messages` as the server wants it; `None` when it is right as it is.
pub(super) fn rewrite(
    messages: Json<'_>,
    marks: Marks,
    quirks: &Quirks,
    losses: &mut Vec<Loss>,
) -> Option<String> {
    let needs_roles = !quirks.developer_role && holds(messages, &DEVELOPER);
    let needs_ids = quirks.tool_id_length.is_some();
    let may_prefix = marks.has(Mark::Mistral) && !quirks.message_prefix;
    let plain = (may_prefix && messages.items().any(says_what_mistral_says))
        .then(|| without_mistrals(messages, losses));
    let messages = plain.as_deref().map_or(messages, Json::new);
    let mut text = Cow::Borrowed(messages.text());
    if needs_roles || needs_ids {
        let edits = edits(messages, quirks);
        if !edits.is_empty() {
            text = Cow::Owned(splice(messages.text(), &edits));
        }
    }
    if !quirks.mid_conversation_system
        && may_have_late_system(Json::new(&text))
        && let Some(moved) = hoist(Json::new(&text), losses)
    {
        text = Cow::Owned(moved);
    }
    match text {
        Cow::Borrowed(_) => plain,
        Cow::Owned(text) => Some(text),
    }
}

/// Whether a message has a field that only Mistral's clients write.
fn says_what_mistral_says(message: Json<'_>) -> bool {
    let is_theirs = mistrals(message);
    message.fields().any(|(name, _)| is_theirs(name))
}

/// The fields of this message that are theirs: `prefix` of an answer, and `name` of a tool's result. The role is looked
/// for once, however often a message has a name.
fn mistrals(message: Json<'_>) -> impl Fn(&str) -> bool + use<> {
    let is_result = message.field("role").map(Json::text) == Some("\"tool\"");
    move |field| field == "prefix" || (is_result && field == "name")
}

/// The messages without those fields, which other servers refuse. A result is known by its call's id, and a
/// `prefix` that is `false` says nothing; `true` asks that the answer continue the message, which they do not
/// promise.
fn without_mistrals(messages: Json<'_>, losses: &mut Vec<Loss>) -> String {
    let mut out = Vec::with_capacity(messages.text().len());
    {
        let mut list = List::new(&mut out);
        for (i, message) in messages.items().enumerate() {
            if !says_what_mistral_says(message) {
                list.raw(message.text());
                continue;
            }
            if message.field("prefix").and_then(Json::as_bool) == Some(true) {
                losses.push(Loss {
                    field: format!("messages[{i}].prefix"),
                    kind: LossKind::Dropped,
                    reason: "The server does not promise to continue a message.".to_owned(),
                });
            }
            let (mut object, is_theirs) = (list.object(), mistrals(message));
            for (name, value) in message.fields().filter(|(name, _)| !is_theirs(name)) {
                object.raw(name, value.text());
            }
        }
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Whether a text occurs anywhere: much quicker to find out than to walk the messages, and mostly it does not.
fn holds(messages: Json<'_>, word: &Finder<'_>) -> bool {
    word.find(messages.text().as_bytes()).is_some()
}

/// `false` when no message but the first can be a system message.
fn may_have_late_system(messages: Json<'_>) -> bool {
    let first = messages.items().next().map_or(0, |first| {
        first.text().as_ptr() as usize - messages.text().as_ptr() as usize + first.text().len()
    });
    let rest = Json::new(messages.text().get(first..).unwrap_or(""));
    holds(rest, &SYSTEM) || holds(rest, &DEVELOPER)
}

fn edits(messages: Json<'_>, quirks: &Quirks) -> Vec<(Range<usize>, String)> {
    let mut edits = Vec::new();
    let place = |value: Json<'_>| {
        let start = value.text().as_ptr() as usize - messages.text().as_ptr() as usize;
        start..start + value.text().len()
    };
    let shorten = |value: Json<'_>, length: usize, edits: &mut Vec<_>| {
        let Some(id) = value.as_str() else { return };
        if let Cow::Owned(short) = ids::call_id_of_length(&id, length) {
            edits.push((place(value), quoted(&short)));
        }
    };
    for message in messages.items() {
        for (key, value) in message.fields() {
            match (key, quirks.tool_id_length) {
                ("role", _) if !quirks.developer_role && value.text() == "\"developer\"" => {
                    edits.push((place(value), "\"system\"".to_owned()));
                }
                ("tool_call_id", Some(length)) => shorten(value, length, &mut edits),
                ("tool_calls", Some(length)) => {
                    let ids = value.items().filter_map(|call| call.field("id"));
                    ids.for_each(|id| shorten(id, length, &mut edits));
                }
                _ => {}
            }
        }
    }
    edits
}

/// Replaces ranges, which are in order and apart.
fn splice(text: &str, edits: &[(Range<usize>, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (range, new) in edits {
        out.push_str(&text[end..range.start]);
        out.push_str(new);
        end = range.end;
    }
    out.push_str(&text[end..]);
    out
}

/// Joins every system message into one at the start; `None` when there is nothing to move.
fn hoist(messages: Json<'_>, losses: &mut Vec<Loss>) -> Option<String> {
    let is_system = |message: &Json<'_>| {
        let role = message.field("role").map(Json::text);
        matches!(role, Some("\"system\"" | "\"developer\""))
    };
    let late: Vec<usize> = messages
        .items()
        .enumerate()
        .skip(1)
        .filter(|(_, message)| is_system(message))
        .map(|(i, _)| i)
        .collect();
    if late.is_empty() {
        return None;
    }
    let texts: Vec<String> = messages
        .items()
        .filter(is_system)
        .map(system_text)
        .collect();
    let mut out = format!(
        "[{{\"role\":\"system\",\"content\":{}}}",
        quoted(&texts.join("\n"))
    );
    for message in messages.items().filter(|message| !is_system(message)) {
        out.push(',');
        out.push_str(message.text());
    }
    out.push(']');
    losses.extend(late.into_iter().map(|i| Loss {
        field: format!("messages[{i}]"),
        kind: LossKind::Changed,
        reason:
            "The server takes system messages only at the start, so it was moved there.".to_owned(),
    }));
    Some(out)
}

fn system_text(message: Json<'_>) -> String {
    let Some(content) = message.field("content") else {
        return String::new();
    };
    if content.shape() == Shape::String {
        return content.as_str().unwrap_or_default().into_owned();
    }
    let texts: Vec<String> = content
        .items()
        .filter_map(|part| part.field("text")?.as_str().map(Cow::into_owned))
        .collect();
    texts.join("\n")
}
