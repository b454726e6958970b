//! The traps of this dialect by name, and what its head refuses.

use super::*;

fn traits_of_t1(by_default: bool, efforts: &[Effort]) -> ModelTraits {
    ModelTraits {
        chat_refuses_tools_while_reasoning: Some(true),
        reasons_by_default: Some(by_default),
        efforts: efforts.to_vec(),
        ..ModelTraits::default()
    }
}

#[track_caller]
fn assert_t1(request: &str, traits: &ModelTraits, expect: bool) {
    let quirks = Quirks::default();
    let needs = chat_needs_responses(&raw(request), target(traits, &quirks));
    assert_eq!(needs, expect, "{request} {traits:?}");
}

const WITH_NONE: [Effort; 2] = [Effort::None, Effort::Low];
const FUNCTION: &str = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;

#[test]
fn t1_tools_only() {
    let request = format!("{{{FUNCTION}}}");
    assert_t1(&request, &traits_of_t1(true, &WITH_NONE), true);
    assert_t1(&request, &traits_of_t1(false, &WITH_NONE), false);
    // A model that cannot stop to reason does so unasked.
    assert_t1(&request, &traits_of_t1(false, &[Effort::Low]), true);
    assert_t1(&request, &ModelTraits::default(), false);
    assert_t1(
        r#"{"functions":[{"name":"f"}]}"#,
        &traits_of_t1(true, &[]),
        true,
    );
    assert_t1(r#"{"tools":[]}"#, &traits_of_t1(true, &[]), false);
}

#[test]
fn t1_tools_and_effort_low() {
    let request = format!(r#"{{{FUNCTION},"reasoning_effort":"low"}}"#);
    assert_t1(&request, &traits_of_t1(false, &WITH_NONE), true);
    assert_t1(&request, &ModelTraits::default(), false);
    let without_tools = r#"{"reasoning_effort":"low"}"#;
    assert_t1(without_tools, &traits_of_t1(true, &WITH_NONE), false);
}

#[test]
fn t1_tools_and_effort_none() {
    let request = format!(r#"{{{FUNCTION},"reasoning_effort":"none"}}"#);
    assert_t1(&request, &traits_of_t1(true, &WITH_NONE), false);
    assert_t1(&request, &traits_of_t1(true, &[Effort::Low]), true);
}

#[test]
fn t1_custom_tool() {
    let request = r#"{"tools":[{"type":"custom","custom":{"name":"f"}}],"reasoning_effort":"low"}"#;
    assert_t1(request, &traits_of_t1(true, &WITH_NONE), false);
}

#[test]
fn t10_the_vendor_takes_no_fewer_than_sixteen_tokens() {
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":1}"#;
    let rendered = rendered(Dialect::OpenAiChat, chat, Dialect::OpenAiResponses);
    assert_eq!(body(&rendered)["max_output_tokens"], 16);
    assert_eq!(rendered.losses[0].field, "max_tokens");
}

#[test]
fn t9_stop_sequences_are_refused() {
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stop":"x"}"#;
    let request = parse_request(Dialect::OpenAiChat, &raw(chat)).unwrap();
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let error = render_request(Dialect::OpenAiResponses, &request, target(&traits, &quirks));
    assert_eq!(error.unwrap_err().param(), Some("stop"));
}

#[test]
fn t17_a_call_id_is_cut_the_same_way_every_time() {
    let id = "x".repeat(90);
    let chat = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"{id}","content":"y"}}]}}"#
    );
    let rendered = rendered(Dialect::OpenAiChat, &chat, Dialect::OpenAiResponses);
    let input = &body(&rendered)["input"];
    assert_eq!(input[1]["call_id"].as_str().unwrap().len(), 64);
    assert_eq!(input[1]["call_id"], input[2]["call_id"]);
}

#[test]
fn t32_an_error_ends_the_stream_as_the_vendor_would() {
    let error = Error::upstream_invalid("The provider went away.");
    let out = render_stream_error(Dialect::OpenAiResponses, &error, "req_1");
    assert_eq!(
        out,
        "event: error\ndata: {\"type\":\"error\",\"code\":\"upstream_invalid\",\"message\":\"The provider went away.\",\"param\":null,\"sequence_number\":0}\n\n"
    );
    Schemas::new().check("error", &told(&out)[0]);
}

#[test]
fn t46_a_failed_response_is_no_success() {
    let body = br#"{"id":"resp_1","object":"response","status":"failed","error":{"code":"rate_limit_exceeded","message":"Slow down."},"output":[]}"#;
    let error = read_reply(Dialect::OpenAiResponses, &Bytes::from_static(body)).unwrap_err();
    assert_eq!(error.code(), "rate_limit_exceeded");
}

#[test]
fn an_item_of_another_shape_does_not_end_the_stream() {
    let stream = concat!(
        r#"data: {"type":"response.created","response":{"id":"resp_1","model":"m"}}"#,
        "\n\n",
        r#"data: {"type":"response.output_item.done","output_index":0,"item":{"type":"new_call","content":"x","summary":{},"error":"e"}}"#,
        "\n\n",
        r#"data: {"type":"response.new.event","part":7,"annotation":"x","error":"y","delta":{}}"#,
        "\n\n",
        r#"data: {"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[{"type":"new_call","content":"x"}]}}"#,
        "\n\n",
    );
    let (all, _) = frames(&[stream.as_bytes()]);
    let told = events(&mut *decoder(Dialect::OpenAiResponses), &all);
    assert!(matches!(told[1], Event::Lost(_)), "{told:?}");
    assert!(matches!(told.last(), Some(Event::Finish(_))), "{told:?}");
}
