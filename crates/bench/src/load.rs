//! The load generator: a closed loop, and an open loop free of coordinated omission.
//!
//! Processor time of the watched server is read at rest before the counted
//! requests and at rest after them, so work that the server puts off, such as
//! writing records, is counted too.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::pool::{Finished, Pool, Question};
use crate::procfs::{CpuReading, resident_kib};

/// How long a server gets to finish what it put off.
const SETTLE: Duration = Duration::from_millis(400);
/// No answer for so long ends the measurement.
const PATIENCE: Duration = Duration::from_secs(30);
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// A closed loop: each connection sends its next request when the last is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed {
    pub(crate) connections: usize,
    pub(crate) warm_up: usize,
    pub(crate) requests: usize,
    /// The first requests of the connections are spread over this time.
    pub(crate) ramp: Duration,
}

/// An open loop: requests leave at fixed times, whatever became of the earlier ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    pub(crate) per_second: u32,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// What one load measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LoadReport {
    pub(crate) requests: usize,
    pub(crate) failures: usize,
    pub(crate) first_failure: Option<String>,
    pub(crate) events: usize,
    pub(crate) body_bytes: usize,
    pub(crate) wall_s: f64,
    pub(crate) per_second: f64,
    /// Of the watched server; 0 when none was watched.
    pub(crate) cpu_us_per_request: f64,
    pub(crate) cpu_us_per_event: f64,
    /// Share of one core that the watched server used.
    pub(crate) utilisation: f64,
    pub(crate) resident_peak_kib: u64,
    /// The most answers that were under way at one time.
    pub(crate) peak_open: usize,
    pub(crate) latency_us: Quantiles,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

#[derive(Debug, Default)]
struct Tally {
    latencies: Vec<Duration>,
    failures: usize,
    events: usize,
    body_bytes: usize,
    resident_peak_kib: u64,
}

pub(crate) fn closed(
    question: Question,
    load: Closed,
    watched: Option<u32>,
) -> Result<LoadReport, Box<dyn Error>> {
    let mut pool = Pool::new(question)?;
    for _ in 0..load.connections {
        pool.open()?;
    }
    drive_closed(&mut pool, load, load.warm_up, None)?;
    measured(&mut pool, watched, |pool| {
        drive_closed(pool, load, load.requests, watched)
    })
}

pub(crate) fn open(
    question: Question,
    load: Open,
    watched: Option<u32>,
) -> Result<LoadReport, Box<dyn Error>> {
    let mut pool = Pool::new(question)?;
    let mut idle = (0..8)
        .map(|_| pool.open())
        .collect::<io::Result<Vec<usize>>>()?;
    drive_open(&mut pool, &mut idle, load.per_second, load.warm_up)?;
    measured(&mut pool, watched, |pool| {
        drive_open(pool, &mut idle, load.per_second, load.duration)
    })
}

fn measured(
    pool: &mut Pool,
    watched: Option<u32>,
    drive: impl FnOnce(&mut Pool) -> Result<Tally, Box<dyn Error>>,
) -> Result<LoadReport, Box<dyn Error>> {
    // Only who is watched has to come to rest.
    let settle = || {
        if watched.is_some() {
            std::thread::sleep(SETTLE);
        }
    };
    settle();
    let before = watched.map(CpuReading::take).transpose()?;
    let start = Instant::now();
    let mut tally = drive(pool)?;
    let wall_s = start.elapsed().as_secs_f64();
    settle();
    let cpu_us = match (watched, &before) {
        (Some(pid), Some(before)) => CpuReading::take(pid)?.since_ns(before) as f64 / 1000.0,
        _ => 0.0,
    };
    let requests = tally.latencies.len();
    tally.latencies.sort_unstable();
    Ok(LoadReport {
        requests,
        failures: tally.failures,
        first_failure: pool.first_failure().map(str::to_owned),
        events: tally.events,
        body_bytes: tally.body_bytes,
        wall_s,
        per_second: requests as f64 / wall_s,
        cpu_us_per_request: cpu_us / requests.max(1) as f64,
        cpu_us_per_event: cpu_us / tally.events.max(1) as f64,
        utilisation: cpu_us / (wall_s * 1e6),
        resident_peak_kib: tally.resident_peak_kib,
        peak_open: pool.peak_open(),
        latency_us: quantiles(&tally.latencies),
    })
}

