//! The admin API at work: who asks, one action, the answer. What the routes are, and what their requests and
//! answers consist of, stands in `tollgate-api`; what may be changed into what, in `tollgate-accounts`.
//!
//! Actions read and write stores, so they run on threads of their own and never hold up a call.

mod accounts;
mod asked;
mod audit;
mod idempotency;
mod keys;
mod ledger;
mod prices;
mod reply;
mod rules;
mod standings;
mod usage;

use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderMap, Method, Response};
use tokio::sync::Semaphore;
use tollgate_accounts::{Actor, Administration, Patch};
use tollgate_api::{Change, Endpoint, ROUTES, Route};
use tollgate_base::{Error, Kind, Result};
use tollgate_gateway::{Body, Gateway, Shared};
use tollgate_http1::RequestBody;
use tollgate_policy::key::{Permission, Role};

use self::{
    asked::Asked,
    idempotency::{Answers, Begun, Found},
    reply::Reply,
};
use crate::media;

/// The largest body that is read here.
const LARGEST_BODY: u64 = 1 << 20;
/// How many actions run at once; others wait their turn.
const JOBS: usize = 8;

/// What the admin API needs beside the gateway. Shared by all serving threads.
#[derive(Clone)]
pub struct Admin {
    desk: Arc<Administration>,
    on_change: Arc<dyn Fn() + Send + Sync>,
    answers: Arc<Answers>,
    jobs: Arc<Semaphore>,
}

/// Where actions are done.
struct Desk {
    accounts: Arc<Administration>,
    shared: Arc<Shared>,
}

/// A request whose head was read.
pub(crate) struct AdminRequest<'r> {
    pub(crate) method: Method,
    pub(crate) path: &'r str,
    pub(crate) query: Option<&'r str>,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) body: &'r mut RequestBody,
    pub(crate) peer: IpAddr,
    pub(crate) request_id: &'r str,
}

/// An error, and the methods that the path has where the method was wrong.
pub(crate) type Refused = (Error, Option<String>);

// === impl Admin ===

impl Admin {
    /// `on_change` makes the gateway take over the accounts as they are: it is called after every change, before
    /// the change is answered.
    pub fn new(desk: Arc<Administration>, on_change: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            desk,
            on_change,
            answers: Arc::default(),
            jobs: Arc::new(Semaphore::new(JOBS)),
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        gateway: &Gateway,
        request: AdminRequest<'_>,
    ) -> Result<Response<Body>, Refused> {
        let (route, id) = find(&request.method, request.path)?;
        let reply = self.reply(gateway, route, id, request).await;
        reply.map_err(|error| (error, None))
    }

    async fn reply(
        &self,
        gateway: &Gateway,
        route: &'static Route,
        id: &str,
        request: AdminRequest<'_>,
    ) -> Result<Response<Body>> {
        let AdminRequest {
            query,
            headers,
            body,
            peer,
            request_id,
            ..
        } = request;
        let caller = gateway.authenticate(Role::Admin, headers, query, None)?;
        caller.may_come_from(peer)?;
        let actor = Actor::of(&caller)?;
        actor.role.require(route.permission)?;
        let now = gateway.shared().clock.now();
        let mut asked = Asked::read(route, id, (query, headers), actor, now)?;
        if body.content_length() != Some(0) && !body.is_empty() {
            asked.body = body.collect(LARGEST_BODY).await?;
        }
        if !asked.body.is_empty() {
            media::check_json(headers)?;
        }
        let begun = match asked.idempotency(route, request.path, headers)? {
            Some(key) => match self.answers.find_or_begin(key, now)? {
                Found::Known(reply) => return Ok(reply.response(request_id)),
                Found::Begun(begun) => Some(begun),
            },
            None => None,
        };
        let reply = self.work(gateway.shared(), route, asked, begun).await?;
        Ok(reply.response(request_id))
    }

    /// Does the action on a thread of its own. It is done whole, even when the one who asked is gone.
    async fn work(
        &self,
        shared: &Arc<Shared>,
        route: &'static Route,
        asked: Asked,
        begun: Option<Begun>,
    ) -> Result<Reply> {
        let failed = || Error::internal("The gateway failed on this request.");
        let permit = self.jobs.clone().acquire_owned().await;
        let permit = permit.map_err(|_| failed())?;
        let desk = Desk {
            accounts: self.desk.clone(),
            shared: shared.clone(),
        };
        let on_change = self.on_change.clone();
        let work = tokio::task::spawn_blocking(move || {
            let reply = desk.act(route.endpoint, &asked);
            // Also after a failure: a change that came first may be why.
            if !matches!(route.permission, Permission::Read | Permission::ReadAudit) {
                on_change();
            }
            if let (Some(begun), Ok(reply)) = (begun, &reply) {
                begun.end(reply);
            }
            drop(permit);
            reply
        });
        work.await.unwrap_or_else(|_| Err(failed()))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("desk", &self.desk)
            .finish_non_exhaustive()
    }
}

