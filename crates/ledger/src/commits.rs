//! Waiting for the disk: which records a sync has covered, and whom to wake.
//!
//! A [`Durable`] can be awaited by any runtime, or waited for by a thread; this crate knows no runtime.

use std::{
    future::Future,
    ops::RangeInclusive,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::{Condvar, Mutex};
use tollgate_base::{Error, Result};

use crate::{health::Refusal, journal::Journal};

/// How far the disk has come.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    /// Every record up to this one is on the disk, or among `Waiting::failed`.
    done: AtomicU64,
    waiting: Mutex<Waiting>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    wakers: Vec<(u64, Waker)>,
    failed: Vec<RangeInclusive<u64>>,
}

/// The promise that a record survives the loss of power. Dropping it takes nothing back.
#[derive(Debug)]
#[must_use = "the record is not durable before this resolves"]
pub struct Durable {
    state: State,
    number: Option<u64>,
}

#[derive(Debug)]
enum State {
    Known(Result<()>),
    Written {
        journal: Arc<Journal>,
        number: u64,
        /// Whether its sync was asked for.
        is_asked: bool,
    },
}

// === impl Commits ===

impl Commits {
    /// Everything up to `number` is on the disk.
    pub(crate) fn reach(&self, number: u64) {
        self.finish(number, None);
    }

    /// Everything up to `number` is past waiting for, and of the records after the last success nobody knows.
    pub(crate) fn fail(&self, number: u64) {
        let from = self.done() + 1;
        self.finish(number, Some(from..=number));
    }

    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    fn finish(&self, number: u64, failed: Option<RangeInclusive<u64>>) {
        let mut waiting = self.waiting.lock();
        waiting.failed.extend(failed);
        self.done.fetch_max(number, Ordering::AcqRel);
        let awake = waiting.wakers.extract_if(.., |(at, _)| *at <= number);
        let awake: Vec<_> = awake.map(|(_, waker)| waker).collect();
        drop(waiting);
        self.moved.notify_all();
        awake.into_iter().for_each(Waker::wake);
    }

    /// Waits on this thread.
    fn wait(&self, number: u64) -> Result<()> {
        let mut waiting = self.waiting.lock();
        while self.done() < number {
            self.moved.wait(&mut waiting);
        }
        waiting.result(number)
    }

    fn poll(&self, number: u64, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut waiting = self.waiting.lock();
        if self.done() >= number {
            return Poll::Ready(waiting.result(number));
        }
        let waker = context.waker();
        let is_known = waiting
            .wakers
            .iter()
            .any(|(at, known)| *at == number && known.will_wake(waker));
        if !is_known {
            waiting.wakers.push((number, waker.clone()));
        }
        Poll::Pending
    }
}

// === impl Waiting ===

impl Waiting {
    fn result(&self, number: u64) -> Result<()> {
        if self.failed.iter().any(|range| range.contains(&number)) {
            return Err(Refusal::Unavailable.to_error());
        }
        Ok(())
    }
}

// === impl Durable ===

impl Durable {
    pub(crate) fn failed(error: Error) -> Self {
        Self {
            state: State::Known(Err(error)),
            number: None,
        }
    }

    pub(crate) fn done(number: u64) -> Self {
        Self {
            state: State::Known(Ok(())),
            number: Some(number),
        }
    }

    pub(crate) fn written(journal: Arc<Journal>, number: u64) -> Self {
        Self {
            state: State::Written {
                journal,
                number,
                is_asked: false,
            },
            number: Some(number),
        }
    }

    /// The record's number in the journal; `None` when it could not be written down.
    pub fn number(&self) -> Option<u64> {
        self.number
    }

    /// Waits on this thread.
    pub fn wait(mut self) -> Result<()> {
        self.ask();
        match &self.state {
            State::Known(result) => result.clone(),
            State::Written {
                journal, number, ..
            } => journal.commits.wait(*number),
        }
    }

    /// The first time that anybody waits, the sync is asked for; it may be done by then.
    fn ask(&mut self) {
        if let State::Written {
            journal,
            number,
            is_asked,
        } = &mut self.state
            && !std::mem::replace(is_asked, true)
        {
            journal.sync_up_to(*number);
        }
    }
}

impl Future for Durable {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.ask();
        match &self.state {
            State::Known(result) => Poll::Ready(result.clone()),
            State::Written {
                journal, number, ..
            } => journal.commits.poll(*number, context),
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        // Nobody waits, and the record is to be safe all the same.
        if let State::Written {
            journal,
            number,
            is_asked: false,
        } = &self.state
        {
            journal.ask_for_sync(*number);
        }
    }
}
