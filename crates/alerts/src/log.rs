//! What has been fired, and what somebody has not been told yet.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use parking_lot::Mutex;
use tollgate_base::UnixMillis;

use crate::Alert;

/// Remembers alerts, so that a crossing is fired once and its delivery is not forgotten.
///
/// It never fails towards its caller: an alert that could not be written is still known to this process and
/// delivered by it. What is lost then is the memory across a restart, and the log line says so.
pub trait AlertLog: Send + Sync + fmt::Debug {
    /// Takes an alert for these channels. `false` when it was fired before: then nothing is to be done.
    fn record(&self, alert: &Alert, channels: &[&str]) -> bool;
    /// Says how the delivery by a channel ended.
    fn settle(&self, id: &str, channel: &str, outcome: Outcome);
    /// What is not delivered yet, oldest first.
    fn pending(&self) -> Vec<Pending>;
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver accepted it.
    Delivered,
    /// Given up.
    Dead,
}

/// An alert that a channel has not taken yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub alert: Alert,
    pub channel: String,
}

/// A log that ends with the process.
#[derive(Debug, Default)]
pub struct MemoryLog(Mutex<State>);

/// The state behind every log.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The ids fired, with the time of the alert.
    fired: BTreeMap<String, UnixMillis>,
    /// The same ids, oldest first.
    order: VecDeque<String>,
    /// In the order in which they came.
    open: VecDeque<Open>,
}

/// An alert with the channels that have not taken it.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) alert: Alert,
    pub(crate) channels: Vec<String>,
}

/// Ids that are remembered; beyond it the oldest are forgotten. Crossings are rare: ten budgets with three
/// thresholds by the day fill it in four years.
const MOST_IDS: usize = 50_000;
/// Alerts that wait; beyond it the oldest are given up.
const MOST_OPEN: usize = 5_000;

// === impl State ===

impl State {
    /// `false` when it is known.
    pub(crate) fn record(&mut self, alert: &Alert, channels: &[&str]) -> bool {
        if !self.remember(&alert.id, alert.at) {
            return false;
        }
        if !channels.is_empty() {
            self.open.push_back(Open {
                alert: alert.clone(),
                channels: channels.iter().map(|&name| name.to_owned()).collect(),
            });
        }
        if self.open.len() > MOST_OPEN
            && let Some(oldest) = self.open.pop_front()
        {
            tracing::error!(
                alert = oldest.alert.id,
                title = oldest.alert.title,
                "an alert was given up: too many wait for their receivers"
            );
        }
        true
    }

    pub(crate) fn remember(&mut self, id: &str, at: UnixMillis) -> bool {
        if self.fired.contains_key(id) {
            return false;
        }
        self.fired.insert(id.to_owned(), at);
        self.order.push_back(id.to_owned());
        if self.order.len() > MOST_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.fired.remove(&oldest);
        }
        true
    }

    pub(crate) fn settle(&mut self, id: &str, channel: &str) {
        if let Some(at) = self.open.iter().position(|open| open.alert.id == id)
            && let Some(open) = self.open.get_mut(at)
        {
            open.channels.retain(|waiting| waiting != channel);
            if open.channels.is_empty() {
                self.open.remove(at);
            }
        }
    }

    pub(crate) fn pending(&self) -> Vec<Pending> {
        self.open
            .iter()
            .flat_map(|open| {
                open.channels.iter().map(|channel| Pending {
                    alert: open.alert.clone(),
                    channel: channel.clone(),
                })
            })
            .collect()
    }

    /// Everything that has to be written again, ids first.
    pub(crate) fn parts(&self) -> (impl Iterator<Item = (&str, UnixMillis)>, &VecDeque<Open>) {
        let ids = self.order.iter().map(|id| {
            let at = self.fired.get(id).copied().unwrap_or_default();
            (id.as_str(), at)
        });
        (ids, &self.open)
    }

    pub(crate) fn restore(&mut self, open: Open) {
        self.open.push_back(open);
    }

    /// Lines that a fresh journal of this state has.
    pub(crate) fn size(&self) -> usize {
        self.order.len() + self.open.len()
    }
}

// === impl MemoryLog ===

impl AlertLog for MemoryLog {
    fn record(&self, alert: &Alert, channels: &[&str]) -> bool {
        self.0.lock().record(alert, channels)
    }

    fn settle(&self, id: &str, channel: &str, _outcome: Outcome) {
        self.0.lock().settle(id, channel);
    }

    fn pending(&self) -> Vec<Pending> {
        self.0.lock().pending()
    }
}
