//! Requests that are sent again: the same one gets the answer that it had, another one under its key is refused.
//!
//! Answers are kept in memory, for a day, the newest of them. What failed changed nothing and is not kept, so
//! that it can be tried again.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tollgate_base::{Error, Kind, Result, UnixMillis};

use super::reply::Reply;

/// How long an answer is kept, how many, and how large one may be.
const KEPT: Duration = Duration::from_hours(24);
const MOST: usize = 10_000;
const LARGEST: usize = 64 << 10;

/// What one caller calls a request, and what the request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdempotencyKey {
    pub(super) actor: String,
    pub(super) text: String,
    /// A digest of its path, its version and its body.
    pub(super) request: [u8; 32],
}

/// What is known of a request.
#[derive(Debug)]
pub(super) enum Found {
    Known(Reply),
    /// It is new, and is being made from now on.
    Begun(Begun),
}

/// A request that is being made. Dropped without an end, it was never made.
#[derive(Debug)]
pub(super) struct Begun {
    answers: Arc<Answers>,
    key: IdempotencyKey,
    has_ended: bool,
}

/// The answers that are kept.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<(String, String), Known>,
    /// The keys in the order in which their requests began.
    order: VecDeque<(UnixMillis, (String, String))>,
}

#[derive(Debug)]
struct Known {
    request: [u8; 32],
    /// `None` while it is being made.
    reply: Option<Reply>,
}

impl Answers {
    /// The answer that the request had, or its beginning.
    pub(super) fn find_or_begin(
        self: &Arc<Self>,
        key: IdempotencyKey,
        now: UnixMillis,
    ) -> Result<Found> {
        let mut kept = self.0.lock();
        kept.forget(now);
        if let Some(known) = kept.by_key.get(&key.name()) {
            if known.request != key.request {
                let message = "This `Idempotency-Key` was used for another request. Use a new one.";
                let error = Error::new(Kind::Unprocessable, "idempotency_mismatch", message);
                return Err(error);
            }
            if let Some(reply) = &known.reply {
                return Ok(Found::Known(reply.clone()));
            }
            let message = "The same request is being made. Wait for its answer.";
            let error = Error::new(Kind::Conflict, "in_progress", message);
            return Err(error.with_retry_after(Duration::from_secs(1)));
        }
        let known = Known {
            request: key.request,
            reply: None,
        };
        kept.by_key.insert(key.name(), known);
        kept.order.push_back((now, key.name()));
        Ok(Found::Begun(Begun {
            answers: self.clone(),
            key,
            has_ended: false,
        }))
    }
}

impl IdempotencyKey {
    fn name(&self) -> (String, String) {
        (self.actor.clone(), self.text.clone())
    }
}

impl Begun {
    /// The request was made, and this is its answer.
    pub(super) fn end(mut self, reply: &Reply) {
        if reply.body.len() <= LARGEST {
            let mut kept = self.answers.0.lock();
            if let Some(known) = kept.by_key.get_mut(&self.key.name()) {
                known.reply = Some(reply.clone());
            }
            self.has_ended = true;
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.has_ended {
            let mut kept = self.answers.0.lock();
            let name = self.key.name();
            kept.by_key.remove(&name);
            kept.order.retain(|(_, other)| *other != name);
        }
    }
}

impl Kept {
    fn forget(&mut self, now: UnixMillis) {
        while let Some((begun, name)) = self.order.front() {
            if self.order.len() <= MOST && begun.plus(KEPT) > now {
                return;
            }
            self.by_key.remove(name);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, request: u8) -> IdempotencyKey {
        IdempotencyKey {
            actor: "key_1".to_owned(),
            text: text.to_owned(),
            request: [request; 32],
        }
    }

    /// What becomes of a request; a new one succeeds.
    fn outcome(answers: &Arc<Answers>, key: IdempotencyKey, now: u64) -> String {
        match answers.find_or_begin(key, UnixMillis(now)) {
            Ok(Found::Begun(begun)) => {
                begun.end(&Reply::nothing());
                "made".to_owned()
            }
            Ok(Found::Known(_)) => "known".to_owned(),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn a_request_is_made_once_within_a_day() {
        let answers = Arc::new(Answers::default());
        let day = u64::try_from(KEPT.as_millis()).unwrap();
        assert_eq!(outcome(&answers, key("a", 1), 0), "made");
        assert_eq!(outcome(&answers, key("a", 2), 1), "idempotency_mismatch");
        assert_eq!(outcome(&answers, key("a", 1), day - 1), "known");
        let other = IdempotencyKey {
            actor: "key_2".to_owned(),
            ..key("a", 2)
        };
        assert_eq!(outcome(&answers, other, 3), "made");
        assert_eq!(outcome(&answers, key("a", 2), day), "made");
    }

    #[test]
    fn a_request_under_way_is_not_begun_again_and_one_that_failed_is() {
        let answers = Arc::new(Answers::default());
        let begun = answers.find_or_begin(key("a", 1), UnixMillis(0));
        assert_eq!(outcome(&answers, key("a", 1), 0), "in_progress");
        drop(begun);
        assert_eq!(outcome(&answers, key("a", 2), 0), "made");
    }

    #[test]
    fn memory_is_bounded() {
        let answers = Arc::new(Answers::default());
        for n in 0..MOST + 10 {
            assert_eq!(outcome(&answers, key(&n.to_string(), 1), 1), "made");
        }
        assert_eq!(
            outcome(&answers, key("0", 2), 1),
            "made",
            "the oldest is forgotten"
        );
        let kept = answers.0.lock();
        assert!(kept.by_key.len() <= MOST + 1 && kept.order.len() == kept.by_key.len());
    }
}
