//! What lies between callers and the worker: requests on their way, and how many places are taken.
//!
//! A place is a guard: whoever holds it (a request on its way, a sequence in the batch) counts until it is dropped, so
//! no way of ending can leak one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::embedding::{Asker, EmbedInput};
use crate::error::EngineError;
use crate::generation::{Event, Started};
use crate::request::{Prompt, Request, Sampling};
use crate::sampling::Table;

/// A request for the worker.
#[derive(Debug)]
pub(crate) enum Job {
    Generate {
        request: Request,
        /// One for each candidate.
        seats: Vec<Seat>,
        reply: oneshot::Sender<Result<Started, EngineError>>,
    },
    Tokenize {
        prompt: Prompt,
        reply: oneshot::Sender<Result<Vec<u32>, EngineError>>,
        /// Held for its drop.
        _place: Place,
    },
    /// The distribution of the token after a prompt.
    Look {
        prompt: Prompt,
        sampling: Sampling,
        top: usize,
        reply: oneshot::Sender<Result<Table, EngineError>>,
        /// Held for its drop.
        _place: Place,
    },
    Embed {
        inputs: Vec<EmbedInput>,
        asker: Asker,
    },
    #[cfg(test)]
    Panic,
}

/// Where the events of one sequence go.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) events: mpsc::UnboundedSender<Event>,
    /// Held for its drop, which frees the place in the queue.
    pub(crate) _place: Place,
}

/// The places for requests that run, wait, or are on their way.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    taken: Arc<AtomicUsize>,
    most: usize,
}

#[derive(Debug)]
pub(crate) struct Place {
    taken: Arc<AtomicUsize>,
}

// === impl Job ===

impl Job {
    /// Answers with an error. A caller that is gone does not mind.
    pub(crate) fn refuse(self, error: EngineError) {
        match self {
            Job::Generate { reply, .. } => drop(reply.send(Err(error))),
            Job::Tokenize { reply, .. } => drop(reply.send(Err(error))),
            Job::Look { reply, .. } => drop(reply.send(Err(error))),
            Job::Embed { asker, .. } => asker.answer(Err(error)),
            #[cfg(test)]
            Job::Panic => {}
        }
    }
}

// === impl Places ===

impl Places {
    pub(crate) fn new(most: usize) -> Places {
        Places {
            taken: Arc::default(),
            most,
        }
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }

    #[cfg(test)]
    pub(crate) fn n_taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    pub(crate) fn take(&self) -> Result<Place, EngineError> {
        let one_more = |taken: usize| (taken < self.most).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .map_err(|_| EngineError::busy())?;
        Ok(Place {
            taken: Arc::clone(&self.taken),
        })
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}
