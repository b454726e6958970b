//! The oracle's memory on disk: lines that are only ever appended, and that are on the disk when they say so.
//!
//! One thread writes and syncs; whatever waits while it syncs goes into the next group. It does not know what a
//! line says, and it never gives up a line: when the disk refuses one, the oracle stops instead of lying.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;

#[derive(Debug)]
pub(crate) struct Journal {
    /// Empty only while it is dropped.
    lines: Mutex<Option<Sender<Line>>>,
    writing: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Line {
    text: String,
    /// Told when the line is on the disk.
    synced: Option<oneshot::Sender<()>>,
}

impl Journal {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let (sender, receiver) = channel();
        let writing = std::thread::Builder::new()
            .name("testkit-journal".to_owned())
            .spawn(move || write_groups(file, &receiver))?;
        Ok(Self {
            lines: Mutex::new(Some(sender)),
            writing: Some(writing),
        })
    }

    /// Appends a line with the next group.
    pub(crate) fn append(&self, text: String) {
        self.send(Line { text, synced: None });
    }

    /// Appends a line and resolves when it would survive a power cut.
    pub(crate) async fn append_durably(&self, text: String) {
        let (synced, is_synced) = oneshot::channel();
        self.send(Line {
            text,
            synced: Some(synced),
        });
        is_synced.await.expect("the journal takes another line");
    }

    fn send(&self, line: Line) {
        let lines = self.lines.lock();
        let taken = lines.as_ref().is_some_and(|lines| lines.send(line).is_ok());
        assert!(taken, "the journal has stopped: its disk refused a line");
    }
}

impl Drop for Journal {
    /// Waits until everything appended is on the disk.
    fn drop(&mut self) {
        self.lines.lock().take();
        if let Some(writing) = self.writing.take() {
            let _ended = writing.join();
        }
    }
}

fn write_groups(mut file: File, lines: &Receiver<Line>) {
    while let Ok(first) = lines.recv() {
        let mut group = vec![first];
        group.extend(lines.try_iter());
        let mut text = String::new();
        for line in &group {
            text.push_str(&line.text);
            text.push('\n');
        }
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_data())
            .expect("the journal's disk takes another group");
        for synced in group.into_iter().filter_map(|line| line.synced) {
            // Whoever waited may have left; the line is kept all the same.
            let _told = synced.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_in_the_file_when_the_append_resolves_and_the_rest_when_it_is_dropped() {
        let path = std::env::temp_dir().join(format!("testkit-journal-{}", std::process::id()));
        let journal = Journal::open(&path).unwrap();
        journal.append("one".to_owned());
        journal.append_durably("two".to_owned()).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        journal.append("three".to_owned());
        drop(journal);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        std::fs::remove_file(&path).unwrap();
    }
}
