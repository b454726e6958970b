//! Times as they are written on the command line and shown there: dates and instants in UTC, and spans such as `30d`.

use std::time::Duration;

use jiff::{Timestamp, civil, tz::TimeZone};
use tollgate_base::{Error, Result, UnixMillis, quote};

/// A stretch of time: from, inclusive; to, exclusive.
pub(crate) type Stretch = (UnixMillis, UnixMillis);

/// Reads a span: a whole number and `s`, `m`, `h`, `d` or `w`.
pub(crate) fn span(option: &'static str, text: &str) -> Result<Duration> {
    let (number, unit) = text.split_at(
        text.len()
            .saturating_sub(text.chars().last().map_or(0, char::len_utf8)),
    );
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        "w" => Some(604_800),
        _ => None,
    };
    let are_digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = are_digits.then(|| number.parse().ok()).flatten();
    seconds
        .zip(number)
        .and_then(|(seconds, number)| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| {
            let message = format!(
                "{} is no span of time. Write it as `90s`, `15m`, `24h`, `30d` or `2w`.",
                quote(text)
            );
            Error::invalid_value(option, message)
        })
}

/// Reads an instant: a date (its beginning in UTC), or a date and time with its offset.
pub(crate) fn instant(option: &'static str, text: &str) -> Result<UnixMillis> {
    let date = text
        .parse::<civil::Date>()
        .ok()
        .filter(|_| text.len() == "2026-01-31".len());
    let timestamp = match date {
        Some(date) => date
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp()),
        None => text.parse::<Timestamp>().ok(),
    };
    timestamp.and_then(millis).ok_or_else(|| {
        let message = format!(
            "{} is no time. Write it as `2026-01-31`, or as `2026-01-31T18:00:00Z`.",
            quote(text)
        );
        Error::invalid_value(option, message)
    })
}

/// Reads a span from now on, or an instant.
pub(crate) fn future(option: &'static str, text: &str, now: UnixMillis) -> Result<UnixMillis> {
    match span(option, text) {
        Ok(span) => Ok(now.plus(span)),
        Err(_) => instant(option, text).map_err(|_| {
            let message = format!(
                "{} is no time. Write it as a span from now on (`30d`, `12h`), as `2026-01-31`, or as \
                 `2026-01-31T18:00:00Z`.",
                quote(text)
            );
            Error::invalid_value(option, message)
        }),
    }
}

/// Reads a month, `2026-11`: a stretch in UTC.
pub(crate) fn month(text: &str) -> Result<Stretch> {
    let wrong = || {
        let message = format!("{} is no month. Write it as `2026-11`.", quote(text));
        Error::invalid_value("--month", message)
    };
    let first = instant("--month", &format!("{text}-01")).map_err(|_| wrong())?;
    let next = format!("{text}-01")
        .parse::<civil::Date>()
        .ok()
        .and_then(|date| date.checked_add(jiff::Span::new().months(1)).ok())
        .and_then(|date| date.to_zoned(TimeZone::UTC).ok())
        .and_then(|zoned| millis(zoned.timestamp()));
    Ok((first, next.ok_or_else(wrong)?))
}

/// An instant as people read it, in UTC to the second.
pub(crate) fn shown(at: UnixMillis) -> String {
    i64::try_from(at.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "never".to_owned(), |timestamp| timestamp.to_string())
}

/// As [`shown`]; nothing for nothing.
pub(crate) fn shown_or_not(at: Option<UnixMillis>) -> String {
    at.map(shown).unwrap_or_default()
}

fn millis(timestamp: Timestamp) -> Option<UnixMillis> {
    u64::try_from(timestamp.as_millisecond())
        .ok()
        .map(UnixMillis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("24h", 86_400),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
        ] {
            assert_eq!(span("--for", text).unwrap().as_secs(), seconds);
        }
        for bad in [
            "",
            "d",
            "3",
            "-1d",
            "+1d",
            "1.5h",
            "3y",
            "1é",
            "99999999999999999999d",
        ] {
            assert!(
                span("--for", bad).unwrap_err().message().contains("`24h`"),
                "{bad}"
            );
        }
    }

    #[test]
    fn times_are_read_in_utc_and_shown_alike() {
        assert_eq!(
            instant("--to", "1970-01-02").unwrap(),
            UnixMillis(86_400_000)
        );
        assert_eq!(
            instant("--to", "1970-01-01T01:00:00+01:00").unwrap(),
            UnixMillis(0)
        );
        assert_eq!(
            shown(UnixMillis(86_400_999)),
            "1970-01-02T00:00:01Z".replace("01Z", "00Z")
        );
        assert_eq!(
            future("--expires", "1d", UnixMillis(5)).unwrap(),
            UnixMillis(86_400_005)
        );
        assert_eq!(
            future("--expires", "1970-01-02", UnixMillis(5)).unwrap(),
            UnixMillis(86_400_000)
        );
        for bad in ["", "yesterday", "2026-13-01", "2026-02-30", "1969-12-31"] {
            assert!(instant("--to", bad).is_err(), "{bad}");
            assert!(
                future("--to", bad, UnixMillis(0))
                    .unwrap_err()
                    .message()
                    .contains("30d"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let (from, to) = month("2026-12").unwrap();
        assert_eq!(
            (shown(from).as_str(), shown(to).as_str()),
            ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")
        );
        for bad in ["2026", "2026-13", "2026-1", "", "2026-12-01"] {
            assert!(month(bad).is_err(), "{bad}");
        }
    }
}
