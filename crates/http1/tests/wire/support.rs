//! A scripted client on an in-memory connection, and a service whose routes show one behaviour each.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
    task::JoinHandle,
};
use tollgate_base::Error;
use tollgate_http1::{Request, Service, Settings, Stop, serve};

pub(crate) const PEER: &str = "127.0.0.1:1234";

/// A body whose length is known, or one that a test feeds.
pub(crate) enum TestBody {
    Full(Option<Bytes>),
    /// Says one length and sends another.
    Liar(u64, Option<Bytes>),
    Stream(Stream),
    Endless,
    /// Some data, then trailers that close.
    Closing(Vec<Frame<Bytes>>),
}

/// Data that a test sends, and the count of those that are still wanted.
pub(crate) struct Stream {
    data: mpsc::UnboundedReceiver<Bytes>,
    _alive: Guard,
}

/// Counts the futures and bodies that are alive.
pub(crate) struct Guard(pub(crate) Arc<AtomicUsize>);

impl Guard {
    pub(crate) fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(alive.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match &mut *self {
            TestBody::Full(data) | TestBody::Liar(_, data) => data.take().map(Frame::data),
            TestBody::Stream(stream) => match stream.data.poll_recv(cx) {
                Poll::Ready(data) => data.map(Frame::data),
                Poll::Pending => return Poll::Pending,
            },
            TestBody::Endless => Some(Frame::data(Bytes::from_static(&[b'z'; 8192]))),
            TestBody::Closing(frames) => frames.pop(),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            TestBody::Full(data) => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            TestBody::Liar(length, _) => SizeHint::with_exact(*length),
            _ => SizeHint::default(),
        }
    }
}

/// What the service saw, and the hands on its streams.
pub(crate) struct Probe {
    /// `METHOD target` of every request that was dispatched.
    pub(crate) calls: mpsc::UnboundedSender<String>,
    /// Calls and bodies that are alive.
    pub(crate) alive: Arc<AtomicUsize>,
    /// Where `/stream` takes its data from: one receiver per call.
    pub(crate) streams: parking_lot::Mutex<Vec<mpsc::UnboundedReceiver<Bytes>>>,
    pub(crate) stop: Stop,
}

impl Service for Probe {
    type Body = TestBody;

    #[expect(clippy::too_many_lines, reason = "a table: one arm per behaviour")]
    async fn call(&self, mut request: Request) -> Response<TestBody> {
        let guard = Guard::new(&self.alive);
        self.calls
            .send(format!("{} {}", request.method, request.uri))
            .expect("the test listens");
        let limit = 1 << 20;
        match request.uri.path() {
            "/echo" => match request.body.collect(limit).await {
                Ok(body) => full(200, body),
                Err(error) => refusal(&error),
            },
            "/late" => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                full(200, request.body.collect(limit).await.unwrap_or_default())
            }
            "/small" => match request.body.collect(10).await {
                Ok(body) => full(200, body),
                Err(error) => refusal(&error),
            },
            "/pieces" => {
                let mut all = Vec::new();
                loop {
                    match request.body.chunk().await {
                        Ok(Some(piece)) => all.extend_from_slice(&piece),
                        Ok(None) => return full(200, Bytes::from(all)),
                        Err(error) => return refusal(&error),
                    }
                }
            }
            "/elsewhere" => {
                // The body is read by another task, as a relay would.
                let task = tokio::spawn(async move { request.body.collect(limit).await });
                match task.await.expect("no panic") {
                    Ok(body) => full(200, body),
                    Err(error) => refusal(&error),
                }
            }
            "/length" => full(200, format!("{:?}", request.body.content_length()).into()),
            "/headers" => {
                let mut lines = request
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.as_bytes().escape_ascii()))
                    .collect::<Vec<_>>();
                lines.sort();
                full(200, lines.join("\n").into())
            }
            "/unauthorized" => full(401, "no".into()),
            "/never" => std::future::pending().await,
            "/stream" => {
                let data = self.streams.lock().remove(0);
                Response::new(TestBody::Stream(Stream {
                    data,
                    _alive: guard,
                }))
            }
            // Answers with the request body while it comes, until it ends or breaks.
            "/relay" => {
                let (pieces, data) = mpsc::unbounded_channel();
                tokio::spawn(async move {
                    while let Ok(Some(piece)) = request.body.chunk().await {
                        if pieces.send(piece).is_err() {
                            break;
                        }
                    }
                });
                Response::new(TestBody::Stream(Stream {
                    data,
                    _alive: guard,
                }))
            }
            "/endless" => Response::new(TestBody::Endless),
            "/large" => full(200, vec![b'L'; 1 << 20].into()),
            "/nothing" => {
                let mut response = full(204, Bytes::from_static(b"must not show"));
                response
                    .headers_mut()
                    .insert("x-kept", HeaderValue::from_static("1"));
                response
            }
            "/short" => Response::new(TestBody::Liar(10, Some("short".into()))),
            "/long" => Response::new(TestBody::Liar(4, Some("longer".into()))),
            "/interim" => {
                let mut response = full(200, "".into());
                *response.status_mut() = http::StatusCode::CONTINUE;
                response
            }
            "/stopping" => {
                self.stop.set();
                full(200, "last".into())
            }
            "/fails-late" => {
                let mut fields = http::HeaderMap::new();
                fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
                let frames = vec![Frame::trailers(fields), Frame::data("sorry".into())];
                Response::new(TestBody::Closing(frames))
            }
            "/close" => {
                let mut response = full(200, "bye".into());
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
                response
            }
            _ => full(200, "ok".into()),
        }
    }

    fn refuse(&self, error: Error, target: Option<&str>) -> Response<TestBody> {
        let mut response = refusal(&error);
        if let Some(target) = target {
            response.headers_mut().insert(
                "x-target",
                HeaderValue::from_str(target).expect("a target is a value"),
            );
        }
        response
    }
}

