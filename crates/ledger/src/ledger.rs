//! The ledger as the rest of the gateway sees it.

use std::{fmt, sync::Arc};

use tollgate_base::{Clock, Money, Result, UnixMillis, crash_point};
use tollgate_policy::ledger::{
    Attempt, AttemptFilter, AttemptId, AttemptQuery, AttemptState, Correction, LedgerStore, Listed,
    Opening, Settlement,
};

use crate::{
    codec::Written,
    commits::Durable,
    config::Config,
    disk::{Disk, RealDisk},
    health::Health,
    journal::Journal,
    recovery::{self, Recovery},
    ship::Shipper,
};

/// The durable record of every attempt. Shared by all threads; each call takes a few microseconds.
#[derive(Debug)]
pub struct Ledger {
    journal: Arc<Journal>,
    shipper: Shipper,
    store: Arc<dyn LedgerStore>,
    clock: Arc<dyn Clock>,
    recovery: Recovery,
}

/// Why the ledger cannot be opened. The message says what to do.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    Locked(String),
    /// The folder cannot be read or written.
    Unusable(String),
    /// The store does not take what the journal holds; nothing is lost, and trying again is right.
    Store(String),
}

/// What a change of prices comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reprice {
    pub corrected: usize,
    /// What those attempts cost before (as booked) and after.
    pub before: Money,
    pub after: Money,
}

/// How many attempts are looked at together by what goes through all of them.
const PAGE: usize = 1_000;
/// More tries than a call can have.
const MOST_TRIES: usize = 1_000;

impl Ledger {
    /// Opens the journal in the data folder, brings everything in it into the store, and says of attempts
    /// that a dead process left open how they ended.
    pub fn open(
        config: Config,
        store: Arc<dyn LedgerStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Self::open_on(config, store, clock, Arc::new(RealDisk))
    }

