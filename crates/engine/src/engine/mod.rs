//! The engine as its callers hold it: cheap to clone, nothing loaded and no thread before the first request.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::embedding::{self, Asker, EmbedInput, Embedded};
use crate::error::EngineError;
use crate::generation::Generation;
use crate::model::{Description, Source};
use crate::options::Options;
use crate::queue::{Job, Places, Seat};
use crate::request::{Prompt, Request, Sampling};
use crate::sampling::Table;
use crate::worker::Worker;

const BUILTIN_ID: &str = "tollgate-demo";
const MOST_CANDIDATES: u32 = 64;

/// A local model that answers requests.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    id: String,
    description: OnceLock<Description>,
    places: Places,
    worker: Arc<Worker>,
}

// === impl Engine ===

impl Engine {
    /// The model inside the program. It is loaded when the first request comes.
    pub fn builtin() -> Engine {
        Engine::builtin_with(Options::default())
    }

    pub fn builtin_with(options: Options) -> Engine {
        Engine::new(Source::Builtin, BUILTIN_ID.to_owned(), options)
    }

    /// A GGUF file, known to callers by `id`. It is read when the first request comes, which is when a bad file is told.
    pub fn from_file(path: PathBuf, id: String) -> Engine {
        Engine::from_file_with(path, id, Options::default())
    }

    pub fn from_file_with(path: PathBuf, id: String, options: Options) -> Engine {
        Engine::new(Source::File(path), id, options)
    }

    fn new(source: Source, id: String, options: Options) -> Engine {
        Engine {
            inner: Arc::new(Inner {
                description: OnceLock::new(),
                places: Places::new(options.parallel.saturating_add(options.queue)),
                worker: Arc::new(Worker::new(id.clone(), source, options)),
                id,
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

    /// What the model is for, read from the head of its file when this is asked first; nothing is loaded.
    pub fn describe(&self) -> Result<Description, EngineError> {
        if let Some(description) = self.inner.description.get() {
            return Ok(*description);
        }
        let description = self.inner.worker.describe()?;
        Ok(*self.inner.description.get_or_init(|| description))
    }

    /// How many sequences took part in the last pass and go on.
    pub fn active(&self) -> usize {
        self.inner.worker.n_active()
    }

    /// Starts a generation. Everything that is wrong with the request is told here, before any event. Dropping the
    /// generation, or this future, cancels it.
    pub async fn generate(&self, request: Request) -> Result<Generation, EngineError> {
        let mut generations = self.generate_many(request, 1).await?;
        generations.pop().ok_or_else(broken)
    }

    /// Starts `n` answers to one prompt, 1..=64, which is computed once; each takes a place of its own in the batch and
    /// in the queue. With a seed, the first is the one that `generate` gives, and the others are the same every time.
    /// Each can be dropped alone. Every answer's usage counts the whole prompt.
    pub async fn generate_many(
        &self,
        request: Request,
        n: u32,
    ) -> Result<Vec<Generation>, EngineError> {
        request.check()?;
        if !(1..=MOST_CANDIDATES).contains(&n) {
            return Err(EngineError::invalid(
                "n",
                format!("n must be between 1 and {MOST_CANDIDATES}, not {n}"),
            ));
        }
        let most = self.inner.places.most();
        if n as usize > most {
            return Err(EngineError::invalid(
                "n",
                format!(
                    "n must be at most {most}, which is how many answers this model has places for"
                ),
            ));
        }
        let mut seats = Vec::new();
        let mut receivers = Vec::new();
        for _ in 0..n {
            let (events, receiver) = mpsc::unbounded_channel();
            let place = self.inner.places.take()?;
            seats.push(Seat {
                events,
                _place: place,
            });
            receivers.push(receiver);
        }
        let (reply, answer) = oneshot::channel();
        self.inner.worker.submit(Job::Generate {
            request,
            seats,
            reply,
        })?;
        let started = answer.await.map_err(|_| broken())??;
        let generation = |receiver| Generation::new(started, receiver);
        Ok(receivers.into_iter().map(generation).collect())
    }

    /// What the next token after a prompt is drawn from, step by step, for the `top` most likely tokens. The prompt may
    /// have 512 tokens.
    pub async fn distribution(
        &self,
        prompt: &Prompt,
        sampling: &Sampling,
        top: usize,
    ) -> Result<Table, EngineError> {
        prompt.check()?;
        sampling.check()?;
        let place = self.inner.places.take()?;
        let (reply, answer) = oneshot::channel();
        self.inner.worker.submit(Job::Look {
            prompt: prompt.clone(),
            sampling: sampling.clone(),
            top,
            reply,
            _place: place,
        })?;
        answer.await.map_err(|_| broken())?
    }

    /// The number of tokens of a prompt, with what the chat template adds.
    pub async fn count(&self, prompt: &Prompt) -> Result<usize, EngineError> {
        self.tokenize(prompt).await.map(|tokens| tokens.len())
    }

    /// The tokens of a prompt, with what the chat template adds.
    pub async fn tokenize(&self, prompt: &Prompt) -> Result<Vec<u32>, EngineError> {
        prompt.check()?;
        let place = self.inner.places.take()?;
        let (reply, answer) = oneshot::channel();
        self.inner.worker.submit(Job::Tokenize {
            prompt: prompt.clone(),
            reply,
            _place: place,
        })?;
        answer.await.map_err(|_| broken())?
    }

    /// A vector for each input, in order, each of length one. All inputs are checked before any is embedded. Dropping
    /// this future cancels it.
    pub async fn embed(&self, inputs: Vec<EmbedInput>) -> Result<Embedded, EngineError> {
        embedding::check(&inputs)?;
        let place = self.inner.places.take()?;
        let (reply, answer) = oneshot::channel();
        let asker = Asker { reply, place };
        self.inner.worker.submit(Job::Embed { inputs, asker })?;
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
