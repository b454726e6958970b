//! How fair the engine is to many streams at once, in seconds, on the built-in model or a file:
//! `cargo run --release -p tollgate-engine --example streams -- [N [TOKENS [FILE.gguf]]]`.
//!
//! N streams (200) of so many tokens each (64) ask at once. `tests/fairness.rs` holds the same promise without a clock.

#[path = "../tests/support/endless.rs"]
mod endless;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tollgate_engine::{Engine, Event, Generation, Options, Prompt, Request};

type Failure = Box<dyn std::error::Error>;

#[expect(
    clippy::print_stdout,
    reason = "a program run by hand that prints figures"
)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let n_streams: usize = arguments.next().map_or(Ok(200), |n| n.parse())?;
    let n_tokens: u32 = arguments.next().map_or(Ok(64), |n| n.parse())?;
    let options = Options {
        parallel: 16,
        queue: n_streams,
        ..Options::default()
    };
    let engine = match arguments.next() {
        Some(path) => Engine::from_file_with(PathBuf::from(path), "measured".to_owned(), options),
        None => Engine::builtin_with(options),
    };
    // Loaded before the clock starts.
    finish(engine.generate(request(0, 1)).await?, Instant::now()).await?;
    let began = Instant::now();
    let mut streams = Vec::new();
    for i in 1..=n_streams {
        let generation = engine.generate(request(i, n_tokens)).await?;
        streams.push(tokio::spawn(async move {
            finish(generation, began)
                .await
                .map_err(|error| error.to_string())
        }));
    }
    let mut ends = Vec::new();
    let mut n_all = 0;
    for stream in streams {
        let (end, n_output) = stream.await??;
        ends.push(end.as_secs_f64());
        n_all += n_output;
    }
    ends.sort_by(f64::total_cmp);
    let at = |share: usize| {
        ends.get((ends.len() - 1) * share / 100)
            .copied()
            .unwrap_or(0.0)
    };
    let (median, most) = (at(50), at(100));
    println!(
        "{n_streams} streams, {n_all} tokens, {:.0} per second",
        f64::from(n_all) / most
    );
    println!(
        "seconds to finish: first {:.3}, median {median:.3}, 95 % {:.3}, last {most:.3}: last / median {:.2}",
        at(0),
        at(95),
        most / median
    );
    Ok(())
}

/// Goes on to its last token: what the prompt has is rewarded far beyond the end token.
fn request(owner: usize, n_tokens: u32) -> Request {
    Request {
        sampling: endless::sampling(),
        max_tokens: Some(n_tokens),
        owner: owner.to_string(),
        ..Request::new(Prompt::Tokens((400..420).collect()))
    }
}

async fn finish(
    mut generation: Generation,
    began: Instant,
) -> Result<(Duration, u32), tollgate_engine::EngineError> {
    let mut n_output = 0;
    while let Some(event) = generation.next().await {
        match event {
            Event::Text(_) | Event::Reasoning(_) | Event::ToolCall { .. } => {}
            Event::Done { usage, .. } => n_output = usage.output_tokens,
            Event::Failed(error) => return Err(error),
        }
    }
    Ok((began.elapsed(), n_output))
}
