//! From a request's head to the gateway, and every refusal on the way.

use std::{pin::pin, sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use tollgate_base::{Error, Kind, Result, crash_point};
use tollgate_catalog::Operation;
use tollgate_dialect::{Dialect, Family};
use tollgate_gateway::{
    Addressed, Body, ConversationRequest, Gateway, Inbound, ObjectRequest, Passing, error_response,
};
use tollgate_http1::{Request, RequestBody, Service, Stop};
use tollgate_policy::key::{Caller, Role};

use crate::{
    admin::{Admin, AdminRequest},
    budget::{BodyBudget, Share},
    health, media,
    panic::CatchPanic,
    query,
    routes::{Action, Found, Verb, family_of, find, model_verb},
    upload::Upload,
};

/// The service that one thread offers on its connections.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) gateway: Gateway,
    pub(crate) body_limit: u64,
    pub(crate) upload_limit: u64,
    pub(crate) bodies: BodyBudget,
    pub(crate) stop: Stop,
    /// `None` where no admin API is served.
    pub(crate) admin: Option<Admin>,
}

impl Service for Edge {
    type Body = Body;

    async fn call(&self, request: Request) -> Response<Body> {
        crash_point("after-accept");
        let received = Instant::now();
        let request_id = self.gateway.shared().request_id();
        let dialect = dialect_at(request.uri.path(), &request.headers);
        let answer = pin!(self.answer(request, request_id.clone(), received));
        match CatchPanic::new(answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(refusal)) => refusal.response(dialect, &request_id),
            Err(_) => {
                tracing::error!(request = %request_id, "a panic ended this request");
                let error = Error::internal(
                    "The gateway failed on this request. Report it with the request id.",
                );
                error_response(dialect, &error.closing(), &request_id)
            }
        }
    }

    fn refuse(&self, error: Error, target: Option<&str>) -> Response<Body> {
        let request_id = self.gateway.shared().request_id();
        let path = target.unwrap_or("").split('?').next().unwrap_or("");
        error_response(dialect_at(path, &HeaderMap::new()), &error, &request_id)
    }
}

/// What of a request's head the gateway is told.
struct Asked {
    headers: HeaderMap,
    query: Option<String>,
    request_id: String,
    received: Instant,
}

/// An error, and the header that some of them need.
struct Refusal {
    error: Error,
    /// The methods that the path has.
    allow: Option<String>,
}

impl Edge {
    async fn answer(
        &self,
        request: Request,
        request_id: String,
        received: Instant,
    ) -> Result<Response<Body>, Refusal> {
        if let Some(admin) = &self.admin
            && request.uri.path().starts_with("/admin/")
        {
            return Box::pin(self.administer(admin, request, &request_id)).await;
        }
        let Request {
            method,
            uri,
            headers,
            mut body,
            peer,
        } = request;
        let (action, id) = route(&method, uri.path())?;
        if let Some(answer) = self.health(action) {
            return Ok(answer);
        }
        let query_key = query_key(uri.path(), &headers, uri.query());
        let caller =
            self.gateway
                .authenticate(Role::Model, &headers, uri.query(), query_key.as_deref())?;
        crash_point("after-auth");
        let operation = action.operation(id);
        self.gateway.permit(&caller, operation, peer.ip())?;
        // A call of a model is admitted when its size is known.
        let _entered = if action.calls_a_model() {
            None
        } else {
            Some(self.gateway.enter(&caller, operation)?)
        };
        let asked = Asked {
            headers,
            query: uri.query().map(str::to_owned),
            request_id,
            received,
        };
        // The state of what is rarely asked lies apart on the heap, so that a call's stays small.
        match action {
            Action::Call(dialect) => self.call(&caller, dialect, None, asked, &mut body).await,
            Action::ModelVerb => Box::pin(self.model_verb(&caller, id, asked, &mut body)).await,
            Action::CountTokens(dialect) => {
                let (inbound, _share) = self.inbound(dialect, None, asked, &mut body).await?;
                Ok(Box::pin(self.gateway.count_tokens(&caller, inbound)).await)
            }
            Action::Stored(action) => {
                let id = query::decoded(id);
                let query = asked.query.as_deref();
                Ok(Box::pin(
                    self.gateway
                        .stored(&caller, action, &id, query, &asked.request_id),
                )
                .await)
            }
            Action::Conversation(action) => {
                let (body, _share) = self.read(&mut body).await?;
                let request = ConversationRequest {
                    action,
                    id: query::decoded(id),
                    query: asked.query,
                    body,
                    request_id: asked.request_id,
                };
                Ok(self.gateway.conversation(&caller, request))
            }
            Action::Pass(operation) => {
                let passing = self.passing(operation, asked, body);
                Ok(Box::pin(self.gateway.pass(&caller, passing)).await)
            }
            Action::Make(operation) => {
                let provider = query::parameter(asked.query.as_deref(), "provider");
                let passing = self.passing(operation, asked, body);
                Ok(Box::pin(self.gateway.make_object(&caller, passing, provider)).await)
            }
            Action::About(operation, part) => {
                let request = ObjectRequest {
                    method: if method == Method::HEAD {
                        Method::GET
                    } else {
                        method
                    },
                    operation,
                    id: query::decoded(id),
                    part,
                    query: asked.query,
                    request_id: asked.request_id,
                };
                Ok(Box::pin(self.gateway.about_object(&caller, request)).await)
            }
            Action::DeleteModel => {
                let model = query::decoded(id);
                Ok(Box::pin(
                    self.gateway
                        .delete_model(&caller, &model, &asked.request_id),
                )
                .await)
            }
            Action::ListModels | Action::ShowModel => self.models(action, id, &uri, &asked).await,
            Action::Live | Action::Ready => unreachable!("answered above, without a key"),
        }
    }

