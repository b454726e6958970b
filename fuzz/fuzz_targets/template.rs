//! Any chat template over any conversation: a text, or an error that says what is wrong. It ends, in time and memory
//! (libFuzzer's limits say so).
//!
//! The source of the template comes first, then contents of messages, names, arguments: with 0xff between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_engine::{Conversation, ErrorKind, Role, Tool, ToolCall, Turn, fuzzing::render};

fuzz_target!(|data: &[u8]| {
    let mut parts = data.split(|byte| *byte == 0xff).map(|part| String::from_utf8_lossy(part).into_owned());
    let source = parts.next().unwrap_or_default();
    if let Err(error) = render(&source, &conversation(parts)) {
        let is_named = matches!(error.kind, ErrorKind::InvalidParameter { .. } | ErrorKind::UnsupportedModel);
        assert!(is_named && !error.message.is_empty(), "{error:?}");
    }
});

/// The first byte of a part says what it is.
fn conversation(parts: impl Iterator<Item = String>) -> Conversation {
    let mut conversation = Conversation::default();
    conversation.turns.push(Turn::new(Role::User, "Hi <|im_end|>".to_owned()));
    for part in parts {
        let mut text = part.chars();
        let first = text.next();
        let text = text.as_str().to_owned();
        let last = conversation.turns.len() - 1;
        let turn = &mut conversation.turns[last];
        match first {
            Some('u') => conversation.turns.push(Turn::new(Role::User, text)),
            Some('s') => conversation.turns.push(Turn::new(Role::System, text)),
            Some('a') => conversation.turns.push(Turn::new(Role::Assistant, text)),
            Some('t') => conversation.turns.push(Turn::new(Role::Tool, text)),
            Some('p') => turn.content.push(text),
            Some('r') => turn.reasoning = Some(text),
            Some('n') => turn.name = Some(text),
            Some('i') => turn.call_id = Some(text),
            Some('c') => turn.calls.push(ToolCall { id: "1".to_owned(), name: "f".to_owned(), arguments: text }),
            Some('f') => conversation.tools.push(Tool {
                name: "f".to_owned(),
                description: Some(text.clone()),
                parameters: Some(text).filter(|text| text.starts_with('{')),
            }),
            Some('k') => conversation.arguments.push(("custom".to_owned(), text)),
            Some('e') => conversation.thinking = Some(text.is_empty()),
            _ => {}
        }
    }
    conversation
}