fn drive_closed(
    pool: &mut Pool,
    load: Closed,
    requests: usize,
    sampled: Option<u32>,
) -> Result<Tally, Box<dyn Error>> {
    let mut tally = Tally::default();
    let mut finished = Vec::new();
    let start = Instant::now();
    let mut begun = 0;
    let mut repeated = 0;
    let mut next_sample = start;
    let mut last_progress = start;
    let begun_at_once = load.connections.min(requests);
    let ramp_step = load.ramp / u32::try_from(load.connections.max(1))?;
    while tally.latencies.len() < requests {
        let mut now = Instant::now();
        let mut wait = Duration::from_secs(1);
        while begun < begun_at_once {
            let due = start + ramp_step * u32::try_from(begun)?;
            if due > now {
                wait = due - now;
                break;
            }
            pool.send(begun, now);
            begun += 1;
            now = Instant::now();
        }
        if let Some(pid) = sampled.filter(|_| !load.ramp.is_zero()) {
            if now >= next_sample {
                tally.resident_peak_kib = tally.resident_peak_kib.max(resident_kib(pid)?);
                next_sample = now + SAMPLE_EVERY;
            }
            wait = wait.min(SAMPLE_EVERY);
        }
        pool.turn(Some(wait), &mut finished)?;
        let none = finished.is_empty();
        for end in finished.drain(..) {
            if begun_at_once + repeated < requests {
                pool.send(end.connection, Instant::now());
                repeated += 1;
            }
            tally.add(&end);
        }
        expect_progress(&mut last_progress, none, pool)?;
    }
    Ok(tally)
}

fn drive_open(
    pool: &mut Pool,
    idle: &mut Vec<usize>,
    per_second: u32,
    duration: Duration,
) -> Result<Tally, Box<dyn Error>> {
    /// The poller counts in milliseconds: the last stretch before a departure is spun away.
    const SPUN: Duration = Duration::from_millis(1);
    let mut tally = Tally::default();
    let mut finished = Vec::new();
    let requests = (duration.as_secs_f64() * f64::from(per_second)) as u32;
    let interval = Duration::from_secs(1) / per_second;
    let start = Instant::now() + interval;
    let mut sent = 0;
    let mut last_progress = Instant::now();
    while tally.latencies.len() < requests as usize {
        let now = Instant::now();
        let due = start + interval * sent;
        let mut wait = Duration::from_secs(1);
        if sent < requests {
            if now >= due {
                let connection = idle.pop().map_or_else(|| pool.open(), Ok)?;
                pool.send(connection, due);
                sent += 1;
                continue;
            }
            let left = due - now;
            wait = if left > 2 * SPUN {
                Duration::from_millis(u64::try_from(left.saturating_sub(SPUN).as_millis())?)
            } else {
                Duration::ZERO
            };
        }
        pool.turn(Some(wait), &mut finished)?;
        let none = finished.is_empty();
        for end in finished.drain(..) {
            idle.push(end.connection);
            tally.add(&end);
        }
        if none && wait.is_zero() {
            std::thread::yield_now();
        }
        expect_progress(&mut last_progress, none, pool)?;
    }
    Ok(tally)
}

fn expect_progress(last: &mut Instant, none: bool, pool: &Pool) -> Result<(), Box<dyn Error>> {
    if !none {
        *last = Instant::now();
    } else if last.elapsed() > PATIENCE {
        let met = pool.first_failure().unwrap_or("nothing");
        return Err(format!(
            "no answer for {} s; first failure: {met}",
            PATIENCE.as_secs()
        )
        .into());
    }
    Ok(())
}

impl Tally {
    fn add(&mut self, end: &Finished) {
        self.latencies.push(end.latency);
        self.failures += usize::from(!end.good);
        self.events += end.events;
        self.body_bytes += end.body_bytes;
    }
}

fn quantiles(sorted: &[Duration]) -> Quantiles {
    let at = |share: f64| {
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted
            .get(rank.saturating_sub(1))
            .map_or(0.0, |latency| latency.as_nanos() as f64 / 1000.0)
    };
    Quantiles {
        p50: at(0.50),
        p90: at(0.90),
        p99: at(0.99),
        max: at(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_micros).collect();
        let found = quantiles(&sorted);
        let all = [found.p50, found.p90, found.p99, found.max];
        assert_eq!(all.map(|us| us as u32), [50, 90, 99, 100]);
        assert!(quantiles(&[]).max.abs() < f64::EPSILON);
    }
}
