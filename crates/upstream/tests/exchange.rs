//! Exchanges with providers of all manners, over real sockets: what is sent, what is read, and what becomes of the
//! connection.

#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

use std::{
    future::Future,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tollgate_base::{Error, Result};
use tollgate_upstream::{
    Client, Endpoint, Fault, Pieces, Progress, ReplyBody, RequestBody, Timeouts,
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn client() -> Client {
    Client::new(Timeouts {
        connect: Duration::from_secs(5),
        first_byte: Duration::from_secs(5),
    })
}

async fn listen() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let endpoint = Endpoint::new("127.0.0.1", address.port(), false, |_| true).unwrap();
    (listener, endpoint)
}

async fn send(
    client: &Client,
    endpoint: &Endpoint,
    body: impl Into<RequestBody>,
) -> Result<Response<ReplyBody>, Fault> {
    let target = Uri::from_static("/v1/x");
    client
        .send(endpoint, Method::POST, &target, HeaderMap::new(), body)
        .await
}

/// One call, read to its end.
async fn call(client: &Client, endpoint: &Endpoint) -> Result<String, String> {
    let response = send(client, endpoint, Bytes::from_static(b"hello"))
        .await
        .map_err(|fault| fault.error.code().to_owned())?;
    let body = response.into_body().collect(1 << 20).await;
    let body = body.map_err(|error| error.code().to_owned())?;
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// Reads a request up to its end.
async fn request(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).ends_with(end) {
        let mut part = [0; 4096];
        let n = stream.read(&mut part).await.unwrap();
        assert_ne!(n, 0, "the request ended early: {all:?}");
        all.extend_from_slice(&part[..n]);
    }
    String::from_utf8(all).unwrap()
}

/// A provider of one connection that answers each request with the next of these texts, and hangs up after them.
async fn answers(listener: &TcpListener, texts: &[&str]) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    for text in texts {
        request(&mut stream, "hello").await;
        stream.write_all(text.as_bytes()).await.unwrap();
    }
    texts.len()
}

async fn both<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    tokio::join!(first, second)
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_answer_that_was_read_to_its_end() {
    let (listener, endpoint) = listen().await;
    let client = client();
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\nT: 1\r\n\r\n";
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    let (served, said) = both(answers(&listener, &[OK, chunked, empty, OK]), async {
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(call(&client, &endpoint).await.unwrap());
        }
        said
    })
    .await;
    assert_eq!((served, said.join("|")), (4, "ok|abc||ok".to_owned()));
}

#[tokio::test]
async fn a_connection_is_not_used_again_where_its_next_answer_could_be_anothers() {
    for text in [
        // More than the answer.
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
        // It says so, or is too old to say otherwise.
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n\r\nok",
    ] {
        let (listener, endpoint) = listen().await;
        let client = client();
        let (_, said) = both(
            async {
                answers(&listener, &[text]).await;
                answers(&listener, &[OK]).await
            },
            async {
                let first = call(&client, &endpoint).await.unwrap();
                (first, call(&client, &endpoint).await.unwrap())
            },
        )
        .await;
        assert_eq!(said, ("ok".to_owned(), "ok".to_owned()), "{text}");
    }
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_while_it_was_idle_is_replaced_without_a_word() {
    let (listener, endpoint) = listen().await;
    let client = client();
    let (_, first) = both(answers(&listener, &[OK]), call(&client, &endpoint)).await;
    // The provider's side is dropped by now, and its end is on its way on the loopback.
    let (_, second) = both(answers(&listener, &[OK]), call(&client, &endpoint)).await;
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        ("ok".into(), "ok".into())
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "",
    ] {
        let (listener, endpoint) = listen().await;
        let client = client();
        let (_, said) = both(answers(&listener, &[text]), call(&client, &endpoint)).await;
        assert_eq!(said.unwrap_err(), "upstream_closed", "{text}");
    }
}

#[tokio::test]
async fn what_is_no_proper_answer_is_refused_and_may_have_been_charged() {
    let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(17);
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "220 mail.example.com\r\n",
        &flood,
    ] {
        let (listener, endpoint) = listen().await;
        let client = client();
        let sent = send(&client, &endpoint, Bytes::from_static(b"hello"));
        let (_, answer) = both(answers(&listener, &[text]), sent).await;
        let fault = answer.unwrap_err();
        assert_eq!(fault.error.code(), "upstream_invalid", "{text:.50}");
        assert_eq!(fault.progress, Progress::MaybeSent, "{text:.50}");
    }
}

#[tokio::test]
async fn interim_heads_are_passed_over() {
    let (listener, endpoint) = listen().await;
    let client = client();
    let text =
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{OK}");
    let (_, said) = both(answers(&listener, &[&text]), call(&client, &endpoint)).await;
    assert_eq!(said.unwrap(), "ok");
}

