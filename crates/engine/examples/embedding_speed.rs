//! How many texts a second a model embeds:
//! `cargo run --release -p tollgate-engine --example embedding_speed -- FILE.gguf`.
//!
//! `tools/engine-vectors/measure_embeddings.py` prints the same of llama.cpp.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tollgate_engine::{EmbedInput, Engine};

/// The kernel counts CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

#[expect(
    clippy::print_stdout,
    reason = "a program run by hand that prints figures"
)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("which file?")?);
    let engine = Engine::from_file(path, "measured".to_owned());
    let began = Instant::now();
    engine.embed(texts(1, 16)).await?;
    println!("load and a text {:.2} s", began.elapsed().as_secs_f64());
    for (n_tokens, n_texts) in [(16, 256), (64, 64), (256, 16), (512, 8)] {
        let (began, cpu) = (Instant::now(), cpu_time()?);
        engine.embed(texts(n_texts, n_tokens)).await?;
        let (wall, cpu) = (
            began.elapsed().as_secs_f64(),
            cpu_time()?.saturating_sub(cpu).as_secs_f64(),
        );
        let n = f64::from(n_texts);
        println!(
            "texts of {n_tokens} tokens: {:.1} per CPU second, {:.1} per second",
            n / cpu,
            n / wall
        );
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("{}", line.unwrap_or_default());
    Ok(())
}

fn texts(n: u32, n_tokens: u32) -> Vec<EmbedInput> {
    let text = |i: u32| EmbedInput::Tokens((0..n_tokens).map(|at| 2000 + i + at).collect());
    (0..n).map(text).collect()
}

fn cpu_time() -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may have spaces; user and system time are the 12th and 13th after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let n: u32 = ticks.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * n)
}
