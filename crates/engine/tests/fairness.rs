//! Many streams at once: everybody's turn comes, in the order in which they asked. Time is counted in tokens that the
//! engine gave to anybody, so nothing here depends on how fast the machine is; `examples/streams.rs` measures seconds.

#[path = "support/endless.rs"]
mod endless;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::task::LocalSet;
use tollgate_engine::{Engine, Event, FinishReason, Options, Prompt, Request};

const PARALLEL: usize = 16;

/// What came so far, of all streams.
#[derive(Default)]
struct Log {
    n_tokens: Cell<u32>,
    /// The streams that have ended, and how many tokens there were then.
    ended: RefCell<Vec<(usize, u32)>>,
}

fn engine() -> Engine {
    Engine::builtin_with(Options {
        parallel: PARALLEL,
        queue: 300,
        ..Options::default()
    })
}

/// A request whose answer has exactly `n_output` tokens: what the prompt has is rewarded far beyond the end token. Nobody
/// shares a beginning with another.
fn request(owner: usize, n_prompt: usize, n_output: u32) -> Request {
    Request {
        sampling: endless::sampling(),
        max_tokens: Some(n_output),
        logprobs: Some(0),
        owner: owner.to_string(),
        ..Request::new(Prompt::Tokens((400..420).cycle().take(n_prompt).collect()))
    }
}

/// Asks for a stream and reads it to its end; one that does not stay is dropped when it has begun.
async fn watch(engine: Engine, request: Request, stream: usize, (log, stays): (Rc<Log>, bool)) {
    let mut generation = engine.generate(request).await.expect("a place");
    while stays && let Some(event) = generation.next().await {
        match event {
            Event::Text(piece) => {
                let n_more = u32::try_from(piece.tokens.len()).expect("a few");
                log.n_tokens.set(log.n_tokens.get() + n_more);
            }
            Event::Done { reason, .. } => {
                assert_eq!(reason, FinishReason::MaxTokens);
                log.ended.borrow_mut().push((stream, log.n_tokens.get()));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Asks for all before the first is answered, in their order, and reads those that stay; the log of what came.
async fn run(requests: Vec<Request>, stays: impl Fn(usize) -> bool) -> Rc<Log> {
    let engine = engine();
    let log = Rc::new(Log::default());
    let local = LocalSet::new();
    for (stream, request) in requests.into_iter().enumerate() {
        let watched = (Rc::clone(&log), stays(stream));
        local.spawn_local(watch(engine.clone(), request, stream, watched));
    }
    local.await;
    // A sequence leaves the batch just after its last event, a cancelled one with the next step.
    while engine.active() > 0 {
        tokio::task::yield_now().await;
    }
    log
}

/// Of streams of one length, those that end before one which came first were in the batch with it: fewer than a batch.
fn assert_in_order(log: &Log) {
    let mut order: Vec<usize> = log
        .ended
        .borrow()
        .iter()
        .map(|(stream, _)| *stream)
        .collect();
    let found = order.clone();
    order.sort_unstable();
    for (place, stream) in found.iter().enumerate() {
        let expected = order.binary_search(stream).expect("one of them");
        assert!(place.abs_diff(expected) < PARALLEL, "{found:?}");
    }
}

#[tokio::test]
async fn of_200_streams_none_takes_three_times_as_long_as_the_median() {
    let requests = (0..200).map(|i| request(i, 12, 64)).collect();
    let log = run(requests, |_| true).await;
    assert_in_order(&log);
    let mut ends: Vec<u32> = log.ended.borrow().iter().map(|(_, end)| *end).collect();
    assert_eq!((ends.len(), log.n_tokens.get()), (200, 200 * 64));
    ends.sort_unstable();
    let (median, last) = (ends[100], ends[199]);
    println!("median {median}, last {last} tokens");
    assert!(last < 3 * median, "median {median}, last {last}");
}

#[tokio::test]
async fn streams_that_are_cancelled_take_nothing_from_the_others() {
    let requests = (0..200).map(|i| request(i, 12, 64)).collect();
    let log = run(requests, |stream| stream % 2 == 1).await;
    assert_in_order(&log);
    assert_eq!(log.n_tokens.get(), 100 * 64);
    assert_eq!(log.ended.borrow().len(), 100);
}

#[tokio::test]
async fn long_prompts_and_short_ones_do_not_starve_each_other() {
    const N_LONG: usize = PARALLEL / 2;
    const N_ALL: usize = N_LONG + 200;
    let n_prompt = |stream| if stream < N_LONG { 800 } else { 8 };
    let requests = (0..N_ALL).map(|i| request(i, n_prompt(i), 16)).collect();
    let log = run(requests, |_| true).await;
    let ended = log.ended.borrow();
    let places = ended.iter().enumerate();
    let long: Vec<usize> = places
        .filter(|(_, (stream, _))| *stream < N_LONG)
        .map(|(place, _)| place)
        .collect();
    println!("of {N_ALL} streams, those with long prompts ended as {long:?}");
    assert_eq!((ended.len(), long.len()), (N_ALL, N_LONG));
    // Reading 800 tokens in shares of eight takes a hundred steps, in which the other half of the batch goes on: sixteen
    // steps for an answer.
    assert!(long[0] >= 3 * N_LONG, "short answers waited: {long:?}");
    // With as small a share as there is, of four tokens, they read for two hundred.
    assert!(long[N_LONG - 1] < 150, "long prompts waited: {long:?}");
    // Those that asked as one like them did keep their order.
    let short = Log::default();
    let is_short = |(stream, _): &&(usize, u32)| *stream >= N_LONG;
    short
        .ended
        .borrow_mut()
        .extend(ended.iter().filter(is_short));
    assert_in_order(&short);
}
