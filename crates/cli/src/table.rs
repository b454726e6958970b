//! Tables of text, for people. Programs take `--json`.

/// Columns under their names, two spaces between them; columns of numbers stand to the right.
pub(crate) fn table(names: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        let widths = cells.map(|cell| cell.chars().count());
        widths
            .chain(names.get(at).map(|name| name.len()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let is_number = |at: usize| {
        let mut cells = rows
            .iter()
            .filter_map(|row| row.get(at))
            .filter(|cell| !cell.is_empty())
            .peekable();
        cells.peek().is_some() && cells.all(|cell| is_figure(cell))
    };
    let numbers: Vec<bool> = (0..names.len()).map(is_number).collect();
    let line = |cells: &[String]| {
        let cells =
            cells
                .iter()
                .zip(widths.iter().zip(&numbers))
                .map(|(cell, (width, is_number))| {
                    if *is_number {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:width$}")
                    }
                });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    std::iter::once(line(&head))
        .chain(rows.iter().map(|row| line(row)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_figure(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let digits = digits.strip_prefix('$').unwrap_or(digits);
    !digits.is_empty()
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Text that somebody else chose, with nothing in it that a terminal would act on.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
            .chars()
            .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let rows = [["a", "$1.00"], ["bcd", "$10.00"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&["id", "cost"], &rows),
            "id     cost\na     $1.00\nbcd  $10.00"
        );
        assert_eq!(table(&["id", "x"], &[]), "id  x");
    }

    #[test]
    fn nothing_of_a_name_reaches_the_terminal_as_a_command() {
        assert_eq!(plain("a\u{1b}[2Jé"), "a\\u{1b}[2Jé");
    }
}
