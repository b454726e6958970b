//! The borders of budgets' windows: days, weeks and months as the clocks on the wall of a time zone show them.
//!
//! A window is computed from an instant and never kept or reset. It lies between two neighbouring borders, and
//! a border is the first instant of a calendar day; so windows tile time also where a day has 23 or 25 hours,
//! where midnight comes twice or not at all, and where a whole day is missing.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use tollgate_base::UnixMillis;

use crate::rules::Period;

/// How instants are put into windows.
#[derive(Debug)]
pub(super) struct Calendar {
    period: Period,
    zone: TimeZone,
}

/// A stretch of time, from its first instant to the first one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Borders {
    pub(super) from: UnixMillis,
    pub(super) until: UnixMillis,
}

/// The end of what does not end.
pub(super) const NEVER: UnixMillis = UnixMillis(u64::MAX);

/// Whether there is a time zone of this name.
pub fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

impl Calendar {
    /// `None` when there is no such time zone.
    pub(super) fn new(period: Period, zone: &str) -> Option<Self> {
        let zone = TimeZone::get(zone).ok()?;
        Some(Self { period, zone })
    }

    /// The window that `instant` lies in. Beyond the year 9999 everything is one window.
    pub(super) fn window(&self, instant: UnixMillis) -> Borders {
        self.find(instant).unwrap_or(Borders {
            from: UnixMillis(0),
            until: NEVER,
        })
    }

    /// The window before the one that `instant` lies in, where there is one, and that one.
    pub(super) fn last_two(&self, instant: UnixMillis) -> Vec<Borders> {
        let present = self.window(instant);
        let before = present.from.0.checked_sub(1);
        let before = before.map(|end| self.window(UnixMillis(end)));
        before.into_iter().chain([present]).collect()
    }

    fn find(&self, instant: UnixMillis) -> Option<Borders> {
        let timestamp = Timestamp::from_millisecond(i64::try_from(instant.0).ok()?).ok()?;
        let mut first = self.first_day(self.zone.to_datetime(timestamp).date())?;
        // Where a clock is set back over midnight, an instant after the border still shows the day before it.
        loop {
            let next = self.next(first)?;
            let until = self.border(next)?;
            if instant < until {
                let from = self.border(first)?;
                return Some(Borders { from, until });
            }
            first = next;
        }
    }

    /// The first day of the period that `day` lies in.
    fn first_day(&self, day: Date) -> Option<Date> {
        match self.period {
            Period::Day => Some(day),
            Period::Week => {
                let since_monday = i64::from(day.weekday().to_monday_zero_offset());
                day.checked_sub(since_monday.days()).ok()
            }
            Period::Month => Some(day.first_of_month()),
            Period::Total => None,
        }
    }

    fn next(&self, first: Date) -> Option<Date> {
        let span = match self.period {
            Period::Day => 1.day(),
            Period::Week => 1.week(),
            Period::Month => 1.month(),
            Period::Total => return None,
        };
        first.checked_add(span).ok()
    }

    /// The first instant of a day.
    fn border(&self, day: Date) -> Option<UnixMillis> {
        let midnight = self.zone.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
        Some(UnixMillis(
            u64::try_from(midnight.as_millisecond()).unwrap_or_default(),
        ))
    }
}

/// An instant as people read it.
pub(super) fn readable(instant: UnixMillis) -> String {
    i64::try_from(instant.0)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .map_or_else(|| "never".to_owned(), |timestamp| timestamp.to_string())
}
