//! The Gemini side: shapes by the discovery document, and the requests that Google refuses.

use crate::client::{Reply, ask, exchange, post, request};
use crate::shapes::{Schemas, whole_scripts};
use serde_json::{Value, json};
use tollgate_testkit::{Dialect, SHORT_TEXT, THINKING_TEXT, TestProvider, sign_thinking};

const GEMINI: &str = include_str!("../../schemas/gemini.json");

async fn generate(provider: &TestProvider, model: &str, body: &Value) -> Reply {
    post(
        provider,
        &format!("/v1beta/models/{model}:generateContent"),
        body,
    )
    .await
}

fn weather_tool() -> Value {
    json!([{"functionDeclarations": [{
        "name": "get_weather",
        "parametersJsonSchema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
    }]}])
}

fn is_error_status(name: &str) -> bool {
    matches!(name.as_bytes(), [b'e', b'4' | b'5', ..])
}

#[track_caller]
fn check_error(schemas: &Schemas, value: &Value, name: &str) {
    let mut error = value["error"].clone();
    // The wire names the code's word `status`, which `google.rpc.Status` itself does not have.
    let status = error
        .as_object_mut()
        .expect("an error is an object")
        .remove("status");
    assert!(status.is_some_and(|status| status.is_string()), "{name}");
    schemas.check("Status", &error);
}

#[tokio::test]
async fn answers_have_googles_shape() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let schemas = Schemas::new(GEMINI);
    for name in whole_scripts() {
        let reply = ask(&provider, name, false).await;
        let value = reply.json();
        let is_error = value.get("error").is_some();
        assert_eq!(
            is_error,
            is_error_status(name) || name.starts_with("error-"),
            "{name}"
        );
        if is_error {
            check_error(&schemas, &value, name);
        } else {
            schemas.check("GenerateContentResponse", &value);
        }
    }
}

#[tokio::test]
async fn streams_have_googles_shape_as_events_and_as_an_array() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let schemas = Schemas::new(GEMINI);
    let body = crate::client::body(Dialect::Gemini, "", true);
    // The end marker of the array is its bracket, which `no-done` leaves out.
    for name in whole_scripts().filter(|name| !is_error_status(name) && *name != "no-done") {
        let sse = ask(&provider, name, true).await;
        assert_eq!((sse.status, sse.is_whole), (200, true), "{name}");
        let path = format!("/v1beta/models/{name}:streamGenerateContent");
        let array = post(&provider, &path, &body).await;
        assert_eq!(
            array.header("content-type"),
            Some(if name == "wrong-type" {
                "text/plain"
            } else {
                "application/json; charset=UTF-8"
            }),
            "{name}"
        );
        let array: Vec<Value> = serde_json::from_value(array.json()).unwrap();
        let events = sse.events();
        assert_eq!(array.len(), events.len(), "{name}");
        for event in events.iter().chain(&array) {
            if event.get("error").is_some() {
                check_error(&schemas, event, name);
            } else {
                schemas.check("GenerateContentResponse", event);
            }
        }
        let text = |events: &[Value]| -> String {
            events
                .iter()
                .filter_map(|event| event["candidates"][0]["content"]["parts"][0]["text"].as_str())
                .collect()
        };
        assert_eq!(text(&events), text(&array), "{name}");
        let finishes = events
            .iter()
            .filter(|event| {
                event["candidates"][0]["finishReason"].is_string()
                    || event["promptFeedback"].is_object()
            })
            .count();
        let is_cut = name.starts_with("error-") || name == "no-finish";
        assert_eq!(finishes, usize::from(!is_cut), "{name}");
    }
}

