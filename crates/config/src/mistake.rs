//! A mistake in what was written: where, what, and what to do about it.
//!
//! Everything that the checker finds becomes a value here and is printed by one `Display`. The offending
//! line is shown with it, but a value only where its setting is known to hold no secret.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub severity: Severity,
    /// Where it stands, when it stands somewhere.
    pub place: Place,
    /// The setting: `providers.groq.base_url`. Empty when it is about the whole source.
    pub path: String,
    pub message: String,
    /// The next step. Empty when the message says all.
    pub hint: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Tollgate does not start.
    Error,
    /// It starts, and says so.
    Warning,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    File {
        file: PathBuf,
        /// From 1; 0 when it is about the file as a whole.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// The line, with what may be secret left out.
        excerpt: String,
    },
    /// An environment variable.
    Environment(String),
    /// An option of the command line.
    CommandLine(&'static str),
    /// Nothing that was written.
    Nowhere,
}

/// A file's text, for turning offsets into places.
#[derive(Debug)]
pub(crate) struct SourceText<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
}

/// What may be shown of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Whole,
    /// The key, and `…` for what follows it.
    KeyOnly,
}

// === impl Mistake ===

impl Mistake {
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { file, line: 0, .. } => write!(f, "{}: ", file.display())?,
            Place::File {
                file, line, column, ..
            } => {
                write!(f, "{}:{line}:{column}: ", file.display())?;
            }
            Place::Environment(name) => write!(f, "${name}: ")?,
            Place::CommandLine(option) => write!(f, "{option}: ")?,
            Place::Nowhere => {}
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, ": {}", self.hint)?;
        }
        if let Place::File {
            line,
            column,
            excerpt,
            ..
        } = &self.place
            && !excerpt.is_empty()
        {
            let margin = line.to_string().len();
            // Tabs are printed as one blank, so that the caret stands under its character.
            let excerpt: String = excerpt
                .chars()
                .map(|c| if c == '\t' { ' ' } else { c })
                .collect();
            let caret = column.saturating_sub(1).min(excerpt.chars().count());
            write!(
                f,
                "\n  {line} | {excerpt}\n  {:margin$} | {:caret$}^",
                "", ""
            )?;
        }
        Ok(())
    }
}

// === impl SourceText ===

impl SourceText<'_> {
    /// The place of a byte offset.
    pub(crate) fn place(&self, offset: usize, shown: Shown) -> Place {
        let offset = offset.min(self.text.len());
        let before = self.text.get(..offset).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self
            .text
            .get(start..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        Place::File {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: self
                .text
                .get(start..offset)
                .unwrap_or_default()
                .chars()
                .count()
                + 1,
            excerpt: excerpt(line, shown),
        }
    }

    pub(crate) fn whole(&self) -> Place {
        Place::File {
            file: self.file.to_owned(),
            line: 0,
            column: 0,
            excerpt: String::new(),
        }
    }
}

/// A line as it may be printed. A line without `=` that opens no table may be the inside of a secret that
/// spans lines, so nothing of it is shown.
fn excerpt(line: &str, shown: Shown) -> String {
    let line = line.trim_end();
    match (shown, line.split_once('=')) {
        (Shown::Whole, _) => line.to_owned(),
        (Shown::KeyOnly, Some((key, _))) if !key.contains(['"', '\'']) => format!("{key}= …"),
        (Shown::KeyOnly, None)
            if line.trim_start().starts_with('[') && !line.contains(['"', '\'']) =>
        {
            line.to_owned()
        }
        (Shown::KeyOnly, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourceText<'_> {
        SourceText {
            file: Path::new("tollgate.toml"),
            text,
        }
    }

    #[test]
    fn a_mistake_reads_as_one_line_with_its_excerpt() {
        let text = "[server]\nliste = \"127.0.0.1:1\"\n";
        let mistake = Mistake {
            severity: Severity::Error,
            place: source(text).place(9, Shown::KeyOnly),
            path: "server".to_owned(),
            message: "unknown key `liste`".to_owned(),
            hint: "did you mean `listen`?".to_owned(),
        };
        assert_eq!(
            mistake.to_string(),
            "tollgate.toml:2:1: server: unknown key `liste`: did you mean `listen`?\n  2 | liste = …\n    | ^"
        );
    }

    #[test]
    fn columns_count_characters() {
        let text = "ключ = 1";
        let Place::File { line, column, .. } = source(text).place("ключ = ".len(), Shown::Whole)
        else {
            panic!("a place in a file");
        };
        assert_eq!((line, column), (1, 8));
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (line, shown) in [
            ("api_kye = \"sk-canary\"", "api_kye = …"),
            ("sk-canary\"\"\"", ""),
            ("[providers.x", "[providers.x"),
            ("[\"sk-canary\", ", ""),
            ("\"sk-canary\" = 1", ""),
        ] {
            assert_eq!(excerpt(line, Shown::KeyOnly), shown);
        }
    }
}
