//! Names that are close to one that does not exist.

/// At most three of `names` that `written` may have been meant as, the closest first.
pub(crate) fn near<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let written = written.to_ascii_lowercase();
    let most = (written.chars().count() / 3).max(2);
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_ascii_lowercase();
            let apart = if lower.contains(&written) && written.len() > 2 {
                0
            } else {
                distance(&written, &lower)
            };
            (apart <= most).then_some((apart, name))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Names as a list for a sentence: `a, b or c`.
pub(crate) fn or(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// How many letters must be put in, taken out or exchanged (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{near, or};

    #[test]
    fn the_closest_names_are_offered_and_strange_ones_are_not() {
        let names = ["model-Q4_K_M.gguf", "model-Q8_0.gguf", "README.md"];
        assert_eq!(
            near("model-q8_O.gguf", names),
            ["model-Q8_0.gguf", "model-Q4_K_M.gguf"]
        );
        assert!(near("zzz", names).is_empty());
        assert_eq!(or(&["a", "b", "c"]), "a, b or c");
    }
}
