//! What is known of each model, and the rule that finds it.
//!
//! `data/models.json` is generated (`data/generate_models.py`) and holds per provider groups of names that
//! share their facts. An absent column means unknown.

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_dialect::ModelTraits;

#[derive(Debug)]
pub(crate) struct Models {
    /// Provider, then model, then the place in `traits`.
    by_provider: BTreeMap<String, BTreeMap<String, usize>>,
    traits: Vec<ModelTraits>,
    unknown: ModelTraits,
}

/// The facts that ship with the binary.
pub(crate) fn builtin() -> Models {
    parse(include_str!("../data/models.json"))
        .expect("the embedded facts parse, which a test holds")
}

pub(crate) fn parse(text: &str) -> serde_json::Result<Models> {
    let file: BTreeMap<String, Vec<Group>> = serde_json::from_str(text)?;
    let mut models = Models {
        by_provider: BTreeMap::new(),
        traits: Vec::new(),
        unknown: ModelTraits::default(),
    };
    for (provider, groups) in file {
        let names = models.by_provider.entry(provider).or_default();
        for group in groups {
            let place = models.traits.len();
            models.traits.push(group.traits);
            names.extend(group.models.into_iter().map(|name| (name, place)));
        }
    }
    Ok(models)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    models: Vec<String>,
    traits: ModelTraits,
}

// === impl Models ===

impl Models {
    pub(crate) fn traits(&self, provider: &str, model: &str) -> &ModelTraits {
        let Some(names) = self.by_provider.get(provider) else {
            return &self.unknown;
        };
        names
            .get(model)
            .or_else(|| names.get(without_date(model)?))
            .and_then(|&place| self.traits.get(place))
            .unwrap_or(&self.unknown)
    }

    pub(crate) fn names(&self, provider: &str) -> impl Iterator<Item = &str> {
        self.by_provider
            .get(provider)
            .into_iter()
            .flat_map(|names| names.keys().map(String::as_str))
    }
}

/// `claude-opus-4-5-20251101` and `gpt-4o-2024-08-06` without the date of the snapshot.
pub(crate) fn without_date(model: &str) -> Option<&str> {
    ["-dddddddd", "-dddd-dd-dd"].iter().find_map(|pattern| {
        let (name, tail) = model.split_at_checked(model.len().checked_sub(pattern.len())?)?;
        let dated = tail
            .bytes()
            .zip(pattern.bytes())
            .all(|(byte, wanted)| match wanted {
                b'd' => byte.is_ascii_digit(),
                literal => byte == literal,
            });
        (dated && !name.is_empty()).then_some(name)
    })
}

/// A model's name at its vendor, of the name that a cloud gives it: `us.anthropic.claude-opus-4-5-20251101-v1:0`
/// and `claude-opus-4-5@20251101` are `claude-opus-4-5-20251101` and `claude-opus-4-5`.
pub(crate) fn without_cloud(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let name = match name.rsplit_once("-v") {
        Some((name, version))
            if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b':') =>
        {
            name
        }
        _ => name,
    };
    name.split_once("anthropic.").map_or(name, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clouds_name_leads_to_the_vendors() {
        for (cloud, vendor) in [
            (
                "us.anthropic.claude-opus-4-5-20251101-v1:0",
                "claude-opus-4-5-20251101",
            ),
            ("anthropic.claude-opus-5-5-v1", "claude-opus-5-5"),
            ("claude-opus-4-5@20251101", "claude-opus-4-5"),
            ("gemini-3.1-pro", "gemini-3.1-pro"),
            ("gpt-5-v", "gpt-5-v"),
        ] {
            assert_eq!(without_cloud(cloud), vendor);
        }
    }

    #[test]
    fn only_a_whole_date_is_dropped() {
        assert_eq!(without_date("gpt-4o-2024-08-06"), Some("gpt-4o"));
        assert_eq!(
            without_date("claude-opus-4-5-20251101"),
            Some("claude-opus-4-5")
        );
        for kept in ["gpt-4-0613", "gpt-4o", "-20251101", "", "modèle-2025110é"] {
            assert_eq!(without_date(kept), None, "{kept}");
        }
    }
}
