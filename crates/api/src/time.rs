//! Times on the wire: RFC 3339, to the millisecond, written in UTC.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use tollgate_base::UnixMillis;

/// An instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub UnixMillis);

/// Reads a time after 1970. What is finer than a millisecond is cut off.
pub(crate) fn time_of(text: &str) -> Option<UnixMillis> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let millis = time.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(millis).ok().map(UnixMillis)
}

impl Timestamp {
    pub fn parse(text: &str) -> Option<Self> {
        time_of(text).map(Self)
    }

    /// `2026-11-21T09:30:00Z`. What lies beyond the year 9999 is written as its end.
    pub fn to_text(self) -> String {
        let millis = i64::try_from(self.0.0).unwrap_or(i64::MAX);
        OffsetDateTime::UNIX_EPOCH
            .checked_add(Duration::milliseconds(millis))
            .map(|time| time.to_offset(UtcOffset::UTC))
            .and_then(|time| time.format(&Rfc3339).ok())
            .unwrap_or_else(|| "9999-12-31T23:59:59.999Z".to_owned())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("it is no time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for (text, millis, written) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            (
                "2026-11-21T10:30:00.250+01:00",
                1_795_253_400_250,
                "2026-11-21T09:30:00.25Z",
            ),
        ] {
            let time = Timestamp::parse(text).unwrap();
            assert_eq!((time.0.0, time.to_text().as_str()), (millis, written));
        }
        assert_eq!(
            Timestamp(UnixMillis(u64::MAX)).to_text(),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn p05_what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-21",
            "99999-01-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1763717400",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
