//! However a reply is cut, it means the same, and without tags and calls it is its own text. The first byte says how it is
//! read, the second how long the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_engine::{CallFormat, ReplyEvent, ReplyFormat, ReplyParser, Thinking, ThinkingTags};

fuzz_target!(|data: &[u8]| {
    let Some(([how, step], reply)) = data.split_first_chunk() else { return };
    let Ok(reply) = std::str::from_utf8(reply) else { return };
    let format = format(*how);
    let whole = parse(format, [reply]);
    let characters: Vec<char> = reply.chars().collect();
    let pieces = characters.chunks(usize::from(*step).max(1));
    let pieces: Vec<String> = pieces.map(|piece| piece.iter().collect()).collect();
    assert_eq!(whole, parse(format, pieces.iter().map(String::as_str)));
    let is_plain = !reply.contains(['<', '[', '{']) && !format.thinking.is_some_and(|thinking| thinking.is_open);
    if (is_plain || format == ReplyFormat::default()) && !reply.is_empty() {
        assert_eq!(whole, [ReplyEvent::Text(reply.to_owned())]);
    }
    for (i, event) in whole.iter().enumerate() {
        if let ReplyEvent::ToolCallStart { name } = event {
            assert!(!name.is_empty());
            let [ReplyEvent::ToolCallArguments(arguments), ReplyEvent::ToolCallEnd] = &whole[i + 1..i + 3] else {
                panic!("a call is a start, its arguments and an end: {whole:?}");
            };
            assert!(arguments.starts_with('{') && arguments.ends_with('}'), "{arguments:?}");
        }
    }
});

fn format(how: u8) -> ReplyFormat {
    let calls = [None, Some(CallFormat::Tagged), Some(CallFormat::Bare), Some(CallFormat::Mistral)];
    let tags = [None, Some(ThinkingTags::Angle), Some(ThinkingTags::Square)];
    ReplyFormat {
        calls: calls[usize::from(how % 4)],
        thinking: tags[usize::from(how / 4 % 3)].map(|tags| Thinking { tags, is_open: how / 12 % 2 == 1 }),
    }
}

/// The events, with neighbours of one kind joined: how text is cut is not promised.
fn parse<'a>(format: ReplyFormat, pieces: impl IntoIterator<Item = &'a str>) -> Vec<ReplyEvent> {
    let mut parser = ReplyParser::new(format);
    let mut events = Vec::new();
    for piece in pieces {
        parser.push(piece, &mut events);
    }
    parser.finish(&mut events);
    let mut joined: Vec<ReplyEvent> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(ReplyEvent::Text(all)), ReplyEvent::Text(more))
            | (Some(ReplyEvent::Reasoning(all)), ReplyEvent::Reasoning(more)) => all.push_str(&more),
            (_, event) => joined.push(event),
        }
    }
    joined
}
