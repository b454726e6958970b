//! Measures what Tollgate costs beside nginx and beside no proxy at all.
//!
//! `run` is the whole benchmark; `provider` and `load` are its two ends and can
//! be used alone. How to read the figures stands in `bench/README.md`.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures of a benchmark: counts far below 2^52, turned into averages"
)]

mod load;
mod machine;
mod measures;
mod payload;
mod pool;
mod procfs;
mod provider;
mod report;
mod run;
mod servers;
mod train;
mod translate;
mod wire;

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "tollgate-bench",
    about = "Measures what Tollgate costs beside nginx and no proxy at all"
)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Serve as the scripted provider until ended
    Provider {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Send load to one server and print what was measured as JSON
    Load {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        shape: Shape,
    },
    /// Print the virtual key that the benchmark gives to Tollgate
    Key,
    /// Run the whole benchmark: start the servers, measure in rounds, print the table
    Run(run::Plan),
    /// Measure what translations between dialects cost
    Translate(translate::Plan),
    /// Give a binary the work that a build learns from; see scripts/release.sh
    Train(train::Plan),
}

#[derive(Debug, Args)]
struct Target {
    #[arg(long)]
    to: SocketAddr,
    #[arg(long, default_value = "/v1/chat/completions")]
    path: String,
    #[arg(long)]
    model: String,
    /// Size of the request's body
    #[arg(long, default_value_t = 1024)]
    body_bytes: usize,
    /// Sent as a bearer token
    #[arg(long)]
    key: Option<String>,
    /// Ask for a stream and expect at least so many events in each answer
    #[arg(long, default_value_t = 0)]
    least_events: usize,
    /// Process whose processor time is read before and after, with all its descendants
    #[arg(long)]
    watch: Option<u32>,
}

#[derive(Debug, Subcommand)]
enum Shape {
    /// Each connection sends its next request when the last is answered
    Closed {
        #[arg(long, default_value_t = 32)]
        connections: usize,
        #[arg(long, default_value_t = 2000)]
        warm_up: usize,
        #[arg(long)]
        requests: usize,
        /// Spread the first requests over this time; resident memory is then sampled too
        #[arg(long, default_value_t = 0)]
        ramp_ms: u64,
    },
    /// Requests leave at a fixed rate; latency counts from when each was due
    Open {
        #[arg(long, default_value_t = 200)]
        per_second: u32,
        #[arg(long, default_value_t = 1000)]
        warm_up_ms: u64,
        #[arg(long)]
        duration_ms: u64,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Action::Provider { listen } => provider::serve(listen).map(|()| true).map_err(Into::into),
        Action::Load { target, shape } => send_load(&target, &shape).map(|()| true),
        Action::Key => writeln!(std::io::stdout(), "{}", servers::tollgate_key())
            .map(|()| true)
            .map_err(Into::into),
        Action::Run(plan) => run::run(&plan),
        Action::Translate(plan) => translate::run(&plan),
        Action::Train(plan) => train::run(&plan),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to do when even the error cannot be written.
            let _written = writeln!(std::io::stderr(), "tollgate-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn send_load(target: &Target, shape: &Shape) -> Result<(), Box<dyn Error>> {
    let question = pool::Question {
        address: target.to,
        request: request(target),
        least_events: target.least_events,
    };
    let report = match *shape {
        Shape::Closed {
            connections,
            warm_up,
            requests,
            ramp_ms,
        } => {
            let ramp = Duration::from_millis(ramp_ms);
            load::closed(
                question,
                load::Closed {
                    connections,
                    warm_up,
                    requests,
                    ramp,
                },
                target.watch,
            )?
        }
        Shape::Open {
            per_second,
            warm_up_ms,
            duration_ms,
        } => {
            let open = load::Open {
                per_second,
                warm_up: Duration::from_millis(warm_up_ms),
                duration: Duration::from_millis(duration_ms),
            };
            load::open(question, open, target.watch)?
        }
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    Ok(())
}

fn request(target: &Target) -> Vec<u8> {
    let body = payload::request_body(&target.model, target.body_bytes, target.least_events > 0);
    let key = target.key.as_deref().unwrap_or("test-bench");
    payload::post(target.to, &target.path, key, &body)
}
