//! The format of a journal file: a header, twice, and records until the end.
//!
//! A record is `length u32, checksum u32, number u64, synced u64, entry`. The checksum (CRC-32) covers the file's own
//! salt, the numbers and the entry, so that neither bytes of an older file nor bytes that a caller put
//! into a tag can pass for a record. Numbers rise by one inside of a file: a gap is a lost record.
//!
//! `synced` is the last record that was known to be on the disk when this one was written. A loss of power may keep
//! a later sector and lose an earlier one: a gap behind every such number was never promised to anybody, and is the
//! same as a cut end. Files of the first format have no such number, and every gap in them is damage.

use std::ops::RangeInclusive;

use tollgate_policy::ledger::Entry;

use crate::codec::{self, Written};

/// Bytes of both copies of the header.
pub(crate) const HEADER: usize = 2 * COPY;
/// Bytes of a record before its entry; 8 less in the first format.
pub(crate) const FRAME: usize = 24;
/// The longest entry; what a caller can put into one (tags, names) is bounded far below.
pub(crate) const LONGEST: usize = 1 << 17;

const COPY: usize = 32;
const MAGIC: [u8; 7] = *b"TGJRNL\x00";

/// What stands at the beginning of a journal file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) format: Format,
    pub(crate) salt: u64,
    /// The number of the file's first record.
    pub(crate) first: u64,
}

/// How records are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Without `synced`. Read, and no longer written.
    First = 1,
    Second = 2,
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
    /// The last record that this file knows to have been on the disk.
    pub(crate) synced: u64,
    gaps: Vec<Gap>,
    /// Bytes after the last sound record that are not all zero: a write that was cut.
    pub(crate) torn: usize,
    /// Zeros stand in the place of the header. The first sync of a file brings it to the disk.
    is_blank: bool,
}

/// A stretch in front of a sound record that is none.
#[derive(Clone, Copy, Debug)]
struct Gap {
    /// The number of the first record that should stand there.
    first: u64,
    missing: u64,
    bytes: usize,
}

/// What is wrong with a file beyond what a loss of power may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Nothing of it can be read, although something of it was once on the disk.
    pub(crate) is_headless: bool,
    pub(crate) bytes: usize,
    pub(crate) missing: u64,
}

/// What the rest of the journal says of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Around {
    /// The last record that was once on the disk.
    pub(crate) synced: u64,
    /// The last record that stands in a file before it, or is in the store.
    pub(crate) before: u64,
}

impl Format {
    /// Bytes of a record before its entry.
    fn frame(self) -> usize {
        match self {
            Format::First => FRAME - 8,
            Format::Second => FRAME,
        }
    }
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER] {
        let mut copy = [0; COPY];
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.salt.to_le_bytes());
        hasher.update(&self.first.to_le_bytes());
        if self.format != Format::First {
            hasher.update(&[self.format as u8]);
        }
        let checksum = hasher.finalize();
        let parts = MAGIC
            .into_iter()
            .chain([self.format as u8])
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
                format: match copy.get(7)? {
                    1 => Format::First,
                    2 => Format::Second,
                    _ => return None,
                },
                salt: u64::from_le_bytes(copy.get(8..16)?.try_into().ok()?),
                first: u64::from_le_bytes(copy.get(16..24)?.try_into().ok()?),
            };
            (header.encode().get(..COPY) == Some(copy)).then_some(header)
        })
    }

    /// Appends a record to `out`. `synced` is the last one that is known to be on the disk.
    pub(crate) fn frame(self, number: u64, synced: u64, entry: Written<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 8]);
        out.extend(number.to_le_bytes());
        if self.format != Format::First {
            out.extend(synced.to_le_bytes());
        }
        codec::encode(entry, out);
        let length = out.len() - start - self.format.frame();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
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
        let (record, _, length) = self.read_numbered(bytes, 0..=u64::MAX)?;
        Some((record, length))
    }

    /// As `read`, with what the record knows to be synced, if its number is one of `numbers`: looking for a record in
    /// garbage has to be quick.
    fn read_numbered(
        self,
        bytes: &[u8],
        numbers: RangeInclusive<u64>,
    ) -> Option<(Record, u64, usize)> {
        let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
        let frame = self.format.frame();
        let end = frame.checked_add(length as usize)?;
        if length == 0 || length as usize > LONGEST {
            return None;
        }
        let checksum = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
        let numbered = bytes.get(8..end)?;
        let number = u64::from_le_bytes(numbered.get(..8)?.try_into().ok()?);
        if !numbers.contains(&number) || self.checksum(length, numbered) != checksum {
            return None;
        }
        let entry = codec::decode(bytes.get(frame..end)?)?;
        let synced = match self.format {
            Format::First => number,
            Format::Second => u64::from_le_bytes(numbered.get(8..16)?.try_into().ok()?),
        };
        Some((Record { number, entry }, synced, end))
    }
}

