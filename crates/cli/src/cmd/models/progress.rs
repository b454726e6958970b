//! How far something is: a bar on a terminal, a line now and then elsewhere, objects for programs.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::Duration,
};

use serde::Serialize;
use tollgate_base::{Clock as _, SystemClock};
use tollgate_hub::shown_size;

use crate::{
    table::plain,
    terminal::{data, say},
};

/// Shows one transfer after another.
pub(super) struct Progress {
    how: How,
    name: String,
    size: Option<u64>,
    /// What was here when the clock was started.
    from: u64,
    began: Duration,
    /// When something was last shown.
    shown: Duration,
    has: u64,
    is_bar_open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Bar,
    Lines,
    Json,
    Nothing,
}

#[derive(Serialize)]
struct EventOut<'a> {
    event: &'a str,
    name: &'a str,
    bytes: u64,
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

const BAR_WIDTH: u64 = 24;
const BETWEEN_BARS: Duration = Duration::from_millis(100);
const BETWEEN_LINES: Duration = Duration::from_secs(5);

// === impl How ===

impl How {
    fn for_people() -> Self {
        if stderr().is_terminal() {
            How::Bar
        } else {
            How::Lines
        }
    }
}

// === impl Progress ===

impl Progress {
    /// For people, or as an object a line.
    pub(super) fn new(json: bool) -> Self {
        Self::shown(if json { How::Json } else { How::for_people() })
    }

    /// For people, or nothing for a program that waits for one answer.
    pub(super) fn for_people_only(json: bool) -> Self {
        Self::shown(if json {
            How::Nothing
        } else {
            How::for_people()
        })
    }

    fn shown(how: How) -> Self {
        Self {
            how,
            name: String::new(),
            size: None,
            from: 0,
            began: SystemClock.monotonic(),
            shown: SystemClock.monotonic(),
            has: 0,
            is_bar_open: false,
        }
    }

    pub(super) fn begin(&mut self, name: &str, size: Option<u64>, have: u64) {
        let is_new = self.name != name;
        name.clone_into(&mut self.name);
        (self.size, self.from, self.has) = (size, have, have);
        self.began = SystemClock.monotonic();
        self.shown = self.began;
        match self.how {
            How::Json => self.object("begins", None),
            How::Bar => self.bar(),
            How::Lines if is_new || have > 0 => {
                let size = size.map_or_else(|| "of unknown size".to_owned(), shown_size);
                let already = if have > 0 {
                    format!(", {} are here already", shown_size(have))
                } else {
                    String::new()
                };
                say(&format!("{}: {size}{already}", plain(name)));
            }
            How::Lines | How::Nothing => {}
        }
    }

    pub(super) fn has(&mut self, n_bytes: u64) {
        self.has = n_bytes;
        if self.is_due() {
            match self.how {
                How::Json => self.object("progress", None),
                How::Bar => self.bar(),
                How::Lines => say(&self.line()),
                How::Nothing => {}
            }
        }
    }

    /// Bytes of an earlier run are read again.
    pub(super) fn rereads(&mut self, n_bytes: u64) {
        if self.how == How::Bar && self.is_due() {
            self.draw(&format!(
                "Reading again what is here: {}",
                shown_size(n_bytes)
            ));
        }
    }

    pub(super) fn note(&mut self, event: &str, message: &str) {
        if self.how == How::Json {
            self.object(event, Some(message));
        } else {
            self.end();
            say(&plain(message));
        }
    }

    /// Leaves the line of the bar.
    pub(super) fn end(&mut self) {
        if self.is_bar_open {
            if self.has > 0 {
                self.bar();
            }
            say("");
            self.is_bar_open = false;
        }
    }

    fn is_due(&mut self) -> bool {
        let now = SystemClock.monotonic();
        let between = if self.how == How::Lines {
            BETWEEN_LINES
        } else {
            BETWEEN_BARS
        };
        let is_due = now.saturating_sub(self.shown) >= between;
        if is_due {
            self.shown = now;
        }
        is_due
    }

    fn object(&self, event: &str, message: Option<&str>) {
        let out = EventOut {
            event,
            name: &self.name,
            bytes: self.has,
            size: self.size,
            message,
        };
        data(&serde_json::to_string(&out).unwrap_or_default());
    }

    fn bar(&mut self) {
        let line = self.line();
        let text = match self.size.filter(|size| *size > 0) {
            Some(size) => {
                let full = (self.has.min(size) * BAR_WIDTH / size).min(BAR_WIDTH);
                let full = usize::try_from(full).unwrap_or(0);
                let width = usize::try_from(BAR_WIDTH).unwrap_or(0);
                format!("[{}{}] {line}", "#".repeat(full), ".".repeat(width - full))
            }
            None => line,
        };
        self.draw(&text);
    }

    fn draw(&mut self, text: &str) {
        // Back to the line's beginning, the text, and what is left of a longer one before it erased.
        if write!(stderr().lock(), "\r{text}\u{1b}[K").is_err() {
            // Nobody listens any more.
        }
        self.is_bar_open = true;
    }

    /// How much of how much, how fast, and for how long yet.
    fn line(&self) -> String {
        let spent = SystemClock.monotonic().saturating_sub(self.began);
        line(
            self.has,
            self.size,
            self.has.saturating_sub(self.from),
            spent,
        )
    }
}

fn line(has: u64, size: Option<u64>, came: u64, spent: Duration) -> String {
    let mut parts = vec![match size {
        Some(size) => format!("{} of {}", shown_size(has), shown_size(size)),
        None => shown_size(has),
    }];
    let millis = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
    let rate = came.saturating_mul(1_000).checked_div(millis).unwrap_or(0);
    if millis >= 500 && rate > 0 {
        parts.push(format!("{}/s", shown_size(rate)));
        if let Some(size) = size.filter(|size| *size > has) {
            parts.push(format!("{} left", shown_span((size - has) / rate)));
        }
    }
    parts.join(", ")
}

fn shown_span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_this_run_and_gives_the_time_that_is_left() {
        let spent = Duration::from_secs(10);
        assert_eq!(
            line(600_000_000, Some(1_000_000_000), 100_000_000, spent),
            "600 MB of 1.00 GB, 10.0 MB/s, 40 s left"
        );
        assert_eq!(line(5, Some(10), 0, spent), "5 B of 10 B");
        assert_eq!(line(5_000_000, None, 5_000_000, Duration::ZERO), "5.00 MB");
        assert_eq!(shown_span(61), "1 min 1 s");
        assert_eq!(shown_span(7_260), "2 h 1 min");
    }
}
