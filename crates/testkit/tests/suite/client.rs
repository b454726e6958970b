//! A plain HTTP/1.1 client for the tests: shows the bytes as they came, and whether the body was whole.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tollgate_testkit::{Dialect, TestProvider};

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The body arrived as far as its framing promised.
    pub(crate) is_whole: bool,
    /// Every byte of the connection.
    pub(crate) raw: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The JSON of every `data:` line that is JSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text();
        text.lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            line.split_once(": ")
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value)
        })
    }
}

/// A minimal good request for a dialect.
pub(crate) fn body(dialect: Dialect, model: &str, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": "Say hello to the testkit."}]);
    match (dialect, stream) {
        (Dialect::OpenAi, true) => {
            json!({"model": model, "messages": messages, "stream": true, "stream_options": {"include_usage": true}})
        }
        (Dialect::OpenAi, false) => json!({"model": model, "messages": messages}),
        (Dialect::Anthropic, _) => {
            json!({"model": model, "messages": messages, "max_tokens": 1024, "stream": stream})
        }
        (Dialect::Gemini, _) => {
            json!({"contents": [{"role": "user", "parts": [{"text": "Say hello to the testkit."}]}]})
        }
    }
}

pub(crate) const CHAT: &str = "/v1/chat/completions";

/// Where that request goes.
pub(crate) fn path(dialect: Dialect, model: &str, stream: bool) -> String {
    match (dialect, stream) {
        (Dialect::OpenAi, _) => CHAT.to_owned(),
        (Dialect::Anthropic, _) => "/v1/messages".to_owned(),
        (Dialect::Gemini, true) => {
            format!("/v1beta/models/{model}:streamGenerateContent?alt=sse")
        }
        (Dialect::Gemini, false) => format!("/v1beta/models/{model}:generateContent"),
    }
}

/// The bytes of a request with the usual headers.
pub(crate) fn request(method: &str, path: &str, body: &str, extra: &str) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer test-key\r\nanthropic-version: 2026-10-21\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{extra}\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

pub(crate) async fn connect(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr)
        .await
        .expect("the provider accepts")
}

/// Sends one request on its own connection and reads until the provider closes.
pub(crate) async fn exchange(addr: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = connect(addr).await;
    stream.write_all(request).await.expect("the provider reads");
    let mut raw = Vec::new();
    // A reset is an end too: what came before it counts.
    while let Ok(n) = stream.read_buf(&mut raw).await {
        if n == 0 {
            break;
        }
    }
    parse(raw)
}

/// Asks for a model's answer over a connection of its own.
pub(crate) async fn ask(provider: &TestProvider, model: &str, stream: bool) -> Reply {
    let dialect = provider.dialect();
    let body = body(dialect, model, stream).to_string();
    exchange(
        provider.addr(),
        &request(
            "POST",
            &path(dialect, model, stream),
            &body,
            "connection: close\r\n",
        ),
    )
    .await
}

pub(crate) async fn post(provider: &TestProvider, path: &str, body: &Value) -> Reply {
    exchange(
        provider.addr(),
        &request("POST", path, &body.to_string(), "connection: close\r\n"),
    )
    .await
}

pub(crate) fn parse(raw: Vec<u8>) -> Reply {
    let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Reply {
            status: 0,
            head: String::new(),
            body: Vec::new(),
            is_whole: false,
            raw,
        };
    };
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let rest = &raw[end + 4..];
    let length: Option<usize> = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map(|length| length.parse().expect("a length"));
    let (body, is_whole) = match length {
        Some(length) => (rest.to_vec(), rest.len() == length),
        None => dechunk(rest),
    };
    Reply {
        status,
        head,
        body,
        is_whole,
        raw,
    }
}

fn dechunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&rest[..line])
            .ok()
            .and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else {
            return (body, false);
        };
        rest = &rest[line + 2..];
        if size == 0 {
            return (body, rest == b"\r\n");
        }
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            return (body, false);
        }
        rest = &rest[size + 2..];
    }
}
