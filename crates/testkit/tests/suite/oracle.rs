//! The records: what they hold, when they appear, and how another process reads them.

use crate::client::{CHAT, ask, body, connect, exchange, path, request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate_testkit::{BilledUsage, Dialect, End, Options, TestProvider, Testkit, fingerprint};

#[tokio::test]
async fn a_complete_attempt_is_recorded_and_billed_whole() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
        let provider = TestProvider::start(dialect).await.unwrap();
        for stream in [false, true] {
            let reply = ask(&provider, "cached", stream).await;
            let record = provider
                .wait_for_end(|record| record.stream == stream)
                .await;
            assert_eq!(
                (record.end, record.status, record.attempt),
                (Some(End::Complete), 200, 1 + u32::from(stream))
            );
            assert_eq!(record.bytes, reply.raw.len() as u64);
            let expected = BilledUsage {
                input: 20,
                cache_read: 1000,
                cache_write_5m: 200,
                cache_write_1h: 30,
                output: 40,
                reasoning: 0,
            };
            assert_eq!(record.billed, Some(expected));
            assert!(
                record.accepted_us <= record.first_byte_us.unwrap()
                    && record.first_byte_us <= record.ended_us
            );
            assert_eq!(record.model.as_deref(), Some("cached"));
        }
    }
}

#[tokio::test]
async fn credentials_are_fingerprints_in_the_record() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    ask(&provider, "text", false).await;
    let record = provider.wait_for_end(|_| true).await;
    assert_eq!(
        record.header("authorization"),
        Some(format!("Bearer {}", fingerprint("test-key")).as_str())
    );
    assert!(!format!("{record:?}").contains("test-key"));
}

#[tokio::test]
async fn errors_and_refusals_cost_nothing() {
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    for model in ["e500", "e429", "refusal", "no-such-model"] {
        ask(&provider, model, false).await;
        let record = provider
            .wait_for_end(|record| record.model.as_deref() == Some(model))
            .await;
        assert_eq!(record.billed, None, "{model}");
    }
    let refused = provider
        .records()
        .into_iter()
        .find(|record| record.refused.is_some())
        .unwrap();
    assert_eq!(
        (refused.status, refused.refused.as_deref(), refused.attempt),
        (404, Some("model: no-such-model"), 0)
    );
}

#[tokio::test]
async fn a_cut_stream_bills_what_it_produced() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
        let provider = TestProvider::start(dialect).await.unwrap();
        let reply = ask(&provider, "cut-mid-text", true).await;
        let record = provider.wait_for_end(|_| true).await;
        let n_pieces = reply
            .text()
            .matches("\"content\":\"")
            .count()
            .max(reply.text().matches("text_delta").count())
            .max(reply.text().matches("\"parts\":[{\"text\":").count());
        // The chat stream's first event has content too, but an empty one.
        let n_tokens = if dialect == Dialect::OpenAi {
            n_pieces - 1
        } else {
            n_pieces
        };
        assert_eq!((record.end, record.events), (Some(End::Fault), 5));
        assert_eq!(
            record.billed.map(|billed| billed.output),
            Some(n_tokens as u64),
            "{dialect:?} {}",
            reply.text()
        );
        assert_eq!(record.produced_output, n_tokens as u64);
    }
}

