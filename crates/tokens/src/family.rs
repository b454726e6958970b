//! Which model is counted how: a table of names, read from the most certain to the least.
//!
//! OpenAI's names follow tiktoken's own table (`tiktoken/model.py`): exact names first, then prefixes. No other vendor's tokenizer is
//! embedded; their rows say by how much their counts differ from o200k_base. What the allowances rest on stands in
//! `docs/tokens.md`.

use crate::Encoding;

/// How the tokens of a model's texts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With the model's own published encoding.
    Exact(Encoding),
    /// With another encoding, times a factor of the family.
    Approximate {
        encoding: Encoding,
        /// By how many percent the true count of ordinary text may exceed the estimate. An allowance, not a proof: only the
        /// byte length bounds every text.
        percent: u8,
    },
}

/// What is known of a family of models that share a tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) method: Method,
    /// Thousandths: the estimate per thousand tokens of the encoding.
    pub(crate) permille: u16,
}

/// Names that the published table lists whole.
const EXACT: &[(&str, Encoding)] = &[
    ("o1", Encoding::O200k),
    ("o3", Encoding::O200k),
    ("o4-mini", Encoding::O200k),
    ("gpt-5", Encoding::O200k),
    ("gpt-4.1", Encoding::O200k),
    ("gpt-4o", Encoding::O200k),
    ("gpt-4", Encoding::Cl100k),
    ("gpt-3.5-turbo", Encoding::Cl100k),
    ("gpt-3.5", Encoding::Cl100k),
    ("gpt-35-turbo", Encoding::Cl100k),
    ("davinci-002", Encoding::Cl100k),
    ("babbage-002", Encoding::Cl100k),
    ("text-embedding-ada-002", Encoding::Cl100k),
    ("text-embedding-3-small", Encoding::Cl100k),
    ("text-embedding-3-large", Encoding::Cl100k),
];

/// Beginnings of names, the longer before the shorter that they contain.
const PREFIXES: &[(&str, Encoding)] = &[
    ("o1-", Encoding::O200k),
    ("o3-", Encoding::O200k),
    ("o4-mini-", Encoding::O200k),
    ("gpt-5", Encoding::O200k),
    ("gpt-4.5-", Encoding::O200k),
    ("gpt-4.1-", Encoding::O200k),
    ("chatgpt-4o-", Encoding::O200k),
    ("gpt-4o-", Encoding::O200k),
    ("gpt-4-", Encoding::Cl100k),
    ("gpt-3.5-", Encoding::Cl100k),
    ("gpt-35-turbo-", Encoding::Cl100k),
];

/// Open-weight models that keep their name and tokenizer wherever they run.
const OPEN: &[&str] = &["gpt-oss-", "gpt-oss:"];

/// Providers whose model names the operator chooses: a name proves nothing there but for open-weight models.
const SELF_HOSTED: &[&str] = &[
    "llamacpp",
    "lmstudio",
    "localai",
    "ollama",
    "sglang",
    "tgi",
    "vllm",
    "huggingface",
];

/// Families without a published vocabulary here: a part of the name, the factor, the allowance. The first that is found counts.
const NAMED: &[(&str, u16, u8)] = &[
    // Unlisted by tiktoken 0.14.0; assumed to follow GPT-5.
    ("gpt-6", 1000, 30),
    ("gpt-", 1000, 30),
    ("codex", 1000, 30),
    ("computer-use", 1000, 30),
    ("gemini", 1100, 80),
    ("gemma", 1100, 80),
    ("llama", 1050, 65),
    ("mixtral", 1300, 120),
    ("mistral", 1060, 105),
    ("ministral", 1060, 105),
    ("magistral", 1060, 105),
    ("codestral", 1060, 105),
    ("devstral", 1060, 105),
    ("pixtral", 1060, 105),
    ("qwen", 1100, 190),
    ("qwq", 1100, 190),
    ("deepseek", 1060, 65),
    ("kimi", 1050, 65),
    ("glm", 1050, 220),
    ("minimax", 1030, 120),
    ("grok", 1100, 80),
    ("command", 1130, 120),
];

/// Anthropic's tokenizer up to Opus 4.6, and the one since Opus 4.7, which makes about 30 % more of the same text.
const CLAUDE_OLD: (u16, u8) = (1200, 100);
const CLAUDE_NEW: (u16, u8) = (1560, 100);

/// Where nothing is known.
const UNKNOWN: (u16, u8) = (1150, 200);

