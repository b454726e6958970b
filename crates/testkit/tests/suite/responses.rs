//! OpenAI's Responses: shapes by the OpenAPI document, order and numbers of events, what is kept, what is refused.

use crate::client::{Reply, exchange, post, request};
use crate::shapes::{Schemas, whole_scripts};
use serde_json::{Value, json};
use tollgate_testkit::{Dialect, SHORT_TEXT, TestProvider, UNICODE_TEXT};

const RESPONSES: &str = include_str!("../../schemas/openai-responses.json");

async fn create(provider: &TestProvider, body: &Value) -> Reply {
    post(provider, "/v1/responses", body).await
}

async fn send(provider: &TestProvider, method: &str, path: &str) -> Reply {
    exchange(
        provider.addr(),
        &request(method, path, "", "connection: close\r\n"),
    )
    .await
}

fn weather_tool() -> Value {
    json!([{"type": "function", "name": "get_weather", "strict": false,
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}}])
}

fn is_error_status(name: &str) -> bool {
    matches!(name.as_bytes(), [b'e', b'4' | b'5', ..])
}

/// The document's own example has `usage: null` before the end, where its schema has no null.
fn without_null_usage(mut event: Value) -> Value {
    let object = match event.get_mut("response") {
        Some(response) => response,
        None => &mut event,
    };
    if object.get("usage").is_some_and(Value::is_null) {
        object
            .as_object_mut()
            .expect("a response is an object")
            .remove("usage");
    }
    event
}

#[tokio::test]
async fn responses_have_openai_shape() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(RESPONSES);
    for name in whole_scripts() {
        let reply = create(&provider, &json!({"model": name, "input": "Hi"})).await;
        let value = reply.json();
        if is_error_status(name) || name.starts_with("error-") {
            if name != "e400-filter" {
                schemas.check("ErrorResponse", &value);
            }
        } else {
            schemas.check("Response", &value);
        }
    }
}

#[tokio::test]
async fn streams_have_openai_shape_order_and_numbers() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(RESPONSES);
    for name in whole_scripts().filter(|name| !is_error_status(name)) {
        let body = json!({"model": name, "input": "Hi", "stream": true, "include": ["reasoning.encrypted_content"],
            "reasoning": {"summary": "auto"}, "tools": weather_tool()});
        let reply = create(&provider, &body).await;
        assert_eq!((reply.status, reply.is_whole), (200, true), "{name}");
        let events = reply.events();
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], number, "{name}");
            let kind = event["type"].as_str().unwrap();
            assert!(
                reply.text().contains(&format!("event: {kind}")),
                "{name} {kind}"
            );
            schemas.check("ResponseStreamEvent", &without_null_usage(event.clone()));
        }
        if name.starts_with("error-") {
            assert_eq!(events.last().unwrap()["type"], "error", "{name}");
            continue;
        }
        if name == "no-finish" {
            continue;
        }
        let last = events.last().unwrap();
        let added: Vec<&Value> = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.done")
            .map(|event| &event["item"])
            .collect();
        let output: Vec<&Value> = last["response"]["output"]
            .as_array()
            .unwrap()
            .iter()
            .collect();
        assert_eq!(added, output, "{name}");
        let text: String = events
            .iter()
            .filter(|event| event["type"] == "response.output_text.delta")
            .filter_map(|event| event["delta"].as_str())
            .collect();
        let whole: String = output
            .iter()
            .flat_map(|item| item["content"].as_array().into_iter().flatten())
            .filter_map(|part| part["text"].as_str())
            .collect();
        assert_eq!(text, whole, "{name}");
    }
}

#[tokio::test]
async fn finishes_are_said_by_status() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    for (model, status, reason) in [
        ("text", "completed", Value::Null),
        ("max-tokens", "incomplete", json!("max_output_tokens")),
        ("content-filter", "incomplete", json!("content_filter")),
        ("failed", "failed", Value::Null),
        ("refusal", "completed", Value::Null),
    ] {
        let whole = create(&provider, &json!({"model": model, "input": "Hi"}))
            .await
            .json();
        assert_eq!(
            (&whole["status"], &whole["incomplete_details"]["reason"]),
            (&json!(status), &reason),
            "{model}"
        );
        let body = json!({"model": model, "input": "Hi", "stream": true});
        let last = create(&provider, &body).await.events().pop().unwrap();
        assert_eq!(last["type"], format!("response.{status}"), "{model}");
        assert_eq!(
            last["response"]["output"].as_array().map(Vec::len),
            whole["output"].as_array().map(Vec::len)
        );
    }
    let refusal = create(&provider, &json!({"model": "refusal", "input": "Hi"}))
        .await
        .json();
    assert_eq!(refusal["output"][0]["content"][0]["type"], "refusal");
    let cached = create(&provider, &json!({"model": "cached", "input": "Hi"}))
        .await
        .json();
    assert_eq!(
        cached["usage"],
        json!({"input_tokens": 1250, "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 230},
               "output_tokens": 40, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 1290})
    );
    let cited = create(&provider, &json!({"model": "citations", "input": "Hi"}))
        .await
        .json();
    assert_eq!(
        cited["output"][0]["content"][1]["annotations"][0]["url"],
        "https://example.com/paris"
    );
}

