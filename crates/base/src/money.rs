//! Money as whole nano-dollars: what a call cost, what a budget allows.
//!
//! No float touches it. Prices are finer than a nano-dollar per token, so they have a unit of their own
//! ([`Rate`]); a sum of tokens times rates is rounded once, at the end, to the nearest nano-dollar.

use std::{fmt, iter::Sum, ops::AddAssign};

/// An amount in nano-dollars (10⁻⁹ US dollars). Sums saturate far beyond any real amount (±10²⁹ dollars).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i128);

/// A price: nano-dollars for one million units (tokens, images, seconds, characters, calls). The published
/// figure "$2.50 per million tokens" is the rate 2,500,000,000; nine decimals of a published figure fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

/// Nano-dollars in a dollar.
const NANOS: i128 = 1_000_000_000;
/// Units that a rate is for.
const UNITS: i128 = 1_000_000;

// === impl Money ===

impl Money {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(i128::MAX);

    pub const fn from_nanos(nanos: i128) -> Self {
        Self(nanos)
    }

    pub const fn nanos(self) -> i128 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// What is left of `self` when `other` is taken away; never below zero.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        self.minus(other).max(Self::ZERO)
    }

    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor as i128))
    }

    /// Reads dollars in decimal notation (`12`, `0.25`, `$3.000000001`): digits, and at most nine after the
    /// point. `None` for anything else: signs, exponents, separators, a tenth decimal.
    pub fn parse(text: &str) -> Option<Self> {
        decimal(text.strip_prefix('$').unwrap_or(text)).map(Self)
    }
}

impl fmt::Display for Money {
    /// Dollars with as many decimals as are needed, at least two: `$0.30`, `$0.000041`, `-$1.00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let mut text = String::from(sign);
        text.push('$');
        push_plain(self.0.unsigned_abs(), &mut text);
        f.write_str(&text)
    }
}

/// Nano-units in a whole one.
const WHOLE: u64 = 1_000_000_000;

/// Appends an amount without its sign and unit. Each call writes a few of them, so they are written without the
/// machinery of formatting; every cost of a call fits into 64 bits, and 128 are slow to divide.
fn push_plain(nanos: u128, out: &mut String) {
    let (whole, mut rest) = if let Ok(nanos) = u64::try_from(nanos) {
        (u128::from(nanos / WHOLE), nanos % WHOLE)
    } else {
        let rest = nanos % u128::from(WHOLE);
        (nanos / u128::from(WHOLE), u64::try_from(rest).unwrap_or(0))
    };
    let mut digits = [b'0'; 9];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let kept = digits.iter().rposition(|digit| *digit != b'0');
    let decimals = &digits[..kept.map_or(2, |at| at + 1).max(2)];
    match u8::try_from(whole) {
        Ok(digit @ 0..=9) => out.push(char::from(b'0' + digit)),
        _ => out.push_str(&whole.to_string()),
    }
    out.push('.');
    out.push_str(std::str::from_utf8(decimals).unwrap_or("00"));
}

