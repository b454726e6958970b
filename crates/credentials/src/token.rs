//! What is fetched once and used until shortly before its end: access tokens and short-lived keys.
//!
//! One call fetches and those that find nothing usable wait for it; they share its outcome, good or bad.
//! A call that goes away while fetching hands the duty to one that waits. During a refresh the others use
//! the old value, and so do all when the refresh fails, as long as it is valid. There is no timer here:
//! a value is refreshed by the first call that finds it near its end.

use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tollgate_base::{Error, Result, UnixMillis};

/// How long before its end a value is refreshed.
const AHEAD_MS: u64 = 5 * 60 * 1000;
/// How long a refresh that brought nothing better is not tried again while the old value is valid.
const PAUSE_MS: u64 = 30 * 1000;
/// A value this near its end may end on the way to the provider.
const MARGIN_MS: u64 = 10 * 1000;

/// A value and its end.
#[derive(Debug)]
pub(crate) struct Token<T> {
    pub value: T,
    pub expires: UnixMillis,
}

pub(crate) struct Cache<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    token: Option<Token<T>>,
    refresh_at: UnixMillis,
    fetching: bool,
    /// Counts fetches that ended, so that a waiting call knows whether the one it waited for did.
    round: u64,
    /// Why the last fetch left nothing usable.
    failure: Option<Error>,
    waiting: Vec<Waker>,
}

/// What a call does next.
enum Turn<'a, T> {
    Use(T),
    Fetch(Flight<'a, T>),
}

/// The duty to fetch. Dropping it, landed or not, wakes those who wait.
struct Flight<'a, T> {
    cache: &'a Cache<T>,
}

// === impl Cache ===

impl<T: Clone> Cache<T> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                token: None,
                refresh_at: UnixMillis(0),
                fetching: false,
                round: 0,
                failure: None,
                waiting: Vec::new(),
            }),
        }
    }

    /// The value; `fetch` runs only if this call is the one to fetch.
    pub(crate) async fn value(
        &self,
        now: UnixMillis,
        fetch: impl Future<Output = Result<Token<T>>>,
    ) -> Result<T> {
        let mut joined = None;
        match poll_fn(|cx| self.turn(cx, now, &mut joined)).await? {
            Turn::Use(value) => Ok(value),
            Turn::Fetch(flight) => {
                let outcome = fetch.await;
                flight.land(now, outcome)
            }
        }
    }

    fn turn(
        &self,
        cx: &Context<'_>,
        now: UnixMillis,
        joined: &mut Option<u64>,
    ) -> Poll<Result<Turn<'_, T>>> {
        let mut state = self.state.lock();
        // ## the fetch that this call waited for has ended => its outcome, even a token that ends at once
        if joined.is_some_and(|round| round != state.round) {
            if let Some(failure) = &state.failure {
                return Poll::Ready(Err(failure.clone()));
            }
            if let Some(token) = &state.token {
                return Poll::Ready(Ok(Turn::Use(token.value.clone())));
            }
        }
        // ## valid, and fresh or being refreshed => use it
        if let Some(token) = state.usable(now)
            && (state.fetching || now < state.refresh_at)
        {
            return Poll::Ready(Ok(Turn::Use(token.value.clone())));
        }
        // ## nobody fetches => this call does
        if !state.fetching {
            state.fetching = true;
            return Poll::Ready(Ok(Turn::Fetch(Flight { cache: self })));
        }
        // ## nothing usable, and somebody fetches => wait
        joined.get_or_insert(state.round);
        if !state
            .waiting
            .iter()
            .any(|waker| waker.will_wake(cx.waker()))
        {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

// === impl State ===

impl<T> State<T> {
    fn usable(&self, now: UnixMillis) -> Option<&Token<T>> {
        self.token
            .as_ref()
            .filter(|token| now.0.saturating_add(MARGIN_MS) < token.expires.0)
    }
}

// === impl Flight ===

impl<T: Clone> Flight<'_, T> {
    fn land(self, now: UnixMillis, outcome: Result<Token<T>>) -> Result<T> {
        let mut state = self.cache.state.lock();
        state.round += 1;
        let pause = now.0.saturating_add(PAUSE_MS);
        let result = match outcome {
            Ok(token) => {
                // A metadata server may give the old token again until shortly before its end.
                state.refresh_at = UnixMillis(token.expires.0.saturating_sub(AHEAD_MS).max(pause));
                let value = token.value.clone();
                state.token = Some(token);
                Ok(value)
            }
            Err(error) => {
                let old = state.usable(now).map(|token| token.value.clone());
                if old.is_some() {
                    tracing::warn!(%error, "credentials not refreshed; the old ones are still valid");
                    state.refresh_at = UnixMillis(pause);
                } else {
                    state.token = None;
                }
                old.ok_or(error)
            }
        };
        state.failure = result.as_ref().err().cloned();
        drop(state);
        result
    }
}

