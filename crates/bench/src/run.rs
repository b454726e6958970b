//! The whole benchmark: starts the servers, then measures in rounds.
//!
//! Each round sends every load to every server, one server at a time and in
//! turn, so that drift of the machine meets all of them alike. The servers stay
//! up through all rounds; ratios are taken within a round.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;

use crate::load::LoadReport;
use crate::machine;
use crate::measures::{Measure, Subject};
use crate::procfs::resident_kib;
use crate::report::{self, Results, Sample, Start};
use crate::servers::{Place, Server, bench_provider, pinned, tollgate_key};

/// How the benchmark runs.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The Tollgate binary; without it only nginx and the provider are measured
    #[arg(long)]
    tollgate: Option<PathBuf>,
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Multiplies the counted requests and the seconds of each load
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Leave out the loads not named here
    #[arg(long, value_delimiter = ',')]
    only: Vec<Measure>,
    /// The core of the server under test
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load generator and the provider
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Name of the results file
    #[arg(long, default_value = "latest")]
    name: String,
    /// Folder of the results file
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// End with status 1 when a bar is missed
    #[arg(long)]
    check: bool,
}

/// One server under test and how it is addressed.
struct Contender {
    subject: Subject,
    server: Server,
    /// Where latency is measured, and whose processor time is read meanwhile;
    /// differs from the server only for the provider itself.
    latency: (SocketAddr, u32),
    stream_path: &'static str,
    model_prefix: &'static str,
    key: Option<String>,
}

/// Runs everything; false when a bar was to be checked and missed.
pub(crate) fn run(plan: &Plan) -> Result<bool, Box<dyn Error>> {
    if plan.check && plan.tollgate.is_none() {
        return Err("--check needs --tollgate: the bars are about Tollgate".into());
    }
    let folder = tempfile::Builder::new()
        .prefix("tollgate-bench-")
        .tempdir()?;
    // The worker of nginx drops its rights and must still reach its folders.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let place = Place {
        folder: folder.path().to_owned(),
        nginx: plan.nginx.clone(),
        tollgate: plan.tollgate.as_deref().map(fs::canonicalize).transpose()?,
    };
    let provider = place.provider("provider", plan.load_core)?;
    say("measuring start and idle memory")?;
    let starts = measure_starts(&place, provider.address)?;
    let contenders = start_contenders(plan, &place, &provider)?;
    sleep(Duration::from_secs(2));
    let mut results = Results {
        machine: machine::facts(&place),
        starts,
        samples: Vec::new(),
    };
    let measures: Vec<Measure> = Measure::ALL
        .into_iter()
        .filter(|measure| plan.only.is_empty() || plan.only.contains(measure))
        .collect();
    for round in 0..plan.rounds {
        for &measure in &measures {
            say(&format!(
                "round {} of {}: {}",
                round + 1,
                plan.rounds,
                report::name_of(&measure)
            ))?;
            for turn in 0..contenders.len() {
                let contender = &contenders[(turn + round) % contenders.len()];
                if measure.includes(contender.subject) {
                    let load = send(plan, contender, measure)?;
                    results.samples.push(Sample {
                        round,
                        measure,
                        subject: contender.subject,
                        load,
                    });
                }
            }
        }
    }
    fs::create_dir_all(&plan.results)?;
    let file = plan.results.join(format!("{}.json", plan.name));
    fs::write(&file, serde_json::to_string_pretty(&results)?)?;
    let mut output = std::io::stdout().lock();
    report::print(&mut output, &results)?;
    writeln!(output, "results: {}", file.display())?;
    if place.tollgate.is_none() {
        return Ok(true);
    }
    let met = report::print_bars(&mut output, &results)?;
    Ok(met || !plan.check)
}

