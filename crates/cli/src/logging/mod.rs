//! Where log lines go and how they look.

mod sink;

use std::{
    fmt::{self, Debug, Write as _},
    io::{self, IsTerminal as _},
};

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use tollgate_base::{Clock as _, SystemClock, UnixMillis};
use tollgate_config::{LogFormat, LogLevel, LogSettings};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

pub(crate) use self::sink::LastLines;
use self::sink::Sink;

/// Starts logging to standard error. Called once. What comes back is held until the end, for the last lines.
pub(crate) fn start(settings: &LogSettings) -> io::Result<LastLines> {
    let level = match settings.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let (sink, last) = Sink::start(io::stderr())?;
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(sink);
    match settings.format {
        LogFormat::Text => lines.event_format(TextLine).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(last)
}

/// `2026-01-31T12:00:00.000Z  INFO call request=req_1 model=m …`: the message, then each field as `name=value`,
/// in quotes where the value could be mistaken for something else. Written for the line of every call: texts and
/// numbers go out as they are, without the machinery of formatting.
struct TextLine;

const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line(String::with_capacity(512));
        line.time(SystemClock.now());
        line.0.push_str(match *event.metadata().level() {
            Level::ERROR => " ERROR",
            Level::WARN => "  WARN",
            Level::INFO => "  INFO",
            Level::DEBUG => " DEBUG",
            Level::TRACE => " TRACE",
        });
        event.record(&mut Message(&mut line));
        event.record(&mut line);
        line.0.push('\n');
        if writer.has_ansi_escapes() {
            writer.write_str(colour(*event.metadata().level()))?;
            writer.write_str(&line.0)?;
            return writer.write_str("\x1b[0m");
        }
        writer.write_str(&line.0)
    }
}

/// What is to be seen at once is coloured.
fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        _ => "",
    }
}

/// Collects the fields.
struct Line(String);

/// Collects the message alone, which tracing puts anywhere among the fields.
struct Message<'a>(&'a mut Line);

const MESSAGE: &str = "message";

impl Line {
    /// An instant that is no date is left out.
    fn time(&mut self, now: UnixMillis) {
        let instant = i64::try_from(now.0).ok();
        if let Some(instant) = instant.and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
            let _is_written = TIME.print_timestamp(&instant, &mut self.0).is_ok();
        }
    }

    fn name(&mut self, field: &Field) {
        self.0.push(' ');
        self.0.push_str(field.name());
        self.0.push('=');
    }

    fn value(&mut self, text: &str) {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\');
        if !text.is_empty() && text.bytes().all(is_plain) {
            self.0.push_str(text);
        } else {
            // Writing into a string does not fail.
            let _is_written = write!(self.0, "{text:?}").is_ok();
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != MESSAGE {
            self.name(field);
            self.value(value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        self.0.push_str(if value { "true" } else { "false" });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != MESSAGE {
            self.name(field);
            self.value(&format!("{value:?}"));
        }
    }
}

impl Visit for Message<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            self.0.0.push(' ');
            // No text of a message begins a line of its own.
            for c in value.chars() {
                if c.is_control() {
                    self.0.0.extend(c.escape_default());
                } else {
                    self.0.0.push(c);
                }
            }
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == MESSAGE {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        let mut line = Line(String::new());
        line.value(text);
        line.0
    }

    #[test]
    fn a_value_cannot_be_mistaken_for_another_field_or_line() {
        assert_eq!(value("lab/llama-3.3"), "lab/llama-3.3");
        assert_eq!(value(""), "\"\"");
        assert_eq!(value("a outcome=complete"), "\"a outcome=complete\"");
        assert_eq!(value("a\nb"), "\"a\\nb\"");
        assert_eq!(value("\u{1b}[2J"), "\"\\u{1b}[2J\"");
    }

    #[test]
    fn a_line_begins_with_its_time() {
        let mut line = Line(String::new());
        line.time(UnixMillis(1_769_860_800_123));
        assert_eq!(line.0, "2026-01-31T12:00:00.123Z");
    }
}
