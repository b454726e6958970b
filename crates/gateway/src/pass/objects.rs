//! Files and fine-tuning jobs: made at a provider, and seen by the key that made them alone.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use serde::Serialize;
use serde_json::Value;
use tollgate_base::{Error, Kind, Result, Usage, quote};
use tollgate_catalog::Operation;
use tollgate_dialect::RawObject;
use tollgate_policy::{
    key::Caller,
    objects::{Object, ObjectKind, owned},
};
use tollgate_upstream::{Pieces, ReplyBody, RequestBody};

use super::{
    Answered, Bill, DIALECT, Passage, Passing, Upload, UploadFault, headers, label, reply,
};
use crate::{
    Body, files,
    gateway::Gateway,
    paths::segment,
    plan::{self, Served},
    provider::collect_within,
    record::{Outcome, Record},
    reply::{error_response, json_response},
    snapshot::{Provider, Snapshot},
    tags,
};

/// The largest description of a file or a job.
const MAX_OBJECT: usize = 4 * 1024 * 1024;

/// What is asked about a file or a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRequest {
    pub method: Method,
    pub operation: Operation,
    pub id: String,
    /// What of it: `content`, `events`, `cancel`; empty for the object itself.
    pub part: &'static str,
    pub query: Option<String>,
    pub request_id: String,
}

impl Gateway {
    /// Makes a file or a job at a provider, and remembers whose it is.
    pub async fn make_object(
        &self,
        caller: &Arc<Caller>,
        passing: Passing,
        provider: Option<String>,
    ) -> Response<Body> {
        let request_id = passing.request_id.clone();
        let mut record = super::open_record(caller, &passing);
        match self.make(caller, passing, provider, &mut record).await {
            Ok((target, from, body)) => {
                record.outcome = Outcome::Complete;
                record.settle_safely(0).await;
                let mut response = Response::new(Body::Whole(body));
                label(&mut response, &from, &target, &request_id);
                response
            }
            Err(error) => {
                record.fail(&error);
                error_response(DIALECT, &error, &request_id)
            }
        }
    }

    async fn make(
        &self,
        caller: &Arc<Caller>,
        passing: Passing,
        provider: Option<String>,
        record: &mut Record,
    ) -> Result<(String, HeaderMap, Bytes)> {
        let snapshot = self.shared.snapshot.load_full();
        let (operation, request_id) = (passing.operation, passing.request_id.clone());
        let tags = tags::read(&passing.headers, None)?;
        let length = passing.body.length().unwrap_or_default();
        let upload = Upload::read(passing).await?;
        let mut fault = UploadFault::default();
        let (provider, content_type, body, model) = match upload {
            Upload::Form {
                content_type,
                spool,
                rest,
                ..
            } => {
                let provider = provider_for(&snapshot, provider.as_deref(), operation)?;
                permit(caller, &provider, None)?;
                let (rest, watched) = super::Watched::over(rest);
                fault = watched;
                let whole: Box<dyn Pieces> = Box::new(super::Spooled::new(spool, None, rest));
                (provider, content_type, RequestBody::pieces(whole), None)
            }
            Upload::Json(raw) => {
                let (provider, body, model) =
                    self.job_at(&snapshot, caller, provider.as_deref(), operation, &raw)?;
                permit(caller, &provider, model.as_deref())?;
                let json = http::HeaderValue::from_static("application/json");
                (provider, json, RequestBody::new(body), model)
            }
        };
        let uri = root(&provider, operation)?;
        let head = headers(&provider, &request_id, Some(content_type));
        let asker = self.asker(caller, operation, model.as_deref(), tags);
        let passage = Passage {
            snapshot: &snapshot,
            asker: &asker,
            bill: &Bill::of(operation, None, length),
            operation,
        };
        let served = Served {
            provider: provider.clone(),
            model,
        };
        self.begin(passage, &served, record)?;
        let (gateway, caller) = (self.clone(), caller.clone());
        // Once it was sent it may have been made, and is remembered even when its maker does not wait.
        let made = tokio::spawn(async move {
            let response = gateway
                .exchange(&provider, Method::POST, &uri, head, body)
                .await
                .map_err(|failure| fault.or(failure.error))?;
            let from = response.headers().clone();
            let body = gateway.collect(response.into_body()).await?;
            gateway.remember(&caller, &provider, operation, &body)?;
            Ok((provider.name.clone(), from, body))
        });
        made.await
            .map_err(|_| Error::internal("The gateway failed while it made this."))?
    }

