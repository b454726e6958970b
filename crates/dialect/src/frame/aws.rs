//! `application/vnd.amazon.eventstream`, the binary framing of Bedrock's streams, read into the same frames
//! as server-sent events and written for tests.
//!
//! A message is a prelude (total length, headers length, their CRC-32), headers, a payload and a CRC-32 of
//! all before it: <https://smithy.io/2.0/aws/amazon-eventstream.html>. What a message means is that of
//! `InvokeModelWithResponseStream` with an Anthropic model: a `chunk` holds one event of a Messages stream.
//! Events of other names say nothing a decoder knows and are skipped.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tollgate_base::{Error, Result};

use super::sse::{FRAME_LIMIT, Frame};

/// Total length, headers length, CRC.
const PRELUDE_LEN: usize = 12;
const CRC_LEN: usize = 4;
/// The bound that the format itself sets.
const HEADERS_LIMIT: usize = 128 * 1024;
/// The header value type of a string.
const STRING: u8 = 7;

/// Cuts a byte stream into messages and reads each as a [`Frame`]. No chunking of the same bytes changes what
/// comes out.
///
/// The `raw` of a frame is the event as server-sent event, not the binary message: that is what a caller of
/// the Messages dialect can be sent.
#[derive(Debug, Default)]
pub struct AwsEventFramer {
    held: BytesMut,
    /// The prelude of the message under way has been checked: how long the message is.
    checked: Option<Prelude>,
    failed: Option<Error>,
}

#[derive(Clone, Copy, Debug)]
struct Prelude {
    total: usize,
    headers: usize,
}

/// One message with the headers that decide its meaning.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Option<Bytes>,
    pub(super) event: Option<Bytes>,
    pub(super) exception: Option<Bytes>,
    pub(super) code: Option<Bytes>,
    pub(super) said: Option<Bytes>,
    pub(super) payload: Bytes,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// The body of an exception. Bedrock writes `message`; older services `Message`.
#[derive(Deserialize)]
struct Exception<'a> {
    #[serde(borrow, alias = "Message")]
    message: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct ErrorEvent<'a> {
    r#type: &'static str,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    r#type: &'static str,
    message: &'a str,
}

// === impl AwsEventFramer ===

impl AwsEventFramer {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "framers take chunks alike, and the one for server-sent events keeps them"
    )]
    pub fn push(&mut self, chunk: Bytes) {
        if self.failed.is_none() {
            self.held.extend_from_slice(&chunk);
        }
    }

    /// The next frame. An error (`upstream_invalid`) when the framing is broken; it stays broken then, for
    /// nothing says where the next message would begin.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        while let Some(message) = self.next_message()? {
            match message.read() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(None)
    }

    /// What is left when the stream has ended: bytes that never became a whole message.
    pub fn rest(&mut self) -> Bytes {
        let rest = self.held.split().freeze();
        *self = Self::default();
        rest
    }

    pub(super) fn next_message(&mut self) -> Result<Option<Message>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.cut().map_err(|error| self.fail(error))
    }

    fn cut(&mut self) -> Result<Option<Message>> {
        let prelude = match self.checked {
            Some(prelude) => prelude,
            None if self.held.len() < PRELUDE_LEN => return Ok(None),
            None => Prelude::read(&self.held[..PRELUDE_LEN])?,
        };
        self.checked = Some(prelude);
        if self.held.len() < prelude.total {
            return Ok(None);
        }
        self.checked = None;
        let whole = self.held.split_to(prelude.total).freeze();
        let (signed, crc) = whole.split_at(prelude.total - CRC_LEN);
        if crc32fast::hash(signed) != be_u32(crc) {
            return Err(broken("the checksum of a message does not match"));
        }
        let payload_at = PRELUDE_LEN + prelude.headers;
        let mut message = Message {
            payload: whole.slice(payload_at..prelude.total - CRC_LEN),
            ..Message::default()
        };
        message.read_headers(whole.slice(PRELUDE_LEN..payload_at))?;
        Ok(Some(message))
    }

    fn fail(&mut self, error: Error) -> Error {
        self.held = BytesMut::new();
        self.checked = None;
        self.failed = Some(error.clone());
        error
    }
}

