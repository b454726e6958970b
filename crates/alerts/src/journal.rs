//! The alert log in a file of the data folder: one JSON document a line, appended, and rewritten when it has
//! grown far beyond what it says.
//!
//! A fired alert is on the disk before it is sent, so that a crossing is fired once however often the process
//! ends. That a delivery succeeded is written without waiting for the disk: after a loss of power the alert may
//! be sent again, with the same id.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tollgate_base::{Error, Kind, Result, UnixMillis};
use tollgate_config::AlertEvent;
use tollgate_policy::scope::Scope;

use crate::{
    Alert, Severity,
    log::{AlertLog, Open, Outcome, Pending, State},
};

/// The alert log of a data folder.
#[derive(Debug)]
pub struct FileLog {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// `None` after a failed write: the end of the file is not known, so the next write writes all of it.
    file: Option<File>,
    lines: usize,
}

/// The file's name in the data folder.
const NAME: &str = "alerts.jsonl";
/// Lines beyond four times the needed ones before the file is rewritten.
const SLACK: usize = 1_000;

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// Fired, and still to be brought to these channels.
    Open(Stored, Vec<String>),
    /// Fired; nothing is left to do.
    Fired(String, u64),
    Settled(String, String, Ending),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ending {
    Delivered,
    Dead,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    id: String,
    event: String,
    severity: Severity,
    scope: String,
    at: u64,
    title: String,
    text: String,
    fields: Vec<(String, String)>,
}

// === impl FileLog ===

impl FileLog {
    /// Opens the log of a data folder, or begins one. A line that the end of a process cut is left out.
    pub fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let mut inner = Inner {
            state: State::default(),
            file: None,
            lines: 0,
        };
        let mut damaged = 0_u64;
        for line in text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            match serde_json::from_slice::<Line>(line) {
                Ok(line) => inner.replay(line),
                Err(_) => damaged += 1,
            }
        }
        if damaged > 0 {
            tracing::warn!(
                lines = damaged,
                "lines of the alert log could not be read and were left out; their alerts may be sent again"
            );
        }
        // Written afresh: without what is settled, and without a torn end.
        inner
            .rewrite(&path)
            .map_err(|error| unusable(&path, &error))?;
        Ok(Self {
            path,
            inner: Mutex::new(inner),
        })
    }
}

impl AlertLog for FileLog {
    fn record(&self, alert: &Alert, channels: &[&str]) -> bool {
        let mut inner = self.inner.lock();
        if !inner.state.record(alert, channels) {
            return false;
        }
        let line = if channels.is_empty() {
            Line::Fired(alert.id.clone(), alert.at.0)
        } else {
            let names = channels.iter().map(|&name| name.to_owned()).collect();
            Line::Open(Stored::of(alert), names)
        };
        inner.write(&self.path, &line, true);
        true
    }

    fn settle(&self, id: &str, channel: &str, outcome: Outcome) {
        let ending = match outcome {
            Outcome::Delivered => Ending::Delivered,
            Outcome::Dead => Ending::Dead,
        };
        let mut inner = self.inner.lock();
        inner.state.settle(id, channel);
        let line = Line::Settled(id.to_owned(), channel.to_owned(), ending);
        inner.write(&self.path, &line, false);
    }

    fn pending(&self) -> Vec<Pending> {
        self.inner.lock().state.pending()
    }
}

// === impl Inner ===

impl Inner {
    fn replay(&mut self, line: Line) {
        match line {
            Line::Fired(id, at) => {
                self.state.remember(&id, UnixMillis(at));
            }
            Line::Settled(id, channel, _) => self.state.settle(&id, &channel),
            Line::Open(stored, channels) => {
                if let Some(alert) = stored.alert()
                    && self.state.remember(&alert.id, alert.at)
                {
                    self.state.restore(Open { alert, channels });
                }
            }
        }
    }

    /// A failure is told and mended with the next write: the state in memory is whole.
    fn write(&mut self, path: &Path, line: &Line, durably: bool) {
        let grown = self.lines > self.state.size().saturating_mul(4).saturating_add(SLACK);
        let written = match &mut self.file {
            Some(file) if !grown => append(file, line, durably),
            _ => self.rewrite(path),
        };
        match written {
            Ok(()) => self.lines += 1,
            Err(error) => {
                self.file = None;
                tracing::error!(
                    %error,
                    "the alert log could not be written; after a restart alerts may be sent again"
                );
            }
        }
    }

    /// Writes all of the state into a new file that takes the place of the old one whole.
    fn rewrite(&mut self, path: &Path) -> io::Result<()> {
        self.file = None;
        let new = path.with_extension("jsonl.new");
        let mut text = Vec::new();
        let (ids, open) = self.state.parts();
        let waiting: std::collections::BTreeSet<&str> =
            open.iter().map(|open| open.alert.id.as_str()).collect();
        let mut lines = 0;
        for (id, at) in ids.filter(|(id, _)| !waiting.contains(id)) {
            push(&mut text, &Line::Fired(id.to_owned(), at.0))?;
            lines += 1;
        }
        for Open { alert, channels } in open {
            push(&mut text, &Line::Open(Stored::of(alert), channels.clone()))?;
            lines += 1;
        }
        let mut file =
            private(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.file = Some(OpenOptions::new().append(true).open(path)?);
        self.lines = lines;
        Ok(())
    }
}

/// One write for one line, so that only the end of the process can cut it.
fn append(file: &mut File, line: &Line, durably: bool) -> io::Result<()> {
    let mut text = Vec::new();
    push(&mut text, line)?;
    file.write_all(&text)?;
    if durably {
        file.sync_data()?;
    }
    Ok(())
}

fn push(text: &mut Vec<u8>, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *text, line)?;
    text.push(b'\n');
    Ok(())
}

/// Alerts name budgets and keys: the file is its owner's alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    Error::new(
        Kind::Internal,
        "alert_log",
        format!(
            "The alert log {} cannot be used: {error}. Check the data folder's rights and free space.",
            path.display()
        ),
    )
}

// === impl Stored ===

impl Stored {
    fn of(alert: &Alert) -> Self {
        Self {
            id: alert.id.clone(),
            event: alert.event.as_str().to_owned(),
            severity: alert.severity,
            scope: alert.scope.to_string(),
            at: alert.at.0,
            title: alert.title.clone(),
            text: alert.text.clone(),
            fields: alert.fields.clone(),
        }
    }

    fn alert(self) -> Option<Alert> {
        Some(Alert {
            event: AlertEvent::from_word(&self.event)
                .or((self.event == "test").then_some(AlertEvent::Test))?,
            scope: Scope::parse(&self.scope)?,
            id: self.id,
            severity: self.severity,
            at: UnixMillis(self.at),
            title: self.title,
            text: self.text,
            fields: self.fields,
        })
    }
}