impl Scan {
    /// The number of its last sound record; 0 without one.
    pub(crate) fn last(&self) -> u64 {
        self.records.last().map_or(0, |record| record.number)
    }

    /// What is wrong with the file.
    pub(crate) fn damage(&self, around: Around) -> Damage {
        let was_never_synced = self.is_blank && around.synced <= around.before;
        let none = Damage {
            is_headless: self.header.is_none() && self.torn > 0 && !was_never_synced,
            ..Damage::default()
        };
        let real = self
            .gaps
            .iter()
            .filter(|gap| gap.first <= around.synced || gap.missing == 0);
        real.fold(none, |sum, gap| Damage {
            bytes: sum.bytes + gap.bytes,
            missing: sum.missing + gap.missing,
            ..sum
        })
    }

    /// Whether a part in the middle, or the beginning, never reached the disk.
    pub(crate) fn has_holes(&self, around: Around) -> bool {
        let is_holed = !self.gaps.is_empty() || self.is_blank && self.torn > 0;
        is_holed && self.damage(around) == Damage::default()
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
        scan.is_blank = bytes.iter().take(HEADER).all(|byte| *byte == 0);
        return scan;
    };
    let mut expected = header.first;
    let mut at = HEADER;
    scan.valid = HEADER.min(bytes.len());
    while at < bytes.len() {
        // No more records can be missing than bytes were passed.
        let numbers = expected..=expected.saturating_add((at - scan.valid) as u64);
        match header.read_numbered(&bytes[at..], numbers) {
            Some((record, synced, length)) => {
                let missing = record.number - expected;
                if missing > 0 || at > scan.valid {
                    scan.gaps.push(Gap {
                        first: expected,
                        missing,
                        bytes: at - scan.valid,
                    });
                }
                scan.synced = scan.synced.max(synced);
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
        format: Format::Second,
        salt: 0x1234_5678_9abc_def0,
        first: 7,
    };

    fn around(scan: &Scan) -> Around {
        Around {
            synced: scan.synced,
            before: HEAD.first - 1,
        }
    }

    fn file(n: u64) -> Vec<u8> {
        let mut bytes = HEAD.encode().to_vec();
        for number in 0..n {
            let id = AttemptId {
                request_id: format!("req_{number}"),
                number: 1,
            };
            HEAD.frame(HEAD.first + number, 0, Written::Dispatched(&id), &mut bytes);
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
    fn files_of_the_first_format_are_read_and_every_gap_in_them_is_damage() {
        let head = Header {
            format: Format::First,
            ..HEAD
        };
        let mut bytes = head.encode().to_vec();
        let mut second = 0..0;
        for number in 0..3 {
            let id = AttemptId {
                request_id: format!("req_{number}"),
                number: 1,
            };
            let start = bytes.len();
            head.frame(HEAD.first + number, 0, Written::Dispatched(&id), &mut bytes);
            if number == 1 {
                second = start..bytes.len();
            }
        }
        let whole = scan(&bytes);
        assert_eq!((whole.header, whole.records.len()), (Some(head), 3));
        assert_eq!(whole.damage(around(&whole)), Damage::default());
        bytes[second].fill(0);
        let torn = scan(&bytes);
        assert_eq!(torn.records.len(), 2);
        assert_eq!(torn.damage(around(&torn)).missing, 1);
    }

    #[test]
    fn bytes_of_another_file_are_no_records() {
        let other = Header { salt: 1, ..HEAD };
        let mut bytes = file(3);
        let id = AttemptId {
            request_id: "req_stolen".to_owned(),
            number: 1,
        };
        other.frame(HEAD.first + 3, 0, Written::Dispatched(&id), &mut bytes);
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
