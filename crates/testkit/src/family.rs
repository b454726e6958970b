//! Rules that hold for a family of models: told by a vendor-like name, alone (`gpt-5.6-terra`) or as a label
//! behind a script's name (`tool:gpt-5.6`, `tool:gemini-3`). A name without one has no such rules.

/// The part of a model's name that names a family.
fn label<'a>(model: &'a str, prefix: &str) -> Option<&'a str> {
    model.split(':').find_map(|part| part.strip_prefix(prefix))
}

/// The version behind a family's name as two numbers.
fn version(rest: &str) -> (u32, u32) {
    let number = rest.split('-').next().unwrap_or_default();
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

/// What an OpenAI model does with an absent `reasoning_effort`, and whether chat takes function tools then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChatTools {
    Free,
    /// Refused with an explicit effort other than `none`.
    UnlessEffort,
    /// Refused unless the effort is `none`.
    OnlyWithoutReasoning,
    /// Refused always: the model does not take `none`.
    Never,
}

pub(crate) fn chat_tools(model: &str) -> ChatTools {
    let Some(rest) = label(model, "gpt-") else {
        return ChatTools::Free;
    };
    match version(rest) {
        (5, 4) => ChatTools::UnlessEffort,
        (6, 0) if rest.contains("astra") => ChatTools::Never,
        (6, 1) if rest.contains("sol") => ChatTools::Never,
        (5, 5..) | (6.., _) => ChatTools::OnlyWithoutReasoning,
        _ => ChatTools::Free,
    }
}

/// `Some` for names of the Gemini family, with its version.
fn gemini(model: &str) -> Option<(u32, u32)> {
    label(model, "gemini-").map(version)
}

/// Gemini 3: calls carry ids and signatures, and a step without its signature is refused.
pub(crate) fn signs_calls(model: &str) -> bool {
    model.split(':').next() == Some("thinking-tool")
        || gemini(model).is_some_and(|(major, _)| major >= 3)
}

/// The conversation must end with a user turn.
pub(crate) fn ends_with_user(model: &str) -> bool {
    model.split(':').any(|part| part == "user-last")
        || gemini(model).is_some_and(|version| version >= (3, 5))
}

/// The thinking levels of the model; empty where only budgets exist, `None` where nothing is known.
pub(crate) fn thinking_levels(model: &str) -> Option<&'static [&'static str]> {
    let version = gemini(model)?;
    Some(match version {
        (..=2, _) => &[],
        (3, 7 | 8) => &["MEDIUM", "LOW", "HIGH"],
        (3, 1) if !model.contains("lite") => &["MEDIUM", "LOW", "HIGH"],
        _ => &["MEDIUM", "LOW", "HIGH", "MINIMAL"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_found_alone_and_as_labels() {
        assert_eq!(chat_tools("gpt-5.6-terra"), ChatTools::OnlyWithoutReasoning);
        assert_eq!(chat_tools("tool:gpt-6-astra"), ChatTools::Never);
        assert_eq!(
            chat_tools("tool:gpt-6-sol"),
            ChatTools::OnlyWithoutReasoning
        );
        assert_eq!(chat_tools("gpt-5.4"), ChatTools::UnlessEffort);
        assert_eq!(chat_tools("gpt-4o"), ChatTools::Free);
        assert_eq!(chat_tools("tool"), ChatTools::Free);
        assert!(signs_calls("tool:gemini-3.1-pro") && !signs_calls("tool:gemini-2.5-flash"));
        assert!(ends_with_user("gemini-3.6-flash") && !ends_with_user("gemini-3-pro"));
        assert_eq!(thinking_levels("tool:gemini-2.5-pro"), Some(&[][..]));
        assert_eq!(thinking_levels("text"), None);
    }
}
