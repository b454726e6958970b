//! The `date` header, rendered once per second and thread.

use std::cell::Cell;

use tollgate_base::{Clock, SystemClock};

const LEN: usize = 29;
const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

thread_local! {
    static CACHED: Cell<(u64, [u8; LEN])> = const { Cell::new((u64::MAX, [0; LEN])) };
}

/// Now, as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn now() -> [u8; LEN] {
    let secs = SystemClock.now().as_secs();
    CACHED.with(|cached| {
        let (at, text) = cached.get();
        if at == secs {
            return text;
        }
        let text = render(secs);
        cached.set((secs, text));
        text
    })
}

/// Civil date from days since 1970, by the method of H. Hinnant, "chrono-compatible low-level date algorithms".
fn render(secs: u64) -> [u8; LEN] {
    let (days, second) = (secs / 86_400, secs % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 2
    } else {
        shifted_month - 10
    };
    let year = era * 400 + year_of_era + u64::from(month < 2);

    let mut text = *b"Thu, 00 Jan 0000 00:00:00 GMT";
    text[..3].copy_from_slice(DAYS[usize::from(low(days % 7))]);
    text[8..11].copy_from_slice(MONTHS[usize::from(low(month))]);
    for (at, value) in [
        (5, day),
        (12, year / 100 % 100),
        (14, year % 100),
        (17, second / 3_600),
        (20, second / 60 % 60),
        (23, second % 60),
    ] {
        text[at] = b'0' + low(value / 10);
        text[at + 1] = b'0' + low(value % 10);
    }
    text
}

/// A number below 256 as a byte.
fn low(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_render_as_rfc_9110_writes_them() {
        let cases = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ];
        for (secs, text) in cases {
            assert_eq!(std::str::from_utf8(&render(secs)).unwrap(), text);
        }
    }
}
