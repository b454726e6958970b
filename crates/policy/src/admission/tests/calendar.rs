//! L11: each instant lies in exactly one window, and windows tile time, whatever a zone's clocks do.

use proptest::prelude::*;

use super::UnixMillis;
use crate::{
    admission::calendar::{Borders, Calendar, NEVER, is_zone, readable},
    rules::Period,
};

/// Zones with ordinary and with strange clocks: half and quarter hours, changes at midnight and a minute past
/// it, two-hour changes, a missing day, offsets from -12 to +14 hours.
const ZONES: [&str; 42] = [
    "UTC",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Lagos",
    "America/Anchorage",
    "America/Argentina/Buenos_Aires",
    "America/Asuncion",
    "America/Bogota",
    "America/Chicago",
    "America/Denver",
    "America/Halifax",
    "America/Havana",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Eucla",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Moscow",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Etc/GMT+12",
];

const HOUR: u64 = 3_600_000;
const PERIODS: [Period; 3] = [Period::Day, Period::Week, Period::Month];

fn window(zone: &str, period: Period, instant: &str) -> (String, String) {
    let instant: jiff::Timestamp = instant.parse().unwrap();
    let millis = u64::try_from(instant.as_millisecond()).unwrap();
    let Borders { from, until } = Calendar::new(period, zone)
        .unwrap()
        .window(UnixMillis(millis));
    (readable(from), readable(until))
}

fn check(zone: &str, period: Period, instant: &str, expect: (&str, &str)) {
    let (from, until) = window(zone, period, instant);
    assert_eq!((from.as_str(), until.as_str()), expect, "{zone} {instant}");
}

#[test]
fn windows_follow_the_clocks_on_the_wall() {
    let (day, week, month) = (Period::Day, Period::Week, Period::Month);
    // 23 and 25 hours.
    check(
        "Europe/Berlin",
        day,
        "2026-03-29T12:00:00Z",
        ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
    );
    check(
        "Europe/Berlin",
        day,
        "2026-10-25T12:00:00Z",
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
    );
    // A leap day, the last and the first instant of a month.
    check(
        "UTC",
        month,
        "2028-02-29T23:59:59.999Z",
        ("2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
    );
    check(
        "UTC",
        month,
        "2028-03-01T00:00:00Z",
        ("2028-03-01T00:00:00Z", "2028-04-01T00:00:00Z"),
    );
    check(
        "UTC",
        day,
        "2028-02-29T00:00:00Z",
        ("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
    );
    // Weeks begin on Monday, also over a change of clocks and of the year.
    check(
        "America/New_York",
        week,
        "2026-03-08T12:00:00Z",
        ("2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z"),
    );
    check(
        "UTC",
        week,
        "2026-01-01T00:00:00Z",
        ("2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"),
    );
    // Midnight does not exist: the day begins at one o'clock.
    check(
        "America/Havana",
        day,
        "2026-03-08T12:00:00Z",
        ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
    );
    // Clocks went back from a minute past midnight: what comes after the border is in the new day.
    check(
        "America/St_Johns",
        day,
        "2010-11-07T03:00:00Z",
        ("2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"),
    );
    // A day that was left out.
    check(
        "Pacific/Apia",
        day,
        "2011-12-30T09:59:59Z",
        ("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
    );
    check(
        "Pacific/Apia",
        day,
        "2011-12-30T10:00:00Z",
        ("2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
    );
}

#[test]
fn a_total_never_ends_and_a_zone_that_does_not_exist_is_refused() {
    let total = Calendar::new(Period::Total, "UTC").unwrap();
    let all = Borders {
        from: UnixMillis(0),
        until: NEVER,
    };
    assert_eq!(total.window(UnixMillis(1)), all);
    assert_eq!(readable(NEVER), "never");
    assert!(Calendar::new(Period::Day, "Mars/Olympus").is_none());
    assert!(is_zone("Asia/Tokyo") && !is_zone("Mars/Olympus"));
    let day = Calendar::new(Period::Day, "UTC").unwrap();
    assert_eq!(day.window(UnixMillis(u64::MAX - 1)), all);
    let tokyo = Calendar::new(Period::Month, "Asia/Tokyo").unwrap();
    assert_eq!(tokyo.window(UnixMillis(0)).from, UnixMillis(0));
}

/// Follows the windows of three years around each border, in every zone.
#[test]
fn windows_tile_in_every_zone() {
    for zone in ZONES {
        for period in PERIODS {
            let calendar = Calendar::new(period, zone).unwrap();
            for first in [1_262_304_000_000, 1_325_000_000_000, 1_772_000_000_000] {
                let mut window = calendar.window(UnixMillis(first));
                while window.from.0 < first + 366 * 24 * HOUR {
                    let next = calendar.window(window.until);
                    assert_eq!(next.from, window.until, "{zone} {period:?}");
                    assert!(next.until > next.from, "{zone} {period:?}");
                    assert_eq!(calendar.window(UnixMillis(window.until.0 - 1)), window);
                    window = next;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(super::cases(10_000))]

    #[test]
    fn every_instant_lies_in_exactly_one_window(
        zone in prop::sample::select(&ZONES[..]),
        period in prop::sample::select(&PERIODS[..]),
        instant in 3_000_000_000_u64..4_102_444_800_000,
        inside in 0_u64..1_000_000,
    ) {
        let calendar = Calendar::new(period, zone).unwrap();
        let window = calendar.window(UnixMillis(instant));
        prop_assert!(window.from.0 <= instant && instant < window.until.0);
        let length = window.until.0 - window.from.0;
        let days = match period {
            Period::Day => 0..=2,
            Period::Week => 6..=8,
            Period::Month | Period::Total => 27..=32,
        };
        prop_assert!(days.contains(&(length / (24 * HOUR))), "{length}");
        let other = window.from.0 + length * inside / 1_000_000;
        prop_assert_eq!(calendar.window(UnixMillis(other)), window);
    }
}
