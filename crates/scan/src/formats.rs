//! What keys look like, as rows. The own tokens have a checksum and are matched exactly; of the providers' keys
//! only the public form is known, and placeholders of that form are told apart by their few different letters.

use tollgate_policy::key::Token;

/// The form of a key: a prefix, and how the rest is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub kind: &'static str,
    pub prefix: &'static str,
    letters: Letters,
    /// How long the part after the prefix is, at least and at most.
    length: (usize, usize),
    /// A word that the line must hold, in small letters, for a form that is not a vendor's alone.
    near: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letters {
    /// `0-9A-Za-z`
    Alphanumeric,
    /// `0-9A-Za-z_-`
    UrlSafe,
    /// `0-9A-Z`
    Upper,
    /// `0-9a-f`
    Hex,
}

/// A key in a line.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) at: usize,
    pub(crate) format: &'static Format,
    text: &'a str,
}

const ANY: usize = 512;

/// More special prefixes stand before those that they begin with.
pub const FORMATS: [Format; 21] = [
    row("tollgate-admin", "sk-tga-", Letters::Alphanumeric, (36, 36)),
    row("tollgate", "sk-tg-", Letters::Alphanumeric, (36, 36)),
    row("anthropic", "sk-ant-", Letters::UrlSafe, (32, ANY)),
    row("openrouter", "sk-or-", Letters::UrlSafe, (32, ANY)),
    row("openai-project", "sk-proj-", Letters::UrlSafe, (32, ANY)),
    row("openai-service", "sk-svcacct-", Letters::UrlSafe, (32, ANY)),
    row("openai-admin", "sk-admin-", Letters::UrlSafe, (32, ANY)),
    row("deepseek", "sk-", Letters::Hex, (32, 32)),
    row("openai", "sk-", Letters::Alphanumeric, (40, ANY)),
    row("google", "AIza", Letters::UrlSafe, (35, 35)),
    row("groq", "gsk_", Letters::Alphanumeric, (40, ANY)),
    row("xai", "xai-", Letters::Alphanumeric, (64, ANY)),
    row("hugging-face", "hf_", Letters::Alphanumeric, (30, ANY)),
    row("aws", "AKIA", Letters::Upper, (16, 16)),
    row("aws-session", "ASIA", Letters::Upper, (16, 16)),
    row("replicate", "r8_", Letters::Alphanumeric, (30, ANY)),
    row("perplexity", "pplx-", Letters::Alphanumeric, (40, ANY)),
    row("fireworks", "fw_", Letters::Alphanumeric, (20, ANY)),
    row("cerebras", "csk-", Letters::Alphanumeric, (40, ANY)),
    row("nvidia", "nvapi-", Letters::UrlSafe, (40, ANY)),
    // A plain word: a key only where the line speaks of the vendor.
    Format {
        near: "mistral",
        ..row("mistral", "", Letters::Alphanumeric, (32, 32))
    },
];

const fn row(
    kind: &'static str,
    prefix: &'static str,
    letters: Letters,
    length: (usize, usize),
) -> Format {
    Format {
        kind,
        prefix,
        letters,
        length,
        near: "",
    }
}

/// The keys of a line, from left to right, none within another.
pub(crate) fn find(line: &str) -> Vec<Found<'_>> {
    let mut found: Vec<Found<'_>> = Vec::new();
    for format in &FORMATS {
        if !format.near.is_empty() && !line.to_ascii_lowercase().contains(format.near) {
            continue;
        }
        for at in format.beginnings(line) {
            let overlaps = found
                .iter()
                .any(|known| at < known.at + known.text.len() && known.at <= at);
            if overlaps {
                continue;
            }
            if let Some(text) = format.key_at(line, at) {
                found.push(Found { at, format, text });
            }
        }
    }
    found.sort_by_key(|one| one.at);
    found
}

impl Format {
    /// Where the prefix stands, and not within a word.
    fn beginnings(&self, line: &str) -> Vec<usize> {
        let starts: Vec<usize> = if self.prefix.is_empty() {
            (0..line.len()).collect()
        } else {
            line.match_indices(self.prefix).map(|(at, _)| at).collect()
        };
        let before = |at: usize| at.checked_sub(1).map(|at| line.as_bytes()[at]);
        starts
            .into_iter()
            .filter(|&at| line.is_char_boundary(at) && before(at).is_none_or(|byte| !is_word(byte)))
            .collect()
    }

    /// The key that begins here.
    fn key_at<'a>(&self, line: &'a str, at: usize) -> Option<&'a str> {
        let rest = &line[at + self.prefix.len()..];
        let length = rest
            .bytes()
            .take_while(|&byte| self.letters.hold(byte))
            .count();
        let follower = rest.as_bytes().get(length);
        let (least, most) = self.length;
        if !(least..=most).contains(&length) || follower.is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        let text = &line[at..at + self.prefix.len() + length];
        let is_key = match self.kind {
            "tollgate" | "tollgate-admin" => Token::parse(text).is_some(),
            _ => is_random(&rest[..length]),
        };
        is_key.then_some(text)
    }
}

impl Letters {
    fn hold(self, byte: u8) -> bool {
        match self {
            Letters::Alphanumeric => byte.is_ascii_alphanumeric(),
            Letters::UrlSafe => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Letters::Upper => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            Letters::Hex => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        }
    }
}

impl Found<'_> {
    /// The prefix and the length.
    pub(crate) fn masked(&self) -> String {
        let prefix = self.format.prefix;
        format!("{prefix}… ({} characters)", self.text.len())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Whether letters look drawn at random: many different ones, and digits among them. `xxxxxxxx` and
/// `your-key-goes-here` do not.
fn is_random(letters: &str) -> bool {
    let mut different = letters.as_bytes().to_vec();
    different.sort_unstable();
    different.dedup();
    let least = (letters.len() / 3).clamp(6, 12);
    different.len() >= least && letters.bytes().any(|byte| byte.is_ascii_digit())
}
