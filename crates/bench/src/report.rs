//! The results: the file, the table and the bars.
//!
//! A figure in the table is the median over the rounds. A ratio or a difference
//! is the median of those taken within each round, which drift cannot bend.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::load::LoadReport;
use crate::measures::{Measure, Subject};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: BTreeMap<String, String>,
    pub(crate) starts: Vec<Start>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) what: String,
    pub(crate) ready_ms: f64,
    pub(crate) idle_kib: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) round: usize,
    pub(crate) measure: Measure,
    pub(crate) subject: Subject,
    pub(crate) load: LoadReport,
}

/// One figure of a load.
type Figure = fn(Measure, &LoadReport) -> f64;

/// What a row shows beside the figures of the three.
#[derive(Clone, Copy)]
enum Beside {
    Ratio,
    Nothing,
    /// The difference to the provider reached directly.
    Added,
}

const ROWS: [(&str, Measure, Figure, Beside); 18] = [
    (
        "1 KB: CPU us per request",
        Measure::Small,
        cpu,
        Beside::Ratio,
    ),
    (
        "1 KB: requests per second, one core",
        Measure::Small,
        per_second,
        Beside::Ratio,
    ),
    (
        "1 KB: core in use (1 = saturated)",
        Measure::Small,
        utilisation,
        Beside::Nothing,
    ),
    (
        "20 KB: CPU us per request",
        Measure::Large,
        cpu,
        Beside::Ratio,
    ),
    (
        "20 KB: requests per second, one core",
        Measure::Large,
        per_second,
        Beside::Ratio,
    ),
    (
        "20 KB: core in use (1 = saturated)",
        Measure::Large,
        utilisation,
        Beside::Nothing,
    ),
    (
        "paced stream: CPU us per chunk",
        Measure::PacedStream,
        cpu_per_chunk,
        Beside::Ratio,
    ),
    (
        "burst stream: CPU us per chunk",
        Measure::BurstStream,
        cpu_per_chunk,
        Beside::Ratio,
    ),
    (
        "burst stream: chunks per second, one core",
        Measure::BurstStream,
        chunks_per_second,
        Beside::Ratio,
    ),
    (
        "burst stream: core in use",
        Measure::BurstStream,
        utilisation,
        Beside::Nothing,
    ),
    (
        "200/s: latency p50, us",
        Measure::Latency,
        p50,
        Beside::Nothing,
    ),
    (
        "200/s: latency p99, us",
        Measure::Latency,
        p99,
        Beside::Nothing,
    ),
    ("200/s: added p50, us", Measure::Latency, p50, Beside::Added),
    ("200/s: added p99, us", Measure::Latency, p99, Beside::Added),
    (
        "200/s: CPU us per request",
        Measure::Latency,
        cpu,
        Beside::Ratio,
    ),
    (
        "1,000 open streams: resident MiB",
        Measure::OpenStreams,
        resident_mib,
        Beside::Nothing,
    ),
    (
        "1,000 open streams: CPU us per chunk",
        Measure::OpenStreams,
        cpu_per_chunk,
        Beside::Ratio,
    ),
    (
        "1,000 open streams: open at once",
        Measure::OpenStreams,
        peak_open,
        Beside::Nothing,
    ),
];

fn cpu(_: Measure, load: &LoadReport) -> f64 {
    load.cpu_us_per_request
}
fn cpu_per_chunk(measure: Measure, load: &LoadReport) -> f64 {
    load.cpu_us_per_request / measure.chunks() as f64
}
fn chunks_per_second(measure: Measure, load: &LoadReport) -> f64 {
    load.per_second * measure.chunks() as f64
}
fn per_second(_: Measure, load: &LoadReport) -> f64 {
    load.per_second
}
fn utilisation(_: Measure, load: &LoadReport) -> f64 {
    load.utilisation
}
fn p50(_: Measure, load: &LoadReport) -> f64 {
    load.latency_us.p50
}
fn p99(_: Measure, load: &LoadReport) -> f64 {
    load.latency_us.p99
}
fn resident_mib(_: Measure, load: &LoadReport) -> f64 {
    load.resident_peak_kib as f64 / 1024.0
}
fn peak_open(_: Measure, load: &LoadReport) -> f64 {
    load.peak_open as f64
}

impl Results {
    /// The figure of each round, in the order of the rounds.
    fn figures(&self, measure: Measure, subject: Subject, figure: Figure) -> Vec<f64> {
        let of_both = |sample: &&Sample| sample.measure == measure && sample.subject == subject;
        self.samples
            .iter()
            .filter(of_both)
            .map(|sample| figure(measure, &sample.load))
            .collect()
    }

    /// A figure of two subjects in the same round, combined round by round.
    fn paired(
        &self,
        (measure, figure): (Measure, Figure),
        subjects: [Subject; 2],
        combine: fn(f64, f64) -> f64,
    ) -> Vec<f64> {
        let [left, right] = subjects.map(|subject| self.figures(measure, subject, figure));
        left.into_iter()
            .zip(right)
            .map(|(left, right)| combine(left, right))
            .collect()
    }

    fn ratio(&self, measure: Measure, figure: Figure) -> Vec<f64> {
        self.paired(
            (measure, figure),
            [Subject::Tollgate, Subject::Nginx],
            |left, right| left / right,
        )
    }

