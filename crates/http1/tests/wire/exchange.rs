//! Requests that are answered: bodies in, bodies out, order, deadlines, and clients that leave.

use std::time::Duration;

use bytes::Bytes;
use tokio::{io::AsyncWriteExt, time::Instant};
use tollgate_http1::Settings;

use crate::support::Client;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn post(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_a_length_a_date_and_keeps_the_connection() {
    let mut client = Client::connect();
    for _ in 0..3 {
        client.send(GET).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
        assert!(
            answer
                .head
                .starts_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: ")
        );
        assert!(answer.head.ends_with(" GMT\r\n\r\n") && !answer.closes());
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_arrive_whole_however_they_are_read_framed_and_cut() {
    let body = (0..=255)
        .cycle()
        .take(100_000)
        .map(|b: u8| b % 26 + b'a')
        .collect::<Vec<_>>();
    let length = format!("Content-Length: {}\r\n", body.len());
    let chunks = body.chunks(777).flat_map(|piece| {
        [
            format!("{:X};n=v\r\n", piece.len()).as_bytes(),
            piece,
            b"\r\n",
        ]
        .concat()
    });
    let chunks = chunks
        .chain(*b"0\r\nTrailer: dropped\r\n\r\n")
        .collect::<Vec<_>>();
    for path in ["/echo", "/pieces", "/elsewhere"] {
        for (fields, wire) in [
            (length.as_str(), &body),
            ("Transfer-Encoding: Chunked\r\n", &chunks),
        ] {
            for step in [wire.len(), 16 * 1024, 1009] {
                let mut client = Client::connect();
                client.send(post(path, fields)).await;
                for part in wire.chunks(step) {
                    client.send(part).await;
                    client.settle().await;
                }
                // The next request must begin exactly behind the body.
                client.send(GET).await;
                let answer = client.answer().await.unwrap();
                assert!(
                    answer.body.as_bytes() == body,
                    "{path} {fields} in steps of {step}"
                );
                assert_eq!(client.answer().await.unwrap().body, "ok");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_declared_length_is_known_unless_the_body_is_chunked() {
    let mut client = Client::connect();
    client.send(get("/length")).await;
    assert_eq!(client.answer().await.unwrap().body, "Some(0)");
    client
        .send(post("/length", "Content-Length: 5\r\n") + "hello")
        .await;
    assert_eq!(client.answer().await.unwrap().body, "Some(5)");
    client
        .send(post("/length", "Transfer-Encoding: chunked\r\n") + "1\r\na\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().body, "None");
}

#[tokio::test(start_paused = true)]
async fn h25_k14_continue_is_sent_when_the_body_is_read_and_only_then() {
    let expecting = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    let mut client = Client::connect();
    client.send(post("/echo", expecting)).await;
    client.read_exactly("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("hello").await;
    assert_eq!(client.answer().await.unwrap().body, "hello");

    // Refused on its head: no interim answer, no body read, no further request on this connection.
    client.send(post("/unauthorized", expecting)).await;
    assert_eq!(client.last_answer().await.status, 401);

    // Too large by its length: refused without asking for it.
    let mut client = Client::connect();
    client
        .send(post(
            "/small",
            "Expect: 100-continue\r\nContent-Length: 11\r\n",
        ))
        .await;
    assert_eq!(client.last_answer().await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn k14_continue_is_not_sent_to_a_client_that_did_not_wait() {
    let mut client = Client::connect();
    for body in ["hello", "he"] {
        client
            .send(post("/echo", "Expect: 100-Continue\r\nContent-Length: 5\r\n") + body)
            .await;
        client.settle().await;
        client.send(&"hello"[body.len()..]).await;
        assert_eq!(client.answer().await.unwrap().body, "hello");
    }
    // The body came while the service was at something else.
    client
        .send(post(
            "/late",
            "Expect: 100-continue\r\nContent-Length: 5\r\n",
        ))
        .await;
    client.settle().await;
    client.send("hello").await;
    assert_eq!(client.answer().await.unwrap().body, "hello");
    let old = "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.send(old).await;
    client.settle().await;
    client.send("hello").await;
    assert_eq!(client.last_answer().await.body, "hello");
}

#[tokio::test(start_paused = true)]
async fn k14_upgrades_without_a_body_are_answered_as_plain_requests() {
    let mut client = Client::connect();
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(!answer.head.contains("upgrade"));
}

#[tokio::test(start_paused = true)]
async fn head_answers_have_a_length_and_no_body() {
    let mut client = Client::connect();
    for path in ["/", "/large", "/endless"] {
        client
            .send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let head = client.head().await.unwrap();
        assert_eq!(
            head.contains("content-length: "),
            path != "/endless",
            "{head}"
        );
    }
    client.send(GET).await;
    assert_eq!(client.answer().await.unwrap().body, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_204_has_neither_body_nor_length() {
    let mut client = Client::connect();
    client.send(get("/nothing") + GET).await;
    let head = client.head().await.unwrap();
    assert!(
        head.starts_with("HTTP/1.1 204 No Content\r\nx-kept: 1\r\n"),
        "{head}"
    );
    assert!(!head.contains("content-length") && !head.contains("chunked"));
    assert_eq!(client.answer().await.unwrap().body, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_body_of_another_length_than_it_said_ends_the_connection() {
    let mut client = Client::connect();
    client.send(get("/short") + GET).await;
    assert!(
        client
            .head()
            .await
            .unwrap()
            .contains("content-length: 10\r\n")
    );
    client.read_exactly("short").await;
    client.expect_end().await;

    let mut client = Client::connect();
    client.send(get("/long") + GET).await;
    assert_eq!(client.answer().await.unwrap().body, "long");
    client.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn an_interim_status_from_the_service_becomes_500() {
    let mut client = Client::connect();
    client.send(get("/interim")).await;
    assert_eq!(client.last_answer().await.status, 500);
}

#[tokio::test(start_paused = true)]
async fn the_client_and_the_service_can_each_end_the_connection() {
    let mut client = Client::connect();
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n")
        .await;
    assert_eq!(client.last_answer().await.body, "ok");

    let mut client = Client::connect();
    client.send(get("/close") + GET).await;
    assert_eq!(client.last_answer().await.body, "bye");
    assert_eq!(client.n_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_trailer_can_end_the_connection_after_a_stream() {
    let mut client = Client::connect();
    client.send(get("/fails-late") + GET).await;
    assert_eq!(client.answer().await.unwrap().body, "sorry");
    client.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn http_10_closes_unless_asked_and_never_gets_chunks() {
    let mut client = Client::connect();
    client
        .send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .await;
    let answer = client.answer().await.unwrap();
    assert!(
        answer.head.contains("\r\nconnection: keep-alive\r\n"),
        "{}",
        answer.head
    );
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.last_answer().await.body, "ok");

    let mut client = Client::connect();
    client
        .send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .await;
    client.streams[0].send("piece".into()).unwrap();
    client.streams.clear();
    let head = client.head().await.unwrap();
    assert!(
        head.contains("connection: close") && !head.contains("chunked"),
        "{head}"
    );
    client.read_exactly("piece").await;
    client.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn s1_the_head_and_each_piece_of_a_stream_leave_at_once() {
    let mut client = Client::connect();
    client.send(get("/stream")).await;
    let head = client.head().await.unwrap();
    assert!(
        head.contains("transfer-encoding: chunked"),
        "sent before any data: {head}"
    );
    for piece in ["one", "a second piece", "3"] {
        client.streams[0].send(Bytes::from(piece)).unwrap();
        client
            .read_exactly(format!("{:x}\r\n{piece}\r\n", piece.len()))
            .await;
    }
    // Ready together, they leave together, each its own chunk.
    for piece in ["ab", "", "cd"] {
        client.streams[0].send(Bytes::from(piece)).unwrap();
    }
    assert_eq!(client.read_ready().await, b"2\r\nab\r\n2\r\ncd\r\n");
    let large = vec![b'x'; 10_000];
    client.streams[0].send(Bytes::from(large.clone())).unwrap();
    client.streams[0].send("tail".into()).unwrap();
    client
        .read_exactly([b"2710\r\n", &large[..], b"\r\n4\r\ntail\r\n"].concat())
        .await;
    client.streams.clear();
    client.read_exactly("0\r\n\r\n").await;
    client.send(GET).await;
    assert_eq!(client.answer().await.unwrap().body, "ok");
}

#[tokio::test(start_paused = true)]
async fn k08_pipelined_requests_are_answered_in_order_and_never_mixed() {
    let mut client = Client::connect();
    let echo = |body: &str| post("/echo", &format!("Content-Length: {}\r\n", body.len())) + body;
    let chunked = post("/echo", "Transfer-Encoding: chunked\r\n") + "5\r\nthird\r\n0\r\n\r\n";
    client
        .send(echo("first") + &get("/stream") + &chunked + &echo("fourth") + GET)
        .await;
    assert_eq!(client.answer().await.unwrap().body, "first");
    client.head().await.unwrap();
    client.streams[0].send("slow".into()).unwrap();
    client.read_exactly("4\r\nslow\r\n").await;
    assert_eq!(client.read_ready().await, b"", "the stream is not over");
    client.streams.clear();
    client.read_exactly("0\r\n\r\n").await;
    for body in ["third", "fourth", "ok"] {
        assert_eq!(client.answer().await.unwrap().body, body);
    }
}

#[tokio::test(start_paused = true)]
async fn k08_what_is_sent_ahead_is_bounded() {
    let mut client = Client::connect_with(Settings::default(), 4096);
    client.send(get("/never")).await;
    let block = GET.repeat(100);
    let mut sent = 0;
    while tokio::time::timeout(
        Duration::from_secs(1),
        client.io.write_all(block.as_bytes()),
    )
    .await
    .is_ok()
    {
        sent += block.len();
        assert!(
            sent < 64 * 1024,
            "requests sent ahead are read without bound"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_the_service_did_not_read_is_dropped_if_it_is_small() {
    let mut client = Client::connect();
    let body = "x".repeat(60_000);
    client
        .send(post("/", "Content-Length: 60000\r\n") + &body + GET)
        .await;
    assert_eq!(client.answer().await.unwrap().body, "ok");
    assert_eq!(client.answer().await.unwrap().body, "ok");
    let chunks = format!("ea60\r\n{body}\r\n0\r\n\r\n");
    client
        .send(post("/", "Transfer-Encoding: chunked\r\n") + &chunks + GET)
        .await;
    assert_eq!(client.answer().await.unwrap().body, "ok");
    assert_eq!(client.answer().await.unwrap().body, "ok");
    assert_eq!(client.n_calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_body_the_service_did_not_read_ends_the_connection_if_it_is_large_or_late() {
    let mut client = Client::connect();
    client
        .send(post("/", "Content-Length: 200000\r\n") + "begin")
        .await;
    assert_eq!(client.last_answer().await.body, "ok");

    let mut client = Client::connect();
    client
        .send(post("/", "Content-Length: 50000\r\n") + "begin")
        .await;
    assert_eq!(client.answer().await.unwrap().body, "ok");
    client.expect_end().await;

    let mut client = Client::connect_with(Settings::default(), 1 << 20);
    let chunks = format!("186a0\r\n{}\r\n0\r\n\r\n{GET}", "x".repeat(100_000));
    client
        .send(post("/", "Transfer-Encoding: chunked\r\n") + &chunks)
        .await;
    assert_eq!(client.answer().await.unwrap().body, "ok");
    client.expect_end().await;
    assert_eq!(client.n_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn h10_k01_a_client_that_leaves_before_its_body_is_whole_ends_the_call() {
    for path in ["/echo", "/pieces"] {
        for wire in [
            "Content-Length: 10\r\n\r\nhello",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        ] {
            let mut client = Client::connect();
            client
                .send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{wire}"))
                .await;
            client.settle().await;
            assert_eq!(client.n_alive(), 1);
            client.io.shutdown().await.unwrap();
            client.expect_end().await;
            assert_eq!(client.n_alive(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h10_a_head_cut_short_is_never_dispatched() {
    let mut client = Client::connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n").await;
    client.io.shutdown().await.unwrap();
    client.expect_end().await;
    assert_eq!(client.n_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn k02_k03_a_client_that_leaves_ends_the_call_and_the_stream_at_once() {
    for path in ["/never", "/stream", "/endless"] {
        for half in [true, false] {
            let mut client = Client::connect();
            client.send(get(path)).await;
            client.settle().await;
            let streams = (path == "/stream").then(|| client.streams[0].clone());
            let (served, alive) = (client.served, client.alive);
            assert!(path == "/endless" || alive.load(std::sync::atomic::Ordering::SeqCst) == 1);
            let begun = Instant::now();
            if half {
                client.io.shutdown().await.unwrap();
            } else {
                drop(client.io);
            }
            served.await.unwrap();
            assert_eq!(begun.elapsed(), Duration::ZERO, "no timer is involved");
            assert_eq!(alive.load(std::sync::atomic::Ordering::SeqCst), 0, "{path}");
            assert!(streams.is_none_or(|stream| stream.is_closed()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn k03_a_client_that_leaves_is_noticed_behind_a_pipelined_request() {
    let mut client = Client::connect();
    client.send(get("/never") + GET).await;
    client.settle().await;
    client.io.shutdown().await.unwrap();
    client.expect_end().await;
    assert_eq!((client.n_alive(), client.n_calls()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn k04_s5_a_client_that_stops_reading_is_cut_after_the_write_timeout() {
    for path in ["/endless", "/large"] {
        let mut client = Client::connect_with(Settings::default(), 4096);
        client.send(get(path)).await;
        let begun = Instant::now();
        client.served.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 60, "{path}");
        assert_eq!(client.alive.load(std::sync::atomic::Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn k04_a_slow_reader_that_keeps_reading_is_not_cut() {
    let mut client = Client::connect_with(Settings::default(), 16 * 1024);
    client.send(get("/large")).await;
    let begun = Instant::now();
    client.head().await.unwrap();
    let mut left = vec![b'L'; 1 << 20];
    while !left.is_empty() {
        tokio::time::advance(Duration::from_secs(30)).await;
        let part = left.split_off(left.len() - left.len().min(16 * 1024));
        client.read_exactly(part).await;
    }
    assert!(begun.elapsed() > Duration::from_mins(10));
    client.send(GET).await;
    assert_eq!(client.answer().await.unwrap().body, "ok");
}

#[tokio::test(start_paused = true)]
async fn h34_k05_a_head_that_trickles_is_408_after_ten_seconds_in_all() {
    let mut client = Client::connect();
    tokio::time::advance(Duration::from_secs(30)).await;
    let begun = Instant::now();
    for byte in b"GET /slow " {
        client.send([*byte]).await;
        client.settle().await;
        tokio::time::sleep(Duration::from_millis(990)).await;
    }
    let answer = client.last_answer().await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (408, "request_timeout")
    );
    assert!(answer.head.contains("x-target: /slow"), "{}", answer.head);
    let took = begun.elapsed().as_secs_f64();
    assert!((9.9..=11.1).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn h34_the_deadline_of_a_head_counts_anew_for_each_request() {
    let mut client = Client::connect();
    for _ in 0..5 {
        client.send("GET / HTTP/1.1\r\n").await;
        tokio::time::sleep(Duration::from_secs(8)).await;
        client.send("Host: a\r\n\r\n").await;
        assert_eq!(client.answer().await.unwrap().status, 200);
        tokio::time::sleep(Duration::from_secs(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn k05_a_body_that_trickles_is_408_after_sixty_seconds_in_all() {
    for (path, fields) in [
        ("/echo", "Content-Length: 1000\r\n"),
        ("/pieces", "Content-Length: 1000\r\n"),
        ("/elsewhere", "Content-Length: 1000\r\n"),
        ("/echo", "Transfer-Encoding: chunked\r\n"),
    ] {
        let mut client = Client::connect();
        client.send(post(path, fields)).await;
        let begun = Instant::now();
        let wire = b"3e8\r\n".iter().chain(std::iter::repeat(&b'x'));
        for byte in wire.take(12) {
            client.send([*byte]).await;
            client.settle().await;
            tokio::time::sleep(Duration::from_millis(4990)).await;
        }
        let answer = client.last_answer().await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (408, "request_timeout"),
            "{path}"
        );
        let took = begun.elapsed().as_secs_f64();
        assert!((59.8..=61.1).contains(&took), "{path}: {took}");
    }
}

#[tokio::test(start_paused = true)]
async fn k06_an_idle_connection_closes_after_sixty_seconds() {
    let mut client = Client::connect();
    client.send(GET).await;
    client.answer().await.unwrap();
    tokio::time::sleep(Duration::from_secs(59)).await;
    client.send(GET).await;
    client.answer().await.unwrap();
    let begun = Instant::now();
    (&mut client.served).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 60);
    client.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_call_and_a_long_stream_outlive_every_timeout() {
    let mut client = Client::connect();
    client.send(get("/stream")).await;
    client.head().await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_mins(5)).await;
        client.streams[0].send("late".into()).unwrap();
        client.read_exactly("4\r\nlate\r\n").await;
    }
}

#[tokio::test(start_paused = true)]
async fn r6_a_stop_closes_idle_connections_at_once_and_others_after_their_exchange() {
    let mut idle = Client::connect();
    idle.send(GET).await;
    idle.answer().await.unwrap();
    let begun = Instant::now();
    idle.stop.set();
    idle.expect_end().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);

    let mut streaming = Client::connect();
    streaming.send(get("/stream")).await;
    assert!(!streaming.head().await.unwrap().contains("close"));
    streaming.stop.set();
    streaming.streams[0].send("rest".into()).unwrap();
    streaming.read_exactly("4\r\nrest\r\n").await;
    streaming.streams.clear();
    streaming.read_exactly("0\r\n\r\n").await;
    streaming.expect_end().await;

    let mut working = Client::connect();
    working.send(get("/stopping")).await;
    assert_eq!(working.last_answer().await.body, "last");

    let mut late = Client::connect();
    late.stop.set();
    late.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn r6_a_request_that_had_begun_when_the_stop_came_is_answered() {
    let mut client = Client::connect();
    client.send("GET / HTTP/1.1\r\n").await;
    client.settle().await;
    client.stop.set();
    client.settle().await;
    client.send("Host: a\r\n\r\n").await;
    assert_eq!(client.last_answer().await.body, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_has_a_second_to_read_the_answer() {
    let mut client = Client::connect();
    client.send("GET\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 400);
    // Later bytes are read and dropped: a close with bytes unread would reset the answer away.
    client.send(GET).await;
    client.settle().await;
    assert!(!client.served.is_finished());
    let begun = Instant::now();
    (&mut client.served).await.unwrap();
    assert!(begun.elapsed() <= Duration::from_secs(1));
    assert_eq!(client.n_calls(), 0);
}

#[test]
fn a_connection_is_a_small_future_that_can_move_between_threads() {
    struct Plain;
    impl tollgate_http1::Service for Plain {
        type Body = crate::support::TestBody;
        async fn call(&self, _: tollgate_http1::Request) -> http::Response<Self::Body> {
            crate::support::full(200, Bytes::new())
        }
        fn refuse(&self, _: tollgate_base::Error, _: Option<&str>) -> http::Response<Self::Body> {
            crate::support::full(400, Bytes::new())
        }
    }
    fn sent<T: Send>(value: &T) -> usize {
        size_of_val(value)
    }
    let (io, _) = tokio::io::duplex(1);
    let (settings, peer) = (Settings::default(), "127.0.0.1:1".parse().unwrap());
    let future = tollgate_http1::serve(io, peer, &settings, &Plain, tollgate_http1::Stop::new());
    let n_bytes = sent(&future);
    assert!(n_bytes < 3 * 1024, "{n_bytes}");
}
