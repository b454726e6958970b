//! The engine's one thread: it loads the model when a request comes, runs the batch, and leaves when nothing has come
//! for a while, which frees the model. The next request starts it again.
//!
//! A panic never ends the process: the callers of that moment get an `Internal` error because their channels close, and
//! the next request finds a freshly loaded model. No lock is held while the batch advances.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::batch::{Batch, Bounds};
use crate::embedding::{EmbedBatch, EmbedInput};
use crate::error::EngineError;
use crate::model::{Cache, Description, Embedder, Lane, Loaded, Model, ModelKind, Source};
use crate::options::Options;
use crate::queue::Job;
use crate::request::{Prompt, Sampling};
use crate::room::{Share, Tenant};
use crate::sampling::{Table, table};
use crate::sequence::Sequence;

const THREAD_NAME: &str = "tollgate-engine";
/// Bytes of address space, not of memory: a grammar is made of a schema by recursion, as deep as a chain of references.
const STACK: usize = 512 << 20;
/// A prompt to be looked at is read in one pass, which everybody else waits for.
const MOST_LOOKED_AT: u32 = 512;

#[derive(Debug)]
pub(crate) struct Worker {
    /// What callers call the model.
    id: String,
    source: Source,
    options: Options,
    state: Mutex<State>,
    /// Signalled when `state` has something new for the thread.
    news: Condvar,
    n_active: AtomicUsize,
}

#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is told by another side: callers, the thread, another model, the owner"
)]
struct State {
    jobs: VecDeque<Job>,
    /// Whether a thread is there that will look at `jobs`.
    is_running: bool,
    is_loaded: bool,
    /// Since when the thread has waited for a job.
    idle_since: Option<Instant>,
    /// Another model needs the memory: leave, though jobs may come meanwhile.
    gives_way: bool,
    /// The engine is dropped: finish what there is and leave.
    is_closing: bool,
}

// === impl Worker ===

impl Worker {
    pub(crate) fn new(id: String, source: Source, options: Options) -> Worker {
        Worker {
            id,
            source,
            options,
            state: Mutex::default(),
            news: Condvar::new(),
            n_active: AtomicUsize::new(0),
        }
    }

