use super::*;
use crate::error::ErrorKind;
use crate::generation::{Event, FinishReason, Usage};
use crate::request::Sampling;
use crate::room::Room;
use std::time::Duration;

fn request(text: &str, max_tokens: Option<u32>) -> Request {
    Request {
        sampling: Sampling::greedy(),
        max_tokens,
        ..Request::new(Prompt::Raw(text.to_owned()))
    }
}

fn quick() -> Options {
    Options {
        idle: Duration::from_millis(1),
        ..Options::default()
    }
}

fn engine(options: Options) -> Engine {
    Engine::builtin_with(options)
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
    let engine = engine(Options::default());
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
    let engine = engine(quick());
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

/// A generation, begun as soon as there is room: a worker is idle a moment after its last event.
async fn generated(engine: &Engine, request: Request) -> Generation {
    let began = std::time::Instant::now();
    loop {
        match engine.generate(request.clone()).await {
            Ok(generation) => return generation,
            Err(error) => assert_eq!(error.kind, ErrorKind::Busy),
        }
        assert!(began.elapsed() < Duration::from_secs(20), "never any room");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_idle_model_makes_room_for_another_and_one_at_work_does_not() {
    let need = Source::Builtin.memory().unwrap();
    // One whole window fits beside the weights: room for one model.
    let room = Room::new(need.weights + 20 * need.bytes_of_block());
    let small = || {
        engine(Options {
            room: room.clone(),
            ..Options::default()
        })
    };
    let (first, second) = (small(), small());
    let began = std::time::Instant::now();
    // The longest answer ends some time, and this thread may be held up for as long: then it is tried again.
    loop {
        let long = Request {
            sampling: crate::endless::sampling(),
            ..request("Tollgate", None)
        };
        let running = generated(&first, long).await;
        let other = second.generate(request("Tollgate", Some(1))).await;
        last(running).await;
        match other {
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Busy);
                break;
            }
            Ok(generation) => drop(last(generation).await),
        }
        assert!(began.elapsed() < Duration::from_secs(20), "never refused");
    }
    last(generated(&second, request("Tollgate", Some(1))).await).await;
    assert!(second.is_loaded() && !first.is_loaded());
    assert!(room.taken() <= room.most());

    let tiny = engine(Options {
        room: Room::new(need.weights),
        ..Options::default()
    });
    let refused = tiny.generate(request("Tollgate", Some(1))).await.err();
    assert_eq!(refused.map(|error| error.kind), Some(ErrorKind::TooLarge));
}

#[tokio::test]
async fn a_window_that_is_set_is_the_models_window() {
    let engine = engine(Options {
        window: Some(40),
        ..Options::default()
    });
    assert_eq!(engine.describe().unwrap().window, 40);
    let long = "token ".repeat(60);
    let refused = engine.generate(request(&long, None)).await.err();
    let kind = refused.map(|error| error.kind);
    let Some(ErrorKind::ContextOverflow { window, .. }) = kind else {
        panic!("{kind:?}");
    };
    assert_eq!(window, 40);
}
