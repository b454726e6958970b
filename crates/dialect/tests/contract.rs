//! The same-dialect path leaves bytes alone, translation there and back is the identity for what a dialect
//! can say, and Tollgate's own errors look as the error contract says.

#[expect(dead_code, reason = "each test file uses some of it")]
mod support;

use std::time::Duration;

use bytes::Bytes;
use support::{CONVERSATIONS, encoded, options};
use tollgate_base::{Error, Kind, UnixMillis};
use tollgate_dialect::{
    Dialect, EncodeOptions, ModelTraits, Quirks, RawObject, Target,
    ir::{Block, BlockStart, Delta, Event, FinishReason, Response},
    parse_request, parse_response, parse_retry_after, patch_request, render_error, render_request,
    render_response, render_stream_error,
};

fn raw(text: &str) -> RawObject {
    let body = Bytes::copy_from_slice(text.as_bytes());
    RawObject::parse(body).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn target<'a>(traits: &'a ModelTraits, quirks: &'a Quirks) -> Target<'a> {
    Target {
        model: "m",
        traits,
        quirks,
        max_output: None,
    }
}

#[test]
fn a_request_that_needs_no_change_is_the_same_memory() {
    let body = raw(r#"{ "model":"m" , "messages":[ {"role":"user","content":"x"} ] }"#);
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let patched = patch_request(Dialect::OpenAiChat, &body, target(&traits, &quirks)).unwrap();
    assert_eq!(patched.body.as_ptr(), body.bytes().as_ptr());
}

#[test]
fn only_the_model_is_replaced_and_every_other_byte_stays() {
    let text = "{\"max_tokens\":1,\n \"model\" : \"alias\",\"messages\":[ {\"content\":\"\\u00e9\",\"role\":\"user\"} ],\"zz\":1.50 }\n";
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    for dialect in [Dialect::OpenAiChat, Dialect::AnthropicMessages] {
        let patched = patch_request(dialect, &raw(text), target(&traits, &quirks)).unwrap();
        assert_eq!(patched.body, text.replace("\"alias\"", "\"m\""));
        assert!(patched.losses.is_empty());
    }
}

#[test]
fn parse_then_render_is_the_identity_for_what_the_dialect_can_say() {
    let (mut traits, quirks) = (ModelTraits::default(), Quirks::default());
    traits.thinking = tollgate_dialect::ThinkingStyle::Budget;
    traits.mid_conversation_system = Some(true);
    let chat = r#"{"model":"m","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"id":{"const":12345678901234567890123}}},"strict":true}}],"messages":[{"role":"developer","content":"Be brief."},{"role":"user","name":"Ann","content":[{"type":"text","text":"What?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"id\": 1.10}"}}]},{"role":"tool","tool_call_id":"c1","content":"ok"},{"role":"assistant","content":"Done"}],"parallel_tool_calls":false,"tool_choice":"required","max_completion_tokens":9,"stop":["x"],"n":2,"logprobs":true,"top_logprobs":3,"temperature":0.5,"top_p":0.9,"logit_bias":{"5":1},"seed":7,"reasoning_effort":"low","response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object"},"strict":true}},"safety_identifier":"u","service_tier":"flex","stream":true,"stream_options":{"include_usage":true}}"#;
    let claude = r#"{"model":"m","max_tokens":9000,"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"id":{"const":12345678901234567890123}}},"cache_control":{"type":"ephemeral","ttl":"1h"}}],"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"text","text":"What?"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"w"},"title":"t"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"redacted_thinking","data":"ZA=="},{"type":"tool_use","id":"t1","name":"f","input":{"id": 1.10}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"ok","is_error":true},{"type":"text","text":"Go on"}]},{"role":"system","content":[{"type":"text","text":"Rhyme."}]}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"thinking":{"type":"enabled","budget_tokens":2048},"output_config":{"format":{"type":"json_schema","schema":{"type":"object","additionalProperties":false}}},"stop_sequences":["x"],"metadata":{"user_id":"u"},"service_tier":"auto","stream":true}"#;
    let gemini = r#"{"tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object","properties":{"id":{"enum":[12345678901234567890123]}}}}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":"What?"},{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}},{"inlineData":{"mimeType":"text/plain","data":"dw=="}},{"inlineData":{"mimeType":"audio/wav","data":"UklGRg=="}},{"fileData":{"mimeType":"image/png","fileUri":"https://example.com/a.png"}}]},{"role":"model","parts":[{"text":"Hm.","thought":true},{"functionCall":{"id":"c1","name":"f","args":{"id": 1.10}},"thoughtSignature":"c2VhbA=="},{"functionCall":{"id":"c2","name":"f","args":{}}},{"executableCode":{"code":"1"}}]},{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"f","response":{"error":"no"}}},{"functionResponse":{"id":"c2","name":"f","response":{"n":12345678901234567890},"parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}]}},{"text":"Go on"}]},{"role":"model","parts":[{"text":"Done","thoughtSignature":"ZW5k"},{"text":"","thoughtSignature":"ZW5kMg=="}]},{"role":"user","parts":[{"text":"Thanks"}]}],"generationConfig":{"maxOutputTokens":9,"temperature":0.5,"topP":0.9,"topK":5,"seed":-7,"frequencyPenalty":0.1,"presencePenalty":0.2,"stopSequences":["x"],"responseMimeType":"application/json","responseJsonSchema":{"type":"object"},"thinkingConfig":{"thinkingBudget":2048,"includeThoughts":true}},"serviceTier":"flex"}"#;
    for (dialect, text) in [
        (Dialect::OpenAiChat, chat),
        (Dialect::AnthropicMessages, claude),
        (Dialect::GeminiGenerate, gemini),
    ] {
        let request = parse_request(dialect, &raw(text)).unwrap();
        let rendered = render_request(dialect, &request, target(&traits, &quirks)).unwrap();
        assert_eq!(std::str::from_utf8(&rendered.body).unwrap(), text);
        assert!(rendered.losses.is_empty(), "{:?}", rendered.losses);
    }
}

#[test]
fn a_signature_survives_from_provider_to_provider() {
    let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":2}}"#;
    let response = parse_response(Dialect::AnthropicMessages, body).unwrap();
    let back = render_response(Dialect::AnthropicMessages, &response, &options());
    let text = std::str::from_utf8(&back).unwrap();
    assert!(
        text.contains(r#"{"type":"thinking","thinking":"Hm.","signature":"c2ln"}"#),
        "{text}"
    );
}

#[test]
fn t21_unsigned_reasoning_gets_no_made_up_signature() {
    let response = Response {
        blocks: vec![Block::Reasoning {
            text: "Hm.".into(),
            signature: None,
        }],
        ..Response::default()
    };
    let body = render_response(Dialect::AnthropicMessages, &response, &options());
    assert!(
        std::str::from_utf8(&body)
            .unwrap()
            .contains(r#""thinking":"Hm.","signature":"""#)
    );
}

#[test]
fn a_renamed_tool_is_named_back_in_replies_and_streams() {
    let name = "weather.get/now";
    let text = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{{"type":"function","function":{{"name":"{name}"}}}}]}}"#
    );
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let request = parse_request(Dialect::OpenAiChat, &raw(&text)).unwrap();
    let rendered = render_request(
        Dialect::AnthropicMessages,
        &request,
        target(&traits, &quirks),
    )
    .unwrap();
    let sent = raw(std::str::from_utf8(&rendered.body).unwrap())
        .get("tools")
        .unwrap()
        .split('"')
        .nth(3)
        .unwrap()
        .to_owned();
    assert_ne!(sent, name);
    let options = EncodeOptions {
        names: rendered.names,
        ..options()
    };
    let events = [
        Event::Start {
            id: "msg_1".into(),
            model: "c".into(),
        },
        Event::BlockStart {
            index: 0,
            block: BlockStart::ToolCall {
                id: "t".into(),
                name: sent,
            },
        },
        Event::Delta {
            index: 0,
            delta: Delta::Arguments("{}".into()),
        },
        Event::BlockEnd { index: 0 },
        Event::Finish(FinishReason::ToolCalls),
    ];
    let response = Response::from_events(events.clone()).unwrap();
    for dialect in CONVERSATIONS {
        let out = encoded(dialect, options.clone(), &events);
        assert!(std::str::from_utf8(&out).unwrap().contains(name));
        let whole = render_response(dialect, &response, &options);
        assert!(std::str::from_utf8(&whole).unwrap().contains(name));
    }
}

