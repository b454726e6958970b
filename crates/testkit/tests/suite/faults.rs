//! Each fault as bytes on a raw socket: what goes out, where it stops, how the connection ends.

use std::time::{Duration, Instant};

use crate::client::{CHAT, Reply, ask, body, connect, exchange, parse, request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate_testkit::{Block, Dialect, End, FaultKind, Scenario, TestProvider};

const DIALECTS: [Dialect; 3] = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini];

#[tokio::test]
async fn a_cut_stops_at_exactly_that_byte() {
    for dialect in DIALECTS {
        let provider = TestProvider::start(dialect).await.unwrap();
        for stream in [false, true] {
            let whole = ask(&provider, "text", stream).await.body.len();
            for n in (0..whole).step_by(37) {
                let reply = ask(&provider, &format!("cut-at:{n}"), stream).await;
                assert_eq!(
                    (reply.status, reply.body.len(), reply.is_whole),
                    (200, n, false),
                    "{dialect:?} {stream} {n}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_clean_end_is_well_framed_however_early() {
    for dialect in DIALECTS {
        let provider = TestProvider::start(dialect).await.unwrap();
        for (n, stream) in [(0, true), (1, true), (300, true), (0, false), (300, false)] {
            let reply = ask(&provider, &format!("end-at:{n}"), stream).await;
            assert_eq!(
                (reply.body.len(), reply.is_whole),
                (n, true),
                "{dialect:?} {stream}"
            );
        }
    }
}

#[tokio::test]
async fn a_reset_is_seen_as_a_reset() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let mut stream = connect(provider.addr()).await;
    let body = body(Dialect::OpenAi, "reset-at:200", true).to_string();
    stream
        .write_all(&request("POST", CHAT, &body, ""))
        .await
        .unwrap();
    let mut all = Vec::new();
    let error = stream.read_to_end(&mut all).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_cut_head_is_no_head() {
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    let reply = ask(&provider, "cut-in-head", true).await;
    assert_eq!(reply.raw, b"HTTP/1.1 200");
}

#[tokio::test]
async fn slicing_and_line_ends_keep_the_events() {
    for dialect in DIALECTS {
        let provider = TestProvider::start(dialect).await.unwrap();
        let strip = |model: &str, reply: &Reply| {
            let events = reply.text().replace('\r', "");
            let lines: Vec<&str> = events
                .lines()
                .filter(|line| line.starts_with("data:") && !line.contains("\"ping\""))
                .collect();
            // Ids and the model name differ from answer to answer.
            let joined = lines.join("\n").replace(model, "M");
            joined
                .split('"')
                .filter(|part| !part.contains("_tk") && !part.contains("-tk"))
                .collect::<Vec<_>>()
                .join("\"")
        };
        let plain = ask(&provider, "unicode", true).await;
        for model in ["bytewise", "crlf", "comments"] {
            let reply = ask(&provider, model, true).await;
            assert!(reply.is_whole, "{model}");
            let created = |text: String| text.split("\"created\":").next().unwrap().to_owned();
            assert_eq!(
                created(strip(model, &reply)),
                created(strip("unicode", &plain)),
                "{dialect:?} {model}"
            );
            assert!(
                reply.events().len() >= plain.events().len(),
                "{dialect:?} {model}"
            );
        }
        assert!(
            ask(&provider, "crlf", true)
                .await
                .text()
                .contains("\r\n\r\n")
        );
        // Google's SDKs take no comments: its script sends none.
        assert_eq!(
            ask(&provider, "comments", true)
                .await
                .text()
                .starts_with(": "),
            dialect != Dialect::Gemini
        );
    }
}

#[tokio::test]
async fn broken_answers_are_broken_in_their_own_way() {
    for dialect in DIALECTS {
        let provider = TestProvider::start(dialect).await.unwrap();
        let html = ask(&provider, "html", true).await;
        assert_eq!(
            (html.status, html.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        let malformed = ask(&provider, "malformed", false).await;
        assert!(
            serde_json::from_slice::<serde_json::Value>(&malformed.body).is_err()
                && malformed.is_whole
        );
        let utf8 = ask(&provider, "bad-utf8", true).await;
        assert!(std::str::from_utf8(&utf8.body).is_err() && utf8.is_whole);
        let framing = ask(&provider, "bad-framing", true).await;
        assert!(framing.raw.ends_with(b"zz\r\n") && !framing.is_whole);
        let empty = ask(&provider, "empty", true).await;
        assert_eq!(
            (empty.status, empty.body.len(), empty.is_whole),
            (200, 0, true)
        );
        let redirect = ask(&provider, "redirect:307", true).await;
        assert_eq!(
            (redirect.status, redirect.header("location")),
            (307, Some("http://127.0.0.1:9/elsewhere"))
        );
        let typed = ask(&provider, "wrong-type", true).await;
        assert_eq!(typed.header("content-type"), Some("text/plain"));
        let huge = ask(&provider, "huge-line:100000", true).await;
        assert!(huge.text().lines().any(|line| line.len() > 100_000) && huge.is_whole);
        let late = ask(&provider, "after-end", true).await;
        assert!(
            late.text()
                .ends_with("data: {\"late\":true}\n\ndata: [DONE]\n\n")
        );
    }
}

#[tokio::test]
async fn odd_streams_leave_out_what_they_say() {
    let openai = TestProvider::start(Dialect::OpenAi).await.unwrap();
    assert!(
        !ask(&openai, "no-done", true)
            .await
            .text()
            .contains("[DONE]")
    );
    assert!(
        !ask(&openai, "no-finish", true)
            .await
            .text()
            .contains("\"finish_reason\":\"stop\"")
    );
    assert!(
        !ask(&openai, "no-usage", true)
            .await
            .text()
            .contains("prompt_tokens")
    );
    let every = ask(&openai, "usage-every-chunk", true).await.events();
    assert!(
        every
            .iter()
            .all(|event| event["usage"]["prompt_tokens"] == 5)
    );
    let anthropic = TestProvider::start(Dialect::Anthropic).await.unwrap();
    assert!(
        !ask(&anthropic, "no-done", true)
            .await
            .text()
            .contains("message_stop")
    );
    assert!(
        !ask(&anthropic, "no-finish", true)
            .await
            .text()
            .contains("end_turn")
    );
    assert!(
        !ask(&anthropic, "no-usage", true)
            .await
            .text()
            .contains("output_tokens")
    );
    assert!(
        ask(&anthropic, "usage-absurd", true)
            .await
            .text()
            .contains("9007199254740993")
    );
}

#[tokio::test]
async fn errors_after_200_end_the_stream() {
    let openai = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let reply = ask(&openai, "error-mid-stream", true).await;
    let events = reply.events();
    assert_eq!(events.len(), 6);
    assert_eq!(events[5]["error"]["type"], "server_error");
    let anthropic = TestProvider::start(Dialect::Anthropic).await.unwrap();
    let text = ask(&anthropic, "error-after-200", true).await.text();
    assert!(text.starts_with("event: error\ndata: ") && text.contains("overloaded_error"));
}

#[tokio::test]
async fn only_the_first_attempts_fail_and_each_name_counts_apart() {
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    for expected in [[500, 500], [500, 500], [200, 200]] {
        let got = [
            ask(&provider, "e500-twice:a", false).await.status,
            ask(&provider, "e500-twice:b", true).await.status,
        ];
        assert_eq!(got, expected);
    }
    provider.clear();
    assert_eq!(ask(&provider, "e500-twice:a", false).await.status, 500);
}

#[tokio::test]
async fn retry_after_comes_in_every_form() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    for (model, header) in [
        ("e429", Some("1")),
        ("e429:7", Some("7")),
        ("e429:-5", Some("-5")),
        ("e429:0.25", Some("0.25")),
        ("e429:garbage", Some("soon")),
        ("e429:none", None),
        ("e503", None),
        ("e503:3", Some("3")),
    ] {
        let reply = ask(&provider, model, false).await;
        assert_eq!(reply.header("retry-after"), header, "{model}");
        assert_eq!(reply.header("retry-after-ms"), None, "{model}");
    }
    let dated = ask(&provider, "e429:date", false).await;
    assert!(dated.header("retry-after").unwrap().ends_with(" GMT"));
    assert_eq!(
        ask(&provider, "e429-once", false)
            .await
            .header("retry-after-ms"),
        Some("20")
    );
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_pipelined_ones() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let one = request(
        "POST",
        CHAT,
        &body(Dialect::OpenAi, "size:10", false).to_string(),
        "",
    );
    let last = request(
        "POST",
        CHAT,
        &body(Dialect::OpenAi, "size:10", false).to_string(),
        "connection: close\r\n",
    );
    let reply = exchange(provider.addr(), &[one.clone(), one, last].concat()).await;
    assert_eq!(
        reply
            .raw
            .windows(15)
            .filter(|part| *part == b"HTTP/1.1 200 OK")
            .count(),
        3
    );
    let connections: Vec<u64> = provider
        .records()
        .iter()
        .map(|record| record.connection)
        .collect();
    assert_eq!(connections, [1, 1, 1]);
}

#[tokio::test]
async fn chunked_request_bodies_are_read() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let body = body(Dialect::OpenAi, "echo", false).to_string();
    let (first, second) = body.split_at(20);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nauthorization: Bearer test-key\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{:x}\r\n{first}\r\n{:x};x=y\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let reply = exchange(provider.addr(), request.as_bytes()).await;
    assert_eq!(
        reply.json()["choices"][0]["message"]["content"],
        "Say hello to the testkit."
    );
}

#[tokio::test]
async fn an_idle_close_follows_a_good_answer_unannounced() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let body = body(Dialect::OpenAi, "close-idle", false).to_string();
    let reply = exchange(provider.addr(), &request("POST", CHAT, &body, "")).await;
    assert!(reply.is_whole && reply.header("connection").is_none());
    assert_eq!(provider.records()[0].end, Some(End::Complete));
}

#[tokio::test]
async fn delays_are_kept() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let begun = Instant::now();
    let reply = ask(&provider, "slow:5", true).await;
    // 17 events, so 16 pauses.
    assert_eq!(reply.events().len() + 1, 17);
    assert!(begun.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn many_events_come_in_one_piece_or_one_by_one() {
    for dialect in DIALECTS {
        let provider = TestProvider::start(dialect).await.unwrap();
        for model in ["many:500", "each:500"] {
            let reply = ask(&provider, model, true).await;
            assert!(reply.is_whole, "{model}");
            assert_eq!(reply.text().matches("word ").count(), 500, "{model}");
        }
        let size = ask(&provider, "size:20480", false).await;
        assert!(
            (20_480..21_500).contains(&size.body.len()),
            "{}",
            size.body.len()
        );
    }
}

#[tokio::test]
async fn registered_scripts_are_served_in_every_dialect() {
    let mut script = Scenario::new(
        "mine",
        vec![Block::text("first"), Block::tool("f", r#"{"a":1}"#)],
    );
    script = script.with_first(1, FaultKind::CutAfterEvents { events: 1 });
    let as_json = serde_json::to_string(&script).unwrap();
    for dialect in DIALECTS {
        let provider = TestProvider::start(dialect).await.unwrap();
        provider.register(serde_json::from_str(&as_json).unwrap());
        assert!(!ask(&provider, "mine", true).await.is_whole);
        let text = ask(&provider, "mine", false).await.text();
        assert!(
            text.contains("first")
                && (text.contains(r#""input":{"a":1}"#)
                    || text.contains(r#""args":{"a":1}"#)
                    || text.contains(r#""arguments":"{\"a\":1}""#)),
            "{text}"
        );
    }
}

#[tokio::test]
async fn nonsense_is_refused_and_closes_the_connection() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    for nonsense in [
        "BROKEN\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let reply = exchange(provider.addr(), nonsense.as_bytes()).await;
        assert_eq!(reply.status, 400, "{nonsense:?}");
    }
    assert_eq!(parse(Vec::new()).status, 0);
    assert!(provider.records().is_empty());
}
