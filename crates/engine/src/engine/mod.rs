//! The engine as its callers hold it: cheap to clone, nothing loaded and no thread before the first request.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::error::EngineError;
use crate::generation::Generation;
use crate::model::Source;
use crate::queue::{Job, Places};
use crate::request::{Prompt, Request};
use crate::worker::{Limits, Worker};

const BUILTIN_ID: &str = "tollgate-demo";

/// A local model that answers requests.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    id: String,
    places: Places,
    worker: Arc<Worker>,
}

// === impl Engine ===

impl Engine {
    /// The model inside the program. It is loaded when the first request comes.
    pub fn builtin() -> Engine {
        Engine::with_limits(Source::Builtin, BUILTIN_ID.to_owned(), Limits::default())
    }

    /// A GGUF file, known to callers by `id`. It is read when the first request comes, which is when a bad file is told.
    pub fn from_file(path: PathBuf, id: String) -> Engine {
        Engine::with_limits(Source::File(path), id, Limits::default())
    }

    pub(crate) fn with_limits(source: Source, id: String, limits: Limits) -> Engine {
        Engine {
            inner: Arc::new(Inner {
                id,
                places: Places::new(limits.most_active + limits.most_waiting),
                worker: Arc::new(Worker::new(source, limits)),
            }),
        }
    }

    pub fn model_id(&self) -> &str {
        &self.inner.id
    }

    /// Whether the model is in memory.
    pub fn is_loaded(&self) -> bool {
        self.inner.worker.is_loaded()
    }

    /// How many sequences took part in the last pass and go on.
    pub fn active(&self) -> usize {
        self.inner.worker.n_active()
    }

    /// Starts a generation. Everything that is wrong with the request is told here, before any event. Dropping the
    /// generation, or this future, cancels it.
    pub async fn generate(&self, request: Request) -> Result<Generation, EngineError> {
        request.check()?;
        let place = self.inner.places.take()?;
        let (events, receiver) = mpsc::unbounded_channel();
        let (reply, answer) = oneshot::channel();
        self.inner.worker.submit(Job::Generate {
            request,
            events,
            reply,
            place,
        })?;
        let prompt_tokens = answer.await.map_err(|_| broken())??;
        Ok(Generation::new(prompt_tokens, receiver))
    }

    /// The number of tokens of a prompt, with what the chat template adds.
    pub async fn count(&self, prompt: &Prompt) -> Result<usize, EngineError> {
        prompt.check()?;
        let place = self.inner.places.take()?;
        let (reply, answer) = oneshot::channel();
        self.inner.worker.submit(Job::Count {
            prompt: prompt.clone(),
            reply,
            _place: place,
        })?;
        answer.await.map_err(|_| broken())?
    }

    #[cfg(test)]
    fn panic_worker(&self) {
        self.inner.worker.submit(Job::Panic).unwrap();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("id", &self.inner.id)
            .field("is_loaded", &self.is_loaded())
            .field("active", &self.active())
            .finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Drop for Inner {
    /// The last handle is gone: the thread finishes what runs and leaves.
    fn drop(&mut self) {
        self.worker.close();
    }
}

fn broken() -> EngineError {
    EngineError::internal("the local engine broke off; try again")
}

#[cfg(test)]
mod tests;
