//! The pipeline itself, read from top to bottom.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, Response};
use tollgate_base::{Clock, IdSource, Result, Usage};
use tollgate_config::StreamSettings;
use tollgate_dialect::{Dialect, Family};
use tollgate_engine::Engine;
use tollgate_policy::{
    key::{Caller, KeyRing, Role},
    retry::RetryBudget,
};
use tollgate_upstream::{Client, Timeouts};

use crate::{
    Body, Inbound, Snapshot,
    attempt::{Content, attempt},
    authenticate::authenticate,
    call::Call,
    models::{self, ModelLists, Page},
    plan::plan,
    record::{Outcome, Record},
    relay::Relay,
    reply::{self, error_response},
};

/// What all serving threads share.
#[derive(Debug)]
pub struct Shared {
    pub snapshot: ArcSwap<Snapshot>,
    pub keys: ArcSwap<KeyRing>,
    pub engine: Engine,
    pub clock: Box<dyn Clock>,
    pub ids: IdSource,
    pub(crate) retries: RetryBudget,
    pub(crate) model_lists: ModelLists,
}

/// The gateway as one serving thread has it: what is shared, and this thread's connections to providers.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
    pub(crate) upstream: Client,
}

impl Shared {
    pub fn new(snapshot: Snapshot, keys: KeyRing, engine: Engine, clock: Box<dyn Clock>) -> Self {
        let retry = &snapshot.config.retry;
        let retries = RetryBudget::new(retry.budget_percent, retry.budget_floor, clock.now());
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            keys: ArcSwap::from_pointee(keys),
            engine,
            retries,
            clock,
            ids: IdSource::from_entropy(),
            model_lists: ModelLists::default(),
        }
    }
}

impl Gateway {
    /// A gateway for one thread.
    pub fn new(shared: Arc<Shared>) -> Self {
        let StreamSettings {
            connect_timeout,
            first_byte_timeout,
            ..
        } = shared.snapshot.load().config.streaming;
        let upstream = Client::new(Timeouts {
            connect: connect_timeout,
            first_byte: first_byte_timeout,
        });
        Self { shared, upstream }
    }

    /// What all threads share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Who makes this request, if its key may do what `role` does. Asked before the body is read.
    pub fn authenticate(
        &self,
        role: Role,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Caller> {
        authenticate(
            &self.shared.keys.load(),
            role,
            headers,
            query,
            self.shared.clock.now(),
        )
    }

    /// Serves one call, whatever its dialect, streaming or not. A failure is an answer, too.
    pub async fn serve(&self, caller: &Caller, inbound: Inbound) -> Response<Body> {
        let (dialect, request_id) = (inbound.dialect, inbound.request_id.clone());
        match self.answer(caller, inbound).await {
            Ok(response) => response,
            Err(error) => error_response(dialect, &error, &request_id),
        }
    }

    async fn answer(&self, caller: &Caller, inbound: Inbound) -> Result<Response<Body>> {
        let snapshot = self.shared.snapshot.load_full();
        let mut record = open_record(caller, &inbound);
        let served = self.run(&snapshot, inbound, &mut record).await;
        let (dialect, content, upstream_request_id) = match served {
            Ok(served) => served,
            Err(error) => {
                record.fail(&error);
                return Err(error);
            }
        };
        let target = record.target.clone().unwrap_or_default();
        let losses = std::mem::take(&mut record.losses);
        let request_id = record.request_id.clone();
        let mut response = match content {
            Content::Whole { body, reading } => {
                record.usage = reading.usage;
                record.outcome = Outcome::Complete;
                reply::json_response(dialect, body, &request_id)
            }
            Content::Stream(flow) => {
                let relay = Relay::new(*flow, record, &snapshot.config.streaming);
                reply::stream_response(dialect, Body::Stream(Box::new(relay)), &request_id)
            }
        };
        reply::insert_provenance(
            response.headers_mut(),
            &target,
            upstream_request_id,
            &losses,
        );
        Ok(response)
    }

    async fn run(
        &self,
        snapshot: &Arc<Snapshot>,
        inbound: Inbound,
        record: &mut Record,
    ) -> Result<(Dialect, Content, Option<http::HeaderValue>)> {
        let call = Call::read(inbound)?;
        record.model.clone_from(&call.head.model);
        record.stream = call.head.stream;
        let plan = plan(snapshot, &call, self.shared.ids.number())?;
        let reply = attempt(self, snapshot, &call, &plan, record).await?;
        record.losses = reply.losses;
        Ok((call.dialect, reply.content, reply.upstream_request_id))
    }

    /// The models that can be called, in the shape of the caller's family.
    pub async fn list_models(
        &self,
        family: Family,
        page: &Page,
        request_id: &str,
    ) -> Response<Body> {
        let snapshot = self.shared.snapshot.load_full();
        let models = models::list(&snapshot, &self.shared.model_lists, &self.upstream).await;
        let dialect = models::dialect_of(family);
        match models::render_list(family, &models, page) {
            Ok(body) => reply::json_response(dialect, body, request_id),
            Err(error) => error_response(dialect, &error, request_id),
        }
    }

    /// One model.
    pub async fn show_model(&self, family: Family, id: &str, request_id: &str) -> Response<Body> {
        let snapshot = self.shared.snapshot.load_full();
        let dialect = models::dialect_of(family);
        match models::find(&snapshot, &self.shared.model_lists, &self.upstream, id).await {
            Ok(model) => {
                reply::json_response(dialect, models::render_one(family, &model), request_id)
            }
            Err(error) => error_response(dialect, &error, request_id),
        }
    }
}

fn open_record(caller: &Caller, inbound: &Inbound) -> Record {
    Record {
        request_id: inbound.request_id.clone(),
        key_id: caller.key_id.clone(),
        dialect: inbound.dialect,
        model: String::new(),
        stream: false,
        received: inbound.received,
        target: None,
        attempts: 0,
        losses: Vec::new(),
        usage: Usage::default(),
        outcome: Outcome::Open,
    }
}
