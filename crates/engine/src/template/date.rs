//! `strftime_now` for templates that tell the model today's date. UTC, and the directives that templates use.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

pub(super) fn now(format: &str) -> Result<String, Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "text for the model to read, asked for by the model file; nothing is decided by it"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    at(since.map_or(0, |since| since.as_secs()), format)
}

fn at(seconds: u64, format: &str) -> Result<String, Error> {
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = civil(days);
    let month_name = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let day_name = DAYS[usize::try_from(days % 7).unwrap_or(0)];
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let directive = characters.next();
        match directive {
            Some('Y') => write!(text, "{year}"),
            Some('y') => write!(text, "{:02}", year % 100),
            Some('m') => write!(text, "{month:02}"),
            Some('d') => write!(text, "{day:02}"),
            Some('B') => write!(text, "{month_name}"),
            Some('b') => write!(text, "{}", &month_name[..3]),
            Some('A') => write!(text, "{day_name}"),
            Some('a') => write!(text, "{}", &day_name[..3]),
            Some('H') => write!(text, "{hour:02}"),
            Some('I') => write!(text, "{:02}", (hour + 11) % 12 + 1),
            Some('p') => write!(text, "{}", if hour < 12 { "AM" } else { "PM" }),
            Some('M') => write!(text, "{minute:02}"),
            Some('S') => write!(text, "{second:02}"),
            Some('%') => write!(text, "%"),
            other => {
                let name = other.map(String::from).unwrap_or_default();
                let message = format!("strftime_now does not know %{name}");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "strftime_now cannot write"))?;
    }
    Ok(text)
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar, counted from 1 March of a leap cycle:
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let all = "%Y-%m-%d %H:%M:%S %A %a %d %B %b %y %I %p %%";
        let check = |seconds, expect: &str| assert_eq!(at(seconds, all).unwrap(), expect);
        check(
            0,
            "1970-01-01 00:00:00 Thursday Thu 01 January Jan 70 12 AM %",
        );
        check(
            951_827_696,
            "2000-02-29 12:34:56 Tuesday Tue 29 February Feb 00 12 PM %",
        );
        check(
            1_798_761_599,
            "2026-12-31 23:59:59 Thursday Thu 31 December Dec 26 11 PM %",
        );
        assert!(at(0, "%Q").is_err());
        assert!(at(0, "100%").is_err());
    }
}
