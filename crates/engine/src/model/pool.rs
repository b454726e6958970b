//! The threads that a model computes with.
//!
//! A job is a number of parts; the calling thread and the pool's own take one part after the other until none is left.
//! Nothing borrows: a job owns what it reads, and each part gives back what it made. Threads look for a new job for a few
//! microseconds, which is as long as the steps between two jobs take, and then sleep.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How long a thread without a job looks for one before it sleeps.
const PATIENCE: Duration = Duration::from_micros(20);

pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Signalled when there is a new job, or the pool closes.
    news: Condvar,
    /// Signalled when the last thread has left a job.
    done: Condvar,
    /// `State::turn`, to look at without the lock.
    turn: AtomicUsize,
    is_busy: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Counts the jobs.
    turn: usize,
    job: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Threads that work on the job.
    n_inside: usize,
    is_closing: bool,
}

/// A job's parts and what they made.
struct Parts<T, F> {
    part: F,
    next: AtomicUsize,
    made: Vec<Mutex<Option<T>>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// === impl Pool ===

impl Pool {
    /// `n_threads` work at once, the caller among them. Where the system gives fewer threads, fewer work.
    pub(crate) fn new(n_threads: usize) -> Pool {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            news: Condvar::new(),
            done: Condvar::new(),
            turn: AtomicUsize::new(0),
            is_busy: AtomicBool::new(false),
        });
        let threads = (1..n_threads)
            .map_while(|_| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name("tollgate-matrix".to_owned())
                    .spawn(move || shared.live())
                    .ok()
            })
            .collect();
        Pool { shared, threads }
    }

    /// One thread fewer than there are cores, for the rest of the program has work too.
    pub(crate) fn default_threads() -> usize {
        std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1))
    }

    pub(crate) fn n_threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// What `part` makes of each index below `n_parts`, in order.
    pub(crate) fn map<T, F>(&self, n_parts: usize, part: F) -> Vec<T>
    where
        T: Send + 'static,
        F: Fn(usize) -> T + Send + Sync + 'static,
    {
        if n_parts == 1 || self.threads.is_empty() {
            return (0..n_parts).map(part).collect();
        }
        let parts = Arc::new(Parts {
            part,
            next: AtomicUsize::new(0),
            made: (0..n_parts).map(|_| Mutex::new(None)).collect(),
            panic: Mutex::new(None),
        });
        let job = Arc::clone(&parts);
        self.begin(Arc::new(move || job.work()));
        parts.work();
        self.finish();
        if let Some(panic) = parts.panic.lock().take() {
            resume_unwind(panic);
        }
        parts
            .made
            .iter()
            .filter_map(|made| made.lock().take())
            .collect()
    }

    fn begin(&self, job: Arc<dyn Fn() + Send + Sync>) {
        let mut state = self.shared.state.lock();
        state.turn += 1;
        state.job = Some(job);
        self.shared.turn.store(state.turn, Ordering::Release);
        self.shared.news.notify_all();
    }

    /// Ends the job once no thread works on it. All parts have been taken by now.
    fn finish(&self) {
        let began = Instant::now();
        while self.shared.is_busy.load(Ordering::Acquire) && began.elapsed() < PATIENCE {
            std::hint::spin_loop();
        }
        let mut state = self.shared.state.lock();
        state.job = None;
        while state.n_inside > 0 {
            self.shared.done.wait(&mut state);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.lock().is_closing = true;
        self.shared.news.notify_all();
        for thread in self.threads.drain(..) {
            // Its panics were caught and raised again in `map`.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.n_threads())
    }
}

// === impl Shared ===

impl Shared {
    /// A thread's whole life.
    fn live(&self) {
        let mut seen = 0;
        while let Some(job) = self.next_job(&mut seen) {
            job();
            // The job's data must be gone before the caller goes on: it may want to write to what the job read.
            drop(job);
            let mut state = self.state.lock();
            state.n_inside -= 1;
            if state.n_inside == 0 {
                self.is_busy.store(false, Ordering::Release);
                self.done.notify_all();
            }
        }
    }

    fn next_job(&self, seen: &mut usize) -> Option<Arc<dyn Fn() + Send + Sync>> {
        let began = Instant::now();
        while self.turn.load(Ordering::Acquire) == *seen && began.elapsed() < PATIENCE {
            std::hint::spin_loop();
        }
        let mut state = self.state.lock();
        loop {
            if state.is_closing {
                return None;
            }
            if state.turn != *seen {
                *seen = state.turn;
                // A thread that comes late finds the job over.
                if let Some(job) = &state.job {
                    let job = Arc::clone(job);
                    state.n_inside += 1;
                    self.is_busy.store(true, Ordering::Release);
                    return Some(job);
                }
            }
            self.news.wait(&mut state);
        }
    }
}

// === impl Parts ===

impl<T: Send, F: Fn(usize) -> T> Parts<T, F> {
    fn work(&self) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(made) = self.made.get(index) else {
                return;
            };
            match catch_unwind(AssertUnwindSafe(|| (self.part)(index))) {
                Ok(result) => *made.lock() = Some(result),
                Err(panic) => *self.panic.lock() = Some(panic),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_in_order_however_many_threads_there_are() {
        for n_threads in [1, 2, 5] {
            let pool = Pool::new(n_threads);
            for n_parts in [1, 2, 3, 40, 1000] {
                let found = pool.map(n_parts, |i| i * 3);
                assert_eq!(found, (0..n_parts).map(|i| i * 3).collect::<Vec<usize>>());
            }
        }
    }

    #[test]
    fn what_a_job_read_is_free_again_when_it_is_over() {
        let pool = Pool::new(4);
        let mut data = Arc::new(vec![0_usize; 64]);
        for round in 1..500 {
            let read = Arc::clone(&data);
            let found = pool.map(64, move |i| read[i] + 1);
            let Some(data) = Arc::get_mut(&mut data) else {
                panic!("a thread still holds the job in round {round}");
            };
            data.copy_from_slice(&found);
            assert!(data.iter().all(|n| *n == round));
        }
    }

    #[test]
    fn a_panic_in_a_part_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(3);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.map(20, |i| assert!(i != 7, "part seven"));
        }));
        assert!(caught.is_err());
        assert_eq!(pool.map(3, |i| i), [0, 1, 2]);
    }
}
