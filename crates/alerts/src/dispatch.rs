//! From a crossing to an accepted delivery: takes alerts, has them remembered, and tries each channel until
//! the receiver accepts or a day has passed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tollgate_base::{Clock, IdSource};

use crate::{Alert, AlertLog, Channel, log::Outcome};

/// Where alerts are given in. Cheap to clone; giving one in never waits for a receiver.
#[derive(Clone, Debug)]
pub struct Alerts {
    queue: mpsc::Sender<Alert>,
    shared: Arc<Shared>,
}

/// The task that delivers.
#[derive(Debug)]
pub struct Dispatcher {
    queue: mpsc::Receiver<Alert>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    random: IdSource,
    /// What no channel has accepted yet, oldest first.
    waiting: Vec<Delivery>,
    next_key: u64,
    attempts: JoinSet<(u64, Result<(), String>)>,
    /// The attempt under way of each channel.
    busy: Vec<Option<(u64, Id)>>,
}

#[derive(Debug)]
struct Shared {
    channels: Vec<Channel>,
    log: Arc<dyn AlertLog>,
    /// Alerts that found the queue full.
    overflowed: AtomicU64,
    /// Rung when the log has something that did not come through the queue.
    bell: Notify,
}

/// One alert on its way to one channel.
#[derive(Debug)]
struct Delivery {
    key: u64,
    alert: Arc<Alert>,
    /// An index into the channels.
    channel: usize,
    failures: u32,
    due: Instant,
}

/// Alerts that may wait to be recorded.
const QUEUE: usize = 256;
/// Deliveries that may wait; beyond it the oldest is given up.
const MOST_WAITING: usize = 10_000;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// After this an alert is no news.
const LIFETIME: Duration = Duration::from_hours(24);

// === impl Alerts ===

impl Alerts {
    /// Fires an alert, once: a crossing that was fired before, in this process or an earlier one, is left.
    /// When too many come at once the caller writes it into the log itself, so that none is lost.
    pub fn send(&self, alert: Alert) {
        let alert = match self.queue.try_send(alert) {
            Ok(()) => return,
            Err(
                mpsc::error::TrySendError::Full(alert) | mpsc::error::TrySendError::Closed(alert),
            ) => alert,
        };
        let before = self.shared.overflowed.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(1_000) {
            tracing::warn!(
                overflowed = before + 1,
                "more alerts came at once than are taken at once; they are delivered later"
            );
        }
        self.shared.record(&alert);
        self.shared.bell.notify_one();
    }

    /// How many alerts found the queue full.
    pub fn overflowed(&self) -> u64 {
        self.shared.overflowed.load(Ordering::Relaxed)
    }
}

// === impl Shared ===

impl Shared {
    /// Has an alert remembered for the channels that want it, and says it in the log of the service.
    fn record(&self, alert: &Alert) -> bool {
        let names: Vec<&str> = self
            .channels
            .iter()
            .filter(|channel| channel.wants(alert))
            .map(Channel::name)
            .collect();
        let is_new = self.log.record(alert, &names);
        if is_new {
            tracing::warn!(
                alert = alert.id,
                event = alert.event.as_str(),
                severity = alert.severity.as_str(),
                scope = %alert.scope,
                channels = names.len(),
                title = alert.title,
                "alert"
            );
        }
        is_new
    }
}

// === impl Dispatcher ===

