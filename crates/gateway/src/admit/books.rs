//! What all calls share of money and limits: the counters, the rules in force, the ledger.

use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tollgate_base::{Moment, Money, UnixMillis};
use tollgate_ledger::Ledger;
use tollgate_policy::{
    admission::{Admission, Correction, Crossing, Rules},
    ledger::Opening,
};

/// The books of the gateway.
#[derive(Debug)]
pub struct Books {
    pub admission: Admission,
    pub rules: ArcSwap<Rules>,
    pub ledger: Ledger,
    /// Held by whoever takes over a change of rules or keys: an older state never follows a newer one.
    pub changing: Mutex<()>,
    /// When each key was used last, since the last time somebody asked.
    used: Mutex<HashMap<String, UnixMillis>>,
    /// What each key spent since the last time somebody asked.
    spent: Mutex<HashMap<String, Spent>>,
    /// Who is told of what people may want to know at once.
    notices: Option<mpsc::Sender<Notice>>,
}

/// Something that people may want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A budget's threshold was reached.
    Crossed(Crossing),
    /// A call was booked without a price.
    Unpriced { target: String, at: UnixMillis },
}

/// What a key spent in a moment, and when the last of it was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    pub at: UnixMillis,
    pub cost: Money,
}

impl Books {
    pub fn new(rules: Rules, ledger: Ledger, notices: Option<mpsc::Sender<Notice>>) -> Self {
        Self {
            admission: Admission::default(),
            rules: ArcSwap::from_pointee(rules),
            ledger,
            changing: Mutex::default(),
            used: Mutex::default(),
            spent: Mutex::default(),
            notices,
        }
    }

    /// The rules in force now.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// An attempt of which nobody knew how it ended is booked with `posted`: budgets count that instead of its hold.
    /// Limits keep what was held. To be called with `changing` held from before the attempt was looked at: a budget that
    /// is being made would be told of the booking, and then corrected by it once more.
    pub fn correct(&self, opening: &Opening, posted: Money, at: Moment) {
        let correction = Correction {
            admitted: opening.at,
            released: opening.held.unwrap_or_default(),
            posted,
        };
        let rules = self.rules();
        let scopes = opening.scopes();
        for crossing in self.admission.correct(&rules, at, &scopes, correction) {
            self.notify(Notice::Crossed(crossing));
        }
    }

    /// When keys were used, since this was asked last.
    pub fn take_used(&self) -> Vec<(String, UnixMillis)> {
        std::mem::take(&mut *self.used.lock()).into_iter().collect()
    }

    pub(crate) fn touch(&self, key_id: &str, at: UnixMillis) {
        let mut used = self.used.lock();
        match used.get_mut(key_id) {
            Some(last) => *last = at,
            None => {
                used.insert(key_id.to_owned(), at);
            }
        }
    }

    /// What keys spent since this was asked last. It is gathered here, so that no call wakes anybody.
    pub fn take_spent(&self) -> Vec<(String, Spent)> {
        std::mem::take(&mut *self.spent.lock())
            .into_iter()
            .collect()
    }

    pub(crate) fn spend(&self, key_id: &str, at: UnixMillis, cost: Money) {
        let mut all = self.spent.lock();
        match all.get_mut(key_id) {
            Some(spent) => {
                spent.at = spent.at.max(at);
                spent.cost = spent.cost.plus(cost);
            }
            None => {
                all.insert(key_id.to_owned(), Spent { at, cost });
            }
        }
    }

    /// Tells whoever listens. A full queue loses the notice rather than hold up a call; what must not be lost is
    /// in the ledger.
    pub fn notify(&self, notice: Notice) {
        let Some(notices) = &self.notices else { return };
        if notices.try_send(notice).is_err() {
            tracing::warn!("a notice was dropped: too many wait to be sent");
        }
    }
}
