//! A panic ends one request, not the connection's thread: the client gets a 500, the log the place.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

/// A future whose panic is a value. It stays where it is: a call's is large, and is not copied.
pub(crate) struct CatchPanic<'f, F>(Pin<&'f mut F>);

/// The inner future panicked.
#[derive(Debug)]
pub(crate) struct Panicked;

impl<'f, F: Future> CatchPanic<'f, F> {
    pub(crate) fn new(future: Pin<&'f mut F>) -> Self {
        Self(future)
    }
}

impl<F: Future> Future for CatchPanic<'_, F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A future that panicked is not polled again, so nobody sees it half changed.
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value() {
        let panics = std::pin::pin!(async {
            assert!(std::hint::black_box(false), "on purpose");
        });
        let mut caught = CatchPanic::new(panics);
        let polled = Pin::new(&mut caught).poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(Panicked))));
    }
}
