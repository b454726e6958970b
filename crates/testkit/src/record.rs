//! The oracle: one record per accepted request, what went out for it, what it would cost, how it ended.
//!
//! Records only grow. A reader in the same process is woken by notification; another process polls the
//! control port, which waits on the same notification; a file gets one line per ended attempt, and a journal
//! one per accepted and one per ended attempt, synced, so that the oracle survives whatever happens to it.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::clock::unix_us;
use crate::dialect::Dialect;
use crate::journal::Journal;
use crate::provider::Options;
use crate::scenario::{BilledUsage, FaultKind};
use crate::wire::Mark;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Attempt number: counts every accepted request from 1.
    pub id: u64,
    pub dialect: Dialect,
    /// Number of the TCP connection it came on.
    pub connection: u64,
    /// Which attempt at this model name, from 1; 0 when no script was reached.
    pub attempt: u32,
    /// The whole request had arrived. Unix microseconds, as all instants here.
    pub accepted_us: u64,
    pub method: String,
    pub path: String,
    pub query: String,
    /// Names in lower case; a credential's value is replaced by a fingerprint.
    pub headers: Vec<(String, String)>,
    /// The JSON body, or the fields of a form as an object; `null` when there was none or it did not parse.
    pub body: serde_json::Value,
    /// Files of a multipart body, in order; its other fields stand in `body`.
    #[serde(default)]
    pub files: Vec<UploadedFile>,
    pub model: Option<String>,
    pub stream: bool,
    /// Status of the answer, also when it was never sent.
    pub status: u16,
    /// Why the request was refused, when it was.
    pub refused: Option<String>,
    pub faults: Vec<FaultKind>,
    pub first_byte_us: Option<u64>,
    /// Events (the body counts as one) wholly written.
    pub events: u64,
    /// Bytes handed to the socket, head and framing included.
    pub bytes: u64,
    pub produced_output: u64,
    pub produced_reasoning: u64,
    /// What the provider would bill for what it produced so far; `None`: nothing.
    pub billed: Option<BilledUsage>,
    pub end: Option<End>,
    pub ended_us: Option<u64>,
}

/// A file as it arrived: whole when size and hash are those of what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedFile {
    pub field: String,
    pub filename: String,
    pub content_type: String,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Everything was written.
    Complete,
    /// The script broke the answer off.
    Fault,
    /// The client left first; `ended_us` says when.
    ClientClosed,
}

#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    records: Mutex<Records>,
    file: Option<Mutex<File>>,
    journal: Option<Journal>,
    changed: watch::Sender<u64>,
    is_off: bool,
}

#[derive(Debug, Default)]
struct Records {
    next_id: u64,
    list: Vec<Record>,
}

/// Names of headers that carry a credential.
const CREDENTIALS: &[&str] = &[
    "authorization",
    "x-amz-security-token",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "proxy-authorization",
];

// === impl Record ===

