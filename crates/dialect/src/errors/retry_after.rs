//! `retry-after`: seconds, also with a fraction, or a date (RFC 9110, section 10.2.3).

use std::time::Duration;

use tollgate_base::UnixMillis;

/// No server means more than this; a longer wait would only be a mistake or an attack.
const LONGEST: Duration = Duration::from_hours(24);

/// How long to wait, from the header's text. A date that has passed means no wait.
pub fn parse_retry_after(text: &str, now: UnixMillis) -> Option<Duration> {
    seconds(text).or_else(|| {
        let at = http_date(text.trim())?;
        Some(Duration::from_secs(at.saturating_sub(now.as_secs())).min(LONGEST))
    })
}

/// The numeric forms alone.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    // The parser of floats knows words such as `inf`; a header knows digits.
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(|wait| wait.min(LONGEST))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`. The two obsolete forms are not read.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, date) = text.split_once(", ")?;
    let mut words = date.split_ascii_whitespace();
    let day: i64 = words
        .next()?
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))?;
    let month = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let year: i64 = words
        .next()?
        .parse()
        .ok()
        .filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words
        .next()?
        .split(':')
        .map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = u64::try_from(days_since_1970(year, month, day)).ok()?;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Howard Hinnant's `days_from_civil` for years after 1970: <https://howardhinnant.github.io/date_algorithms.html>.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let now = UnixMillis(784_111_777_000);
        let read = |text| parse_retry_after(text, now).map(|wait| wait.as_millis());
        assert_eq!(read("20"), Some(20_000));
        assert_eq!(read(" 1.5 "), Some(1_500));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:51:37 GMT"), Some(120_000));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(read("Thu, 29 Feb 2024 00:00:00 GMT"), Some(86_400_000));
        assert_eq!(read("1e300"), None);
        assert_eq!(read("999999999"), Some(86_400_000));
    }

    #[test]
    fn nonsense_is_no_wait() {
        for text in [
            "",
            "-1",
            "inf",
            "nan",
            "soon",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
        ] {
            assert_eq!(parse_retry_after(text, UnixMillis(0)), None, "{text}");
        }
    }
}
