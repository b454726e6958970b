//! Operations beside conversations: authenticated, planned, metered and recorded like a call, their bodies
//! passed through as they are. A JSON body may be tried at several targets; an upload streams to one.

mod bill;
mod multipart;
mod objects;
mod reply;
mod spool;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use parking_lot::Mutex;
use tollgate_base::{Error, Kind, Result, Usage};
use tollgate_catalog::Operation;
use tollgate_dialect::{Dialect, RawObject};
use tollgate_policy::{
    key::Caller,
    ledger::AttemptId,
    retry::{Failure, Sent, Verdict},
};
use tollgate_upstream::{Pieces, ReplyBody, RequestBody};

use crate::{
    Body, Snapshot,
    admit::{Asker, CallHold},
    files,
    gateway::Gateway,
    plan::{self, Served},
    provider::{read_error, transport_failure},
    record::Record,
    reply::{X_CLIENT_REQUEST_ID, error_response, insert_provenance, upstream_request_id},
    snapshot::Provider,
    tags,
};
use bill::Bill;
use multipart::{Model, ModelField};
pub use objects::ObjectRequest;
pub(crate) use reply::Passed;
use spool::{Spool, Spooled};

/// The dialect whose errors these operations have: they are all OpenAI's.
const DIALECT: Dialect = Dialect::OpenAiChat;

/// A request that is passed through.
pub struct Passing {
    pub operation: Operation,
    pub headers: HeaderMap,
    pub body: Box<dyn Pieces>,
    /// The most bytes of a JSON body.
    pub json_limit: u64,
    pub request_id: String,
    pub received: Instant,
}

impl fmt::Debug for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passing")
            .field("operation", &self.operation)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// An upload whose own failure is remembered: what broke at the client is not the provider's fault.
struct Watched {
    rest: Box<dyn Pieces>,
    fault: UploadFault,
}

/// Why an upload broke off, when it did.
#[derive(Clone, Debug, Default)]
struct UploadFault(Arc<Mutex<Option<Error>>>);

impl UploadFault {
    fn or(&self, other: Error) -> Error {
        self.0.lock().take().unwrap_or(other)
    }
}

impl Watched {
    fn over(rest: Box<dyn Pieces>) -> (Box<dyn Pieces>, UploadFault) {
        let fault = UploadFault::default();
        let watched = Self {
            rest,
            fault: fault.clone(),
        };
        (Box::new(watched), fault)
    }
}

impl Pieces for Watched {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let piece = ready!(self.rest.poll_piece(cx));
        if let Err(error) = &piece {
            *self.fault.0.lock() = Some(error.clone());
        }
        Poll::Ready(piece)
    }

    fn length(&self) -> Option<u64> {
        self.rest.length()
    }
}

/// A body that was read as far as it had to be.
enum Upload {
    Json(RawObject),
    Form {
        content_type: HeaderValue,
        model: Option<Model>,
        spool: Spool,
        rest: Box<dyn Pieces>,
    },
}

/// A form whose length nobody says counts as one of this size, in bytes.
const MAX_FORM: u64 = 25 * 1024 * 1024;

/// A request on its way through.
#[derive(Clone, Copy)]
struct Passage<'a> {
    snapshot: &'a Snapshot,
    asker: &'a Asker,
    bill: &'a Bill,
    operation: Operation,
}

/// A provider's answer, its body still to be read.
struct Answered {
    target: String,
    response: Response<ReplyBody>,
    /// What it consumed when it does not say so itself.
    known: Usage,
}

impl Passage<'_> {
    fn answered(&self, target: &Served, response: Response<ReplyBody>) -> Answered {
        Answered {
            target: target.name(),
            response,
            known: self.bill.known(),
        }
    }
}

/// Leaves the targets that the key may use.
fn permit(caller: &Caller, model: Option<&str>, targets: &mut Vec<Served>) -> Result<()> {
    if model.is_some_and(|model| caller.may_ask(&[model])) {
        return Ok(());
    }
    targets.retain(|target| caller.may_ask(&[&target.name()]));
    if targets.is_empty() {
        return Err(caller.model_refused(model.unwrap_or_default()));
    }
    Ok(())
}

impl Gateway {
    /// Passes one request through.
    pub async fn pass(&self, caller: &Arc<Caller>, passing: Passing) -> Response<Body> {
        let request_id = passing.request_id.clone();
        let mut record = open_record(caller, &passing);
        match self.answer_pass(caller, passing, &mut record).await {
            Ok(answered) => {
                let snapshot = self.shared.snapshot.load_full();
                reply::respond(answered, record, &snapshot.config.streaming).await
            }
            Err(error) => {
                record.fail(&error);
                error_response(DIALECT, &error, &request_id)
            }
        }
    }

