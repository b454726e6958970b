//! A plain HTTP/1.1 client with keep-alive: sends one call, sees every byte, leaves when it is told to.
//!
//! Written on sockets so that nothing is retried, buffered or hidden between the trial and the gateway.

use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::clock::unix_us;
use crate::compare::Seen;

/// How long a call may take before the trial calls it a hang.
const PATIENCE: Duration = Duration::from_mins(1);
const MAX_HEAD: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Client {
    addr: SocketAddr,
    key: String,
    idle: Mutex<Vec<TcpStream>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Chat,
    Messages,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) wire: Wire,
    /// `provider/model`, as the gateway takes it.
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) max_tokens: u64,
    pub(crate) leave: Option<Leave>,
}

/// When the client goes away by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// After so many bytes of the body.
    AfterBytes(usize),
    /// After so long, whatever arrived.
    After(Duration),
    /// Reads nothing of the answer for so long, then goes.
    Unread(Duration),
}

/// What came of a call.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// 0: no head arrived.
    pub(crate) status: u16,
    pub(crate) request_id: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: Ending,
    /// When the answer, or its absence, was certain.
    pub(crate) at: Instant,
    /// When a client that reads on would have taken a good answer for whole: its last byte, or the last event of
    /// its stream. Unix time in microseconds.
    pub(crate) whole_us: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As long as its framing promised.
    Whole,
    /// The gateway broke off.
    Cut,
    /// The client left.
    Left,
    /// No connection.
    NotConnected,
    /// Nothing more came for a minute.
    Hung,
}

struct Head {
    status: u16,
    len: usize,
    request_id: String,
    retry_after: Option<String>,
    length: Option<usize>,
    is_chunked: bool,
    stays_open: bool,
}

impl Client {
    pub(crate) fn new(addr: SocketAddr, key: &str) -> Self {
        Self {
            addr,
            key: key.to_owned(),
            idle: Mutex::default(),
        }
    }

    /// Sends a call and follows its answer to the end.
    pub(crate) async fn send(&self, call: &Call) -> Answer {
        let mut answer = Answer::none();
        let pause = match call.leave {
            Some(Leave::After(pause) | Leave::Unread(pause)) => pause,
            Some(Leave::AfterBytes(_)) | None => PATIENCE,
        };
        match timeout(pause, self.exchange(call, &mut answer)).await {
            Ok(Some(stream)) => self.idle.lock().push(stream),
            Ok(None) => {}
            Err(_) => {
                answer.end = match call.leave {
                    Some(Leave::After(_) | Leave::Unread(_)) => Ending::Left,
                    Some(Leave::AfterBytes(_)) | None => Ending::Hung,
                };
            }
        }
        answer.at = Instant::now();
        answer
    }

    /// Gives the connection back when it can serve again.
    async fn exchange(&self, call: &Call, answer: &mut Answer) -> Option<TcpStream> {
        let request = self.request(call);
        // A kept connection may have been closed meanwhile: such a one is known by its end before any byte.
        while let Some(mut stream) = self.take_idle() {
            if stream.write_all(&request).await.is_err() {
                continue;
            }
            let found = read(&mut stream, call, answer).await;
            return found.then_some(stream);
        }
        answer.end = Ending::NotConnected;
        let mut stream = TcpStream::connect(self.addr).await.ok()?;
        stream.set_nodelay(true).ok()?;
        answer.end = Ending::Cut;
        stream.write_all(&request).await.ok()?;
        read(&mut stream, call, answer).await.then_some(stream)
    }

    /// A kept connection that the gateway has not closed.
    fn take_idle(&self) -> Option<TcpStream> {
        let mut idle = self.idle.lock();
        while let Some(stream) = idle.pop() {
            let is_open = stream
                .try_read(&mut [0; 1])
                .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
            if is_open {
                return Some(stream);
            }
        }
        None
    }

    fn request(&self, call: &Call) -> Vec<u8> {
        let (path, credential) = match call.wire {
            Wire::Chat => ("/v1/chat/completions", format!("Bearer {}", self.key)),
            Wire::Messages => ("/v1/messages", format!("Bearer {}", self.key)),
        };
        let options = match (call.wire, call.stream) {
            (Wire::Chat, true) => r#","stream_options":{"include_usage":true}"#,
            _ => "",
        };
        let body = format!(
            r#"{{"model":"{}","max_tokens":{},"stream":{}{options},"messages":[{{"role":"user","content":"Say hello to the oracle."}}]}}"#,
            call.model, call.max_tokens, call.stream
        );
        format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: {credential}\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.addr,
            body.len()
        )
        .into_bytes()
    }
}

impl Answer {
    fn none() -> Self {
        Self {
            status: 0,
            request_id: String::new(),
            retry_after: None,
            body: Vec::new(),
            end: Ending::Cut,
            at: Instant::now(),
            whole_us: None,
        }
    }

    /// A good answer with its end: whole by its framing and, for a stream, by its dialect.
    pub(crate) fn is_whole(&self, call: &Call) -> bool {
        self.status == 200 && self.end == Ending::Whole && (!call.stream || self.has_end(call))
    }

