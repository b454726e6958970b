//! Requests that are sent again: the same one gets the answer that it had, another one under its key is refused.
//!
//! Answers are kept in memory, for a day, the newest of them. What failed changed nothing and is not kept, so
//! that it can be tried again.

use std::{
    collections::{HashMap, VecDeque},
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
    /// The answer that the request had. `None` when it is new; it has begun then, and `end` has to follow.
    pub(super) fn find_or_begin(
        &self,
        key: &IdempotencyKey,
        now: UnixMillis,
    ) -> Result<Option<Reply>> {
        let mut kept = self.0.lock();
        kept.forget(now);
        let name = (key.actor.clone(), key.text.clone());
        if let Some(known) = kept.by_key.get(&name) {
            if known.request != key.request {
                let message = "This `Idempotency-Key` was used for another request. Use a new one.";
                return Err(Error::new(
                    Kind::Unprocessable,
                    "idempotency_mismatch",
                    message,
                ));
            }
            return match &known.reply {
                Some(reply) => Ok(Some(reply.clone())),
                None => {
                    let message = "The same request is being made. Wait for its answer.";
                    let error = Error::new(Kind::Conflict, "in_progress", message);
                    Err(error.with_retry_after(Duration::from_secs(1)))
                }
            };
        }
        let known = Known {
            request: key.request,
            reply: None,
        };
        kept.by_key.insert(name.clone(), known);
        kept.order.push_back((now, name));
        Ok(None)
    }

    /// The request has this answer; `None` when it failed.
    pub(super) fn end(&self, key: &IdempotencyKey, reply: Option<&Reply>, now: UnixMillis) {
        let mut kept = self.0.lock();
        let name = (key.actor.clone(), key.text.clone());
        match reply {
            Some(reply) if reply.body.len() <= LARGEST => {
                if let Some(known) = kept.by_key.get_mut(&name) {
                    known.reply = Some(reply.clone());
                }
            }
            _ => {
                kept.by_key.remove(&name);
                kept.order.retain(|(_, other)| *other != name);
            }
        }
        kept.forget(now);
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

    fn outcome(answers: &Answers, key: &IdempotencyKey, now: u64) -> String {
        match answers.find_or_begin(key, UnixMillis(now)) {
            Ok(None) => "begun".to_owned(),
            Ok(Some(_)) => "known".to_owned(),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn a_request_is_made_once_within_a_day() {
        let answers = Answers::default();
        let day = u64::try_from(KEPT.as_millis()).unwrap();
        assert_eq!(outcome(&answers, &key("a", 1), 0), "begun");
        assert_eq!(outcome(&answers, &key("a", 1), 1), "in_progress");
        assert_eq!(outcome(&answers, &key("a", 2), 1), "idempotency_mismatch");
        answers.end(&key("a", 1), Some(&Reply::nothing()), UnixMillis(2));
        assert_eq!(outcome(&answers, &key("a", 1), day - 1), "known");
        let other = IdempotencyKey {
            actor: "key_2".to_owned(),
            ..key("a", 2)
        };
        assert_eq!(outcome(&answers, &other, 3), "begun");
        assert_eq!(outcome(&answers, &key("a", 2), day), "begun");
    }

    #[test]
    fn what_failed_can_be_tried_again_and_memory_is_bounded() {
        let answers = Answers::default();
        assert_eq!(outcome(&answers, &key("a", 1), 0), "begun");
        answers.end(&key("a", 1), None, UnixMillis(0));
        assert_eq!(outcome(&answers, &key("a", 2), 0), "begun");
        for n in 0..MOST + 10 {
            let key = key(&n.to_string(), 1);
            assert_eq!(outcome(&answers, &key, 1), "begun");
            answers.end(&key, Some(&Reply::nothing()), UnixMillis(1));
        }
        let kept = answers.0.lock();
        assert_eq!((kept.by_key.len(), kept.order.len()), (MOST, MOST));
    }
}