    /// What the model is for, as it is run here.
    pub(crate) fn describe(&self) -> Result<Description, EngineError> {
        let mut description = self.source.describe()?;
        if let (ModelKind::Generates, Some(window)) = (description.kind, self.options.window) {
            description.window = description.window.min(window);
        }
        Ok(description)
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
                .stack_size(STACK)
                .spawn(move || worker.live())
                .map_err(|error| {
                    EngineError::internal(format!(
                        "the local engine cannot start a thread: {error}"
                    ))
                })?;
            state.is_running = true;
        }
        state.jobs.push_back(job);
        // It has work from now on, though the thread may not have seen that yet.
        if !state.gives_way {
            state.idle_since = None;
        }
        self.news.notify_all();
        Ok(())
    }

    /// The thread's whole life. It ends when no job waits; jobs that came while a model left load it again.
    fn live(self: &Arc<Worker>) {
        loop {
            let has_panicked = catch_unwind(AssertUnwindSafe(|| self.run())).is_err();
            let mut state = self.state.lock();
            let mut lost = VecDeque::new();
            if has_panicked {
                tracing::error!("the local engine panicked; what it was working on is lost");
                // A panic while loading would come again, and nothing has been taken from the queue.
                if !state.is_loaded {
                    lost = std::mem::take(&mut state.jobs);
                }
            }
            state.is_loaded = false;
            state.gives_way = false;
            state.idle_since = None;
            state.is_running = !state.jobs.is_empty();
            let goes_on = state.is_running;
            self.n_active.store(0, Ordering::Release);
            drop(state);
            // Their callers see closed channels, as those of the running sequences did.
            drop(lost);
            if !goes_on {
                return;
            }
        }
    }

    fn run(self: &Arc<Worker>) {
        // Given back after the model is freed: what is declared last is dropped first.
        let (_share, bounds) = match self.take_share() {
            Ok(taken) => taken,
            Err(error) => return self.refuse_all(&error),
        };
        let model = match self.load() {
            Ok(Loaded::Model(model)) => model,
            Ok(Loaded::Embedder(embedder)) => return self.run_embedder(&embedder),
            Err(error) => return self.refuse_all(&error),
        };
        let mut batch = Batch::new(bounds);
        let mut queue = VecDeque::new();
        while let Some(jobs) = self.next_jobs(batch.is_idle() && queue.is_empty()) {
            queue.extend(jobs);
            // Reading a prompt and making a grammar takes a while: those who are answered wait for one of them only.
            if let Some(job) = queue.pop_front() {
                accept(job, &model, &mut batch, &self.id);
            }
            batch.step(&model);
            self.n_active.store(batch.n_active(), Ordering::Release);
        }
        tracing::info!(model = self.id, "local model unloaded");
    }

    /// The memory for the weights and for the cache, and how many blocks that is.
    fn take_share(self: &Arc<Worker>) -> Result<(Share, Bounds), EngineError> {
        let Options {
            window,
            cache,
            parallel,
            room,
            ..
        } = &self.options;
        let need = self.source.memory()?;
        let window = match self.source.describe()?.kind {
            ModelKind::Generates => need.window.min(window.unwrap_or(u32::MAX)),
            ModelKind::Embeds { .. } => need.window,
        };
        let bytes = room.most().saturating_sub(need.weights).min(*cache);
        let n_blocks = bytes / need.bytes_of_block().max(1);
        let n_blocks = usize::try_from(n_blocks).unwrap_or(usize::MAX);
        let bounds = Bounds::new(*parallel, n_blocks, window);
        let bytes = need
            .bytes_of_block()
            .saturating_mul(bounds.most_blocks as u64);
        let bytes = need.weights.saturating_add(bytes);
        let tenant: Arc<dyn Tenant> = self.clone();
        let share = room.take(bytes, Arc::downgrade(&tenant))?;
        Ok((share, bounds))
    }

    fn refuse_all(&self, error: &EngineError) {
        tracing::warn!(model = self.id, %error, "the local engine cannot load its model");
        let refused = std::mem::take(&mut self.state.lock().jobs);
        for job in refused {
            job.refuse(error.clone());
        }
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
        tracing::info!(model = self.id, "local model unloaded");
    }

    fn load(&self) -> Result<Loaded, EngineError> {
        let began = Instant::now();
        let model = self
            .source
            .load(self.options.threads)?
            .within(self.options.window);
        self.state.lock().is_loaded = true;
        tracing::info!(model = self.id, elapsed = ?began.elapsed(), "local model loaded");
        Ok(model)
    }

    /// The jobs that have come; waits for one where the batch is idle. `None` when the model shall be freed.
    fn next_jobs(&self, batch_is_idle: bool) -> Option<VecDeque<Job>> {
        let mut state = self.state.lock();
        while batch_is_idle && (state.jobs.is_empty() || state.gives_way) {
            if state.is_closing || state.gives_way {
                return None;
            }
            state.idle_since.get_or_insert_with(Instant::now);
            let is_late = self
                .news
                .wait_for(&mut state, self.options.idle)
                .timed_out();
            if is_late && state.jobs.is_empty() {
                return None;
            }
        }
        state.idle_since = None;
        Some(std::mem::take(&mut state.jobs))
    }
}

impl Tenant for Worker {
    fn idle_since(&self) -> Option<Instant> {
        self.state.lock().idle_since
    }

    fn make_room(&self) -> bool {
        let mut state = self.state.lock();
        let is_idle = state.idle_since.is_some();
        state.gives_way |= is_idle;
        self.news.notify_all();
        is_idle
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
                drop(reply.send(Ok(sequence.started())));
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
            other.refuse(EngineError::embeds_only(id));
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
