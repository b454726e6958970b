//! The least HTTP/1.1 that a benchmark needs: where one message ends.
//!
//! [`MessageReader`] takes bytes as they arrive and hands on the body, with the
//! chunked framing removed. It keeps the status and nothing else
//! of the head: the prober must cost less than what it measures.

use std::io;

/// Reads one message after another from the bytes of one connection.
#[derive(Debug, Default)]
pub(crate) struct MessageReader {
    state: State,
    line: Vec<u8>,
    first_line: [u8; 16],
    closes: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Length(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailer,
    Done,
}

impl MessageReader {
    /// Takes the bytes of one read; `body` receives each piece of the body.
    /// Returns how many bytes belong to this message: fewer than given means
    /// that the message is complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut body: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            let rest = &bytes[at..];
            at += match self.state {
                State::Head => self.take_head(rest)?,
                State::Length(left) => {
                    let taken = left.min(rest.len());
                    body(&rest[..taken]);
                    self.state = after(left - taken, State::Length, State::Done);
                    taken
                }
                State::Chunk(left) => {
                    let taken = left.min(rest.len());
                    body(&rest[..taken]);
                    self.state = after(left - taken, State::Chunk, State::ChunkEnd);
                    taken
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.take_line(rest)?,
                State::Done => 0,
            };
        }
        Ok(at)
    }

    pub(crate) fn done(&self) -> bool {
        self.state == State::Done
    }

    /// True when the sender said that it closes the connection.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    /// The status code of a response, 0 when there is none.
    pub(crate) fn status(&self) -> u16 {
        std::str::from_utf8(&self.first_line[9..12])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    }

    /// Makes ready for the next message.
    pub(crate) fn reset(&mut self) {
        self.state = State::Head;
        self.line.clear();
        self.closes = false;
    }

    fn take_head(&mut self, rest: &[u8]) -> io::Result<usize> {
        let before = self.line.len();
        self.line.extend_from_slice(rest);
        let from = before.saturating_sub(3);
        let Some(end) = memchr::memmem::find(&self.line[from..], b"\r\n\r\n") else {
            return if self.line.len() > 64 * 1024 {
                Err(broken("a head over 64 KiB"))
            } else {
                Ok(rest.len())
            };
        };
        let end = from + end;
        let kept = self.first_line.len().min(end);
        self.first_line = [0; 16];
        self.first_line[..kept].copy_from_slice(&self.line[..kept]);
        self.state = State::Done;
        for line in self.line[..end].split(|&byte| byte == b'\n').skip(1) {
            let Some(colon) = memchr::memchr(b':', line) else {
                continue;
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                let length = number(value, 10)?;
                self.state = after(length, State::Length, State::Done);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                self.state = State::ChunkSize;
            } else if name.eq_ignore_ascii_case(b"connection") {
                self.closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        self.line.clear();
        Ok(end + 4 - before)
    }

    /// One line of the chunked framing.
    fn take_line(&mut self, rest: &[u8]) -> io::Result<usize> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.line.extend_from_slice(rest);
            return Ok(rest.len());
        };
        self.line.extend_from_slice(&rest[..end]);
        let line = self.line.trim_ascii();
        self.state = match self.state {
            State::ChunkSize => {
                let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
                after(
                    number(digits.trim_ascii(), 16)?,
                    State::Chunk,
                    State::Trailer,
                )
            }
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::Trailer if line.is_empty() => State::Done,
            State::Trailer => State::Trailer,
            _ => return Err(broken("a chunk longer than its size")),
        };
        self.line.clear();
        Ok(end + 1)
    }
}

fn after(left: usize, more: fn(usize) -> State, end: State) -> State {
    if left == 0 { end } else { more(left) }
}

fn number(digits: &[u8], radix: u32) -> io::Result<usize> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| usize::from_str_radix(text, radix).ok())
        .ok_or_else(|| broken("a length that is no number"))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the peer sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in_pieces(message: &[u8], piece: usize) -> (Vec<u8>, usize, u16) {
        let mut reader = MessageReader::default();
        let mut body = Vec::new();
        let mut taken = 0;
        for part in message.chunks(piece) {
            let used = reader
                .feed(part, |bytes| body.extend_from_slice(bytes))
                .unwrap();
            taken += used;
            if used < part.len() {
                break;
            }
        }
        assert!(reader.done(), "not complete in pieces of {piece}");
        (body, taken, reader.status())
    }

    #[test]
    fn finds_the_end_at_every_piece_size() {
        let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1";
        let chunked = b"HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: 1\r\n\r\nHTTP";
        for piece in 1..=chunked.len() {
            assert_eq!(
                read_in_pieces(sized, piece),
                (b"hello".to_vec(), sized.len() - 8, 200)
            );
            assert_eq!(
                read_in_pieces(chunked, piece),
                (b"hello".to_vec(), chunked.len() - 4, 429)
            );
        }
    }

    #[test]
    fn reads_the_next_message_after_reset() {
        let mut reader = MessageReader::default();
        let bytes = b"GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx";
        let first = reader.feed(bytes, |_| {}).unwrap();
        assert!(reader.done() && !reader.closes());
        reader.reset();
        assert_eq!(
            first + reader.feed(&bytes[first..], |_| {}).unwrap(),
            bytes.len()
        );
        assert!(reader.done() && reader.closes());
    }

    #[test]
    fn refuses_broken_framing() {
        for message in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ] {
            assert!(MessageReader::default().feed(message, |_| {}).is_err());
        }
    }
}
