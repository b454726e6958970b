//! Cleans a provider's words before a caller sees them: no key, no address. Rather one word too many goes
//! than one too few; names of models and fields survive.

/// Beginnings of well-known keys.
const KEY_PREFIXES: [&str; 12] = [
    "sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "hf_", "aiza", "akia", "ghp_", "tg-", "key-",
];
/// `name=value` and `name:value` whose value is a credential.
const SECRET_NAMES: [&str; 8] = [
    "key",
    "token",
    "secret",
    "password",
    "authorization",
    "signature",
    "credential",
    "sig",
];
/// Last labels of host names.
const HOST_ENDINGS: [&str; 22] = [
    "com", "net", "org", "io", "ai", "dev", "app", "cloud", "local", "internal", "lan", "corp",
    "intranet", "home", "svc", "eu", "de", "fr", "cn", "uk", "us", "co",
];
const REMOVED: &str = "[redacted]";
/// A run of letters and digits of this length is a key, whatever its prefix.
const RUN_LIMIT: usize = 32;

/// The text without credentials and hosts, without control characters, and at most `limit` bytes long.
pub(crate) fn redact(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit) + 16);
    let mut expects_secret = false;
    let mut rest = text;
    while !rest.is_empty() {
        let len = rest.find(is_separator).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(len);
        if !word.is_empty() {
            let is_secret = expects_secret && word.len() >= 4;
            match if is_secret {
                Some(REMOVED.to_owned())
            } else {
                cleaned(word)
            } {
                Some(clean) => out.push_str(&clean),
                None => out.push_str(word),
            }
            expects_secret = announces_secret(word) || (expects_secret && word.len() < 4);
        }
        let separator = tail.chars().next();
        out.extend(separator.map(|c| if c.is_control() { ' ' } else { c }));
        rest = &tail[separator.map_or(0, char::len_utf8)..];
        if out.len() > limit {
            break;
        }
    }
    cut(out.trim(), limit, !rest.is_empty())
}

fn cut(text: &str, limit: usize, has_more: bool) -> String {
    if text.len() <= limit && !has_more {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"'`()<>,;{}[]|".contains(c)
}

/// Whether the next word is a credential: `Authorization: Bearer …`, `x-api-key: …`.
fn announces_secret(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let name = word.trim_end_matches([':', '=']);
    matches!(name, "bearer" | "basic") || (name.len() < word.len() && is_secret_name(name))
}

fn is_secret_name(name: &str) -> bool {
    SECRET_NAMES.iter().any(|secret| name.ends_with(secret))
}

/// The word without what must not be shown; `None` when it may stay.
fn cleaned(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    if lower.contains("://") || lower.contains("%3a%2f%2f") {
        return Some("[url]".to_owned());
    }
    if holds_key(&lower) || has_long_run(word) || (lower.contains("bearer") && lower.len() > 10) {
        return Some(REMOVED.to_owned());
    }
    for (at, _) in lower.match_indices(['=', ':']) {
        if is_secret_name(&lower[..at]) && at + 1 < lower.len() {
            return Some(format!("{}{REMOVED}", &word[..=at]));
        }
    }
    is_host(&lower).then(|| "[host]".to_owned())
}

fn holds_key(lower: &str) -> bool {
    KEY_PREFIXES.iter().any(|prefix| {
        lower.match_indices(prefix).any(|(at, _)| {
            let starts_word = !lower[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            let rest = &lower[at + prefix.len()..];
            let len = rest
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || b"_-*.".contains(b))
                .count();
            starts_word && len >= 8
        })
    })
}

fn has_long_run(word: &str) -> bool {
    word.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        run.len() >= RUN_LIMIT
            && run.bytes().any(|b| b.is_ascii_digit())
            && run.bytes().any(|b| b.is_ascii_alphabetic())
    })
}

fn is_host(lower: &str) -> bool {
    let name = lower.split(['/', '?', '#']).next().unwrap_or_default();
    let name = name.rsplit('@').next().unwrap_or_default();
    let name = name.trim_end_matches(['.', ':', '!', '?']);
    let (name, port) = name.rsplit_once(':').unwrap_or((name, ""));
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    if name == "localhost" {
        return true;
    }
    let labels: Vec<&str> = name.split('.').collect();
    let is_address = labels.len() == 4 && labels.iter().all(|label| label.parse::<u8>().is_ok());
    let is_name = labels.len() >= 2
        && labels.iter().all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
        && labels
            .last()
            .is_some_and(|last| HOST_ENDINGS.contains(last));
    is_address || is_name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CANARIES: [&str; 10] = [
        "sk-proj-Canary0123456789abcdef",
        "sk-ant-api03-canarycanary",
        "AIzaSyCanary0123456789_abcdefghijklmnop",
        "0123456789abcdef0123456789abcdef",
        "https://user:pw@canary.internal:8443/v1?key=canary",
        "http://10.1.2.3:8080/canary",
        "canary.llm.svc.cluster.local:8000",
        "10.11.12.13:9000",
        "/v1/models?key=canary-value-1",
        "gsk_canary0123456789",
    ];

    #[test]
    fn words_of_an_error_survive() {
        for text in [
            "Unsupported parameter: 'max_tokens' is not supported with this model.",
            "The model `meta-llama/Llama-3.3-70B-Instruct-Turbo` does not exist.",
            "messages.1.content.0: text content blocks must be non-empty",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "tool_choice: type \"tool\" and \"any\" are not supported",
            "Rate limit reached for gpt-4.1 in organization org-123 on tokens per min",
            "risk-free disk-usage, task-1, e.g. a tool: none of them is a secret",
        ] {
            assert_eq!(redact(text, 2048), text);
        }
    }

    #[test]
    fn an_announced_credential_goes() {
        assert_eq!(
            redact("Authorization: Bearer canary", 2048),
            "Authorization: [redacted] [redacted]"
        );
        assert_eq!(
            redact("bearer canary1 refused", 2048),
            "bearer [redacted] refused"
        );
        assert_eq!(redact("x-api-key: canary1", 2048), "x-api-key: [redacted]");
        assert_eq!(redact("api_key=canary1&x", 2048), "api_key=[redacted]");
    }

    #[test]
    fn the_length_is_bounded_at_a_character() {
        let long = redact(&"ä ".repeat(4000), 2048);
        assert!(long.len() <= 2048 && long.ends_with('…'), "{}", long.len());
    }

    proptest! {
        #[test]
        fn no_canary_comes_through(before in "\\PC{0,40}", after in "\\PC{0,40}", which in 0..CANARIES.len()) {
            let text = format!("{before} {} {after}", CANARIES[which]);
            let clean = redact(&text, 2048).to_ascii_lowercase();
            prop_assert!(!clean.contains("canary"), "{clean}");
            prop_assert!(!clean.contains(&CANARIES[which].to_ascii_lowercase()), "{clean}");
        }

        #[test]
        fn no_control_character_comes_through(text in "(?s).{0,200}") {
            let clean = redact(&text, 64);
            prop_assert!(clean.len() <= 64);
            prop_assert!(!clean.contains(char::is_control), "{clean:?}");
        }
    }
}
