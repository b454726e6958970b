//! A short list of good small models by name: data, checked when it is first read.
//!
//! Owns what is recommended. What a hub really has at these places is for its own listing to say: sizes are shown to
//! people before a pull, and nothing is compared with them.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::facts::{Memory, kv_bytes_per_token, memory_of};

/// A model that is worth naming.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curated {
    pub name: String,
    /// `owner/name` on the public hub.
    pub repository: String,
    pub file: String,
    pub quantization: String,
    pub size: u64,
    /// The size was published in rounded units.
    #[serde(default)]
    pub size_is_about: bool,
    /// Layers, key-value heads and the size of a head; absent for a model that makes embeddings.
    #[serde(default)]
    kv: Option<[u64; 3]>,
    pub licence: String,
    pub good_for: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(rename = "about")]
    _about: String,
    models: Vec<Curated>,
}

/// The list, in the order in which it is shown.
pub fn curated() -> &'static [Curated] {
    static LIST: LazyLock<Vec<Curated>> = LazyLock::new(|| {
        let text = include_str!("../data/curated.json");
        // A test reads the file, so the empty list never ships.
        serde_json::from_str::<List>(text).map_or_else(|_| Vec::new(), |list| list.models)
    });
    &LIST
}

impl Curated {
    /// What running it takes, by the same estimate as for a file.
    pub fn memory(&self) -> Memory {
        let kv = self.kv.map(|[layers, heads, head]| {
            kv_bytes_per_token(layers.saturating_mul(heads), head, head)
        });
        memory_of(self.size, kv)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::curated;
    use crate::{Address, Name, PUBLIC_HUB, quantization_of};

    #[test]
    fn every_entry_is_a_name_that_can_be_pulled() {
        let hub = Address::parse(PUBLIC_HUB).unwrap();
        assert!(curated().len() >= 10);
        for entry in curated() {
            assert!(
                matches!(Name::parse(&entry.name, &hub), Ok(Name::Hub { .. })),
                "{entry:?}"
            );
            assert_eq!(
                quantization_of(&entry.file).as_deref(),
                Some(entry.quantization.as_str()),
                "{entry:?}"
            );
            assert!(entry.memory().in_use(4096) >= entry.size, "{entry:?}");
            assert!(!entry.licence.is_empty() && !entry.good_for.is_empty());
        }
        let names: BTreeSet<_> = curated().iter().map(|entry| &entry.name).collect();
        assert_eq!(names.len(), curated().len(), "a name stands for one model");
    }
}