impl Dispatcher {
    /// What an earlier process left undelivered in the log is taken up again.
    pub fn new(
        channels: Vec<Channel>,
        log: Arc<dyn AlertLog>,
        clock: Arc<dyn Clock>,
    ) -> (Alerts, Self) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let busy = channels.iter().map(|_| None).collect();
        let shared = Arc::new(Shared {
            channels,
            log,
            overflowed: AtomicU64::new(0),
            bell: Notify::new(),
        });
        let alerts = Alerts {
            queue: sender,
            shared: Arc::clone(&shared),
        };
        let dispatcher = Self {
            queue,
            shared,
            clock,
            random: IdSource::from_entropy(),
            waiting: Vec::new(),
            next_key: 0,
            attempts: JoinSet::new(),
            busy,
        };
        (alerts, dispatcher)
    }

    /// Delivers until every [`Alerts`] is gone; then what is under way is finished, and the rest is left to the
    /// next start. Dropping the future loses nothing but that.
    pub async fn run(mut self) {
        let mut is_open = true;
        self.take_from_log();
        loop {
            if is_open {
                self.begin_due();
            } else if self.attempts.is_empty() {
                return;
            }
            let next = self.next_due();
            tokio::select! {
                alert = self.queue.recv(), if is_open => match alert {
                    Some(alert) => self.take(alert).await,
                    None => is_open = false,
                },
                () = self.shared.bell.notified() => self.take_from_log(),
                Some(ended) = self.attempts.join_next() => self.end(ended).await,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() && is_open => {}
            }
        }
    }

    async fn take(&mut self, alert: Alert) {
        let alert = Arc::new(alert);
        let (shared, recorded) = (Arc::clone(&self.shared), Arc::clone(&alert));
        // The disk is waited for elsewhere.
        let is_new = tokio::task::spawn_blocking(move || shared.record(&recorded)).await;
        if !is_new.unwrap_or(true) {
            return;
        }
        for channel in 0..self.shared.channels.len() {
            let wants = self
                .shared
                .channels
                .get(channel)
                .is_some_and(|it| it.wants(&alert));
            if wants {
                self.wait(Arc::clone(&alert), channel);
            }
        }
    }

    /// Adds what the log has and this task does not know of.
    fn take_from_log(&mut self) {
        let known: BTreeSet<(String, usize)> = self
            .waiting
            .iter()
            .map(|delivery| (delivery.alert.id.clone(), delivery.channel))
            .collect();
        for pending in self.shared.log.pending() {
            let channel = self
                .shared
                .channels
                .iter()
                .position(|channel| channel.name() == pending.channel);
            match channel {
                Some(channel) if !known.contains(&(pending.alert.id.clone(), channel)) => {
                    self.wait(Arc::new(pending.alert), channel);
                }
                Some(_) => {}
                // The channel is no longer configured.
                None => self
                    .shared
                    .log
                    .settle(&pending.alert.id, &pending.channel, Outcome::Dead),
            }
        }
    }

    fn wait(&mut self, alert: Arc<Alert>, channel: usize) {
        if self.waiting.len() >= MOST_WAITING
            && let Some(oldest) = self
                .waiting
                .iter()
                .position(|it| !self.is_under_way(it.key))
        {
            let oldest = self.waiting.remove(oldest);
            self.give_up(&oldest, "too many alerts wait");
            self.shared
                .log
                .settle(&oldest.alert.id, self.name(oldest.channel), Outcome::Dead);
        }
        self.waiting.push(Delivery {
            key: self.next_key,
            alert,
            channel,
            failures: 0,
            due: Instant::now(),
        });
        self.next_key += 1;
    }

    /// Begins what is due, one attempt for each channel at a time: a slow receiver delays its own alerts alone.
    fn begin_due(&mut self) {
        let now = Instant::now();
        for delivery in &self.waiting {
            let Some(slot @ None) = self.busy.get_mut(delivery.channel) else {
                continue;
            };
            if delivery.due > now {
                continue;
            }
            let (shared, alert) = (Arc::clone(&self.shared), Arc::clone(&delivery.alert));
            let (key, channel, wall) = (delivery.key, delivery.channel, self.clock.now());
            let task = self.attempts.spawn(async move {
                let ended = match shared.channels.get(channel) {
                    Some(channel) => channel.deliver(&alert, wall).await,
                    None => Err("there is no such channel".to_owned()),
                };
                (key, ended)
            });
            *slot = Some((key, task.id()));
        }
    }

    /// When the first delivery of a free channel is due.
    fn next_due(&self) -> Option<Instant> {
        self.waiting
            .iter()
            .filter(|delivery| matches!(self.busy.get(delivery.channel), Some(None)))
            .map(|delivery| delivery.due)
            .min()
    }

    async fn end(&mut self, ended: Result<(u64, Result<(), String>), JoinError>) {
        let (key, outcome) = match ended {
            Ok((key, outcome)) => (Some(key), outcome),
            Err(error) => {
                let of = self.busy.iter().flatten().find(|(_, id)| *id == error.id());
                (
                    of.map(|(key, _)| *key),
                    Err("a fault of our own".to_owned()),
                )
            }
        };
        for slot in &mut self.busy {
            if slot.is_some_and(|(of, _)| Some(of) == key) {
                *slot = None;
            }
        }
        let Some(at) = self.waiting.iter().position(|it| Some(it.key) == key) else {
            return;
        };
        match outcome {
            Ok(()) => {
                let delivered = self.waiting.remove(at);
                self.settle(&delivered, Outcome::Delivered).await;
            }
            Err(reason) => self.fail(at, &reason).await,
        }
    }

    async fn fail(&mut self, at: usize, reason: &str) {
        let now = self.clock.now();
        let random = self.random.number();
        let Some(delivery) = self.waiting.get_mut(at) else {
            return;
        };
        if now >= delivery.alert.at.plus(LIFETIME) {
            let dead = self.waiting.remove(at);
            self.give_up(&dead, reason);
            self.settle(&dead, Outcome::Dead).await;
            return;
        }
        delivery.failures = delivery.failures.saturating_add(1);
        let pause = pause(delivery.failures, random);
        delivery.due = Instant::now() + pause;
        let (id, failures, channel) = (
            delivery.alert.id.clone(),
            delivery.failures,
            delivery.channel,
        );
        tracing::warn!(
            alert = id,
            channel = self.name(channel),
            failures,
            reason,
            again_in_s = pause.as_secs(),
            "an alert could not be delivered"
        );
    }

    fn give_up(&self, delivery: &Delivery, reason: &str) {
        tracing::error!(
            alert = delivery.alert.id,
            channel = self.name(delivery.channel),
            failures = delivery.failures,
            reason,
            title = delivery.alert.title,
            "an alert was given up; check the channel with `tollgate alerts test`"
        );
    }

    async fn settle(&self, delivery: &Delivery, outcome: Outcome) {
        let shared = Arc::clone(&self.shared);
        let (id, channel) = (
            delivery.alert.id.clone(),
            self.name(delivery.channel).to_owned(),
        );
        let settled =
            tokio::task::spawn_blocking(move || shared.log.settle(&id, &channel, outcome)).await;
        if settled.is_err() {
            tracing::error!("the alert log failed; after a restart an alert may be sent again");
        }
    }

    fn is_under_way(&self, key: u64) -> bool {
        self.busy.iter().flatten().any(|(of, _)| *of == key)
    }

    fn name(&self, channel: usize) -> &str {
        self.shared.channels.get(channel).map_or("", Channel::name)
    }
}

/// Twice as long after each failure, up to an hour; at random between half of it and all of it, so that many
/// alerts do not come back at the same moment.
fn pause(failures: u32, random: u64) -> Duration {
    let whole = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(12)))
        .min(LONGEST_PAUSE);
    let half = whole / 2;
    let part = u32::try_from(random % 1_024).unwrap_or(0);
    half + half * part / 1_024
}
