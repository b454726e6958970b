//! Heads and bodies that two readers could read in two ways, and everything else that is no request:
//! refused with the right status, the connection closed, nothing dispatched.

use crate::support::{Client, check_refused, refused};
use tollgate_http1::Settings;

fn post(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// What a smuggler hopes to have read as a second request.
const SECOND: &str = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn h01_length_and_chunked_together_are_refused() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
    ] {
        check_refused(
            post(fields, &format!("0\r\n\r\n{SECOND}")),
            400,
            "invalid_framing",
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn h02_h03_two_lengths_are_refused_equal_or_not() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nX: y\r\ncontent-LENGTH: 5\r\n",
    ] {
        check_refused(post(fields, "helloGET"), 400, "invalid_framing").await;
    }
}

#[tokio::test(start_paused = true)]
async fn h04_a_length_is_only_digits() {
    for length in [
        "+5",
        "5,5",
        "5, 5",
        "0x5",
        "5 ",
        "5\t",
        "",
        " ",
        "-1",
        "18446744073709551616",
        "00000000000000000005",
        "5.0",
        "five",
        "\u{665}",
    ] {
        let head = format!("Content-Length: {length}\r\n");
        check_refused(post(&head, "hello"), 400, "invalid_framing").await;
    }
}

#[tokio::test(start_paused = true)]
async fn h05_only_one_chunked_is_a_transfer_coding() {
    for (coding, status, code) in [
        ("chunked, chunked", 400, "invalid_framing"),
        ("gzip, chunked", 501, "not_supported"),
        ("identity", 501, "not_supported"),
        ("xchunked", 501, "not_supported"),
        ("chunked;q=1", 400, "invalid_framing"),
        ("", 400, "invalid_framing"),
        ("chunked,", 400, "invalid_framing"),
        ("\"chunked\"", 400, "invalid_framing"),
        ("chunked ", 400, "invalid_framing"),
    ] {
        let head = format!("Transfer-Encoding: {coding}\r\n");
        check_refused(post(&head, "0\r\n\r\n"), status, code).await;
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    check_refused(post(twice, "0\r\n\r\n"), 400, "invalid_framing").await;
}

#[tokio::test(start_paused = true)]
async fn h06_hidden_transfer_encodings_are_refused() {
    for fields in [
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding:\r\n\tchunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
    ] {
        check_refused(post(fields, "0\r\n\r\n"), 400, "invalid_header").await;
    }
}

#[tokio::test(start_paused = true)]
async fn h07_http_10_knows_no_transfer_encoding() {
    let bytes = "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check_refused(bytes, 400, "invalid_framing").await;
}

#[tokio::test(start_paused = true)]
async fn h08_malformed_chunks_are_refused() {
    for body in [
        "0x3\r\nabc\r\n0\r\n\r\n".to_owned(),
        format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(20 * 1024)),
        "12345678901234567\r\n".to_owned(),
        "-3\r\nabc\r\n0\r\n\r\n".to_owned(),
        "3\r\nabc0\r\n\r\n".to_owned(),
        "3\nabc\r\n0\r\n\r\n".to_owned(),
        "3\r\nabc\n0\r\n\r\n".to_owned(),
        "3\r\nabc\r\n0\r\nX: y\n\r\n".to_owned(),
        "3 \r\nabc\r\n0\r\n\r\n".to_owned(),
        "\r\n".to_owned(),
    ] {
        check_refused(chunked(&body), 400, "invalid_framing").await;
    }
}

#[tokio::test(start_paused = true)]
async fn h08_chunks_that_break_later_end_the_call_with_400_and_the_connection() {
    for path in ["/echo", "/pieces", "/elsewhere"] {
        let mut client = Client::connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(head + "3\r\nabc\r\n").await;
        client.settle().await;
        client.send(format!("zzz\r\n{SECOND}")).await;
        let answer = client.last_answer().await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, "invalid_framing"),
            "{path}"
        );
        assert_eq!(client.n_calls(), 1, "only the first request is dispatched");
    }
}