impl<T> Drop for Flight<'_, T> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.cache.state.lock();
            state.fetching = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        pin::{Pin, pin},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;
    use crate::refusal;

    const MINUTE: u64 = 60_000;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn at(minutes: u64) -> UnixMillis {
        UnixMillis(minutes * MINUTE)
    }

    /// One call at `now` whose fetch would give `outcome`; and whether it fetched.
    fn call(
        cache: &Cache<u32>,
        now: UnixMillis,
        outcome: Result<Token<u32>>,
    ) -> (Result<u32>, bool) {
        let fetched = Cell::new(false);
        let mut value = pin!(cache.value(now, async {
            fetched.set(true);
            outcome
        }));
        let Poll::Ready(result) = poll(value.as_mut(), &Waker::noop().clone()) else {
            panic!("a call waits although nobody fetches");
        };
        (result, fetched.get())
    }

    fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(waker))
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the outcome of a fetch, as `failed` gives it"
    )]
    fn token(value: u32, expires: UnixMillis) -> Result<Token<u32>> {
        Ok(Token { value, expires })
    }

    fn failed() -> Result<Token<u32>> {
        Err(refusal("no"))
    }

    #[test]
    fn a_token_is_kept_until_five_minutes_before_its_end() {
        let cache = Cache::new();
        assert_eq!(call(&cache, at(0), token(1, at(60))), (Ok(1), true));
        assert_eq!(call(&cache, at(54), token(2, at(114))), (Ok(1), false));
        assert_eq!(call(&cache, at(55), token(2, at(115))), (Ok(2), true));
        assert_eq!(call(&cache, at(56), failed()), (Ok(2), false));
    }

    #[test]
    fn a_refresh_that_fails_leaves_the_old_token_in_use_until_its_end() {
        let cache = Cache::new();
        assert_eq!(call(&cache, at(0), token(1, at(60))), (Ok(1), true));
        assert_eq!(call(&cache, at(55), failed()), (Ok(1), true));
        assert_eq!(
            call(&cache, UnixMillis(55 * MINUTE + 29_999), failed()),
            (Ok(1), false)
        );
        assert_eq!(call(&cache, at(56), failed()), (Ok(1), true));
        let (result, fetched) = call(&cache, at(60), failed());
        assert_eq!(
            (result.unwrap_err().code(), fetched),
            ("upstream_auth", true)
        );
        assert_eq!(call(&cache, at(60), token(3, at(120))), (Ok(3), true));
    }

    #[test]
    fn a_token_that_ends_soon_is_not_fetched_by_every_call() {
        let cache = Cache::new();
        assert_eq!(call(&cache, at(0), token(1, at(4))), (Ok(1), true));
        assert_eq!(call(&cache, UnixMillis(29_999), failed()), (Ok(1), false));
        assert_eq!(
            call(&cache, UnixMillis(30_000), token(2, at(4))),
            (Ok(2), true)
        );
    }

    #[test]
    fn calls_that_find_nothing_wait_for_the_one_that_fetches_and_share_its_outcome() {
        for outcome in [token(7, at(60)), failed()] {
            let good = outcome.is_ok();
            let (cache, wakes) = (Cache::new(), Arc::new(Wakes::default()));
            let waker = Waker::from(Arc::clone(&wakes));
            let held = Cell::new(None);
            let mut first = pin!(cache.value(
                at(0),
                poll_fn(|_| held.take().map_or(Poll::Pending, Poll::Ready))
            ));
            let mut second = pin!(cache.value(at(0), async { panic!("a second fetch") }));
            assert!(poll(first.as_mut(), &waker).is_pending());
            assert!(poll(second.as_mut(), &waker).is_pending());
            assert!(poll(second.as_mut(), &waker).is_pending());
            held.set(Some(outcome));
            let Poll::Ready(result) = poll(first.as_mut(), &waker) else {
                panic!("not landed")
            };
            assert_eq!(result.is_ok(), good);
            assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "woken once");
            assert_eq!(poll(second.as_mut(), &waker), Poll::Ready(result));
        }
    }

    #[test]
    fn while_one_call_refreshes_the_others_use_the_old_token() {
        let cache = Cache::new();
        assert_eq!(call(&cache, at(0), token(1, at(60))), (Ok(1), true));
        let mut refresh = pin!(cache.value(at(56), std::future::pending()));
        assert!(poll(refresh.as_mut(), &Waker::noop().clone()).is_pending());
        assert_eq!(call(&cache, at(56), failed()), (Ok(1), false));
    }

    #[test]
    fn a_call_that_goes_away_while_fetching_hands_on_the_duty() {
        let (cache, wakes) = (Cache::new(), Arc::new(Wakes::default()));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut first = Box::pin(cache.value(at(0), std::future::pending()));
        let mut second = pin!(cache.value(at(0), async { token(2, at(60)) }));
        assert!(poll(first.as_mut(), &waker).is_pending());
        assert!(poll(second.as_mut(), &waker).is_pending());
        drop(first);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(poll(second.as_mut(), &waker), Poll::Ready(Ok(2)));
    }
}