// === impl Prelude ===

impl Prelude {
    /// Reads the twelve bytes. The lengths are believed only when their checksum matches.
    fn read(bytes: &[u8]) -> Result<Self> {
        if crc32fast::hash(&bytes[..8]) != be_u32(&bytes[8..]) {
            return Err(broken("the checksum of a prelude does not match"));
        }
        let total = be_u32(bytes) as usize;
        let headers = be_u32(&bytes[4..]) as usize;
        if total > FRAME_LIMIT {
            return Err(Error::upstream_invalid(
                "The provider sent an event larger than 4 MiB.",
            ));
        }
        if headers > HEADERS_LIMIT || headers > total.saturating_sub(PRELUDE_LEN + CRC_LEN) {
            return Err(broken("the headers are longer than their message"));
        }
        if total < PRELUDE_LEN + CRC_LEN {
            return Err(broken("a message is shorter than its frame"));
        }
        Ok(Self { total, headers })
    }
}

// === impl Message ===

impl Message {
    fn read_headers(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let name_len = usize::from(bytes.get_u8());
            let name = take(&mut bytes, name_len)?;
            let kind = take(&mut bytes, 1)?[0];
            let value_len = match kind {
                // True and false have no bytes.
                0 | 1 => 0,
                2 => 1,
                3 => 2,
                4 => 4,
                5 | 8 => 8,
                6 | STRING => usize::from(take(&mut bytes, 2)?.get_u16()),
                9 => 16,
                _ => return Err(broken("a header has a value of an unknown type")),
            };
            let value = take(&mut bytes, value_len)?;
            let slot = match (&name[..], kind) {
                (b":message-type", STRING) => &mut self.kind,
                (b":event-type", STRING) => &mut self.event,
                (b":exception-type", STRING) => &mut self.exception,
                (b":error-code", STRING) => &mut self.code,
                (b":error-message", STRING) => &mut self.said,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(broken("a header comes twice"));
            }
        }
        Ok(())
    }

    /// The frame that this message stands for, if it means something to a decoder.
    fn read(&self) -> Result<Option<Frame>> {
        match self.kind.as_deref() {
            Some(b"event") if self.event.as_deref() == Some(b"chunk") => {
                self.read_chunk().map(Some)
            }
            Some(b"event") => Ok(None),
            Some(b"exception") => {
                let said = serde_json::from_slice::<Exception<'_>>(&self.payload)
                    .ok()
                    .and_then(|exception| exception.message);
                let name = self.exception.as_deref().unwrap_or_default();
                Ok(Some(error_frame(name, said.as_deref())))
            }
            Some(b"error") => {
                let said = self.said.as_deref().map(String::from_utf8_lossy);
                let name = self.code.as_deref().unwrap_or_default();
                Ok(Some(error_frame(name, said.as_deref())))
            }
            Some(_) => Err(broken("a message is of an unknown type")),
            None => Err(broken("a message does not say its type")),
        }
    }

    fn read_chunk(&self) -> Result<Frame> {
        let chunk: Chunk<'_> = serde_json::from_slice(&self.payload)
            .map_err(|_| broken("a chunk is not an object with `bytes`"))?;
        let mut event = BASE64_STANDARD
            .decode(chunk.bytes.as_bytes())
            .map_err(|_| broken("the `bytes` of a chunk are not base64"))?;
        // In JSON these stand between tokens only; in a server-sent event they would end the line.
        for byte in &mut event {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        let name = serde_json::from_slice::<Typed<'_>>(&event)
            .ok()
            .map(|typed| typed.kind)
            .filter(|kind| !kind.is_empty() && !kind.contains(char::is_control));
        Ok(sse_frame(name.as_deref(), &event))
    }
}

