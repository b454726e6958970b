//! What of a request is counted: the same conversation gives the same texts in every dialect, and media are
//! known by their size and never counted as text.
#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

use std::borrow::Cow;

use bytes::Bytes;
use tollgate_dialect::{
    Countable, Dialect, ImageSource, RawObject, countable, input_bound,
    ir::{BlockStart, Delta, Event},
};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB";

fn raw(text: &str) -> RawObject {
    RawObject::parse(Bytes::from(text.to_owned())).unwrap()
}

/// All the texts in order.
fn texts(counted: &Countable<'_>) -> Vec<String> {
    let messages = counted.messages.iter().flat_map(|message| &message.texts);
    let all = counted.texts.iter().chain(messages);
    all.map(|text| text.clone().into_owned()).collect()
}

#[test]
fn every_dialect_gives_the_same_conversation() {
    let cases = [
        (
            Dialect::OpenAiChat,
            format!(
                r#"{{"model":"m","messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":[{{"type":"text","text":"What\nis it?"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{PNG}","detail":"low"}}}}]}}],"tools":[{{"type":"function","function":{{"name":"f","description":"d","parameters":{{"a":1}}}}}}]}}"#
            ),
        ),
        (
            Dialect::OpenAiResponses,
            format!(
                r#"{{"model":"m","instructions":"Be brief.","input":[{{"role":"user","content":[{{"type":"input_text","text":"What\nis it?"}},{{"type":"input_image","image_url":"data:image/png;base64,{PNG}","detail":"low"}}]}}],"tools":[{{"type":"function","name":"f","description":"d","parameters":{{"a":1}}}}]}}"#
            ),
        ),
        (
            Dialect::AnthropicMessages,
            format!(
                r#"{{"model":"m","max_tokens":1,"system":[{{"type":"text","text":"Be brief.","cache_control":{{"type":"ephemeral"}}}}],"messages":[{{"role":"user","content":[{{"type":"text","text":"What\nis it?"}},{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{PNG}"}}}}]}}],"tools":[{{"name":"f","description":"d","input_schema":{{"a":1}}}}]}}"#
            ),
        ),
        (
            Dialect::GeminiGenerate,
            format!(
                r#"{{"system_instruction":{{"parts":[{{"text":"Be brief."}}]}},"contents":[{{"role":"user","parts":[{{"text":"What\nis it?"}},{{"inlineData":{{"mimeType":"image/png","data":"{PNG}"}}}}]}}],"tools":[{{"functionDeclarations":[{{"name":"f","description":"d","parameters":{{"a":1}}}}]}}]}}"#
            ),
        ),
    ];
    for (dialect, text) in cases {
        let raw = raw(&text);
        let counted = countable(dialect, &raw).unwrap();
        assert_eq!(
            texts(&counted),
            ["Be brief.", "What\nis it?"],
            "{dialect:?}"
        );
        let [tool] = counted.tools.as_slice() else {
            panic!("{dialect:?}: {counted:?}");
        };
        assert_eq!((&*tool.name, tool.description.as_deref()), ("f", Some("d")));
        assert_eq!(tool.parameters, Some(r#"{"a":1}"#));
        let [image] = counted.images.as_slice() else {
            panic!("{dialect:?}: {counted:?}");
        };
        match &image.source {
            ImageSource::Bytes(bytes) => assert!(bytes.starts_with(b"\x89PNG"), "{dialect:?}"),
            ImageSource::Elsewhere(url) => panic!("{dialect:?}: {url}"),
        }
        assert!(
            counted.text_bytes() >= 20 && counted.text_bytes() < 60,
            "{dialect:?}"
        );
        assert!(input_bound(dialect, &raw).unwrap() > counted.text_bytes());
    }
}

#[test]
fn calls_and_their_results_are_text() {
    let cases = [
        (
            Dialect::OpenAiChat,
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"done"}]}"#,
        ),
        (
            Dialect::OpenAiResponses,
            r#"{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"done"}]}"#,
        ),
        (
            Dialect::AnthropicMessages,
            r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"done"}]}]}"#,
        ),
    ];
    for (dialect, text) in cases {
        let raw = raw(text);
        assert_eq!(
            texts(&countable(dialect, &raw).unwrap()),
            ["f", "{}", "done"],
            "{dialect:?}"
        );
    }
}