    /// As [`Ledger::open`], on another disk.
    pub fn open_on(
        config: Config,
        store: Arc<dyn LedgerStore>,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, OpenError> {
        let (journal, carrier, mut recovery) = recovery::open(config, &store, disk)?;
        let shipper =
            Shipper::start(carrier).map_err(|error| OpenError::Unusable(error.to_string()))?;
        let mut ledger = Self {
            journal,
            shipper,
            store,
            clock,
            recovery: Recovery::default(),
        };
        ledger.end_open_attempts(&mut recovery)?;
        ledger.recovery = recovery;
        Ok(ledger)
    }

    /// Writes down that an attempt begins. When it returns well, the record survives the death of the
    /// process, and not before that may anything be sent.
    pub fn begin(&self, opening: &Opening) -> Result<()> {
        self.journal
            .append_opening(Written::Opened(opening))
            .map(drop)
    }

    /// As [`Ledger::begin`] and [`Ledger::dispatched`] together, in one record: for an attempt whose request goes
    /// out at once. No loss of power can leave the one without the other, so that nothing that was sent is taken
    /// for released.
    pub fn dispatch(&self, opening: &Opening) -> Result<()> {
        self.journal
            .append_opening(Written::Sent(opening))
            .map(drop)
    }

    /// Writes down that from now on bytes of the attempt may have been sent.
    pub fn dispatched(&self, id: &AttemptId) -> Result<()> {
        self.journal.append(Written::Dispatched(id)).map(drop)
    }

    /// Writes down how an attempt ended. What comes back resolves when that is as durable as configured.
    pub fn settle(&self, settlement: &Settlement) -> Durable {
        self.journal.append_durably(Written::Settled(settlement))
    }

    /// Writes down that an attempt ended before anything was sent.
    pub fn release(&self, id: &AttemptId) -> Result<()> {
        self.journal.append(Written::Released(id)).map(drop)
    }

    /// Books an attempt of unknown outcome with what an administrator says that it cost.
    pub fn resolve(&self, id: &AttemptId, cost: Money) -> Result<()> {
        self.journal
            .append_durably(Written::Resolved(id, self.clock.now(), cost))
            .wait()?;
        self.flush()
    }

    /// Books every attempt of unknown outcome with what is held for it. Those without a hold (their price is
    /// not known) stay. Says how many were booked.
    pub fn resolve_all_at_hold(&self) -> Result<usize> {
        let mut resolved = 0;
        self.each_attempt(AttemptState::Unknown, None, |attempt| {
            let Some(held) = attempt.opening.held else {
                return Ok(());
            };
            resolved += 1;
            let entry = Written::Resolved(&attempt.opening.id, self.clock.now(), held);
            self.journal.append(entry).map(drop)
        })?;
        self.flush()?;
        Ok(resolved)
    }

    /// Prices the settled attempts admitted in a span of time again. `price` says what an attempt costs
    /// now, with the version and the unit prices; `None` leaves it as it is. Nothing that was booked is
    /// changed: corrections are kept beside it.
    pub fn reprice(
        &self,
        (from, to): (UnixMillis, UnixMillis),
        price: impl Fn(&Attempt) -> Option<(Money, String, String)>,
    ) -> Result<Reprice> {
        self.flush()?;
        let mut total = Reprice::default();
        let mut page = Vec::new();
        self.each_attempt(AttemptState::Settled, Some((from, to)), |attempt| {
            let Some((cost, price_version, unit_prices)) = price(attempt) else {
                return Ok(());
            };
            total.before += attempt.cost().unwrap_or_default();
            total.after += cost;
            page.push(Correction {
                id: attempt.opening.id.clone(),
                at: self.clock.now(),
                cost,
                price_version,
                unit_prices,
            });
            if page.len() >= PAGE {
                total.corrected += self.store.correct(&std::mem::take(&mut page))?;
            }
            Ok(())
        })?;
        total.corrected += self.store.correct(&page)?;
        Ok(total)
    }

    /// An attempt with everything that was written down of it so far.
    pub fn find(&self, id: &AttemptId) -> Result<Option<Listed>> {
        self.flush()?;
        let query = AttemptQuery {
            filter: AttemptFilter {
                request_id: Some(id.request_id.clone()),
                ..AttemptFilter::default()
            },
            newest_first: true,
            after: None,
            limit: MOST_TRIES,
        };
        let tries = self.store.attempts(&query)?;
        let is_it = |listed: &Listed| listed.attempt.opening.id == *id;
        Ok(tries.into_iter().find(is_it))
    }

    /// Visits the attempts in this state, in the order in which they came.
    pub fn each_attempt(
        &self,
        state: AttemptState,
        span: Option<(UnixMillis, UnixMillis)>,
        mut visit: impl FnMut(&Attempt) -> Result<()>,
    ) -> Result<()> {
        let mut query = AttemptQuery {
            filter: AttemptFilter {
                state: Some(state),
                from: span.map(|(from, _)| from),
                to: span.map(|(_, to)| to),
                ..AttemptFilter::default()
            },
            newest_first: false,
            after: None,
            limit: PAGE,
        };
        loop {
            let page = self.store.attempts(&query)?;
            for listed in &page {
                visit(&listed.attempt)?;
            }
            let Some(last) = page.last() else {
                return Ok(());
            };
            query.after = Some(last.place);
        }
    }

    /// What a dead process left: `held` was never sent and is released; of `dispatched` nobody knows.
    fn end_open_attempts(&self, recovery: &mut Recovery) -> Result<(), OpenError> {
        let failed = |error: tollgate_base::Error| OpenError::Store(error.to_string());
        for (id, state) in self.store.open_attempts().map_err(failed)? {
            let entry = match state {
                AttemptState::Held => {
                    recovery.released += 1;
                    Written::Released(&id)
                }
                AttemptState::Dispatched => {
                    recovery.lost += 1;
                    Written::Lost(&id, self.clock.now())
                }
                AttemptState::Settled | AttemptState::Released | AttemptState::Unknown => continue,
            };
            crash_point("recovery-close");
            self.journal.append(entry).map_err(failed)?;
        }
        self.flush().map_err(failed)
    }

    /// Waits until the store has everything that was written down before. An error when the store fails
    /// meanwhile, or takes longer than half a minute; nothing is lost then.
    pub fn flush(&self) -> Result<()> {
        self.shipper.flush(self.journal.last())
    }

    /// Brings everything into the store and onto the disk, and ends the ledger's threads. What is written down
    /// afterwards is refused.
    pub fn close(&self) -> Result<()> {
        self.journal.close();
        let flushed = self.flush();
        self.shipper.stop();
        self.journal.stop();
        flushed
    }

    pub fn health(&self) -> Health {
        self.journal.health(self.shipper.error())
    }

    /// What was found when the ledger was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Where the entries end up: for lists, reports and what admission starts from.
    pub fn store(&self) -> &Arc<dyn LedgerStore> {
        &self.store
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.shipper.stop();
        self.journal.stop();
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Locked(message)
            | OpenError::Unusable(message)
            | OpenError::Store(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for OpenError {}
