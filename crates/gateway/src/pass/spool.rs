//! What of an upload had to be read before it could be sent: a little in memory, the rest in a file that
//! nobody else sees.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    ops::Range,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use tollgate_base::{Error, Result};
use tollgate_upstream::Pieces;

/// What is kept in memory; beyond it everything goes to the file.
const IN_MEMORY: usize = 256 * 1024;
/// What is read back at once.
const PIECE: usize = 64 * 1024;

/// Bytes that came in and wait.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    memory: BytesMut,
    file: Option<File>,
    len: u64,
}

impl Spool {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.len += bytes.len() as u64;
        if self.file.is_none() {
            if self.memory.len() + bytes.len() <= IN_MEMORY {
                self.memory.extend_from_slice(bytes);
                return Ok(());
            }
            let mut file = tempfile::tempfile().map_err(unwritable)?;
            file.write_all(&self.memory).map_err(unwritable)?;
            self.memory = BytesMut::new();
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes).map_err(unwritable)?;
        }
        Ok(())
    }

    /// Some bytes of the range, from its start.
    fn read(&mut self, range: &Range<u64>) -> Result<Bytes> {
        let wanted = usize::try_from(range.end - range.start)
            .unwrap_or(PIECE)
            .min(PIECE);
        let Some(file) = &mut self.file else {
            let start = usize::try_from(range.start).unwrap_or(usize::MAX);
            return Ok(Bytes::copy_from_slice(&self.memory[start..start + wanted]));
        };
        let mut bytes = BytesMut::zeroed(wanted);
        file.seek(SeekFrom::Start(range.start))
            .map_err(unwritable)?;
        file.read_exact(&mut bytes).map_err(unwritable)?;
        Ok(bytes.freeze())
    }
}

fn unwritable(_: std::io::Error) -> Error {
    Error::internal(
        "The upload could not be kept in a temporary file. Check the disk of the gateway.",
    )
}

/// An upload as it is sent: the spooled beginning, with one place in it replaced, then the rest as it comes.
pub(crate) struct Spooled {
    spool: Spool,
    /// Ranges of the spool that are still to be sent, around the replacement.
    before: Range<u64>,
    replacement: Option<Bytes>,
    after: Range<u64>,
    rest: Box<dyn Pieces>,
    length: Option<u64>,
}

impl Spooled {
    /// `replaced` names the bytes of the spool that `replacement` stands for. `length`: of the whole upload
    /// as it came in.
    pub(crate) fn new(
        spool: Spool,
        replaced: Option<(Range<u64>, Bytes)>,
        rest: Box<dyn Pieces>,
    ) -> Self {
        let len = spool.len();
        let (place, replacement) = match replaced {
            Some((place, bytes)) => (place, Some(bytes)),
            None => (len..len, None),
        };
        let new = replacement.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let length = rest
            .length()
            .map(|whole| whole - (place.end - place.start) + new);
        Self {
            spool,
            before: 0..place.start,
            replacement,
            after: place.end..len,
            rest,
            length,
        }
    }
}

impl Pieces for Spooled {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        for range in [&mut self.before, &mut self.after] {
            if range.is_empty() {
                // Between the two stands what replaces the bytes in between.
                if let Some(bytes) = self.replacement.take() {
                    return Poll::Ready(Ok(Some(bytes)));
                }
                continue;
            }
            let read = self.spool.read(range);
            if let Ok(bytes) = &read {
                range.start += bytes.len() as u64;
            }
            return Poll::Ready(read.map(Some));
        }
        self.rest.poll_piece(cx)
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rest(Option<Bytes>, u64);

    impl Pieces for Rest {
        fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
            Poll::Ready(Ok(self.0.take()))
        }

        fn length(&self) -> Option<u64> {
            Some(self.1)
        }
    }

    fn index(at: u64) -> usize {
        usize::try_from(at).unwrap()
    }

    fn sent(mut pieces: Spooled) -> Vec<u8> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut out = Vec::new();
        while let Poll::Ready(Ok(Some(bytes))) = pieces.poll_piece(&mut cx) {
            out.extend_from_slice(&bytes);
        }
        out
    }

    #[test]
    fn one_place_is_replaced_and_everything_else_is_as_it_came() {
        for size in [100, IN_MEMORY - 1, IN_MEMORY + 1, 3 * IN_MEMORY] {
            let whole: Vec<u8> = (0..=250_u8).cycle().take(size).collect();
            for place in [0..0, 3..9, 0..(size as u64), (size as u64)..(size as u64)] {
                let mut spool = Spool::default();
                for chunk in whole.chunks(10_007) {
                    spool.push(chunk).unwrap();
                }
                let rest = Rest(Some(Bytes::from_static(b"rest")), size as u64 + 4);
                let new = Bytes::from_static(b"new");
                let pieces = Spooled::new(spool, Some((place.clone(), new)), Box::new(rest));
                let length = pieces.length();
                let (start, end) = (index(place.start), index(place.end));
                let wanted = [&whole[..start], b"new", &whole[end..], b"rest"].concat();
                assert_eq!(length, Some(wanted.len() as u64));
                assert!(sent(pieces) == wanted, "{size} {place:?}");
            }
        }
    }

    #[test]
    fn without_a_replacement_nothing_changes() {
        let mut spool = Spool::default();
        spool.push(b"abc").unwrap();
        let pieces = Spooled::new(spool, None, Box::new(Rest(None, 3)));
        assert_eq!((pieces.length(), sent(pieces)), (Some(3), b"abc".to_vec()));
    }
}
