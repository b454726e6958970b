//! What is kept of a call when it has ended, however it ended.

use std::time::Instant;

use tollgate_base::{Error, Money, Result, Usage};
use tollgate_dialect::{Dialect, Loss};
use tollgate_ledger::Durable;
use tollgate_policy::{
    admission::Actual,
    key::Caller,
    ledger::{AttemptOutcome, Cost},
    retry::Failure,
};

use crate::{
    admit::{Booked, Booking, CallHold, End},
    reply::loss_report,
};

/// The record of one call. It travels with the call into the response body and is settled exactly once, when
/// it is dropped: after the last byte, after an error, or when the client is gone.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) request_id: String,
    pub(crate) key_id: String,
    /// What was asked for.
    pub(crate) operation: &'static str,
    pub(crate) dialect: Dialect,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) received: Instant,
    pub(crate) target: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) losses: Vec<Loss>,
    pub(crate) usage: Usage,
    pub(crate) outcome: Outcome,
    /// What all of its attempts together cost; `None` while nothing was booked.
    pub(crate) cost: Option<Cost>,
    /// The attempt that answers.
    pub(crate) booking: Option<Booking>,
    /// What the call holds of its limits.
    pub(crate) hold: Option<CallHold>,
}

/// How a call ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has not: when a record is settled in this state, the client left.
    #[default]
    Open,
    Complete,
    Failed(Error),
    /// Its response goes on at the provider, and another record follows it: this one has nothing to say any more.
    Followed,
}

impl Record {
    pub(crate) fn open(
        caller: &Caller,
        operation: &'static str,
        dialect: Dialect,
        request_id: String,
        received: Instant,
    ) -> Self {
        Self {
            request_id,
            key_id: caller.key_id.clone(),
            operation,
            dialect,
            model: String::new(),
            stream: false,
            received,
            target: None,
            attempts: 0,
            losses: Vec::new(),
            usage: Usage::default(),
            outcome: Outcome::Open,
            cost: None,
            booking: None,
            hold: None,
        }
    }

    /// Books the attempt that answered, with what is known of it now; `seen` output tokens have gone out. What
    /// comes back resolves when the booking is durable.
    pub(crate) fn settle(&mut self, seen: u64) -> Option<Durable> {
        let booking = self.booking.take()?;
        let (outcome, code) = match &self.outcome {
            Outcome::Open | Outcome::Followed => (AttemptOutcome::ClientGone, ""),
            Outcome::Complete => (AttemptOutcome::Complete, ""),
            Outcome::Failed(error) => (AttemptOutcome::Failed, error.code()),
        };
        let booked = booking.settle(End {
            outcome,
            usage: self.usage,
            seen,
            code,
        });
        let usage = booked.as_ref().map(|booked| booked.usage);
        let durable = self.booked(booked);
        self.usage = usage.unwrap_or(self.usage);
        durable
    }

    /// As [`Record::settle`], and waits until the booking is durable: what the caller sees whole is booked. Whether it
    /// is.
    pub(crate) async fn settle_safely(&mut self, seen: u64) -> bool {
        let Some(durable) = self.settle(seen) else {
            return true;
        };
        let outcome = durable.await;
        let is_safe = outcome.is_ok();
        self.note_safety(outcome);
        is_safe
    }

    /// An answer is not held back when the disk fails; no new call is served then.
    pub(crate) fn note_safety(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            tracing::error!(request = %self.request_id, "a call is not booked safely: {error}");
        }
    }

    /// An attempt begins, which answers unless it is said to have failed.
    pub(crate) fn begin(&mut self, booking: Booking) {
        if let Some(hold) = &mut self.hold {
            hold.begin();
        }
        self.booking = Some(booking);
    }

    /// The record of what the provider goes on with, with all that the call holds but its place among the concurrent
    /// ones. Dropped before an outcome is set, it leaves the attempt under way: the process ends, and the next one
    /// follows it.
    pub(crate) fn hand_over(&mut self) -> Self {
        self.outcome = Outcome::Followed;
        self.hold.iter().for_each(CallHold::leave);
        self.booking.iter().for_each(Booking::leave);
        Self {
            request_id: self.request_id.clone(),
            key_id: self.key_id.clone(),
            operation: self.operation,
            dialect: self.dialect,
            model: self.model.clone(),
            stream: self.stream,
            received: self.received,
            target: self.target.clone(),
            attempts: self.attempts,
            losses: std::mem::take(&mut self.losses),
            usage: self.usage,
            outcome: Outcome::Followed,
            cost: self.cost.take(),
            booking: self.booking.take(),
            hold: self.hold.take(),
        }
    }

    /// The attempt that began last failed before anything of an answer came.
    pub(crate) fn attempt_failed(&mut self, failure: &Failure) {
        if let Some(booking) = self.booking.take() {
            let booked = booking.fail(failure);
            drop(self.booked(booked));
        }
    }

    /// Adds what an attempt came to; nothing where nothing was sent. With one attempt of unknown cost, the cost of
    /// the whole call is unknown.
    pub(crate) fn booked(&mut self, booked: Option<Booked>) -> Option<Durable> {
        if let Some(hold) = &mut self.hold {
            match &booked {
                Some(booked) => hold.end(booked.actual, booked.row),
                None => hold.end(Actual::Nothing, None),
            }
        }
        let booked = booked?;
        self.cost = Some(match (self.cost, booked.cost) {
            (None, cost) => cost,
            (Some(Cost::Known(sum)), Cost::Known(cost)) => Cost::Known(sum.plus(cost)),
            (Some(_), _) => Cost::Unknown,
        });
        Some(booked.durable)
    }

    /// What so many tokens of output would cost more.
    pub(crate) fn output_costs(&self, tokens: u64) -> Money {
        let booking = self.booking.as_ref();
        booking.map_or(Money::ZERO, |booking| booking.output_costs(tokens))
    }

    pub(crate) fn fail(&mut self, error: &Error) {
        self.outcome = Outcome::Failed(error.clone());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.outcome == Outcome::Followed {
            if let Some(booking) = self.booking.take() {
                booking.leave_open();
            }
            return;
        }
        // Nobody waits for the disk any more.
        drop(self.settle(0));
        let cost = match self.cost {
            None => String::new(),
            Some(Cost::Known(cost)) => cost.to_decimal(),
            Some(Cost::Unknown) => "unknown".to_owned(),
        };
        let (outcome, code) = match &self.outcome {
            Outcome::Open | Outcome::Followed => ("client_gone", ""),
            Outcome::Complete => ("complete", ""),
            Outcome::Failed(error) => ("failed", error.code()),
        };
        tracing::info!(
            request = self.request_id,
            key = self.key_id,
            operation = self.operation,
            dialect = self.dialect.name(),
            model = self.model,
            target = self.target.as_deref().unwrap_or("-"),
            stream = self.stream,
            attempts = self.attempts,
            input_tokens = self.usage.input_total(),
            output_tokens = self.usage.output_total(),
            usage = self.usage.provenance.as_str(),
            cost_usd = cost,
            losses = loss_report(&self.losses),
            ms = u64::try_from(self.received.elapsed().as_millis()).unwrap_or(u64::MAX),
            code,
            outcome,
            "call"
        );
    }
}
