//! The transfer of one file: ranges, what a server makes of them, retries, and the checksum at the end.
//!
//! ```text
//! have nothing ── GET ──► 200: write it all
//! have n bytes ── GET with Range and If-Range ──► 206 from n: go on · 200: the file changed or ranges are not known
//!                                                  here: begin anew · 416: what is here is too long: begin anew
//! any cut, timeout, 429 or 5xx ──► wait, and ask again for what is missing
//! ```
//!
//! Bytes that came count as progress, and the patience for failures begins anew with them, so a connection that breaks
//! every minute still brings a large file.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tollgate_base::{Error, Kind, Result};

use crate::{
    Address, Disk,
    fetch::{Answer, Fetcher, passing, strange},
    hub::{About, refusal},
    part::Part,
    size::shown,
};

/// How long is waited, and how often something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Failures in a row, without a byte between them, after which it is given up.
    pub failures: u32,
    /// The pause after the first failure. It doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause. A server that asks for a longer one is not asked again.
    pub longest_pause: Duration,
    /// To connect, TLS included.
    pub connect: Duration,
    /// From a request to the beginning of its answer.
    pub first_byte: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
}

/// What happens during a pull, for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The file is known and its transfer begins; `have` bytes are here from an earlier run.
    Begins {
        name: String,
        size: Option<u64>,
        have: u64,
    },
    /// This many bytes of an earlier run were read again for the checksum.
    Rereads(u64),
    /// This many bytes are here.
    Has(u64),
    /// The bytes so far cannot be used; why.
    Restarts(String),
    /// Something failed; it is tried again after the pause.
    Retries { reason: String, pause: Duration },
}

/// Whom events go to.
pub type Listener<'a> = &'a mut (dyn FnMut(Event) + Send);

/// A file to fetch.
pub(crate) struct Transfer<'a> {
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) patience: &'a Patience,
    pub(crate) disk: &'a dyn Disk,
    pub(crate) address: &'a Address,
    pub(crate) about: About<'a>,
}

// === impl Patience ===

impl Default for Patience {
    fn default() -> Self {
        Self {
            failures: 6,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(1),
            connect: Duration::from_secs(15),
            first_byte: Duration::from_mins(1),
            idle: Duration::from_mins(1),
        }
    }
}

/// How long to wait before another try, or `None` where there is none.
pub(crate) fn pause_before_retry(
    patience: &Patience,
    n_failures: u32,
    error: &Error,
) -> Option<Duration> {
    if error.should_retry() != Some(true) || n_failures >= patience.failures {
        return None;
    }
    let doubled = 2_u32.saturating_pow(n_failures.saturating_sub(1));
    let own = patience
        .first_pause
        .saturating_mul(doubled)
        .min(patience.longest_pause);
    match error.retry_after() {
        Some(asked) if asked > patience.longest_pause => None,
        Some(asked) => Some(asked.max(own)),
        None => Some(own),
    }
}

// === impl Transfer ===

