//! A TCP relay between gateway and provider that spoils what passes, reproducibly.
//!
//! It knows bytes and connections, nothing of HTTP. Each direction of each connection is a task of its own with
//! its own stream of choices, so that a seed spoils the same bytes whatever the scheduler does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::dice::Dice;

const BLOCK: usize = 16 * 1024;

/// What happens to what passes. The default relays faithfully.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Added before each block is passed on, and at most so much more by chance.
    pub(crate) latency: Duration,
    pub(crate) jitter: Duration,
    pub(crate) bytes_per_second: Option<u64>,
    /// Writes of at most so many bytes.
    pub(crate) slice: Option<usize>,
    /// What happens to the answers when so many bytes of them have passed on a connection.
    pub(crate) after: Option<(usize, Break)>,
    /// One bit in so many bytes is turned over, at a place by chance.
    pub(crate) flip_every: Option<u64>,
    /// Further connections are closed at once.
    pub(crate) most_connections: Option<usize>,
}

/// How a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// RST towards the gateway, and the provider's connection is dropped.
    Reset,
    /// Nothing passes any more, nothing closes.
    BlackHole,
    /// The answer's side is closed in order; requests still pass.
    HalfClose,
}

/// A running relay; ends, with all its connections, when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    #[cfg(test)]
    refused: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(upstream: SocketAddr, faults: Faults, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let refused = Arc::new(AtomicUsize::new(0));
        let relay = Relay {
            upstream,
            faults,
            open: Arc::default(),
            refused: Arc::clone(&refused),
        };
        let accepting = tokio::spawn(relay.accept(listener, Dice::new(seed)));
        Ok(Self {
            addr,
            #[cfg(test)]
            refused,
            accepting,
        })
    }

    /// Connections closed at once because there were too many.
    #[cfg(test)]
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Relay {
    upstream: SocketAddr,
    faults: Faults,
    open: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Relay {
    async fn accept(self, listener: TcpListener, mut dice: Dice) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((near, _)) = accepted else { continue };
                    let most = self.faults.most_connections.unwrap_or(usize::MAX);
                    if self.open.load(Ordering::Acquire) >= most {
                        self.refused.fetch_add(1, Ordering::AcqRel);
                        continue;
                    }
                    self.open.fetch_add(1, Ordering::AcqRel);
                    let (open, faults, upstream) = (Arc::clone(&self.open), self.faults, self.upstream);
                    let dice = dice.fork();
                    connections.spawn(async move {
                        // A connection that breaks is what this proxy is for: nobody is told.
                        connect(near, upstream, faults, dice).await.unwrap_or_default();
                        open.fetch_sub(1, Ordering::AcqRel);
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn connect(
    near: TcpStream,
    upstream: SocketAddr,
    faults: Faults,
    mut dice: Dice,
) -> io::Result<()> {
    let far = TcpStream::connect(upstream).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let requests = Pump {
        faults: Faults {
            after: None,
            flip_every: None,
            ..faults
        },
        dice: dice.fork(),
        passed: 0,
    };
    let answers = Pump {
        faults,
        dice,
        passed: 0,
    };
    // An error on one way ends both; an orderly end only its own.
    tokio::try_join!(
        requests.run(near_read, far_write),
        answers.run(far_read, near_write)
    )?;
    Ok(())
}

/// One direction of one connection.
struct Pump {
    faults: Faults,
    dice: Dice,
    passed: usize,
}

impl Pump {
    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        loop {
            let n = from.read(&mut block).await?;
            if n == 0 {
                return to.shutdown().await;
            }
            self.delay(n).await;
            let left = self
                .faults
                .after
                .map_or(usize::MAX, |(bytes, _)| bytes.saturating_sub(self.passed));
            let part = &mut block[..n.min(left)];
            self.flip(part);
            for slice in part.chunks(self.faults.slice.unwrap_or(BLOCK).max(1)) {
                to.write_all(slice).await?;
                if self.faults.slice.is_some() {
                    tokio::task::yield_now().await;
                }
            }
            self.passed += n.min(left);
            if let Some((_, kind)) = self.faults.after.filter(|_| n >= left) {
                return break_off(kind, from, to).await;
            }
        }
    }

    async fn delay(&mut self, bytes: usize) {
        let jitter = u64::try_from(self.faults.jitter.as_micros()).unwrap_or(0);
        let mut wait = self.faults.latency;
        if jitter > 0 {
            wait += Duration::from_micros(self.dice.between(0, jitter));
        }
        if let Some(rate) = self.faults.bytes_per_second {
            let micros = (bytes as u64).saturating_mul(1_000_000).checked_div(rate);
            wait += Duration::from_micros(micros.unwrap_or(0));
        }
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    fn flip(&mut self, part: &mut [u8]) {
        let Some(every) = self.faults.flip_every else {
            return;
        };
        for byte in part {
            if self.dice.below(every) == 0 {
                *byte ^= 1 << self.dice.below(8);
            }
        }
    }
}

async fn break_off(kind: Break, from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    match kind {
        Break::Reset => {
            for stream in [from.as_ref(), to.as_ref()] {
                stream.set_zero_linger()?;
            }
            // Dropped, it would end its side in order before the reset.
            to.forget();
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Break::BlackHole => std::future::pending().await,
        Break::HalfClose => {
            to.shutdown().await?;
            drop(to);
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests;
