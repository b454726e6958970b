//! The chunked transfer coding of a request body, decoded strictly: CRLF only, at most 16 hexadecimal
//! digits, bounded extensions, bounded trailers that are read and dropped. It owns no IO and no limits on
//! the body itself. [RFC 9112, section 7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1)

use bytes::BytesMut;
use tollgate_base::{Error, Result};

use crate::fault;

const SIZE_DIGITS: u8 = 16;
const EXTENSION_BYTES: usize = 256;
/// Extensions of all chunks and all trailers together: they carry nothing that is used.
const OVERHEAD_BYTES: usize = 16 * 1024;

/// A decoder that has read a body up to some byte.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
    n_overhead: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size { digits: u8, value: u64 },
    Extension { value: u64, n_bytes: usize },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer { empty: bool },
    TrailerLf { empty: bool },
    Done,
}

const FIRST: State = State::Size {
    digits: 0,
    value: 0,
};

// === impl Chunked ===

impl Chunked {
    pub(crate) fn new() -> Self {
        Self {
            state: FIRST,
            n_overhead: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Reads `input` up to the end of the body at most, appends the data to `out`, and says how many bytes
    /// it used. What is not used belongs to the next request.
    pub(crate) fn decode(&mut self, input: &[u8], out: &mut BytesMut) -> Result<usize> {
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Done => break,
                State::Data { left } => {
                    let rest = &input[at..];
                    let n = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    out.extend_from_slice(&rest[..n]);
                    at += n;
                    let left = left - n as u64;
                    self.state = if left == 0 {
                        State::DataCr
                    } else {
                        State::Data { left }
                    };
                }
                _ => {
                    self.state = self.step(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// One byte of anything but data.
    fn step(&mut self, byte: u8) -> Result<State> {
        match (self.state, byte) {
            (State::Size { digits: 1.., value } | State::Extension { value, .. }, b'\r') => {
                Ok(State::SizeLf { value })
            }
            (State::Size { digits: 1.., value }, b';') => {
                Ok(State::Extension { value, n_bytes: 0 })
            }
            (State::Size { digits, value }, _) => {
                let digit = char::from(byte).to_digit(16).ok_or_else(bad_size)?;
                if digits == SIZE_DIGITS {
                    return Err(bad_size());
                }
                let value = (value << 4) | u64::from(digit);
                Ok(State::Size {
                    digits: digits + 1,
                    value,
                })
            }
            (State::Extension { value, n_bytes }, _) => {
                self.count_overhead(byte)?;
                if n_bytes == EXTENSION_BYTES {
                    return Err(fault::framing(
                        "A chunk extension is longer than 256 bytes.",
                    ));
                }
                Ok(State::Extension {
                    value,
                    n_bytes: n_bytes + 1,
                })
            }
            (State::SizeLf { value: 0 } | State::TrailerLf { empty: false }, b'\n') => {
                Ok(State::Trailer { empty: true })
            }
            (State::SizeLf { value }, b'\n') => Ok(State::Data { left: value }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(FIRST),
            (State::Trailer { empty }, b'\r') => Ok(State::TrailerLf { empty }),
            (State::Trailer { .. }, _) => {
                self.count_overhead(byte)?;
                Ok(State::Trailer { empty: false })
            }
            (State::TrailerLf { empty: true }, b'\n') => Ok(State::Done),
            _ => Err(fault::framing(
                "A line of the chunked body does not end in CRLF.",
            )),
        }
    }

    fn count_overhead(&mut self, byte: u8) -> Result<()> {
        if byte != b'\t' && byte.is_ascii_control() {
            return Err(fault::framing(
                "A chunk extension or trailer holds a control byte.",
            ));
        }
        self.n_overhead += 1;
        if self.n_overhead > OVERHEAD_BYTES {
            return Err(fault::framing(
                "Chunk extensions and trailers exceed 16 KiB.",
            ));
        }
        Ok(())
    }
}

fn bad_size() -> Error {
    fault::framing("A chunk size is not 1 to 16 hexadecimal digits.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8]) -> Result<(Vec<u8>, usize, bool)> {
        let (mut decoder, mut out) = (Chunked::new(), BytesMut::new());
        let used = decoder.decode(input, &mut out)?;
        Ok((out.to_vec(), used, decoder.is_done()))
    }

    #[test]
    fn data_is_joined_and_the_next_request_is_left_alone() {
        let (data, used, done) =
            decode(b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\nGET /").unwrap();
        assert_eq!((data.as_slice(), used, done), (&b"hello!"[..], 31, true));
    }

    #[test]
    fn every_split_decodes_the_same() {
        let input = b"00A\r\n0123456789\r\n3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n";
        for cut in 0..=input.len() {
            let (mut decoder, mut out) = (Chunked::new(), BytesMut::new());
            assert_eq!(decoder.decode(&input[..cut], &mut out).unwrap(), cut);
            decoder.decode(&input[cut..], &mut out).unwrap();
            assert!(decoder.is_done(), "cut at {cut}");
            assert_eq!(&out[..], b"0123456789abc");
        }
    }

    #[test]
    fn anything_loose_is_refused() {
        let long = [b"3;".as_slice(), &[b'x'; 257], b"\r\n"].concat();
        let many = b"1;"
            .iter()
            .chain(&[b'x'; 250])
            .chain(b"\r\nz\r\n")
            .copied()
            .collect::<Vec<_>>();
        let trailer = [b"0\r\nx: ".as_slice(), &vec![b'x'; 17 * 1024]].concat();
        let cases: [&[u8]; 16] = [
            b"0x3\r\n",
            b"-3\r\n",
            b"\r\n",
            b" 3\r\n",
            b"3 \r\n",
            b"3\n",
            b"3\rx",
            b";a\r\n",
            b"12345678901234567\r\n",
            b"3\r\nabcd",
            b"3\r\nabc\n",
            b"3\r\nabc\rX",
            b"3;a\nb\r\n",
            b"0\r\nX: y\n",
            &long,
            &trailer,
        ];
        for case in cases {
            let error = decode(case).expect_err("refused");
            assert_eq!(error.code(), "invalid_framing", "{}", case.escape_ascii());
            assert!(error.closes());
        }
        assert!(
            decode(&many.repeat(100)).is_err(),
            "small extensions add up"
        );
    }
}
