//! What a key may be used for: models, operations and source addresses. An empty list restricts nothing.
//!
//! How much a key may use is no business of scopes; limits and budgets (`rules`) say that.

use std::{fmt, net::IpAddr};

/// What a key may be used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyScopes {
    /// Names that callers may ask for.
    pub models: Vec<Pattern>,
    /// What may be done: one of [`OPERATIONS`], or a beginning of some.
    pub operations: Vec<Pattern>,
    /// Where calls may come from.
    pub sources: Vec<Network>,
    /// A call that would lose something in translation is refused.
    pub strict: bool,
    /// The most output tokens of one call.
    pub max_output_tokens: Option<u64>,
}

/// A name, or the beginning of names: `gpt-4o`, `openai/*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The words for what a call does. Those beside conversations and embeddings are the catalogue's operations.
pub const OPERATIONS: [&str; 15] = [
    "generation",
    "embeddings",
    "count_tokens",
    "models",
    "image_generation",
    "image_edit",
    "image_variation",
    "transcription",
    "translation",
    "speech",
    "moderation",
    "rerank",
    "files",
    "fine_tuning",
    "delete_model",
];

// === impl Pattern ===

impl Pattern {
    /// Reads an exact name, or a beginning that ends in `*`. `None` when a `*` stands elsewhere, or for nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('*').unwrap_or(text);
        (!text.is_empty() && !name.contains('*')).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }
}

// === impl Network ===

impl Network {
    /// Reads an address, or an address and the length of its prefix. `None` for anything else, and when the
    /// address has bits beyond its prefix: `10.1.2.3/8` is more often a mistake than meant.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            Some(_) => return None,
            None => width,
        };
        let network = Self { address, prefix };
        (prefix <= width && network.bits(address) == bits(address)).then_some(network)
    }

    /// Whether it covers an address. An IPv4 address written as IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.bits(address) == bits(self.address)
    }

    /// The address's bits within the prefix.
    fn bits(&self, address: IpAddr) -> u128 {
        let width = if address.is_ipv4() { 32 } else { 128_u32 };
        let outside = width.saturating_sub(u32::from(self.prefix));
        let kept = u128::MAX.checked_shl(outside).unwrap_or(0);
        bits(address) & kept
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u128::from(four.to_bits()),
        IpAddr::V6(six) => six.to_bits(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_a_beginning() {
        for (pattern, name, matches) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("openai/*", "openai/gpt-4o", true),
            ("openai/*", "openai", false),
            ("*", "anything", true),
        ] {
            let read = Pattern::parse(pattern).unwrap();
            assert_eq!(read.matches(name), matches, "{pattern} {name}");
        }
        for bad in ["", "*x", "a*b", "a**"] {
            assert_eq!(Pattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_network_covers_its_own_addresses_alone() {
        for (network, address, covers) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
        ] {
            let read = Network::parse(network).unwrap();
            assert_eq!(
                read.contains(address.parse().unwrap()),
                covers,
                "{network} {address}"
            );
            assert_eq!(Network::parse(&read.to_string()), Some(read));
        }
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.1.2.3/8",
            "10.0.0/8",
            "::/129",
            "host",
            "10.0.0.0/8/8",
            "10.0.0.0 /8",
            "010.0.0.0/8",
        ] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
