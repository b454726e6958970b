//! The distribution as bars of text: for each token one under the model, and one as it is drawn.

use super::{Shown, visible};
use crate::table::plain;

/// Cells of the longest bar.
const WIDTH: f64 = 48.0;
/// Parts of a cell, an eighth each.
const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

pub(super) fn draw(shown: &Shown<'_>) -> String {
    let rows = &shown.table.rows;
    let most = rows
        .iter()
        .map(|row| row.before.max(shown.drawn(row)))
        .fold(f64::MIN_POSITIVE, f64::max);
    let texts: Vec<String> = rows.iter().map(|row| plain(&visible(&row.text))).collect();
    let widest = texts.iter().map(|text| text.chars().count()).max();
    let mut lines =
        vec!["Each token twice: as the model has it ░, and as it is drawn █".to_owned()];
    for (row, text) in rows.iter().zip(&texts) {
        let width = widest.unwrap_or(0);
        let model = "░".repeat(bar(row.before / most).trim_end().chars().count());
        lines.push(format!("{text:>width$} │{model}"));
        lines.push(format!("{:width$} │{}", "", bar(shown.drawn(row) / most)));
    }
    let trimmed: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    trimmed.join("\n")
}

/// A bar whose length is this share of the longest, to an eighth of a cell. What is above nothing is seen.
fn bar(share: f64) -> String {
    let eighths = (0..=384).take_while(|n| f64::from(*n) <= share * WIDTH * 8.0);
    let n = eighths.count().saturating_sub(1);
    let n = if share > 0.0 { n.max(1) } else { 0 };
    let part = PARTS.get(n % 8).filter(|part| **part != ' ');
    let mut bar = "█".repeat(n / 8);
    bar.extend(part);
    bar
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_is_as_long_as_its_share_and_never_hidden() {
        assert_eq!(bar(1.0), "█".repeat(48));
        assert_eq!(bar(0.5), "█".repeat(24));
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(1e-9), "▏");
        assert_eq!(bar(1.5 / 48.0), "█▌");
    }
}