#[tokio::test]
async fn signatures_stand_where_gemini_puts_them() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let ask_for = |thoughts: bool| {
        json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "tools": weather_tool(),
               "generationConfig": {"thinkingConfig": {"includeThoughts": thoughts}}})
    };
    let text = generate(&provider, "thinking", &ask_for(true)).await.json();
    let parts = &text["candidates"][0]["content"]["parts"];
    assert_eq!(
        (&parts[0]["text"], &parts[0]["thought"], &parts[1]["text"]),
        (&json!(THINKING_TEXT), &json!(true), &json!(SHORT_TEXT))
    );
    assert_eq!(parts[1]["thoughtSignature"], sign_thinking(THINKING_TEXT));
    let hidden = generate(&provider, "thinking", &ask_for(false))
        .await
        .json();
    assert_eq!(
        hidden["candidates"][0]["content"]["parts"][0]["text"],
        SHORT_TEXT
    );
    assert!(hidden["usageMetadata"]["thoughtsTokenCount"].as_u64() > Some(0));
    let streamed = post(
        &provider,
        "/v1beta/models/thinking:streamGenerateContent?alt=sse",
        &ask_for(false),
    )
    .await;
    let last = streamed.events().pop().unwrap();
    let alone = &last["candidates"][0]["content"]["parts"][0];
    assert_eq!(
        (
            &alone["text"],
            &alone["thoughtSignature"],
            &last["candidates"][0]["finishReason"]
        ),
        (
            &json!(""),
            &json!(sign_thinking(THINKING_TEXT)),
            &json!("STOP")
        )
    );
    let calls = generate(&provider, "parallel-tools:gemini-3", &ask_for(false))
        .await
        .json();
    let parts = &calls["candidates"][0]["content"]["parts"];
    assert!(parts[0]["thoughtSignature"].is_string() && parts[1]["thoughtSignature"].is_null());
    assert!(parts[0]["functionCall"]["id"].is_string());
    let older = generate(&provider, "tool", &ask_for(false)).await.json();
    let call = &older["candidates"][0]["content"]["parts"][0];
    assert!(call["thoughtSignature"].is_null() && call["functionCall"]["id"].is_null());
    let record = provider.wait_for_end(|record| record.stream).await;
    assert!(record.billed.unwrap().reasoning > 0);
}

#[tokio::test]
async fn a_late_finish_comes_without_content() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let late = ask(&provider, "late-finish", true).await.events();
    let last = &late.last().unwrap()["candidates"][0];
    assert_eq!(
        (&last["content"], &last["finishReason"]),
        (&Value::Null, &json!("STOP"))
    );
    let usual = ask(&provider, "tool", true).await.events();
    let last = &usual.last().unwrap()["candidates"][0];
    assert!(last["content"]["parts"][0]["functionCall"].is_object());
}

