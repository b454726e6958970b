//! The engine's one thread: it loads the model when a request comes, runs the batch, and leaves when nothing has come
//! for a while, which frees the model. The next request starts it again.
//!
//! A panic never ends the process: the callers of that moment get an `Internal` error because their channels close, and
//! the next request finds a freshly loaded model. No lock is held while the batch advances.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::batch::Batch;
use crate::embedding::{EmbedBatch, EmbedInput};
use crate::error::EngineError;
use crate::model::{Cache, Embedder, Lane, Loaded, Model, Source};
use crate::queue::Job;
use crate::request::{Prompt, Sampling};
use crate::sampling::{Table, table};
use crate::sequence::Sequence;

const THREAD_NAME: &str = "tollgate-engine";
/// A prompt to be looked at is read in one pass, which everybody else waits for.
const MOST_LOOKED_AT: u32 = 512;

#[derive(Debug)]
pub(crate) struct Worker {
    /// What callers call the model.
    id: String,
    source: Source,
    limits: Limits,
    state: Mutex<State>,
    /// Signalled when `state` has something new for the thread.
    news: Condvar,
    n_active: AtomicUsize,
}

#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Sequences in one pass.
    pub(crate) most_active: usize,
    /// Sequences that wait for a place in it.
    pub(crate) most_waiting: usize,
    /// The model is freed when so long no request has come.
    pub(crate) idle: Duration,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Whether a thread is there that will look at `jobs`.
    is_running: bool,
    is_loaded: bool,
    /// The engine is dropped: finish what there is and leave.
    is_closing: bool,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            most_active: 16,
            most_waiting: 64,
            idle: Duration::from_mins(5),
        }
    }
}

// === impl Worker ===

impl Worker {
    pub(crate) fn new(id: String, source: Source, limits: Limits) -> Worker {
        Worker {
            id,
            source,
            limits,
            state: Mutex::default(),
            news: Condvar::new(),
            n_active: AtomicUsize::new(0),
        }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.state.lock().is_loaded
    }

    pub(crate) fn n_active(&self) -> usize {
        self.n_active.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.state.lock().is_closing = true;
        self.news.notify_all();
    }

    /// Gives the thread a job, and starts the thread where there is none.
    pub(crate) fn submit(self: &Arc<Worker>, job: Job) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        if !state.is_running {
            let worker = Arc::clone(self);
            std::thread::Builder::new()
                .name(THREAD_NAME.to_owned())
                .spawn(move || worker.live())
                .map_err(|error| {
                    EngineError::internal(format!(
                        "the local engine cannot start a thread: {error}"
                    ))
                })?;
            state.is_running = true;
        }
        state.jobs.push_back(job);
        self.news.notify_all();
        Ok(())
    }

    /// The thread's whole life.
    fn live(&self) {
        while catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            tracing::error!("the local engine panicked; what it was working on is lost");
            let mut state = self.state.lock();
            // A panic while loading would come again, and nothing has been taken from the queue.
            let lost = if state.is_loaded {
                VecDeque::new()
            } else {
                std::mem::take(&mut state.jobs)
            };
            let goes_on = !state.jobs.is_empty();
            self.leave(&mut state);
            state.is_running = goes_on;
            drop(state);
            // Their callers see closed channels, as those of the running sequences did.
            drop(lost);
            if !goes_on {
                return;
            }
        }
    }

    fn run(&self) {
        let model = match self.load() {
            Ok(Loaded::Model(model)) => model,
            Ok(Loaded::Embedder(embedder)) => return self.run_embedder(&embedder),
            Err(error) => {
                tracing::warn!(%error, "the local engine cannot load its model");
                let mut state = self.state.lock();
                self.leave(&mut state);
                let refused = std::mem::take(&mut state.jobs);
                drop(state);
                for job in refused {
                    job.refuse(error.clone());
                }
                return;
            }
        };
        let mut batch = Batch::default();
        while let Some(jobs) = self.next_jobs(batch.is_idle()) {
            for job in jobs {
                accept(job, &model, &mut batch, &self.id);
            }
            batch.step(&model, self.limits.most_active);
            self.n_active.store(batch.n_active(), Ordering::Release);
        }
        tracing::info!("local model unloaded");
    }

    /// The same with a model that embeds.
    fn run_embedder(&self, embedder: &Embedder) {
        let mut batch = EmbedBatch::default();
        while let Some(jobs) = self.next_jobs(batch.is_idle()) {
            for job in jobs {
                accept_embedding(job, embedder, &mut batch, &self.id);
            }
            batch.step(embedder);
            self.n_active.store(batch.n_active(), Ordering::Release);
        }
        tracing::info!("local model unloaded");
    }

    fn load(&self) -> Result<Loaded, EngineError> {
        let began = Instant::now();
        let model = self.source.load()?;
        self.state.lock().is_loaded = true;
        tracing::info!(elapsed = ?began.elapsed(), "local model loaded");
        Ok(model)
    }

    /// The jobs that have come; waits for one where the batch is idle. `None` when the thread shall leave.
    fn next_jobs(&self, batch_is_idle: bool) -> Option<VecDeque<Job>> {
        let mut state = self.state.lock();
        while batch_is_idle && state.jobs.is_empty() {
            let is_late =
                !state.is_closing && self.news.wait_for(&mut state, self.limits.idle).timed_out();
            if state.jobs.is_empty() && (is_late || state.is_closing) {
                self.leave(&mut state);
                return None;
            }
        }
        Some(std::mem::take(&mut state.jobs))
    }

    /// From here on the next request starts a thread.
    fn leave(&self, state: &mut MutexGuard<'_, State>) {
        state.is_running = false;
        state.is_loaded = false;
        self.n_active.store(0, Ordering::Release);
    }
}