/// The family of `model` as served by a provider of the kind `provider_kind`, a row of the provider table.
pub(crate) fn family(provider_kind: &str, model: &str) -> Family {
    let lower = model.to_ascii_lowercase();
    let bare = bare_name(&lower);
    if let Some(encoding) = published(provider_kind, bare) {
        return Family {
            method: Method::Exact(encoding),
            permille: 1000,
        };
    }
    let (permille, percent) = if bare.contains("claude") {
        if is_new_claude(bare) {
            CLAUDE_NEW
        } else {
            CLAUDE_OLD
        }
    } else {
        let named = NAMED.iter().find(|(part, ..)| bare.contains(part));
        named.map_or_else(
            || provider_default(provider_kind),
            |(_, permille, percent)| (*permille, *percent),
        )
    };
    Family {
        method: Method::Approximate {
            encoding: Encoding::O200k,
            percent,
        },
        permille,
    }
}

/// The name without the vendor before it and without the mark of a fine-tuned model.
pub(crate) fn bare_name(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.strip_prefix("ft:").unwrap_or(name)
}

fn published(provider_kind: &str, bare: &str) -> Option<Encoding> {
    if OPEN.iter().any(|open| bare.starts_with(open)) {
        return Some(Encoding::O200k);
    }
    if SELF_HOSTED.contains(&provider_kind) {
        return None;
    }
    // A fine-tuned model is called base:organisation:name:id.
    let base = bare.split(':').next().unwrap_or(bare);
    EXACT
        .iter()
        .find(|(name, _)| *name == base)
        .or_else(|| PREFIXES.iter().find(|(prefix, _)| base.starts_with(prefix)))
        .map(|(_, encoding)| *encoding)
}

fn provider_default(provider_kind: &str) -> (u16, u8) {
    match provider_kind {
        "anthropic" | "vertex-anthropic" | "anthropic-compatible" => CLAUDE_NEW,
        "openai" | "azure" => (1000, 30),
        _ => UNKNOWN,
    }
}

/// Whether a Claude of this name has the tokenizer since Opus 4.7. A name that says no version is taken for a new one: its
/// estimate is the higher.
fn is_new_claude(bare: &str) -> bool {
    let Some((major, minor)) = claude_version(bare) else {
        return true;
    };
    match major {
        0..=3 => false,
        4 => minor >= 7 && bare.contains("opus"),
        _ => true,
    }
}

/// The version in `claude-opus-4-7-20260101`, `claude-3-5-haiku-latest` or `claude-opus-4.7`: the first number and the one
/// behind it, if it is no date.
pub(crate) fn claude_version(bare: &str) -> Option<(u32, u32)> {
    let claude = bare.find("claude").and_then(|at| bare.get(at..))?;
    let mut numbers = claude
        .split(['-', '.', '@', ':', '_'])
        .skip_while(|part| !is_number(part));
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next().filter(|part| is_number(part));
    Some((major, minor.and_then(|part| part.parse().ok()).unwrap_or(0)))
}

/// One or two digits: a longer number is a date.
fn is_number(part: &str) -> bool {
    (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_names_give_the_encoding_that_tiktoken_lists() {
        for (model, encoding) in [
            ("gpt-4o", Encoding::O200k),
            ("gpt-4o-mini-2024-07-18", Encoding::O200k),
            ("openai/gpt-5.2-codex", Encoding::O200k),
            ("ft:gpt-4.1-mini:acme::abc", Encoding::O200k),
            ("o3", Encoding::O200k),
            ("gpt-oss-120b", Encoding::O200k),
            ("gpt-4", Encoding::Cl100k),
            ("gpt-4-0613", Encoding::Cl100k),
            ("gpt-35-turbo", Encoding::Cl100k),
            ("text-embedding-3-large", Encoding::Cl100k),
        ] {
            let found = family("openai", model);
            assert_eq!(found.method, Method::Exact(encoding), "{model}");
            assert_eq!(found.permille, 1000);
        }
    }

    #[test]
    fn a_name_that_is_not_listed_is_never_called_exact() {
        for model in [
            "gpt-6",
            "gpt-6-mini",
            "claude-opus-5",
            "gemini-3-pro",
            "o9",
            "",
            "my-model",
        ] {
            assert!(
                matches!(family("openai", model).method, Method::Approximate { .. }),
                "{model}"
            );
        }
    }

    #[test]
    fn a_self_hosted_server_may_call_anything_gpt() {
        assert!(matches!(
            family("vllm", "gpt-4").method,
            Method::Approximate { .. }
        ));
        assert_eq!(
            family("ollama", "gpt-oss:20b").method,
            Method::Exact(Encoding::O200k)
        );
    }

    #[test]
    fn claude_since_opus_4_7_counts_thirty_percent_more() {
        for (model, permille) in [
            ("claude-3-5-haiku-latest", 1200),
            ("claude-sonnet-4-5-20250929", 1200),
            ("claude-opus-4-20250514", 1200),
            ("claude-opus-4-6", 1200),
            ("anthropic.claude-opus-4-7-v1:0", 1560),
            ("claude-opus-4.8", 1560),
            ("claude-sonnet-5", 1560),
            ("claude-mythos", 1560),
        ] {
            assert_eq!(family("anthropic", model).permille, permille, "{model}");
        }
    }
}
