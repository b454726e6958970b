//! A streamed reply with the record of its call: whatever ends the reply, it is booked once.

use std::{fmt, mem};

use tokio::time::{Instant, timeout_at};
use tollgate_base::{Money, Provenance};
use tollgate_config::{Disconnect, LedgerSettings};
use tollgate_ledger::Durable;

use super::flow::{Flow, State};
use crate::{
    record::{Outcome, Record},
    responses::Follow,
};

/// A reply, and the record of its call. Dropped before it was booked, it is booked as it stands.
pub(super) struct Metered {
    pub(super) flow: Flow,
    pub(super) record: Record,
    /// For a response that its provider goes on with when nobody listens.
    pub(super) follow: Option<Follow>,
    is_booked: bool,
}

/// What is done with a reply whose caller has left.
#[derive(Clone, Debug)]
pub(crate) struct Farewell {
    pub(crate) policy: Disconnect,
    pub(crate) bounds: LedgerSettings,
}

impl Metered {
    pub(super) fn new(flow: Flow, record: Record, follow: Option<Follow>) -> Self {
        Self {
            flow,
            record,
            follow,
            is_booked: false,
        }
    }

    pub(super) fn is_booked(&self) -> bool {
        self.is_booked
    }

    /// Books what was metered, the first time that it is asked. What comes back resolves when the booking is as
    /// durable as configured.
    pub(super) fn book(&mut self) -> Option<Durable> {
        if mem::replace(&mut self.is_booked, true) {
            return None;
        }
        let Self { flow, record, .. } = self;
        let has_ended = flow.state != State::Open && flow.failure.is_none();
        let follow = self.follow.take();
        let goes_on = follow.is_some() && !has_ended;
        let id = flow.id().filter(|_| goes_on).map(str::to_owned);
        let follow = match (follow, id) {
            (Some(follow), Some(id)) => {
                record.usage = flow.usage;
                let seen = mem::take(&mut flow.meter).total();
                drop(follow.take_over(&id, record.hand_over(), seen));
                return None;
            }
            (follow, _) => follow,
        };
        match &flow.failure {
            Some(error) => record.fail(error),
            None if has_ended => record.outcome = Outcome::Complete,
            None => {}
        }
        record.usage = flow.usage;
        record.losses.append(&mut flow.losses);
        if record.outcome != Outcome::Complete && record.usage.provenance == Provenance::Reported {
            record.usage.provenance = Provenance::Partial;
        }
        let is_said = record.usage.provenance == Provenance::Reported;
        let seen = if is_said {
            0
        } else {
            mem::take(&mut flow.meter).total()
        };
        let booked = record.settle(seen);
        let is_written = booked.as_ref().is_some_and(|it| it.number().is_some());
        if let Some(follow) = follow.filter(|_| is_written) {
            follow.needs_no_more();
        }
        booked
    }

    /// The caller has left: the reply is cancelled, or read on within bounds for what the provider says at its end.
    pub(super) fn leave(self, farewell: &Farewell) {
        let is_over = self.is_booked || self.flow.failure.is_some();
        let is_followed = self.follow.is_some() && self.flow.id().is_some();
        if is_over || is_followed || farewell.policy == Disconnect::Cancel {
            return;
        }
        // Outside of a runtime nothing can be read on.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let deadline = Instant::now() + farewell.bounds.drain_time;
            drop(runtime.spawn(self.drain(deadline, farewell.bounds.drain_cost)));
        }
    }

    async fn drain(mut self, deadline: Instant, most: Money) {
        let before = self.flow.meter.bytes();
        while self.flow.state == State::Open {
            let more = std::future::poll_fn(|cx| self.flow.poll_more(cx));
            if timeout_at(deadline, more).await.is_err() {
                break;
            }
            self.flow.ready.clear();
            // No token is shorter than a byte.
            let since = self.flow.meter.bytes().saturating_sub(before);
            if self.record.output_costs(since) > most {
                break;
            }
        }
        drop(self.book());
    }
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered")
            .field("flow", &self.flow)
            .field("is_booked", &self.is_booked)
            .finish_non_exhaustive()
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        // Nobody waits for the disk any more.
        drop(self.book());
    }
}
