use proptest::prelude::*;

use super::*;

const NONE: ReplyFormat = ReplyFormat {
    calls: None,
    thinking: None,
};

fn calls(format: CallFormat) -> ReplyFormat {
    ReplyFormat {
        calls: Some(format),
        thinking: None,
    }
}

fn thinking(is_open: bool, calls: Option<CallFormat>) -> ReplyFormat {
    let tags = ThinkingTags::Angle;
    ReplyFormat {
        calls,
        thinking: Some(Thinking { tags, is_open }),
    }
}

/// The events with neighbours of one kind joined: how text is cut is not promised.
fn parse<'a>(format: ReplyFormat, pieces: impl Iterator<Item = &'a str>) -> Vec<ReplyEvent> {
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
            | (Some(ReplyEvent::Reasoning(all)), ReplyEvent::Reasoning(more)) => {
                all.push_str(&more);
            }
            (_, event) => joined.push(event),
        }
    }
    joined
}

/// Reads the whole, and every character alone.
fn read(format: ReplyFormat, reply: &str) -> Vec<ReplyEvent> {
    let whole = parse(format, std::iter::once(reply));
    let characters = parse(format, reply.split_inclusive(|_| true));
    assert_eq!(whole, characters, "{reply:?}");
    whole
}

fn text(text: &str) -> Vec<ReplyEvent> {
    vec![ReplyEvent::Text(text.to_owned())]
}

fn thought(text: &str) -> Vec<ReplyEvent> {
    vec![ReplyEvent::Reasoning(text.to_owned())]
}

fn call(name: &str, arguments: &str) -> Vec<ReplyEvent> {
    vec![
        ReplyEvent::ToolCallStart {
            name: name.to_owned(),
        },
        ReplyEvent::ToolCallArguments(arguments.to_owned()),
        ReplyEvent::ToolCallEnd,
    ]
}

fn check(format: ReplyFormat, reply: &str, expect: &[Vec<ReplyEvent>]) {
    assert_eq!(read(format, reply), expect.concat(), "{reply:?}");
}

