//! Finds leaked keys: in a folder, in single files, or in what is about to be committed.
//!
//! What a key looks like is `formats`; which files are read is `folder` and `staged`. A found key is never
//! repeated: a finding tells the place, the kind and a few letters.

mod folder;
mod formats;
mod staged;

use std::fmt;

pub use folder::{Options, scan_folder};
pub use formats::{FORMATS, Format};
pub use staged::scan_staged;

/// A line with this word is passed over.
pub const ALLOW: &str = "tollgate:allow";
/// Files that are larger are passed over.
pub const MAX_FILE: u64 = 10 * 1024 * 1024;
/// How far into a file a zero byte makes it a binary one.
const BINARY_PROBE: usize = 8 * 1024;

/// A key where none should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The format's name.
    pub kind: &'static str,
    /// The key's beginning and length, without what makes it a key.
    pub masked: String,
}

/// What a scan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By path, line and column.
    pub findings: Vec<Finding>,
    pub files: usize,
    /// What could not be read, and why.
    pub unread: Vec<(String, String)>,
}

/// The keys in one file's contents. A binary file has none.
pub fn scan_bytes(path: &str, contents: &[u8]) -> Vec<Finding> {
    if contents.iter().take(BINARY_PROBE).any(|&byte| byte == 0) {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(contents);
    let mut findings = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        if line.contains(ALLOW) {
            continue;
        }
        for found in formats::find(line) {
            findings.push(Finding {
                path: path.to_owned(),
                line: number + 1,
                column: line[..found.at].chars().count() + 1,
                kind: found.format.kind,
                masked: found.masked(),
            });
        }
    }
    findings
}

impl Report {
    fn add(&mut self, path: &str, contents: &[u8]) {
        self.files += 1;
        self.findings.extend(scan_bytes(path, contents));
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            column,
            kind,
            masked,
        } = self;
        write!(f, "{path}:{line}:{column}: {kind} {masked}")
    }
}

#[cfg(test)]
mod tests;
