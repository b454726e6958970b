//! What is asked, and how it reaches a provider.

use crate::support::{Service, chat_body, messages_body};

#[tokio::test]
async fn the_same_dialect_passes_bytes_through_but_for_the_model() {
    let service = Service::start().await;
    let body = r#"{ "messages" : [ {"role":"user","content":"caf\u00e9 😀"} ],
  "model":"oai/text",  "stop": ["\u0031\u002e"], "temperature":0.50 }"#;
    let answer = service.chat(body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("x-tollgate-target"), Some("oai/text"));
    assert_eq!(answer.header("x-tollgate-loss"), None);
    let sent = service.openai.records().remove(0);
    let sent_id = sent.header("x-client-request-id").unwrap().to_owned();
    assert_eq!(
        sent_id,
        format!("{}-1", answer.header("x-request-id").unwrap())
    );
    let expected: serde_json::Value =
        serde_json::from_str(&body.replace("oai/text", "text")).unwrap();
    assert_eq!(sent.body, expected);
}

#[tokio::test]
async fn a_loss_is_named_and_in_strict_mode_refused() {
    let service = Service::start().await;
    let body = r#"{"model":"ant/text","seed":7,"logit_bias":{"5":1},"messages":[{"role":"user","content":"x"}]}"#;
    let answer = service.chat(body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let losses = answer.header("x-tollgate-loss").unwrap();
    assert!(
        losses.starts_with("dropped=") && losses.contains("seed") && losses.contains("logit_bias"),
        "{losses}"
    );

    let strict = service
        .post("/v1/chat/completions", body)
        .replace("Host:", "x-tollgate-strict: true\r\nHost:");
    let answer = service.raw(&strict).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "unsupported_value")
    );
    assert!(
        answer.body.contains("seed") && answer.body.contains("logit_bias"),
        "{}",
        answer.body
    );
    assert_eq!(service.anthropic.records().len(), 1);
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_the_routes_dialect() {
    let service = Service::start().await;
    for (body, code) in [
        ("", "invalid_json"),
        ("{\"model\":", "invalid_json"),
        ("[]", "invalid_value"),
        (
            r#"{"model":"a","\u006dodel":"b","messages":[]}"#,
            "duplicate_field",
        ),
        (
            r#"{"model":"nope","messages":[{"role":"user","content":"x"}]}"#,
            "model_not_found",
        ),
        (r#"{"model":"oai/text","messages":[]}"#, "invalid_value"),
        (
            r#"{"model":"oai/text","base_url":"http://evil","messages":[{"role":"user","content":"x"}]}"#,
            "unknown_field",
        ),
    ] {
        let answer = service.chat(body).await;
        assert_eq!(answer.code(), code, "{body}: {}", answer.body);
        let answer = service.messages(body).await;
        assert_eq!(answer.json()["type"], "error", "{body}");
        assert!(answer.status == 400 || answer.status == 404, "{body}");
    }
    assert!(service.openai.records().is_empty() && service.anthropic.records().is_empty());
}

#[tokio::test]
async fn j32_a_body_that_is_too_large_is_refused_by_its_length() {
    let service = Service::start().await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        service.key.expose(),
        33 << 20
    );
    let answer = service.raw(&head).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "request_too_large")
    );
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn wrong_paths_methods_and_media_are_told_apart() {
    let service = Service::start().await;
    let answer = service.raw(&service.post("/v1/nothing", "{}")).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    let answer = service
        .raw("GET /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    let plain = service
        .post("/v1/chat/completions", "{}")
        .replace("application/json", "text/plain");
    let answer = service.raw(&plain).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (415, "unsupported_media_type")
    );
}

#[tokio::test]
async fn t47_models_are_listed_in_the_shape_of_the_asking_client() {
    let service = Service::start().await;
    let key = service.key.expose();
    let get = |path: &str, headers: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{headers}\r\n")
    };
    let openai = service.raw(&get("/v1/models", "")).await.json();
    assert_eq!(openai["object"], "list");
    assert!(
        openai["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|model| model["id"] == "tollgate-demo")
    );
    let anthropic = service
        .raw(&get(
            "/v1/models?limit=1",
            "anthropic-version: 2026-10-21\r\n",
        ))
        .await
        .json();
    assert_eq!(
        (
            anthropic["data"][0]["type"].as_str(),
            anthropic["has_more"].as_bool()
        ),
        (Some("model"), Some(true))
    );
    let one = service
        .raw(&get("/v1/models/tollgate-demo", ""))
        .await
        .json();
    assert_eq!(one["id"], "tollgate-demo");
    let none = service.raw(&get("/v1/models/nope", "")).await;
    assert_eq!(
        (none.status, none.code().as_str()),
        (404, "model_not_found")
    );
}

#[tokio::test]
async fn health_needs_no_key_and_says_little() {
    let service = Service::start().await;
    for (path, word) in [("/health/live", "ok"), ("/health/ready", "ready")] {
        let answer = service
            .raw(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (200, word));
    }
}

#[tokio::test]
async fn the_built_in_model_answers_both_dialects_and_counts() {
    let service = Service::start().await;
    let chat = service
        .chat(&chat_body("tollgate-demo", false))
        .await
        .json();
    assert!(
        !chat["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .is_empty()
    );
    assert!(chat["usage"]["prompt_tokens"].as_u64().unwrap() > 0);
    let messages = service
        .messages(&messages_body("tollgate-demo", false))
        .await
        .json();
    assert_eq!(messages["type"], "message");
    assert!(messages["usage"]["output_tokens"].as_u64().unwrap() > 0);
    let long = format!(
        r#"{{"model":"tollgate-demo","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "word ".repeat(5000)
    );
    let refused = service.chat(&long).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "context_length_exceeded")
    );
}
