//! The most output tokens that a request may ask for: it is sent with at most that, in every dialect, and a
//! caller that asks for less is sent byte for byte.
#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

use bytes::Bytes;
use tollgate_base::Result;
use tollgate_dialect::{
    Dialect, MaxTokensField, ModelTraits, Quirks, RawObject, Rendered, Target, ThinkingStyle,
    parse_request, patch_request, render_request,
};

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"x"}]"#;

fn raw(text: &str) -> RawObject {
    RawObject::parse(Bytes::from(text.to_owned())).unwrap()
}

fn patch_with(
    dialect: Dialect,
    text: &str,
    most: u64,
    traits: &ModelTraits,
    quirks: &Quirks,
) -> Result<Rendered> {
    let target = Target {
        model: "m",
        traits,
        quirks,
        max_output: Some(most),
    };
    patch_request(dialect, &raw(text), target)
}

fn patch(dialect: Dialect, text: &str, most: u64) -> Result<Rendered> {
    patch_with(
        dialect,
        text,
        most,
        &ModelTraits::default(),
        &Quirks::default(),
    )
}

/// What is sent of `text`, which asks for no more than the limit or for more.
fn sent(dialect: Dialect, text: &str, most: u64) -> String {
    let rendered = patch(dialect, text, most).unwrap();
    String::from_utf8(rendered.body.to_vec()).unwrap()
}

fn refusal(dialect: Dialect, text: &str, most: u64) -> String {
    let error = patch(dialect, text, most).unwrap_err();
    format!("{} {}", error.code(), error.param().unwrap_or_default())
}

fn rendered(to: Dialect, fields: &str, most: u64, traits: &ModelTraits) -> Result<Rendered> {
    let request = parse_request(Dialect::OpenAiChat, &raw(&format!("{CHAT}{fields}}}")))?;
    let target = Target {
        model: "m",
        traits,
        quirks: &Quirks::default(),
        max_output: Some(most),
    };
    render_request(to, &request, target)
}

