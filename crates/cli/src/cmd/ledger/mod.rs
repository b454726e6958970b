//! `tollgate ledger`: what is written down of every attempt, exported, checked, and completed where nobody knows the
//! end.
//!
//! Looking takes no lock, and may be done while a service runs and after one was killed. What changes the ledger is
//! in `change`.

mod change;
mod row;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use tollgate_base::{Error, Kind, Result, quote};
use tollgate_ledger::verify::{Verified, verify, verify_journal};
use tollgate_policy::ledger::{AttemptFilter, AttemptState};

use self::row::Row;
use crate::{
    Exit,
    filter::FilterOptions,
    ledger::{Reading, at_ledger},
    settings::Options,
    table::{plain, table},
    terminal::{data, say, write_data},
    time,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print attempts, the oldest first, one on each line.
    Export(Box<Export>),
    /// Show the attempts of one request.
    Show {
        #[arg(value_name = "REQUEST_ID")]
        request_id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Check the ledger against itself: states, costs, sums, and the journal's files.
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// List the attempts of which nobody knows how they ended. What is held for them counts against budgets.
    Unknown {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Say what an attempt cost of which nobody knows how it ended.
    Resolve(change::Resolve),
    /// Price settled attempts again, at the prices in force. What was booked stays; corrections stand beside it.
    Reprice(change::Reprice),
}

#[derive(Debug, Args)]
struct Export {
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// Only attempts in this state: held, dispatched, settled, released, unknown
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match &arguments.action {
        Action::Export(export) => export.run(),
        Action::Show {
            request_id,
            json,
            options,
        } => at_ledger(options, |ledger, _| show(ledger, request_id, *json)),
        Action::Verify { json, options } => at_ledger(options, |ledger, desk| {
            let mut verified = verify(&ledger.store)?;
            verify_journal(&desk.config.data_dir, &mut verified).map_err(|error| {
                Error::internal(format!(
                    "The journal in {} cannot be read: {error}.",
                    desk.config.data_dir.display()
                ))
            })?;
            Ok(tell(&verified, ledger, *json))
        }),
        Action::Unknown { json, options } => at_ledger(options, |ledger, _| unknown(ledger, *json)),
        Action::Resolve(resolve) => resolve.run(),
        Action::Reprice(reprice) => reprice.run(),
    }
}

impl Export {
    fn run(&self) -> Exit {
        at_ledger(&self.options, |ledger, desk| {
            let mut filter = self.filter.read(&desk.accounts()?, desk.now())?;
            filter.state = self.state.as_deref().map(state).transpose()?;
            self.print(ledger, &filter)
        })
    }

    fn print(&self, ledger: &Reading, filter: &AttemptFilter) -> Result<Exit> {
        if let Format::Csv = self.format {
            write_data(&Row::csv_names());
        }
        ledger.each(filter, |listed| {
            let row = Row::of(&listed.attempt);
            match self.format {
                Format::Jsonl => data(&row.json()),
                Format::Csv => write_data(&row.csv()),
            }
            Ok(())
        })?;
        Ok(Exit::Success)
    }
}

fn state(word: &str) -> Result<AttemptState> {
    AttemptState::from_word(word).ok_or_else(|| {
        let words = AttemptState::ALL.map(AttemptState::as_str).join(", ");
        Error::invalid_value(
            "--state",
            format!("{} is no state. The states are {words}.", quote(word)),
        )
    })
}

fn show(ledger: &Reading, request_id: &str, json: bool) -> Result<Exit> {
    let filter = AttemptFilter {
        request_id: Some(request_id.to_owned()),
        ..AttemptFilter::default()
    };
    let mut attempts = Vec::new();
    ledger.each(&filter, |listed| {
        attempts.push(listed.clone());
        Ok(())
    })?;
    if attempts.is_empty() {
        let message = format!("The ledger has no request {}.", quote(request_id));
        return Err(Error::new(Kind::NotFound, "not_found", message));
    }
    for (at, listed) in attempts.iter().enumerate() {
        let row = Row::of(&listed.attempt);
        if json {
            data(&row.json());
            continue;
        }
        if at > 0 {
            data("");
        }
        data(&row.lines(listed));
    }
    Ok(Exit::Success)
}

/// What `verify --json` prints.
#[derive(Serialize)]
struct VerifiedOut<'a> {
    findings: Vec<FindingOut<'a>>,
    attempts: u64,
    recomputed: u64,
    journal_files: u64,
    journal_records: u64,
    /// Attempts with records that are in the journal and not in the database yet.
    waiting: usize,
}

#[derive(Serialize)]
struct FindingOut<'a> {
    rule: &'a str,
    message: &'a str,
}

fn tell(verified: &Verified, ledger: &Reading, json: bool) -> Exit {
    if json {
        let findings = verified.findings.iter().map(|finding| FindingOut {
            rule: finding.rule,
            message: &finding.message,
        });
        let out = VerifiedOut {
            findings: findings.collect(),
            attempts: verified.attempts,
            recomputed: verified.recomputed,
            journal_files: verified.journal_files,
            journal_records: verified.journal_records,
            waiting: ledger.waiting(),
        };
        data(&serde_json::to_string(&out).unwrap_or_default());
    } else {
        for finding in &verified.findings {
            data(&format!("{}: {}", finding.rule, plain(&finding.message)));
        }
    }
    say(&format!(
        "{} attempts, {} costs computed again, {} records in {} journal files: {} findings.",
        verified.attempts,
        verified.recomputed,
        verified.journal_records,
        verified.journal_files,
        verified.findings.len()
    ));
    if verified.findings.is_empty() {
        Exit::Success
    } else {
        Exit::Failure
    }
}

fn unknown(ledger: &Reading, json: bool) -> Result<Exit> {
    let filter = AttemptFilter {
        state: Some(AttemptState::Unknown),
        ..AttemptFilter::default()
    };
    let (mut rows, mut held) = (Vec::new(), tollgate_base::Money::ZERO);
    ledger.each(&filter, |listed| {
        let opening = &listed.attempt.opening;
        held += opening.held.unwrap_or_default();
        if json {
            data(&Row::of(&listed.attempt).json());
        }
        rows.push(vec![
            opening.id.to_string(),
            time::shown(opening.at),
            plain(&opening.key_id),
            plain(&format!("{}/{}", opening.provider, opening.model)),
            opening
                .held
                .map(|held| held.to_string())
                .unwrap_or_default(),
        ]);
        Ok(())
    })?;
    if !json {
        data(&table(
            &["attempt", "admitted", "key", "model", "held"],
            &rows,
        ));
    }
    say(&format!(
        "{} attempts without a known end, {held} held for them. `tollgate ledger resolve` books them.",
        rows.len()
    ));
    Ok(Exit::Success)
}