#[test]
fn a_legacy_completion_is_answered_by_a_chat_model() {
    let events = [
        Event::Start {
            id: "msg_1".into(),
            model: "c".into(),
        },
        Event::BlockStart {
            index: 0,
            block: BlockStart::Text,
        },
        Event::Delta {
            index: 0,
            delta: Delta::Text("in a land".into()),
        },
        Event::BlockEnd { index: 0 },
        Event::Finish(FinishReason::MaxTokens),
    ];
    let out = encoded(Dialect::OpenAiCompletions, options(), &events);
    assert_eq!(
        std::str::from_utf8(&out).unwrap(),
        concat!(
            r#"data: {"id":"cmpl-0123456789","object":"text_completion","created":1700000000,"model":"c","choices":[{"text":"in a land","index":0,"logprobs":null,"finish_reason":null}]}"#,
            "\n\n",
            r#"data: {"id":"cmpl-0123456789","object":"text_completion","created":1700000000,"model":"c","choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}]}"#,
            "\n\ndata: [DONE]\n\n"
        )
    );
    let whole = render_response(
        Dialect::OpenAiCompletions,
        &Response::from_events(events).unwrap(),
        &options(),
    );
    let choice =
        r#""choices":[{"text":"in a land","index":0,"logprobs":null,"finish_reason":"length"}]"#;
    assert!(std::str::from_utf8(&whole).unwrap().contains(choice));
}