#[tokio::test]
async fn a_leaving_client_is_seen_at_once_wherever_the_script_stands() {
    for model in [
        "hang-before-head",
        "hang-after-head",
        "hang-mid-stream",
        "slow:60000",
        "slow-head:60000",
    ] {
        for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
            let provider = TestProvider::start(dialect).await.unwrap();
            let mut stream = connect(provider.addr()).await;
            let body = body(dialect, model, true).to_string();
            stream
                .write_all(&request("POST", &path(dialect, model, true), &body, ""))
                .await
                .unwrap();
            let open = provider.wait_for_record(|_| true).await;
            assert_eq!(
                (open.end, provider.open_connections()),
                (None, 1),
                "{model}"
            );
            drop(stream);
            let record = provider.wait_for_end(|_| true).await;
            assert_eq!(record.end, Some(End::ClientClosed), "{model}");
            provider.wait_closed().await;
            let is_begun = record.first_byte_us.is_some();
            assert_eq!(record.billed.is_some(), is_begun, "{model}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_big_answer_unread_is_seen_too() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let mut stream = connect(provider.addr()).await;
    let body = body(Dialect::OpenAi, "many:200000", true).to_string();
    stream
        .write_all(&request("POST", CHAT, &body, ""))
        .await
        .unwrap();
    let mut first = [0; 64];
    stream.read_exact(&mut first).await.unwrap();
    drop(stream);
    let record = provider.wait_for_end(|_| true).await;
    assert_eq!(record.end, Some(End::ClientClosed));
    assert!(
        record.produced_output < 200_000 && record.produced_output > 0,
        "{}",
        record.produced_output
    );
    assert_eq!(
        record.billed.map(|billed| billed.output),
        Some(record.produced_output)
    );
}

#[tokio::test]
async fn dropping_the_provider_ends_its_connections() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let mut stream = connect(provider.addr()).await;
    let body = body(Dialect::OpenAi, "hang-after-head", true).to_string();
    stream
        .write_all(&request("POST", CHAT, &body, ""))
        .await
        .unwrap();
    provider
        .wait_for_record(|record| record.first_byte_us.is_some())
        .await;
    drop(provider);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 200 OK"));
}

async fn control(testkit: &Testkit, method: &str, target: &str, body: &str) -> (u16, Value) {
    let addr = testkit
        .control_url()
        .trim_start_matches("http://")
        .parse()
        .expect("the control URL holds an address");
    let reply = exchange(
        addr,
        &request(method, target, body, "connection: close\r\n"),
    )
    .await;
    (reply.status, reply.json())
}

#[tokio::test]
async fn the_control_port_shows_waits_registers_and_forgets() {
    let options = Options::default();
    let testkit = Testkit::start(&options, &options, &options, options.listen)
        .await
        .unwrap();
    let script =
        json!({"name": "mine", "reply": [{"type": "text", "text": "from the control port"}]})
            .to_string();
    assert_eq!(
        control(&testkit, "POST", "/scenarios", &script).await,
        (200, json!(["mine"]))
    );
    assert_eq!(control(&testkit, "POST", "/scenarios", "{}").await.0, 400);
    let waiting = control(&testkit, "GET", "/records?model=mine&ended=1&count=2", "");
    let asking = async {
        assert!(
            ask(&testkit.openai, "mine", false)
                .await
                .text()
                .contains("from the control port")
        );
        assert!(
            ask(&testkit.anthropic, "mine", true)
                .await
                .text()
                .contains("control ")
        );
    };
    let ((status, records), ()) = tokio::join!(waiting, asking);
    assert_eq!((status, records.as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(
        (&records[0]["dialect"], &records[1]["dialect"]),
        (&json!("openai"), &json!("anthropic"))
    );
    let (status, none) = control(
        &testkit,
        "GET",
        "/records?model=other&count=1&timeout_ms=1",
        "",
    )
    .await;
    assert_eq!((status, none), (408, json!([])));
    assert_eq!(
        control(&testkit, "GET", "/open?count=0", "").await,
        (200, json!({"openai": 0, "anthropic": 0, "gemini": 0}))
    );
    assert_eq!(control(&testkit, "DELETE", "/records", "").await.0, 200);
    assert_eq!(
        control(&testkit, "GET", "/records", "").await,
        (200, json!([]))
    );
}

#[tokio::test]
async fn a_record_file_gets_one_line_per_ended_attempt() {
    let path = std::env::temp_dir().join(format!("testkit-records-{}.jsonl", std::process::id()));
    let options = Options {
        record_file: Some(path.clone()),
        ..Options::default()
    };
    let provider = TestProvider::start_with(Dialect::OpenAi, &options)
        .await
        .unwrap();
    ask(&provider, "text", false).await;
    ask(&provider, "e500", true).await;
    provider.wait_for_end(|record| record.status == 500).await;
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let statuses: Vec<u64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["status"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(statuses, [200, 500]);
}

#[tokio::test]
async fn a_benchmark_peer_keeps_no_records_and_answers_alike() {
    let options = Options {
        is_bench: true,
        ..Options::default()
    };
    let peer = TestProvider::start_with(Dialect::OpenAi, &options)
        .await
        .unwrap();
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    for (model, stream) in [("size:1024", false), ("many:100", true), ("each:10", true)] {
        let expected = ask(&provider, model, stream).await.text();
        for _ in 0..2 {
            let got = ask(&peer, model, stream).await.text();
            assert_eq!(got.len(), expected.len(), "{model}");
        }
    }
    assert!(peer.records().is_empty());
}