#[tokio::test]
async fn a_tool_loop_goes_round() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let user = json!({"role": "user", "parts": [{"text": "Weather?"}]});
    let first = json!({"contents": [user], "tools": weather_tool()});
    let model =
        generate(&provider, "thinking-tool", &first).await.json()["candidates"][0]["content"]
            .clone();
    let name = "get_weather";
    let result = json!({"role": "user", "parts": [{"functionResponse": {"name": name, "response": {"result": "sunny"}}}]});
    let second = json!({"contents": [user, model, result], "tools": weather_tool()});
    let reply = generate(&provider, "thinking-tool", &second).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.text().contains("The tool said: sunny"));

    let without = |part: usize| {
        let mut body = second.clone();
        body["contents"][1]["parts"][part]
            .as_object_mut()
            .unwrap()
            .remove("thoughtSignature");
        body
    };
    let call = model["parts"]
        .as_array()
        .unwrap()
        .iter()
        .position(|part| part["functionCall"].is_object())
        .unwrap();
    let refused = generate(&provider, "thinking-tool", &without(call)).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .text()
            .contains("missing a thought_signature in functionCall parts")
    );
    assert_eq!(
        generate(&provider, "tool", &without(call)).await.status,
        200
    );
    let mut dummy = second.clone();
    dummy["contents"][1]["parts"][call]["thoughtSignature"] =
        json!("skip_thought_signature_validator");
    assert_eq!(
        generate(&provider, "thinking-tool", &dummy).await.status,
        200
    );
    let mut edited = second.clone();
    edited["contents"][1]["parts"][call]["functionCall"]["args"] = json!({"location": "Rome"});
    assert_eq!(
        generate(&provider, "thinking-tool", &edited).await.status,
        400
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of refusals")]
async fn what_google_refuses_is_refused() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let schemas = Schemas::new(GEMINI);
    let user = json!({"role": "user", "parts": [{"text": "Hi"}]});
    let model_turn = json!({"role": "model", "parts": [{"text": "Ho"}]});
    let calls = json!({"role": "model", "parts": [
        {"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "g", "args": {}}}]});
    let one =
        json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]});
    let config = |config: Value| json!({"contents": [user], "generationConfig": config});
    for (model, body, wanted) in [
        ("text", json!({}), "contents is not specified"),
        (
            "text",
            json!({"contents": [user], "nonsense": 1}),
            "Unknown name \\\"nonsense\\\": Cannot find field.",
        ),
        (
            "text",
            config(json!({"nonsense": 1})),
            "Unknown name \\\"nonsense\\\" at 'generation_config'",
        ),
        (
            "text",
            json!({"contents": [{"role": "user", "parts": [{"text": "a", "kind": 1}]}]}),
            "at 'contents[0].parts[0]'",
        ),
        (
            "text",
            json!({"contents": [{"role": "user", "parts": []}]}),
            "parts must not be empty",
        ),
        (
            "text",
            json!({"contents": [{"role": "user", "parts": [{}]}]}),
            "must have one initialized field",
        ),
        (
            "text",
            json!({"contents": [{"role": "user", "parts": [{"text": ""}]}]}),
            "must have a text parameter",
        ),
        (
            "text",
            json!({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}),
            "valid role",
        ),
        (
            "text",
            json!({"contents": [user, calls, one]}),
            "number of function response parts is equal",
        ),
        (
            "text",
            json!({"contents": [user, one]}),
            "immediately after a function call turn",
        ),
        (
            "text",
            config(json!({"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}})),
            "only one of thinking budget and thinking level",
        ),
        (
            "text:gemini-2.5-pro",
            config(json!({"thinkingConfig": {"thinkingLevel": "LOW"}})),
            "not supported for this model",
        ),
        (
            "gemini-3.8-flash",
            config(json!({"thinkingConfig": {"thinkingLevel": "minimal"}})),
            "'minimal' is not a supported thinking level",
        ),
        (
            "text",
            config(json!({"temperature": 4})),
            "temperature must be in the range",
        ),
        (
            "text",
            config(json!({"stopSequences": ["a", "b", "c", "d", "e", "f"]})),
            "at most 5",
        ),
        (
            "text",
            config(
                json!({"responseSchema": {"type": "OBJECT"}, "responseJsonSchema": {"type": "object"}}),
            ),
            "mutually exclusive",
        ),
        (
            "text",
            config(json!({"responseJsonSchema": {"type": "object"}})),
            "response mime type",
        ),
        (
            "text:user-last",
            json!({"contents": [user, model_turn]}),
            "ending with a model turn",
        ),
        (
            "gemini-3.6-flash",
            json!({"contents": [user, model_turn]}),
            "ending with a model turn",
        ),
        (
            "text",
            json!({"contents": [user], "tools": [{"functionDeclarations": [{"name": "bad name"}]}]}),
            "Invalid function name",
        ),
        (
            "text",
            json!({"contents": [user], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
            "no function declarations",
        ),
    ] {
        let reply = generate(&provider, model, &body).await;
        assert_eq!(reply.status, 400, "{body}\n{}", reply.text());
        assert!(reply.text().contains(wanted), "{wanted}\n{}", reply.text());
        check_error(&schemas, &reply.json(), wanted);
    }
    assert_eq!(
        generate(&provider, "text", &json!({"contents": [user, model_turn]}))
            .await
            .status,
        200
    );
    let snake = json!({"contents": [user], "generation_config": {"max_output_tokens": 3}});
    let cut = generate(&provider, "text", &snake).await.json();
    assert_eq!(cut["candidates"][0]["finishReason"], "MAX_TOKENS");
}

#[tokio::test]
async fn structured_output_follows_either_schema() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    for (field, kind, number) in [
        ("responseSchema", "OBJECT", "INTEGER"),
        ("responseJsonSchema", "object", "integer"),
    ] {
        let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {
            "responseMimeType": "application/json",
            field: {"type": kind, "properties": {"n": {"type": number}}, "required": ["n"]}
        }});
        let reply = generate(&provider, "json", &body).await.json();
        let text = reply["candidates"][0]["content"]["parts"][0]["text"]
            .as_str()
            .unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(text).unwrap(),
            json!({"n": 7}),
            "{field}"
        );
    }
}

#[tokio::test]
async fn usage_counts_as_google_counts() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let usage = ask(&provider, "cached", false).await.json()["usageMetadata"].clone();
    assert_eq!(
        (
            &usage["promptTokenCount"],
            &usage["cachedContentTokenCount"],
            &usage["candidatesTokenCount"],
            &usage["totalTokenCount"]
        ),
        (&json!(1250), &json!(1000), &json!(40), &json!(1290))
    );
    let cited = ask(&provider, "citations", true)
        .await
        .events()
        .pop()
        .unwrap();
    let support = &cited["candidates"][0]["groundingMetadata"]["groundingSupports"][0];
    assert_eq!(
        support["segment"]["startIndex"],
        "According to the source, ".len()
    );
    let blocked = ask(&provider, "refusal", false).await.json();
    assert_eq!(
        (
            &blocked["promptFeedback"]["blockReason"],
            &blocked["candidates"]
        ),
        (&json!("PROHIBITED_CONTENT"), &Value::Null)
    );
    let filtered = ask(&provider, "content-filter", false).await.json();
    assert_eq!(filtered["candidates"][0]["finishReason"], "SAFETY");
}

#[tokio::test]
async fn waiting_is_told_in_the_body() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let reply = ask(&provider, "e429:21", false).await;
    assert_eq!(reply.header("retry-after"), None);
    let details = &reply.json()["error"]["details"];
    assert_eq!(
        details[0]["@type"],
        "type.googleapis.com/google.rpc.RetryInfo"
    );
    assert_eq!(details[0]["retryDelay"], "21s");
    let once = ask(&provider, "e429-once", false).await.json();
    assert_eq!(once["error"]["details"][0]["retryDelay"], "0.020s");
    let quota = ask(&provider, "e429-quota", false).await.json();
    assert_eq!(quota["error"]["details"][1]["retryDelay"], "39600s");
}