/// Kind and code; status and type in the OpenAI family; status and type in Anthropic's.
const CONTRACT: [(Kind, &str, &str); 22] = [
    (
        Kind::InvalidRequest,
        "invalid_json",
        "400 invalid_request_error 400 invalid_request_error",
    ),
    (
        Kind::Authentication,
        "missing_api_key",
        "401 authentication_error 401 authentication_error",
    ),
    (
        Kind::Billing,
        "insufficient_quota",
        "429 insufficient_quota 402 billing_error",
    ),
    (
        Kind::Permission,
        "model_not_allowed",
        "403 permission_error 403 permission_error",
    ),
    (
        Kind::NotFound,
        "model_not_found",
        "404 invalid_request_error 404 not_found_error",
    ),
    (
        Kind::MethodNotAllowed,
        "method_not_allowed",
        "405 invalid_request_error 405 invalid_request_error",
    ),
    (
        Kind::RequestTimeout,
        "request_timeout",
        "408 invalid_request_error 408 invalid_request_error",
    ),
    (
        Kind::Conflict,
        "conflict",
        "409 invalid_request_error 409 conflict_error",
    ),
    (
        Kind::TooLarge,
        "request_too_large",
        "413 invalid_request_error 413 request_too_large",
    ),
    (
        Kind::UriTooLong,
        "uri_too_long",
        "414 invalid_request_error 414 invalid_request_error",
    ),
    (
        Kind::UnsupportedMedia,
        "unsupported_media_type",
        "415 invalid_request_error 415 invalid_request_error",
    ),
    (
        Kind::Misdirected,
        "misdirected_request",
        "421 invalid_request_error 421 invalid_request_error",
    ),
    (
        Kind::Unprocessable,
        "idempotency_mismatch",
        "422 invalid_request_error 422 invalid_request_error",
    ),
    (
        Kind::Precondition,
        "if_match_required",
        "428 invalid_request_error 428 invalid_request_error",
    ),
    (
        Kind::RateLimit,
        "rate_limit_exceeded",
        "429 rate_limit_error 429 rate_limit_error",
    ),
    (
        Kind::Quota,
        "insufficient_quota",
        "429 rate_limit_error 429 rate_limit_error",
    ),
    (
        Kind::HeadersTooLarge,
        "headers_too_large",
        "431 invalid_request_error 431 invalid_request_error",
    ),
    (Kind::Internal, "internal", "500 server_error 500 api_error"),
    (
        Kind::NotSupported,
        "not_supported",
        "501 invalid_request_error 501 invalid_request_error",
    ),
    (
        Kind::Upstream,
        "upstream_unreachable",
        "502 upstream_error 502 api_error",
    ),
    (
        Kind::Overloaded,
        "draining",
        "503 overloaded_error 529 overloaded_error",
    ),
    (
        Kind::UpstreamTimeout,
        "upstream_timeout",
        "504 upstream_error 504 timeout_error",
    ),
];