pub(crate) fn full(status: u16, body: Bytes) -> Response<TestBody> {
    Response::builder()
        .status(status)
        .body(TestBody::Full(Some(body)))
        .expect("a status")
}

fn refusal(error: &Error) -> Response<TestBody> {
    let mut response = full(error.kind().status(), error.code().to_owned().into());
    if error.closes() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// The client's side of one served connection.
pub(crate) struct Client {
    pub(crate) io: DuplexStream,
    pub(crate) calls: mpsc::UnboundedReceiver<String>,
    pub(crate) alive: Arc<AtomicUsize>,
    /// Feeds the first call of `/stream`, and so on.
    pub(crate) streams: Vec<mpsc::UnboundedSender<Bytes>>,
    pub(crate) stop: Stop,
    pub(crate) served: JoinHandle<()>,
    seen: Vec<u8>,
}

/// An answer as a client reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

impl Client {
    pub(crate) fn connect() -> Self {
        Self::connect_with(Settings::default(), 64 * 1024)
    }

    pub(crate) fn connect_with(settings: Settings, buffer: usize) -> Self {
        let (io, theirs) = tokio::io::duplex(buffer);
        let (calls, seen_calls) = mpsc::unbounded_channel();
        let (streams, receivers) = (0..2).map(|_| mpsc::unbounded_channel()).unzip();
        let (alive, stop) = (Arc::new(AtomicUsize::new(0)), Stop::new());
        let probe = Probe {
            calls,
            alive: alive.clone(),
            streams: parking_lot::Mutex::new(receivers),
            stop: stop.clone(),
        };
        let heard = stop.clone();
        let served = tokio::spawn(async move {
            serve(
                theirs,
                PEER.parse().expect("an address"),
                &settings,
                &probe,
                heard,
            )
            .await;
        });
        Self {
            io,
            calls: seen_calls,
            alive,
            streams,
            stop,
            served,
            seen: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io
            .write_all(bytes.as_ref())
            .await
            .expect("the connection reads");
    }

    /// Lets the connection work until it waits.
    pub(crate) async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn read_exactly(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut bytes = std::mem::take(&mut self.seen);
        let missing = expected.len().saturating_sub(bytes.len());
        self.seen = bytes.split_off(bytes.len().min(expected.len()));
        let mut more = vec![0; missing];
        self.io
            .read_exact(&mut more)
            .await
            .expect("the connection writes");
        bytes.extend(more);
        assert_eq!(
            bytes.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    /// Only what is there already, without waiting.
    pub(crate) async fn read_ready(&mut self) -> Vec<u8> {
        self.settle().await;
        let mut bytes = std::mem::take(&mut self.seen);
        let mut buf = vec![0; 65536];
        let read = std::future::poll_fn(|cx| {
            let mut buf = tokio::io::ReadBuf::new(&mut buf);
            let io = Pin::new(&mut self.io);
            Poll::Ready(match tokio::io::AsyncRead::poll_read(io, cx, &mut buf) {
                Poll::Ready(_) => buf.filled().len(),
                Poll::Pending => 0,
            })
        });
        let n = read.await;
        bytes.extend(&buf[..n]);
        bytes
    }

    async fn read_more(&mut self) -> bool {
        let mut buf = [0; 4096];
        let n = self.io.read(&mut buf).await.unwrap_or(0);
        self.seen.extend(&buf[..n]);
        n > 0
    }

    /// The head of the next answer, or `None` when the connection ended.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.seen.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = self.seen.drain(..end + 4).collect();
                return Some(String::from_utf8(head).expect("a head is text"));
            }
            if !self.read_more().await {
                assert!(
                    self.seen.is_empty(),
                    "half a head: {}",
                    self.seen.escape_ascii()
                );
                return None;
            }
        }
    }

    /// The next answer whole, or `None` when the connection ended.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        let status = head[9..12].parse().expect("a status");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map(|length| length.parse::<usize>().expect("a length"));
        let body = match length {
            Some(length) => {
                while self.seen.len() < length {
                    assert!(self.read_more().await, "cut after {:?}", self.seen.len());
                }
                self.seen.drain(..length).collect()
            }
            None if head.contains("transfer-encoding: chunked") => self.chunked().await,
            None => Vec::new(),
        };
        Some(Answer {
            status,
            head,
            body: String::from_utf8(body).expect("test bodies are text"),
        })
    }

    async fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = self.seen.windows(2).position(|w| w == b"\r\n") {
                    break self.seen.drain(..end + 2).collect::<Vec<_>>();
                }
                assert!(self.read_more().await, "cut in a size");
            };
            let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16)
                .expect("a chunk size");
            while self.seen.len() < size + 2 {
                assert!(self.read_more().await, "cut in a chunk");
            }
            body.extend(self.seen.drain(..size));
            assert_eq!(self.seen.drain(..2).collect::<Vec<_>>(), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// The last answer: it must announce the close, and the connection must end, with nothing after it.
    pub(crate) async fn last_answer(&mut self) -> Answer {
        let answer = self.answer().await.expect("an answer");
        assert!(answer.closes(), "{}", answer.head);
        self.expect_end().await;
        answer
    }

    /// The connection ends without another byte.
    pub(crate) async fn expect_end(&mut self) {
        let mut rest = std::mem::take(&mut self.seen);
        let end =
            tokio::time::timeout(Duration::from_secs(2), self.io.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "the connection stays open");
        assert!(rest.is_empty(), "more bytes: {}", rest.escape_ascii());
    }

    /// How many requests reached the service.
    pub(crate) fn n_calls(&mut self) -> usize {
        let mut n = 0;
        while self.calls.try_recv().is_ok() {
            n += 1;
        }
        n
    }

    pub(crate) fn n_alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }
}

/// Sends `bytes` on a new connection; expects one refusal, a close, and no call.
pub(crate) async fn refused(bytes: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect_with(Settings::default(), 1 << 20);
    client.send(bytes.as_ref()).await;
    let begun = tokio::time::Instant::now();
    let answer = client.last_answer().await;
    assert!(begun.elapsed() <= Duration::from_secs(1), "slow to refuse");
    assert_eq!(
        client.n_calls(),
        0,
        "dispatched: {}",
        bytes.as_ref().escape_ascii()
    );
    answer
}

/// Checks that `bytes` are refused with this status and code.
pub(crate) async fn check_refused(bytes: impl AsRef<[u8]>, status: u16, code: &str) {
    let answer = refused(&bytes).await;
    let shown = bytes.as_ref().escape_ascii().to_string();
    let shown = &shown[..shown.len().min(200)];
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (status, code),
        "{shown}"
    );
}