impl Transfer<'_> {
    /// Brings all bytes into `part`, whose checksum is right at the end.
    pub(crate) async fn run(&self, part: &mut Part, on: Listener<'_>) -> Result<()> {
        let mut n_failures = 0;
        let mut was_wrong = false;
        loop {
            let before = part.have();
            let Err(error) = self.attempt(part, on).await else {
                let Some(wrong) = wrong_checksum(part) else {
                    return Ok(());
                };
                // Bytes of an earlier run may be at fault, so once everything is fetched anew.
                if was_wrong || before == 0 {
                    return Err(wrong);
                }
                was_wrong = true;
                on(Event::Restarts(wrong.message().to_owned()));
                part.restart()?;
                continue;
            };
            n_failures = if part.have() > before {
                1
            } else {
                n_failures + 1
            };
            let Some(pause) = pause_before_retry(self.patience, n_failures, &error) else {
                return Err(given_up(error, part.have()));
            };
            on(Event::Retries {
                reason: error.message().to_owned(),
                pause,
            });
            tokio::time::sleep(pause).await;
        }
    }

    /// One request, and what comes of it.
    async fn attempt(&self, part: &mut Part, on: Listener<'_>) -> Result<()> {
        if part.state.size == Some(part.have()) && part.have() > 0 {
            return Ok(());
        }
        let answer = self.fetcher.get(self.address, &range(part)).await?;
        let total = match answer.status {
            StatusCode::OK => {
                if part.have() > 0 {
                    on(Event::Restarts(
                        "the server sends the whole file: it changed, or ranges are not known there".to_owned(),
                    ));
                    part.restart()?;
                }
                length(&answer.headers)
            }
            StatusCode::PARTIAL_CONTENT => match content_range(&answer.headers) {
                Some((from, total)) if from == part.have() => total,
                _ => {
                    part.restart()?;
                    return Err(passing(
                        &answer.address,
                        "sent another range than it was asked for",
                    ));
                }
            },
            StatusCode::RANGE_NOT_SATISFIABLE if part.have() > 0 => {
                part.restart()?;
                return Err(passing(
                    &answer.address,
                    "has a shorter file than what is here of it",
                ));
            }
            _ => return Err(refusal(&answer, &self.about, self.fetcher.has_token())),
        };
        agree(part, &answer, total)?;
        part.check_room(self.disk)?;
        part.save()?;
        on(Event::Begins {
            name: part.state.name.clone(),
            size: part.state.size,
            have: part.have(),
        });
        self.receive(part, answer, on).await
    }

    async fn receive(&self, part: &mut Part, mut answer: Answer, on: Listener<'_>) -> Result<()> {
        let address = answer.address;
        loop {
            let piece = tokio::time::timeout(self.patience.idle, answer.body.chunk())
                .await
                .map_err(|_| passing(&address, "stopped sending"))?;
            let Some(piece) = piece else {
                break;
            };
            let bytes = piece.map_err(|_| passing(&address, "broke the connection off"))?;
            let after = part.have().saturating_add(bytes.len() as u64);
            if let Some(size) = part.state.size
                && after > size
            {
                part.restart()?;
                let what =
                    format!("sends more than the {size} bytes of the file; what came was deleted");
                return Err(strange(&address, &what));
            }
            part.append(self.disk, &bytes)?;
            on(Event::Has(part.have()));
        }
        match part.state.size {
            Some(size) if part.have() < size => Err(passing(
                &address,
                "ended its answer before the file was whole",
            )),
            _ => Ok(()),
        }
    }
}

/// Lays what the server announces beside what the hub listed.
fn agree(part: &mut Part, answer: &Answer, total: Option<u64>) -> Result<()> {
    let state = &mut part.state;
    state.sha256 = state.sha256.take().or_else(|| answer.linked.sha256.clone());
    let listed = state.size.or(answer.linked.size);
    if let (Some(listed), Some(total)) = (listed, total)
        && listed != total
    {
        let what = format!(
            "announces {total} bytes of a file that the hub lists with {listed}; nothing was written"
        );
        return Err(strange(&answer.address, &what));
    }
    state.size = listed.or(total);
    state.etag = answer
        .headers
        .get(header::ETAG)
        .and_then(|tag| tag.to_str().ok())
        .filter(|tag| tag.starts_with('"') && tag.len() < 256)
        .map(str::to_owned);
    Ok(())
}

/// Asks for what is missing, on condition that the file is the same. Without a validator the checksum at the end decides.
fn range(part: &Part) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let validator = part
        .state
        .etag
        .as_ref()
        .and_then(|tag| HeaderValue::try_from(tag).ok());
    if part.have() == 0 || (validator.is_none() && part.state.sha256.is_none()) {
        return headers;
    }
    if let Ok(range) = HeaderValue::try_from(format!("bytes={}-", part.have())) {
        headers.insert(header::RANGE, range);
        if let Some(validator) = validator {
            headers.insert(header::IF_RANGE, validator);
        }
    }
    headers
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Where a range begins, and how long the whole is: `bytes 100-199/200`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.parse().ok()?, total.parse().ok()))
}

fn wrong_checksum(part: &Part) -> Option<Error> {
    let wanted = part.state.sha256.as_deref()?;
    let found = part.sha256();
    (found != wanted).then(|| {
        let message = format!(
            "What came is not {}: its SHA-256 is {found}, and {wanted} was promised. It was deleted; pull it \
             again, and if that does not help, tell whoever runs the hub.",
            part.state.name
        );
        Error::new(Kind::Upstream, "checksum_mismatch", message)
    })
}

fn given_up(error: Error, have: u64) -> Error {
    if have == 0 || error.should_retry() != Some(true) {
        return error;
    }
    let message = format!(
        "{} {} are kept: run the same command again to go on from there.",
        error.message(),
        shown(have)
    );
    Error::new(error.kind(), error.code().to_owned(), message)
}
