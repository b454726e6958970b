//! What a trial says: a table of figures, the violations, and whether it passed.

use std::fmt::Write as _;

/// How many violations are printed in full.
const SHOWN: usize = 20;

/// The result of one trial.
#[derive(Debug, Default)]
pub(crate) struct Report {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    figures: Vec<(String, String)>,
    violations: Vec<String>,
}

impl Report {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    pub(crate) fn columns(&mut self, columns: &[&'static str]) {
        self.columns = columns.to_vec();
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: &impl ToString) {
        self.figures.push((name.into(), value.to_string()));
    }

    pub(crate) fn violation(&mut self, text: impl Into<String>) {
        self.violations.push(text.into());
    }

    pub(crate) fn violations(&mut self, texts: impl IntoIterator<Item = impl ToString>) {
        self.violations
            .extend(texts.into_iter().map(|text| text.to_string()));
    }

    /// A violation unless it holds.
    pub(crate) fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(otherwise());
        }
    }

    pub(crate) fn passed(&self) -> bool {
        self.violations.is_empty()
    }

    /// The violations alone, for the report of something larger.
    pub(crate) fn into_violations(self) -> Vec<String> {
        self.violations
    }

    pub(crate) fn text(&self) -> String {
        let mut out = format!("{}\n", self.title);
        let mut table = Vec::new();
        if !self.columns.is_empty() {
            table.push(self.columns.iter().map(ToString::to_string).collect());
        }
        table.extend(self.rows.iter().cloned());
        lines(&table, &mut out);
        let figures: Vec<Vec<String>> = self
            .figures
            .iter()
            .map(|(name, value)| vec![name.clone(), value.clone()])
            .collect();
        lines(&figures, &mut out);
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(out, "  VIOLATION {violation}").unwrap_or_default();
        }
        if let Some(more @ 1..) = self.violations.len().checked_sub(SHOWN) {
            writeln!(out, "  … and {more} more").unwrap_or_default();
        }
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        writeln!(out, "  {verdict}, {} violations", self.violations.len()).unwrap_or_default();
        out
    }
}

/// Cells under each other, each column as wide as its widest cell.
fn lines(table: &[Vec<String>], out: &mut String) {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        table
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "  {}", cells.join("  ").trim_end()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fails_by_one_violation_and_counts_what_it_does_not_show() {
        let mut report = Report::new("trial");
        report.columns(&["point", "kills"]);
        report.row(vec!["after-accept".to_owned(), "5".to_owned()]);
        report.expect(true, || "never".to_owned());
        assert!(report.passed() && report.text().contains("passed, 0 violations"));
        report.violations((0..25).map(|number| format!("v{number}")));
        assert!(!report.passed());
        let text = report.text();
        assert!(text.contains("FAILED, 25 violations") && text.contains("… and 5 more"));
        assert!(text.contains("  after-accept  5\n"));
    }
}
