//! What differs between two price books, for a person to read before one takes the place of the other.

use std::{collections::BTreeMap, fmt};

use super::{book::PriceBook, schedule::Price};

/// A model whose published price is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub provider: String,
    pub model: String,
    pub kind: ChangeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added(Vec<(String, String)>),
    Removed,
    /// The figures that differ: path in the file, before, after.
    Changed(Vec<(String, Option<String>, Option<String>)>),
}

/// Provider and model.
type Name<'a> = (&'a str, &'a str);
/// A price before and after.
type Pair<'a> = (Option<&'a Price>, Option<&'a Price>);

/// What differs, in the order of the names. Overrides are not compared.
pub fn diff(old: &PriceBook, new: &PriceBook) -> Vec<Change> {
    let mut pairs: BTreeMap<Name<'_>, Pair<'_>> = BTreeMap::new();
    for (provider, model, price) in old.prices() {
        pairs.entry((provider, model)).or_default().0 = Some(price);
    }
    for (provider, model, price) in new.prices() {
        pairs.entry((provider, model)).or_default().1 = Some(price);
    }
    let change = |((provider, model), pair): (Name<'_>, Pair<'_>)| {
        let kind = match pair {
            (None, Some(price)) => ChangeKind::Added(price.figures()),
            (Some(_), None) => ChangeKind::Removed,
            (Some(before), Some(after)) if before != after => {
                ChangeKind::Changed(figures(before, after))
            }
            _ => return None,
        };
        Some(Change {
            provider: provider.to_owned(),
            model: model.to_owned(),
            kind,
        })
    };
    pairs.into_iter().filter_map(change).collect()
}

fn figures(before: &Price, after: &Price) -> Vec<(String, Option<String>, Option<String>)> {
    let mut figures: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    for (path, figure) in before.figures() {
        figures.entry(path).or_default().0 = Some(figure);
    }
    for (path, figure) in after.figures() {
        figures.entry(path).or_default().1 = Some(figure);
    }
    figures
        .into_iter()
        .filter(|(_, (before, after))| before != after)
        .map(|(path, (before, after))| (path, before, after))
        .collect()
}

// === impl Change ===

impl fmt::Display for Change {
    /// `~ openai/gpt-4o: input 2.50 -> 2.00, batch.input 1.25 -> none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format_args!("{}/{}", self.provider, self.model);
        match &self.kind {
            ChangeKind::Removed => write!(f, "- {name}"),
            ChangeKind::Added(figures) => {
                let figures: Vec<_> = figures
                    .iter()
                    .map(|(path, of)| format!("{path} {of}"))
                    .collect();
                write!(f, "+ {name}: {}", figures.join(", "))
            }
            ChangeKind::Changed(figures) => {
                let shown =
                    |figure: &Option<String>| figure.clone().unwrap_or_else(|| "none".into());
                let figures: Vec<_> = figures
                    .iter()
                    .map(|(path, before, after)| {
                        format!("{path} {} -> {}", shown(before), shown(after))
                    })
                    .collect();
                write!(f, "~ {name}: {}", figures.join(", "))
            }
        }
    }
}
