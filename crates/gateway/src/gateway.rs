//! The pipeline itself, read from top to bottom.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use tollgate_base::{Clock, IdSource, Result, Usage};
use tollgate_config::StreamSettings;
use tollgate_credentials::Signed;
use tollgate_dialect::{Dialect, Family, Reading};
use tollgate_engine::Engine;
use tollgate_policy::{
    key::{Caller, KeyRing, Role},
    objects::ObjectStore,
    retry::{Failure, RetryBudget},
};
use tollgate_upstream::{Client, ReplyBody, Timeouts};

use crate::{
    Body, Inbound, Snapshot,
    attempt::{Content, attempt, refused},
    authenticate::authenticate,
    call::Call,
    capability::narrow,
    files,
    identity::TokenClient,
    models::{self, ModelLists, Page},
    plan::plan,
    provider::transport_failure,
    record::{Outcome, Record},
    relay::{Keeper, Relay, Shape},
    reply::{self, error_response},
    responses::{Keeping, Memory, recall},
    snapshot::Provider,
};

/// What all serving threads share.
#[derive(Debug)]
pub struct Shared {
    pub snapshot: ArcSwap<Snapshot>,
    pub keys: ArcSwap<KeyRing>,
    pub engine: Engine,
    pub clock: Box<dyn Clock>,
    pub ids: IdSource,
    /// What callers made through the gateway, and whose it is.
    pub objects: Arc<dyn ObjectStore>,
    pub(crate) retries: RetryBudget,
    pub(crate) model_lists: ModelLists,
    pub(crate) memory: Memory,
}

/// The gateway as one serving thread has it: what is shared, and this thread's connections to providers.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
    pub(crate) upstream: Client,
}

impl Shared {
    pub fn new(
        snapshot: Snapshot,
        keys: KeyRing,
        objects: Arc<dyn ObjectStore>,
        engine: Engine,
        clock: Box<dyn Clock>,
    ) -> Self {
        let retry = &snapshot.config.retry;
        let retries = RetryBudget::new(retry.budget_percent, retry.budget_floor, clock.now());
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            keys: ArcSwap::from_pointee(keys),
            engine,
            retries,
            clock,
            ids: IdSource::from_entropy(),
            objects,
            model_lists: ModelLists::default(),
            memory: Memory::default(),
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
        query_key: Option<&str>,
    ) -> Result<Caller> {
        authenticate(
            &self.shared.keys.load(),
            role,
            headers,
            query,
            query_key,
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
        let served = match self.run(caller, &snapshot, inbound, &mut record).await {
            Ok(served) => served,
            Err(error) => {
                record.fail(&error);
                return Err(error);
            }
        };
        let target = record.target.clone().unwrap_or_default();
        let losses = record.losses.clone();
        let request_id = record.request_id.clone();
        let Served {
            dialect,
            content,
            upstream_request_id,
            as_array,
            keeping,
        } = served;
        let mut response = match content {
            Content::Whole { body, reading } => {
                record.usage = reading.usage;
                record.outcome = Outcome::Complete;
                if let Some(keeping) = keeping {
                    keeping.keep(&self.shared, &caller.key_id, &target, &body);
                }
                reply::json_response(dialect, body, &request_id)
            }
            Content::Stream(flow) => {
                let keeper = keeping.map(|keeping| Keeper {
                    keeping,
                    shared: self.shared.clone(),
                    key_id: caller.key_id.clone(),
                    target: target.clone(),
                });
                let shape = Shape { as_array, keeper };
                let relay = Relay::new(*flow, record, shape, &snapshot.config.streaming);
                let body = Body::Stream(Box::new(relay));
                reply::stream_response(dialect, body, as_array, &request_id)
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
        caller: &Caller,
        snapshot: &Arc<Snapshot>,
        inbound: Inbound,
        record: &mut Record,
    ) -> Result<Served> {
        let mut call = Call::read(inbound)?;
        record.model.clone_from(&call.head.model);
        record.stream = call.head.stream;
        let mut plan = plan(snapshot, &call, self.shared.ids.number())?;
        recall(&self.shared, snapshot, caller, &mut call, &mut plan)?;
        narrow(snapshot, &call, &mut plan)?;
        files::check(&self.shared, caller, call.raw.bytes())?;
        if let Some(keeping) = call.keeping.as_ref().filter(|kept| kept.in_background) {
            let body = self.start_in_background(caller, &call, keeping)?;
            return Ok(Served::accepted(call.dialect, body));
        }
        let reply = attempt(self, snapshot, &call, &plan, record).await?;
        record.losses = reply.losses;
        Ok(Served {
            dialect: call.dialect,
            content: reply.content,
            upstream_request_id: reply.upstream_request_id,
            as_array: call.as_array,
            keeping: call.keeping,
        })
    }

    /// Sends one request to a provider, as who the gateway is there.
    pub(crate) async fn send(
        &self,
        provider: &Provider,
        method: Method,
        path: &Uri,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ReplyBody>, Failure> {
        if let Some(credentials) = &provider.credentials {
            let request = Signed {
                method: &method,
                host: provider.endpoint.authority(),
                target: path,
                headers: &mut headers,
                body: &body,
            };
            let now = self.shared.clock.now();
            // Apart on the heap: nearly no provider needs it, and the call's own state stays small.
            Box::pin(credentials.authorize(&TokenClient(&self.upstream), now, request))
                .await
                .map_err(refused)?;
        }
        self.upstream
            .send(&provider.endpoint, method, path, headers, body)
            .await
            .map_err(transport_failure)
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

/// What a call came to, before it is put into an answer.
struct Served {
    dialect: Dialect,
    content: Content,
    upstream_request_id: Option<http::HeaderValue>,
    as_array: bool,
    keeping: Option<Keeping>,
}

impl Served {
    /// A call that goes on without its caller.
    fn accepted(dialect: Dialect, body: Bytes) -> Self {
        Self {
            dialect,
            content: Content::Whole {
                body,
                reading: Reading::default(),
            },
            upstream_request_id: None,
            as_array: false,
            keeping: None,
        }
    }
}

fn open_record(caller: &Caller, inbound: &Inbound) -> Record {
    Record {
        request_id: inbound.request_id.clone(),
        key_id: caller.key_id.clone(),
        operation: if inbound.dialect.is_embeddings() {
            "embeddings"
        } else {
            "generation"
        },
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
