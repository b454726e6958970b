//! The ledger of a data folder, to be looked at: of one instant, and with what the journal holds and the database
//! does not have yet. It takes no lock and changes nothing, so it may be read while a service runs and after one
//! was killed.

use std::collections::HashMap;

use tollgate_base::{Error, Result};
use tollgate_ledger::waiting;
use tollgate_policy::ledger::{
    Attempt, AttemptFilter, AttemptId, AttemptQuery, Entry, LedgerStore as _, Listed,
};
use tollgate_store::SqliteLedger;

use crate::{
    Exit,
    desk::{Desk, Folder, at_desk},
    settings::Options,
};

/// How many attempts are read at a time.
const PAGE: usize = 1_000;

/// The ledger at one instant.
pub(crate) struct Reading {
    pub(crate) store: SqliteLedger,
    /// What the journal holds of each attempt, and the attempts in the order in which they came.
    waiting: HashMap<AttemptId, Vec<Entry>>,
    order: Vec<AttemptId>,
}

/// Opens the ledger of the data folder and does something with it; what goes wrong is said.
pub(crate) fn at_ledger(
    options: &Options,
    work: impl FnOnce(&Reading, &Desk) -> Result<Exit>,
) -> Exit {
    at_desk(options, Folder::Expect, |desk| {
        work(&Reading::of(desk)?, desk)
    })
}

impl Reading {
    /// The journal is read before the instant of the database is fixed: what is shipped in between is in both, and
    /// an entry that comes twice changes nothing.
    pub(crate) fn of(desk: &Desk) -> Result<Self> {
        let folder = &desk.config.data_dir;
        let store =
            SqliteLedger::open(folder).map_err(|error| Error::internal(error.to_string()))?;
        let entries = waiting(folder, store.shipped()?).map_err(|error| {
            Error::internal(format!(
                "The journal in {} cannot be read: {error}.",
                folder.display()
            ))
        })?;
        store.freeze()?;
        let mut waiting: HashMap<AttemptId, Vec<Entry>> = HashMap::new();
        let mut order = Vec::new();
        for entry in entries {
            let known = waiting.entry(entry.id().clone()).or_insert_with(|| {
                order.push(entry.id().clone());
                Vec::new()
            });
            known.push(entry);
        }
        Ok(Self {
            store,
            waiting,
            order,
        })
    }

    /// How many attempts have records that the database does not have yet.
    pub(crate) fn waiting(&self) -> usize {
        self.order.len()
    }

    /// Visits every attempt that matches, in the order in which they came.
    pub(crate) fn each(
        &self,
        filter: &AttemptFilter,
        mut visit: impl FnMut(&Listed) -> Result<()>,
    ) -> Result<()> {
        // What waits can change an attempt's state and nothing else that is asked for.
        let state = filter.state.filter(|_| self.waiting.is_empty());
        let mut query = AttemptQuery {
            filter: AttemptFilter {
                state,
                ..filter.clone()
            },
            newest_first: false,
            after: None,
            limit: PAGE,
        };
        let mut new = self.waiting.clone();
        let mut place = 0;
        loop {
            let page = self.store.attempts(&query)?;
            let Some(last) = page.last() else { break };
            place = last.place;
            query.after = Some(place);
            for mut listed in page {
                for entry in new.remove(&listed.attempt.opening.id).unwrap_or_default() {
                    // What cannot be becomes a dead letter when it is shipped, which `verify` tells.
                    let _step = listed.attempt.take(&entry);
                }
                if filter.matches(&listed.attempt) {
                    visit(&listed)?;
                }
            }
        }
        for id in &self.order {
            let mut attempt = None;
            for entry in new.remove(id).unwrap_or_default() {
                let _step = Attempt::advance(&mut attempt, &entry);
            }
            if let Some(attempt) = attempt.filter(|attempt| filter.matches(attempt)) {
                place += 1;
                visit(&Listed {
                    place,
                    attempt,
                    correction: None,
                })?;
            }
        }
        Ok(())
    }
}
