//! The reference calculator: what a bill costs, worked out apart from the product, in whole nano-dollars.

use tollgate_testkit::BilledUsage;

/// Nano-dollars for a million tokens of each bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) input: i128,
    pub(crate) cache_read: i128,
    pub(crate) cache_write: i128,
    pub(crate) cache_write_1h: i128,
    pub(crate) output: i128,
    pub(crate) reasoning: i128,
}

/// Rates of the trials' provider: each differs from the others, so that a swapped bucket changes the cost.
pub(crate) const DISTINCT: Rates = Rates {
    input: 2_500_000_000,
    cache_read: 312_500_000,
    cache_write: 3_125_000_000,
    cache_write_1h: 5_000_000_000,
    output: 10_000_000_000,
    reasoning: 11_000_000_000,
};

/// Next to nothing but output costs: with 1,000 tokens at most, a call holds one cent, and a nano-dollar for its
/// input. A price of zero cannot be written.
pub(crate) const OUTPUT_ONLY: Rates = Rates {
    input: 1,
    cache_read: 1,
    cache_write: 1,
    cache_write_1h: 1,
    output: 10_000_000_000,
    reasoning: 10_000_000_000,
};

pub(crate) const DOLLAR: i128 = 1_000_000_000;
pub(crate) const CENT: i128 = DOLLAR / 100;

impl Rates {
    /// Rounded once, to the nearest nano-dollar, a half up.
    pub(crate) fn cost(&self, bill: &BilledUsage) -> i128 {
        let parts = [
            (bill.input, self.input),
            (bill.cache_read, self.cache_read),
            (bill.cache_write_5m, self.cache_write),
            (bill.cache_write_1h, self.cache_write_1h),
            (bill.output, self.output),
            (bill.reasoning, self.reasoning),
        ];
        let exact: i128 = parts
            .iter()
            .map(|(tokens, rate)| i128::from(*tokens) * rate)
            .sum();
        (2 * exact + 1_000_000).div_euclid(2_000_000)
    }

    /// The table of the settings file for everything that `provider` serves.
    pub(crate) fn table(&self, provider: &str) -> String {
        let lines = [
            ("input", self.input),
            ("cache_read", self.cache_read),
            ("cache_write", self.cache_write),
            ("cache_write_1h", self.cache_write_1h),
            ("output", self.output),
            ("reasoning", self.reasoning),
        ]
        .map(|(name, rate)| format!("{name} = {}\n", dollars(rate)));
        format!("[prices.\"{provider}/*\"]\n{}", lines.concat())
    }
}

/// Plain decimal notation with nine decimals.
pub(crate) fn dollars(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    format!(
        "{sign}{}.{:09}",
        nanos / 1_000_000_000,
        nanos % 1_000_000_000
    )
}

/// Nano-dollars of a decimal number with at most nine decimals.
pub(crate) fn nanos(text: &str) -> Option<i128> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(sign * (whole.checked_mul(DOLLAR)? + fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_rounded_once_and_every_bucket_has_its_own_rate() {
        let bill = BilledUsage {
            input: 20,
            cache_read: 1000,
            cache_write_5m: 200,
            cache_write_1h: 30,
            output: 40,
            reasoning: 3,
        };
        // 50,000 + 312,500 + 625,000 + 150,000 + 400,000 + 33,000 nano-dollars.
        assert_eq!(DISTINCT.cost(&bill), 1_570_500);
        let half = Rates {
            input: 500_000,
            ..OUTPUT_ONLY
        };
        let one = BilledUsage {
            input: 1,
            ..BilledUsage::default()
        };
        assert_eq!(half.cost(&one), 1);
        assert_eq!(half.cost(&BilledUsage { input: 3, ..one }), 2);
    }

    #[test]
    fn dollars_are_read_as_they_are_written() {
        for amount in [0, 1, CENT, DOLLAR, 123_456_789_012, -5] {
            assert_eq!(nanos(&dollars(amount)), Some(amount));
        }
        assert_eq!(nanos("0.30"), Some(300_000_000));
        for bad in ["", "1e3", "0.0000000001", "$1", ".5"] {
            assert_eq!(nanos(bad), None, "{bad}");
        }
    }
}
