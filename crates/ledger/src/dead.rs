//! Entries that the store refused: one line each in `journal/dead-letters`, so that nothing is lost and
//! nothing waits behind them. An operator reads them; nothing deletes them.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tollgate_policy::ledger::Entry;

use crate::codec;

/// An entry that is not in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number in the journal.
    pub number: u64,
    pub reason: String,
    pub entry: Entry,
}

/// The file, and what is in it already: a batch that is shipped again does not bury its dead twice.
#[derive(Debug)]
pub(crate) struct Cemetery {
    path: PathBuf,
    buried: HashSet<u64>,
}

/// All dead letters of a data folder.
pub fn dead_letters(data: &Path) -> io::Result<Vec<DeadLetter>> {
    read(&file(&data.join("journal")))
}

fn file(folder: &Path) -> PathBuf {
    folder.join("dead-letters")
}

fn read(path: &Path) -> io::Result<Vec<DeadLetter>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(parse).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// `number TAB entry in hexadecimal TAB reason`.
fn parse(line: &str) -> Option<DeadLetter> {
    let mut parts = line.splitn(3, '\t');
    let number = parts.next()?.parse().ok()?;
    let digits = parts.next()?;
    let bytes: Option<Vec<u8>> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect();
    Some(DeadLetter {
        number,
        entry: codec::decode(&bytes?)?,
        reason: parts.next()?.to_owned(),
    })
}

impl Cemetery {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = file(folder);
        let buried = read(&path)?.into_iter().map(|letter| letter.number);
        Ok(Self {
            buried: buried.collect(),
            path,
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.buried.len() as u64
    }

    /// Adds letters and syncs them. Says how many are new.
    pub(crate) fn bury<'a>(
        &mut self,
        letters: impl IntoIterator<Item = (u64, &'a Entry, &'a str)>,
    ) -> io::Result<u64> {
        let mut text = String::new();
        let mut new = Vec::new();
        for (number, entry, reason) in letters {
            if self.buried.contains(&number) {
                continue;
            }
            let mut bytes = Vec::new();
            codec::encode(entry.into(), &mut bytes);
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                hex.extend(
                    [byte >> 4, byte & 15]
                        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])),
                );
                hex
            });
            let reason = reason.replace(['\n', '\t', '\r'], " ");
            writeln!(text, "{number}\t{hex}\t{reason}").map_err(io::Error::other)?;
            new.push(number);
        }
        if new.is_empty() {
            return Ok(0);
        }
        // A line that a crash cut is ended first, so that it spoils no other.
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.create(true).append(true).open(&self.path)?;
        let is_cut = fs::read(&self.path)?
            .last()
            .is_some_and(|last| *last != b'\n');
        if is_cut {
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let count = new.len() as u64;
        self.buried.extend(new);
        Ok(count)
    }
}
