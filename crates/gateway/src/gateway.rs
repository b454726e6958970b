//! The pipeline itself, read from top to bottom.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use tollgate_base::{Clock, Error, IdSource, Provenance, Result, crash_point};
use tollgate_config::{Disconnect, StreamSettings};
use tollgate_credentials::Signed;
use tollgate_dialect::{Dialect, Family};
use tollgate_policy::{
    admission::LimitStanding,
    key::{Caller, KeyRing, Role},
    objects::ObjectStore,
    retry::{Failure, RetryBudget},
};
use tollgate_upstream::{Client, ReplyBody, Timeouts};

use crate::{
    Body, Inbound, Snapshot,
    admit::{self, Asker, Books, CallHold, Size},
    attempt::{Content, Wish, attempt, refused},
    authenticate::authenticate,
    call::Call,
    capability::narrow,
    files,
    identity::TokenClient,
    models::{self, ModelLists, Page},
    plan::{Plan, plan},
    provider::transport_failure,
    record::{Outcome, Record},
    relay::{Farewell, Keeper, Relay, Shape},
    reply::{self, error_response},
    responses::{Background, Follow, Keeping, Memory, recall, running_id},
    snapshot::Provider,
    tags,
};

/// What all serving threads share.
#[derive(Debug)]
pub struct Shared {
    pub snapshot: ArcSwap<Snapshot>,
    pub keys: ArcSwap<KeyRing>,
    pub clock: Box<dyn Clock>,
    pub ids: IdSource,
    /// What callers made through the gateway, and whose it is.
    pub objects: Arc<dyn ObjectStore>,
    /// Limits, budgets and the ledger.
    pub books: Books,
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
        (objects, books): (Arc<dyn ObjectStore>, Books),
        clock: Box<dyn Clock>,
    ) -> Self {
        let retry = &snapshot.config.retry;
        let retries = RetryBudget::new(retry.budget_percent, retry.budget_floor, clock.now());
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            keys: ArcSwap::from_pointee(keys),
            retries,
            clock,
            ids: IdSource::from_entropy(),
            objects,
            books,
            model_lists: ModelLists::default(),
            memory: Memory::default(),
        }
    }

    /// The id of a request that arrives now. The ledger has a row under it, so that ids follow the time.
    pub fn request_id(&self) -> String {
        self.ids.next_in_time("req_", self.clock.now())
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
    ) -> Result<Arc<Caller>> {
        authenticate(
            &self.shared.keys.load(),
            role,
            headers,
            query,
            query_key,
            self.shared.clock.now(),
        )
    }

    /// Whether new calls can be written down.
    pub fn can_book(&self) -> bool {
        self.shared.books.ledger.health().ready
    }

    /// Checks what a key may be used for, from where, before anything of the request is read.
    pub fn permit(&self, caller: &Caller, operation: &str, source: IpAddr) -> Result<()> {
        caller.may_come_from(source)?;
        caller.may_do(operation)
    }

    /// Admits a request that calls no model under the limits of its caller. It counts as a request, and its place
    /// is free again when what comes back is dropped.
    pub fn enter(&self, caller: &Arc<Caller>, operation: &'static str) -> Result<Entered> {
        let at = self.shared.clock.moment();
        let asker = Asker::new(caller, operation, "", Vec::new(), at);
        let mut hold = CallHold::admit(&self.shared, &asker, |_| (0, 0))?;
        hold.serve_here();
        Ok(Entered(hold))
    }

    /// Serves one call, whatever its dialect, streaming or not. A failure is an answer, too.
    pub async fn serve(&self, caller: &Arc<Caller>, inbound: Inbound) -> Response<Body> {
        let (dialect, request_id) = (inbound.dialect, inbound.request_id.clone());
        match self.answer(caller, inbound).await {
            Ok(response) => response,
            Err(error) => error_response(dialect, &error, &request_id),
        }
    }

    async fn answer(&self, caller: &Arc<Caller>, inbound: Inbound) -> Result<Response<Body>> {
        let snapshot = self.shared.snapshot.load_full();
        let operation = operation_of(inbound.dialect);
        let mut record = Record::open(
            caller,
            operation,
            inbound.dialect,
            inbound.request_id.clone(),
            inbound.received,
        );
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
            farewell,
            standings,
        } = served;
        let follow = keeping
            .as_ref()
            .filter(|keeping| keeping.background == Background::AtProvider)
            .map(|_| Follow::new(self, &record));
        let mut response = match content {
            Content::Whole { body, usage } => {
                record.usage = *usage;
                record.outcome = Outcome::Complete;
                // Only a response that may run in the background is looked into for that.
                match follow.and_then(|follow| Some((follow, running_id(&body)?))) {
                    Some((follow, id)) => {
                        drop(follow.take_over(&id, record.hand_over(), 0).await);
                    }
                    None => settle_whole(&mut record, dialect, &body).await,
                }
                if let Some(keeping) = keeping {
                    keeping.keep(&self.shared, &caller.key_id, &target, &body);
                }
                let mut response = reply::json_response(dialect, body, &request_id);
                reply::insert_cost(response.headers_mut(), record.cost);
                response
            }
            Content::Stream(flow) => {
                let keeper = keeping.map(|keeping| Keeper {
                    keeping,
                    shared: self.shared.clone(),
                    key_id: caller.key_id.clone(),
                    target: target.clone(),
                });
                let shape = Shape {
                    as_array,
                    keeper,
                    farewell,
                    follow,
                };
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
        let now = self.shared.clock.now();
        admit::headers::insert(response.headers_mut(), dialect, &standings, now);
        Ok(response)
    }

    async fn run(
        &self,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
        inbound: Inbound,
        record: &mut Record,
    ) -> Result<Served> {
        let mut call = Call::read(inbound)?;
        record.model.clone_from(&call.head.model);
        record.stream = call.head.stream;
        let mut plan = plan(snapshot, &call, self.shared.ids.number())?;
        permit(caller, &call, &mut plan)?;
        plan.strict |= caller.scopes.strict;
        recall(&self.shared, snapshot, caller, &mut call, &mut plan)?;
        narrow(snapshot, &call, &mut plan)?;
        files::check(&self.shared, caller, &call.raw)?;
        if let Some(keeping) = &call.keeping
            && keeping.background == Background::Here
        {
            let body = self.start_in_background(caller, &call, keeping)?;
            return Ok(Served::accepted(call.dialect, body, snapshot));
        }
        let tags = tags::read(&call.headers, Some(&call.raw))?;
        let at = self.shared.clock.moment();
        let asker = Asker::new(caller, record.operation, &call.head.model, tags, at);
        let size = Size::of(
            &call,
            snapshot.config.ledger.max_output_tokens,
            caller.scopes.max_output_tokens,
        );
        let hold = self.hold(snapshot, &asker, &size, &plan)?;
        let standings = hold.standings(&asker);
        record.hold = Some(hold);
        crash_point("after-limits");
        let wish = Wish {
            asker: &asker,
            size: &size,
        };
        let reply = attempt(self, snapshot, &call, &plan, wish, record).await?;
        record.losses = reply.losses;
        Ok(Served {
            dialect: call.dialect,
            content: reply.content,
            upstream_request_id: reply.upstream_request_id,
            as_array: call.as_array,
            keeping: call.keeping,
            farewell: Farewell {
                policy: plan.on_disconnect,
                bounds: snapshot.config.ledger.clone(),
            },
            standings,
        })
    }

    /// Holds what the call may need of its caller's limits, measured as its first target would.
    fn hold(
        &self,
        snapshot: &Snapshot,
        asker: &Asker,
        size: &Size<'_>,
        plan: &Plan,
    ) -> Result<CallHold> {
        let Some(first) = plan.targets.first() else {
            return Err(Error::internal("A call was planned without a target."));
        };
        let output = size
            .output(first.traits)
            .saturating_mul(size.candidates.into());
        let counter = admit::counter(snapshot, first);
        CallHold::admit(&self.shared, asker, |precision| {
            (size.bound(precision, &counter, first.traits), output)
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

/// The place of a request that calls no model.
#[derive(Debug)]
pub struct Entered(#[expect(dead_code, reason = "held until it is dropped")] CallHold);

/// What a call came to, before it is put into an answer.
struct Served {
    dialect: Dialect,
    content: Content,
    upstream_request_id: Option<http::HeaderValue>,
    as_array: bool,
    keeping: Option<Keeping>,
    farewell: Farewell,
    /// How the caller's limits stand.
    standings: Vec<LimitStanding>,
}

impl Served {
    /// A call that goes on without its caller.
    fn accepted(dialect: Dialect, body: Bytes, snapshot: &Snapshot) -> Self {
        Self {
            dialect,
            content: Content::Whole {
                body,
                usage: Box::default(),
            },
            upstream_request_id: None,
            as_array: false,
            keeping: None,
            farewell: Farewell {
                policy: Disconnect::Cancel,
                bounds: snapshot.config.ledger.clone(),
            },
            standings: Vec::new(),
        }
    }
}

/// What a call does, in the words of keys' scopes and of the ledger.
fn operation_of(dialect: Dialect) -> &'static str {
    if dialect.is_embeddings() {
        "embeddings"
    } else {
        "generation"
    }
}

/// Leaves the targets that the key may use: all of them when it may ask for the name that was asked for, else
/// those that it may ask for themselves.
pub(crate) fn permit(caller: &Caller, call: &Call, plan: &mut Plan) -> Result<()> {
    let asked = call.head.model.as_str();
    if !plan.is_default && caller.may_ask(&[asked]) {
        return Ok(());
    }
    plan.targets
        .retain(|target| caller.may_ask(&[&target.name()]));
    if plan.targets.is_empty() {
        return Err(caller.model_refused(asked));
    }
    Ok(())
}

/// Books a whole reply and waits until that is as durable as configured: what the caller sees whole is booked.
async fn settle_whole(record: &mut Record, dialect: Dialect, body: &Bytes) {
    let is_said = record.usage.provenance == Provenance::Reported;
    let seen = match &record.booking {
        Some(booking) if !is_said => booking.count_reply(dialect, body),
        _ => 0,
    };
    record.settle_safely(seen).await;
}
