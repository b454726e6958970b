//! What is about to be committed: the contents of git's index, not those of the working tree.

use std::{io, path::Path, process::Command};

use crate::{
    MAX_FILE, Report,
    folder::{Excluded, Options},
};

/// Scans the files that the next commit of the repository at `root` adds or changes.
pub fn scan_staged(root: &Path, options: &Options) -> io::Result<Report> {
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    let top = String::from_utf8_lossy(&top).trim_end().to_owned();
    let top = Path::new(&top);
    let excluded = Excluded::of(top, options)?;
    let names = git(
        top,
        &[
            "diff",
            "--cached",
            "--name-only",
            "-z",
            "--no-renames",
            "--diff-filter=ACMT",
        ],
    )?;
    let mut report = Report::default();
    for name in names
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let Ok(path) = std::str::from_utf8(name) else {
            let shown = String::from_utf8_lossy(name).into_owned();
            report
                .unread
                .push((shown, "its name is not UTF-8".to_owned()));
            continue;
        };
        if excluded.holds(path) {
            continue;
        }
        let object = format!(":{path}");
        // A submodule is staged as a commit and has no contents here.
        let Ok(size) = git(top, &["cat-file", "-s", &object]) else {
            continue;
        };
        let size = String::from_utf8_lossy(&size).trim().parse();
        if size.unwrap_or(u64::MAX) <= MAX_FILE {
            report.add(
                path,
                &git(top, &["cat-file", "blob", &object]).unwrap_or_default(),
            );
        }
    }
    report.findings.sort();
    Ok(report)
}

fn git(folder: &Path, arguments: &[&str]) -> io::Result<Vec<u8>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.trim().to_owned()))
}