    async fn administer(
        &self,
        admin: &Admin,
        request: Request,
        request_id: &str,
    ) -> Result<Response<Body>, Refusal> {
        let Request {
            method,
            uri,
            headers,
            mut body,
            peer,
        } = request;
        let request = AdminRequest {
            method,
            path: uri.path(),
            query: uri.query(),
            headers: &headers,
            body: &mut body,
            peer: peer.ip(),
            request_id,
        };
        let answer = admin.answer(&self.gateway, request).await;
        answer.map_err(|(error, allow)| Refusal { error, allow })
    }

    /// What is answered without a key.
    fn health(&self, action: Action) -> Option<Response<Body>> {
        match action {
            Action::Live => Some(health::live()),
            Action::Ready => {
                let is_ready = !self.stop.is_set() && self.gateway.can_book();
                Some(health::ready(!is_ready))
            }
            _ => None,
        }
    }

    /// The models that can be called, or one of them.
    async fn models(
        &self,
        action: Action,
        id: &str,
        uri: &Uri,
        asked: &Asked,
    ) -> Result<Response<Body>, Refusal> {
        let family = family_of(uri.path(), &asked.headers);
        let request_id = &asked.request_id;
        if action == Action::ShowModel {
            let id = query::decoded(id);
            return Ok(self.gateway.show_model(family, &id, request_id).await);
        }
        let page = query::page(uri.query())?;
        Ok(self.gateway.list_models(family, &page, request_id).await)
    }

    async fn call(
        &self,
        caller: &Arc<Caller>,
        dialect: Dialect,
        addressed: Option<Addressed>,
        asked: Asked,
        body: &mut RequestBody,
    ) -> Result<Response<Body>, Refusal> {
        let (inbound, _share) = self.inbound(dialect, addressed, asked, body).await?;
        Ok(self.gateway.serve(caller, inbound).await)
    }

    /// A call whose path names the model and what is asked of it.
    async fn model_verb(
        &self,
        caller: &Arc<Caller>,
        id: &str,
        asked: Asked,
        body: &mut RequestBody,
    ) -> Result<Response<Body>, Refusal> {
        let Some((model, verb)) = model_verb(id) else {
            let message = "There is nothing at this path. It ends in `:` and a method, such as `:generateContent`.";
            return Err(Error::new(Kind::NotFound, "not_found", message).into());
        };
        let as_array = query::parameter(asked.query.as_deref(), "alt").as_deref() != Some("sse");
        let addressed = |stream| Addressed {
            model: query::decoded(model),
            stream,
            as_array,
        };
        match verb {
            Verb::Call { dialect, stream } => {
                self.call(caller, dialect, Some(addressed(stream)), asked, body)
                    .await
            }
            Verb::CountTokens => {
                let (dialect, at) = (Dialect::GeminiGenerate, Some(addressed(false)));
                let (inbound, _share) = self.inbound(dialect, at, asked, body).await?;
                Ok(self.gateway.count_tokens(caller, inbound).await)
            }
        }
    }