    fn added(&self, subject: Subject, figure: Figure) -> Vec<f64> {
        self.paired(
            (Measure::Latency, figure),
            [subject, Subject::Direct],
            |left, right| left - right,
        )
    }

    fn of_starts(&self, what: &str, figure: fn(&Start) -> f64) -> Vec<f64> {
        self.starts
            .iter()
            .filter(|start| start.what == what)
            .map(figure)
            .collect()
    }
}

pub(crate) fn print(output: &mut impl Write, results: &Results) -> io::Result<()> {
    for (name, value) in &results.machine {
        writeln!(output, "{name}: {value}")?;
    }
    writeln!(
        output,
        "\n{:<44}{:>10}{:>10}{:>10}  Tollgate / nginx (least to most)",
        "median over the rounds", "direct", "nginx", "Tollgate"
    )?;
    for (title, measure, figure, beside) in ROWS {
        let columns =
            [Subject::Direct, Subject::Nginx, Subject::Tollgate].map(|subject| match beside {
                Beside::Added if subject == Subject::Direct => Vec::new(),
                Beside::Added => results.added(subject, figure),
                Beside::Ratio | Beside::Nothing => results.figures(measure, subject, figure),
            });
        if columns.iter().all(Vec::is_empty) {
            continue;
        }
        write!(output, "{title:<44}")?;
        for column in &columns {
            write!(
                output,
                "{:>10}",
                median(column).map_or_else(|| "-".to_owned(), rounded)
            )?;
        }
        if matches!(beside, Beside::Ratio) {
            print_spread(output, &results.ratio(measure, figure))?;
        }
        writeln!(output)?;
    }
    print_unsaturated(output, results)?;
    writeln!(
        output,
        "\n{:<44}{:>10}{:>10}{:>10}",
        "start on all cores, median of five", "ready ms", "worst ms", "idle MiB"
    )?;
    for what in ["nginx", "tollgate, first start", "tollgate, later start"] {
        let ready = results.of_starts(what, |start| start.ready_ms);
        let idle = results.of_starts(what, |start| start.idle_kib as f64 / 1024.0);
        if let (Some(middle), Some(idle)) = (median(&ready), median(&idle)) {
            let worst = ready.iter().copied().fold(0.0, f64::max);
            writeln!(output, "{what:<44}{middle:>10.1}{worst:>10.1}{idle:>10.1}")?;
        }
    }
    writeln!(output)
}

/// Prints each bar with what was measured; whether all were met.
pub(crate) fn print_bars(output: &mut impl Write, results: &Results) -> io::Result<bool> {
    let first_start = results.of_starts("tollgate, first start", |start| start.ready_ms);
    let idle = results.of_starts("tollgate, first start", |start| {
        start.idle_kib as f64 / 1024.0
    });
    let open = results.figures(Measure::OpenStreams, Subject::Tollgate, resident_mib);
    let bars = [
        (
            "1 KB: CPU per request, times nginx",
            results.ratio(Measure::Small, cpu),
            3.0,
        ),
        (
            "20 KB: CPU per request, times nginx",
            results.ratio(Measure::Large, cpu),
            3.0,
        ),
        (
            "paced stream: CPU per chunk, times nginx",
            results.ratio(Measure::PacedStream, cpu),
            1.4,
        ),
        (
            "burst stream: CPU per chunk, times nginx",
            results.ratio(Measure::BurstStream, cpu),
            1.4,
        ),
        (
            "added p50 at 200/s, us",
            results.added(Subject::Tollgate, p50),
            300.0,
        ),
        (
            "added p99 at 200/s, us",
            results.added(Subject::Tollgate, p99),
            2000.0,
        ),
        ("1,000 open streams: resident MiB", open, 70.0),
        ("idle: resident MiB", idle, 25.0),
        ("first start to ready, ms", first_start, 100.0),
    ];
    let mut all_met = true;
    for (title, figures, limit) in bars {
        // A load left out with --only has no figures and no verdict.
        let Some(found) = median(&figures) else {
            continue;
        };
        let met = found <= limit;
        all_met &= met;
        let verdict = if met { "met" } else { "MISSED" };
        writeln!(
            output,
            "{title:<44}{:>10} of at most {limit:<6} {verdict}",
            rounded(found)
        )?;
    }
    Ok(all_met)
}

/// What the results file calls a measure or a subject.
pub(crate) fn name_of(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned()
}

/// Requests per second of a core with time to spare are no more than a lower bound: says so.
fn print_unsaturated(output: &mut impl Write, results: &Results) -> io::Result<()> {
    for measure in [Measure::Small, Measure::Large] {
        for subject in [Subject::Nginx, Subject::Tollgate] {
            let found = median(&results.figures(measure, subject, utilisation));
            if let Some(share) = found.filter(|share| *share < 0.9) {
                let (load, server) = (name_of(&measure), name_of(&subject));
                writeln!(
                    output,
                    "note: {load}, {server}: only {share:.2} of the core was used; the machine was busy with something else, or the generator was the limit"
                )?;
            }
        }
    }
    Ok(())
}

fn print_spread(output: &mut impl Write, figures: &[f64]) -> io::Result<()> {
    let Some(middle) = median(figures) else {
        return Ok(());
    };
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    write!(output, "  {middle:.2} ({least:.2} to {most:.2})")
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

fn rounded(figure: f64) -> String {
    if figure.abs() >= 100.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