#[test]
fn prompts_and_inputs_are_texts_or_tokens() {
    let of = |dialect, text: &str| {
        let raw = raw(text);
        let counted = countable(dialect, &raw).unwrap();
        (texts(&counted).concat(), counted.tokens)
    };
    let completion = Dialect::OpenAiCompletions;
    assert_eq!(of(completion, r#"{"prompt":"ab"}"#), ("ab".to_owned(), 0));
    assert_eq!(
        of(completion, r#"{"prompt":["a","b"]}"#),
        ("ab".to_owned(), 0)
    );
    assert_eq!(of(completion, r#"{"prompt":[1,2,3]}"#), (String::new(), 3));
    assert_eq!(
        of(Dialect::OpenAiEmbeddings, r#"{"input":[[1],[2,3]]}"#),
        (String::new(), 3)
    );
    let embed = r#"{"content":{"parts":[{"text":"ab"}]}}"#;
    assert_eq!(of(Dialect::GeminiEmbed, embed), ("ab".to_owned(), 0));
}

#[test]
fn media_are_no_text_and_a_large_image_is_read_in_part() {
    let data = "AAAA".repeat(100_000);
    let text = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}},{{"type":"image_url","image_url":{{"url":"https://a/b.png"}}}},{{"type":"file","file":{{"file_data":"data:application/pdf;base64,{data}","filename":"a.pdf"}}}},{{"type":"input_audio","input_audio":{{"data":"{data}","format":"wav"}}}}]}}]}}"#
    );
    let raw = raw(&text);
    let counted = countable(Dialect::OpenAiChat, &raw).unwrap();
    assert!(texts(&counted).is_empty(), "{:?}", texts(&counted));
    let sizes: Vec<_> = counted
        .media
        .iter()
        .map(|it| (it.is_audio, it.bytes))
        .collect();
    assert_eq!(sizes, [(false, Some(300_000)), (true, Some(300_000))]);
    match &counted.images[0].source {
        ImageSource::Bytes(bytes) => assert!(bytes.len() > 65_000 && bytes.len() <= 65_536),
        ImageSource::Elsewhere(url) => panic!("{url}"),
    }
    let far = ImageSource::Elsewhere(Cow::Borrowed("https://a/b.png"));
    assert_eq!(counted.images[1].source, far);
    let bound = input_bound(Dialect::OpenAiChat, &raw).unwrap();
    assert!((40_000..41_000).contains(&bound), "{bound}");
}

#[test]
fn text_under_the_name_of_media_is_bounded_as_text() {
    let long = "abcd".repeat(50_000);
    let text = format!(
        r#"{{"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"c","name":"f","input":{{"data":"{long}"}}}}]}}]}}"#
    );
    assert!(input_bound(Dialect::AnthropicMessages, &raw(&text)).unwrap() > 200_000);
    let text = format!(
        r#"{{"contents":[{{"parts":[{{"inlineData":{{"mimeType":"text/plain","data":"{long}"}}}}]}}]}}"#
    );
    let raw = raw(&text);
    let counted = countable(Dialect::GeminiGenerate, &raw).unwrap();
    assert!(counted.text_bytes() >= 150_000 && counted.media.is_empty());
    let plain = r#"{"messages":[{"role":"user","content":"x"}]}"#;
    let bound = input_bound(Dialect::OpenAiChat, &self::raw(plain)).unwrap();
    assert_eq!(bound, plain.len() as u64);
}

#[test]
#[ignore = "a measurement, not a promise"]
fn how_long_counting_takes() {
    let turn = r#"{"role":"user","content":"a word, \"quoted\", and some more words of it"},"#;
    let text = format!(
        r#"{{"model":"m","messages":[{}{{"role":"user","content":"x"}}]}}"#,
        turn.repeat(5_000)
    );
    let raw = raw(&text);
    let time = |what: &str, run: &dyn Fn()| {
        let start = std::time::Instant::now();
        (0..5).for_each(|_| run());
        println!("{what}: {:?} for {} bytes", start.elapsed() / 5, text.len());
    };
    time("bound", &|| drop(input_bound(Dialect::OpenAiChat, &raw)));
    time("countable", &|| drop(countable(Dialect::OpenAiChat, &raw)));
    time("parse", &|| {
        drop(tollgate_dialect::parse_request(Dialect::OpenAiChat, &raw));
    });
}

#[test]
fn all_that_a_model_says_is_billed() {
    let delta = |delta| Event::Delta { index: 0, delta };
    let call = BlockStart::ToolCall {
        id: "c".to_owned(),
        name: "f".to_owned(),
    };
    let cases = [
        (delta(Delta::Text("a".to_owned())), Some("a")),
        (delta(Delta::Reasoning("b".to_owned())), Some("b")),
        (delta(Delta::Arguments("c".to_owned())), Some("c")),
        (delta(Delta::Refusal("d".to_owned())), Some("d")),
        (
            Event::BlockStart {
                index: 0,
                block: call,
            },
            Some("f"),
        ),
        (Event::Ping, None),
    ];
    for (event, text) in cases {
        assert_eq!(event.billed_text(), text, "{event:?}");
    }
}
