//! Responses that a provider runs in the background. It answers at once and says only at the end what it used, so the
//! gateway asks after each of them until it has ended, and books it then.
//!
//! Meanwhile the attempt is under way, with all that it holds. Which response it is about is in the store before its
//! caller hears of it, so that a process that comes after a dead one follows what that one followed. Whoever else asks
//! after the response, as often as they like, brings news of it sooner: it is booked once.

mod account;
mod follower;

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tollgate_base::{Error, Kind, Result, UnixMillis, crash_point};
use tollgate_dialect::{ResponseStanding, response_standing};
use tollgate_policy::{
    ledger::{Attempt, AttemptId, AttemptState},
    objects::{Object, ObjectKind},
};

use self::account::Account;
use super::{Memory, memory::KEEP_MILLIS};
use crate::{
    gateway::{Gateway, Shared},
    record::Record,
};

/// Responses that are followed at once, and of one key.
const MAX_FOLLOWED: usize = 10_000;
const MAX_OF_ONE_KEY: usize = 1_000;
/// The pause before it is looked again for what a dead process followed.
const SEARCH_AGAIN: Duration = Duration::from_secs(10);

/// What is known of a call whose response its provider may go on with.
#[derive(Clone, Debug)]
struct Job {
    gateway: Gateway,
    provider: String,
    key_id: String,
    attempt: AttemptId,
}

/// A call whose response its provider goes on with when nobody listens.
pub(crate) struct Follow {
    job: Job,
    promise: Promise,
}

/// Whether it is written down which response the attempt is about.
enum Promise {
    // ## Not => Writing, when the response has its id
    Not,
    // ## Writing => Made
    Writing(Pin<Box<dyn Future<Output = ()> + Send>>),
    Made,
}

/// A response that a provider runs.
#[derive(Clone, Debug)]
struct Running {
    id: String,
    provider: String,
    key_id: String,
    attempt: AttemptId,
    since: UnixMillis,
}

/// The responses that are followed, by their providers and ids.
#[derive(Debug, Default)]
pub(super) struct Followed(HashMap<(String, String), Listener>);

/// Who waits for news of a response.
#[derive(Debug)]
struct Listener {
    key_id: String,
    news: mpsc::UnboundedSender<Told>,
}

/// News of a response, from whoever asked after it.
#[derive(Debug)]
pub(super) enum News {
    /// As its provider showed it.
    Shown(Bytes),
    /// Nobody can ask after it any more.
    Gone(Error),
}

/// News, and who waits until they are dealt with.
#[derive(Debug)]
struct Told {
    news: News,
    heard: oneshot::Sender<()>,
}

/// The id of a response that is not finished.
pub(crate) fn running_id(body: &[u8]) -> Option<String> {
    let ResponseStanding { id, end, .. } = response_standing(body).ok()?;
    (end.is_none() && !id.is_empty()).then_some(id)
}

// === impl Job, impl Follow ===

impl Job {
    /// Writes down which response the attempt is about, and whose it is.
    async fn promise(self, id: String) {
        crash_point("background-begun");
        let shared = &self.gateway.shared;
        let object = |kind, id, body| Object {
            kind,
            id,
            key_id: self.key_id.clone(),
            provider: self.provider.clone(),
            created_at: shared.clock.now(),
            body,
        };
        let body = serde_json::Value::from(id.as_str()).to_string();
        let promise = object(ObjectKind::Attempt, self.attempt.to_string(), body);
        let response = object(ObjectKind::Response, id, String::new());
        let store = shared.objects.clone();
        let write = move || {
            store.put_object(&promise)?;
            store.put_object(&response)
        };
        let written = tokio::task::spawn_blocking(write).await;
        if !matches!(written, Ok(Ok(()))) {
            let attempt = &self.attempt;
            tracing::error!(%attempt, "a response in the background may not be found after a restart");
        }
        crash_point("background-promised");
    }
}

impl Follow {
    pub(crate) fn new(gateway: &Gateway, record: &Record) -> Self {
        let target = record.target.as_deref().unwrap_or_default();
        let (provider, _) = target.split_once('/').unwrap_or((target, ""));
        let job = Job {
            gateway: gateway.clone(),
            provider: provider.to_owned(),
            key_id: record.key_id.clone(),
            attempt: AttemptId {
                request_id: record.request_id.clone(),
                number: record.attempts,
            },
        };
        Self {
            job,
            promise: Promise::Not,
        }
    }

