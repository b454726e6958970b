//! The event stream against the vectors that AWS's client libraries publish, and against every cut.

use bytes::Bytes;
use proptest::prelude::*;

use super::{aws::Message, *};

const EMPTY: &[u8] = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff";
const PAYLOAD: &[u8] = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96";
const STRING_HEADER: &[u8] = b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1";
const EVERY_HEADER_TYPE: &[u8] = b"\x00\x00\x00\x62\x00\x00\x00\x52\x03\xb5\xcb\x9c\x010\x00\x011\x01\x012\x02\x02\x013\x03\x00\x03\x014\x04\x00\x00\x00\x04\x015\x05\x00\x00\x00\x00\x00\x00\x00\x05\x016\x06\x00\x05bytes\x017\x07\x00\x04utf8\x018\x08\x00\x00\x00\x00\x00\x00\x00\x08\x019\x090123456789abcdef\x63\x35\x36\x71";
const ERROR: &[u8] = b"\x00\x00\x00\x52\x00\x00\x00\x42\xbf\x23\x63\x7e\x0d:message-type\x07\x00\x05error\x0b:error-code\x07\x00\x04code\x0e:error-message\x07\x00\x07message\x6b\x6c\xea\x3d";

fn framer(bytes: &[u8]) -> AwsEventFramer {
    let mut framer = AwsEventFramer::default();
    framer.push(Bytes::copy_from_slice(bytes));
    framer
}

fn check_broken(bytes: &[u8], says: &str) {
    let mut framer = framer(bytes);
    let error = framer.next_frame().unwrap_err();
    assert_eq!(error.code(), "upstream_invalid");
    assert!(error.message().contains(says), "{error}");
    framer.push(encode_aws_chunk(b"{}").unwrap());
    assert_eq!(framer.next_frame().unwrap_err(), error, "it stays broken");
}

fn check_error(message: &Bytes, data: &str) {
    let frame = framer(message).next_frame().unwrap().unwrap();
    assert_eq!(frame.event.as_deref(), Some(&b"error"[..]));
    assert_eq!(frame.data.as_deref(), Some(data.as_bytes()));
    assert_eq!(frame.raw, format!("event: error\ndata: {data}\n\n"));
}

/// A message around a header block that the encoder would not write.
fn with_headers(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
    let mut out = Vec::new();
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}

fn prelude(total: u32, headers: u32) -> Vec<u8> {
    let mut out = [total.to_be_bytes(), headers.to_be_bytes()].concat();
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}

#[test]
fn the_published_messages_are_read() {
    let read = |bytes: &[u8]| framer(bytes).next_message().unwrap().unwrap();
    assert_eq!(read(EMPTY), Message::default());
    assert_eq!(&read(PAYLOAD).payload[..], b"{'foo':'bar'}");
    assert_eq!(&read(STRING_HEADER).payload[..], b"{'foo':'bar'}");
    assert_eq!(read(EVERY_HEADER_TYPE), Message::default());
    let error = read(ERROR);
    assert_eq!(error.kind.as_deref(), Some(&b"error"[..]));
    assert_eq!(error.code.as_deref(), Some(&b"code"[..]));
    assert_eq!(error.said.as_deref(), Some(&b"message"[..]));
}

#[test]
fn the_encoder_writes_the_published_messages() {
    let string = [("content-type", "application/json")];
    let error = [
        (":message-type", "error"),
        (":error-code", "code"),
        (":error-message", "message"),
    ];
    assert_eq!(encode_aws_message(&[], b"").unwrap(), EMPTY);
    assert_eq!(encode_aws_message(&[], b"{'foo':'bar'}").unwrap(), PAYLOAD);
    assert_eq!(
        encode_aws_message(&string, b"{'foo':'bar'}").unwrap(),
        STRING_HEADER
    );
    assert_eq!(encode_aws_message(&error, b"").unwrap(), ERROR);
    assert!(encode_aws_message(&[(&"n".repeat(256), "")], b"").is_err());
}

#[test]
fn broken_framing_is_named() {
    let length = b"\x01\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96";
    check_broken(length, "the checksum of a prelude");
    let payload = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'\x8d\xc3e96";
    check_broken(payload, "the checksum of a message");
    let mut headers = STRING_HEADER.to_vec();
    headers[20] = b'+';
    check_broken(&headers, "the checksum of a message");
    check_broken(&prelude(u32::MAX, 0), "larger than 4 MiB");
    check_broken(&prelude(4 * 1024 * 1024 + 1, 0), "larger than 4 MiB");
    check_broken(&prelude(15, 0), "shorter than its frame");
    check_broken(&prelude(20, 5), "headers are longer");
    check_broken(&prelude(0, u32::MAX), "headers are longer");
    check_broken(&with_headers(b"\x05ab", b""), "beyond the headers");
    check_broken(&with_headers(b"\x01a\x07\x00", b""), "beyond the headers");
    check_broken(
        &with_headers(b"\x01a\x07\x00\x05b", b""),
        "beyond the headers",
    );
    check_broken(&with_headers(b"\x01a\x0a", b""), "unknown type");
    check_broken(EMPTY, "does not say its type");
    let twice = [(":event-type", "chunk"), (":event-type", "chunk")];
    check_broken(&encode_aws_message(&twice, b"").unwrap(), "comes twice");
    let chunk = [(":message-type", "event"), (":event-type", "chunk")];
    check_broken(&encode_aws_message(&chunk, b"{}").unwrap(), "`bytes`");
    let payload = br#"{"bytes":"!"}"#;
    check_broken(&encode_aws_message(&chunk, payload).unwrap(), "not base64");
}