    /// A JSON request, its body read.
    async fn inbound(
        &self,
        dialect: Dialect,
        addressed: Option<Addressed>,
        asked: Asked,
        body: &mut RequestBody,
    ) -> Result<(Inbound, Share)> {
        media::check_json(&asked.headers)?;
        let (body, share) = self.read(body).await?;
        let inbound = Inbound {
            dialect,
            addressed,
            headers: asked.headers,
            body,
            request_id: asked.request_id,
            received: asked.received,
        };
        Ok((inbound, share))
    }

    fn passing(&self, operation: Operation, asked: Asked, body: RequestBody) -> Passing {
        Passing {
            operation,
            headers: asked.headers,
            body: Box::new(Upload::new(body, self.upload_limit)),
            json_limit: self.body_limit,
            request_id: asked.request_id,
            received: asked.received,
        }
    }

    /// Reads the body within its own limit and within what all bodies together may take.
    async fn read(&self, body: &mut RequestBody) -> Result<(Bytes, Share)> {
        let mut share = self.bodies.share();
        if let Some(length) = body.content_length() {
            share.grow(length.min(self.body_limit))?;
            return Ok((body.collect(self.body_limit).await?, share));
        }
        let mut whole = BytesMut::new();
        while let Some(chunk) = body.chunk().await? {
            share.grow(chunk.len() as u64)?;
            if (whole.len() + chunk.len()) as u64 > self.body_limit {
                return Err(too_large(self.body_limit));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok((whole.freeze(), share))
    }
}

fn too_large(limit: u64) -> Error {
    let message = format!(
        "The request body is larger than the {} MiB that are read here.",
        limit >> 20
    );
    Error::new(Kind::TooLarge, "request_too_large", message).closing()
}

fn route<'p>(method: &Method, path: &'p str) -> Result<(Action, &'p str), Refusal> {
    match find(method, path) {
        Found::Route { action, id } => Ok((action, id)),
        Found::WrongMethod { allowed } => {
            let message = format!("This path answers {allowed} only.");
            let error = Error::new(Kind::MethodNotAllowed, "method_not_allowed", message);
            Err(Refusal {
                error,
                allow: Some(allowed),
            })
        }
        Found::Nothing if matches!(*method, Method::CONNECT | Method::TRACE) => {
            let message = "This method is not offered here.";
            Err(
                Error::new(Kind::MethodNotAllowed, "method_not_allowed", message)
                    .closing()
                    .into(),
            )
        }
        Found::Nothing => {
            let message =
                "There is nothing at this path. The paths of the API begin with /v1/ or /v1beta/.";
            Err(Error::new(Kind::NotFound, "not_found", message).into())
        }
    }
}

/// The key in the address, where the dialect has it there (`?key=`, trap T48). It is read and never written.
fn query_key(path: &str, headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    (family_of(path, headers) == Family::Gemini)
        .then(|| query::parameter(query, "key"))
        .flatten()
}

/// The dialect whose error shape an answer on this path has.
fn dialect_at(path: &str, headers: &HeaderMap) -> Dialect {
    match family_of(path, headers) {
        Family::OpenAi => Dialect::OpenAiChat,
        Family::Anthropic => Dialect::AnthropicMessages,
        Family::Gemini => Dialect::GeminiGenerate,
    }
}

// === impl Refusal ===

impl Refusal {
    fn response(self, dialect: Dialect, request_id: &str) -> Response<Body> {
        let mut response = error_response(dialect, &self.error, request_id);
        if let Some(methods) = self.allow
            && let Ok(methods) = HeaderValue::try_from(methods)
        {
            response.headers_mut().insert(header::ALLOW, methods);
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, allow: None }
    }
}
