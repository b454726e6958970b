//! What the oracle says of tokens and bills: exact counts, cuts, a provider that overcharges, the journal.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate_testkit::{Dialect, End, Options, TestProvider};

use crate::client::{CHAT, ask, body, connect, path, post, request};

#[tokio::test]
async fn tokens_are_produced_and_billed_to_the_number_in_every_dialect() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
        let provider = TestProvider::start(dialect).await.unwrap();
        for (stream, count) in [(true, 1), (true, 37), (false, 250)] {
            let model = format!("tokens:{count}");
            let reply = ask(&provider, &model, stream).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let record = provider
                .wait_for_end(|record| record.model.as_ref() == Some(&model))
                .await;
            assert_eq!(record.produced_output, count);
            assert_eq!(record.billed.map(|billed| billed.output), Some(count));
        }
    }
}

#[tokio::test]
async fn a_cap_is_kept_to_the_token_and_by_bills_exceeded_to_the_token() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    for (model, billed) in [("tokens:900", 100), ("bills:10", 1000), ("bills", 1000)] {
        let mut asked = body(Dialect::OpenAi, model, false);
        asked["max_tokens"] = json!(100);
        let reply = post(&provider, CHAT, &asked).await;
        assert_eq!(reply.json()["usage"]["completion_tokens"], billed);
        let record = provider
            .wait_for_end(|record| record.model.as_deref() == Some(model))
            .await;
        assert_eq!(record.billed.map(|billed| billed.output), Some(billed));
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_billed_for_what_was_produced_until_then() {
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    let asked = body(Dialect::Anthropic, "tokens:500:20", true).to_string();
    let mut stream = connect(provider.addr()).await;
    let path = path(Dialect::Anthropic, "", true);
    stream
        .write_all(&request("POST", &path, &asked, ""))
        .await
        .unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("content_block_delta") {
        stream.read_buf(&mut seen).await.unwrap();
    }
    drop(stream);
    let record = provider.wait_for_end(|_| true).await;
    assert_eq!(record.end, Some(End::ClientClosed));
    let billed = record.billed.unwrap();
    assert_eq!(billed.output, record.produced_output);
    assert!((1..500).contains(&billed.output) && billed.input > 0);
}

#[tokio::test]
async fn the_journal_holds_an_attempt_before_its_first_byte_and_its_end_after() {
    let file = std::env::temp_dir().join(format!(
        "testkit-journal-of-a-provider-{}",
        std::process::id()
    ));
    let options = Options {
        journal: Some(file.clone()),
        ..Options::default()
    };
    let provider = TestProvider::start_with(Dialect::OpenAi, &options)
        .await
        .unwrap();
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let reply = ask(&provider, "text", false).await;
    assert_eq!(reply.status, 200);
    let accepted = &lines()[0];
    assert_eq!(accepted["event"], "accepted");
    assert_eq!(accepted["record"]["model"], "text");
    assert_eq!(accepted["record"]["first_byte_us"], Value::Null);
    provider.wait_for_end(|_| true).await;
    let waiting = async {
        while lines().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap();
    let ended = &lines()[1];
    assert_eq!(ended["event"], "ended");
    assert_eq!(ended["record"]["end"], "complete");
    assert!(ended["record"]["billed"]["output"].as_u64().unwrap() > 0);
    std::fs::remove_file(&file).unwrap();
}
