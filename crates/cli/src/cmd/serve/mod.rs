//! `tollgate serve`: puts the parts together and runs the service.

mod banner;
pub(crate) mod books;
mod watch;

use std::{sync::Arc, time::Instant};

use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tollgate_accounts::Administration;
use tollgate_base::{Clock as _, SystemClock};
use tollgate_config::Config;
use tollgate_gateway::{LocalModels, Shared, Snapshot};
use tollgate_policy::{account::AccountStore as _, admission::is_zone};
use tollgate_server::{Admin, Running, Server};
use tollgate_store::{OpenError, SqliteStore};

use crate::{
    Exit, detect,
    keys::{self, NewKeys},
    logging, prices,
    settings::{Options, environment},
    shelf,
    terminal::{data, say},
};

/// Notices that wait to be looked at; beyond, they are dropped.
const NOTICES: usize = 10_000;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The address to listen on [default: 127.0.0.1:4321]; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Print one line of JSON when ready, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Options,
}

/// What `banner` tells about a service that has begun to serve.
struct Started<'a> {
    running: &'a Running,
    config: &'a Config,
    keys: &'a NewKeys,
    startup: std::time::Duration,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    serve(arguments).err().unwrap_or(Exit::Success)
}

fn serve(arguments: &Arguments) -> Result<(), Exit> {
    let began = Instant::now();
    let mut config = arguments.options.load(arguments.listen.clone())?.config;
    let _last_lines = logging::start(&config.log).map_err(failed)?;
    let store = SqliteStore::open(&config.data_dir).map_err(|error| {
        say(&error.to_string());
        match error {
            OpenError::Newer(_) => Exit::DataVersion,
            OpenError::Unusable(_) | OpenError::Damaged(_) => Exit::Failure,
        }
    })?;
    let store = Arc::new(store);
    let desk = Arc::new(Administration::new(store.clone(), is_zone));
    let (ring, new_keys) =
        keys::prepare(&desk, &config.first_keys, &SystemClock).map_err(|error| {
            say(error.message());
            Exit::Usage
        })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let prices = prices::load(&config.data_dir).map_err(|error| {
        say(error.message());
        Exit::Usage
    })?;
    runtime.block_on(async {
        detect::add_local_servers(&mut config, &environment()).await;
        let server = Server::bind(config.server.clone()).map_err(|error| {
            say(&format!(
                "Cannot listen on {}: {error}. Choose another address with --listen.",
                config.server.listen
            ));
            Exit::Failure
        })?;
        let local = shelf::models(&config, &LocalModels::default());
        let snapshot = Snapshot::new(config.clone(), &prices, local).map_err(failed)?;
        let (notices, noticed) = mpsc::channel(NOTICES);
        let accounts = store.accounts().map_err(failed)?;
        let books = books::open(&config, &accounts, notices)?;
        let shared = Arc::new(Shared::new(
            snapshot,
            ring,
            (store.clone(), books),
            Box::new(SystemClock),
        ));
        let keeping_up = tokio::spawn(books::keep_up(shared.clone(), store.clone()));
        let looking = tokio::spawn(shelf::keep_up(shared.clone()));
        let alerts = watch::start(&config)?;
        let watching = tokio::spawn(watch::watch(shared.clone(), alerts, noticed));
        let mut signals = Signals::listen().map_err(failed)?;
        let admin = Admin::new(desk, books::on_change(shared.clone(), store.clone()));
        let running = server.with_admin(admin).start(&shared).map_err(failed)?;
        let started = Started {
            running: &running,
            config: &config,
            keys: &new_keys,
            startup: began.elapsed(),
        };
        data(&if arguments.json {
            banner::json(&started)
        } else {
            banner::text(&started)
        });
        drop(new_keys);
        while signals.next().await == Wish::Reload {
            reload(arguments, &shared, &store).await;
        }
        stop(running, signals).await;
        keeping_up.abort();
        looking.abort();
        watching.abort();
        if let Err(error) = shared.books.ledger.close() {
            tracing::error!("the ledger was not closed well: {error}; the next start brings the rest into the store");
        }
        tracing::info!(at = SystemClock.now().0, "stopped");
        Ok(())
    })
}

fn failed(error: impl std::fmt::Display) -> Exit {
    say(&error.to_string());
    Exit::Failure
}

/// Reads the configuration again; a bad one changes nothing. Addresses and threads stay as they are.
async fn reload(arguments: &Arguments, shared: &Shared, store: &SqliteStore) {
    let mut config = match Config::load(&arguments.options.sources(arguments.listen.clone())) {
        Ok(loaded) => loaded.config,
        Err(mistakes) => {
            for mistake in mistakes {
                tracing::error!("the new configuration was not taken: {mistake}");
            }
            return;
        }
    };
    detect::add_local_servers(&mut config, &environment()).await;
    let local = shelf::models(&config, shared.snapshot.load().local());
    let snapshot =
        prices::load(&config.data_dir).and_then(|prices| Snapshot::new(config, &prices, local));
    match snapshot.and_then(|snapshot| {
        shared.snapshot.store(Arc::new(snapshot));
        books::take_over(shared, store, None)
    }) {
        Ok(_) => {
            tracing::info!("the new configuration is in force");
        }
        Err(error) => tracing::error!("the new configuration was not taken: {error}"),
    }
}

/// Lets calls in flight end; a second signal does not wait.
async fn stop(running: Running, mut signals: Signals) {
    tracing::info!("stopping: calls in flight may end, a second signal stops at once");
    let draining = tokio::task::spawn_blocking(|| running.stop());
    tokio::select! {
        drained = draining => if !matches!(drained, Ok(true)) {
            tracing::warn!("some calls did not end in time and were cut off");
        },
        () = signals.stop_again() => tracing::warn!("stopped at once; calls in flight were cut off"),
    }
}

/// What the operating system asks for.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stop,
    Reload,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    async fn stop_again(&mut self) {
        while self.next().await != Wish::Stop {}
    }
}