/// Tokenizes, answers, and lets a generation into the batch. A caller that is gone does not mind the lost answer.
fn accept(job: Job, model: &Model, batch: &mut Batch, id: &str) {
    match job {
        Job::Generate {
            request,
            seats,
            reply,
        } => match Sequence::new(model, &request, seats) {
            Ok(sequence) => {
                drop(reply.send(Ok(sequence.prompt_tokens())));
                batch.enter(sequence);
            }
            Err(error) => drop(reply.send(Err(error))),
        },
        Job::Tokenize { prompt, reply, .. } => drop(reply.send(model.tokenize(&prompt))),
        Job::Look {
            prompt,
            sampling,
            top,
            reply,
            ..
        } => drop(reply.send(look(model, &prompt, &sampling, top))),
        Job::Embed { asker, .. } => asker.answer(Err(EngineError::writes_only(id))),
        #[cfg(test)]
        #[expect(clippy::panic, reason = "this job is how tests break the thread")]
        Job::Panic => panic!("a test broke the worker"),
    }
}

/// The same for a model that embeds.
fn accept_embedding(job: Job, model: &Embedder, batch: &mut EmbedBatch, id: &str) {
    match job {
        Job::Embed { inputs, asker } => batch.enter(model, &inputs, asker),
        Job::Tokenize { prompt, reply, .. } => {
            let tokens = match prompt {
                Prompt::Raw(text) => model.tokenize(&EmbedInput::Text(text), 0),
                Prompt::Tokens(tokens) => model.tokenize(&EmbedInput::Tokens(tokens), 0),
                Prompt::Messages(_) | Prompt::Conversation(_) => Err(EngineError::embeds_only(id)),
            };
            drop(reply.send(tokens));
        }
        other @ (Job::Generate { .. } | Job::Look { .. }) => {
            other.refuse(EngineError::embeds_only(id))
        }
        #[cfg(test)]
        #[expect(clippy::panic, reason = "this job is how tests break the thread")]
        Job::Panic => panic!("a test broke the worker"),
    }
}

/// Reads the prompt between two steps of the batch.
fn look(
    model: &Model,
    prompt: &Prompt,
    sampling: &Sampling,
    top: usize,
) -> Result<Table, EngineError> {
    sampling.check_tokens(model.tokenizer.vocabulary_size())?;
    let tokens = model.tokenize(prompt)?;
    let n_tokens = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    let most = MOST_LOOKED_AT.min(model.window() - 1);
    if n_tokens > most {
        return Err(EngineError::invalid(
            "prompt",
            format!("the prompt has {n_tokens} tokens; a distribution is shown for at most {most}"),
        ));
    }
    let mut cache = Cache::default();
    let lane = Lane {
        cache: &mut cache,
        tokens: &tokens,
        wants_logits: true,
    };
    let logits = model.network.forward(&mut [lane]).pop().flatten();
    let text = |token| String::from_utf8_lossy(model.tokenizer.token_bytes(token)).into_owned();
    table(&logits.unwrap_or_default(), &tokens, sampling, top, text)
}
