//! Tries the plan's targets until one answers: retries, fallback, and where both end.
//!
//! An attempt succeeds with the first event of a stream or the whole of a reply. Up to then nothing has
//! reached the caller, so the next attempt is invisible to it; after that there is no next attempt.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use tollgate_base::{Error, Kind, Result, UnixMillis};
use tollgate_dialect::{Loss, Reading};
use tollgate_policy::retry::{Failure, Sent, Verdict};

use crate::{
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
        reading: Reading,
    },
    Stream(Box<Flow>),
}

/// What one attempt needs beside its target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) snapshot: &'a Arc<Snapshot>,
    pub(crate) call: &'a Call,
    pub(crate) strict: bool,
    pub(crate) now: UnixMillis,
    /// Counted from 1 over all targets of the call.
    pub(crate) number: u32,
}

pub(crate) async fn attempt(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    call: &Call,
    plan: &Plan,
    record: &mut Record,
) -> Result<Reply> {
    let deadline = call.received + snapshot.config.streaming.total_timeout;
    let mut targets = plan.targets.iter().peekable();
    let Some(mut target) = targets.next() else {
        return Err(Error::internal("A call was planned without a target."));
    };
    let mut on_target = 0;
    gateway.shared.retries.deposit();
    loop {
        record.attempts += 1;
        on_target += 1;
        record.target = Some(target.name());
        let now = gateway.shared.clock.now();
        let this = Attempt {
            gateway,
            snapshot,
            call,
            strict: plan.strict,
            now,
            number: record.attempts,
        };
        let failure = match this.try_target(target).await {
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
            Verdict::Elsewhere if targets.peek().is_none() => {
                return Err(given_up(failure.error, record.attempts));
            }
            Verdict::Elsewhere => Duration::ZERO,
            Verdict::Again { wait } => wait,
        };
        if let Some(next) = targets.next() {
            target = next;
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

/// When the gateway has tried again in vain, the client library need not multiply that.
fn given_up(error: Error, attempts: u32) -> Error {
    if attempts > 1 && error.should_retry().is_none() {
        error.with_should_retry(false)
    } else {
        error
    }
}

impl Attempt<'_> {
    async fn try_target(self, target: &Target) -> Result<Reply, Failure> {
        match &target.place {
            Place::BuiltIn => local::answer(self).await.map_err(refused),
            Place::Provider(provider) => provider::answer(self, provider, &target.model).await,
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
