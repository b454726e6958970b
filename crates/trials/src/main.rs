//! `tollgate-trials`: drives a Tollgate binary as a black box and lays its ledger beside the oracle's records.
//!
//! What each trial proves stands in `docs/trials.md`. Every trial prints its seed, a table and its violations; the
//! exit status is 1 when there was one, 2 when the trial could not be run.

mod api;
mod client;
mod clock;
mod compare;
mod dice;
mod export;
mod gateway;
mod load;
mod price;
mod proxy;
mod recheck;
mod report;
mod stage;
mod trial;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::report::Report;
use crate::stage::{Common, Tier};
use crate::trial::{aborts, background, budget, crash, ends, mixed, power, refusals};

#[derive(Debug, Parser)]
#[command(
    name = "tollgate-trials",
    about = "Proves the ledger and the limits of a running Tollgate against the oracle"
)]
struct Arguments {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    trial: Trial,
}

#[derive(Debug, Args)]
struct Shared {
    /// The Tollgate binary [default: `tollgate` beside this program]
    #[arg(long, global = true, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Makes the same choices again
    #[arg(long, global = true, value_name = "N")]
    seed: Option<u64>,
    /// The tier of the test command: all trials within two minutes
    #[arg(long, global = true, conflicts_with = "long")]
    short: bool,
    /// The tier of the night
    #[arg(long, global = true)]
    long: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum Trial {
    /// L1: kill at named points with streams open, restart, compare
    Crash {
        /// `all`, `calls` (those that plain calls reach), or names separated by commas
        #[arg(long)]
        points: Option<String>,
        /// Kills at each point
        #[arg(long)]
        kills: Option<u64>,
        /// Streams open at each kill, beside calls that come and go
        #[arg(long, default_value_t = 50)]
        streams: usize,
    },
    /// L1: SIGKILL at random times under load, always on the same data
    RandomKills {
        #[arg(long)]
        kills: Option<u64>,
        /// Calls a second
        #[arg(long, default_value_t = 100)]
        rate: u64,
    },
    /// B1: many calls at once against a budget for a hundred of them
    Budget {
        #[arg(long)]
        requests: Option<usize>,
    },
    /// L3: streams that client or provider break off
    Aborts {
        #[arg(long)]
        streams: Option<usize>,
    },
    /// L10: responses that a provider runs in the background, asked after by many, while the gateway dies
    Background {
        /// Responses at each death
        #[arg(long)]
        jobs: Option<usize>,
        #[arg(long, default_value_t = 5)]
        pollers: usize,
    },
    /// B2: mixed load; every refusal is checked again from the export
    Mixed {
        #[arg(long)]
        minutes: Option<u64>,
    },
    /// B6: every kind of end frees its place
    Ends {
        /// Calls of each kind
        #[arg(long)]
        each: Option<usize>,
    },
    /// B9: refused calls reach no provider and cost nothing
    Refusals {
        #[arg(long)]
        requests: Option<usize>,
    },
    /// L13: the power is cut, and what was not synced is lost, torn or kept (needs strace)
    Power {
        /// How often the power is cut: some twenty times for each recording
        #[arg(long)]
        cuts: Option<u64>,
        /// When the name of a file is durable
        #[arg(long, value_enum, default_value_t = power::Names::Strict)]
        names: power::Names,
        /// What the gateway is told of durability; with `process` this trial has to fail
        #[arg(long, value_enum, default_value_t = power::Durability::Power)]
        durability: power::Durability,
        /// Keeps the folder of each violated cut, as the disk held it, below this one
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// All of them but `power`, one after the other
    All,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let trials = match arguments.trial {
        Trial::All => all(),
        trial => vec![trial],
    };
    let common = match common(&arguments.shared) {
        Ok(common) => common,
        Err(message) => return said(&format!("tollgate-trials: {message}\n"), 2),
    };
    let mut code = 0;
    for trial in trials {
        let (text, this) = match run(&common, trial).await {
            Ok(report) => (report.text(), u8::from(!report.passed())),
            Err(message) => (format!("could not run: {message}\n"), 2),
        };
        said(&text, this);
        code = code.max(this);
    }
    ExitCode::from(code)
}

fn all() -> Vec<Trial> {
    vec![
        Trial::Budget { requests: None },
        Trial::Refusals { requests: None },
        Trial::Ends { each: None },
        Trial::Aborts { streams: None },
        Trial::Crash {
            points: None,
            kills: None,
            streams: 50,
        },
        Trial::RandomKills {
            kills: None,
            rate: 100,
        },
        Trial::Background {
            jobs: None,
            pollers: 5,
        },
        Trial::Mixed { minutes: None },
    ]
}

async fn run(common: &Common, trial: Trial) -> Result<Report, String> {
    match trial {
        Trial::Crash {
            points,
            kills,
            streams,
        } => {
            // The short tier kills where most can go wrong, once each.
            let few = "after-open-write,mid-stream,before-settle-write,after-settle-write,\
                       key-rotate-mid,config-swap,recovery-close,migrate-step";
            let points = points.unwrap_or_else(|| common.scaled(few, "all", "all").to_owned());
            let kills = kills.unwrap_or_else(|| common.scaled(1, 5, 100));
            crash::points(common, &points, kills, streams).await
        }
        Trial::RandomKills { kills, rate } => {
            let kills = kills.unwrap_or_else(|| common.scaled(3, 100, 1000));
            crash::random(common, kills, rate).await
        }
        Trial::Budget { requests } => budget::run(common, requests.unwrap_or(1000)).await,
        Trial::Aborts { streams } => {
            aborts::run(
                common,
                streams.unwrap_or_else(|| common.scaled(200, 500, 5000)),
            )
            .await
        }
        Trial::Background { jobs, pollers } => {
            let jobs = jobs.unwrap_or_else(|| common.scaled(12, 100, 1000));
            background::run(common, jobs, pollers).await
        }
        Trial::Mixed { minutes } => {
            let tier = common.scaled(10, 120, 3600);
            let seconds = minutes.map_or(tier, |minutes| minutes * 60);
            mixed::run(common, Duration::from_secs(seconds)).await
        }
        Trial::Ends { each } => {
            ends::run(common, each.unwrap_or_else(|| common.scaled(20, 200, 1000))).await
        }
        Trial::Refusals { requests } => {
            let requests = requests.unwrap_or_else(|| common.scaled(1000, 10_000, 100_000));
            refusals::run(common, requests).await
        }
        Trial::Power {
            cuts,
            names,
            durability,
            keep,
        } => {
            let options = power::Options {
                cuts: cuts.unwrap_or_else(|| common.scaled(10, 60, 300)),
                names,
                durability,
                keep,
            };
            power::run(common, &options).await
        }
        Trial::All => Err("`all` is not a trial of its own".to_owned()),
    }
}

fn common(shared: &Shared) -> Result<Common, String> {
    let beside = || -> Option<PathBuf> {
        let me = std::env::current_exe().ok()?;
        Some(me.parent()?.join("tollgate"))
    };
    let binary = shared
        .binary
        .clone()
        .or_else(beside)
        .filter(|binary| binary.is_file())
        .ok_or("there is no Tollgate binary: build it, or name it with --binary")?;
    let tier = match (shared.short, shared.long) {
        (true, _) => Tier::Short,
        (_, true) => Tier::Long,
        _ => Tier::Full,
    };
    // Another process id, another seed: a run without one explores.
    let seed = shared.seed.unwrap_or_else(|| u64::from(std::process::id()));
    Ok(Common { binary, seed, tier })
}

fn said(text: &str, code: u8) -> ExitCode {
    let mut out = std::io::stdout();
    // Whoever closed our output does not want to read it.
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .unwrap_or_default();
    ExitCode::from(code)
}
