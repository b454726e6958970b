//! Log lines on their way to standard error: gathered for a moment and written by a thread of their own, so that
//! no call waits for whoever reads them, and many lines are one write.
//!
//! What cannot be written fast enough is dropped and counted, never waited for. What a killed process had not
//! written yet, at most the last moment, is lost.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long lines gather. Warnings and errors do not.
const GATHERING: Duration = Duration::from_millis(20);
/// The bytes of lines that may wait; what comes beyond is dropped.
const MOST_WAITING: usize = 1 << 20;
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Takes lines. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sink(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// The writing thread has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    n_lost: u64,
    /// Somebody should see this now.
    is_urgent: bool,
    is_closing: bool,
    thread: Thread,
}

/// What the writing thread is doing.
#[derive(Debug, Default, PartialEq, Eq)]
enum Thread {
    /// It writes, or looks for lines by itself.
    #[default]
    Looking,
    /// It sleeps until it is woken.
    Asleep,
    Ended,
}

/// One line.
pub(super) struct Line<'s> {
    sink: &'s Sink,
    is_urgent: bool,
}

/// Writes the last lines when it is dropped.
#[derive(Debug)]
pub(crate) struct LastLines(Sink);

impl Sink {
    /// A sink whose thread writes into `out`.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, LastLines)> {
        let sink = Self(Arc::default());
        let shared = sink.0.clone();
        std::thread::Builder::new()
            .name("tollgate-log".to_owned())
            .spawn(move || shared.write_to(out))?;
        Ok((sink.clone(), LastLines(sink)))
    }

    fn push(&self, line: &[u8], is_urgent: bool) {
        let mut waiting = self.0.waiting.lock();
        if waiting.lines.len() + line.len() > MOST_WAITING {
            waiting.n_lost += 1;
            return;
        }
        let wakes = waiting.thread == Thread::Asleep || (is_urgent && !waiting.is_urgent);
        waiting.lines.extend_from_slice(line);
        waiting.is_urgent |= is_urgent;
        drop(waiting);
        if wakes {
            self.0.changed.notify_one();
        }
    }
}

impl Shared {
    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let (n_lost, is_last) = self.take(&mut lines);
            // Nobody is left to be told that standard error is closed.
            let _is_written = out.write_all(&lines).is_ok();
            if n_lost > 0 {
                let _is_written = writeln!(
                    out,
                    "{n_lost} lines of the log were dropped: they came faster than they were read."
                );
            }
            let _is_flushed = out.flush().is_ok();
            lines.clear();
            if is_last {
                self.waiting.lock().thread = Thread::Ended;
                self.ended.notify_all();
                return;
            }
        }
    }

    /// Waits for lines and takes them: how many were dropped before, and whether these are the last.
    ///
    /// While lines keep coming they are fetched at intervals, and whoever says one wakes nobody.
    fn take(&self, lines: &mut Vec<u8>) -> (u64, bool) {
        let mut waiting = self.waiting.lock();
        loop {
            if !waiting.is_urgent && !waiting.is_closing {
                self.changed.wait_for(&mut waiting, GATHERING);
            }
            if !waiting.lines.is_empty() || waiting.is_closing {
                break;
            }
            waiting.thread = Thread::Asleep;
            self.changed.wait(&mut waiting);
            waiting.thread = Thread::Looking;
        }
        std::mem::swap(&mut waiting.lines, lines);
        waiting.is_urgent = false;
        (std::mem::take(&mut waiting.n_lost), waiting.is_closing)
    }
}

impl<'s> MakeWriter<'s> for Sink {
    type Writer = Line<'s>;

    fn make_writer(&'s self) -> Line<'s> {
        Line {
            sink: self,
            is_urgent: true,
        }
    }

    fn make_writer_for(&'s self, meta: &Metadata<'_>) -> Line<'s> {
        Line {
            sink: self,
            is_urgent: *meta.level() <= Level::WARN,
        }
    }
}

impl Write for Line<'_> {
    /// Takes a line whole; tracing gives it in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.sink.push(line, self.is_urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let Shared {
            waiting,
            changed,
            ended,
        } = &*self.0.0;
        let mut waiting = waiting.lock();
        waiting.is_closing = true;
        changed.notify_one();
        if waiting.thread != Thread::Ended {
            ended.wait_for(&mut waiting, LAST_LINES);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Hands over what is written; stands still while nobody takes it.
    struct Pipe(SyncSender<String>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn started() -> (Sink, LastLines, Receiver<String>) {
        let (sender, receiver) = sync_channel(0);
        let (sink, last) = Sink::start(Pipe(sender)).unwrap();
        (sink, last, receiver)
    }

    #[test]
    fn lines_come_in_order_and_the_last_ones_before_the_end() {
        let (sink, last, written) = started();
        let reading = std::thread::spawn(move || written.into_iter().collect::<String>());
        let mut expected = String::new();
        for number in 0..1_000 {
            let line = format!("line {number}\n");
            sink.push(line.as_bytes(), number % 100 == 0);
            expected.push_str(&line);
        }
        drop(last);
        // The thread ends with the last line, and closes the pipe.
        assert_eq!(reading.join().unwrap(), expected);
    }

    #[test]
    fn who_does_not_read_holds_nobody_up_and_is_told_what_was_dropped() {
        let (sink, last, written) = started();
        let line = [b'x'; 1 << 10];
        for _ in 0..4 << 10 {
            sink.push(&line, true);
        }
        let waiting = sink.0.waiting.lock().lines.len();
        assert!(waiting <= MOST_WAITING, "{waiting} bytes wait");
        let reading = std::thread::spawn(move || written.into_iter().collect::<String>());
        drop(last);
        drop(sink);
        let said = reading.join().unwrap();
        let kept = said.bytes().filter(|&byte| byte == b'x').count() >> 10;
        // Said as often as lines were taken after some had been dropped.
        let notes = said.lines().filter_map(|line| {
            let note = line.trim_start_matches('x');
            note.split(' ').next()?.parse::<usize>().ok()
        });
        let dropped: usize = notes.sum();
        assert!(dropped > 0);
        assert_eq!(kept + dropped, 4 << 10);
    }
}