#[tokio::test(start_paused = true)]
async fn h08_chunks_that_break_while_the_answer_streams_end_the_connection() {
    let mut client = Client::connect();
    let head = "POST /relay HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head).await;
    client.head().await.unwrap();
    client.send("3\r\nabc\r\n").await;
    client.read_exactly("3\r\nabc\r\n").await;
    client.send(format!("zzz\r\n{SECOND}")).await;
    client.read_exactly("0\r\n\r\n").await;
    client.expect_end().await;
    assert_eq!(client.n_calls(), 1);

    // The same with a body that ends well leaves the connection usable.
    let mut client = Client::connect();
    client.send(head).await;
    client.head().await.unwrap();
    client.send(format!("3\r\nabc\r\n0\r\n\r\n{SECOND}")).await;
    client.read_exactly("3\r\nabc\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().body, "ok");
}

#[tokio::test(start_paused = true)]
async fn h09_a_body_beyond_the_limit_is_413_by_its_length_or_as_it_comes() {
    let declared = "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
    let whole = format!("{declared}hello world");
    let chunked = "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let at_once = format!("{chunked}b\r\nhello world\r\n0\r\n\r\n");
    let unending = format!("{chunked}ffffffffffffffff\r\nhello world and on it goes");
    for bytes in [declared, &whole, &at_once, &unending] {
        let mut client = Client::connect();
        client.send(bytes).await;
        let answer = client.last_answer().await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (413, "request_too_large"),
            "{bytes}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn h09_an_unbounded_chunked_body_is_cut_off_soon_after_the_limit() {
    let mut client = Client::connect_with(Settings::default(), 1024);
    client.send(chunked("ffffffff\r\n")).await;
    let mut sent = 0;
    let block = [b'x'; 1024];
    while tokio::io::AsyncWriteExt::write_all(&mut client.io, &block)
        .await
        .is_ok()
    {
        sent += block.len();
        assert!(sent < 2 << 20, "the limit of 1 MiB does not hold");
    }
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 413);
}

#[tokio::test(start_paused = true)]
async fn h11_bytes_after_a_body_are_a_request_of_their_own() {
    let mut client = Client::connect();
    client
        .send(post("Content-Length: 5\r\n", "hello") + SECOND)
        .await;
    assert_eq!(client.answer().await.unwrap().body, "hello");
    assert_eq!(client.answer().await.unwrap().body, "ok");
    client
        .send(chunked("5\r\nhello\r\n0\r\n\r\n") + SECOND)
        .await;
    assert_eq!(client.answer().await.unwrap().body, "hello");
    assert_eq!(client.answer().await.unwrap().body, "ok");
    for call in ["POST /echo", "GET /admin", "POST /echo", "GET /admin"] {
        assert_eq!(client.calls.recv().await.unwrap(), call);
    }
}

#[tokio::test(start_paused = true)]
async fn h12_an_upgrade_with_a_body_is_refused() {
    let fields = "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n";
    check_refused(
        post(fields, &format!("hello{SECOND}")),
        400,
        "invalid_framing",
    )
    .await;
    let fields = "Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n";
    check_refused(
        post(fields, &format!("0\r\n\r\n{SECOND}")),
        400,
        "invalid_framing",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn h13_h14_methods_are_the_services_to_decide() {
    let mut client = Client::connect();
    for line in [
        "CONNECT host:443",
        "TRACE /",
        "OPTIONS *",
        "FOO /",
        "post /",
        "PROPFIND /a",
    ] {
        client
            .send(format!("{line} HTTP/1.1\r\nHost: host\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.unwrap().status, 200);
        assert_eq!(client.calls.recv().await.unwrap(), line);
    }
}

#[tokio::test(start_paused = true)]
async fn h14_what_is_no_method_is_refused() {
    let long = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(10 * 1024));
    check_refused(long, 400, "invalid_framing").await;
    for line in [
        "",
        " ",
        " GET / HTTP/1.1",
        "GE(T / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET  / HTTP/1.1",
    ] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        check_refused(bytes, 400, "invalid_framing").await;
    }
}

#[tokio::test(start_paused = true)]
async fn h15_targets_that_name_a_host_are_refused() {
    for (target, status, code) in [
        ("http://evil/v1/models", 421, "misdirected_request"),
        ("https://a.evil:443/", 421, "misdirected_request"),
        ("http://a/v1/models", 400, "invalid_url"),
        ("http://A", 400, "invalid_url"),
        ("evil", 400, "invalid_url"),
        ("evil:443", 400, "invalid_url"),
        ("/a#fragment", 400, "invalid_url"),
        ("/\u{e4}", 400, "invalid_url"),
        ("**", 400, "invalid_url"),
        ("?a", 400, "invalid_url"),
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        check_refused(bytes, status, code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn h15_a_double_slash_stays_a_path() {
    let mut client = Client::connect();
    client
        .send("GET //evil/v1 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(client.calls.recv().await.unwrap(), "GET //evil/v1");
}

#[tokio::test(start_paused = true)]
async fn h16_paths_reach_the_service_as_they_were_sent_or_not_at_all() {
    let mut client = Client::connect();
    for path in [
        "/a/../b",
        "/%2e%2e/a",
        "/a%2fb",
        "/a//b",
        "/a;x",
        "/%00",
        "/%c0%af",
        "/a?b=%ff",
    ] {
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.unwrap().status, 200);
        assert_eq!(client.calls.recv().await.unwrap(), format!("GET {path}"));
    }
    for path in [&b"/a\0b"[..], b"/\xff", b"/\xc0\xaf", b"/a\x7f", b"/a b"] {
        let bytes = [b"GET ", path, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        assert_eq!(refused(bytes).await.status, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn h17_a_target_of_8193_bytes_is_414_and_8192_pass() {
    let get = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "u".repeat(n - 1));
    check_refused(get(8193), 414, "uri_too_long").await;
    check_refused(get(20_000), 414, "uri_too_long").await;
    check_refused(format!("GET /{}", "u".repeat(9000)), 414, "uri_too_long").await;
    let mut client = Client::connect();
    client.send(get(8192)).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn h18_heads_beyond_the_limits_are_431() {
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    check_refused(get(&"X: y\r\n".repeat(100)), 431, "headers_too_large").await;
    check_refused(
        get(&format!("X: {}\r\n", "y".repeat(17 * 1024))),
        431,
        "headers_too_large",
    )
    .await;
    let head = format!("X: {}\r\n", "y".repeat(11 * 1024)).repeat(3);
    check_refused(get(&head), 431, "headers_too_large").await;
    // Without waiting for an end that need not come.
    let unended = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(17 * 1024));
    check_refused(unended, 431, "headers_too_large").await;
    let unended = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(101));
    check_refused(unended, 431, "headers_too_large").await;

    let mut client = Client::connect();
    client.send(get(&"X: y\r\n".repeat(99))).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client
        .send(get(&format!("X: {}\r\n", "y".repeat(15 * 1024))))
        .await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn h19_malformed_fields_are_refused() {
    for field in [
        &b"na me: v"[..],
        b": v",
        b"na\0me: v",
        b"n\xc3\xa4me: v",
        b"name",
        b"name\x01: v",
        b"name: a\rb",
        b"name: a\0b",
        b"name: a\x7fb",
        b"name: a\x1bb",
        b"name : v",
        b"(name): v",
    ] {
        let bytes = [b"GET / HTTP/1.1\r\nHost: a\r\n", field, b"\r\n\r\n"].concat();
        check_refused(bytes, 400, "invalid_header").await;
    }
    check_refused(
        "GET / HTTP/1.1\r\nHost: a\r\nname: a\nb: c\r\n\r\n",
        400,
        "invalid_framing",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn h19_bare_line_feeds_end_no_line() {
    for bytes in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\n",
    ] {
        check_refused(bytes, 400, "invalid_framing").await;
    }
}

#[tokio::test(start_paused = true)]
async fn h20_there_is_one_host_and_it_is_a_host() {
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host:\r\n",
        "Host: user@a\r\n",
        "Host: a b\r\n",
        "Host: a:99999\r\n",
        "Host: a:\r\n",
        "Host: a:8a\r\n",
        "Host: a/b\r\n",
        "Host: a,b\r\n",
        "Host: [::1\r\n",
        "Host: []\r\n",
        "Host: [::1]x\r\n",
        "Host: ::1\r\n",
        "Host: :80\r\n",
    ] {
        check_refused(
            format!("GET / HTTP/1.1\r\n{fields}\r\n"),
            400,
            "invalid_header",
        )
        .await;
    }
    let mut client = Client::connect();
    for host in [
        "a",
        "a:65535",
        "api.example.com",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:8080",
        "a_b",
    ] {
        client
            .send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.unwrap().status, 200, "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn h21_folded_lines_are_refused() {
    for fold in [" ", "\t", "  "] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n{fold}z\r\n\r\n");
        check_refused(bytes, 400, "invalid_header").await;
    }
}

#[tokio::test(start_paused = true)]
async fn h22_connection_cannot_name_what_must_arrive() {
    for options in [
        "authorization, x-api-key",
        "close, X-Api-Key",
        "keep-alive,Content-Length",
        "host",
        "transfer-encoding",
        "x-goog-api-key",
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {options}\r\n\r\n");
        check_refused(bytes, 400, "invalid_header").await;
    }
    let mut client = Client::connect();
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, TE, x-other\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn h26_other_expectations_are_417() {
    for expected in ["foo", "100-continue, foo", "", "200-ok"] {
        let fields = format!("Expect: {expected}\r\nContent-Length: 5\r\n");
        check_refused(post(&fields, ""), 417, "expectation_failed").await;
    }
    let twice = "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n";
    check_refused(post(twice, ""), 417, "expectation_failed").await;
}

#[tokio::test(start_paused = true)]
async fn h33_what_is_not_http_1_is_refused_at_once() {
    let flood = vec![b'A'; 512 * 1024];
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\x16",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n",
        b"GET /\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1x\r\nHost: a\r\n\r\n",
        b"\0\0\0\0",
        b"\r\n\r\n\r\n\r\n",
        b"{\"model\": 1}",
        &flood,
    ] {
        check_refused(bytes, 400, "invalid_framing").await;
    }
}

#[tokio::test(start_paused = true)]
async fn h33_junk_in_single_bytes_is_refused_within_its_first_line() {
    for bytes in [
        &b"GET /\r\n"[..],
        b"SSH-2.0-x\r\n",
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.1\n",
    ] {
        let mut client = Client::connect();
        for byte in bytes {
            client.send([*byte]).await;
            client.settle().await;
        }
        assert_eq!(client.last_answer().await.status, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_knows_the_target_if_it_was_readable() {
    let answer = refused("POST /v1/messages?a=b HTTP/1.1\r\nHost: a\r\nX\r\n\r\n").await;
    assert!(
        answer.head.contains("\r\nx-target: /v1/messages?a=b\r\n"),
        "{}",
        answer.head
    );
    for bytes in [
        "\x16\x03\x01\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(!refused(bytes).await.head.contains("x-target"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_or_two_empty_lines_before_a_request_are_forgiven() {
    let mut client = Client::connect();
    client
        .send("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn fields_arrive_in_full_with_bytes_beyond_ascii_in_values() {
    let mut client = Client::connect();
    client
        .send(b"GET /headers HTTP/1.1\r\nHost: a\r\nX-A:  v 1\t \r\nx-a: \xe4\r\nX-Empty:\r\n\r\n")
        .await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.body, "host=a\nx-a=\\xe4\nx-a=v 1\nx-empty=");
}
