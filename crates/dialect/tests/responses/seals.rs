//! The way of a seal through a caller that keeps nothing at the provider, and custom tools.

use super::*;

#[test]
fn a_seal_survives_a_caller_that_stores_nothing() {
    let claude = br#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"redacted_thinking","data":"ZA=="},{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}"#;
    let response = parse_response(Dialect::AnthropicMessages, claude).unwrap();
    let reply = render_response(Dialect::OpenAiResponses, &response, &options());
    let reply: Value = serde_json::from_slice(&reply).unwrap();
    let mut input = vec![json!({"role":"user","content":"Q"})];
    input.extend(reply["output"].as_array().unwrap().clone());
    input.push(json!({"type":"function_call_output","call_id":"t1","output":"ok"}));
    let next = json!({"model":"m","input":input}).to_string();
    let back = rendered(Dialect::OpenAiResponses, &next, Dialect::AnthropicMessages);
    assert_eq!(
        body(&back)["messages"][1]["content"],
        json!([
            {"type":"thinking","thinking":"Hm.","signature":"c2ln"},
            {"type":"redacted_thinking","data":"ZA=="},
            {"type":"tool_use","id":"t1","name":"f","input":{"a":1}},
        ])
    );
    assert!(back.losses.is_empty(), "{:?}", back.losses);
    // The vendor of the dialect itself would refuse it, so that it is left out.
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let patched = patch_request(
        Dialect::OpenAiResponses,
        &raw(&next),
        target(&traits, &quirks),
    )
    .unwrap();
    let kinds: Vec<Value> = body(&patched)["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            json!(null),
            json!("function_call"),
            json!("function_call_output")
        ]
    );
    assert_eq!(patched.losses.len(), 2);
}

#[test]
fn the_vendors_own_seal_goes_through_an_anthropic_caller() {
    let sealed = r#"{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"tollgate.openai.gAAAA"},{"type":"text","text":"A"}]},{"role":"user","content":"Q2"}]}"#;
    let rendered = rendered(Dialect::AnthropicMessages, sealed, Dialect::OpenAiResponses);
    let expect = json!({"type":"reasoning","id":"rs_3XjmnHoeHJzx0B9qLfC8yZ","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAAAA"});
    assert_eq!(body(&rendered)["input"][1], expect);
}

#[test]
fn a_custom_tool_is_called_with_free_text() {
    let chat = br#"{"id":"c","object":"chat.completion","model":"x","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"apply_patch","arguments":"{\"input\": \"a \\\"b\\\"\\n\"}"}}]},"finish_reason":"tool_calls"}]}"#;
    let response = parse_response(Dialect::OpenAiChat, chat).unwrap();
    let reply = render_response(Dialect::OpenAiResponses, &response, &asked());
    let reply: Value = serde_json::from_slice(&reply).unwrap();
    let item = &reply["output"][0];
    assert_eq!(item["type"], "custom_tool_call");
    assert_eq!(item["input"], "a \"b\"\n");
    // To a caller that has no such tool it is a function.
    let reply = render_response(Dialect::OpenAiResponses, &response, &options());
    let reply: Value = serde_json::from_slice(&reply).unwrap();
    assert_eq!(reply["output"][0]["type"], "function_call");
}

#[test]
fn only_the_model_of_a_request_is_replaced() {
    let text = "{\"input\":[ {\"role\":\"user\",\"content\":\"\\u00e9\"} ],\n \"model\" : \"alias\",\"store\":true,\"zz\":1.50 }\n";
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let patched = patch_request(
        Dialect::OpenAiResponses,
        &raw(text),
        target(&traits, &quirks),
    )
    .unwrap();
    assert_eq!(patched.body, text.replace("\"alias\"", "\"m\""));
    assert!(patched.losses.is_empty());
}

#[test]
fn a_head_says_which_field_is_wrong() {
    for (text, param) in [
        (r#"{"model":"m"}"#, "input"),
        (r#"{"model":"m","input":7}"#, "input"),
        (r#"{"model":"m","input":["x"]}"#, "input[0]"),
        (
            r#"{"model":"m","input":[{"role":"tool","content":"x"}]}"#,
            "input[0].role",
        ),
        (
            r#"{"model":"m","input":[{"role":"user","content":"x","content":"y"}]}"#,
            "input[0].content",
        ),
        (
            r#"{"model":"m","input":"x","temperature":3}"#,
            "temperature",
        ),
        (r#"{"model":"m","input":"x","include":"y"}"#, "include"),
        (
            r#"{"model":"m","input":"x","text":{"format":{}}}"#,
            "text.format.type",
        ),
        (
            r#"{"model":"m","input":"x","max_output_tokens":0}"#,
            "max_output_tokens",
        ),
    ] {
        let error = read_head(Dialect::OpenAiResponses, &raw(text)).unwrap_err();
        assert_eq!(error.param(), Some(param), "{text}");
    }
}