/// The route of a path, taken as it is.
fn find<'p>(method: &Method, path: &'p str) -> Result<(&'static Route, &'p str), Refused> {
    let mut allowed: Vec<&str> = Vec::new();
    for route in ROUTES {
        let Some(id) = route.matches(path) else {
            continue;
        };
        if method == route.method || (method == Method::HEAD && route.method == "GET") {
            return Ok((route, id));
        }
        if !allowed.contains(&route.method) {
            allowed.push(route.method);
        }
    }
    if allowed.is_empty() {
        let message =
            "There is nothing at this path. `GET /admin/v1/openapi.json` describes what there is.";
        return Err((Error::new(Kind::NotFound, "not_found", message), None));
    }
    let allowed = allowed.join(", ");
    let message = format!("This path answers {allowed} only.");
    let error = Error::new(Kind::MethodNotAllowed, "method_not_allowed", message);
    Err((error, Some(allowed)))
}

// === impl Desk ===

impl Desk {
    /// Each endpoint has its action; one without does not compile.
    fn act(&self, endpoint: Endpoint, asked: &Asked) -> Result<Reply> {
        match endpoint {
            Endpoint::Document => Ok(reply::document()),
            Endpoint::ListKeys => self.list_keys(asked),
            Endpoint::CreateKey => self.create_key(asked),
            Endpoint::ShowKey => self.show_key(asked),
            Endpoint::ChangeKey => self.change_key(asked),
            Endpoint::DeleteKey => self.delete_key(asked),
            Endpoint::RotateKey => self.rotate_key(asked),
            Endpoint::RevokeKey => self.switch_key(asked, Administration::revoke_key),
            Endpoint::DisableKey => self.switch_key(asked, Administration::disable_key),
            Endpoint::EnableKey => self.switch_key(asked, Administration::enable_key),
            Endpoint::ListTeams => self.list_teams(asked),
            Endpoint::CreateTeam => self.create_team(asked),
            Endpoint::ShowTeam => self.show_team(asked),
            Endpoint::ChangeTeam => self.change_team(asked),
            Endpoint::DeleteTeam => self.delete_team(asked),
            Endpoint::ListProjects => self.list_projects(asked),
            Endpoint::CreateProject => self.create_project(asked),
            Endpoint::ShowProject => self.show_project(asked),
            Endpoint::ChangeProject => self.change_project(asked),
            Endpoint::DeleteProject => self.delete_project(asked),
            Endpoint::ListBudgets => self.list_budgets(asked),
            Endpoint::CreateBudget => self.create_budget(asked),
            Endpoint::ShowBudget => self.show_budget(asked),
            Endpoint::ReplaceBudget => self.replace_budget(asked),
            Endpoint::DeleteBudget => self.delete_budget(asked),
            Endpoint::RelieveBudget => self.relieve_budget(asked),
            Endpoint::ListLimits => self.list_limits(asked),
            Endpoint::CreateLimit => self.create_limit(asked),
            Endpoint::ShowLimit => self.show_limit(asked),
            Endpoint::ReplaceLimit => self.replace_limit(asked),
            Endpoint::DeleteLimit => self.delete_limit(asked),
            Endpoint::Standings => self.standings(asked),
            Endpoint::WhatIf => self.what_if(asked),
            Endpoint::Usage => self.usage(asked),
            Endpoint::ListAttempts => self.list_attempts(asked),
            Endpoint::ShowAttempt => self.show_attempt(asked),
            Endpoint::ResolveAttempt => self.resolve_attempt(asked),
            Endpoint::Reprice => self.reprice(asked),
            Endpoint::LedgerHealth => Ok(self.ledger_health()),
            Endpoint::LedgerVerify => self.ledger_verify(),
            Endpoint::Prices => self.prices(asked),
            Endpoint::Projection => self.projection(asked),
            Endpoint::ListAudit => self.list_audit(asked),
            Endpoint::VerifyAudit => self.verify_audit(asked),
            Endpoint::EffectiveConfig => Ok(self.effective_config()),
        }
    }
}

/// A field of a patch: left out, null, or a value.
fn said<T>(field: Change<T>) -> Patch<T> {
    match field {
        Change::Keep => Patch::Keep,
        Change::Clear => Patch::Clear,
        Change::Set(value) => Patch::Set(value),
    }
}