#[tokio::test]
async fn a_tool_loop_goes_round_with_sealed_reasoning_or_kept_state() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let user = json!({"role": "user", "content": "Weather?"});
    let first = json!({"model": "thinking-tool", "input": [user], "tools": weather_tool(), "store": false,
        "include": ["reasoning.encrypted_content"]});
    let output = create(&provider, &first).await.json()["output"].clone();
    let items = output.as_array().unwrap();
    assert!(items[0]["encrypted_content"].is_string());
    let call = items.last().unwrap();
    assert_eq!(
        (&call["type"], call["id"] == call["call_id"]),
        (&json!("function_call"), false)
    );
    let result =
        json!({"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"});
    let mut input = vec![user.clone()];
    input.extend(items.iter().cloned());
    input.push(result.clone());
    let second = json!({"model": "thinking-tool", "input": input, "tools": weather_tool()});
    let reply = create(&provider, &second).await;
    assert!(
        reply.text().contains("The tool said: sunny"),
        "{}",
        reply.text()
    );

    let mut broken = second.clone();
    broken["input"][1]["encrypted_content"] = json!("Zm9yZWlnbg==");
    assert_eq!(
        create(&provider, &broken).await.json()["error"]["code"],
        "invalid_encrypted_content"
    );

    let kept = create(
        &provider,
        &json!({"model": "tool", "input": "Weather?", "tools": weather_tool()}),
    )
    .await
    .json();
    let result = json!([{"type": "function_call_output", "call_id": kept["output"][0]["call_id"], "output": "rainy"}]);
    let next = json!({"model": "tool", "input": result, "previous_response_id": kept["id"]});
    assert!(
        create(&provider, &next)
            .await
            .text()
            .contains("The tool said: rainy")
    );
}

#[tokio::test]
async fn custom_tools_are_called_with_text() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(RESPONSES);
    let mut body = json!({"model": "custom-tool", "input": "Hi", "tools": [{"type": "custom", "name": "python"}]});
    let whole = create(&provider, &body).await.json();
    schemas.check("Response", &whole);
    assert_eq!(whole["output"][0]["type"], "custom_tool_call");
    body["stream"] = json!(true);
    let events = create(&provider, &body).await.events();
    for event in &events {
        schemas.check("ResponseStreamEvent", &without_null_usage(event.clone()));
    }
    let input: String = events
        .iter()
        .filter(|event| event["type"] == "response.custom_tool_call_input.delta")
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(input, whole["output"][0]["input"]);
}

#[tokio::test]
async fn responses_are_kept_listed_and_deleted() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(RESPONSES);
    let body = json!({"model": "unicode", "input": [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}, {"role": "user", "content": "Three"}]});
    let made = create(&provider, &body).await.json();
    let id = made["id"].as_str().unwrap();
    let got = send(&provider, "GET", &format!("/v1/responses/{id}"))
        .await
        .json();
    assert_eq!(got, made);
    assert_eq!(got["output"][0]["content"][0]["text"], UNICODE_TEXT);
    let list = send(
        &provider,
        "GET",
        &format!("/v1/responses/{id}/input_items?order=asc&limit=2"),
    )
    .await
    .json();
    schemas.check("ResponseItemList", &list);
    assert_eq!(
        (list["data"].as_array().map(Vec::len), &list["has_more"]),
        (Some(2), &json!(true))
    );
    assert_eq!(list["data"][0]["content"][0]["text"], "One");
    assert_eq!(
        send(&provider, "POST", &format!("/v1/responses/{id}/cancel"))
            .await
            .status,
        400
    );
    assert_eq!(
        send(&provider, "DELETE", &format!("/v1/responses/{id}"))
            .await
            .json()["deleted"],
        true
    );
    assert_eq!(
        send(&provider, "GET", &format!("/v1/responses/{id}"))
            .await
            .status,
        404
    );
    let gone = json!({"model": "text", "input": "Hi", "previous_response_id": id});
    assert_eq!(
        create(&provider, &gone).await.json()["error"]["code"],
        "previous_response_not_found"
    );
    let unkept = create(
        &provider,
        &json!({"model": "text", "input": "Hi", "store": false}),
    )
    .await
    .json();
    let path = format!("/v1/responses/{}", unkept["id"].as_str().unwrap());
    assert_eq!(send(&provider, "GET", &path).await.status, 404);
}

#[tokio::test]
async fn background_responses_are_polled_and_cancelled() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(RESPONSES);
    let body = json!({"model": "text", "input": "Hi", "background": true});
    let queued = create(&provider, &body).await.json();
    assert_eq!(queued["status"], "queued");
    schemas.check("Response", &without_null_usage(queued.clone()));
    let path = format!("/v1/responses/{}", queued["id"].as_str().unwrap());
    assert_eq!(
        send(&provider, "GET", &path).await.json()["status"],
        "in_progress"
    );
    let done = send(&provider, "GET", &path).await.json();
    assert_eq!(
        (&done["status"], &done["output"][0]["content"][0]["text"]),
        (&json!("completed"), &json!(SHORT_TEXT))
    );
    let other = create(&provider, &body).await.json();
    let path = format!("/v1/responses/{}/cancel", other["id"].as_str().unwrap());
    assert_eq!(
        send(&provider, "POST", &path).await.json()["status"],
        "cancelled"
    );
}

