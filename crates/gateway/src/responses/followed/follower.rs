//! The task that asks after one response until it has ended.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tollgate_base::{Error, Kind, Usage, crash_point};
use tollgate_dialect::{ResponseEnd, ResponseStanding, response_standing};

use super::{
    super::{DIALECT, StoredAction},
    Account, Listener, News, Running, Told, forget,
};
use crate::gateway::{Gateway, Shared};

/// How long after its beginning a response is asked after first, and at most between two questions; up to twice as long
/// by chance.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// So many answers in a row that there is no such response are believed: a provider may not know everywhere at once what
/// it has begun.
const MISSING: u32 = 3;
/// A response that is said to run for longer is not believed to end any more.
const LONGEST_RUN: Duration = Duration::from_hours(24);
/// A provider is asked for so long when it gives no answer, or none that makes sense: a weekend.
const LONGEST_SILENCE: Duration = Duration::from_hours(72);

/// What is known when a response is followed no further.
#[derive(Debug)]
pub(super) enum Ending {
    Said(Box<LastWord>),
    /// Its provider does not say.
    Unsaid(Error),
}

/// How a response ended, and as what its provider showed it.
#[derive(Debug)]
pub(super) struct LastWord {
    pub(super) how: ResponseEnd,
    pub(super) usage: Usage,
    pub(super) body: Bytes,
}

impl Gateway {
    /// Follows a response once `promised` is through.
    pub(super) fn follow(
        &self,
        running: Running,
        account: Account,
        promised: impl Future<Output = ()> + Send + 'static,
    ) {
        // Outside of a runtime the process ends, and the next one follows it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (sender, mut told) = mpsc::unbounded_channel();
        let registered = Registered::new(&self.shared, &running, sender);
        let gateway = self.clone();
        runtime.spawn(async move {
            promised.await;
            let Some(account) = account.without_large_request().await else {
                return;
            };
            let (ending, heard) = gateway.watch(&running, &mut told).await;
            crash_point("background-ended");
            if account.book(&gateway.shared, ending).await {
                forget(&gateway.shared, &running.attempt);
            }
            // Who brought the news, and who brought more of it meanwhile, is answered now.
            drop(registered);
            drop((heard, told));
        });
    }

    /// Asks after a response until it has ended. Also says who brought the news and waits.
    async fn watch(
        &self,
        running: &Running,
        told: &mut mpsc::UnboundedReceiver<Told>,
    ) -> (Ending, Option<oneshot::Sender<()>>) {
        let (mut wait, mut missing, mut silent) = (FIRST_WAIT, 0, 0);
        loop {
            let (news, heard) = tokio::select! {
                Some(Told { news, heard }) = told.recv() => (Some(news), Some(heard)),
                news = self.look(running, wait, silent == 0) => (news, None),
            };
            silent = if news.is_none() { silent + 1 } else { 0 };
            let mut longest = LONGEST_SILENCE;
            match news {
                Some(News::Gone(error)) => {
                    missing += 1;
                    if heard.is_some() || missing == MISSING {
                        return (Ending::Unsaid(error), heard);
                    }
                }
                Some(News::Shown(body)) => match response_standing(&body) {
                    Ok(ResponseStanding { end: None, .. }) => {
                        (missing, longest) = (0, LONGEST_RUN);
                    }
                    Ok(ResponseStanding {
                        end: Some(how),
                        usage,
                        ..
                    }) => {
                        let word = LastWord { how, usage, body };
                        return (Ending::Said(Box::new(word)), heard);
                    }
                    // A caller asked for events, or somebody else has answered.
                    Err(_) => {}
                },
                None => {}
            }
            let age = self.shared.clock.now().0.saturating_sub(running.since.0);
            if Duration::from_millis(age) > longest {
                let message = "The provider does not say how the response ended.";
                let error = Error::new(Kind::UpstreamTimeout, "upstream_timeout", message);
                return (Ending::Unsaid(error), heard);
            }
            heard.map(|heard| heard.send(()));
            wait = (wait * 3 / 2).min(LONGEST_WAIT);
        }
    }

    /// Asks the provider after a while. Nothing comes of it when it cannot be asked.
    async fn look(&self, running: &Running, wait: Duration, is_first: bool) -> Option<News> {
        // Those that a start finds are not asked after all at once.
        let jitter = u32::try_from(self.shared.ids.number() >> 48).unwrap_or(0);
        tokio::time::sleep(wait + wait * jitter / (1 << 16)).await;
        let (provider, id) = (&*running.provider, &*running.id);
        let is_there = {
            let snapshot = self.shared.snapshot.load();
            let provider = snapshot.providers.get(provider);
            provider.is_some_and(|provider| provider.exact(DIALECT).is_some())
        };
        if !is_there {
            return None;
        }
        let shown = self.ask_keeper(StoredAction::Show, provider, id, None, None);
        match shown.await {
            Ok(body) => Some(News::Shown(body)),
            Err(error) if error.kind() == Kind::NotFound => Some(News::Gone(error)),
            Err(error) => {
                // Once for each silence: an outage has many of them.
                if is_first {
                    tracing::warn!(%error, provider, response = id, "a response in the background cannot be asked after now");
                }
                None
            }
        }
    }
}

/// A response that is followed, as long as it is.
struct Registered {
    shared: Arc<Shared>,
    place: (String, String),
    news: mpsc::UnboundedSender<Told>,
}

impl Registered {
    fn new(shared: &Arc<Shared>, running: &Running, news: mpsc::UnboundedSender<Told>) -> Self {
        let place = (running.provider.clone(), running.id.clone());
        let listener = Listener {
            key_id: running.key_id.clone(),
            news: news.clone(),
        };
        shared
            .memory
            .followed
            .lock()
            .0
            .insert(place.clone(), listener);
        Self {
            shared: shared.clone(),
            place,
            news,
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut followed = self.shared.memory.followed.lock();
        let is_own = |listener: &Listener| listener.news.same_channel(&self.news);
        if followed.0.get(&self.place).is_some_and(is_own) {
            followed.0.remove(&self.place);
        }
    }
}
