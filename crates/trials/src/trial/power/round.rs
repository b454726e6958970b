//! One recording: a gateway that is killed under load, started again under load, and stopped.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::disk::{Micros, Timeline};
use super::load::{Facts, Pace, under_load};
use super::recording::Recording;
use super::strace;
use super::tree::Tree;
use crate::api::Api;
use crate::clock::unix_us;
use crate::dice::Dice;
use crate::gateway::Place;
use crate::stage::client;

/// How long the tracer may take to write its last line.
const WRITTEN_WITHIN: Duration = Duration::from_secs(20);

/// Everything that was done to a data folder, and what was promised meanwhile.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) timeline: Timeline,
    pub(super) facts: Facts,
    pub(super) began: Micros,
    /// When each of the processes was started, and when it was gone.
    pub(super) runs: Vec<(Micros, Micros)>,
}

// === impl Round ===

impl Round {
    /// The last process that had been started at this instant: since when it ran, and until when at most.
    pub(super) fn running_at(&self, at: Micros) -> (Micros, Micros) {
        let before = self.runs.iter().filter(|(began, _)| *began <= at);
        let (began, ended) = before.max().copied().unwrap_or((self.began, at));
        (began, ended.min(at))
    }
}

/// Whether this machine can record at all.
pub(super) async fn can_record() -> Result<(), String> {
    let asked = Command::new("strace").arg("-V").output().await;
    match asked {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("this trial records with strace, which is not installed: install the package `strace`, 5.3 or \
                  later, and allow this user to trace its own processes"
            .to_owned()),
    }
}

/// Records two processes on the data folder of `place`: one is killed under load, one stops by itself.
pub(super) async fn record(place: &Place, number: usize, dice: &mut Dice) -> Result<Round, String> {
    let failed = |error: std::io::Error| error.to_string();
    let base = Tree::read(&place.data()).map_err(failed)?;
    let mut recording = Recording::new(&place.data(), base);
    let (began, mut facts) = (unix_us(), Facts::default());
    let mut runs = Vec::new();
    for part in ["killed", "stopped"] {
        let start = unix_us();
        let text = place.folder().join(format!("recording-{part}"));
        facts.join(run(place, &text, &format!("{number}-{part}"), dice).await?);
        let calls = File::open(&text).map_err(failed)?;
        let calls = strace::calls(BufReader::new(calls), recording.next_line())?;
        fs::remove_file(&text).map_err(failed)?;
        let last = calls.iter().map(|call| call.span.began).max();
        runs.push((start, last.unwrap_or(start)));
        let found = Tree::read(&place.data()).map_err(failed)?;
        recording.add(calls, &found)?;
    }
    Ok(Round {
        timeline: recording.timeline,
        facts,
        began,
        runs,
    })
}

async fn run(place: &Place, text: &Path, name: &str, dice: &mut Dice) -> Result<Facts, String> {
    let words: Vec<OsString> = ["strace"]
        .into_iter()
        .chain(strace::OPTIONS)
        .map(OsString::from)
        .chain([text.as_os_str().to_owned()])
        .chain(["-e", strace::TRACED, "--"].map(OsString::from))
        .collect();
    let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
    let mut gateway = place.start_under(&words).await?;
    let (client, admin) = (
        client(&gateway, place),
        Api::admin(gateway.addr, place.admin_key()),
    );
    let duration = Duration::from_millis(dice.between(1500, 3000));
    let facts = if name.ends_with("killed") {
        let mut dice = dice.fork();
        let load = under_load((&client, &admin), name, (Pace::Busy, duration), &mut dice);
        let kill = async {
            sleep(duration * 9 / 10).await;
            gateway.kill().await
        };
        let (facts, killed) = tokio::join!(load, kill);
        killed.map(|()| facts)?
    } else {
        let pace = *dice.pick(&[Pace::Busy, Pace::Calm]);
        let facts = under_load((&client, &admin), name, (pace, duration), dice).await;
        gateway.stop().await?;
        facts
    };
    is_written(text).await?;
    Ok(facts)
}

/// Waits until the tracer has written that the gateway itself has ended.
async fn is_written(text: &Path) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        if has_ended(text).unwrap_or(false) {
            return Ok(());
        }
        if begin.elapsed() > WRITTEN_WITHIN {
            return Err("strace has not written the end of the recording".to_owned());
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The last line says that the first thread is gone.
fn has_ended(text: &Path) -> std::io::Result<bool> {
    const END: u64 = 256;
    let mut file = File::open(text)?;
    let mut start = [0; 16];
    let length = file.read(&mut start)?;
    let start = String::from_utf8_lossy(&start[..length]).into_owned();
    let first = start.split(' ').next().unwrap_or_default();
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(END)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end).into_owned();
    let is_last = |line: &str| line.split(' ').next() == Some(first) && line.contains(" +++ ");
    Ok(end.ends_with('\n') && end.lines().last().is_some_and(is_last))
}
