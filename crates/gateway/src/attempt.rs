//! Tries the plan's targets until one answers: retries, fallback, and where both end.
//!
//! An attempt succeeds with the first event of a stream or the whole of a reply. Up to then nothing has
//! reached the caller, so the next attempt is invisible to it; after that there is no next attempt.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use tollgate_base::{Error, Kind, Money, Result, UnixMillis, Usage, crash_point};
use tollgate_config::NearBudget;
use tollgate_dialect::Loss;
use tollgate_policy::retry::{Failure, Sent, Verdict};

use crate::{
    admit::{self, Admitted, Asker, Declined, Size},
    call::Call,
    gateway::Gateway,
    local,
    plan::{Place, Plan, Target},
    provider,
    record::Record,
    relay::Flow,
    snapshot::Snapshot,
};

/// What a target answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) content: Content,
    pub(crate) losses: Vec<Loss>,
    pub(crate) upstream_request_id: Option<HeaderValue>,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// In the caller's dialect already.
    Whole {
        body: bytes::Bytes,
        usage: Box<Usage>,
    },
    Stream(Box<Flow>),
}

/// What one attempt needs beside its target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) snapshot: &'a Arc<Snapshot>,
    pub(crate) call: &'a Call,
    /// The key that makes it.
    pub(crate) owner: &'a str,
    pub(crate) strict: bool,
    pub(crate) now: UnixMillis,
    /// Counted from 1 over all targets of the call.
    pub(crate) number: u32,
}

/// What a call asks for, beside its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) asker: &'a Asker,
    pub(crate) size: &'a Size<'a>,
}

pub(crate) async fn attempt(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    call: &Call,
    plan: &Plan,
    wish: Wish<'_>,
    record: &mut Record,
) -> Result<Reply> {
    let deadline = call.received + snapshot.config.streaming.total_timeout;
    let mut targets = Targets::of(plan);
    let mut on_target = 0;
    gateway.shared.retries.deposit();
    loop {
        let this = Attempt {
            gateway,
            snapshot,
            call,
            owner: &wish.asker.caller.key_id,
            strict: plan.strict,
            now: gateway.shared.clock.now(),
            number: record.attempts + 1,
        };
        let (target, admitted) = targets.next_admitted(&this, wish)?;
        record.attempts += 1;
        on_target += 1;
        record.target = Some(target.name());
        let failure = match this.try_target(target, admitted, record).await {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        tracing::warn!(
            request = %call.request_id,
            target = record.target.as_deref().unwrap_or("-"),
            attempt = record.attempts,
            code = failure.error.code(),
            "attempt failed: {}",
            failure.error
        );
        let jitter = u16::try_from(gateway.shared.ids.number() >> 48).unwrap_or(u16::MAX);
        let wait = match snapshot.retry.after(&failure, record.attempts, jitter) {
            Verdict::GiveUp => return Err(given_up(failure.error, record.attempts)),
            Verdict::Elsewhere if !targets.has_next() => {
                return Err(given_up(failure.error, record.attempts));
            }
            Verdict::Elsewhere => Duration::ZERO,
            Verdict::Again { wait } => wait,
        };
        if targets.advance() {
            on_target = 0;
        } else if on_target < snapshot.retry.max_attempts_per_target
            && std::time::Instant::now() + wait < deadline
        {
            tokio::time::sleep(wait).await;
        } else {
            return Err(given_up(failure.error, record.attempts));
        }
        if !gateway.shared.retries.withdraw(gateway.shared.clock.now()) {
            // In an outage the client libraries' own retries would multiply the load, too.
            return Err(failure.error.with_should_retry(false));
        }
    }
}

/// The targets that are still to be tried, the present one first.
struct Targets<'p> {
    left: Vec<&'p Target>,
    near_budget: NearBudget,
}

impl<'p> Targets<'p> {
    fn of(plan: &'p Plan) -> Self {
        Self {
            left: plan.targets.iter().collect(),
            near_budget: plan.near_budget,
        }
    }

    fn has_next(&self) -> bool {
        self.left.len() > 1
    }

    /// Goes on to the next target, if there is one.
    fn advance(&mut self) -> bool {
        if self.has_next() {
            self.left.remove(0);
            return true;
        }
        false
    }