impl Money {
    /// Dollars in plain decimal notation, as JSON and CSV have them: `0.30`, `-1.00`.
    pub fn to_decimal(self) -> String {
        let mut text = String::with_capacity(16);
        if self.0 < 0 {
            text.push('-');
        }
        push_plain(self.0.unsigned_abs(), &mut text);
        text
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = self.plus(other);
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

// === impl Rate ===

impl Rate {
    pub const FREE: Self = Self(0);

    /// Reads dollars for one million units, in decimal notation as [`Money::parse`] does.
    pub fn per_million(text: &str) -> Option<Self> {
        u64::try_from(decimal(text.strip_prefix('$').unwrap_or(text))?)
            .ok()
            .map(Self)
    }

    /// What these numbers of units cost together, rounded once to the nearest nano-dollar (a half goes up).
    pub fn total(parts: impl IntoIterator<Item = (u64, Rate)>) -> Money {
        let exact = parts.into_iter().fold(0_i128, |sum, (units, rate)| {
            sum.saturating_add(i128::from(units).saturating_mul(i128::from(rate.0)))
        });
        Money(exact.saturating_add(UNITS / 2) / UNITS)
    }

    /// As [`Rate::total`], with what is beyond a whole nano-dollar rounded up: for a bound.
    pub fn bound(parts: impl IntoIterator<Item = (u64, Rate)>) -> Money {
        let exact = parts.into_iter().fold(0_i128, |sum, (units, rate)| {
            sum.saturating_add(i128::from(units).saturating_mul(i128::from(rate.0)))
        });
        Money(exact.saturating_add(UNITS - 1) / UNITS)
    }

    /// The published figure: dollars for one million units.
    pub fn to_decimal(self) -> String {
        let mut text = String::new();
        self.push_decimal(&mut text);
        text
    }

    /// Appends what [`Rate::to_decimal`] gives.
    pub fn push_decimal(self, out: &mut String) {
        push_plain(u128::from(self.0), out);
    }
}

/// Nano-units of a decimal number with at most nine decimals and twelve digits before the point.
fn decimal(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || whole.len() > 12 || fraction.len() > 9 {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(whole * NANOS + nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_and_written_exactly() {
        for (text, nanos, shown) in [
            ("0", 0, "$0.00"),
            ("12", 12_000_000_000, "$12.00"),
            ("$0.3", 300_000_000, "$0.30"),
            ("0.000000001", 1, "$0.000000001"),
            (
                "999999999999.999999999",
                999_999_999_999_999_999_999,
                "$999999999999.999999999",
            ),
        ] {
            let money = Money::parse(text).unwrap();
            assert_eq!((money.nanos(), money.to_string().as_str()), (nanos, shown));
        }
        assert_eq!(Money::from_nanos(-1_500_000_000).to_string(), "-$1.50");
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "0.0000000001",
            "1 ",
            "١",
            "$",
            "1000000000000",
        ] {
            assert_eq!(Money::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn amounts_are_added_and_taken_away_to_the_nano_dollar_and_never_wrap() {
        let [one, three] = [Money::from_nanos(1), Money::from_nanos(3)];
        assert_eq!(one.plus(three).nanos(), 4);
        assert_eq!(one.minus(three).nanos(), -2);
        assert_eq!((three.less(one).nanos(), one.less(three)), (2, Money::ZERO));
        assert_eq!(three.times(7).nanos(), 21);
        let mut sum = one;
        sum += three;
        assert_eq!(sum, [one, three].into_iter().sum());
        assert_eq!((sum.is_zero(), Money::ZERO.is_zero()), (false, true));
        assert_eq!(Money::MAX.plus(one), Money::MAX);
        assert_eq!(Money::MAX.times(2), Money::MAX);
        assert_eq!(Money::from_nanos(i128::MIN).minus(one).nanos(), i128::MIN);
    }

    #[test]
    fn amounts_and_rates_are_written_as_plain_decimals() {
        for (nanos, shown) in [
            (0, "0.00"),
            (-1, "-0.000000001"),
            (1_230_000_000, "1.23"),
            (-2_000_000_000, "-2.00"),
            // Beyond 64 bits of nano-dollars, and beyond 64 bits of dollars.
            (20_000_000_000_123_456_789, "20000000000.123456789"),
            (
                40_000_000_000_000_000_000_500_000_000,
                "40000000000000000000.50",
            ),
        ] {
            assert_eq!(Money::from_nanos(nanos).to_decimal(), shown);
        }
        assert_eq!(Rate(2_500_000_000).to_decimal(), "2.50");
        assert_eq!(Rate::per_million("$2.5"), Some(Rate(2_500_000_000)));
        assert_eq!(Rate::per_million("99999999999"), None);
    }

    #[test]
    fn a_sum_of_parts_is_rounded_once() {
        let rate = Rate::per_million("0.0005").unwrap();
        // Each alone is half a nano-dollar.
        assert_eq!(Rate::total([(1, rate)]).nanos(), 1);
        assert_eq!(Rate::total([(1, rate), (1, rate), (1, rate)]).nanos(), 2);
        assert_eq!(Rate::bound([(1, Rate(1))]).nanos(), 1);
        assert_eq!(Rate::bound([(0, rate)]), Money::ZERO);
        // Just below a half goes down; a bound goes up from the first part.
        assert_eq!(Rate::total([(499_999, Rate(1))]), Money::ZERO);
        assert_eq!(Rate::total([(500_000, Rate(1))]).nanos(), 1);
        assert_eq!(Rate::bound([(1_000_000, Rate(1))]).nanos(), 1);
        assert_eq!(Rate::bound([(1_000_001, Rate(1))]).nanos(), 2);
        let most = [(u64::MAX, Rate(u64::MAX)); 2];
        assert_eq!(Rate::total(most).nanos(), i128::MAX / UNITS);
        assert_eq!(Rate::bound(most).nanos(), i128::MAX / UNITS);
    }
}