/// A message with string headers, as a provider sends it. An error when a name is longer than 255 bytes or a
/// value longer than 65535.
pub fn encode_aws_message(headers: &[(&str, &str)], payload: &[u8]) -> Result<Bytes> {
    let too_long = || Error::internal("A header is too long for an event stream.");
    let mut block = BytesMut::new();
    for (name, value) in headers {
        block.put_u8(u8::try_from(name.len()).map_err(|_| too_long())?);
        block.put_slice(name.as_bytes());
        block.put_u8(STRING);
        block.put_u16(u16::try_from(value.len()).map_err(|_| too_long())?);
        block.put_slice(value.as_bytes());
    }
    let headers_len = u32::try_from(block.len()).map_err(|_| too_long())?;
    let total = u32::try_from(PRELUDE_LEN + block.len() + payload.len() + CRC_LEN)
        .map_err(|_| Error::internal("A payload is too long for an event stream."))?;
    let mut out = BytesMut::with_capacity(total as usize);
    out.put_u32(total);
    out.put_u32(headers_len);
    out.put_u32(crc32fast::hash(&out));
    out.put_slice(&block);
    out.put_slice(payload);
    out.put_u32(crc32fast::hash(&out));
    Ok(out.freeze())
}

/// A `chunk` message around one event of a Messages stream, as Bedrock sends it.
pub fn encode_aws_chunk(event: &[u8]) -> Result<Bytes> {
    // The letters of the padding carry nothing; they hide how long the event is.
    let payload = format!(
        r#"{{"bytes":"{}","p":"abcdefgh"}}"#,
        BASE64_STANDARD.encode(event)
    );
    let headers = [
        (":event-type", "chunk"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    encode_aws_message(&headers, payload.as_bytes())
}

/// An exception message such as `throttlingException`, as Bedrock ends a stream that failed.
pub fn encode_aws_exception(name: &str, message: &str) -> Result<Bytes> {
    #[derive(Serialize)]
    struct Body<'a> {
        message: &'a str,
    }
    let payload = serde_json::to_vec(&Body { message })
        .map_err(|_| Error::internal("A message could not be written."))?;
    let headers = [
        (":exception-type", name),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    encode_aws_message(&headers, &payload)
}

/// An `error` event of a Messages stream for an exception of Bedrock's.
fn error_frame(name: &[u8], said: Option<&str>) -> Frame {
    let event = ErrorEvent {
        r#type: "error",
        error: ErrorBody {
            r#type: error_type(name),
            message: said.unwrap_or("The provider broke the stream off."),
        },
    };
    sse_frame(
        Some("error"),
        &serde_json::to_vec(&event).unwrap_or_default(),
    )
}

/// Exceptions are named `throttlingException` in streams and `ThrottlingException` elsewhere.
fn error_type(name: &[u8]) -> &'static str {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    match name.strip_suffix("exception").unwrap_or(&name) {
        "throttling" | "servicequotaexceeded" => "rate_limit_error",
        "serviceunavailable" | "modelnotready" => "overloaded_error",
        "validation" => "invalid_request_error",
        "modeltimeout" => "timeout_error",
        "accessdenied" => "permission_error",
        "resourcenotfound" => "not_found_error",
        _ => "api_error",
    }
}

fn sse_frame(name: Option<&str>, data: &[u8]) -> Frame {
    const EVENT: &[u8] = b"event: ";
    const DATA: &[u8] = b"data: ";
    let name_len = name.map_or(0, str::len);
    let mut raw = BytesMut::with_capacity(EVENT.len() + name_len + DATA.len() + data.len() + 3);
    if let Some(name) = name {
        raw.put_slice(EVENT);
        raw.put_slice(name.as_bytes());
        raw.put_u8(b'\n');
    }
    raw.put_slice(DATA);
    let data_at = raw.len();
    raw.put_slice(data);
    raw.put_slice(b"\n\n");
    let raw = raw.freeze();
    Frame {
        event: name.map(|_| raw.slice(EVENT.len()..EVENT.len() + name_len)),
        data: Some(raw.slice(data_at..data_at + data.len())),
        raw,
    }
}

fn take(bytes: &mut Bytes, len: usize) -> Result<Bytes> {
    if bytes.len() < len {
        return Err(broken("a header ends beyond the headers"));
    }
    Ok(bytes.split_to(len))
}

/// The first four bytes as a number; the callers hold four.
fn be_u32(mut bytes: &[u8]) -> u32 {
    bytes.get_u32()
}

fn broken(what: &str) -> Error {
    Error::upstream_invalid(format!("The provider's event stream is broken: {what}."))
}
