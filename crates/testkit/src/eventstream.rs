//! AWS event-stream framing, written by hand: a prelude with two lengths and its checksum, typed headers, a
//! payload, a checksum over all (smithy.io, "Amazon Event Stream Specification").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json::quote;

/// One `chunk` event: the JSON of a Messages event as base64 inside JSON.
pub(crate) fn chunk(json: &str) -> Vec<u8> {
    let payload = format!(
        r#"{{"bytes":"{}","p":"abcdefghij"}}"#,
        STANDARD.encode(json.as_bytes())
    );
    message(
        &[
            (":event-type", "chunk"),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ],
        payload.as_bytes(),
    )
}

/// The message that ends a stream with an error.
pub(crate) fn exception(kind: &str, text: &str) -> Vec<u8> {
    let payload = format!(r#"{{"message":{}}}"#, quote(text));
    message(
        &[
            (":exception-type", kind),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ],
        payload.as_bytes(),
    )
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    const STRING: u8 = 7;
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        block.extend_from_slice(name.as_bytes());
        block.push(STRING);
        block.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = Vec::new();
    out.extend_from_slice(&length(12 + block.len() + payload.len() + 4));
    out.extend_from_slice(&length(block.len()));
    let prelude = crc32(&out);
    out.extend_from_slice(&prelude.to_be_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    let whole = crc32(&out);
    out.extend_from_slice(&whole.to_be_bytes());
    out
}

/// CRC-32 (IEEE), bit by bit: frames are small.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let mask = (crc & 1).wrapping_neg();
            crc = (crc >> 1) ^ (0xEDB8_8320 & mask);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn lengths_and_checksums_hold() {
        let message = chunk("{}");
        let word = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        assert_eq!(word(0) as usize, message.len());
        assert_eq!(word(8), crc32(&message[..8]));
        assert_eq!(
            word(message.len() - 4),
            crc32(&message[..message.len() - 4])
        );
    }
}
