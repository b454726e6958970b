//! Wall time for the records and for date headers: the oracle stamps what it saw, it decides nothing by it.

use time::OffsetDateTime;
use time::macros::format_description;

#[expect(
    clippy::disallowed_methods,
    reason = "the oracle records real instants; no decision depends on them"
)]
pub(crate) fn unix_us() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn unix_seconds() -> u64 {
    unix_us() / 1_000_000
}

/// An HTTP date this many seconds from now.
pub(crate) fn http_date_in(seconds: i64) -> String {
    let now = OffsetDateTime::from_unix_timestamp(unix_seconds().cast_signed() + seconds)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    now.format(&format).unwrap_or_default()
}
