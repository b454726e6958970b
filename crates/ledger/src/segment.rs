//! The format of a journal file: a header, twice, and records until the end.
//!
//! A record is `length u32, checksum u32, number u64, entry`. The checksum (CRC-32) covers the file's own
//! salt, the number and the entry, so that neither bytes of an older file nor bytes that a caller put
//! into a tag can pass for a record. Numbers rise by one inside of a file: a gap is a lost record.

use std::ops::RangeInclusive;

use tollgate_policy::ledger::Entry;

use crate::codec::{self, Written};

/// Bytes of both copies of the header.
pub(crate) const HEADER: usize = 2 * COPY;
/// Bytes of a record before its entry.
pub(crate) const FRAME: usize = 16;
/// The longest entry; what a caller can put into one (tags, names) is bounded far below.
pub(crate) const LONGEST: usize = 1 << 17;

const COPY: usize = 32;
const MAGIC: [u8; 8] = *b"TGJRNL\x00\x01";

/// What stands at the beginning of a journal file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) salt: u64,
    /// The number of the file's first record.
    pub(crate) first: u64,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) entry: Entry,
}

/// What the bytes of a file say.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// `None` when both copies are damaged: then nothing of the file can be read.
    pub(crate) header: Option<Header>,
    pub(crate) records: Vec<Record>,
    /// Where the last sound record ends.
    pub(crate) valid: usize,
    /// Bytes in front of a sound record that are none: something in the middle was changed.
    pub(crate) damaged: usize,
    /// Records that the numbers say are missing in front of a sound one.
    pub(crate) missing: u64,
    /// Bytes after the last sound record that are not all zero: a write that was cut.
    pub(crate) torn: usize,
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER] {
        let mut copy = [0; COPY];
        let checksum =
            crc32fast::hash(&[self.salt.to_le_bytes(), self.first.to_le_bytes()].concat());
        let parts = MAGIC
            .into_iter()
            .chain(self.salt.to_le_bytes())
            .chain(self.first.to_le_bytes())
            .chain(checksum.to_le_bytes());
        for (to, from) in copy.iter_mut().zip(parts) {
            *to = from;
        }
        let mut both = [0; HEADER];
        both[..COPY].copy_from_slice(&copy);
        both[COPY..].copy_from_slice(&copy);
        both
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.chunks_exact(COPY).take(2).find_map(|copy| {
            let header = Self {
                salt: u64::from_le_bytes(copy.get(8..16)?.try_into().ok()?),
                first: u64::from_le_bytes(copy.get(16..24)?.try_into().ok()?),
            };
            (header.encode().get(..COPY) == Some(copy)).then_some(header)
        })
    }

    /// Appends a record to `out`.
    pub(crate) fn frame(self, number: u64, entry: Written<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 8]);
        out.extend(number.to_le_bytes());
        codec::encode(entry, out);
        let length = u32::try_from(out.len() - start - FRAME).unwrap_or(u32::MAX);
        let checksum = self.checksum(length, &out[start + 8..]);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    fn checksum(self, length: u32, numbered: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.salt.to_le_bytes());
        hasher.update(&length.to_le_bytes());
        hasher.update(numbered);
        hasher.finalize()
    }

    /// The sound record at the beginning of `bytes`, and how many of them it takes.
    pub(crate) fn read(self, bytes: &[u8]) -> Option<(Record, usize)> {
        self.read_numbered(bytes, 0..=u64::MAX)
    }

    /// As `read`, if its number is one of `numbers`: looking for a record in garbage has to be quick.
    fn read_numbered(self, bytes: &[u8], numbers: RangeInclusive<u64>) -> Option<(Record, usize)> {
        let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
        let end = FRAME.checked_add(length as usize)?;
        if length == 0 || length as usize > LONGEST {
            return None;
        }
        let checksum = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
        let numbered = bytes.get(8..end)?;
        let number = u64::from_le_bytes(numbered.get(..8)?.try_into().ok()?);
        if !numbers.contains(&number) || self.checksum(length, numbered) != checksum {
            return None;
        }
        let entry = codec::decode(numbered.get(8..)?)?;
        Some((Record { number, entry }, end))
    }
}

/// Reads a whole file. Behind damage it looks for the next sound record, byte by byte, so that one flipped
/// bit costs one record and not the rest of the file.
pub(crate) fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan {
        header: Header::decode(bytes),
        ..Scan::default()
    };
    let Some(header) = scan.header else {
        scan.torn = bytes.iter().filter(|byte| **byte != 0).count();
        return scan;
    };
    let mut expected = header.first;
    let mut at = HEADER;
    scan.valid = HEADER.min(bytes.len());
    while at < bytes.len() {
        // No more records can be missing than bytes were passed.
        let numbers = expected..=expected.saturating_add((at - scan.valid) as u64);
        match header.read_numbered(&bytes[at..], numbers) {
            Some((record, length)) => {
                scan.damaged += at - scan.valid;
                scan.missing += record.number - expected;
                expected = record.number + 1;
                scan.records.push(record);
                at += length;
                scan.valid = at;
            }
            None => at += 1,
        }
    }
    let tail = bytes.get(scan.valid..).unwrap_or_default();
    scan.torn = match tail.iter().rposition(|byte| *byte != 0) {
        Some(last) => last + 1,
        None => 0,
    };
    scan
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tollgate_policy::ledger::AttemptId;

    use super::*;

    const HEAD: Header = Header {
        salt: 0x1234_5678_9abc_def0,
        first: 7,
    };

    fn file(n: u64) -> Vec<u8> {
        let mut bytes = HEAD.encode().to_vec();
        for number in 0..n {
            let id = AttemptId {
                request_id: format!("req_{number}"),
                number: 1,
            };
            HEAD.frame(HEAD.first + number, Written::Dispatched(&id), &mut bytes);
        }
        bytes
    }

    #[test]
    fn a_megabyte_of_garbage_is_read_quickly() {
        let mut bytes = file(3);
        // Each place looks like a long record with the next number.
        while bytes.len() < 1 << 20 {
            bytes.extend([0, 0, 1, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0]);
        }
        let began = std::time::Instant::now();
        assert_eq!(scan(&bytes).records.len(), 3);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn bytes_of_another_file_are_no_records() {
        let other = Header { salt: 1, ..HEAD };
        let mut bytes = file(3);
        let id = AttemptId {
            request_id: "req_stolen".to_owned(),
            number: 1,
        };
        other.frame(HEAD.first + 3, Written::Dispatched(&id), &mut bytes);
        assert_eq!(scan(&bytes).records.len(), 3);
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_say_no_record_is_invented(
            at in 0_usize..2_000, noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = file(20);
            let known = scan(&bytes).records;
            for (byte, noise) in bytes.iter_mut().skip(at).zip(noise) {
                *byte = noise;
            }
            for record in scan(&bytes).records {
                prop_assert!(known.contains(&record));
            }
        }
    }
}
