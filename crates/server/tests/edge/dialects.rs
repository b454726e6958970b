//! Dialects and clouds that are spoken to in forms of their own.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write requests as they read"
)]

use serde_json::json;

use crate::{
    asks::{ask, read},
    support::Service,
};

#[tokio::test]
async fn gemini_is_spoken_with_its_paths_its_keys_and_its_streams() {
    let service = Service::start().await;
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}).to_string();
    for provider in ["ant", "oai", "gem"] {
        for (verb, wanted) in [
            ("generateContent", "\"finishReason\""),
            ("streamGenerateContent?alt=sse", "data: {"),
            ("streamGenerateContent", "[{"),
        ] {
            let key = service.key.expose();
            let separator = if verb.contains('?') { '&' } else { '?' };
            let request = format!(
                "POST /v1beta/models/{provider}/text:{verb}{separator}key={key} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = service.raw(&request).await;
            assert_eq!(answer.status, 200, "{provider} {verb}: {answer:?}");
            assert!(
                answer.body.contains(wanted),
                "{provider} {verb}: {answer:?}"
            );
            if wanted == "[{" {
                let list = read(&answer);
                assert!(
                    list.as_array().is_some_and(|list| !list.is_empty()),
                    "{list}"
                );
            }
        }
    }
    let listed = service
        .raw(&format!(
            "GET /v1beta/models?pageSize=3&key={} HTTP/1.1\r\nHost: t\r\n\r\n",
            service.key.expose()
        ))
        .await;
    assert!(
        read(&listed)["models"][0]["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("models/")),
        "{listed:?}"
    );
}

#[tokio::test]
async fn a_key_in_the_address_is_read_for_gemini_alone() {
    let service = Service::start().await;
    let request = format!(
        "GET /v1/files?key={} HTTP/1.1\r\nHost: t\r\n\r\n",
        service.key.expose()
    );
    assert_eq!(service.raw(&request).await.status, 401);
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_or_estimated_and_said_so() {
    let service = Service::start().await;
    let body = json!({"model": "ant/text", "messages": [{"role": "user", "content": "hello"}]});
    let counted = ask(&service, "/v1/messages/count_tokens", &body).await;
    assert_eq!(counted.status, 200, "{counted:?}");
    assert!(
        read(&counted)["input_tokens"]
            .as_u64()
            .is_some_and(|n| n > 0)
    );
    assert!(
        !counted
            .headers
            .iter()
            .any(|(name, _)| name == "x-tollgate-estimate")
    );
    let body = json!({"model": "oai/text", "input": "hello"});
    let estimated = ask(&service, "/v1/responses/input_tokens", &body).await;
    assert!(
        read(&estimated)["input_tokens"]
            .as_u64()
            .is_some_and(|n| n > 0),
        "{estimated:?}"
    );
    assert!(
        estimated
            .headers
            .iter()
            .any(|(name, _)| name == "x-tollgate-estimate")
    );
}

#[tokio::test]
async fn clouds_are_spoken_to_in_their_own_forms() {
    let service = Service::start().await;
    for stream in [false, true] {
        for model in [
            "rock/anthropic.text",
            "signed/anthropic.text",
            "azu/text",
            "vert/text",
        ] {
            let answer = service
                .chat(&crate::support::chat_body(model, stream))
                .await;
            assert_eq!(answer.status, 200, "{model} {stream}: {answer:?}");
            assert_eq!(answer.body.contains("[DONE]"), stream, "{answer:?}");
            let messages = crate::support::messages_body(model, stream);
            let answer = service.messages(&messages).await;
            assert_eq!(answer.status, 200, "{model} {stream}: {answer:?}");
            assert_eq!(
                answer.body.contains("event: message_stop"),
                stream,
                "{answer:?}"
            );
        }
    }
    assert!(
        !service
            .gemini
            .records()
            .iter()
            .any(|record| record.status == 0)
    );
    let sent = &service.anthropic.records()[0];
    assert_eq!(sent.body["anthropic_version"], "bedrock-2023-05-31");
    assert!(sent.body.get("model").is_none() && sent.body.get("stream").is_none());
}

#[tokio::test]
async fn t1_a_model_that_takes_tools_in_responses_alone_is_asked_there_whoever_calls() {
    let service = Service::start().await;
    let parameters = json!({"type": "object", "properties": {}});
    let chat = json!({"model": "full/gpt-5.6", "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]});
    let messages = json!({"model": "full/gpt-5.6", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"name": "f", "input_schema": parameters}]});
    for (path, body) in [("/v1/chat/completions", chat), ("/v1/messages", messages)] {
        let answer = ask(&service, path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let record = service.openai.records().pop().unwrap();
        assert!(
            record.path.ends_with("/responses"),
            "{path}: {}",
            record.path
        );
    }
}
