//! What is peculiar to Gemini: seals that travel through other dialects, calls without ids, streams as arrays,
//! and the traps that its wire form sets.
#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

#[expect(dead_code, reason = "each test file uses some of it")]
mod support;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use support::{CONVERSATIONS, encoded, events, frames, options};
use tollgate_base::{Error, Kind};
use tollgate_dialect::{
    Dialect, GeminiArray, ModelTraits, Quirks, RawObject, Rendered, Target, ThinkingStyle, decoder,
    ir::{Block, Event, FinishReason, Response},
    parse_error, parse_request, parse_response, patch_request, read_head, read_reply,
    render_request, render_response, render_stream_error,
};

fn raw(text: &str) -> RawObject {
    let body = Bytes::copy_from_slice(text.as_bytes());
    RawObject::parse(body).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn rendered(from: Dialect, text: &str, to: Dialect) -> Rendered {
    let traits = ModelTraits {
        thinking: ThinkingStyle::Level,
        ..ModelTraits::default()
    };
    let quirks = Quirks::default();
    let target = Target {
        model: "m",
        traits: &traits,
        quirks: &quirks,
        max_output: None,
    };
    let request = parse_request(from, &raw(text)).unwrap();
    render_request(to, &request, target).unwrap()
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}

/// A Gemini reply with a sealed call.
const SEALED: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true},{"functionCall":{"id":"c1","name":"f","args":{"n":12345678901234567890}},"thoughtSignature":"c2VhbA=="},{"functionCall":{"id":"c2","name":"f","args":{}}}],"role":"model"},"finishReason":"STOP","index":0}],"modelVersion":"g","responseId":"r"}"#;

#[test]
fn t19_a_seal_comes_back_to_its_call_through_a_chat_client() {
    let reply = parse_response(Dialect::GeminiGenerate, SEALED.as_bytes()).unwrap();
    let shown = render_response(Dialect::OpenAiChat, &reply, &options());
    let choices = raw(text(&shown)).get("choices").unwrap().to_owned();
    let start = choices.find(r#""tool_calls":"#).unwrap();
    let end = choices.find(r#"},"logprobs""#).unwrap();
    let calls = &choices[start..end];
    let next = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}},{{"role":"assistant","content":null,{calls}}},{{"role":"tool","tool_call_id":"c1","content":"1"}},{{"role":"tool","tool_call_id":"c2","content":"2"}}]}}"#
    );
    let sent = rendered(Dialect::OpenAiChat, &next, Dialect::GeminiGenerate);
    let expect = r#"{"functionCall":{"id":"c1","name":"f","args":{"n":12345678901234567890}},"thoughtSignature":"c2VhbA=="},{"functionCall":{"id":"c2","name":"f","args":{}}}"#;
    assert!(text(&sent.body).contains(expect), "{:?}", sent.body);
    assert!(sent.losses.is_empty(), "{:?}", sent.losses);
}

#[test]
fn t19_a_seal_comes_back_to_its_call_through_a_messages_client() {
    let reply = parse_response(Dialect::GeminiGenerate, SEALED.as_bytes()).unwrap();
    let shown = render_response(Dialect::AnthropicMessages, &reply, &options());
    let content = raw(text(&shown)).get("content").unwrap().to_owned();
    let next = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","content":{content}}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"c1","content":"1"}},{{"type":"tool_result","tool_use_id":"c2","content":"2"}}]}}]}}"#
    );
    let sent = rendered(Dialect::AnthropicMessages, &next, Dialect::GeminiGenerate);
    let expect = r#"{"role":"model","parts":[{"text":"Hm.","thought":true},{"functionCall":{"id":"c1","name":"f","args":{"n":12345678901234567890}},"thoughtSignature":"c2VhbA=="},{"functionCall":"#;
    assert!(text(&sent.body).contains(expect), "{:?}", sent.body);
}

