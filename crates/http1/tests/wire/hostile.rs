//! H1: for any bytes, cut anywhere, the connection answers or closes, never panics, never hangs; and what
//! is a request is the same request however it is cut.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_http1::Settings;

use crate::support::Client;

/// Longer than any sum of deadlines on the way: idle, head, body, and the second to close.
const FOREVER: Duration = Duration::from_secs(400);

/// Sends `bytes` cut at `cuts`, and says what came back and which requests were dispatched.
async fn run(bytes: &[u8], cuts: &[usize], leaves: bool) -> (Vec<u8>, Vec<String>) {
    let mut client = Client::connect_with(Settings::default(), 256 * 1024);
    let mut cuts = cuts
        .iter()
        .map(|cut| cut % (bytes.len() + 1))
        .collect::<Vec<_>>();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    for pair in cuts.windows(2) {
        // The connection may have closed already.
        if client.io.write_all(&bytes[pair[0]..pair[1]]).await.is_err() {
            break;
        }
        client.settle().await;
    }
    if leaves {
        client.io.shutdown().await.expect("the client can close");
    }
    let mut answers = Vec::new();
    tokio::time::timeout(FOREVER, async {
        let _end = client.io.read_to_end(&mut answers).await;
        (&mut client.served).await.expect("no panic");
    })
    .await
    .expect("no hang");
    assert_eq!(client.n_alive(), 0);
    let mut calls = Vec::new();
    while let Ok(call) = client.calls.try_recv() {
        calls.push(call);
    }
    (answers, calls)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Answers begin as answers do, and say nothing else.
fn check_answers(answers: &[u8]) {
    assert!(
        answers.is_empty() || answers.starts_with(b"HTTP/1.1 "),
        "{}",
        answers.escape_ascii()
    );
}

/// Without the dates, which depend on when the test runs.
fn undated(answers: &[u8]) -> String {
    let text = answers.escape_ascii().to_string();
    text.split("date: ")
        .map(|part| part.split_once("GMT").map_or(part, |(_, rest)| rest))
        .collect()
}

/// Pieces of HTTP that are dangerous in the wrong place, and a few that are right.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"POST /echo HTTP/1.1\r\n",
        b"POST /pieces HTTP/1.1\r\n",
        b"POST /small HTTP/1.0\r\n",
        b"HEAD /large HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\0",
        b"hello",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b";ext=1",
        b"ffffffffffffffff\r\n",
        b"X: ",
        b":",
    ];
    prop_oneof![
        20 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 1_usize..40_000).prop_map(|(byte, n)| vec![byte; n]),
    ]
}

/// A few good requests in a row, with their expected dispatch.
fn requests() -> impl Strategy<Value = (Vec<u8>, Vec<String>)> {
    let body = vec(any::<u8>(), 0..300);
    let request = prop_oneof![
        "/[a-z0-9]{0,30}".prop_map(|path| {
            (
                format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
                format!("GET {path}"),
            )
        }),
        body.clone().prop_map(|body| {
            let head = format!(
                "POST /echo HTTP/1.1\r\nhost: a:1\r\nCONTENT-LENGTH: {}\r\n\r\n",
                body.len()
            );
            ([head.as_bytes(), &body].concat(), "POST /echo".to_owned())
        }),
        (body, 1_usize..50).prop_map(|(body, step)| {
            let mut bytes =
                b"PUT /pieces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for piece in body.chunks(step) {
                bytes.extend(format!("{:x};q\r\n", piece.len()).bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\nX: trailer\r\n\r\n");
            (bytes, "PUT /pieces".to_owned())
        }),
    ];
    vec(request, 1..6).prop_map(|requests| {
        let (bytes, calls): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        (bytes.concat(), calls)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered_or_closed(
        bytes in vec(any::<u8>(), 0..2000), cuts in vec(any::<usize>(), 0..8), leaves: bool,
    ) {
        let (answers, _) = block_on(run(&bytes, &cuts, leaves));
        check_answers(&answers);
    }

    #[test]
    fn fragments_of_http_in_any_order_are_answered_or_closed_alike_for_every_cut(
        fragments in vec(fragment(), 0..30), cuts in vec(any::<usize>(), 0..8),
    ) {
        let bytes = fragments.concat();
        let (answers, calls) = block_on(run(&bytes, &[], false));
        check_answers(&answers);
        let (again, calls_again) = block_on(run(&bytes, &cuts, false));
        check_answers(&again);
        // A body may be cut off at its first chunk or later, which decides whether the service hears of the
        // request; no cut can change which requests there are.
        let n = calls.len().min(calls_again.len());
        prop_assert_eq!(&calls[..n], &calls_again[..n]);
        prop_assert!(calls.len().abs_diff(calls_again.len()) <= 1);
    }

    #[test]
    fn good_requests_are_the_same_however_they_are_cut(
        (bytes, expected) in requests(), cuts in vec(any::<usize>(), 0..12),
    ) {
        let (answers, calls) = block_on(run(&bytes, &[], false));
        prop_assert_eq!(&calls, &expected);
        let (again, calls) = block_on(run(&bytes, &cuts, false));
        prop_assert_eq!(&calls, &expected);
        prop_assert_eq!(undated(&answers), undated(&again));
    }
}

#[test]
fn every_single_cut_of_a_request_gives_the_same_request() {
    let bytes =
        b"POST /pieces?a=b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n\
        5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nT: t\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    let whole = block_on(run(bytes, &[], false));
    assert_eq!(whole.1, ["POST /pieces?a=b", "GET /next"]);
    assert!(undated(&whole.0).contains("hello world"));
    for cut in 0..bytes.len() {
        let (answers, calls) = block_on(run(bytes, &[cut], false));
        assert_eq!(
            (undated(&answers), calls),
            (undated(&whole.0), whole.1.clone()),
            "cut at {cut}"
        );
    }
    let every = (0..bytes.len()).collect::<Vec<_>>();
    let (answers, calls) = block_on(run(bytes, &every, false));
    assert_eq!((undated(&answers), calls), (undated(&whole.0), whole.1));
}
