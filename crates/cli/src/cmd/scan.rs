//! `tollgate scan`: finds leaked keys in a folder, or in what is about to be committed.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tollgate_scan::{Options, Report, scan_folder, scan_staged};

use crate::{
    Exit,
    terminal::{data, say},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The folder or file to scan
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Scan what is staged for the next commit instead of the files on disk
    #[arg(long)]
    staged: bool,
    /// Leave out what matches: a name, or a path in which `*` stands for anything
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Out<'a> {
    findings: Vec<FindingOut<'a>>,
    files: usize,
    unread: &'a [(String, String)],
}

#[derive(Serialize)]
struct FindingOut<'a> {
    path: &'a str,
    line: usize,
    column: usize,
    kind: &'a str,
    masked: &'a str,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let options = Options {
        exclude: arguments.exclude.clone(),
    };
    let scanned = if arguments.staged {
        scan_staged(&arguments.folder, &options)
    } else {
        scan_folder(&arguments.folder, &options)
    };
    match scanned {
        Ok(report) => tell(arguments, &report),
        Err(error) => {
            let folder = arguments.folder.display();
            say(&format!("{folder} cannot be scanned: {error}."));
            Exit::Usage
        }
    }
}

fn tell(arguments: &Arguments, report: &Report) -> Exit {
    if arguments.json {
        data(&json(report));
    } else {
        for finding in &report.findings {
            data(&finding.to_string());
        }
    }
    for (path, why) in &report.unread {
        say(&format!("{path} was not read: {why}."));
    }
    if report.findings.is_empty() {
        say(&format!("No key in {} files.", report.files));
        return Exit::Success;
    }
    say(
        "A key that was written into a file should be replaced by a new one. Where it is none, write \
         `tollgate:allow` into the line.",
    );
    Exit::Failure
}

fn json(report: &Report) -> String {
    let findings = report.findings.iter().map(|finding| FindingOut {
        path: &finding.path,
        line: finding.line,
        column: finding.column,
        kind: finding.kind,
        masked: &finding.masked,
    });
    let out = Out {
        findings: findings.collect(),
        files: report.files,
        unread: &report.unread,
    };
    serde_json::to_string(&out).unwrap_or_default()
}