    /// Where a job runs: where its model is, or where its training file is. Files of other keys are unknown.
    fn job_at(
        &self,
        snapshot: &Arc<Snapshot>,
        caller: &Caller,
        named: Option<&str>,
        operation: Operation,
        raw: &RawObject,
    ) -> Result<(Arc<Provider>, Bytes, Option<String>)> {
        let text = |field: &str| -> Option<String> {
            raw.get(field)
                .and_then(|json| serde_json::from_str(json).ok())
        };
        files::check(&self.shared, caller, raw)?;
        let mut home = named.map(str::to_owned);
        for field in ["training_file", "validation_file"] {
            let Some(id) = text(field) else { continue };
            let file = self.owned(ObjectKind::File, &id, caller).map_err(|error| {
                Error::new(
                    error.kind(),
                    error.code().to_owned(),
                    error.message().to_owned(),
                )
                .with_param(field)
            })?;
            if home.as_ref().is_some_and(|home| *home != file.provider) {
                let message = format!(
                    "`{field}` is at the provider {}, and the job is not.",
                    quote(&file.provider)
                );
                return Err(Error::invalid_value(field, message));
            }
            home = Some(file.provider);
        }
        let model = text("model");
        if let (Some(model), None) = (&model, &home) {
            let served = plan::operation(snapshot, Some(model), operation)?;
            home = served.first().map(|served| served.provider.name.clone());
        }
        let provider = provider_for(snapshot, home.as_deref(), operation)?;
        let own_name = model
            .as_deref()
            .and_then(|model| model.strip_prefix(&format!("{}/", provider.name)));
        let body = match own_name {
            Some(name) => raw.with(&[("model", Some(&super::quoted(name)))]),
            None => raw.bytes().clone(),
        };
        let own_name = own_name.map(str::to_owned);
        Ok((provider, body, own_name.or(model)))
    }

    fn remember(
        &self,
        caller: &Caller,
        provider: &Provider,
        operation: Operation,
        body: &[u8],
    ) -> Result<()> {
        let made: Value = serde_json::from_slice(body).map_err(|_| {
            Error::upstream_invalid("The provider answered with something that is no JSON.")
        })?;
        let id = made["id"].as_str().ok_or_else(|| {
            Error::upstream_invalid("The provider made something and did not say its id.")
        })?;
        self.shared.objects.put_object(&Object {
            kind: kind_of(operation),
            id: id.to_owned(),
            key_id: caller.key_id.clone(),
            provider: provider.name.clone(),
            created_at: self.shared.clock.now(),
            body: made.to_string(),
        })
    }

    async fn collect(&self, body: ReplyBody) -> Result<Bytes> {
        let patience = self
            .shared
            .snapshot
            .load()
            .config
            .streaming
            .first_byte_timeout;
        collect_within(patience, body, MAX_OBJECT).await
    }

    fn owned(&self, kind: ObjectKind, id: &str, caller: &Caller) -> Result<Object> {
        owned(
            self.shared.objects.object(kind, id)?,
            kind,
            id,
            &caller.key_id,
        )
    }

    /// Asks the provider of a file or a job about it.
    pub async fn about_object(&self, caller: &Caller, request: ObjectRequest) -> Response<Body> {
        let request_id = request.request_id.clone();
        let answer = if request.id.is_empty() {
            self.list_objects(caller, &request)
        } else {
            self.ask_about(caller, request).await
        };
        answer.unwrap_or_else(|error| error_response(DIALECT, &error, &request_id))
    }