    async fn answer_pass(
        &self,
        caller: &Arc<Caller>,
        passing: Passing,
        record: &mut Record,
    ) -> Result<Answered> {
        let snapshot = self.shared.snapshot.load_full();
        let operation = passing.operation;
        let request_id = passing.request_id.clone();
        let tags = tags::read(&passing.headers, None)?;
        let length = passing.body.length().unwrap_or(MAX_FORM);
        let upload = Upload::read(passing).await?;
        if let Upload::Json(raw) = &upload {
            files::check(&self.shared, caller, raw)?;
        }
        let model = upload.model()?;
        record.model = model.clone().unwrap_or_default();
        let mut targets = plan::operation(&snapshot, model.as_deref(), operation)?;
        permit(caller, model.as_deref(), &mut targets)?;
        let asker = self.asker(caller, operation, model.as_deref(), tags);
        let raw = match &upload {
            Upload::Json(raw) => Some(raw),
            Upload::Form { .. } => None,
        };
        let bytes = raw.map_or(length, |raw| raw.bytes().len() as u64);
        let bill = Bill::of(operation, raw, bytes);
        record.hold = Some(CallHold::admit(&self.shared, &asker, |_| bill.tokens())?);
        let wish = Passage {
            snapshot: &snapshot,
            asker: &asker,
            bill: &bill,
            operation,
        };
        match upload {
            Upload::Json(raw) => self.try_json(wish, &targets, &raw, record).await,
            Upload::Form {
                content_type,
                model,
                spool,
                rest,
            } => {
                let Some(first) = targets.first() else {
                    return Err(Error::internal(
                        "An operation was planned without a target.",
                    ));
                };
                let place = model.zip(first.model.as_ref());
                let replaced = place.map(|(found, name)| (found.place, Bytes::from(name.clone())));
                let (rest, fault) = Watched::over(rest);
                let body = RequestBody::pieces(Box::new(Spooled::new(spool, replaced, rest)));
                let uri = first.path(operation)?;
                let headers = headers(&first.provider, &request_id, Some(content_type));
                self.begin(wish, first, record)?;
                let sent = self
                    .exchange(&first.provider, Method::POST, &uri, headers, body)
                    .await;
                match sent {
                    Ok(response) => Ok(wish.answered(first, response)),
                    Err(failure) => {
                        record.attempt_failed(&failure);
                        Err(fault.or(failure.error))
                    }
                }
            }
        }
    }

    /// Admits and writes down an attempt at this target.
    fn begin(&self, wish: Passage<'_>, target: &Served, record: &mut Record) -> Result<()> {
        let id = AttemptId {
            request_id: record.request_id.clone(),
            number: record.attempts + 1,
        };
        let booking = self.book(wish.snapshot, wish.asker, target, id, wish.bill)?;
        record.attempts += 1;
        record.target = Some(target.name());
        record.begin(booking);
        Ok(())
    }

    /// One target after the other, until one answers.
    async fn try_json(
        &self,
        wish: Passage<'_>,
        targets: &[Served],
        raw: &RawObject,
        record: &mut Record,
    ) -> Result<Answered> {
        let json = HeaderValue::from_static("application/json");
        self.shared.retries.deposit();
        let mut last = Error::internal("An operation was planned without a target.");
        for (i, target) in targets.iter().enumerate() {
            let body = match &target.model {
                Some(model) => raw.with(&[("model", Some(&quoted(model)))]),
                None => raw.bytes().clone(),
            };
            let uri = target.path(wish.operation)?;
            let headers = headers(&target.provider, &record.request_id, Some(json.clone()));
            if let Err(error) = self.begin(wish, target, record) {
                last = error;
                continue;
            }
            let sent = self
                .exchange(&target.provider, Method::POST, &uri, headers, body)
                .await;
            let failure = match sent {
                Ok(response) => return Ok(wish.answered(target, response)),
                Err(failure) => failure,
            };
            record.attempt_failed(&failure);
            let verdict = wish.snapshot.retry.after(&failure, record.attempts, 0);
            last = failure.error;
            if verdict == Verdict::GiveUp
                || i + 1 == targets.len()
                || !self.shared.retries.withdraw(self.shared.clock.now())
            {
                break;
            }
        }
        Err(last)
    }

