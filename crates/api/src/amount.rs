//! Amounts of money on the wire: JSON numbers, exact. They are read from their text and written as text, and
//! never become a floating-point number on the way.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;
use tollgate_base::Money;

/// Dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub Money);

/// Reads the text of a JSON number as dollars. An exponent, a tenth decimal, a sign or quotes are refused.
pub(crate) fn amount_of(text: &str) -> Option<Money> {
    // `Money` also takes a dollar sign, which no JSON number has.
    text.starts_with(|first: char| first.is_ascii_digit())
        .then(|| Money::parse(text))
        .flatten()
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = RawValue::from_string(self.0.to_decimal()).map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        amount_of(text.get())
            .map(Self)
            .ok_or_else(|| D::Error::custom("it is no amount of dollars"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_and_written_to_the_last_nano_dollar() {
        for (text, written) in [
            ("0", "0.00"),
            ("12.5", "12.50"),
            ("0.000000001", "0.000000001"),
            ("999999999999.999999999", "999999999999.999999999"),
        ] {
            let amount: Amount = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&amount).unwrap(), written);
        }
        let debt = Amount(Money::from_nanos(-1));
        assert_eq!(serde_json::to_string(&debt).unwrap(), "-0.000000001");
    }

    #[test]
    fn p02_what_is_no_exact_amount_is_refused() {
        for text in [
            "-1",
            "\"10\"",
            "1e30",
            "1E2",
            "0.0000000001",
            "null",
            "true",
            "{}",
        ] {
            assert!(serde_json::from_str::<Amount>(text).is_err(), "{text}");
        }
    }
}
