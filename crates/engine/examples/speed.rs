//! Speed and memory of the engine with a model file:
//! `cargo run --release -p tollgate-engine --example speed -- FILE.gguf`.
//!
//! `tools/engine-vectors/measure.py` prints the same of llama.cpp, and `big.py` beside it makes a file to measure with.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tollgate_engine::{Engine, Event, Prompt, Request, Sampling};

/// The kernel counts CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);
const N_STEPS: u32 = 24;

#[expect(
    clippy::print_stdout,
    reason = "a program run by hand that prints figures"
)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("which file?")?);
    let engine = Engine::from_file(path, "measured".to_owned());
    let began = Instant::now();
    generate(&engine, 1, 8, 1).await?;
    println!("load and 8 tokens {:.2} s", began.elapsed().as_secs_f64());
    let (prompt, _) = timed("prompt 256", 256, generate(&engine, 1, 256, 1)).await?;
    println!("{prompt}");
    for n_sequences in [1, 4, 8] {
        let n_tokens = n_sequences * N_STEPS;
        let what = format!("generate {n_sequences}");
        let (line, n_output) =
            timed(&what, n_tokens, generate(&engine, n_sequences, 1, N_STEPS)).await?;
        println!("{line}");
        if n_output != n_tokens {
            println!("  only {n_output} tokens came: the file ends answers early");
        }
    }
    println!("{}", status("VmHWM")?);
    Ok(())
}

async fn timed(
    what: &str,
    n_tokens: u32,
    work: impl Future<Output = Result<u32, Box<dyn std::error::Error>>>,
) -> Result<(String, u32), Box<dyn std::error::Error>> {
    let (began, cpu) = (Instant::now(), cpu_time()?);
    let n_output = work.await?;
    let (wall, cpu) = (
        began.elapsed().as_secs_f64(),
        cpu_time()?.saturating_sub(cpu).as_secs_f64(),
    );
    let n = f64::from(n_tokens);
    let line = format!(
        "{what}: {:.1} tokens per CPU second, {:.1} per second",
        n / cpu,
        n / wall
    );
    Ok((line, n_output))
}

/// Runs so many sequences side by side and counts the tokens that came.
async fn generate(
    engine: &Engine,
    n_sequences: u32,
    n_prompt: u32,
    n_output: u32,
) -> Result<u32, Box<dyn std::error::Error>> {
    let mut running = Vec::new();
    for sequence in 0..n_sequences {
        let request = Request {
            sampling: Sampling::greedy(),
            max_tokens: Some(n_output),
            ..Request::new(Prompt::Tokens(
                (0..n_prompt).map(|i| 1000 + sequence + i).collect(),
            ))
        };
        running.push(engine.generate(request).await?);
    }
    let mut total = 0;
    for mut generation in running {
        while let Some(event) = generation.next().await {
            match event {
                Event::Text(_) | Event::Reasoning(_) | Event::ToolCall { .. } => {}
                Event::Done { usage, .. } => total += usage.output_tokens,
                Event::Failed(error) => return Err(error.into()),
            }
        }
    }
    Ok(total)
}

fn cpu_time() -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may have spaces; user and system time are the 12th and 13th after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let n: u32 = ticks.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * n)
}

fn status(key: &str) -> Result<String, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(key));
    Ok(line.unwrap_or_default().to_owned())
}