#[tokio::test]
async fn an_answer_reads_the_same_however_it_is_cut() {
    let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    for cut in 1..text.len() {
        let (listener, endpoint) = listen().await;
        let client = client();
        let ((), said) = both(
            async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                request(&mut stream, "hello").await;
                let (first, second) = text.split_at(cut);
                stream.write_all(first.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
                stream.write_all(second.as_bytes()).await.unwrap();
            },
            call(&client, &endpoint),
        )
        .await;
        assert_eq!(said.unwrap(), "hello world", "{cut}");
    }
}

#[tokio::test]
async fn a_large_answer_comes_whole() {
    let (listener, endpoint) = listen().await;
    let client = client();
    let body = "abcdefghijklmnopqrstuvw".repeat(13_000);
    let text = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (_, said) = both(answers(&listener, &[&text]), call(&client, &endpoint)).await;
    assert!(said.unwrap() == body);
}

#[tokio::test]
async fn an_answer_of_the_wrong_size_is_not_read() {
    let (listener, endpoint) = listen().await;
    let client = client();
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 4000000000\r\n\r\n";
    let (_, said) = both(answers(&listener, &[text]), call(&client, &endpoint)).await;
    assert_eq!(said.unwrap_err(), "upstream_invalid");
}

/// A body in pieces, with or without its length; the last word may be a failure.
struct Script {
    pieces: std::vec::IntoIter<Result<&'static str>>,
    length: Option<u64>,
}

impl Script {
    fn of(pieces: Vec<Result<&'static str>>, length: Option<u64>) -> RequestBody {
        let pieces = pieces.into_iter();
        RequestBody::pieces(Box::new(Self { pieces, length }))
    }
}

impl Pieces for Script {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let next = self.pieces.next().transpose();
        Poll::Ready(next.map(|piece| piece.map(|text| Bytes::from_static(text.as_bytes()))))
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

#[tokio::test]
async fn a_body_in_pieces_is_sent_in_the_coding_that_its_length_allows() {
    for (length, end, sent) in [
        (Some(7), "to you", "content-length: 7\r\n\r\n1to you"),
        (
            None,
            "0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n1\r\n1\r\n6\r\nto you\r\n0\r\n\r\n",
        ),
    ] {
        let (listener, endpoint) = listen().await;
        let client = client();
        let body = Script::of(vec![Ok("1"), Ok(""), Ok("to you")], length);
        let (seen, answer) = both(
            async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let seen = request(&mut stream, end).await;
                stream.write_all(OK.as_bytes()).await.unwrap();
                seen
            },
            send(&client, &endpoint, body),
        )
        .await;
        assert_eq!(answer.unwrap().status().as_u16(), 200);
        assert!(seen.ends_with(sent), "{seen}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_the_request_off() {
    let lost = || Error::internal("The caller is gone.");
    for (pieces, length) in [
        (vec![Ok("1"), Err(lost())], None),
        (vec![Ok("1"), Err(lost())], Some(7)),
        // Less, and more, than was announced.
        (vec![Ok("1")], Some(7)),
        (vec![Ok("1"), Ok("two")], Some(2)),
    ] {
        let (listener, endpoint) = listen().await;
        let client = client();
        let (seen, answer) = both(
            async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut seen = String::new();
                stream.read_to_string(&mut seen).await.unwrap();
                seen
            },
            send(&client, &endpoint, Script::of(pieces, length)),
        )
        .await;
        assert_eq!(answer.unwrap_err().progress, Progress::MaybeSent);
        assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
    }
}

/// A body without an end.
struct Endless;

impl Pieces for Endless {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        Poll::Ready(Ok(Some(Bytes::from_static(&[b'x'; 16 * 1024]))))
    }

    fn length(&self) -> Option<u64> {
        None
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_sent_ends_the_sending() {
    let (listener, endpoint) = listen().await;
    let client = client();
    let refusal = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
    let (mut stream, said) = both(
        async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut part = [0; 1024];
            stream.read_exact(&mut part).await.unwrap();
            stream.write_all(refusal.as_bytes()).await.unwrap();
            stream
        },
        async {
            let body = RequestBody::pieces(Box::new(Endless));
            let response = send(&client, &endpoint, body).await.unwrap();
            assert_eq!(response.status().as_u16(), 413);
            response.into_body().collect(100).await.unwrap()
        },
    )
    .await;
    assert_eq!(&said[..], b"no");
    // The connection is closed, not kept for another request in the middle of this one.
    let mut rest = Vec::new();
    let _closed_or_reset = stream.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn dropping_an_answer_closes_its_connection() {
    let (listener, endpoint) = listen().await;
    let client = client();
    let (end, ()) = both(
        async {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream, "hello").await;
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.read(&mut [0; 16]).await.unwrap_or(0)
        },
        async {
            let answer = send(&client, &endpoint, Bytes::from_static(b"hello")).await;
            let mut body = answer.unwrap().into_body();
            assert_eq!(&body.chunk().await.unwrap().unwrap()[..], b"ok");
        },
    )
    .await;
    assert_eq!(end, 0);
}
