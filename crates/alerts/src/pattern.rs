//! What a key usually spends in an hour, and when an hour is not like that.
//!
//! The usual hour is an exponentially weighted mean of the past hours (half of its weight lies on the last
//! two and a half days) plus one standard deviation, so that a key that works by bursts is judged by its bursts. Whole
//! nano-dollars throughout. Time comes in with each observation, and after a restart the same observations,
//! replayed from the ledger, give the same state.

use std::{collections::BTreeMap, sync::Arc};

use tollgate_base::{Money, UnixMillis};
use tollgate_config::AlertingSettings;

/// The spending patterns of all keys, by key.
#[derive(Debug)]
pub struct Pattern {
    settings: AlertingSettings,
    keys: BTreeMap<Arc<str>, History>,
    /// Keys by their last use, the least recent first.
    uses: BTreeMap<u64, Arc<str>>,
    next_use: u64,
    most_keys: usize,
}

/// An hour that is not like the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusual {
    /// When it began.
    pub hour: UnixMillis,
    /// In this hour so far.
    pub spent: Money,
    /// What an hour usually costs.
    pub usual: Money,
    /// Where spending becomes unusual.
    pub limit: Money,
}

#[derive(Debug)]
struct History {
    last_use: u64,
    /// The hour under way, in hours since 1970.
    hour: u64,
    spent: i128,
    /// Of the hours before.
    mean: i128,
    /// In square nano-dollars.
    variance: i128,
    /// Whole hours that were seen.
    seen: u64,
    /// An alert was given, and no hour since was below half of the limit.
    in_episode: bool,
}

const HOUR_MILLIS: u64 = 3_600_000;
/// A new hour has one part in so many of the weight: as in a window of 168 hours, a week.
const WEIGHT: u64 = 84;
/// Empty hours after which nothing of a history is left.
const FORGOTTEN_AFTER: u64 = 20 * WEIGHT;
/// Keys that are watched; beyond it the one that is longest unused is forgotten.
const MOST_KEYS: usize = 10_000;
/// Far beyond any spending of an hour, and its square fits.
const LARGEST: i128 = 1 << 59;

// === impl Pattern ===

impl Pattern {
    pub fn new(settings: AlertingSettings) -> Self {
        Self::with_room(settings, MOST_KEYS)
    }

    fn with_room(settings: AlertingSettings, most_keys: usize) -> Self {
        Self {
            settings,
            keys: BTreeMap::new(),
            uses: BTreeMap::new(),
            next_use: 0,
            most_keys,
        }
    }

    /// Takes what a key spent at a time, and says when that makes its hour unusual: once for each episode,
    /// which ends with an hour below half of the limit. Money from an hour that is over counts as spent now.
    pub fn observe(&mut self, key: &str, at: UnixMillis, spent: Money) -> Option<Unusual> {
        if !self.settings.unusual {
            return None;
        }
        let now = at.0 / HOUR_MILLIS;
        let history = self.touch(key, now);
        let settings = self.settings.clone();
        let history = self.keys.get_mut(&history)?;
        history.advance(now, &settings);
        history.spent = history
            .spent
            .saturating_add(spent.nanos().max(0))
            .min(LARGEST);
        let limit = history.limit(&settings);
        let is_unusual =
            history.spent > limit && history.seen >= settings.history_hours && !history.in_episode;
        is_unusual.then(|| {
            history.in_episode = true;
            Unusual {
                hour: UnixMillis(history.hour.saturating_mul(HOUR_MILLIS)),
                spent: Money::from_nanos(history.spent),
                usual: Money::from_nanos(history.usual()),
                limit: Money::from_nanos(limit),
            }
        })
    }

    /// The name of a key that is there now, made the most recently used.
    fn touch(&mut self, key: &str, now: u64) -> Arc<str> {
        let this_use = self.next_use;
        self.next_use += 1;
        let name = if let Some((name, _)) = self.keys.get_key_value(key) {
            Arc::clone(name)
        } else {
            if self.keys.len() >= self.most_keys
                && let Some((_, oldest)) = self.uses.pop_first()
            {
                self.keys.remove(&oldest);
            }
            let name: Arc<str> = key.into();
            self.keys.insert(Arc::clone(&name), History::new(now));
            name
        };
        if let Some(history) = self.keys.get_mut(&name) {
            self.uses.remove(&history.last_use);
            history.last_use = this_use;
        }
        self.uses.insert(this_use, Arc::clone(&name));
        name
    }
}

// === impl History ===

impl History {
    fn new(hour: u64) -> Self {
        Self {
            last_use: u64::MAX,
            hour,
            spent: 0,
            mean: 0,
            variance: 0,
            seen: 0,
            in_episode: false,
        }
    }

    /// Closes the hours before `now`. A clock that steps back changes nothing.
    fn advance(&mut self, now: u64, settings: &AlertingSettings) {
        let hours = now.saturating_sub(self.hour);
        if hours == 0 {
            return;
        }
        self.close(settings);
        let empty = hours - 1;
        if empty > FORGOTTEN_AFTER {
            (self.mean, self.variance, self.in_episode) = (0, 0, false);
            self.seen = self.seen.saturating_add(empty);
        } else {
            for _ in 0..empty {
                self.close(settings);
            }
        }
        self.hour = now;
    }

    /// Takes the hour under way into the history.
    fn close(&mut self, settings: &AlertingSettings) {
        let limit = self.limit(settings);
        if self.spent < limit / 2 {
            self.in_episode = false;
        }
        // An hour far out counts as one at the limit, so that it does not become the usual at once.
        let is_known = self.seen >= settings.history_hours;
        let spent = if is_known {
            self.spent.min(limit)
        } else {
            self.spent
        };
        // The first hours weigh alike; then each has its fixed part.
        self.seen = self.seen.saturating_add(1);
        let weight = i128::from(self.seen.min(WEIGHT));
        let off = spent.saturating_sub(self.mean);
        self.mean = self.mean.saturating_add(off / weight);
        let square = off.saturating_mul(off) / weight;
        self.variance = self
            .variance
            .saturating_add(square)
            .saturating_mul(weight - 1)
            / weight;
        self.spent = 0;
    }

    fn usual(&self) -> i128 {
        self.mean.saturating_add(self.variance.max(0).isqrt())
    }

    fn limit(&self, settings: &AlertingSettings) -> i128 {
        self.usual()
            .saturating_mul(i128::from(settings.factor))
            .max(settings.floor.nanos())
    }
}