#[test]
fn t19_another_vendors_seal_comes_back_through_a_gemini_client() {
    let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"redacted_thinking","data":"Emw="},{"type":"tool_use","id":"t1","name":"f","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}"#;
    let reply = parse_response(Dialect::AnthropicMessages, body).unwrap();
    let shown = render_response(Dialect::GeminiGenerate, &reply, &options());
    let candidates = raw(text(&shown)).get("candidates").unwrap().to_owned();
    let start = candidates.find(r#"{"parts":"#).unwrap();
    let end = candidates.find(r#","finishReason""#).unwrap();
    let content = &candidates[start..end];
    let next = format!(
        r#"{{"contents":[{{"parts":[{{"text":"x"}}]}},{content},{{"role":"user","parts":[{{"functionResponse":{{"id":"t1","name":"f","response":{{"result":"1"}}}}}}]}}]}}"#
    );
    let sent = rendered(Dialect::GeminiGenerate, &next, Dialect::AnthropicMessages);
    let expect = r#"[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"redacted_thinking","data":"Emw="},{"type":"tool_use","id":"t1","name":"f","input":{}}]"#;
    assert!(text(&sent.body).contains(expect), "{:?}", sent.body);
    assert!(sent.losses.is_empty(), "{:?}", sent.losses);
}

#[test]
fn t19_a_call_of_another_model_gets_the_documented_word_in_the_current_turn_only() {
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"c0","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c0","content":"0"},{"role":"user","content":"b"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"1"},{"role":"tool","tool_call_id":"c2","content":"2"},{"role":"assistant","content":null,"tool_calls":[{"id":"c3","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c3","content":"3"}]}"#;
    let sent = rendered(Dialect::OpenAiChat, chat, Dialect::GeminiGenerate);
    let calls: Vec<(String, bool)> = text(&sent.body)
        .split(r#"{"functionCall":{"id":""#)
        .skip(1)
        .map(|rest| {
            let part = rest.split(r#"{"functionCall""#).next().unwrap();
            let own = part.split("]}").next().unwrap();
            (
                rest[..2].to_owned(),
                own.contains("skip_thought_signature_validator"),
            )
        })
        .collect();
    let expect = [("c0", false), ("c1", true), ("c2", false), ("c3", true)];
    assert_eq!(calls, expect.map(|(id, has)| (id.to_owned(), has)));
}

#[test]
fn t18_made_up_ids_are_the_same_in_every_turn() {
    let turn = r#"{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"1"}}},{"functionResponse":{"name":"f","response":{"result":"2"}}}]}"#;
    let first = rendered(
        Dialect::GeminiGenerate,
        &format!(r#"{{"contents":[{turn}]}}"#),
        Dialect::AnthropicMessages,
    );
    let later = rendered(
        Dialect::GeminiGenerate,
        &format!(
            r#"{{"contents":[{turn},{{"role":"model","parts":[{{"text":"y"}}]}},{{"parts":[{{"text":"z"}}]}}]}}"#
        ),
        Dialect::AnthropicMessages,
    );
    let first = raw(text(&first.body)).get("messages").unwrap().to_owned();
    let later = raw(text(&later.body)).get("messages").unwrap().to_owned();
    assert!(later.starts_with(first.trim_end_matches(']')), "{later}");
}

#[test]
fn t27_the_end_of_a_reply_with_calls_is_a_call_whichever_piece_says_it() {
    for pieces in [
        [
            r#"{"content":{"parts":[{"functionCall":{"name":"f"}}]}}"#,
            r#"{"finishReason":"STOP"}"#,
        ],
        [
            r#"{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}"#,
            r#"{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}"#,
        ],
    ] {
        let pieces = pieces.map(|piece| format!("data: {{\"candidates\":[{piece}]}}\r\n\r\n"));
        let stream = pieces.concat();
        let (all, _) = frames(&[stream.as_bytes()]);
        let told = events(&mut *decoder(Dialect::GeminiGenerate), &all);
        assert_eq!(told.last(), Some(&Event::Finish(FinishReason::ToolCalls)));
    }
}

#[test]
fn t46_a_reply_that_failed_is_an_error_in_every_path() {
    let body = br#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","index":0}]}"#;
    let whole = parse_response(Dialect::GeminiGenerate, body).unwrap_err();
    assert_eq!(whole.code(), "upstream_invalid");
    let read = read_reply(Dialect::GeminiGenerate, &Bytes::from_static(body)).unwrap_err();
    assert_eq!(read.code(), "upstream_invalid");
    let blocked = Bytes::from_static(br#"{"promptFeedback":{"blockReason":"SAFETY"}}"#);
    let reading = read_reply(Dialect::GeminiGenerate, &blocked).unwrap();
    assert_eq!(reading.finish, Some(FinishReason::Refusal));
}

#[test]
fn a_call_whose_arguments_are_no_json_is_said_to_be_malformed() {
    let reply = Response {
        blocks: vec![Block::ToolCall(tollgate_dialect::ir::ToolCall {
            id: "c".into(),
            name: "f".into(),
            arguments: "{\"a\":".into(),
        })],
        finish: FinishReason::ToolCalls,
        ..Response::default()
    };
    let body = render_response(Dialect::GeminiGenerate, &reply, &options());
    assert!(text(&body).contains(r#""finishReason":"MALFORMED_FUNCTION_CALL""#));
    assert!(!text(&body).contains("functionCall\":"));
}

#[test]
fn arguments_over_several_lines_do_not_end_an_event() {
    let told = [
        Event::Start {
            id: "r".into(),
            model: "g".into(),
        },
        Event::BlockStart {
            index: 0,
            block: tollgate_dialect::ir::BlockStart::ToolCall {
                id: "c".into(),
                name: "f".into(),
            },
        },
        Event::Delta {
            index: 0,
            delta: tollgate_dialect::ir::Delta::Arguments("{\n\"a\":\r\n1}".into()),
        },
        Event::BlockEnd { index: 0 },
        Event::Finish(FinishReason::ToolCalls),
    ];
    let out = encoded(Dialect::GeminiGenerate, options(), &told);
    let (all, rest) = frames(&[&out]);
    assert_eq!((all.len(), rest.len()), (2, 0));
    let back = Response::from_events(events(&mut *decoder(Dialect::GeminiGenerate), &all)).unwrap();
    assert!(
        matches!(&back.blocks[0], Block::ToolCall(call) if call.arguments.contains(r#""a":"#)),
        "{back:?}"
    );
}

#[test]
fn the_same_dialect_is_sent_byte_for_byte() {
    let body = raw("{ \"contents\":[ {\"parts\":[{\"text\":\"\\u00e9\"}]} ],\"zz\":1.50 }\n");
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let target = Target {
        model: "m",
        traits: &traits,
        quirks: &quirks,
        max_output: None,
    };
    let patched = patch_request(Dialect::GeminiGenerate, &body, target).unwrap();
    assert_eq!(patched.body.as_ptr(), body.bytes().as_ptr());
    let head = read_head(Dialect::GeminiGenerate, &body).unwrap();
    assert_eq!((head.model.as_str(), head.stream), ("", false));
}

#[test]
fn a_stream_becomes_an_array_wherever_it_is_cut() {
    let error = render_stream_error(
        Dialect::GeminiGenerate,
        &Error::upstream_invalid("Cut."),
        "req_1",
    );
    let mut events = b"data: {\"a\":1}\r\n\r\ndata: {\"b\":2}\r\n\r\n".to_vec();
    events.extend_from_slice(&error);
    for at in 0..=events.len() {
        let mut array = GeminiArray::default();
        let mut out = BytesMut::new();
        for piece in [&events[..at], &events[at..]] {
            array.push(Bytes::copy_from_slice(piece), &mut out).unwrap();
        }
        array.finish(&mut out);
        let shown = text(&out);
        assert!(
            shown.starts_with("[{\"a\":1},\r\n{\"b\":2},\r\n{\"error\":{"),
            "{shown}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(shown).is_ok());
    }
    let mut out = BytesMut::new();
    GeminiArray::default().finish(&mut out);
    assert_eq!(out, "[]");
}

#[test]
fn t43_a_daily_quota_is_not_worth_another_try() {
    let body = br#"[{"error":{"code":429,"message":"Quota.","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"RequestsPerDayPerProject"}]},{"retryDelay":"3600s"}]}}]"#;
    let error = parse_error(Dialect::GeminiGenerate, 429, None, body);
    assert_eq!(error.kind(), Kind::Quota);
    assert_eq!(error.should_retry(), Some(false));
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(3600));
}

#[test]
fn a_header_says_more_than_the_details_of_an_error() {
    let body = br#"{"error":{"code":503,"message":"x","status":"UNAVAILABLE","details":[{"retryDelay":"5s"}]}}"#;
    let error = parse_error(Dialect::GeminiGenerate, 503, Some("2"), body);
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(2));
}

fn text_part() -> impl Strategy<Value = String> {
    "[a-zA-Zé\"\\\\ ]{1,12}".prop_filter("says something", |text| !text.trim().is_empty())
}

/// A turn of the user and of the model: with a call, or with a text.
fn turn() -> impl Strategy<Value = String> {
    let quoted = |text: String| serde_json::to_string(&text).unwrap();
    let seal = prop_oneof![Just(""), Just(r#","thoughtSignature":"c2VhbA==""#)];
    let thought = prop_oneof![
        Just(String::new()),
        text_part().prop_map(move |text| format!(r#"{{"text":{},"thought":true}},"#, quoted(text))),
    ];
    (text_part(), thought, text_part(), seal, any::<bool>()).prop_map(
        move |(asked, thought, said, seal, calls)| {
            // A thought that nothing seals is no part of what may be sent.
            let thought = if seal.is_empty() { "" } else { &thought };
            let (asked, said) = (quoted(asked), quoted(said));
            if calls {
                format!(
                    r#"{{"role":"user","parts":[{{"text":{asked}}}]}},{{"role":"model","parts":[{thought}{{"functionCall":{{"id":"c","name":"f","args":{{"a":{said}}}}}{seal}}}]}},{{"role":"user","parts":[{{"functionResponse":{{"id":"c","name":"f","response":{{"result":{said}}}}}}}]}},{{"role":"model","parts":[{{"text":{said}}}]}}"#
                )
            } else {
                format!(
                    r#"{{"role":"user","parts":[{{"text":{asked}}}]}},{{"role":"model","parts":[{thought}{{"text":{said}{seal}}}]}}"#
                )
            }
        },
    )
}

proptest! {
    #[test]
    fn parse_then_render_is_the_identity_for_random_conversations(
        turns in proptest::collection::vec(turn(), 1..5),
    ) {
        let body = format!(
            r#"{{"contents":[{},{{"role":"user","parts":[{{"text":"end"}}]}}]}}"#,
            turns.join(",")
        );
        let sent = rendered(Dialect::GeminiGenerate, &body, Dialect::GeminiGenerate);
        prop_assert_eq!(text(&sent.body), &body);
        prop_assert!(sent.losses.is_empty(), "{:?}", sent.losses);
    }

    #[test]
    fn no_request_makes_a_translation_panic(
        contents in "\\PC{0,40}",
        cut in 0..400_usize,
    ) {
        let whole = r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"x"}]},{"parts":[{"functionResponse":{"name":"f","response":{"a":[1]}}},{"inlineData":{"mimeType":"text/plain","data":"!"}}]}],"generationConfig":{"responseMimeType":"application/json","responseSchema":{"type":5,"properties":[1],"enum":{}}}}"#;
        let cut = (0..=cut.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap();
        let body = format!("{}{contents}", &whole[..cut]);
        let Ok(raw) = RawObject::parse(Bytes::from(body)) else { return Ok(()) };
        let Ok(request) = parse_request(Dialect::GeminiGenerate, &raw) else { return Ok(()) };
        let (traits, quirks) = (ModelTraits::default(), Quirks::default());
        for to in CONVERSATIONS {
            let target = Target { model: "m", traits: &traits, quirks: &quirks, max_output: None };
            if let Ok(rendered) = render_request(to, &request, target) {
                prop_assert!(RawObject::parse(rendered.body).is_ok());
            }
        }
    }
}