impl Record {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn new(dialect: Dialect, connection: u64) -> Self {
        Self {
            id: 0,
            dialect,
            connection,
            attempt: 0,
            accepted_us: unix_us(),
            method: String::new(),
            path: String::new(),
            query: String::new(),
            headers: Vec::new(),
            body: serde_json::Value::Null,
            files: Vec::new(),
            model: None,
            stream: false,
            status: 0,
            refused: None,
            faults: Vec::new(),
            first_byte_us: None,
            events: 0,
            bytes: 0,
            produced_output: 0,
            produced_reasoning: 0,
            billed: None,
            end: None,
            ended_us: None,
        }
    }
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn new(options: &Options) -> std::io::Result<Self> {
        let file = options
            .record_file
            .as_ref()
            .map(|path| File::options().create(true).append(true).open(path))
            .transpose()?;
        let journal = options.journal.as_deref().map(Journal::open).transpose()?;
        let is_off = options.is_bench;
        let inner = Inner {
            records: Mutex::default(),
            file: file.map(Mutex::new),
            journal,
            changed: watch::Sender::new(0),
            is_off,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    pub(crate) fn is_off(&self) -> bool {
        self.inner.is_off
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    pub(crate) fn snapshot(&self) -> Vec<Record> {
        self.inner.records.lock().list.clone()
    }

    /// A copy of the first record that fits.
    pub(crate) fn find(&self, fits: impl Fn(&Record) -> bool) -> Option<Record> {
        self.inner
            .records
            .lock()
            .list
            .iter()
            .find(|record| fits(record))
            .cloned()
    }

    fn get(&self, id: u64) -> Option<Record> {
        let records = self.inner.records.lock();
        let index = records.list.binary_search_by_key(&id, |record| record.id);
        index.ok().map(|index| records.list[index].clone())
    }

    /// Forgets all records; attempts still open are no longer followed.
    pub(crate) fn clear(&self) {
        self.inner.records.lock().list.clear();
        self.notify();
    }

    pub(crate) fn notify(&self) {
        self.inner.changed.send_modify(|version| *version += 1);
    }

    /// Adds an accepted request and gives it its number.
    pub(crate) fn begin(&self, mut record: Record) -> u64 {
        if self.inner.is_off {
            return 0;
        }
        let id = {
            let mut records = self.inner.records.lock();
            records.next_id += 1;
            record.id = records.next_id;
            let id = record.id;
            records.list.push(record);
            id
        };
        self.notify();
        id
    }

    /// Resolves when the acceptance of this attempt would survive a power cut; at once without a journal.
    pub(crate) async fn keep(&self, id: u64) {
        if let Some(journal) = &self.inner.journal
            && let Some(record) = self.get(id)
        {
            journal
                .append_durably(journal_line("accepted", &record))
                .await;
        }
    }

    /// Adds `bytes` just written; `mark` is the state after the last whole event.
    pub(crate) fn progress(
        &self,
        id: u64,
        bytes: usize,
        mark: Option<Mark>,
        usage: Option<(BilledUsage, bool)>,
    ) {
        self.update(id, |record| {
            record.bytes += bytes as u64;
            record.first_byte_us.get_or_insert_with(unix_us);
            if let Some(mark) = mark {
                record.events = mark.events;
                record.produced_output = mark.output;
                record.produced_reasoning = mark.reasoning;
            }
            record.billed = usage.map(|(usage, whole)| {
                if whole {
                    usage
                } else {
                    BilledUsage {
                        output: record.produced_output,
                        reasoning: record.produced_reasoning,
                        ..usage
                    }
                }
            });
        });
    }

    pub(crate) fn end(&self, id: u64, end: End) {
        let mut line = None;
        self.update(id, |record| {
            record.end = Some(end);
            record.ended_us = Some(unix_us());
            if let Some(journal) = &self.inner.journal {
                journal.append(journal_line("ended", record));
            }
            if self.inner.file.is_some() {
                line = serde_json::to_string(record).ok();
            }
        });
        if let (Some(file), Some(line)) = (&self.inner.file, line) {
            // A lost line would make the oracle lie: stop loudly instead.
            writeln!(file.lock(), "{line}").expect("the record file takes another line");
        }
    }

    fn update(&self, id: u64, change: impl FnOnce(&mut Record)) {
        if self.inner.is_off {
            return;
        }
        {
            let mut records = self.inner.records.lock();
            let Ok(index) = records.list.binary_search_by_key(&id, |record| record.id) else {
                return;
            };
            change(&mut records.list[index]);
        }
        self.notify();
    }
}

fn journal_line(event: &str, record: &Record) -> String {
    let record = serde_json::to_string(record).expect("a record is plain data");
    format!(r#"{{"event":"{event}","record":{record}}}"#)
}

/// Header pairs as recorded: credentials become `sha256:<12 hex digits>` behind their scheme.
pub(crate) fn recorded_headers(headers: &[(String, String)]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            if !CREDENTIALS.contains(&name.as_str()) {
                return (name.clone(), value.clone());
            }
            let fingerprint = match value.split_once(' ') {
                Some((scheme, secret)) => format!("{scheme} {}", fingerprint(secret)),
                None => fingerprint(value),
            };
            (name.clone(), fingerprint)
        })
        .collect()
}

/// The query as recorded: a key in it becomes its fingerprint.
pub(crate) fn recorded_query(query: &str) -> String {
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some(("key", key)) => format!("key={}", fingerprint(key)),
            _ => pair.to_owned(),
        })
        .collect();
    pairs.join("&")
}

/// A name for a credential that does not reveal it.
pub fn fingerprint(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    let start = u64::from_be_bytes(std::array::from_fn(|index| digest[index])) >> 16;
    format!("sha256:{start:012x}")
}
