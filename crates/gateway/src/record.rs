//! What is kept of a call when it has ended, however it ended.

use std::time::Instant;

use tollgate_base::{Error, Usage};
use tollgate_dialect::{Dialect, Loss};

use crate::reply::loss_report;

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
}

/// How a call ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has not: when a record is settled in this state, the client left.
    #[default]
    Open,
    Complete,
    Failed(Error),
}

impl Record {
    pub(crate) fn fail(&mut self, error: &Error) {
        self.outcome = Outcome::Failed(error.clone());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (outcome, code) = match &self.outcome {
            Outcome::Open => ("client_gone", ""),
            Outcome::Complete => ("complete", ""),
            Outcome::Failed(error) => ("failed", error.code()),
        };
        tracing::info!(
            request = %self.request_id,
            key = %self.key_id,
            operation = self.operation,
            dialect = self.dialect.name(),
            model = %self.model.escape_default(),
            target = self.target.as_deref().unwrap_or("-"),
            stream = self.stream,
            attempts = self.attempts,
            input_tokens = self.usage.input_total(),
            output_tokens = self.usage.output_total(),
            usage = self.usage.provenance.as_str(),
            losses = %loss_report(&self.losses),
            ms = u64::try_from(self.received.elapsed().as_millis()).unwrap_or(u64::MAX),
            code,
            outcome,
            "call"
        );
    }
}
