//! The files of a folder. Left out are `.git`, links, what is too large, and what the options or the folder's
//! `.tollgateignore` exclude: one pattern a line, a name or a path in which `*` stands for anything.

use std::{fs, io, path::Path};

use crate::{MAX_FILE, Report};

/// The file with a folder's exclusions.
const IGNORE: &str = ".tollgateignore";

/// What is left out of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub exclude: Vec<String>,
}

/// Scans a folder, or one file.
pub fn scan_folder(root: &Path, options: &Options) -> io::Result<Report> {
    let mut report = Report::default();
    let metadata = fs::metadata(root)?;
    if metadata.is_file() {
        read(root, &root.to_string_lossy(), &mut report);
        return Ok(report);
    }
    let excluded = Excluded::of(root, options)?;
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if folder == root => return Err(error),
            Err(error) => {
                let path = folder.to_string_lossy().into_owned();
                report.unread.push((path, error.to_string()));
                continue;
            }
        };
        for entry in entries {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let inside = path.strip_prefix(root).unwrap_or(&path);
            if excluded.holds(&inside.to_string_lossy().replace('\\', "/")) {
                continue;
            }
            if kind.is_dir() {
                waiting.push(path);
            } else if kind.is_file() {
                read(&path, &path.to_string_lossy(), &mut report);
            }
        }
    }
    report.findings.sort();
    report.unread.sort();
    Ok(report)
}

fn read(path: &Path, shown: &str, report: &mut Report) {
    let contents = fs::metadata(path).and_then(|metadata| {
        if metadata.len() > MAX_FILE {
            return Ok(None);
        }
        fs::read(path).map(Some)
    });
    match contents {
        Ok(Some(contents)) => report.add(shown, &contents),
        Ok(None) => {}
        Err(error) => report.unread.push((shown.to_owned(), error.to_string())),
    }
}

/// Patterns of what is left out.
#[derive(Debug)]
pub(crate) struct Excluded(Vec<String>);

impl Excluded {
    /// The patterns of the options and of the folder's own file.
    pub(crate) fn of(root: &Path, options: &Options) -> io::Result<Self> {
        let mut patterns = options.exclude.clone();
        match fs::read_to_string(root.join(IGNORE)) {
            Ok(text) => {
                let lines = text.lines().map(str::trim);
                let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
                patterns.extend(lines.map(str::to_owned));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self(patterns))
    }

    /// Whether a path within the folder, its name, or a folder on the way is left out.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at);
        let parts: Vec<_> = ends.chain([path.len()]).map(|end| &path[..end]).collect();
        parts.iter().any(|part| {
            let name = part.rsplit('/').next().unwrap_or(part);
            let fits = |pattern: &String| {
                let pattern = pattern.trim_matches('/');
                matches(pattern, part) || matches(pattern, name)
            };
            name == ".git" || self.0.iter().any(fits)
        })
    }
}

/// Whether a text is what a pattern says; `*` stands for any letters, also none.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, fits) in [
            ("a.rs", "a.rs", true),
            ("a.rs", "b/a.rs", false),
            ("*.rs", "b/a.rs", true),
            ("*.rs", "a.rs.txt", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxc", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
