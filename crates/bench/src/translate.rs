//! What a translation between dialects costs, beside the splice that the same dialect takes: both in one run.
//!
//! The request is the benchmark's own conversation as a chat request, said in each dialect by the translation
//! itself, so that every pair has the same meaning. Times are medians of rounds in which all pairs take turns.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use clap::Args;
use tollgate_dialect::{
    Dialect, ModelTraits, Quirks, RawObject, Target, parse_request, patch_request, read_head,
    render_request,
};

use crate::payload::{DIALECTS, bodies};

type Outcome = Result<bool, Box<dyn std::error::Error>>;

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Rounds; the figures are medians over them
    #[arg(long, default_value_t = 15)]
    rounds: usize,
}

const SIZES: [(&str, usize); 2] = [("1 KB", 1024), ("100 KB", 100 * 1024)];

/// Prints a row for each pair: microseconds for each size, and how often the splice fits into it.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "from -> to: microseconds for a request, and its ratio to the same dialect's splice"
    )?;
    for (name, bytes) in SIZES {
        let bodies = bodies("m", bytes, false)?;
        writeln!(out, "\n{name}")?;
        let mut times = vec![vec![Vec::new(); DIALECTS.len()]; DIALECTS.len()];
        for _ in 0..plan.rounds {
            for (from, (_, body)) in bodies.iter().enumerate() {
                for (to, of_pair) in times[from].iter_mut().enumerate() {
                    of_pair.push(time(DIALECTS[from], DIALECTS[to], body, bytes)?);
                }
            }
        }
        for (from, row) in times.iter_mut().enumerate() {
            let splice = median(&mut row[from]);
            for (to, of_pair) in row.iter_mut().enumerate() {
                let micros = median(of_pair);
                writeln!(
                    out,
                    "  {:18} -> {:18} {micros:9.1}  {:5.1}x",
                    DIALECTS[from].name(),
                    DIALECTS[to].name(),
                    micros / splice
                )?;
            }
        }
    }
    Ok(true)
}

fn target<'a>(traits: &'a ModelTraits, quirks: &'a Quirks) -> Target<'a> {
    Target {
        model: "target-model",
        traits,
        quirks,
        max_output: None,
    }
}

/// Microseconds for one request from its bytes to the bytes that go out.
fn time(
    from: Dialect,
    to: Dialect,
    body: &bytes::Bytes,
    size: usize,
) -> Result<f64, Box<dyn std::error::Error>> {
    let turns = (2_000_000 / size).clamp(20, 2000);
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let began = Instant::now();
    for _ in 0..turns {
        let outcome = (|| {
            let raw = RawObject::parse(black_box(body.clone()))?;
            read_head(from, &raw)?;
            if from == to {
                return patch_request(to, &raw, target(&traits, &quirks));
            }
            render_request(to, &parse_request(from, &raw)?, target(&traits, &quirks))
        })();
        black_box(outcome.map_err(|error| error.message().to_owned())?);
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / turns as f64)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