#[test]
fn a_message_as_large_as_allowed_is_waited_for() {
    let mut framer = framer(&prelude(4 * 1024 * 1024, 0));
    assert_eq!(framer.next_frame().unwrap(), None);
}

#[test]
fn a_chunk_becomes_the_event_it_holds() {
    let event = br#"{"type":"content_block_delta","index":0}"#;
    let frame = framer(&encode_aws_chunk(event).unwrap())
        .next_frame()
        .unwrap()
        .unwrap();
    assert_eq!(frame.event.as_deref(), Some(&b"content_block_delta"[..]));
    assert_eq!(frame.data.as_deref(), Some(&event[..]));
    let mut sse = SseFramer::default();
    sse.push(frame.raw.clone());
    assert_eq!(sse.next_frame().unwrap(), Some(frame));
}

#[test]
fn no_event_can_break_out_of_its_line() {
    for event in [
        &b"{\"type\":\r\n\"ping\"}"[..],
        b"{\"type\":\"x\\n\\ndata: forged\"}",
        b"\n\ndata: forged",
        b"",
    ] {
        let frame = framer(&encode_aws_chunk(event).unwrap())
            .next_frame()
            .unwrap()
            .unwrap();
        let mut sse = SseFramer::default();
        sse.push(frame.raw.clone());
        assert_eq!(sse.next_frame().unwrap(), Some(frame));
        assert!(sse.rest().is_empty());
    }
}

#[test]
fn exceptions_become_error_events() {
    for (name, kind) in [
        ("throttlingException", "rate_limit_error"),
        ("ThrottlingException", "rate_limit_error"),
        ("internalServerException", "api_error"),
        ("modelStreamErrorException", "api_error"),
        ("modelTimeoutException", "timeout_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("validationException", "invalid_request_error"),
        ("neverHeardOfException", "api_error"),
    ] {
        check_error(
            &encode_aws_exception(name, "Slow \"down\".").unwrap(),
            &format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"Slow \"down\"."}}}}"#
            ),
        );
    }
    check_error(
        &Bytes::from_static(ERROR),
        r#"{"type":"error","error":{"type":"api_error","message":"message"}}"#,
    );
}

#[test]
fn events_of_other_names_are_skipped() {
    let other = [
        (":message-type", "event"),
        (":event-type", "initial-response"),
    ];
    let mut bytes = encode_aws_message(&other, b"{}").unwrap().to_vec();
    bytes.extend_from_slice(&encode_aws_chunk(br#"{"type":"ping"}"#).unwrap());
    let frame = framer(&bytes).next_frame().unwrap().unwrap();
    assert_eq!(frame.event.as_deref(), Some(&b"ping"[..]));
}

fn frames(chunks: &[&[u8]]) -> Vec<Frame> {
    let (mut framer, mut out) = (AwsEventFramer::default(), Vec::new());
    for chunk in chunks {
        framer.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = framer.next_frame().unwrap() {
            out.push(frame);
        }
    }
    assert!(framer.rest().is_empty());
    out
}

fn stream() -> Vec<u8> {
    let mut bytes = encode_aws_chunk(br#"{"type":"message_start"}"#)
        .unwrap()
        .to_vec();
    bytes.extend_from_slice(&encode_aws_chunk(br#"{"type":"message_stop"}"#).unwrap());
    bytes.extend_from_slice(&encode_aws_exception("throttlingException", "x").unwrap());
    bytes
}

#[test]
fn no_cut_changes_what_comes_out() {
    let bytes = stream();
    let whole = frames(&[&bytes]);
    assert_eq!(whole.len(), 3);
    for at in 0..=bytes.len() {
        assert_eq!(frames(&[&bytes[..at], &bytes[at..]]), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(frames(&single), whole);
}

#[test]
fn an_unfinished_message_is_the_rest() {
    let bytes = stream();
    let mut framer = framer(&bytes[..20]);
    assert_eq!(framer.next_frame().unwrap(), None);
    assert_eq!(framer.rest(), bytes[..20]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        headers in proptest::collection::vec(any::<u8>(), 0..60),
        payload in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        for bytes in [bytes, with_headers(&headers, &payload)] {
            let mut framer = framer(&bytes);
            while let Ok(Some(_)) = framer.next_frame() {}
        }
    }

    #[test]
    fn one_changed_byte_never_passes(at in 0usize..1000, xor in 1u8..) {
        let whole = stream();
        let mut bytes = whole.clone();
        let at = at % bytes.len();
        bytes[at] ^= xor;
        let mut framer = framer(&bytes);
        let mut out = Vec::new();
        let ended = loop {
            match framer.next_frame() {
                Ok(Some(frame)) => out.push(frame),
                ended => break ended,
            }
        };
        prop_assert!(ended.is_err() && out.len() < frames(&[&whole]).len());
    }
}