#[tokio::test]
async fn tokens_are_counted() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let body = json!({"model": "text", "input": "one two three"});
    let counted = post(&provider, "/v1/responses/input_tokens", &body)
        .await
        .json();
    Schemas::new(RESPONSES).check("TokenCountsResource", &counted);
    assert_eq!(counted["input_tokens"], 3);
}

#[tokio::test]
async fn what_responses_refuses_is_refused() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let with = |field: &str, value: Value| {
        let mut body = json!({"model": "text", "input": "Hi"});
        body[field] = value;
        body
    };
    let orphan = json!([{"type": "function_call_output", "call_id": "call_1", "output": "x"}]);
    let open =
        json!([{"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}]);
    for (body, wanted) in [
        (with("stop", json!("x")), "Unknown parameter: 'stop'."),
        (
            with("messages", json!([])),
            "Unknown parameter: 'messages'.",
        ),
        (
            with("max_tokens", json!(20)),
            "Unknown parameter: 'max_tokens'.",
        ),
        (with("n", json!(2)), "Unknown parameter: 'n'."),
        (
            with("max_output_tokens", json!(15)),
            "Expected a value >= 16, but got 15 instead.",
        ),
        (
            with("input", orphan),
            "No tool call found for function call output with call_id call_1.",
        ),
        (
            with("input", open),
            "No tool output found for function call call_1.",
        ),
        (
            with(
                "input",
                json!([{"role": "user", "content": [{"type": "text", "text": "x"}]}]),
            ),
            "Invalid value: 'text'.",
        ),
        (
            with("input", json!([{"role": "tool", "content": "x"}])),
            "Invalid value: 'tool'.",
        ),
        (with("input", json!([])), "Invalid 'input': empty array."),
        (
            with(
                "input",
                json!([{"role": "user", "content": "x", "name": "y"}]),
            ),
            "Unknown parameter: 'input[0].name'.",
        ),
        (
            with(
                "tools",
                json!([{"type": "function", "function": {"name": "f"}}]),
            ),
            "Unknown parameter: 'tools[0].function'.",
        ),
        (
            with("tool_choice", json!({"type": "function", "name": "g"})),
            "Tool choice 'g' not found",
        ),
        (
            with(
                "text",
                json!({"format": {"type": "json_schema", "json_schema": {}}}),
            ),
            "Missing required parameter: 'text.format.name'.",
        ),
        (
            with("include", json!(["nonsense"])),
            "Invalid value: \\\"nonsense\\\".",
        ),
        (
            with("reasoning", json!({"effort": "huge"})),
            "Invalid value: \\\"huge\\\".",
        ),
        (with("temperature", json!(3)), "Invalid 'temperature'"),
        (
            with("previous_response_id", json!("resp_none")),
            "Previous response with id 'resp_none' not found.",
        ),
    ] {
        let reply = create(&provider, &body).await;
        assert_eq!(reply.status, 400, "{body}\n{}", reply.text());
        assert!(reply.text().contains(wanted), "{wanted}\n{}", reply.text());
    }
}

#[tokio::test]
async fn chat_refuses_function_tools_while_the_model_reasons() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for (model, effort, is_refused) in [
        ("gpt-5.6-terra", None, true),
        ("gpt-5.6-terra", Some("low"), true),
        ("gpt-5.6-terra", Some("none"), false),
        ("tool:gpt-6-astra", Some("none"), true),
        ("tool:gpt-5.4", None, false),
        ("tool:gpt-5.4", Some("high"), true),
        ("tool:gpt-5.2", Some("high"), false),
        ("tool", Some("high"), false),
    ] {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}], "tools": tools});
        if let Some(effort) = effort {
            body["reasoning_effort"] = json!(effort);
        }
        let reply = post(&provider, "/v1/chat/completions", &body).await;
        assert_eq!(
            reply.status == 400,
            is_refused,
            "{model} {effort:?} {}",
            reply.text()
        );
        if is_refused {
            let message = format!(
                "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."
            );
            let error = json!({"message": message, "type": "invalid_request_error", "param": "reasoning_effort", "code": null});
            assert_eq!(reply.json()["error"], error);
        }
        body.as_object_mut().unwrap().remove("tools");
        assert_eq!(
            post(&provider, "/v1/chat/completions", &body).await.status,
            200,
            "{model}"
        );
    }
    let custom = json!({"model": "gpt-5.6", "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "custom", "custom": {"name": "c"}}]});
    assert_eq!(
        post(&provider, "/v1/chat/completions", &custom)
            .await
            .status,
        200
    );
}