#[tokio::test]
async fn other_endpoints_have_googles_shape() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let schemas = Schemas::new(GEMINI);
    let content = json!({"role": "user", "parts": [{"text": "one two three"}]});
    let at = |verb: &str| format!("/v1beta/models/gemini-embedding-001:{verb}");
    for body in [
        json!({"contents": [content]}),
        json!({"generateContentRequest": {"model": "models/text", "contents": [content]}}),
    ] {
        let counted = post(&provider, "/v1beta/models/text:countTokens", &body)
            .await
            .json();
        schemas.check("CountTokensResponse", &counted);
        assert_eq!(counted["totalTokens"], 3);
    }
    let one = json!({"content": content, "outputDimensionality": 8});
    let embedded = post(&provider, &at("embedContent"), &one).await.json();
    schemas.check("EmbedContentResponse", &embedded);
    assert_eq!(
        embedded["embedding"]["values"].as_array().map(Vec::len),
        Some(8)
    );
    let batch = json!({"requests": [
        {"model": "models/gemini-embedding-001", "content": content},
        {"model": "models/gemini-embedding-001", "content": content}]});
    let embedded = post(&provider, &at("batchEmbedContents"), &batch)
        .await
        .json();
    schemas.check("BatchEmbedContentsResponse", &embedded);
    assert_eq!(embedded["embeddings"].as_array().map(Vec::len), Some(2));
    let get = |path: &'static str| {
        let addr = provider.addr();
        async move { exchange(addr, &request("GET", path, "", "connection: close\r\n")).await }
    };
    let page = get("/v1beta/models?pageSize=2").await.json();
    schemas.check("ListModelsResponse", &page);
    assert_eq!(page["models"][0]["name"], "models/text");
    let next = get("/v1beta/models?pageSize=2&pageToken=2").await.json();
    assert_ne!(next["models"][0], page["models"][0]);
    schemas.check("Model", &get("/v1beta/models/text").await.json());
    assert_eq!(get("/v1beta/models/none").await.status, 404);
}

#[tokio::test]
async fn keys_come_in_three_ways_and_are_not_recorded() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}).to_string();
    let send = |query: &str, header: &str| {
        let head = format!(
            "POST /v1beta/models/text:generateContent{query} HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\nconnection: close\r\n{header}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let addr = provider.addr();
        async move { exchange(addr, head.as_bytes()).await }
    };
    for (query, header, status) in [
        ("", "x-goog-api-key: test-secret\r\n", 200),
        ("?key=test-secret", "", 200),
        ("", "authorization: Bearer test-secret\r\n", 200),
        ("", "", 403),
        ("?key=wrong-secret", "", 400),
    ] {
        assert_eq!(send(query, header).await.status, status, "{query} {header}");
    }
    assert!(!format!("{:?}", provider.records()).contains("-secret"));
}