    /// Sends one request and waits for the head of the answer; a status that is no success is a failure.
    async fn exchange(
        &self,
        provider: &Provider,
        method: Method,
        uri: &Uri,
        headers: HeaderMap,
        body: impl Into<RequestBody>,
    ) -> Result<Response<ReplyBody>, Failure> {
        let response = self
            .upstream
            .send(&provider.endpoint, method, uri, headers, body)
            .await
            .map_err(transport_failure)?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Failure {
            error: read_error(DIALECT, response, self.shared.clock.now()).await,
            sent: Sent::Answered,
        })
    }
}

impl Upload {
    async fn read(passing: Passing) -> Result<Self> {
        let content_type = passing.headers.get(header::CONTENT_TYPE).cloned();
        let media = content_type
            .as_ref()
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let kind = media.split(';').next().unwrap_or_default().trim();
        let mut rest = passing.body;
        match (kind.to_ascii_lowercase().as_str(), content_type) {
            ("application/json", _) => {
                let body = collect(&mut *rest, passing.json_limit).await?;
                RawObject::parse(body).map(Upload::Json)
            }
            ("multipart/form-data", Some(content_type)) => {
                let mut field = ModelField::of(&media)?;
                let mut spool = Spool::default();
                // A file goes where its maker says, whatever its form names.
                while passing.operation != Operation::Files && !field.is_known() {
                    let Some(bytes) = next_piece(&mut *rest).await? else {
                        break;
                    };
                    field.push(&bytes)?;
                    spool.push(&bytes)?;
                }
                let model = field.into_model();
                Ok(Upload::Form {
                    content_type,
                    model,
                    spool,
                    rest,
                })
            }
            _ => {
                let message = "Send JSON (`Content-Type: application/json`) or a form (`multipart/form-data`), whichever this path takes.";
                Err(Error::new(Kind::UnsupportedMedia, "unsupported_media_type", message).closing())
            }
        }
    }

    /// The model that the request names.
    fn model(&self) -> Result<Option<String>> {
        match self {
            Upload::Form { model, .. } => Ok(model.as_ref().map(|model| model.name.clone())),
            Upload::Json(raw) => raw
                .get("model")
                .filter(|text| *text != "null")
                .map(|text| {
                    serde_json::from_str(text)
                        .map_err(|_| Error::invalid_value("model", "`model` must be a string."))
                })
                .transpose(),
        }
    }
}

fn open_record(caller: &Caller, passing: &Passing) -> Record {
    let request_id = passing.request_id.clone();
    let operation = passing.operation.name();
    Record::open(caller, operation, DIALECT, request_id, passing.received)
}

/// A provider's own headers; nothing of the caller's but the type of the body.
fn headers(provider: &Provider, request_id: &str, content_type: Option<HeaderValue>) -> HeaderMap {
    let mut headers = provider.headers.clone();
    match content_type {
        Some(content_type) => headers.insert(header::CONTENT_TYPE, content_type),
        None => headers.remove(header::CONTENT_TYPE),
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert(X_CLIENT_REQUEST_ID, id);
    }
    headers
}

async fn next_piece(pieces: &mut dyn Pieces) -> Result<Option<Bytes>> {
    std::future::poll_fn(|cx| pieces.poll_piece(cx)).await
}

/// The whole body, up to `limit` bytes.
async fn collect(pieces: &mut dyn Pieces, limit: u64) -> Result<Bytes> {
    let too_large = || {
        let message = format!(
            "The request body is larger than the {} MiB that are read here.",
            limit >> 20
        );
        Error::new(Kind::TooLarge, "request_too_large", message).closing()
    };
    if pieces.length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(bytes) = next_piece(pieces).await? {
        if (whole.len() + bytes.len()) as u64 > limit {
            return Err(too_large());
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The answer's headers that belong to its body.
fn copy_media(from: &HeaderMap, to: &mut HeaderMap) {
    for name in [header::CONTENT_TYPE, header::CONTENT_DISPOSITION] {
        if let Some(value) = from.get(&name) {
            to.insert(name, value.clone());
        }
    }
}

/// What every answer that was passed through says of where it came from.
fn label(response: &mut Response<Body>, from: &HeaderMap, target: &str, request_id: &str) {
    let headers = response.headers_mut();
    copy_media(from, headers);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert("x-request-id", id);
    }
    insert_provenance(headers, target, upstream_request_id(from), &[]);
}