    /// The first target that may be asked, with what is held for it. Where the caller's budget refuses the first
    /// one, the route says whether the answer is cut, or cheaper targets are looked at before that.
    fn next_admitted(
        &mut self,
        this: &Attempt<'_>,
        Wish { asker, size }: Wish<'_>,
    ) -> Result<(&'p Target, Admitted)> {
        let mut first_refusal = None;
        let mut at = 0;
        while let Some(&target) = self.left.get(at) {
            let may_clamp = self.near_budget == NearBudget::Clamp;
            let error = match admit::admit(this, target, asker, size, may_clamp) {
                Ok(admitted) => {
                    self.left.drain(..at);
                    return Ok((target, admitted));
                }
                Err(Declined::Caller(error)) => return Err(error),
                Err(Declined::Budget(error)) if self.near_budget != NearBudget::Cheaper => {
                    return Err(error);
                }
                Err(Declined::Budget(error)) => {
                    let rest = self.left.get_mut(at + 1..).unwrap_or_default();
                    rest.sort_by_cached_key(|target| {
                        admit::price_of(this, target, size).unwrap_or(Money::MAX)
                    });
                    error
                }
                Err(Declined::Target(error)) => error,
            };
            first_refusal.get_or_insert(error);
            at += 1;
        }
        if self.near_budget == NearBudget::Cheaper
            && let Some(&target) = self
                .left
                .iter()
                .min_by_key(|target| admit::price_of(this, target, size).unwrap_or(Money::MAX))
            && let Ok(admitted) = admit::admit(this, target, asker, size, true)
        {
            self.left = vec![target];
            return Ok((target, admitted));
        }
        Err(first_refusal
            .unwrap_or_else(|| Error::internal("A call was planned without a target.")))
    }
}

/// When the gateway has tried again in vain, the client library need not multiply that.
fn given_up(error: Error, attempts: u32) -> Error {
    if attempts > 1 && error.should_retry().is_none() {
        error.with_should_retry(false)
    } else {
        error
    }
}

impl Attempt<'_> {
    async fn try_target(
        self,
        target: &Target,
        admitted: Admitted,
        record: &mut Record,
    ) -> Result<Reply, Failure> {
        let Admitted {
            mut booking,
            max_output,
        } = admitted;
        if let Some(hold) = &mut record.hold {
            hold.begin();
        }
        let answered = match &target.place {
            Place::Local(model) => {
                // Apart on the heap, so that the state of a call to a provider stays small.
                Box::pin(local::answer(self, (model, max_output), &mut booking))
                    .await
                    .map_err(refused)
            }
            Place::Provider(provider) => {
                let ask = provider::Ask {
                    provider,
                    model: &target.model,
                    traits: target.traits,
                    max_output,
                };
                provider::answer(self, ask, &mut booking).await
            }
        };
        match answered {
            Ok(mut reply) => {
                if let Content::Stream(flow) = &mut reply.content {
                    flow.count_as(booking.text_counter());
                }
                crash_point("after-first-event");
                booking.first_event();
                record.booking = Some(booking);
                Ok(reply)
            }
            Err(failure) => {
                let booked = booking.fail(&failure);
                // The call goes on: nobody waits for this row.
                drop(record.booked(booked));
                Err(failure)
            }
        }
    }

    /// In strict mode a loss is a refusal that names every field.
    pub(crate) fn check_losses(self, losses: &[Loss]) -> Result<()> {
        let Some(first) = losses.first().filter(|_| self.strict) else {
            return Ok(());
        };
        let all: Vec<String> = losses
            .iter()
            .map(|loss| format!("`{}` ({})", loss.field, loss.reason))
            .collect();
        let message = format!(
            "This model cannot be sent the whole request, and strict mode is on: {}. \
             Leave these fields out, choose another model, or switch strict mode off.",
            all.join("; ")
        );
        Err(
            Error::new(Kind::InvalidRequest, "unsupported_value", message)
                .with_param(first.field.clone()),
        )
    }
}

/// A failure before anything was sent.
pub(crate) fn refused(error: Error) -> Failure {
    Failure {
        error,
        sent: Sent::No,
    }
}
