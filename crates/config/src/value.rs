//! The values that a setting can hold, as text: durations, sizes, addresses.
//!
//! Each is parsed and rendered side by side, so that what the reference prints can be written back.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What is wrong with a value, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Smallest first; in milliseconds.
const TIME_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Smallest first, binary before decimal; in bytes.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

// === impl Fault ===

impl Fault {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// `"250ms"`, `"5s"`, `"10m"`, `"1h"`, `"1d"`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Fault> {
    parse_with_unit(text, &TIME_UNITS)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            Fault::new(
                "is not a duration",
                "write a whole number with a unit, such as \"250ms\", \"5s\" or \"10m\"",
            )
        })
}

pub(crate) fn render_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    render_with_unit(millis, &TIME_UNITS)
}

/// `"32MiB"`, `"8KiB"`, `"512B"`, `"1GB"`.
pub(crate) fn parse_size(text: &str) -> Result<u64, Fault> {
    parse_with_unit(text, &SIZE_UNITS).ok_or_else(|| {
        Fault::new(
            "is not a size",
            "write a whole number with a unit, such as \"8KiB\", \"32MiB\" or \"1GB\"",
        )
    })
}

pub(crate) fn render_size(bytes: u64) -> String {
    render_with_unit(bytes, &SIZE_UNITS[..4])
}

/// `"127.0.0.1:4321"`, `"[::1]:4321"`, `"localhost:4321"`. Port 0 asks the system for a free one.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, Fault> {
    const HINT: &str =
        "write an IP address and a port, such as \"127.0.0.1:4321\" or \"[::1]:4321\"";
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(Fault::new("has no port", HINT));
    };
    let port = port
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| port.parse::<u16>().ok())
        .flatten()
        .ok_or_else(|| Fault::new("has a port that is not a number from 0 to 65535", HINT))?;
    if host == "localhost" {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    Err(Fault::new("is not an address to listen on", HINT))
}

fn parse_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

fn render_with_unit(value: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .rev()
        .find(|(_, factor)| value.is_multiple_of(*factor) && value >= *factor)
        .or(units.first())
        .map_or_else(
            || value.to_string(),
            |(name, factor)| format!("{}{name}", value / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("5s", 5000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_millis(millis),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "5parsecs",
            "-1s",
            "1.5s",
            "99999999999999999999s",
            "1m30s",
            "5S",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_need_a_unit() {
        for (text, bytes) in [("32MiB", 32 << 20), ("1KB", 1000), ("7B", 7)] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "32", "32mib", "MiB", "1e3B", "18446744073709551615GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_rendered_reads_back() {
        for millis in [0, 1, 250, 999, 1000, 90_000, 600_000, 86_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&render_duration(duration)), Ok(duration));
        }
        for bytes in [0, 1, 1023, 1024, 32 << 20, 512 << 20, (1 << 20) + 1] {
            assert_eq!(parse_size(&render_size(bytes)), Ok(bytes));
        }
        assert_eq!(render_duration(Duration::from_mins(10)), "10m");
        assert_eq!(render_size(32 << 20), "32MiB");
    }

    #[test]
    fn addresses_are_whole_or_refused() {
        for text in ["127.0.0.1:4321", "0.0.0.0:80", "[::]:4321", "localhost:0"] {
            assert!(parse_address(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "4321",
            ":4321",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:70000",
            "127.0.0.1:80a",
            "::1:80",
            "example.com:80",
        ] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
