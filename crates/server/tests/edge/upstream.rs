//! What a failing provider looks like from outside.

use tollgate_testkit::TestProvider;

use crate::support::{Service, chat_body, messages_body};

fn attempts(provider: &TestProvider) -> usize {
    provider.records().len()
}

#[tokio::test]
async fn a_failure_that_a_second_try_mends_is_not_seen() {
    let service = Service::start_with("[retry]\nbase_delay = \"10ms\"\n").await;
    for scenario in ["e500-once", "e503-once", "e429-once:0"] {
        service.openai.clear();
        let answer = service
            .chat(&chat_body(&format!("oai/{scenario}"), true))
            .await;
        assert_eq!(answer.status, 200, "{scenario}: {}", answer.body);
        assert_eq!(attempts(&service.openai), 2, "{scenario}");
    }
}

#[tokio::test]
async fn failures_keep_their_meaning_in_both_dialects() {
    let service = Service::start_with("[retry]\nbase_delay = \"10ms\"\nmax_attempts = 1\n").await;
    // Scenario, status and code for a chat client, status and type for a messages client.
    let cases = [
        (
            "e400-context",
            400,
            "context_length_exceeded",
            400,
            "invalid_request_error",
        ),
        ("e401", 502, "upstream_auth", 502, "api_error"),
        ("e404", 404, "model_not_found", 404, "not_found_error"),
        ("e429", 429, "rate_limit_exceeded", 429, "rate_limit_error"),
        ("e503", 503, "", 529, "overloaded_error"),
        ("e529", 503, "", 529, "overloaded_error"),
        ("html", 502, "upstream_invalid", 502, "api_error"),
        ("redirect", 502, "", 502, "api_error"),
        ("bad-framing", 502, "", 502, "api_error"),
        ("empty", 502, "upstream_invalid", 502, "api_error"),
    ];
    for (scenario, chat_status, code, messages_status, kind) in cases {
        for provider in ["oai", "ant"] {
            let model = format!("{provider}/{scenario}");
            let chat = service.chat(&chat_body(&model, false)).await;
            assert_eq!(chat.status, chat_status, "{model}: {}", chat.body);
            if !code.is_empty() {
                assert_eq!(chat.code(), code, "{model}: {}", chat.body);
            }
            let messages = service.messages(&messages_body(&model, false)).await;
            assert_eq!(
                messages.status, messages_status,
                "{model}: {}",
                messages.body
            );
            assert_eq!(messages.error_type(), kind, "{model}: {}", messages.body);
            for answer in [chat, messages] {
                assert!(
                    !answer.body.contains("canary") && !answer.body.contains("127.0.0.1"),
                    "{}",
                    answer.body
                );
            }
        }
    }
}

#[tokio::test]
async fn a_client_error_is_sent_once_and_a_provider_error_at_most_twice() {
    let service = Service::start_with("[retry]\nbase_delay = \"10ms\"\n").await;
    for (scenario, sent) in [
        ("e400-context", 1),
        ("e401", 1),
        ("e404", 1),
        ("e500", 2),
        ("e503", 2),
    ] {
        service.openai.clear();
        let answer = service
            .chat(&chat_body(&format!("oai/{scenario}"), false))
            .await;
        assert!(answer.status >= 400, "{scenario}");
        assert_eq!(attempts(&service.openai), sent, "{scenario}");
        if sent > 1 {
            assert_eq!(answer.header("x-should-retry"), Some("false"), "{scenario}");
        }
    }
}

#[tokio::test]
async fn a_route_falls_back_to_its_next_target() {
    let service = Service::start_with("[routes.fast]\ntargets = [\"oai/e503\", \"ant/text\"]\n[routes.dear]\ntargets = [\"oai/e401\", \"ant/text\"]\n").await;
    for route in ["fast", "dear"] {
        let answer = service.chat(&chat_body(route, true)).await;
        assert_eq!(
            (answer.status, answer.header("x-tollgate-target")),
            (200, Some("ant/text")),
            "{route}"
        );
    }
    let listed = service
        .raw(&format!(
            "GET /v1/models HTTP/1.1\r\nHost: x\r\nx-api-key: {}\r\n\r\n",
            service.key.expose()
        ))
        .await;
    assert!(listed.body.contains("\"fast\""), "{}", listed.body);
}

#[tokio::test]
async fn a_provider_that_is_off_is_unreachable_and_not_named_by_address() {
    let service = Service::start_with("[retry]\nbase_delay = \"10ms\"\n[providers.gone]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:1/v1\"\n").await;
    let answer = service.chat(&chat_body("gone/x", false)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert!(!answer.body.contains("127.0.0.1"), "{}", answer.body);
}
