//! The work that a build learns from: every dialect of callers to every dialect of providers, whole and streamed,
//! and the benchmark's own loads. `scripts/release.sh` runs it on a binary that counts what it executes.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use tollgate_dialect::Dialect;

use crate::load::{self, Closed};
use crate::measures::Measure;
use crate::payload::{bodies, post, request_body};
use crate::pool::Question;
use crate::servers::{Place, Server, bench_provider, tollgate_key};

/// What is run, and how much of it.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The binary that learns
    #[arg(long)]
    tollgate: PathBuf,
    /// The scripted providers of every dialect
    #[arg(long)]
    testkit: PathBuf,
    /// Multiplies the requests
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
}

/// Where the scripted providers are.
#[derive(Debug, Deserialize)]
struct Ready {
    openai: String,
    anthropic: String,
    #[serde(rename = "gemini")]
    google: String,
}

/// The providers' process; it ends when its standard input closes.
struct Testkit(Child);

/// The kinds of providers.
const PROVIDERS: [&str; 3] = ["openai", "anthropic", "google"];
/// What the scripted providers answer: text in one piece and in many, with reasoning, with cached input.
const SCRIPTS: [&str; 4] = ["text", "tokens:60", "thinking", "cached"];
const CONNECTIONS: usize = 8;

/// The binary that learns, running.
struct Learner {
    server: Server,
    scale: f64,
}

/// Runs everything. Fails on the first answer that is not right.
pub(crate) fn run(plan: &Plan) -> Result<bool, Box<dyn Error>> {
    let folder = tempfile::Builder::new()
        .prefix("tollgate-train-")
        .tempdir()?;
    let place = Place {
        folder: folder.path().to_owned(),
        nginx: PathBuf::new(),
        tollgate: Some(std::fs::canonicalize(&plan.tollgate)?),
    };
    let provider = place.provider("provider", 0)?;
    let (_testkit, ready) = Testkit::start(&plan.testkit)?;
    let providers = bench_provider(provider.address) + &ready.providers();
    let learner = Learner {
        server: place.tollgate(None, &providers, "data")?,
        scale: plan.scale,
    };
    for measure in [Measure::Small, Measure::Large, Measure::BurstStream] {
        learner.carry(measure)?;
    }
    let pairs = PROVIDERS.map(|provider| SCRIPTS.map(|script| (provider, script)));
    for (provider, script) in pairs.concat() {
        let route = format!("{provider}-{}", name_of(script));
        for is_streamed in [false, true] {
            for bytes in [1024, 20 * 1024] {
                learner.speak(&route, bytes, is_streamed)?;
            }
        }
    }
    Ok(true)
}

impl Learner {
    /// One of the benchmark's own loads.
    fn carry(&self, measure: Measure) -> Result<(), Box<dyn Error>> {
        let (is_streamed, model) = (measure.chunks() > 0, format!("bench/{}", measure.model()));
        let body = request_body(&model, measure.body_bytes(), is_streamed);
        let requests = if is_streamed { 500.0 } else { 10_000.0 };
        let request = self.post("/v1/chat/completions", &body);
        self.ask(&model, request, measure.chunks(), requests)
    }

    /// The same conversation in every dialect.
    fn speak(&self, route: &str, bytes: usize, is_streamed: bool) -> Result<(), Box<dyn Error>> {
        for (dialect, body) in bodies(route, bytes, is_streamed)? {
            let path = path_of(dialect, route, is_streamed);
            let request = self.post(&path, std::str::from_utf8(&body)?);
            // Gemini's events end in other line breaks than the reader counts.
            let counts = is_streamed && dialect != Dialect::GeminiGenerate;
            let what = format!("{} to {route}", dialect.name());
            self.ask(
                &what,
                request,
                usize::from(counts),
                200_000.0 / bytes as f64,
            )?;
        }
        Ok(())
    }

    fn post(&self, path: &str, body: &str) -> Vec<u8> {
        post(self.server.address, path, &tollgate_key(), body)
    }

    fn ask(
        &self,
        what: &str,
        request: Vec<u8>,
        least_events: usize,
        requests: f64,
    ) -> Result<(), Box<dyn Error>> {
        let question = Question {
            address: self.server.address,
            request,
            least_events,
        };
        let shape = Closed {
            connections: CONNECTIONS,
            warm_up: 0,
            requests: (requests * self.scale).round().max(1.0) as usize,
            ramp: Duration::ZERO,
        };
        match load::closed(question, shape, None)?.first_failure {
            None => Ok(()),
            Some(failure) => {
                let said = self.server.said();
                Err(format!("{what}: {failure}\nthe server said:\n{said}").into())
            }
        }
    }
}

impl Testkit {
    fn start(program: &std::path::Path) -> Result<(Self, Ready), Box<dyn Error>> {
        let mut child = Command::new(program)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let testkit = Self(child);
        Ok((testkit, serde_json::from_str(&line)?))
    }
}

impl Drop for Testkit {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}

impl Ready {
    /// The configuration of the providers, with a route to each of their scripts.
    fn providers(&self) -> String {
        let mut text = String::new();
        let urls = [&self.openai, &self.anthropic, &self.google];
        for (kind, url) in PROVIDERS.into_iter().zip(urls) {
            // Writing into a string does not fail.
            let _written = writeln!(
                text,
                "[providers.{kind}]\nkind = \"{kind}\"\nbase_url = \"{url}\"\napi_key = \"test-train\"\n\
                 [prices.\"{kind}/*\"]\ninput = 1\noutput = 2"
            );
            for script in SCRIPTS {
                let name = name_of(script);
                let _written = writeln!(
                    text,
                    "[routes.{kind}-{name}]\ntargets = [\"{kind}/{script}\"]"
                );
            }
        }
        text
    }
}

fn name_of(script: &str) -> &str {
    script.split(':').next().unwrap_or(script)
}

fn path_of(dialect: Dialect, route: &str, is_streamed: bool) -> String {
    match (dialect, is_streamed) {
        (Dialect::AnthropicMessages, _) => "/v1/messages".to_owned(),
        (Dialect::OpenAiResponses, _) => "/v1/responses".to_owned(),
        (Dialect::GeminiGenerate, false) => format!("/v1beta/models/{route}:generateContent"),
        (Dialect::GeminiGenerate, true) => {
            format!("/v1beta/models/{route}:streamGenerateContent?alt=sse")
        }
        _ => "/v1/chat/completions".to_owned(),
    }
}