    /// Ready when it is written down which response the attempt is about; at once while it has no id.
    pub(crate) fn poll_promise(&mut self, id: Option<&str>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.promise {
                Promise::Made => return Poll::Ready(()),
                Promise::Writing(writing) => {
                    ready!(writing.as_mut().poll(cx));
                    self.promise = Promise::Made;
                }
                Promise::Not => {
                    let Some(id) = id else {
                        return Poll::Ready(());
                    };
                    let writing = self.job.clone().promise(id.to_owned());
                    self.promise = Promise::Writing(Box::pin(writing));
                }
            }
        }
    }

    /// Follows the response `id` from here on; `seen` tokens of it have gone out. What comes back resolves when that
    /// survives this process.
    pub(crate) fn take_over(self, id: &str, record: Record, seen: u64) -> oneshot::Receiver<()> {
        let Self { job, promise } = self;
        let running = Running {
            id: id.to_owned(),
            provider: job.provider.clone(),
            key_id: job.key_id.clone(),
            attempt: job.attempt.clone(),
            since: job.gateway.shared.clock.now(),
        };
        let account = Account::Open {
            record: Box::new(record),
            seen,
        };
        let (gateway, id) = (job.gateway.clone(), id.to_owned());
        let (sender, promised) = oneshot::channel();
        gateway.follow(running, account, async move {
            match promise {
                Promise::Made => {}
                Promise::Writing(writing) => writing.await,
                Promise::Not => job.promise(id).await,
            }
            // Its caller may have left.
            sender.send(()).ok();
        });
        promised
    }

    /// The response has ended before its caller left, and is booked.
    pub(crate) fn needs_no_more(self) {
        if !matches!(self.promise, Promise::Not) {
            forget(&self.job.gateway.shared, &self.job.attempt);
        }
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

// === impl Memory, impl Gateway ===

impl Memory {
    /// Refuses a response in the background when too many are followed.
    pub(super) fn check_followed(&self, key_id: &str) -> Result<()> {
        let followed = self.followed.lock();
        let of_key = || {
            let listeners = followed.0.values();
            listeners.filter(|it| it.key_id == key_id).count()
        };
        if followed.0.len() < MAX_FOLLOWED && of_key() < MAX_OF_ONE_KEY {
            return Ok(());
        }
        let message =
            "Too many responses run in the background. Try again shortly, or wait for the answer.";
        Err(Error::new(Kind::RateLimit, "rate_limit_exceeded", message))
    }
}

impl Gateway {
    /// Follows what a process followed that has died.
    pub fn resume(&self) {
        let gateway = self.clone();
        tokio::spawn(async move {
            loop {
                let shared = gateway.shared.clone();
                let found = tokio::task::spawn_blocking(move || left_running(&shared)).await;
                match found.unwrap_or_else(|_| Err(Error::internal("The search panicked."))) {
                    Ok(found) => {
                        for (running, attempt) in found {
                            let lost = Account::Lost(Box::new(attempt));
                            gateway.follow(running, lost, std::future::ready(()));
                        }
                        return;
                    }
                    Err(error) => {
                        tracing::error!(%error, "responses in the background are not followed yet");
                    }
                }
                tokio::time::sleep(SEARCH_AGAIN).await;
            }
        });
    }

    /// Whether this process asks after a response.
    pub(super) fn is_followed(&self, provider: &str, id: &str) -> bool {
        let place = (provider.to_owned(), id.to_owned());
        self.shared.memory.followed.lock().0.contains_key(&place)
    }

    /// News of a response, if it is followed. Comes back when what they say is booked.
    pub(super) async fn hear(&self, provider: &str, id: &str, news: News) {
        let (heard, hears) = oneshot::channel();
        let place = (provider.to_owned(), id.to_owned());
        let is_sent = {
            let followed = self.shared.memory.followed.lock();
            let listener = followed.0.get(&place);
            listener.is_some_and(|it| it.news.send(Told { news, heard }).is_ok())
        };
        if is_sent {
            // An error says that the follower has ended with it unread: everything is booked then, too.
            drop(hears.await);
        }
    }
}

/// The attempts without a known end of which it is written down what they are about. What was written down so long ago
/// that no provider keeps it is forgotten.
fn left_running(shared: &Shared) -> Result<Vec<(Running, Attempt)>> {
    let kind = ObjectKind::Attempt;
    let oldest = UnixMillis(shared.clock.now().0.saturating_sub(KEEP_MILLIS));
    shared.objects.forget_objects(kind, oldest)?;
    let mut found = Vec::new();
    let ledger = &shared.books.ledger;
    ledger.each_attempt(AttemptState::Unknown, None, |attempt| {
        let opening = &attempt.opening;
        let Some(promise) = shared.objects.object(kind, &opening.id.to_string())? else {
            return Ok(());
        };
        if let Ok(id) = serde_json::from_str(&promise.body) {
            let running = Running {
                id,
                provider: promise.provider,
                key_id: promise.key_id,
                attempt: opening.id.clone(),
                since: opening.at,
            };
            found.push((running, attempt.clone()));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Nobody has to look for the response any more: once its booking is in the store, what was written down for that goes.
fn forget(shared: &Arc<Shared>, attempt: &AttemptId) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let (shared, id) = (shared.clone(), attempt.to_string());
    runtime.spawn_blocking(move || {
        let flushed = shared.books.ledger.flush();
        let forgotten = || shared.objects.delete_object(ObjectKind::Attempt, &id);
        if let Err(error) = flushed.and_then(|()| forgotten()) {
            tracing::warn!(%error, attempt = id, "a finished response in the background is still written down");
        }
    });
}
