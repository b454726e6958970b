//! A running scripted provider: accepts connections, plays plans, follows every attempt to its end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::Scripts;
use crate::dialect::Dialect;
use crate::http::Connection;
use crate::record::{End, Record, Recorder, recorded_headers, recorded_query};
use crate::scenario::Scenario;
use crate::wire::{Burst, Mark, Plan, Step};

/// How long a test may wait for the oracle before it fails with what was seen instead.
const PATIENCE: Duration = Duration::from_secs(15);

/// A scripted provider on its own loopback port; ends when dropped.
#[derive(Debug)]
pub struct TestProvider {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What a provider may be started with beyond its dialect.
#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    /// One JSON line per ended attempt is appended here.
    pub record_file: Option<PathBuf>,
    /// One line per accepted attempt, synced before its answer begins, and one per ended attempt.
    pub journal: Option<PathBuf>,
    /// Benchmark peer: no records, bodies of static scripts not checked.
    pub is_bench: bool,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dialect: Dialect,
    pub(crate) scripts: Scripts,
    pub(crate) recorder: Recorder,
    pub(crate) open: AtomicUsize,
    connections: AtomicU64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            record_file: None,
            journal: None,
            is_bench: false,
        }
    }
}

// === impl TestProvider ===

impl TestProvider {
    pub async fn start(dialect: Dialect) -> io::Result<Self> {
        Self::start_with(dialect, &Options::default()).await
    }

    pub async fn start_with(dialect: Dialect, options: &Options) -> io::Result<Self> {
        let recorder = Recorder::new(options)?;
        Self::start_recording(dialect, options, recorder).await
    }

    /// Starts with a recorder that other providers may share.
    pub(crate) async fn start_recording(
        dialect: Dialect,
        options: &Options,
        recorder: Recorder,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            dialect,
            scripts: Scripts::new(dialect, options.is_bench),
            recorder,
            open: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            addr,
            shared,
            accepting,
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL in the form that the vendor's SDK and a provider row take it.
    pub fn base_url(&self) -> String {
        match self.shared.dialect {
            Dialect::OpenAi => format!("http://{}/v1", self.addr),
            Dialect::Anthropic | Dialect::Gemini => format!("http://{}", self.addr),
        }
    }

    pub fn dialect(&self) -> Dialect {
        self.shared.dialect
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Adds a script; a built-in of the same name is hidden.
    pub fn register(&self, scenario: Scenario) {
        self.shared.scripts.register(scenario);
    }

    /// Every attempt so far, in the order of acceptance.
    pub fn records(&self) -> Vec<Record> {
        self.shared.recorder.snapshot()
    }

    /// Forgets the records and everything kept, and lets every counter of attempts start again.
    pub fn clear(&self) {
        self.shared.scripts.reset();
        self.shared.recorder.clear();
    }

    /// The first record that fits, as soon as there is one. Panics after 15 s with the records seen.
    pub async fn wait_for_record(&self, fits: impl Fn(&Record) -> bool) -> Record {
        self.wait(|| self.shared.recorder.find(&fits)).await
    }

    /// The first attempt that fits and has ended.
    pub async fn wait_for_end(&self, fits: impl Fn(&Record) -> bool) -> Record {
        self.wait_for_record(|record| record.end.is_some() && fits(record))
            .await
    }

    /// Resolves when no connection is open.
    pub async fn wait_closed(&self) {
        self.wait(|| (self.open_connections() == 0).then_some(()))
            .await;
    }

    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::Acquire)
    }

    async fn wait<T>(&self, ready: impl Fn() -> Option<T>) -> T {
        let mut changed = self.shared.recorder.subscribe();
        let waiting = async {
            loop {
                if let Some(value) = ready() {
                    return value;
                }
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match within(PATIENCE, waiting).await {
            Some(value) => value,
            None => panic!(
                "the provider did not see what the test waits for within {PATIENCE:?}; open connections: {}; records: {:#?}",
                self.open_connections(),
                self.records()
            ),
        }
    }
}

impl Drop for TestProvider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}

/// Connections live in the set of this task: aborting it ends them all.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shared.open.fetch_add(1, Ordering::AcqRel);
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                // Out of descriptors: let others make progress, then try again.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection as open for as long as it lives.
struct OpenGuard<'a>(&'a Shared);

impl Drop for OpenGuard<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.recorder.notify();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let guard = OpenGuard(&shared);
    let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
    shared.recorder.notify();
    let Ok(mut connection) = Connection::new(stream) else {
        return;
    };
    loop {
        let request = match connection.next_request().await {
            Ok(Some(request)) => request,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let refused =
                    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                // The peer broke the protocol: whether it reads this answer is its own affair.
                connection.write(refused).await.unwrap_or_default();
                break;
            }
            Ok(None) | Err(_) => break,
        };
        let mut record = Record::new(shared.dialect, number);
        let plan = shared.scripts.answer(&request, &mut record);
        if !shared.recorder.is_off() {
            record.headers = recorded_headers(&request.headers);
            record.method.clone_from(&request.method);
            record.path.clone_from(&request.path);
            record.query = recorded_query(&request.query);
        }
        record.status = plan.status;
        let id = shared.recorder.begin(record);
        shared.recorder.keep(id).await;
        let (end, stays_open) = play(&mut connection, &plan, &shared.recorder, id).await;
        if stays_open && request.keep_alive {
            shared.recorder.end(id, end);
            continue;
        }
        // Closed before the record says so: who waits for the end finds the socket closed.
        drop(connection);
        shared.recorder.end(id, end);
        break;
    }
    drop(guard);
}

/// Performs a plan; says how it ended and whether the connection can serve again.
async fn play(
    connection: &mut Connection,
    plan: &Plan,
    recorder: &Recorder,
    id: u64,
) -> (End, bool) {
    let broken = if plan.breaks {
        End::Fault
    } else {
        End::Complete
    };
    for (index, step) in plan.steps.iter().enumerate() {
        match step {
            Step::Write(burst) => {
                if index > 0 {
                    // Give a peer on the same thread its turn, and see whether it has left.
                    tokio::task::yield_now().await;
                    if connection.is_peer_gone() {
                        return (End::ClientClosed, false);
                    }
                }
                let written = connection.write(&burst.bytes).await;
                let n = written.err().unwrap_or(burst.bytes.len());
                let bill = plan.usage.map(|usage| (usage, plan.billed_whole));
                recorder.progress(id, n, last_mark(burst, n), bill);
                if written.is_err() {
                    return (End::ClientClosed, false);
                }
            }
            Step::Pause(duration) => {
                tokio::select! {
                    () = tokio::time::sleep(*duration) => {}
                    () = connection.peer_gone() => return (End::ClientClosed, false),
                }
            }
            Step::Hang => {
                connection.peer_gone().await;
                return (End::ClientClosed, false);
            }
            Step::Close => return (broken, false),
            Step::Reset => {
                connection.arm_reset().unwrap_or_default();
                return (broken, false);
            }
        }
    }
    (broken, true)
}

fn last_mark(burst: &Burst, written: usize) -> Option<Mark> {
    let passed = burst.marks.partition_point(|mark| mark.end <= written);
    passed.checked_sub(1).map(|index| burst.marks[index])
}