#[test]
fn tagged_calls_are_read() {
    let check = |reply: &str, expect: &[Vec<ReplyEvent>]| {
        check(calls(CallFormat::Tagged), reply, expect);
    };
    check(
        "I look.\n<tool_call>\n{\"name\": \"w\", \"arguments\": {\"a\": [1, \"}</tool_call>\"]}}\n</tool_call>",
        &[
            text("I look.\n"),
            call("w", r#"{"a": [1, "}</tool_call>"]}"#),
        ],
    );
    check(
        "<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"b\"}</tool_call>\n done",
        &[call("a", "{}"), call("b", "{}"), text("done")],
    );
    // Arguments as a JSON text, and a reply that ends before the closing tag.
    check(
        r#"<tool_call>{"name":"a","arguments":"{\"x\": 1}"}</tool"#,
        &[call("a", "{\"x\": 1}")],
    );
    check("a < b <tool> <tool_cal", &[text("a < b <tool> <tool_cal")]);
}

#[test]
fn bare_calls_are_read_where_a_reply_begins() {
    let check = |reply: &str, expect: &[Vec<ReplyEvent>]| {
        check(calls(CallFormat::Bare), reply, expect);
    };
    let json = r#"{"name": "w", "parameters": {"q": "x;{"}}"#;
    let expect = || call("w", r#"{"q": "x;{"}"#);
    check(json, &[expect()]);
    check(&format!(" <|python_tag|>{json}"), &[expect()]);
    check(
        &format!("{json}; {json}\n{json};\n"),
        &[expect(), expect(), expect()],
    );
    check(&format!("{json} and so"), &[expect(), text("and so")]);
    check(&format!("So: {json}"), &[text(&format!("So: {json}"))]);
    check(
        r#"{"name": "Ada", "age": 36}"#,
        &[text(r#"{"name": "Ada", "age": 36}"#)],
    );
    check("<|python_tag|>print(1)", &[text("<|python_tag|>print(1)")]);
    check(&format!("{json}; {{no"), &[expect(), text("; {no")]);
}

#[test]
fn calls_of_mistral_are_read() {
    let check = |reply: &str, expect: &[Vec<ReplyEvent>]| {
        check(calls(CallFormat::Mistral), reply, expect);
    };
    check(
        r#"[TOOL_CALLS][{"name": "a", "arguments": {"x": []}}, {"name": "b", "arguments": {}, "id": "123456789"}]"#,
        &[call("a", r#"{"x": []}"#), call("b", "{}")],
    );
    check(
        r#"Hm.[TOOL_CALLS]a[ARGS]{"x": 1}[TOOL_CALLS]b_c[CALL_ID]12ab[ARGS] {}"#,
        &[text("Hm."), call("a", r#"{"x": 1}"#), call("b_c", "{}")],
    );
    check(r#"[TOOL_CALLS]a{"x": 1}"#, &[call("a", r#"{"x": 1}"#)]);
    check("[TOOL_CALLS] of this", &[text("[TOOL_CALLS] of this")]);
    check("[TOOL_CALLS][1, 2]", &[text("[TOOL_CALLS][1, 2]")]);
    check("[TOOL_CALLS][]", &[text("[TOOL_CALLS][]")]);
}

#[test]
fn reasoning_is_told_apart() {
    let tagged = Some(CallFormat::Tagged);
    check(
        thinking(false, None),
        "<think>\nso, \n<b>\n</think>\n\nYes.",
        &[thought("so, \n<b>"), text("Yes.")],
    );
    check(
        thinking(true, None),
        "so\n</think>\nYes.",
        &[thought("so"), text("Yes.")],
    );
    check(
        thinking(true, None),
        "<think>so</think>Yes",
        &[thought("so"), text("Yes")],
    );
    check(
        thinking(true, None),
        "it ends before </th",
        &[thought("it ends before </th")],
    );
    check(
        thinking(false, None),
        "<think>\n\n</think>\n\nYes",
        &[text("Yes")],
    );
    // Later, the tag is something that the model speaks of.
    check(
        thinking(false, None),
        "Use <think> and </think>.",
        &[text("Use <think> and </think>.")],
    );
    check(
        thinking(false, tagged),
        "<think>a <tool_call>\n</think>\n\n<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>",
        &[thought("a <tool_call>"), call("a", "{}")],
    );
    check(
        thinking(true, Some(CallFormat::Bare)),
        "a</think>\n{\"name\":\"a\",\"parameters\":{}}",
        &[thought("a"), call("a", "{}")],
    );
    check(NONE, "<think>a</think>", &[text("<think>a</think>")]);
}

#[test]
fn what_is_no_call_is_text() {
    for reply in [
        "<tool_call>\n not json </tool_call>",
        "<tool_call>{\"name\": \"a\"",
        "<tool_call>{\"name\": 5, \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"a\", \"arguments\": [1]}</tool_call>",
        "<tool_call>{\"name\": \"a\"} and </tool_call>",
        "<tool_call>{\"name\": \"a\", \"arguments\": {]}</tool_call>",
        "<tool_call><tool_call></tool_call>",
        "<tool_call>",
        "<tool_call>  ",
    ] {
        check(calls(CallFormat::Tagged), reply, &[text(reply)]);
    }
    let reply = "<tool_call>oh <tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>";
    check(
        calls(CallFormat::Tagged),
        reply,
        &[text("<tool_call>oh "), call("a", "{}")],
    );
}

#[test]
fn a_template_tells_the_format() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/templates");
    let of = |name: &str, prompt: &str| {
        let template = std::fs::read_to_string(format!("{folder}/{name}.jinja")).unwrap();
        ReplyFormat::of(&template, prompt, true)
    };
    assert_eq!(of("chatml", ""), NONE);
    assert_eq!(of("gemma", ""), NONE);
    assert_eq!(of("qwen-tools", ""), calls(CallFormat::Tagged));
    assert_eq!(of("hermes", ""), calls(CallFormat::Tagged));
    assert_eq!(of("llama-tools", ""), calls(CallFormat::Bare));
    assert_eq!(of("mistral-tools", ""), calls(CallFormat::Mistral));
    let tagged = Some(CallFormat::Tagged);
    assert_eq!(of("qwen-thinking", "assistant\n"), thinking(false, tagged));
    assert_eq!(
        of("qwen-thinking", "assistant\n<think>\n"),
        thinking(true, tagged)
    );
    assert_eq!(
        ReplyFormat::of("<tool_call> </think>", "<think>\n\n</think>\n\n", false),
        thinking(false, None)
    );
}

#[test]
fn a_long_hostile_reply_takes_no_long_time() {
    for unit in [
        "; ",
        "<tool_call>{",
        "<tool_call>{\"a",
        "<tool_call>{\"\": ",
        " ",
        "{",
        "[TOOL_CALLS]a[ARGS]{\"a\":",
    ] {
        let reply = unit.repeat(100_000 / unit.len());
        for format in [CallFormat::Tagged, CallFormat::Bare, CallFormat::Mistral] {
            let began = std::time::Instant::now();
            let pieces = reply
                .as_bytes()
                .chunks(4)
                .map(|piece| std::str::from_utf8(piece).unwrap());
            assert!(!parse(calls(format), pieces).is_empty());
            let elapsed = began.elapsed();
            assert!(elapsed.as_secs() < 2, "{unit:?} {format:?} {elapsed:?}");
        }
    }
}

fn formats() -> impl Strategy<Value = ReplyFormat> {
    let calls = prop::sample::select(vec![
        None,
        Some(CallFormat::Tagged),
        Some(CallFormat::Bare),
        Some(CallFormat::Mistral),
    ]);
    let tags = prop::sample::select(vec![ThinkingTags::Angle, ThinkingTags::Square]);
    let thinking = prop::option::of((tags, any::<bool>()))
        .prop_map(|thinking| thinking.map(|(tags, is_open)| Thinking { tags, is_open }));
    (calls, thinking).prop_map(|(calls, thinking)| ReplyFormat { calls, thinking })
}

fn replies(closing: bool) -> impl Strategy<Value = String> {
    // Longer than the white space that belongs to a tag.
    const SPACE: &str = "                                                                                          ";
    let mut parts = vec![
        SPACE,
        "<tool_call>",
        "</tool_call>",
        "[TOOL_CALLS]",
        "[ARGS]",
        "[CALL_ID]",
        "<|python_tag|>",
        "<think>",
        "</think>",
        "[THINK]",
        "[/THINK]",
        "{",
        "\"name\":",
        "\"a\"",
        "name",
        ",",
        "[",
        "]",
        "\"arguments\":{",
        "\"parameters\":{",
        "\\",
        "\"",
        " ",
        "\n",
        ";",
        "<",
        "</t",
        "é🙂",
        "text",
        "1",
    ];
    if closing {
        parts.extend([
            "}",
            "<tool_call>{\"name\":\"c\",\"arguments\":{}}</tool_call>",
            "{\"name\":\"a\",\"arguments\":{\"x\":\"é\"}}",
            "{\"name\":\"b\",\"parameters\":{}}",
            "[{\"name\":\"a\",\"arguments\":{}}]",
        ]);
    }
    prop::collection::vec(prop::sample::select(parts), 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_split_gives_the_same_events(
        format in formats(),
        reply in replies(true),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let whole = read(format, &reply);
        let mut borders: Vec<usize> = reply.char_indices().map(|(at, _)| at).collect();
        borders.push(reply.len());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.get(&borders)).collect();
        cuts.extend([0, reply.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &reply[pair[0]..pair[1]]);
        prop_assert_eq!(parse(format, pieces), whole);
    }

    /// Without a closing brace nothing is a call, and without tags of reasoning every character is text.
    #[test]
    fn nothing_is_lost(format in formats(), reply in replies(false)) {
        let format = ReplyFormat { thinking: None, ..format };
        let expect = if reply.is_empty() { Vec::new() } else { text(&reply) };
        prop_assert_eq!(read(format, &reply), expect);
    }
}