#[test]
fn who_asks_for_less_is_sent_byte_for_byte() {
    let cases = [
        (
            Dialect::OpenAiChat,
            r#"{"model": "m", "max_tokens": 50,"messages":[]}"#,
        ),
        (
            Dialect::OpenAiChat,
            r#"{"model": "m", "max_completion_tokens":50 ,"messages":[]}"#,
        ),
        (
            Dialect::OpenAiCompletions,
            r#"{"model": "m", "prompt":"x", "max_tokens": 50}"#,
        ),
        (
            Dialect::OpenAiResponses,
            r#"{"model": "m", "input":"x", "max_output_tokens": 50}"#,
        ),
        (
            Dialect::AnthropicMessages,
            r#"{"model": "m", "messages":[], "max_tokens": 50}"#,
        ),
        (
            Dialect::GeminiGenerate,
            r#"{"contents":[], "generationConfig" : {"maxOutputTokens" : "50"}}"#,
        ),
        (Dialect::OpenAiEmbeddings, r#"{"model": "m", "input":"x"}"#),
        (
            Dialect::GeminiEmbed,
            r#"{"model": "models/m", "content":{"parts":[{"text":"x"}]}}"#,
        ),
    ];
    for (dialect, text) in cases {
        assert_eq!(sent(dialect, text, 50), text, "{dialect:?}");
        assert_eq!(sent(dialect, text, 1_000), text, "{dialect:?}");
    }
}

#[test]
fn chat_is_limited_in_the_field_that_the_caller_or_the_server_uses() {
    let chat = |fields: &str| sent(Dialect::OpenAiChat, &format!("{CHAT}{fields}}}"), 50);
    assert_eq!(chat(""), format!(r#"{CHAT},"max_completion_tokens":50}}"#));
    assert_eq!(
        chat(r#","max_tokens":51"#),
        format!(r#"{CHAT},"max_tokens":50}}"#)
    );
    assert_eq!(
        chat(r#","max_tokens":99,"max_completion_tokens":99"#),
        format!(r#"{CHAT},"max_tokens":50,"max_completion_tokens":50}}"#)
    );
    let quirks = Quirks {
        max_tokens_field: MaxTokensField::MaxTokens,
        ..Quirks::default()
    };
    let reasoning = ModelTraits {
        reasoning: Some(true),
        ..ModelTraits::default()
    };
    let of = |fields: &str, traits: &ModelTraits, quirks: &Quirks| {
        let text = format!("{CHAT}{fields}}}");
        let patched = patch_with(Dialect::OpenAiChat, &text, 50, traits, quirks).unwrap();
        String::from_utf8(patched.body.to_vec()).unwrap()
    };
    let plain = ModelTraits::default();
    assert_eq!(
        of("", &plain, &quirks),
        format!(r#"{CHAT},"max_tokens":50}}"#)
    );
    assert_eq!(
        of(r#","max_completion_tokens":60"#, &plain, &quirks),
        format!(r#"{CHAT},"max_tokens":50}}"#)
    );
    assert_eq!(
        of(r#","max_tokens":60"#, &reasoning, &Quirks::default()),
        format!(r#"{CHAT},"max_completion_tokens":50}}"#)
    );
    assert_eq!(
        refusal(Dialect::OpenAiChat, &format!("{CHAT}}}"), 0),
        "unsupported_value max_completion_tokens"
    );
}

#[test]
fn a_completion_that_asks_for_nothing_keeps_the_documented_length() {
    let sent = |fields: &str, most| {
        sent(
            Dialect::OpenAiCompletions,
            &format!(r#"{{"model":"m","prompt":"x"{fields}}}"#),
            most,
        )
    };
    assert_eq!(
        sent("", 1_000),
        r#"{"model":"m","prompt":"x","max_tokens":16}"#
    );
    assert_eq!(sent("", 5), r#"{"model":"m","prompt":"x","max_tokens":5}"#);
    assert_eq!(
        sent(r#","max_tokens":9"#, 5),
        r#"{"model":"m","prompt":"x","max_tokens":5}"#
    );
}

#[test]
fn responses_are_limited_and_refused_where_the_vendor_would() {
    let text = r#"{"model":"m","input":"x"}"#;
    let limited = r#"{"model":"m","input":"x","max_output_tokens":50}"#;
    assert_eq!(sent(Dialect::OpenAiResponses, text, 50), limited);
    assert_eq!(
        refusal(Dialect::OpenAiResponses, text, 15),
        "unsupported_value max_output_tokens"
    );
}

#[test]
fn gemini_is_limited_inside_of_its_configuration() {
    let sent = |text: &str| sent(Dialect::GeminiGenerate, text, 50);
    assert_eq!(
        sent(r#"{"contents":[]}"#),
        r#"{"contents":[],"generationConfig":{"maxOutputTokens":50}}"#
    );
    assert_eq!(
        sent(r#"{"generation_config": {"top_k":1, "max_output_tokens": 51 }, "contents":[]}"#),
        r#"{"generation_config": {"top_k":1, "max_output_tokens": 50 }, "contents":[]}"#
    );
    assert_eq!(
        sent(r#"{"generationConfig":null,"contents":[]}"#),
        r#"{"generationConfig":{"maxOutputTokens":50},"contents":[]}"#
    );
}

#[test]
fn messages_are_limited_with_their_thinking() {
    let of = |budget: u64, most| {
        patch(
            Dialect::AnthropicMessages,
            &format!(
                r#"{{"model":"m","max_tokens":9000,"thinking":{{"type":"enabled", "budget_tokens":{budget}}},"messages":[]}}"#
            ),
            most,
        )
    };
    let fits = of(1024, 1025).unwrap();
    assert_eq!(
        fits.body,
        r#"{"model":"m","max_tokens":1025,"thinking":{"type":"enabled", "budget_tokens":1024},"messages":[]}"#
    );
    assert!(fits.losses.is_empty());
    let lowered = of(8000, 2000).unwrap();
    assert_eq!(
        lowered.body,
        r#"{"model":"m","max_tokens":2000,"thinking":{"type":"enabled", "budget_tokens":1999},"messages":[]}"#
    );
    assert_eq!(lowered.losses[0].field, "thinking.budget_tokens");
    let error = of(8000, 1024).unwrap_err();
    assert_eq!(
        (error.code(), error.param()),
        ("unsupported_value", Some("thinking.budget_tokens"))
    );
}

#[test]
fn messages_behind_a_path_are_limited_too() {
    let quirks = Quirks {
        body_version: Some("bedrock-2023-05-31".to_owned()),
        ..Quirks::default()
    };
    let text = r#"{"model":"m","max_tokens":9000,"messages":[]}"#;
    let patched = patch_with(
        Dialect::AnthropicMessages,
        text,
        70,
        &ModelTraits::default(),
        &quirks,
    );
    assert_eq!(
        patched.unwrap().body,
        r#"{"max_tokens":70,"messages":[],"anthropic_version":"bedrock-2023-05-31"}"#
    );
}

#[test]
fn a_translated_request_is_limited_in_every_dialect() {
    let cases = [
        (Dialect::OpenAiResponses, "\"max_output_tokens\":50"),
        (Dialect::AnthropicMessages, "\"max_tokens\":50"),
        (Dialect::GeminiGenerate, "\"maxOutputTokens\":50"),
        (Dialect::OpenAiChat, "\"max_completion_tokens\":50"),
    ];
    for (to, expect) in cases {
        for fields in ["", r#","max_tokens":51"#, r#","max_tokens":50"#] {
            let out = rendered(to, fields, 50, &ModelTraits::default()).unwrap();
            let text = String::from_utf8(out.body.to_vec()).unwrap();
            assert!(text.contains(expect), "{to:?} {fields}: {text}");
        }
        let less = rendered(to, r#","max_tokens":40"#, 50, &ModelTraits::default()).unwrap();
        let text = String::from_utf8(less.body.to_vec()).unwrap();
        assert!(text.contains(&expect.replace("50", "40")), "{to:?}: {text}");
    }
}

#[test]
fn a_translated_request_that_cannot_fit_is_refused() {
    let plain = ModelTraits::default();
    let code = |result: Result<Rendered>| result.unwrap_err().code().to_owned();
    let small = rendered(Dialect::OpenAiResponses, r#","max_tokens":12"#, 12, &plain);
    assert_eq!(code(small), "unsupported_value");
    let thinks = ModelTraits {
        thinking: ThinkingStyle::Budget,
        max_output_tokens: Some(64_000),
        ..ModelTraits::default()
    };
    let effort = r#","reasoning_effort":"high""#;
    let refused = rendered(Dialect::AnthropicMessages, effort, 1024, &thinks);
    assert_eq!(code(refused), "unsupported_value");
    let fits = rendered(Dialect::AnthropicMessages, effort, 1025, &thinks).unwrap();
    let text = String::from_utf8(fits.body.to_vec()).unwrap();
    assert!(
        text.contains("\"budget_tokens\":1024") && text.contains("\"max_tokens\":1025"),
        "{text}"
    );
}
