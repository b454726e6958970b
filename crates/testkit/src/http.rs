//! HTTP/1.1 by hand, server side: request heads and bodies in, bytes out, the peer's leaving noticed.
//!
//! Written here and not taken from a library because the point of a scripted provider is to send what a
//! library would refuse to send.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) keep_alive: bool,
}

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// Bytes read and not yet used.
    inbuf: Vec<u8>,
}

struct Head {
    request: Request,
    len: usize,
    body: BodyLength,
    expects_continue: bool,
}

enum BodyLength {
    Known(usize),
    Chunked,
}

// === impl Request ===

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            inbuf: Vec::with_capacity(4096),
        })
    }

    /// The next request; `None` when the peer is done.
    pub(crate) async fn next_request(&mut self) -> io::Result<Option<Request>> {
        let head = loop {
            if let Some(head) = parse_head(&self.inbuf)? {
                break head;
            }
            if self.inbuf.len() > MAX_HEAD {
                return Err(invalid("request head too large"));
            }
            if !self.fill().await? {
                return if self.inbuf.is_empty() {
                    Ok(None)
                } else {
                    Err(invalid("request head cut"))
                };
            }
        };
        self.inbuf.drain(..head.len);
        if head.expects_continue && self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return Ok(None);
        }
        let body = match head.body {
            BodyLength::Known(len) => self.take(len).await?,
            BodyLength::Chunked => self.take_chunks().await?,
        };
        Ok(Some(Request {
            body,
            ..head.request
        }))
    }

    /// Writes everything, or says how many bytes went out before the peer left.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while at < bytes.len() {
            match self.stream.try_write(&bytes[at..]) {
                Ok(n) => at += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::select! {
                        ready = self.stream.writable() => ready.map_err(|_| at)?,
                        () = peer_gone(&self.stream, &mut self.inbuf) => return Err(at),
                    }
                }
                Err(_) => return Err(at),
            }
        }
        Ok(())
    }

    /// Resolves when the peer closes or resets; what it sends meanwhile is kept.
    pub(crate) async fn peer_gone(&mut self) {
        peer_gone(&self.stream, &mut self.inbuf).await;
    }

    /// Whether the peer has already left; never waits.
    pub(crate) fn is_peer_gone(&mut self) -> bool {
        let mut part = [0; 4096];
        match self.stream.try_read(&mut part) {
            Ok(0) => true,
            Ok(n) => {
                self.inbuf.extend_from_slice(&part[..n]);
                false
            }
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Makes the coming drop send RST instead of FIN.
    pub(crate) fn arm_reset(&self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.inbuf).await? > 0)
    }

    async fn take(&mut self, len: usize) -> io::Result<Vec<u8>> {
        if len > MAX_BODY {
            return Err(invalid("request body too large"));
        }
        while self.inbuf.len() < len {
            if !self.fill().await? {
                return Err(invalid("request body cut"));
            }
        }
        let rest = self.inbuf.split_off(len);
        Ok(std::mem::replace(&mut self.inbuf, rest))
    }

    async fn take_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| invalid("chunk size"))?;
            if size == 0 {
                while !self.take_line().await?.is_empty() {}
                return Ok(body);
            }
            if body.len() + size > MAX_BODY {
                return Err(invalid("request body too large"));
            }
            body.extend(self.take(size).await?);
            if !self.take_line().await?.is_empty() {
                return Err(invalid("chunk end"));
            }
        }
    }

    /// One line without its CRLF.
    async fn take_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.inbuf.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.inbuf.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).map_err(|_| invalid("chunk line"));
            }
            if !self.fill().await? {
                return Err(invalid("request body cut"));
            }
        }
    }
}

async fn peer_gone(stream: &TcpStream, inbuf: &mut Vec<u8>) {
    let mut part = [0; 4096];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut part) {
            Ok(0) => return,
            Ok(n) => inbuf.extend_from_slice(&part[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<Head>> {
    let mut slots = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Request::new(&mut slots);
    let len = match parsed.parse(buffer).map_err(|_| invalid("request head"))? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial => return Ok(None),
    };
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|header| {
            (
                header.name.to_ascii_lowercase(),
                String::from_utf8_lossy(header.value).into_owned(),
            )
        })
        .collect();
    let target = parsed.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
        keep_alive: parsed.version == Some(1),
    };
    if let Some(connection) = request.header("connection") {
        let connection = connection.to_ascii_lowercase();
        request.keep_alive = !connection.contains("close")
            && (request.keep_alive || connection.contains("keep-alive"));
    }
    let chunked = request
        .header("transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
    let body = match request.header("content-length") {
        Some(_) if chunked => return Err(invalid("both content-length and transfer-encoding")),
        _ if chunked => BodyLength::Chunked,
        Some(length) => BodyLength::Known(length.parse().map_err(|_| invalid("content-length"))?),
        None => BodyLength::Known(0),
    };
    let expects_continue = request
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    Ok(Some(Head {
        request,
        len,
        body,
        expects_continue,
    }))
}
