use super::*;
use crate::error::ErrorKind;
use crate::generation::{Event, FinishReason, Usage};
use crate::request::Sampling;
use std::time::Duration;

fn request(text: &str, max_tokens: Option<u32>) -> Request {
    Request {
        sampling: Sampling::greedy(),
        max_tokens,
        ..Request::new(Prompt::Raw(text.to_owned()))
    }
}

fn limits() -> Limits {
    Limits {
        idle: Duration::from_millis(1),
        ..Limits::default()
    }
}

fn engine(limits: Limits) -> Engine {
    Engine::with_limits(Source::Builtin, "test".to_owned(), limits)
}

async fn last(mut generation: Generation) -> Event {
    loop {
        match generation.next().await.unwrap() {
            Event::Text(_) => {}
            last => {
                assert_eq!(generation.next().await, None);
                return last;
            }
        }
    }
}

#[tokio::test]
async fn a_panic_fails_the_running_and_the_next_request_works() {
    let engine = engine(Limits::default());
    // Both wait in the queue while the model is loaded, so that no generation is quick enough to end before.
    let mut starting = std::pin::pin!(engine.generate(request("Tollgate", None)));
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(starting.as_mut().poll(cx))).await;
    assert!(first.is_pending());
    engine.panic_worker();
    let running = starting.await.unwrap();
    let Event::Failed(error) = last(running).await else {
        panic!("the generation must fail");
    };
    assert_eq!(error.kind, ErrorKind::Internal);
    let next = engine.generate(request("Tollgate", Some(3))).await.unwrap();
    let Event::Done { usage, .. } = last(next).await else {
        panic!("the next generation must work");
    };
    assert_eq!(
        usage,
        Usage {
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: 0,
            output_tokens: 3
        }
    );
    // A sequence gives its place back just after its last event.
    while engine.inner.places.n_taken() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_idle_model_is_unloaded_and_loads_again() {
    let engine = engine(limits());
    assert!(!engine.is_loaded());
    for _ in 0..3 {
        let generation = engine.generate(request("Hello", Some(2))).await.unwrap();
        assert!(matches!(
            last(generation).await,
            Event::Done {
                reason: FinishReason::MaxTokens,
                ..
            }
        ));
        // Bounded by the test's own time limit only: the thread leaves a millisecond after its last work.
        while engine.is_loaded() {
            tokio::task::yield_now().await;
        }
        assert_eq!(engine.active(), 0);
    }
}