    async fn ask_about(&self, caller: &Caller, request: ObjectRequest) -> Result<Response<Body>> {
        let kind = kind_of(request.operation);
        let mut object = self.owned(kind, &request.id, caller)?;
        let snapshot = self.shared.snapshot.load_full();
        let provider = provider_for(&snapshot, Some(&object.provider), request.operation)?;
        let part = if request.part.is_empty() {
            String::new()
        } else {
            format!("/{}", request.part)
        };
        let query = request
            .query
            .as_deref()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let below = format!("/{}{part}{query}", segment(&request.id));
        let uri = provider
            .operation(request.operation)
            .and_then(|path| path.below(&below))
            .ok_or_else(|| Error::invalid_value("id", "The id cannot stand in a path."))?;
        let response = self
            .exchange(
                &provider,
                request.method.clone(),
                &uri,
                headers(&provider, &request.request_id, None),
                Bytes::new(),
            )
            .await
            .map_err(|failure| self.unless_gone(failure.error, kind, &object.id))?;
        if request.part == "content" {
            return Ok(self
                .pass_content(caller, &provider, &request, response)
                .await);
        }
        let from = response.headers().clone();
        let body = self.collect(response.into_body()).await?;
        if request.method == Method::DELETE {
            self.shared.objects.delete_object(kind, &object.id)?;
        } else if !matches!(request.part, "events" | "checkpoints") {
            // What was deleted meanwhile stays deleted.
            if self.shared.objects.object(kind, &object.id)?.is_some() {
                object.body = String::from_utf8_lossy(&body).into_owned();
                self.shared.objects.put_object(&object)?;
            }
        }
        let mut answer = Response::new(Body::Whole(body));
        label(&mut answer, &from, &provider.name, &request.request_id);
        Ok(answer)
    }

    /// What the provider does not have any more is not kept here either.
    fn unless_gone(&self, error: Error, kind: ObjectKind, id: &str) -> Error {
        if error.kind() == Kind::NotFound
            && let Err(failed) = self.shared.objects.delete_object(kind, id)
        {
            tracing::error!("a {} could not be forgotten: {failed}", kind.as_str());
        }
        error
    }

    /// A file's content is not read here.
    async fn pass_content(
        &self,
        caller: &Caller,
        provider: &Provider,
        request: &ObjectRequest,
        response: Response<ReplyBody>,
    ) -> Response<Body> {
        let operation = request.operation.name();
        let request_id = request.request_id.clone();
        let received = std::time::Instant::now();
        let mut record = Record::open(caller, operation, DIALECT, request_id, received);
        record.target = Some(provider.name.clone());
        record.attempts = 1;
        let snapshot = self.shared.snapshot.load_full();
        let streaming = &snapshot.config.streaming;
        let answered = Answered {
            target: provider.name.clone(),
            response,
            known: Usage::default(),
        };
        reply::respond(answered, record, streaming).await
    }

    /// The key's own objects, as they were when last seen, a page at a time.
    fn list_objects(&self, caller: &Caller, request: &ObjectRequest) -> Result<Response<Body>> {
        let kind = kind_of(request.operation);
        let mut objects = self.shared.objects.objects(kind, &caller.key_id)?;
        let page = Page::read(request.query.as_deref())?;
        if page.ascending {
            objects.reverse();
        }
        let values: Vec<Value> = objects
            .iter()
            .filter_map(|object| serde_json::from_str(&object.body).ok())
            .filter(|value: &Value| {
                page.purpose
                    .as_ref()
                    .is_none_or(|purpose| value["purpose"] == **purpose)
            })
            .collect();
        let start = match &page.after {
            None => 0,
            Some(id) => values
                .iter()
                .position(|value| value["id"] == **id)
                .map(|at| at + 1)
                .ok_or_else(|| {
                    Error::invalid_value("after", "`after` names nothing of this list.")
                })?,
        };
        let end = (start + page.limit).min(values.len());
        let part = &values[start..end];
        let list = List {
            object: "list",
            data: part,
            first_id: part.first().map(|value| &value["id"]),
            last_id: part.last().map(|value| &value["id"]),
            has_more: end < values.len(),
        };
        let list =
            serde_json::to_vec(&list).map_err(|_| Error::internal("A list cannot be written."))?;
        Ok(json_response(DIALECT, list.into(), &request.request_id))
    }

    /// Deletes a fine-tuned model of this key: one that a job of it made.
    pub async fn delete_model(
        &self,
        caller: &Caller,
        name: &str,
        request_id: &str,
    ) -> Response<Body> {
        match self.try_delete_model(caller, name, request_id).await {
            Ok(response) => response,
            Err(error) => error_response(DIALECT, &error, request_id),
        }
    }

