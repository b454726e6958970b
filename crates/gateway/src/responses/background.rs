//! Responses in the background: calls that go on without their callers.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use tollgate_base::{Error, Kind, Result};
use tollgate_dialect::{EncodeOptions, RawObject, ir, render_response};
use tollgate_policy::key::Caller;

use super::{DIALECT, Keeping};
use crate::{
    Body, Inbound,
    call::Call,
    gateway::{Gateway, Shared},
};

/// Responses that run in the background at once.
const MAX_RUNNING: usize = 1000;

impl Gateway {
    /// Starts a call that nobody waits for, and tells the response as it is now: in progress.
    pub(crate) fn start_in_background(
        &self,
        caller: &Arc<Caller>,
        call: &Call,
        keeping: &Keeping,
    ) -> Result<Bytes> {
        if self.shared.memory.running.lock().len() >= MAX_RUNNING {
            let message = "Too many responses run in the background. Try again shortly, or wait for the answer.";
            return Err(Error::new(Kind::RateLimit, "rate_limit_exceeded", message));
        }
        let suffix = call.id_suffix();
        let options = EncodeOptions {
            created: self.shared.clock.now().as_secs(),
            id_suffix: suffix.to_owned(),
            request: Some(keeping.original.clone()),
            ..EncodeOptions::default()
        };
        let empty = ir::Response {
            model: call.head.model.clone(),
            ..ir::Response::default()
        };
        let whole = RawObject::parse(render_response(DIALECT, &empty, &options))?;
        let begun = whole.with(&[
            ("status", Some("\"in_progress\"")),
            ("background", Some("true")),
            ("store", Some("true")),
            ("output", Some("[]")),
            ("usage", Some("null")),
            ("completed_at", Some("null")),
        ]);
        let id = format!("resp_{suffix}");
        keeping.keep_response(&self.shared, &caller.key_id, "", &begun);
        let inbound = Inbound {
            dialect: DIALECT,
            addressed: None,
            headers: call.headers.clone(),
            // What was remembered is in it already, and what comes of it is kept below.
            body: call.raw.bytes().clone(),
            request_id: call.request_id.clone(),
            received: Instant::now(),
        };
        let (gateway, caller, keeping) = (self.clone(), caller.clone(), keeping.clone());
        let ended = id.clone();
        let told = begun.clone();
        let work = tokio::spawn(async move {
            let _registered = Registered {
                shared: gateway.shared.clone(),
                id: ended.clone(),
            };
            let response = gateway.serve(&caller, inbound).await;
            gateway.end_background(&caller, &keeping, &ended, &begun, response);
        });
        self.shared
            .memory
            .running
            .lock()
            .insert(id, work.abort_handle());
        Ok(told)
    }

    fn end_background(
        &self,
        caller: &Caller,
        keeping: &Keeping,
        id: &str,
        begun: &Bytes,
        answer: Response<Body>,
    ) {
        let is_good = answer.status().is_success();
        let Body::Whole(body) = answer.into_body() else {
            return;
        };
        let ended = if is_good {
            RawObject::parse(body).map(|raw| {
                let id = format!("\"{id}\"");
                let previous = keeping.original.get("previous_response_id");
                raw.with(&[
                    ("id", Some(&id)),
                    ("previous_response_id", Some(previous.unwrap_or("null"))),
                    ("background", Some("true")),
                    ("store", Some("true")),
                ])
            })
        } else {
            failed(begun, &body)
        };
        // Who takes the id out decides what becomes of the response: this, or who cancelled or deleted it. The lock
        // is held until the response is kept, so that it is never neither running nor whole.
        let mut running = self.shared.memory.running.lock();
        if !running.contains_key(id) {
            return;
        }
        match ended {
            Ok(ended) if is_good => keeping.keep(&self.shared, &caller.key_id, "", &ended),
            Ok(ended) => keeping.keep_response(&self.shared, &caller.key_id, "", &ended),
            Err(error) => {
                tracing::error!("a response in the background could not be kept: {error}");
            }
        }
        running.remove(id);
    }
}

/// A background response that runs; a panic of its work ends it, too.
struct Registered {
    shared: Arc<Shared>,
    id: String,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.memory.running.lock().remove(&self.id);
    }
}

/// A response that failed, with the error that a waiting caller would have been answered with.
fn failed(begun: &Bytes, error: &Bytes) -> Result<Bytes> {
    #[derive(Deserialize)]
    struct Envelope {
        error: Said,
    }
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    #[derive(Serialize)]
    struct Failed {
        code: &'static str,
        message: String,
    }
    let said: Envelope = serde_json::from_slice(error)
        .map_err(|_| Error::internal("An error of the gateway cannot be read."))?;
    let error = Failed {
        code: "server_error",
        message: said.error.message,
    };
    let error = serde_json::to_string(&error)
        .map_err(|_| Error::internal("An error cannot be written."))?;
    let raw = RawObject::parse(begun.clone())?;
    Ok(raw.with(&[("status", Some("\"failed\"")), ("error", Some(&error))]))
}
