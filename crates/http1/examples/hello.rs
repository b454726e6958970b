//! What one request costs: a server on one thread answers a chat-sized POST over kept connections, and
//! the CPU time of that thread is divided by the requests.
//!
//! `hello [CONNECTIONS] [REQUESTS]` measures this crate. `hello CONNECTIONS REQUESTS ADDR PID` sends the
//! same load to another server and reads the CPU time of its process. Linux only.

#![expect(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::{
    convert::Infallible,
    error::Error,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    pin::Pin,
    sync::mpsc,
    task::{Context, Poll},
    thread,
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use tokio::{net::TcpListener, runtime, task::LocalSet};
use tollgate_http1::{Request, Service, Settings, Stop, serve};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ANSWER: &[u8] = &[b'{'; 300];

struct Hello;

struct Once(Option<Bytes>);

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |data| data.len() as u64))
    }
}

impl Service for Hello {
    type Body = Once;

    async fn call(&self, mut request: Request) -> Response<Once> {
        let answer = match request.body.collect(1 << 20).await {
            Ok(_) => ANSWER,
            Err(_) => b"",
        };
        let mut response = Response::new(Once(Some(Bytes::from_static(answer))));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    fn refuse(&self, error: tollgate_base::Error, _: Option<&str>) -> Response<Once> {
        Response::new(Once(Some(error.code().to_owned().into())))
    }
}

/// Serves forever, and says first where, and which thread to watch.
fn server(ready: &mpsc::Sender<(SocketAddr, String)>) -> std::io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let thread = fs::read_link("/proc/thread-self")?;
        let clock = format!("/proc/{}/schedstat", thread.display());
        if ready.send((listener.local_addr()?, clock)).is_err() {
            return Ok(());
        }
        loop {
            let (socket, peer) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                serve(socket, peer, &Settings::default(), &Hello, Stop::new()).await;
            });
        }
    })
}

/// Every connection sends one request, then every connection reads its answer, and again.
fn load(addr: SocketAddr, n_connections: usize, n_requests: usize) -> Outcome<()> {
    let body = "x".repeat(200);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:8080\r\nAccept: application/json\r\n\
         Accept-Encoding: identity\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n\
         Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\nUser-Agent: hello/1.0\r\n\
         X-Stainless-Lang: rust\r\nX-Stainless-Retry-Count: 0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut sockets = Vec::new();
    for _ in 0..n_connections {
        let socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    let mut buf = [0; 4096];
    for _ in 0..n_requests / n_connections {
        for socket in &mut sockets {
            socket.write_all(request.as_bytes())?;
        }
        for socket in &mut sockets {
            let mut n = 0;
            // All answers here end the same way.
            while n < ANSWER.len() || buf[n - 1] != b'{' {
                match socket.read(&mut buf[n..])? {
                    0 => return Err("the server closed".into()),
                    more => n += more,
                }
            }
            if !buf.starts_with(b"HTTP/1.1 200 ") {
                return Err("not the answer that was expected".into());
            }
        }
    }
    Ok(())
}

/// Nanoseconds on a CPU.
fn cpu_ns(clock: &str) -> Outcome<u64> {
    let text = fs::read_to_string(clock)?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}

fn main() -> Outcome<()> {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    let number = |at: usize, default| {
        args.get(at)
            .map_or(Ok(default), |text| text.parse::<usize>())
    };
    let (n_connections, n_requests) = (number(0, 32)?, number(1, 200_000)?);
    let (addr, clock) = if let (Some(addr), Some(pid)) = (args.get(2), args.get(3)) {
        (addr.parse()?, format!("/proc/{pid}/schedstat"))
    } else {
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || server(&ready));
        is_ready.recv()?
    };
    load(addr, n_connections, n_requests / 10)?;
    let (before, begun) = (cpu_ns(&clock)?, Instant::now());
    load(addr, n_connections, n_requests)?;
    let (took, spent) = (begun.elapsed().as_secs_f64(), cpu_ns(&clock)? - before);
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let (rate, cost) = (
        n_requests as f64 / took,
        spent as f64 / 1000.0 / n_requests as f64,
    );
    println!("{n_connections} connections: {rate:.0} requests/s, {cost:.1} us of CPU per request");
    Ok(())
}
