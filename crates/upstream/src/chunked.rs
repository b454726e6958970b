//! The chunked coding of an answer, taken apart without copying what it carries. Extensions and trailers carry
//! nothing that is read here. [RFC 9112, section 7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1)

use bytes::{Buf as _, Bytes, BytesMut};

use crate::head::Improper;

/// The longest size line, and the longest trailers together, in bytes.
const LONGEST_LINE: usize = 4 * 1024;
const LONGEST_TRAILERS: usize = 64 * 1024;

/// How far a body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    Size,
    /// Bytes of this chunk that are still to come.
    Data(u64),
    /// The line end behind a chunk.
    DataEnd,
    /// Trailers, of which so many bytes are gone.
    Trailers(usize),
    Done,
}

/// What the bytes at hand came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Data(Bytes),
    /// More bytes are needed.
    More,
    End,
}

impl Chunks {
    /// The next piece of what came.
    pub(crate) fn next(&mut self, inbox: &mut BytesMut) -> Result<Step, Improper> {
        loop {
            match *self {
                Chunks::Size => match httparse::parse_chunk_size(inbox) {
                    Ok(httparse::Status::Complete((used, size))) => {
                        inbox.advance(used);
                        *self = if size == 0 {
                            Chunks::Trailers(0)
                        } else {
                            Chunks::Data(size)
                        };
                    }
                    Ok(httparse::Status::Partial) if inbox.len() < LONGEST_LINE => {
                        return Ok(Step::More);
                    }
                    _ => return Err(Improper),
                },
                Chunks::Data(_) if inbox.is_empty() => return Ok(Step::More),
                Chunks::Data(left) => {
                    let here = inbox.len();
                    let n = usize::try_from(left).map_or(here, |left| left.min(here));
                    let left = left - n as u64;
                    *self = if left == 0 {
                        Chunks::DataEnd
                    } else {
                        Chunks::Data(left)
                    };
                    return Ok(Step::Data(inbox.split_to(n).freeze()));
                }
                Chunks::DataEnd => match inbox.get(..2) {
                    Some(b"\r\n") => {
                        inbox.advance(2);
                        *self = Chunks::Size;
                    }
                    None if inbox.is_empty() || inbox.starts_with(b"\r") => return Ok(Step::More),
                    _ => return Err(Improper),
                },
                Chunks::Trailers(gone) => {
                    let Some(end) = memchr::memchr(b'\n', inbox) else {
                        let is_short = gone + inbox.len() < LONGEST_TRAILERS;
                        return if is_short {
                            Ok(Step::More)
                        } else {
                            Err(Improper)
                        };
                    };
                    let is_empty = matches!(&inbox[..end], b"" | b"\r");
                    inbox.advance(end + 1);
                    *self = if is_empty {
                        Chunks::Done
                    } else if gone + end < LONGEST_TRAILERS {
                        Chunks::Trailers(gone + end + 1)
                    } else {
                        return Err(Improper);
                    };
                }
                Chunks::Done => return Ok(Step::End),
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::{collection, prelude::*, sample::Index};

    use super::*;

    /// Reads a body that comes in two parts: what it carries, and what is left behind it.
    fn read(parts: [&[u8]; 2]) -> Result<(Vec<u8>, Option<Vec<u8>>), Improper> {
        let (mut chunks, mut inbox, mut carried) = (Chunks::Size, BytesMut::new(), Vec::new());
        let mut has_ended = false;
        for part in parts {
            inbox.extend_from_slice(part);
            while !has_ended {
                match chunks.next(&mut inbox)? {
                    Step::Data(bytes) => carried.extend_from_slice(&bytes),
                    Step::More => break,
                    Step::End => has_ended = true,
                }
            }
        }
        Ok((carried, has_ended.then(|| inbox.to_vec())))
    }

    /// Parts of what is known, one after the other, and now and then of something else.
    pub(crate) fn parts(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let known = proptest::sample::select(known).prop_map(|part| part.as_bytes().to_vec());
        let part = prop_oneof![8 => known, 1 => collection::vec(any::<u8>(), 0..4)];
        collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    const PARTS: &[&str] = &[
        "5\r\nhello\r\n",
        "5\r\n",
        "hello",
        "0\r\n",
        "\r\n",
        "\r",
        "\n",
        "00a;b=c\r\n",
        "ffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "X: y\r\n",
        ";",
        "-",
    ];

    proptest! {
        #[test]
        fn whatever_comes_is_read_the_same_however_it_is_cut(
            body in parts(PARTS),
            cut in any::<Index>(),
        ) {
            let (first, second) = body.split_at(cut.index(body.len() + 1));
            prop_assert_eq!(read([first, second]), read([&body, b""]));
        }
    }

    #[test]
    fn every_cut_reads_the_same() {
        let body = b"5;a=b\r\nhello\r\n00C\r\n, and so on.\r\n0\r\nX: y\r\nZ: 1\r\n\r\n";
        for cut in 0..body.len() {
            let (first, second) = body.split_at(cut);
            let expected = (b"hello, and so on.".to_vec(), Some(Vec::new()));
            assert_eq!(read([first, second]), Ok(expected), "{cut}");
        }
    }

    #[test]
    fn what_follows_the_end_is_left() {
        let (carried, left) = read([b"1\r\na\r\n0\r\n\r\nHTTP/1.1", b""]).unwrap();
        assert_eq!(
            (carried, left.unwrap()),
            (b"a".to_vec(), b"HTTP/1.1".to_vec())
        );
    }

    #[test]
    fn a_body_without_its_end_has_none() {
        for body in ["", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\nX: y\r\n"] {
            assert_eq!(read([body.as_bytes(), b""]).unwrap().1, None, "{body}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let line = format!("1;{}", "x".repeat(LONGEST_LINE));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(LONGEST_TRAILERS / 6 + 1));
        let trailer = format!("0\r\na: {}", "x".repeat(LONGEST_TRAILERS));
        for body in [
            "x\r\n",
            "-1\r\n",
            "fffffffffffffffff\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            &line,
            &trailers,
            &trailer,
        ] {
            assert_eq!(read([body.as_bytes(), b""]), Err(Improper), "{body:.20}");
        }
    }
}
