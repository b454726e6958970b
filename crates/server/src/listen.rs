//! Listening, the serving threads, and the graceful stop.
//!
//! One thread accepts; each serving thread runs its own single-threaded runtime with its own connections to
//! providers, so that a call never crosses threads. A new connection goes to the thread that has the fewest.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::RecvTimeoutError,
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime,
    sync::{mpsc, watch},
};
use tollgate_config::ServerSettings;
use tollgate_gateway::{Gateway, Shared};
use tollgate_http1::{Settings, Stop};

use crate::{admin::Admin, budget::BodyBudget, edge::Edge};

/// A bound address, not yet served.
#[derive(Debug)]
pub struct Server {
    listener: std::net::TcpListener,
    settings: ServerSettings,
    admin: Option<Admin>,
}

/// A service at work.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: Stop,
    /// Closes the ear of the acceptor when dropped.
    accepting: watch::Sender<()>,
    drain: Duration,
    /// Disconnected when the last serving thread has ended.
    threads: std::sync::mpsc::Receiver<()>,
}

/// The open connections of one serving thread.
type Load = Arc<AtomicUsize>;

/// A connection on its way to a serving thread.
type Handover = (std::net::TcpStream, SocketAddr);

impl Server {
    /// Takes the address. Port 0 takes a free one.
    pub fn bind(settings: ServerSettings) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(settings.listen)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            settings,
            admin: None,
        })
    }

    /// Serves the admin API, too.
    #[must_use]
    pub fn with_admin(mut self, admin: Admin) -> Self {
        self.admin = Some(admin);
        self
    }

    /// Starts the threads; the service answers from now on.
    pub fn start(self, shared: &Arc<Shared>) -> io::Result<Running> {
        let Self {
            listener,
            settings,
            admin,
        } = self;
        let address = listener.local_addr()?;
        let stop = Stop::new();
        let bodies = BodyBudget::new(settings.limits.in_flight_body_bytes);
        let (alive, threads) = std::sync::mpsc::channel();
        let mut workers = Vec::new();
        for number in 0..settings.workers.max(1) {
            let (sender, receiver) = mpsc::unbounded_channel();
            let load = Load::default();
            let edge = Arc::new(Edge {
                gateway: Gateway::new(shared.clone()),
                body_limit: settings.limits.body_bytes,
                upload_limit: settings.limits.upload_bytes,
                bodies: bodies.clone(),
                stop: stop.clone(),
                admin: admin.clone(),
            });
            let framing = Arc::new(framing(&settings));
            let load_of_this = load.clone();
            let serving = async move {
                if number == 0 {
                    edge.gateway.resume();
                }
                serve_connections(receiver, edge, framing, load_of_this).await;
            };
            spawn(format!("tollgate-{number}"), alive.clone(), serving)?;
            workers.push((sender, load));
        }
        let (accepting, stopped) = watch::channel(());
        let acceptance = accept(listener, workers, settings.limits.connections, stopped);
        spawn("tollgate-accept".to_owned(), alive, acceptance)?;
        Ok(Running {
            address,
            stop,
            accepting,
            drain: settings.drain,
            threads,
        })
    }
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connection is taken, idle ones close, calls in flight get the drain time to end. Returns
    /// whether all of them did.
    pub fn stop(self) -> bool {
        self.stop.set();
        drop(self.accepting);
        self.threads.recv_timeout(self.drain) == Err(RecvTimeoutError::Disconnected)
    }
}

fn framing(settings: &ServerSettings) -> Settings {
    let limits = &settings.limits;
    Settings {
        head_bytes: usize::try_from(limits.head_bytes).unwrap_or(usize::MAX),
        header_count: limits.header_count,
        uri_bytes: usize::try_from(limits.uri_bytes).unwrap_or(usize::MAX),
        head_timeout: limits.head_timeout,
        idle_timeout: limits.idle_timeout,
        body_timeout: limits.body_timeout,
        write_idle_timeout: limits.write_idle_timeout,
        ..Settings::default()
    }
}

/// Runs `work` on a thread of its own; `alive` is held for as long as it runs.
fn spawn(
    name: String,
    alive: std::sync::mpsc::Sender<()>,
    work: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    std::thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(work);
        // What still runs on this thread is ended, and booked, before the thread counts as gone.
        drop(runtime);
        drop(alive);
    })?;
    Ok(())
}

async fn accept(
    listener: std::net::TcpListener,
    workers: Vec<(mpsc::UnboundedSender<Handover>, Load)>,
    most: usize,
    mut stopped: watch::Receiver<()>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot listen"),
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let (stream, peer) =
            match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Ok(handover) => handover,
                Err(error) => {
                    // Out of file descriptors, most likely: accepting again at once would only spin.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
        let total: usize = workers
            .iter()
            .map(|(_, load)| load.load(Ordering::Relaxed))
            .sum();
        if total >= most {
            tracing::warn!(most, "connection refused: as many are open as may be");
            continue;
        }
        let least = workers
            .iter()
            .min_by_key(|(_, load)| load.load(Ordering::Relaxed));
        if let Some((sender, load)) = least {
            load.fetch_add(1, Ordering::Relaxed);
            if sender.send((stream, peer)).is_err() {
                load.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// One thread's work: a task for each connection, until the acceptor is gone and the last one has ended.
async fn serve_connections(
    mut receiver: mpsc::UnboundedReceiver<Handover>,
    edge: Arc<Edge>,
    settings: Arc<Settings>,
    load: Load,
) {
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            handover = receiver.recv() => {
                let Some((stream, peer)) = handover else { break };
                let seat = Seat(load.clone());
                tasks.spawn(serve_one(stream, peer, edge.clone(), settings.clone(), seat));
            }
            Some(_) = tasks.join_next() => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Counts one connection of a thread for as long as it lives.
struct Seat(Load);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve_one(
    stream: std::net::TcpStream,
    peer: SocketAddr,
    edge: Arc<Edge>,
    settings: Arc<Settings>,
    _seat: Seat,
) {
    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
        return;
    };
    // Nagle's delay would hold small events back.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let stop = edge.stop.clone();
    tollgate_http1::serve(stream, peer, &settings, &*edge, stop).await;
}