fn start_contenders(
    plan: &Plan,
    place: &Place,
    provider: &Server,
) -> Result<Vec<Contender>, Box<dyn Error>> {
    let core = Some(plan.server_core);
    let upstream = provider.address;
    let direct = place.provider("direct", plan.server_core)?;
    let nginx = place.nginx(core, upstream)?;
    let mut contenders = vec![
        Contender {
            subject: Subject::Direct,
            server: direct,
            latency: (upstream, provider.pid()),
            stream_path: "/v1/chat/completions",
            model_prefix: "",
            key: None,
        },
        Contender {
            subject: Subject::Nginx,
            latency: (nginx.address, nginx.pid()),
            server: nginx,
            stream_path: "/stream/v1/chat/completions",
            model_prefix: "",
            key: None,
        },
    ];
    if place.tollgate.is_some() {
        let tollgate = place.tollgate(core, &bench_provider(upstream), "data")?;
        contenders.push(Contender {
            subject: Subject::Tollgate,
            latency: (tollgate.address, tollgate.pid()),
            server: tollgate,
            stream_path: "/v1/chat/completions",
            model_prefix: "bench/",
            key: Some(tollgate_key()),
        });
    }
    Ok(contenders)
}

/// Sends one load from a process of its own on the core of the generator.
fn send(
    plan: &Plan,
    contender: &Contender,
    measure: Measure,
) -> Result<LoadReport, Box<dyn Error>> {
    let streamed = measure.chunks() > 0;
    let (address, watched) = match measure {
        Measure::Latency => contender.latency,
        _ => (contender.server.address, contender.server.pid()),
    };
    let mut command: Command = pinned(Some(plan.load_core), &std::env::current_exe()?);
    command.arg("load").arg(format!("--to={address}"));
    command.arg(format!(
        "--path={}",
        if streamed {
            contender.stream_path
        } else {
            "/v1/chat/completions"
        }
    ));
    command.arg(format!(
        "--model={}{}",
        contender.model_prefix,
        measure.model()
    ));
    command.arg(format!("--body-bytes={}", measure.body_bytes()));
    command.arg(format!("--watch={watched}"));
    if streamed {
        command.arg(format!("--least-events={}", measure.chunks() + 1));
    }
    if let Some(key) = &contender.key {
        command.arg(format!("--key={key}"));
    }
    command.args(measure.shape(plan.scale));
    let output = command.output()?;
    let what = format!(
        "{} to {}",
        report::name_of(&measure),
        report::name_of(&contender.subject)
    );
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!(
            "{what}: {}\nthe server said:\n{}",
            said.trim(),
            contender.server.said()
        )
        .into());
    }
    let load: LoadReport = serde_json::from_slice(&output.stdout)?;
    if load.failures > 0 {
        let first = load.first_failure.as_deref().unwrap_or("unknown");
        let (failures, requests) = (load.failures, load.requests);
        let said = contender.server.said();
        return Err(format!("{what}: {failures} of {requests} requests failed, first: {first}\nthe server said:\n{said}").into());
    }
    if measure == Measure::OpenStreams && load.peak_open < load.requests {
        return Err(format!("{what}: only {} streams were open at once", load.peak_open).into());
    }
    Ok(load)
}

/// Starts each server five times on all cores; the first start of Tollgate has an empty data folder each time.
fn measure_starts(place: &Place, upstream: SocketAddr) -> Result<Vec<Start>, Box<dyn Error>> {
    const STARTS: usize = 5;
    let providers = bench_provider(upstream);
    let mut starts = Vec::new();
    for attempt in 0..STARTS {
        starts.push(start_of("nginx", &place.nginx(None, upstream)?)?);
        if place.tollgate.is_some() {
            let data = format!("start-{attempt}");
            starts.push(start_of(
                "tollgate, first start",
                &place.tollgate(None, &providers, &data)?,
            )?);
            starts.push(start_of(
                "tollgate, later start",
                &place.tollgate(None, &providers, &data)?,
            )?);
        }
    }
    Ok(starts)
}

fn start_of(what: &str, server: &Server) -> Result<Start, Box<dyn Error>> {
    sleep(Duration::from_secs(1));
    Ok(Start {
        what: what.to_owned(),
        ready_ms: server.ready_after.as_secs_f64() * 1000.0,
        idle_kib: resident_kib(server.pid())?,
    })
}

fn say(what: &str) -> std::io::Result<()> {
    writeln!(std::io::stderr(), "{what}")
}
