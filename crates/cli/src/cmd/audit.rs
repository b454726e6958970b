//! `tollgate audit`: who changed what, and whether the log of it is whole.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::RawValue;
use tollgate_base::Result;
use tollgate_policy::{
    audit::{AuditEntry, Seal},
    key::Digest,
};

use crate::{
    Exit,
    desk::{Desk, Folder, at_desk},
    settings::Options,
    table::{plain, table},
    terminal::{data, say},
    time,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the newest changes, the newest first.
    List {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 50)]
        last: usize,
        /// Print JSON: one object on each line, with the state before and after
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Check that no entry was changed, taken out or moved.
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match &arguments.action {
        Action::List {
            last,
            json,
            options,
        } => at_desk(options, Folder::Expect, |desk| list(desk, *last, *json)),
        Action::Verify { json, options } => {
            at_desk(options, Folder::Expect, |desk| verify(desk, *json))
        }
    }
}

/// What `list --json` prints of an entry.
#[derive(Serialize)]
struct EntryOut<'a> {
    number: u64,
    at_ms: u64,
    actor: &'a str,
    action: &'a str,
    object: &'a str,
    before: Option<&'a RawValue>,
    after: Option<&'a RawValue>,
    seal: String,
}

fn list(desk: &Desk, last: usize, json: bool) -> Result<Exit> {
    let entries = desk.books.audit(&desk.actor, None, last)?;
    if json {
        for entry in &entries {
            data(&serde_json::to_string(&out(entry)).unwrap_or_default());
        }
        return Ok(Exit::Success);
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            vec![
                entry.number.to_string(),
                time::shown(entry.what.at),
                plain(&entry.what.actor),
                entry.what.action.clone(),
                plain(&entry.what.object),
            ]
        })
        .collect();
    data(&table(&["number", "at", "by", "action", "what"], &rows));
    Ok(Exit::Success)
}

fn out(entry: &AuditEntry) -> EntryOut<'_> {
    EntryOut {
        number: entry.number,
        at_ms: entry.what.at.0,
        actor: &entry.what.actor,
        action: &entry.what.action,
        object: &entry.what.object,
        before: raw(entry.what.before.as_deref()),
        after: raw(entry.what.after.as_deref()),
        seal: hex(&entry.seal),
    }
}

fn raw(json: Option<&str>) -> Option<&RawValue> {
    serde_json::from_str(json?).ok()
}

fn hex(seal: &Seal) -> String {
    Digest(*seal).to_hex()
}

/// What `verify --json` prints.
#[derive(Serialize)]
struct VerifiedOut<'a> {
    entries: u64,
    /// The seal of the newest entry. Kept elsewhere, it shows later that the log up to here is still the same.
    seal: String,
    fault: Option<FaultOut<'a>>,
}

#[derive(Serialize)]
struct FaultOut<'a> {
    number: u64,
    message: &'a str,
}

fn verify(desk: &Desk, json: bool) -> Result<Exit> {
    let report = desk.books.verify_audit(&desk.actor)?;
    let out = VerifiedOut {
        entries: report.head.number,
        seal: hex(&report.head.seal),
        fault: report.fault.map(|fault| FaultOut {
            number: fault.number,
            message: fault.what,
        }),
    };
    if json {
        data(&serde_json::to_string(&out).unwrap_or_default());
    } else {
        data(&format!("{} {}", out.entries, out.seal));
    }
    if let Some(fault) = report.fault {
        say(&format!(
            "The log is broken at entry {}: {}.",
            fault.number, fault.what
        ));
        return Ok(Exit::Failure);
    }
    say(
        "Every entry follows from the one before it. Keep this seal elsewhere to see later that nothing was rewritten.",
    );
    Ok(Exit::Success)
}