    async fn try_delete_model(
        &self,
        caller: &Caller,
        name: &str,
        request_id: &str,
    ) -> Result<Response<Body>> {
        let snapshot = self.shared.snapshot.load_full();
        for job in self
            .shared
            .objects
            .objects(ObjectKind::Job, &caller.key_id)?
        {
            let Ok(provider) = provider_for(&snapshot, Some(&job.provider), Operation::FineTuning)
            else {
                continue;
            };
            let own_name = name
                .strip_prefix(&format!("{}/", provider.name))
                .unwrap_or(name);
            if !self.made(&provider, &job, own_name, request_id).await {
                continue;
            }
            let uri = provider
                .operation(Operation::DeleteModel)
                .and_then(|path| path.below(&format!("/{}", segment(own_name))))
                .ok_or_else(|| cannot(&provider.name, Operation::DeleteModel))?;
            let head = headers(&provider, request_id, None);
            let response = self
                .exchange(&provider, Method::DELETE, &uri, head, Bytes::new())
                .await
                .map_err(|failure| failure.error)?;
            let from = response.headers().clone();
            let body = self.collect(response.into_body()).await?;
            let mut answer = Response::new(Body::Whole(body));
            label(&mut answer, &from, &provider.name, request_id);
            return Ok(answer);
        }
        let message = format!(
            "No fine-tuning job of this key made a model {}.",
            quote(name)
        );
        Err(Error::new(Kind::NotFound, "model_not_found", message).with_param("model"))
    }

    /// Whether this job's model is the one of that name, as the provider says now.
    async fn made(&self, provider: &Provider, job: &Object, model: &str, request_id: &str) -> bool {
        let of = |json: &[u8]| {
            serde_json::from_slice::<Value>(json).is_ok_and(|job| job["fine_tuned_model"] == *model)
        };
        if of(job.body.as_bytes()) {
            return true;
        }
        let path = provider.operation(Operation::FineTuning);
        let Some(uri) = path.and_then(|path| path.below(&format!("/{}", segment(&job.id)))) else {
            return false;
        };
        let head = headers(provider, request_id, None);
        match self
            .exchange(provider, Method::GET, &uri, head, Bytes::new())
            .await
        {
            Ok(response) => self
                .collect(response.into_body())
                .await
                .is_ok_and(|body| of(&body)),
            Err(_) => false,
        }
    }
}

/// A list as OpenAI writes one.
#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: &'a [Value],
    first_id: Option<&'a Value>,
    last_id: Option<&'a Value>,
    has_more: bool,
}

/// A page of a list: `after`, `limit`, `order`, `purpose`.
struct Page {
    after: Option<String>,
    limit: usize,
    ascending: bool,
    purpose: Option<String>,
}

impl Page {
    fn read(query: Option<&str>) -> Result<Self> {
        let mut page = Self {
            after: None,
            limit: 20,
            ascending: false,
            purpose: None,
        };
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "after" => page.after = Some(value.to_owned()),
                "purpose" => page.purpose = Some(value.to_owned()),
                "order" => page.ascending = value == "asc",
                "limit" => {
                    page.limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=10_000).contains(limit))
                        .ok_or_else(|| {
                            Error::invalid_value("limit", "`limit` must be between 1 and 10000.")
                        })?;
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

/// Whether the key may have something made there: of a model that it may ask for, or at a provider of one.
fn permit(caller: &Caller, provider: &Provider, model: Option<&str>) -> Result<()> {
    let name = format!("{}/{}", provider.name, model.unwrap_or_default());
    match model {
        Some(model) if !caller.may_ask(&[model, &name]) => Err(caller.model_refused(model)),
        // A key for some models of a provider may leave its files there.
        None if !caller.may_ask_at(&provider.name) => Err(caller.model_refused(&name)),
        _ => Ok(()),
    }
}

fn kind_of(operation: Operation) -> ObjectKind {
    match operation {
        Operation::FineTuning => ObjectKind::Job,
        _ => ObjectKind::File,
    }
}

/// The provider of this name, or the first that offers the operation.
fn provider_for(
    snapshot: &Snapshot,
    name: Option<&str>,
    operation: Operation,
) -> Result<Arc<Provider>> {
    let offers = |provider: &&Arc<Provider>| provider.operation(operation).is_some();
    match name {
        Some(name) => snapshot
            .providers
            .get(name)
            .filter(offers)
            .ok_or_else(|| cannot(name, operation)),
        None => snapshot
            .providers
            .values()
            .find(offers)
            .ok_or_else(|| plan::nobody_offers(operation)),
    }
    .cloned()
}

fn root(provider: &Provider, operation: Operation) -> Result<Uri> {
    provider
        .operation(operation)
        .ok_or_else(|| cannot(&provider.name, operation))?
        .of("")
}

fn cannot(provider: &str, operation: Operation) -> Error {
    let message = format!(
        "The provider {} is not switched on here, or does not offer {}.",
        quote(provider),
        operation.name()
    );
    Error::new(Kind::NotFound, "not_found", message)
}
