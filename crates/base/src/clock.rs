//! Time as a value: decisions take it as an argument, and only the edges read a clock.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

/// One instant on both clocks. The wall clock says to which calendar window something belongs, and may step;
/// the monotonic clock measures durations, and never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Moment {
    pub wall: UnixMillis,
    /// Since an instant before the process began to serve.
    pub monotonic: Duration,
}

/// Where the time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> UnixMillis;

    /// Time that passes evenly, since an arbitrary instant.
    fn monotonic(&self) -> Duration;

    fn moment(&self) -> Moment {
        Moment {
            wall: self.now(),
            monotonic: self.monotonic(),
        }
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl UnixMillis {
    /// Whole seconds, as most wire formats carry them.
    pub fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that reads the machine's clock"
    )]
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Instant::now().saturating_duration_since(*START)
    }
}

impl ManualClock {
    pub fn advance(&self, span: Duration) {
        let step = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(step, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