    /// Whether the last event of its dialect's streams is there.
    fn has_end(&self, call: &Call) -> bool {
        let marker: &[u8] = match call.wire {
            Wire::Chat => b"data: [DONE]",
            Wire::Messages => b"event: message_stop",
        };
        count(&self.body, marker) > 0
    }

    /// Tokens of a `tokens:` or `held:` script that arrived.
    pub(crate) fn tokens(&self) -> u64 {
        count(&self.body, b"word ")
    }

    pub(crate) fn seen(&self, call: &Call) -> Option<Seen> {
        (!self.request_id.is_empty()).then(|| Seen {
            request_id: self.request_id.clone(),
            is_whole: self.is_whole(call),
            tokens: self.tokens(),
        })
    }

    /// The code of a refusal in either dialect's error, or its type.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error = &body["error"];
        error["code"]
            .as_str()
            .or_else(|| error["type"].as_str())
            .unwrap_or_default()
            .to_owned()
    }
}

fn count(body: &[u8], part: &[u8]) -> u64 {
    body.windows(part.len())
        .filter(|window| *window == part)
        .count() as u64
}

/// Reads one answer; says whether the connection can serve again.
async fn read(stream: &mut TcpStream, call: &Call, answer: &mut Answer) -> bool {
    if let Some(Leave::Unread(_)) = call.leave {
        std::future::pending::<()>().await;
    }
    let mut raw = Vec::with_capacity(8 * 1024);
    let head = loop {
        if let Some(head) = parse_head(&raw) {
            break head;
        }
        if raw.len() > MAX_HEAD || stream.read_buf(&mut raw).await.unwrap_or(0) == 0 {
            return false;
        }
    };
    answer.status = head.status;
    answer.request_id.clone_from(&head.request_id);
    answer.retry_after.clone_from(&head.retry_after);
    let mut rest = raw.split_off(head.len);
    let limit = match call.leave {
        Some(Leave::AfterBytes(bytes)) => bytes,
        _ => usize::MAX,
    };
    loop {
        let is_whole = if head.is_chunked {
            take_chunks(&mut rest, &mut answer.body)
        } else {
            answer.body.append(&mut rest);
            head.length
                .is_some_and(|length| answer.body.len() >= length)
        };
        if answer.whole_us.is_none() && (is_whole || call.stream && answer.has_end(call)) {
            answer.whole_us = Some(unix_us());
        }
        if is_whole {
            answer.end = Ending::Whole;
            return head.stays_open;
        }
        if answer.body.len() >= limit {
            answer.end = Ending::Left;
            return false;
        }
        if stream.read_buf(&mut rest).await.unwrap_or(0) == 0 {
            return false;
        }
    }
}

/// Moves whole chunks into the body; true at the last one. Broken framing reads as an end that never comes.
fn take_chunks(raw: &mut Vec<u8>, body: &mut Vec<u8>) -> bool {
    let mut at = 0;
    let is_last = loop {
        let Ok(httparse::Status::Complete((digits, size))) = httparse::parse_chunk_size(&raw[at..])
        else {
            break false;
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let begin = at + digits;
        let Some(end) = begin.checked_add(size).filter(|end| end + 2 <= raw.len()) else {
            break false;
        };
        if size == 0 {
            break true;
        }
        body.extend_from_slice(&raw[begin..end]);
        at = end + 2;
    };
    raw.drain(..at);
    is_last
}

fn parse_head(raw: &[u8]) -> Option<Head> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut slots);
    let httparse::Status::Complete(len) = parsed.parse(raw).ok()? else {
        return None;
    };
    let header = |name: &str| -> Option<String> {
        parsed
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    Some(Head {
        status: parsed.code?,
        len,
        request_id: header("x-request-id").unwrap_or_default(),
        retry_after: header("retry-after"),
        length: header("content-length").and_then(|length| length.parse().ok()),
        is_chunked: header("transfer-encoding").is_some_and(|value| value.contains("chunked")),
        stays_open: header("connection")
            .is_none_or(|value| !value.to_ascii_lowercase().contains("close")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_at_every_split() {
        let wire = b"5\r\nword \r\n6\r\nword 2\r\n0\r\n\r\n";
        for split in 0..wire.len() {
            let (mut raw, mut body) = (wire[..split].to_vec(), Vec::new());
            let early = take_chunks(&mut raw, &mut body);
            raw.extend_from_slice(&wire[split..]);
            assert!(take_chunks(&mut raw, &mut body) && !early, "{split}");
            assert_eq!(body, b"word word 2");
        }
    }

    #[test]
    fn a_stream_without_its_last_event_is_not_whole() {
        let call = Call {
            wire: Wire::Chat,
            model: String::new(),
            stream: true,
            max_tokens: 1,
            leave: None,
        };
        let mut answer = Answer {
            status: 200,
            end: Ending::Whole,
            body: b"data: {}\n\n".to_vec(),
            ..Answer::none()
        };
        assert!(!answer.is_whole(&call));
        answer.body.extend_from_slice(b"data: [DONE]\n\n");
        assert!(answer.is_whole(&call));
        answer.end = Ending::Cut;
        assert!(!answer.is_whole(&call));
    }
}
