//! The control port: the oracle for tests in other languages, and the place to register scripts.
//!
//! | request | answer |
//! |---|---|
//! | `GET /records` | the records; filters: `model=`, `dialect=`, `ended=1`; with `count=N` it waits until N fit, at most `timeout_ms` (5000), then answers 408 with those it has |
//! | `DELETE /records` | forgets records, attempt counters and everything kept (responses, files, jobs) |
//! | `POST /scenarios` | registers one script or an array of them, on every provider |
//! | `GET /scenarios` | the names of all scripts |
//! | `GET /open` | open connections by dialect; with `count=N` it waits until so many are open in all |

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::builtin;
use crate::dialect::Dialect;
use crate::http::{Connection, Request};
use crate::provider::{Options, Shared, TestProvider};
use crate::record::{Record, Recorder};
use crate::route::{decoded, parameter};
use crate::scenario::Scenario;

/// All providers and their control port, as the binary runs them.
#[derive(Debug)]
pub struct Testkit {
    pub openai: TestProvider,
    pub anthropic: TestProvider,
    pub gemini: TestProvider,
    control: SocketAddr,
    serving: JoinHandle<()>,
}

struct Control {
    providers: Vec<Arc<Shared>>,
    recorder: Recorder,
}

impl Testkit {
    /// Starts all four; the providers share one list of records.
    pub async fn start(
        openai: &Options,
        anthropic: &Options,
        gemini: &Options,
        control: SocketAddr,
    ) -> io::Result<Self> {
        let recorder = Recorder::new(openai)?;
        let openai =
            TestProvider::start_recording(Dialect::OpenAi, openai, recorder.clone()).await?;
        let anthropic =
            TestProvider::start_recording(Dialect::Anthropic, anthropic, recorder.clone()).await?;
        let gemini =
            TestProvider::start_recording(Dialect::Gemini, gemini, recorder.clone()).await?;
        let listener = TcpListener::bind(control).await?;
        let control = listener.local_addr()?;
        let state = Control {
            providers: [&openai, &anthropic, &gemini]
                .map(|provider| Arc::clone(provider.shared()))
                .to_vec(),
            recorder,
        };
        let serving = tokio::spawn(listen(listener, Arc::new(state)));
        Ok(Self {
            openai,
            anthropic,
            gemini,
            control,
            serving,
        })
    }

    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }
}

impl Drop for Testkit {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn listen(listener: TcpListener, state: Arc<Control>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<Control>) {
    let Ok(mut connection) = Connection::new(stream) else {
        return;
    };
    while let Ok(Some(request)) = connection.next_request().await {
        let (status, body) = state.answer(&request).await;
        let head = format!(
            "HTTP/1.1 {status} Control\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if connection
            .write(&[head.as_bytes(), body.as_bytes()].concat())
            .await
            .is_err()
            || !request.keep_alive
        {
            return;
        }
    }
}

impl Control {
    async fn answer(&self, request: &Request) -> (u16, String) {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/records") => self.records(request).await,
            ("DELETE", "/records") => {
                for provider in &self.providers {
                    provider.scripts.reset();
                }
                self.recorder.clear();
                (200, "{}".to_owned())
            }
            ("POST", "/scenarios") => self.register(&request.body),
            ("GET", "/scenarios") => {
                let mut names: Vec<String> = builtin::NAMES
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect();
                names.extend(
                    self.providers
                        .iter()
                        .take(1)
                        .flat_map(|provider| provider.scripts.registered_names()),
                );
                (200, json(&names))
            }
            ("GET", "/open") => self.open(request).await,
            _ => (
                404,
                r#"{"error":"no such control route: see the module documentation of control.rs"}"#
                    .to_owned(),
            ),
        }
    }

    async fn records(&self, request: &Request) -> (u16, String) {
        let model = parameter(&request.query, "model").map(decoded);
        let dialect = parameter(&request.query, "dialect");
        let ended = parameter(&request.query, "ended").is_some();
        let fits = |record: &Record| {
            model
                .as_ref()
                .is_none_or(|model| record.model.as_ref() == Some(model))
                && dialect.is_none_or(|dialect| record.dialect.as_str() == dialect)
                && (!ended || record.end.is_some())
        };
        let found =
            || -> Vec<Record> { self.recorder.snapshot().into_iter().filter(&fits).collect() };
        let wanted: usize = parameter(&request.query, "count")
            .and_then(|count| count.parse().ok())
            .unwrap_or(0);
        let enough = self.wait(request, || found().len() >= wanted).await;
        (if enough { 200 } else { 408 }, json(&found()))
    }

    async fn open(&self, request: &Request) -> (u16, String) {
        let total = || -> usize {
            self.providers
                .iter()
                .map(|provider| provider.open.load(Ordering::Acquire))
                .sum()
        };
        let wanted: Option<usize> =
            parameter(&request.query, "count").and_then(|count| count.parse().ok());
        let reached = self
            .wait(request, || wanted.is_none_or(|wanted| total() == wanted))
            .await;
        let counts: Vec<String> = self
            .providers
            .iter()
            .map(|provider| {
                format!(
                    "\"{}\":{}",
                    provider.dialect.as_str(),
                    provider.open.load(Ordering::Acquire)
                )
            })
            .collect();
        (
            if reached { 200 } else { 408 },
            format!("{{{}}}", counts.join(",")),
        )
    }

    async fn wait(&self, request: &Request, ready: impl Fn() -> bool) -> bool {
        let limit = parameter(&request.query, "timeout_ms")
            .and_then(|ms| ms.parse().ok())
            .unwrap_or(5000);
        let mut changed = self.recorder.subscribe();
        let waiting = async {
            while !ready() {
                if changed.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(Duration::from_millis(limit), waiting)
            .await
            .unwrap_or(false)
    }

    fn register(&self, body: &[u8]) -> (u16, String) {
        let parsed = serde_json::from_slice::<Vec<Scenario>>(body)
            .or_else(|_| serde_json::from_slice::<Scenario>(body).map(|scenario| vec![scenario]));
        let scenarios = match parsed {
            Ok(scenarios) => scenarios,
            Err(error) => {
                return (
                    400,
                    format!("{{\"error\":{}}}", crate::json::quote(&error.to_string())),
                );
            }
        };
        let names: Vec<&str> = scenarios
            .iter()
            .map(|scenario| scenario.name.as_str())
            .collect();
        let body = json(&names);
        for provider in &self.providers {
            for scenario in &scenarios {
                provider.scripts.register(scenario.clone());
            }
        }
        (200, body)
    }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|error| format!("{{\"error\":{}}}", crate::json::quote(&error.to_string())))
}