#[test]
fn our_own_errors_have_the_status_and_type_of_the_contract() {
    for (kind, code, expect) in CONTRACT {
        let expect: Vec<&str> = expect.split(' ').collect();
        let [openai_status, openai_type, anthropic_status, anthropic_type] = expect[..] else {
            panic!("{expect:?}")
        };
        let error = Error::new(kind, code, "Say \"why\".").with_param("a.b");
        let openai = render_error(Dialect::OpenAiEmbeddings, &error, "req_1");
        assert_eq!(openai.status.to_string(), openai_status, "{kind:?}");
        let expect = format!(
            r#"{{"error":{{"message":"Say \"why\".","type":"{openai_type}","param":"a.b","code":"{code}"}}}}"#
        );
        assert_eq!(openai.body, expect);
        let anthropic = render_error(Dialect::AnthropicMessages, &error, "req_1");
        assert_eq!(anthropic.status.to_string(), anthropic_status, "{kind:?}");
        let expect = format!(
            r#"{{"type":"error","error":{{"type":"{anthropic_type}","message":"Say \"why\"."}},"request_id":"req_1"}}"#
        );
        assert_eq!(anthropic.body, expect);
        let gemini = render_error(Dialect::GeminiGenerate, &error, "req_1");
        assert_eq!(gemini.status, kind.status(), "{kind:?}");
        let body = String::from_utf8(gemini.body.to_vec()).unwrap();
        let start = format!(
            r#"{{"error":{{"code":{},"message":"Say \"why\".","status":""#,
            kind.status()
        );
        assert!(body.starts_with(&start), "{body}");
        let reason = format!(r#""reason":"{}""#, code.to_ascii_uppercase());
        assert!(
            body.contains(&reason) && body.contains(r#""field":"a.b""#),
            "{body}"
        );
    }
}

#[test]
fn t32_a_stream_error_is_an_event_of_the_callers_dialect() {
    let error = Error::upstream_invalid("The provider went away.");
    let openai = render_stream_error(Dialect::OpenAiChat, &error, "req_1");
    assert_eq!(
        openai,
        "data: {\"error\":{\"message\":\"The provider went away.\",\"type\":\"upstream_error\",\"param\":null,\"code\":\"upstream_invalid\"}}\n\n"
    );
    let anthropic = render_stream_error(Dialect::AnthropicMessages, &error, "req_1");
    assert_eq!(
        anthropic,
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"The provider went away.\"},\"request_id\":\"req_1\"}\n\n"
    );
    let gemini = render_stream_error(Dialect::GeminiGenerate, &error, "req_1");
    assert_eq!(
        gemini,
        "data: {\"error\":{\"code\":502,\"message\":\"The provider went away.\",\"status\":\"UNAVAILABLE\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"UPSTREAM_INVALID\",\"domain\":\"tollgate\"}]}}\r\n\r\n"
    );
}

#[test]
fn retry_after_may_be_a_date() {
    let now = UnixMillis(784_111_777_000);
    assert_eq!(
        parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now),
        Some(Duration::from_mins(1))
    );
}
