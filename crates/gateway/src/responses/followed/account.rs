//! Where the end of a followed response is booked: with the record of its call, or, when the process died that had
//! it, in the ledger's row, which was of unknown outcome meanwhile.

use std::{sync::Arc, time::Duration};

use tollgate_base::{Error, Provenance, Result};
use tollgate_dialect::{RawObject, ResponseEnd};
use tollgate_policy::ledger::{Attempt, AttemptOutcome, AttemptState, Cost, Entry, Settlement};

use super::{
    super::DIALECT,
    follower::{Ending, LastWord},
    forget,
};
use crate::{
    admit::{Booking, Notice, Pricing, pricing_at},
    gateway::Shared,
    record::{Outcome, Record},
};

/// How often a booking is tried that fails, and the pause between two tries.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(30);

/// An attempt that is under way.
#[derive(Debug)]
pub(super) enum Account {
    Open {
        record: Box<Record>,
        /// Output tokens that have gone out.
        seen: u64,
    },
    /// Its hold counts, and nothing else is known.
    Lost(Box<Attempt>),
}

impl Account {
    /// Counts a large request now, so that it need not be kept until the response has ended. `None` when that failed.
    pub(super) async fn without_large_request(self) -> Option<Self> {
        let Account::Open { mut record, seen } = self else {
            return Some(self);
        };
        if !record.booking.as_ref().is_some_and(Booking::is_large) {
            return Some(Account::Open { record, seen });
        }
        let count = move || {
            record.booking.as_mut().map(Booking::count_input);
            Account::Open { record, seen }
        };
        tokio::task::spawn_blocking(count).await.ok()
    }

    /// Books how the response ended, as far as that is known. Whether nobody has to look for it any more.
    pub(super) async fn book(self, shared: &Arc<Shared>, ending: Ending) -> bool {
        match (self, ending) {
            (Account::Open { record, seen }, ending) => close(*record, seen, ending).await,
            (Account::Lost(attempt), Ending::Said(word)) => book_lost(shared, attempt, word).await,
            (Account::Lost(attempt), Ending::Unsaid(error)) => {
                let id = &attempt.opening.id;
                tracing::warn!(attempt = %id, %error, "what a response in the background used is not known");
                true
            }
        }
    }
}

/// Books with the record of the call. What the provider does not say is counted as far as it was seen.
async fn close(mut record: Record, seen: u64, ending: Ending) -> bool {
    let seen = match ending {
        Ending::Said(word) => {
            let LastWord { how, usage, body } = *word;
            record.usage = usage;
            record.outcome = match how {
                ResponseEnd::Complete => Outcome::Complete,
                ResponseEnd::Cancelled => Outcome::Open,
                ResponseEnd::Failed(error) => Outcome::Failed(error),
            };
            match &record.booking {
                Some(booking) if usage.provenance != Provenance::Reported => {
                    let shown = RawObject::parse(body);
                    let whole = shown.map(|raw| raw.with(&[("status", Some("\"completed\""))]));
                    let said = whole.map_or(0, |body| booking.count_reply(DIALECT, &body));
                    seen.max(said)
                }
                _ => 0,
            }
        }
        Ending::Unsaid(error) => {
            // What was said before the end is not all.
            if record.usage.provenance == Provenance::Reported {
                record.usage.provenance = Provenance::Partial;
            }
            record.fail(&error);
            seen
        }
    };
    record.settle_safely(seen).await
}

/// Books an attempt whose process has died. Where the ledger or the store has trouble, it is tried again later, and
/// nobody waits for that.
async fn book_lost(shared: &Arc<Shared>, attempt: Box<Attempt>, word: Box<LastWord>) -> bool {
    let (attempt, word) = (Arc::new(*attempt), Arc::new(*word));
    if try_lost(shared, &attempt, &word).await {
        return true;
    }
    let shared = shared.clone();
    tokio::spawn(async move {
        // Where all of them fail, the next process tries again.
        for _ in 1..TRIES {
            tokio::time::sleep(PAUSE).await;
            if try_lost(&shared, &attempt, &word).await {
                return forget(&shared, &attempt.opening.id);
            }
        }
    });
    false
}

async fn try_lost(shared: &Arc<Shared>, attempt: &Arc<Attempt>, word: &Arc<LastWord>) -> bool {
    let id = attempt.opening.id.clone();
    let (shared, attempt, word) = (shared.clone(), attempt.clone(), word.clone());
    let booked = move || settle_lost(&shared, &attempt, &word);
    let booked = tokio::task::spawn_blocking(booked).await;
    let booked = booked.unwrap_or_else(|_| Err(Error::internal("The booking panicked.")));
    if let Err(error) = &booked {
        tracing::error!(attempt = %id, %error, "a response in the background is not booked");
    }
    booked.is_ok()
}

/// Books an attempt of unknown outcome, and tells the budgets what it cost instead of what was held for it.
fn settle_lost(shared: &Shared, attempt: &Attempt, word: &LastWord) -> Result<()> {
    let Attempt { opening, .. } = attempt;
    let LastWord { how, usage, .. } = word;
    if usage.provenance != Provenance::Reported {
        tracing::warn!(attempt = %opening.id, "a response in the background has ended, and its provider does not say what it used");
        return Ok(());
    }
    let books = &shared.books;
    let unchanged = books.changing.lock();
    let known = books.ledger.find(&opening.id)?;
    if known.is_none_or(|known| known.attempt.state != AttemptState::Unknown) {
        // An administrator has resolved it.
        return Ok(());
    }
    // The call has been made, whatever is known of its price by now.
    let pricing = pricing_at(&shared.snapshot.load(), &opening.provider, &opening.model);
    let (cost, unit_prices) = pricing.unwrap_or(Pricing::Unknown).cost(usage);
    let (outcome, code) = match how {
        ResponseEnd::Complete => (AttemptOutcome::Complete, ""),
        ResponseEnd::Cancelled => (AttemptOutcome::ClientGone, ""),
        ResponseEnd::Failed(error) => (AttemptOutcome::Failed, error.code()),
    };
    let now = shared.clock.moment();
    let settlement = Settlement {
        id: opening.id.clone(),
        at: now.wall,
        outcome,
        usage: *usage,
        cost,
        unit_prices,
        code: code.to_owned(),
        first_event_ms: None,
        duration_ms: now.wall.0.saturating_sub(opening.at.0),
    };
    let booking = books.ledger.settle(&settlement);
    let is_written = booking.number().is_some();
    match booking.wait() {
        Err(error) if is_written => {
            tracing::error!(attempt = %opening.id, "a call is not booked safely: {error}");
        }
        outcome => outcome?,
    }
    let mut settled = attempt.clone();
    let refused = |why| Error::internal(format!("The ledger does not take it: {why}."));
    settled.take(&Entry::Settled(settlement)).map_err(refused)?;
    let posted = settled.posted().unwrap_or_default().money;
    books.correct(opening, posted, now);
    drop(unchanged);
    match cost {
        Cost::Known(cost) => books.spend(&opening.key_id, opening.at, cost),
        Cost::Unknown => books.notify(Notice::Unpriced {
            target: format!("{}/{}", opening.provider, opening.model),
            at: opening.at,
        }),
    }
    Ok(())
}
