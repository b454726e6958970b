//! Named places at which a test can let the process die, as `kill -9` would: nothing is flushed, no
//! destructor runs. Only with the feature `crash-points`; without it a crash point is an empty function.

/// Dies here when `TOLLGATE_CRASH_AT` is `name:n` and this is the `n`-th time that the point is passed.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn crash_point(_name: &str) {}

/// Dies here when `TOLLGATE_CRASH_AT` is `name:n` and this is the `n`-th time that the point is passed.
#[cfg(feature = "crash-points")]
pub fn crash_point(name: &str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };

    #[expect(
        clippy::disallowed_methods,
        reason = "read once, and only in builds for tests"
    )]
    static PLAN: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let text = std::env::var("TOLLGATE_CRASH_AT").ok()?;
        let (name, passes) = text.rsplit_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU64::new(passes.parse().ok()?)))
    });

    if let Some((point, left)) = &*PLAN
        && point == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
