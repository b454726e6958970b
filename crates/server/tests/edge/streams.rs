//! Streams: as they come, to their proper end, and no further than the client.

use tokio::io::AsyncWriteExt as _;
use tollgate_testkit::End;

use crate::support::{Service, chat_body, messages_body, read_to_end, read_until};

#[tokio::test]
async fn an_event_is_forwarded_while_the_provider_is_silent_after_it() {
    let service = Service::start().await;
    for (path, body, event) in [
        (
            "/v1/chat/completions",
            chat_body("oai/hang-mid-stream", true),
            "\"content\":\"",
        ),
        (
            "/v1/chat/completions",
            chat_body("ant/hang-mid-stream", true),
            "\"content\":\"",
        ),
        (
            "/v1/messages",
            messages_body("ant/hang-mid-stream", true),
            "content_block_delta",
        ),
        (
            "/v1/messages",
            messages_body("oai/hang-mid-stream", true),
            "content_block_delta",
        ),
    ] {
        let mut stream = service.connect().await;
        stream
            .write_all(service.post(path, &body).as_bytes())
            .await
            .unwrap();
        let seen = read_until(&mut stream, event).await;
        assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
        assert!(seen.contains("x-accel-buffering: no"), "{seen}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_providers_work() {
    let service = Service::start().await;
    for (model, path) in [
        ("oai/hang-mid-stream", "/v1/chat/completions"),
        ("oai/hang-before-head", "/v1/chat/completions"),
    ] {
        service.openai.clear();
        let mut stream = service.connect().await;
        stream
            .write_all(service.post(path, &chat_body(model, true)).as_bytes())
            .await
            .unwrap();
        service
            .openai
            .wait_for_record(|record| record.path.ends_with("/chat/completions"))
            .await;
        if model.ends_with("mid-stream") {
            read_until(&mut stream, "\"content\":\"").await;
        }
        drop(stream);
        let record = service
            .openai
            .wait_for_end(|record| record.end.is_some())
            .await;
        assert_eq!(record.end, Some(End::ClientClosed), "{model}");
    }
}

#[tokio::test]
async fn a_cut_stream_ends_as_an_error_of_the_callers_dialect_and_closes() {
    let service = Service::start().await;
    for scenario in ["cut-mid-text", "error-mid-stream", "malformed", "huge-line"] {
        for provider in ["oai", "ant"] {
            let model = format!("{provider}/{scenario}");
            let mut stream = service.connect().await;
            stream
                .write_all(
                    service
                        .post("/v1/chat/completions", &chat_body(&model, true))
                        .as_bytes(),
                )
                .await
                .unwrap();
            let all = read_to_end_or_answer(&mut stream).await;
            assert!(!all.contains("[DONE]"), "{model}: {all}");
            assert!(all.contains("\"error\""), "{model}: {all}");

            let mut stream = service.connect().await;
            stream
                .write_all(
                    service
                        .post("/v1/messages", &messages_body(&model, true))
                        .as_bytes(),
                )
                .await
                .unwrap();
            let all = read_to_end_or_answer(&mut stream).await;
            assert!(!all.contains("message_stop"), "{model}: {all}");
            assert!(all.contains("\"type\":\"error\""), "{model}: {all}");
        }
    }
}

/// A stream that failed before its first event is an ordinary answer, which keeps the connection.
async fn read_to_end_or_answer(stream: &mut tokio::net::TcpStream) -> String {
    let head = read_until(stream, "\r\n\r\n").await;
    if head.starts_with("HTTP/1.1 200") {
        return head + &read_to_end(stream).await;
    }
    if head.contains("\"error\"") {
        head
    } else {
        head + &read_until(stream, "\"error\"").await
    }
}

#[tokio::test]
async fn a_silent_stream_gets_heartbeats_of_its_dialect() {
    let service = Service::start_with("[streaming]\nheartbeat = \"1s\"\n").await;
    for (path, body, beat) in [
        (
            "/v1/chat/completions",
            chat_body("oai/hang-mid-stream", true),
            ": ping\n\n",
        ),
        (
            "/v1/messages",
            messages_body("ant/hang-mid-stream", true),
            "event: ping\n",
        ),
    ] {
        let mut stream = service.connect().await;
        stream
            .write_all(service.post(path, &body).as_bytes())
            .await
            .unwrap();
        read_until(&mut stream, "\r\n\r\n").await;
        read_until(&mut stream, beat).await;
    }
}

#[tokio::test]
async fn usage_is_hidden_from_a_chat_client_that_did_not_ask() {
    let service = Service::start().await;
    let plain = service.chat(&chat_body("oai/text", true)).await;
    assert!(
        plain.body.ends_with("data: [DONE]\n\n") && !plain.body.contains("prompt_tokens"),
        "{}",
        plain.body
    );
    let asked = chat_body("oai/text", true).replace(
        "\"stream\":true",
        "\"stream\":true,\"stream_options\":{\"include_usage\":true}",
    );
    let told = service.chat(&asked).await;
    assert!(told.body.contains("prompt_tokens"), "{}", told.body);
    let sent = service.openai.records();
    assert!(
        sent.iter()
            .all(|record| record.body["stream_options"]["include_usage"] == true)
    );
}

#[tokio::test]
async fn r6_a_stop_lets_a_stream_end_and_takes_no_new_connection() {
    let mut service = Service::start().await;
    let mut stream = service.connect().await;
    stream
        .write_all(
            service
                .post("/v1/chat/completions", &chat_body("oai/slow:20", true))
                .as_bytes(),
        )
        .await
        .unwrap();
    read_until(&mut stream, "\"content\":\"").await;
    let running = service.running.take().unwrap();
    let stopping = tokio::task::spawn_blocking(|| running.stop());
    let rest = read_to_end(&mut stream).await;
    assert!(rest.contains("[DONE]"), "{rest}");
    assert!(stopping.await.unwrap(), "everything drained");
}
