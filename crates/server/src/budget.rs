//! How many bytes of request bodies may be held at once, over all connections and threads.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tollgate_base::{Error, Kind, Result};

/// The bytes that are held, and how many may be.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    held: AtomicU64,
    limit: u64,
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: BodyBudget,
    bytes: u64,
}

impl BodyBudget {
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Inner {
            held: AtomicU64::new(0),
            limit,
        }))
    }

    /// An empty share, to be grown as a body comes in.
    pub(crate) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

impl Share {
    /// Takes more of the budget, or says that there is no more: 503, and the connection is of no further use.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<()> {
        let Inner { held, limit } = &*self.budget.0;
        let before = held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes > *limit {
            let message = "The gateway holds as many request bodies as it may. Try again shortly.";
            return Err(Error::new(Kind::Overloaded, "overloaded", message)
                .with_retry_after(std::time::Duration::from_secs(1))
                .closing());
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_over_all_shares_and_comes_back() {
        let budget = BodyBudget::new(100);
        let mut first = budget.share();
        first.grow(60).unwrap();
        assert_eq!(budget.share().grow(60).unwrap_err().code(), "overloaded");
        drop(first);
        budget.share().grow(100).unwrap();
    }
}
