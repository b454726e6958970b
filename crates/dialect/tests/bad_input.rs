//! Bodies that must not be passed on, row by row of the bad-input catalogue.

use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;
use tollgate_dialect::{
    Dialect, ModelTraits, Quirks, RawObject, Target, parse_error, parse_request, parse_response,
    patch_request, read_head, read_reply, render_request,
};

fn raw(text: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(text.as_bytes()))
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn code_of_body(text: &[u8]) -> String {
    match RawObject::parse(Bytes::copy_from_slice(text)) {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

/// The code and the field of the error of a chat request with these fields beside a model and a message.
fn chat(fields: &str) -> String {
    head(
        Dialect::OpenAiChat,
        &format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{fields}}}"#),
    )
}

fn head(dialect: Dialect, text: &str) -> String {
    match read_head(dialect, &raw(text)) {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            assert!(error.message().len() < 300, "{error}");
            format!("{} {}", error.code(), error.param().unwrap_or("-"))
        }
    }
}

#[test]
fn j01_what_is_no_object_is_refused() {
    assert_eq!(code_of_body(b""), "invalid_json");
    for text in ["null", "[]", "\"x\"", "1", " true "] {
        assert_eq!(code_of_body(text.as_bytes()), "invalid_value", "{text}");
    }
}

#[test]
fn j02_what_is_no_json_is_refused_with_its_place() {
    for (text, at) in [
        ("{\"a\":1", 6),
        ("{\"a\":1,}", 7),
        ("{\"a\":/**/1}", 5),
        ("{\"a\":NaN}", 5),
        ("{'a':1}", 1),
        ("{\"a\":1}{}", 7),
        ("\u{feff}{}", 0),
        ("{\"a\":01}", 5),
        ("{\"a\":1.}", 7),
        ("{\"a\":\"\n\"}", 6),
        ("{\"a\":\"\\x\"}", 6),
        ("{\"a\":[1 2]}", 8),
        ("{\"a\" 1}", 5),
        ("nul", 0),
    ] {
        let error = RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap_err();
        assert_eq!(error.code(), "invalid_json", "{text}");
        assert!(
            error.message().contains(&format!("byte {at}")),
            "{text}: {error}"
        );
    }
}

#[test]
fn j03_deep_nesting_is_refused_at_once() {
    let deep = |n: usize| format!("{{\"a\":{}1{}}}", "[".repeat(n), "]".repeat(n));
    assert!(RawObject::parse(deep(63).into()).is_ok());
    assert_eq!(code_of_body(deep(64).as_bytes()), "invalid_value");
    assert_eq!(code_of_body("[".repeat(65).as_bytes()), "invalid_value");
    assert_eq!(
        code_of_body("{\"a\":".repeat(100_000).as_bytes()),
        "invalid_value"
    );
}

#[test]
fn j04_a_field_that_occurs_twice_is_refused() {
    for text in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"max_tokens":1,"x":2,"max_tokens":1}"#,
        r#"{"model":"a","\u006dodel":"b"}"#,
    ] {
        assert_eq!(code_of_body(text.as_bytes()), "duplicate_field", "{text}");
    }
}

#[test]
fn j05_case_matters() {
    assert_eq!(
        head(Dialect::OpenAiChat, r#"{"Model":"m","messages":[]}"#),
        "missing_field model"
    );
}

#[test]
fn j06_text_that_is_no_text_is_refused() {
    assert_eq!(code_of_body(b"{\"a\":\"\xff\"}"), "invalid_encoding");
    for text in [
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\ud800\u0041"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"\ud800":1}"#,
    ] {
        assert_eq!(code_of_body(text.as_bytes()), "invalid_encoding", "{text}");
    }
    assert_eq!(
        raw(r#"{"a":"\ud83d\ude00 \u0000"}"#).get("a"),
        Some(r#""\ud83d\ude00 \u0000""#)
    );
}

#[test]
fn j07_a_model_is_a_name() {
    for value in ["5", "\"\"", "\"gpt-4\\r\\nX: y\"", "[]", "{}", "true"] {
        let text = format!(r#"{{"model":{value},"messages":[{{"role":"user","content":"x"}}]}}"#);
        assert_eq!(
            head(Dialect::OpenAiChat, &text),
            "invalid_value model",
            "{value}"
        );
    }
    let long = "x".repeat(10 * 1024);
    assert_eq!(
        head(
            Dialect::OpenAiEmbeddings,
            &format!(r#"{{"model":"{long}","input":"x"}}"#)
        ),
        "invalid_value model"
    );
    assert_eq!(
        head(Dialect::OpenAiEmbeddings, r#"{"model":null,"input":"x"}"#),
        "missing_field model"
    );
}

#[test]
fn j08_to_j11_numbers_are_in_range() {
    for value in [
        "-1",
        "0",
        "1.5",
        "\"100\"",
        "9223372036854775808",
        "true",
        "{}",
    ] {
        assert_eq!(
            chat(&format!(r#","max_tokens":{value}"#)),
            "invalid_value max_tokens",
            "{value}"
        );
    }
    assert_eq!(chat(r#","max_tokens":999999999"#), "ok");
    assert_eq!(chat(r#","max_tokens":10.0"#), "ok");
    assert_eq!(
        chat(r#","max_tokens":5,"max_completion_tokens":6"#),
        "invalid_value max_tokens"
    );
    assert_eq!(chat(r#","max_tokens":5,"max_completion_tokens":5"#), "ok");
    for n in ["0", "-1", "129", "1000000000"] {
        assert_eq!(chat(&format!(r#","n":{n}"#)), "invalid_value n");
    }
    for (field, value) in [
        ("temperature", "-1"),
        ("temperature", "3"),
        ("temperature", "\"hot\""),
        ("top_p", "2"),
    ] {
        assert_eq!(
            chat(&format!(r#","{field}":{value}"#)),
            format!("invalid_value {field}")
        );
    }
    let claude = |fields: &str| {
        head(
            Dialect::AnthropicMessages,
            &format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{fields}}}"#),
        )
    };
    assert_eq!(claude(""), "missing_field max_tokens");
    assert_eq!(claude(r#","max_tokens":-1"#), "invalid_value max_tokens");
    assert_eq!(claude(r#","max_tokens":0"#), "ok");
    assert_eq!(
        claude(r#","max_tokens":1,"temperature":1.1"#),
        "invalid_value temperature"
    );
    assert_eq!(
        claude(r#","max_tokens":1,"top_k":-1"#),
        "invalid_value top_k"
    );
}

#[test]
fn j12_a_flag_is_a_flag() {
    for value in ["\"true\"", "1", "[]"] {
        assert_eq!(
            chat(&format!(r#","stream":{value}"#)),
            "invalid_value stream"
        );
    }
    assert_eq!(chat(r#","stream":null"#), "ok");
}

#[test]
fn j13_messages_are_messages() {
    let messages = |json: &str| {
        head(
            Dialect::OpenAiChat,
            &format!(r#"{{"model":"m","messages":{json}}}"#),
        )
    };
    assert_eq!(
        head(Dialect::OpenAiChat, r#"{"model":"m"}"#),
        "missing_field messages"
    );
    assert_eq!(messages("[]"), "invalid_value messages");
    assert_eq!(messages("{}"), "invalid_value messages");
    assert_eq!(messages("[null]"), "invalid_value messages[0]");
    assert_eq!(
        messages(r#"[{"content":"x"}]"#),
        "missing_field messages[0].role"
    );
    assert_eq!(
        messages(r#"[{"role":"robot","content":"x"}]"#),
        "invalid_value messages[0].role"
    );
    assert_eq!(
        messages(r#"[{"role":"user","content":5}]"#),
        "invalid_value messages[0].content"
    );
    assert_eq!(
        messages(r#"[{"role":"user","content":[5]}]"#),
        "invalid_value messages[0].content[0]"
    );
    let many = format!(
        "[{}]",
        vec![r#"{"role":"user","content":""}"#; 5_001].join(",")
    );
    assert_eq!(messages(&many), "invalid_value messages");
    let twice = r#"[{"role":"user","content":"x","role":"system"}]"#;
    assert_eq!(messages(twice), "duplicate_field messages[0].role");
    let claude = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":null}]}"#;
    assert_eq!(
        head(Dialect::AnthropicMessages, claude),
        "invalid_value messages[0].content"
    );
}

#[test]
fn j15_to_j18_lists_have_limits() {
    assert_eq!(
        chat(&format!(r#","tools":[{}]"#, vec!["{}"; 1_025].join(","))),
        "invalid_value tools"
    );
    assert_eq!(chat(r#","tools":[1]"#), "invalid_value tools[0]");
    let schema = format!(
        r#","response_format":{{"type":"json_schema","json_schema":"{}"}}"#,
        "x".repeat(1024 * 1024)
    );
    assert_eq!(chat(&schema), "request_too_large response_format");
    assert_eq!(
        chat(r#","response_format":{"type":5}"#),
        "invalid_value response_format.type"
    );
    assert_eq!(
        chat(&format!(r#","stop":[{}]"#, vec!["\"x\""; 1_000].join(","))),
        "invalid_value stop"
    );
    assert_eq!(chat(r#","stop":"""#), "invalid_value stop");
    assert_eq!(chat(r#","stop":["a",""]"#), "invalid_value stop");
    assert_eq!(
        chat(r#","logit_bias":{"5":200}"#),
        "invalid_value logit_bias"
    );
    let biases: Vec<String> = (0..10_000).map(|i| format!("\"{i}\":1")).collect();
    assert_eq!(
        chat(&format!(r#","logit_bias":{{{}}}"#, biases.join(","))),
        "invalid_value logit_bias"
    );
}

#[test]
fn j19_to_j22_foreign_names_and_long_texts() {
    assert_eq!(chat(r#","frobnicate":1"#), "ok");
    for name in [
        "api_base",
        "base_url",
        "api_key",
        "custom_llm_provider",
        "extra_headers",
        "timeout",
        "mock_response",
        "callbacks",
    ] {
        assert_eq!(
            chat(&format!(r#","{name}":"x""#)),
            format!("unknown_field {name}")
        );
    }
    assert_eq!(chat(r#","\u0061pi_base":"x""#), "unknown_field api_base");
    assert_eq!(
        chat(r#","metadata":{"spend":"1"}"#),
        "unknown_field metadata.spend"
    );
    let pairs: Vec<String> = (0..17).map(|i| format!("\"k{i}\":\"v\"")).collect();
    assert_eq!(
        chat(&format!(r#","metadata":{{{}}}"#, pairs.join(","))),
        "invalid_value metadata"
    );
    assert_eq!(
        chat(r#","metadata":{"a":{"b":1}}"#),
        "invalid_value metadata"
    );
    assert_eq!(
        chat(r#","metadata":{"__proto__":"x","constructor":"y"}"#),
        "ok"
    );
    assert_eq!(
        chat(&format!(r#","user":"{}""#, "u".repeat(257))),
        "invalid_value user"
    );
    assert_eq!(chat(r#","seed":1.5"#), "invalid_value seed");
}

#[test]
fn j24_a_million_messages_are_refused_early() {
    let body = format!(
        r#"{{"model":"m","messages":[{}]}}"#,
        vec![r#"{"role":"user","content":""}"#; 1_000_000].join(",")
    );
    let raw = RawObject::parse(body.into()).unwrap();
    let start = Instant::now();
    assert!(read_head(Dialect::OpenAiChat, &raw).is_err());
    // Reading stops at the limit; a walk over all of them would take far longer, even unoptimised.
    assert!(start.elapsed().as_millis() < 200, "{:?}", start.elapsed());
}

#[test]
fn j25_numbers_that_readers_disagree_on_are_refused() {
    for number in ["1e400", "-1e400", "-0", &"9".repeat(400)] {
        assert_eq!(
            code_of_body(format!("{{\"a\":{number}}}").as_bytes()),
            "invalid_value",
            "{number}"
        );
    }
    for number in ["1e308", "0", "-0.0", "12345678901234567890123", "1E-400"] {
        assert!(
            RawObject::parse(format!("{{\"a\":{number}}}").into()).is_ok(),
            "{number}"
        );
    }
}

#[test]
fn j26_inputs_of_embeddings_are_of_one_kind() {
    let input = |json: &str| {
        head(
            Dialect::OpenAiEmbeddings,
            &format!(r#"{{"model":"m","input":{json}}}"#),
        )
    };
    for json in [
        "[]",
        "[\"a\",1]",
        "[-1]",
        "[1.5]",
        "{}",
        "\"\"",
        "[\"\"]",
        "[[]]",
        "[[1],[-1]]",
    ] {
        assert_eq!(input(json), "invalid_value input", "{json}");
    }
    assert_eq!(
        input(&format!("[{}]", vec!["\"x\""; 2_049].join(","))),
        "invalid_value input"
    );
    for json in ["\"a\"", "[\"a\",\"b\"]", "[1,2]", "[[1],[2]]"] {
        assert_eq!(input(json), "ok", "{json}");
    }
}

#[test]
fn j31_stream_options_belong_to_streams() {
    assert_eq!(
        chat(r#","stream":true,"stream_options":{"include_usage":"yes"}"#),
        "invalid_value stream_options.include_usage"
    );
    assert_eq!(
        chat(r#","stream_options":{"include_usage":true}"#),
        "invalid_value stream_options"
    );
    assert_eq!(
        chat(r#","stream":true,"stream_options":{"include_usage":true}"#),
        "ok"
    );
}

/// JSON values of a few levels, as text.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[1-9][0-9]{0,20}",
        "[0-9]\\.[0-9]{1,3}",
        "\"[a-z \\\\\"]{0,0}[a-zé🌍 ]{0,8}\"",
        Just(r#""\u00e9\n\ud83d\ude00""#.to_owned()),
    ];
    let key = prop_oneof![
        Just("role"),
        Just("content"),
        Just("type"),
        Just("text"),
        Just("tool_calls"),
        Just("function"),
        Just("name"),
        Just("arguments"),
        Just("source"),
        Just("input"),
        Just("id"),
        Just("x"),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec((key.clone(), inner), 0..4).prop_map(|fields| {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(key, value)| format!("\"{key}\" : {value}"))
                    .collect();
                format!("{{ {} }}", fields.join(","))
            }),
        ]
    })
}

const FIELDS: [&str; 24] = [
    "model",
    "messages",
    "system",
    "max_tokens",
    "temperature",
    "tools",
    "tool_choice",
    "stream",
    "stop",
    "response_format",
    "metadata",
    "thinking",
    "output_config",
    "prompt",
    "input",
    "user",
    "n",
    "reasoning_effort",
    "stop_sequences",
    "instructions",
    "text",
    "reasoning",
    "include",
    "extra",
];

proptest! {
    #[test]
    fn any_json_makes_nothing_panic(
        values in proptest::collection::vec((0..FIELDS.len(), json()), 0..6),
        is_sound in any::<bool>(),
    ) {
        let mut fields: Vec<String> = Vec::new();
        let mut used = Vec::new();
        if is_sound {
            fields.push(r#""model":"m","max_tokens":9,"prompt":"p","input":"x","messages":[{"role":"user","content":"x"}]"#.to_owned());
            used.extend(["model", "max_tokens", "prompt", "input", "messages"]);
        }
        for (i, value) in &values {
            if !used.contains(&FIELDS[*i]) {
                used.push(FIELDS[*i]);
                fields.push(format!("\"{}\": {value}", FIELDS[*i]));
            }
        }
        let raw = raw(&format!("{{{}}}", fields.join(",\n ")));
        let (traits, quirks) = (ModelTraits::default(), Quirks::default());
        let target = Target { model: "t", traits: &traits, quirks: &quirks, max_output: None };
        for dialect in [Dialect::OpenAiChat, Dialect::OpenAiCompletions, Dialect::OpenAiEmbeddings, Dialect::OpenAiResponses, Dialect::AnthropicMessages, Dialect::GeminiGenerate, Dialect::GeminiEmbed] {
            if read_head(dialect, &raw).is_err() {
                continue;
            }
            let patched = patch_request(dialect, &raw, target).unwrap();
            RawObject::parse(patched.body).unwrap();
            let Ok(request) = parse_request(dialect, &raw) else { continue };
            for to in [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::AnthropicMessages, Dialect::GeminiGenerate] {
                if let Ok(rendered) = render_request(to, &request, target) {
                    let body = RawObject::parse(rendered.body).unwrap();
                    // Nothing that the target's own reader refuses, and no field that it was not given.
                    prop_assert!(read_head(to, &body).is_ok(), "{:?}", body.bytes());
                    let is_clean = body.fields().all(|(name, _)| !["x", "prompt", "extra"].contains(&name));
                    prop_assert!(is_clean || to == dialect, "{:?}", body.bytes());
                }
            }
        }
    }

    #[test]
    fn any_bytes_as_a_reply_are_read_or_refused(text in json(), cut in 0..400_usize) {
        let bytes = &text.as_bytes()[..cut.min(text.len())];
        for dialect in [Dialect::OpenAiChat, Dialect::OpenAiEmbeddings, Dialect::OpenAiResponses, Dialect::AnthropicMessages, Dialect::GeminiGenerate, Dialect::GeminiBatchEmbed] {
            let _read = read_reply(dialect, &Bytes::copy_from_slice(bytes)).is_ok();
            let _parsed = parse_response(dialect, bytes).is_ok();
            prop_assert!(parse_error(dialect, 500, None, bytes).message().len() <= 2_200);
        }
    }

    #[test]
    fn replacing_and_removing_fields_leaves_the_others_alone(
        values in proptest::collection::vec(json(), 1..6),
        blank in prop_oneof![Just(""), Just(" "), Just("\n  ")],
        choices in proptest::collection::vec(0..3, 8),
    ) {
        let names: Vec<String> = (0..values.len()).map(|i| format!("f{i}")).collect();
        let fields: Vec<String> = names.iter().zip(&values).map(|(name, value)| format!("{blank}\"{name}\":{blank}{value}{blank}")).collect();
        let before = raw(&format!("{blank}{{{}}}{blank}", fields.join(",")));
        let mut changes: Vec<(&str, Option<&str>)> = vec![("new", Some("[1]"))];
        for (name, choice) in names.iter().zip(&choices) {
            match choice {
                0 => changes.push((name, None)),
                1 => changes.push((name, Some("\"changed\""))),
                _ => {}
            }
        }
        let after = RawObject::parse(before.with(&changes)).unwrap();
        prop_assert_eq!(after.get("new"), Some("[1]"));
        for ((name, value), choice) in names.iter().zip(&values).zip(&choices) {
            let expect = match choice { 0 => None, 1 => Some("\"changed\""), _ => Some(value.as_str()) };
            prop_assert_eq!(after.get(name), expect);
        }
        prop_assert_eq!(before.with(&[]), before.bytes().clone());
    }
}
