//! The memory of the Responses API. A model is stateless; who asks for `previous_response_id`, `store` or
//! `background` is served by the gateway's own memory, unless every target of the call remembers by itself:
//! then the provider keeps the response, and the gateway only whose it is.

use std::{collections::HashMap, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Method, Response, header};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use tollgate_base::{Error, Kind, Result, UnixMillis, quote};
use tollgate_dialect::{
    Dialect, EncodeOptions, ItemOrder, RawObject, cancelled_response, deleted_response,
    expanded_request, input_items, input_items_page, ir, output_items, render_response,
};
use tollgate_policy::{
    key::Caller,
    objects::{Object, ObjectKind, owned},
};

use crate::{
    Body, Inbound,
    call::Call,
    gateway::{Gateway, Shared},
    paths::segment,
    plan::{Place, Plan, Target},
    provider::{collect_within, read_error},
    reply::{error_response, json_response},
    snapshot::Snapshot,
};

const DIALECT: Dialect = Dialect::OpenAiResponses;
/// How long a response is remembered, as long as OpenAI keeps one.
const KEEP_MILLIS: u64 = 30 * 24 * 60 * 60 * 1000;
/// More turns than any conversation has; a longer chain is cut at its oldest end.
const MAX_TURNS: usize = 1000;
/// Objects that are held while the store cannot be written.
const MAX_UNWRITTEN: usize = 1000;
/// Responses that run in the background at once.
const MAX_RUNNING: usize = 1000;
const MAX_RESPONSE: usize = 64 * 1024 * 1024;

/// What is asked of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredAction {
    Show,
    Delete,
    Cancel,
    InputItems,
}

/// What becomes of a response when it is whole.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// The request as the caller wrote it.
    pub(crate) original: RawObject,
    previous: Option<String>,
    conversation: Option<String>,
    place: Kept,
    pub(crate) in_background: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Nowhere,
    Here,
    AtProvider,
}

/// A response as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Turn {
    response: Box<serde_json::value::RawValue>,
    input: Vec<Box<serde_json::value::RawValue>>,
    previous: Option<String>,
}

/// What is kept and not written yet, and what runs in the background.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    fresh: Mutex<HashMap<(ObjectKind, String), Object>>,
    /// Held while an object is written or deleted.
    writing: Mutex<()>,
    /// Held from the reading of a conversation to its next state.
    pub(crate) conversing: Mutex<()>,
    running: Mutex<HashMap<String, AbortHandle>>,
}

/// The fields of a request that name what is remembered.
#[derive(Default, Deserialize)]
struct Named {
    previous_response_id: Option<String>,
    conversation: Option<ConversationName>,
    store: Option<bool>,
    background: Option<bool>,
}

/// A conversation, by its id or as an object that has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum ConversationName {
    Id(String),
    Object { id: String },
}

/// Completes a request with what its turn is built on. Done once, after the plan, before any attempt.
pub(crate) fn recall(
    shared: &Shared,
    snapshot: &Snapshot,
    caller: &Caller,
    call: &mut Call,
    plan: &mut Plan,
) -> Result<()> {
    if call.dialect != DIALECT {
        return Ok(());
    }
    let named: Named = serde_json::from_slice(call.raw.bytes()).map_err(|_| {
        Error::invalid_value(
            "previous_response_id",
            "`previous_response_id` must be a string, `store` and `background` true or false.",
        )
    })?;
    let conversation = named.conversation.map(|name| match name {
        ConversationName::Id(id) | ConversationName::Object { id } => id,
    });
    if conversation.is_some() && named.previous_response_id.is_some() {
        let message = "`previous_response_id` and `conversation` both name what came before. Send one of them.";
        return Err(Error::invalid_value("conversation", message));
    }
    let previous = named
        .previous_response_id
        .as_deref()
        .map(|id| previous(shared, id, caller))
        .transpose()?;
    let wants_store = named.store.unwrap_or(true);
    let in_background = named.background == Some(true);
    if let Some(object) = previous
        .as_ref()
        .filter(|object| !object.provider.is_empty())
    {
        stay_with(object, plan)?;
    }
    let is_native = speaks_responses(plan);
    let is_foreign = conversation.is_some()
        || previous
            .as_ref()
            .is_some_and(|object| object.provider.is_empty());
    let original = call.raw.clone();
    if is_native && !is_foreign {
        call.keeping = Some(Keeping {
            original,
            previous: named.previous_response_id,
            conversation: None,
            place: if wants_store {
                Kept::AtProvider
            } else {
                Kept::Nowhere
            },
            in_background: false,
        });
        return Ok(());
    }
    if in_background && call.head.stream {
        let message = "A response in the background cannot be streamed here. Leave `stream` out and ask for it by its id.";
        return Err(Error::unsupported("stream", message));
    }
    let earlier = match &conversation {
        Some(id) => shared.conversation_items(id, caller)?,
        None => earlier(shared, previous, snapshot.config.server.limits.body_bytes)?,
    };
    let own = resolved(shared, caller, &call.raw, &earlier)?;
    let body = expanded_request(own.as_ref().unwrap_or(&call.raw), &earlier)?;
    // A provider that has a memory of its own does not need to keep what is kept here.
    let body = RawObject::parse(body)?.with(&[("store", Some("false"))]);
    call.raw = RawObject::parse(body)?;
    let is_kept = wants_store || in_background;
    call.keeping = Some(Keeping {
        original,
        previous: named.previous_response_id,
        conversation,
        place: if is_kept { Kept::Here } else { Kept::Nowhere },
        in_background,
    });
    Ok(())
}

/// The request with the stored items in the places of references to them; `None` when there are none. What is
/// said earlier in the same request is left to who expands it.
fn resolved(
    shared: &Shared,
    caller: &Caller,
    raw: &RawObject,
    earlier: &[String],
) -> Result<Option<RawObject>> {
    #[derive(Deserialize)]
    struct Reference {
        #[serde(rename = "type")]
        kind: Option<String>,
        id: Option<String>,
    }
    let Some(input) = raw
        .get("input")
        .filter(|text| text.contains("item_reference"))
    else {
        return Ok(None);
    };
    let Ok(items) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(input) else {
        return Ok(None);
    };
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        let id = serde_json::from_str::<Reference>(item.get())
            .ok()
            .filter(|it| it.kind.as_deref() == Some("item_reference"))
            .and_then(|it| it.id)
            .filter(|id| {
                !earlier
                    .iter()
                    .any(|said| said.contains(&format!("\"{id}\"")))
            });
        let Some(id) = id else {
            out.push(item.get().to_owned());
            continue;
        };
        let kind = ObjectKind::Item;
        let object = owned(shared.recent(kind, &id)?, kind, &id, &caller.key_id)
            .map_err(|error| error.with_param("input"))?;
        out.push(object.body);
    }
    let input = format!("[{}]", out.join(","));
    RawObject::parse(raw.with(&[("input", Some(&input))])).map(Some)
}

/// Leaves the targets at the provider that keeps the response which is continued.
fn stay_with(object: &Object, plan: &mut Plan) -> Result<()> {
    let is_there = |target: &Target| match &target.place {
        Place::Provider(provider) => {
            provider.name == object.provider && provider.exact(DIALECT).is_some()
        }
        Place::BuiltIn => false,
    };
    if plan.targets.iter().any(is_there) {
        plan.targets.retain(is_there);
        return Ok(());
    }
    let message = format!(
        "The response {} is kept by the provider {}. Continue it with a model of that provider.",
        quote(&object.id),
        quote(&object.provider)
    );
    Err(Error::invalid_value("previous_response_id", message))
}

/// Whether every target of a plan remembers responses by itself.
fn speaks_responses(plan: &Plan) -> bool {
    plan.targets.iter().all(|target| match &target.place {
        Place::Provider(provider) => provider.exact(DIALECT).is_some(),
        Place::BuiltIn => false,
    })
}

fn previous(shared: &Shared, id: &str, caller: &Caller) -> Result<Object> {
    shared
        .response(id, caller)
        .map_err(|error| match error.kind() {
            Kind::NotFound => {
                let message = format!(
                    "The previous response {} is not known to this key.",
                    quote(id)
                );
                Error::new(Kind::NotFound, "previous_response_not_found", message)
                    .with_param("previous_response_id")
            }
            _ => error,
        })
}

/// The items of all turns up to this one, the oldest first. A chain that is longer than a request may be, or
/// that misses a link, is refused rather than cut.
fn earlier(shared: &Shared, last: Option<Object>, most_bytes: u64) -> Result<Vec<String>> {
    let mut turns = Vec::new();
    let mut bytes = 0;
    let mut next = last;
    while let Some(object) = next {
        bytes += object.body.len() as u64;
        if bytes > most_bytes || turns.len() == MAX_TURNS {
            let message = "The turns before this one are more than a request may hold. Start anew, or send a shorter history as `input`.";
            return Err(Error::invalid_value("previous_response_id", message));
        }
        let turn = read_turn(&object)?;
        check_is_whole(&turn)?;
        next = match &turn.previous {
            None => None,
            Some(id) => Some(
                shared
                    .recent(ObjectKind::Response, id)?
                    .ok_or_else(link_is_gone)?,
            ),
        };
        turns.push(turn);
    }
    let mut items = Vec::new();
    for turn in turns.into_iter().rev() {
        items.extend(turn.input.iter().map(|item| item.get().to_owned()));
        items.extend(output_items(&Bytes::from(turn.response.get().to_owned()))?);
    }
    Ok(items)
}

/// A response without its output says nothing that could be continued.
fn check_is_whole(turn: &Turn) -> Result<()> {
    #[derive(Deserialize)]
    struct Status {
        status: Option<String>,
    }
    let status: Status = serde_json::from_str(turn.response.get())
        .map_err(|_| Error::internal("A stored response cannot be read. Start a new one."))?;
    match status.status.as_deref() {
        Some("completed" | "incomplete") | None => Ok(()),
        Some(status) => {
            let message =
                format!("The previous response is {status}. Continue one that is completed.");
            Err(Error::invalid_value("previous_response_id", message))
        }
    }
}

fn link_is_gone() -> Error {
    let message = "A turn before the previous response was deleted. Send the history as `input`.";
    Error::invalid_value("previous_response_id", message)
}

fn read_turn(object: &Object) -> Result<Turn> {
    serde_json::from_str(&object.body)
        .map_err(|_| Error::internal("A stored response cannot be read. Start a new one."))
}

impl Keeping {
    /// Keeps a whole response, as this call's caller and target demand, and continues its conversation.
    pub(crate) fn keep(&self, shared: &Arc<Shared>, key_id: &str, target: &str, response: &[u8]) {
        if let Some(conversation) = &self.conversation
            && let Ok(response) = RawObject::parse(Bytes::copy_from_slice(response))
            && let Some(id) = id_of(&String::from_utf8_lossy(response.bytes()))
            && let Err(error) = self.grow(shared, key_id, conversation, &id, &response)
        {
            tracing::error!("a conversation could not be continued: {error}");
        }
        self.keep_response(shared, key_id, target, response);
    }

    fn keep_response(&self, shared: &Arc<Shared>, key_id: &str, target: &str, response: &[u8]) {
        let provider = target.split('/').next().unwrap_or_default();
        let Ok(response) = RawObject::parse(Bytes::copy_from_slice(response)) else {
            return;
        };
        let Some(id) = response
            .get("id")
            .and_then(|id| serde_json::from_str::<String>(id).ok())
        else {
            return;
        };
        let (provider, body) = match self.place {
            Kept::Nowhere => return,
            Kept::AtProvider => (provider.to_owned(), String::new()),
            Kept::Here => match self.turn(&id, &response) {
                Ok(body) => (String::new(), body),
                Err(error) => return tracing::error!("a response could not be kept: {error}"),
            },
        };
        if self.place == Kept::Here {
            keep_items(shared, key_id, &response);
        }
        shared.keep(Object {
            kind: ObjectKind::Response,
            id,
            key_id: key_id.to_owned(),
            provider,
            created_at: shared.clock.now(),
            body,
        });
    }

    /// What was said in this turn goes into its conversation.
    fn grow(
        &self,
        shared: &Arc<Shared>,
        key_id: &str,
        conversation: &str,
        id: &str,
        response: &RawObject,
    ) -> Result<()> {
        let mut items = input_items(&self.original, id)?;
        items.extend(output_items(response.bytes())?);
        shared.grow_conversation(conversation, key_id, items)
    }

    fn turn(&self, id: &str, response: &RawObject) -> Result<String> {
        let raw = |text: &str| {
            serde_json::value::RawValue::from_string(text.to_owned())
                .map_err(|_| Error::internal("A response is no JSON."))
        };
        let text = std::str::from_utf8(response.bytes())
            .map_err(|_| Error::internal("A response is no text."))?;
        let turn = Turn {
            response: raw(text)?,
            input: input_items(&self.original, id)?
                .iter()
                .map(|item| raw(item))
                .collect::<Result<_>>()?,
            previous: self.previous.clone(),
        };
        serde_json::to_string(&turn).map_err(|_| Error::internal("A response cannot be written."))
    }
}

/// Keeps the items of a response by their ids, because the next request may refer to them alone.
fn keep_items(shared: &Arc<Shared>, key_id: &str, response: &RawObject) {
    for body in output_items(response.bytes()).unwrap_or_default() {
        if let Some(id) = id_of(&body) {
            shared.keep(Object {
                kind: ObjectKind::Item,
                id,
                key_id: key_id.to_owned(),
                provider: String::new(),
                created_at: shared.clock.now(),
                body,
            });
        }
    }
}

fn id_of(json: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    serde_json::from_str::<Named>(json)
        .ok()
        .map(|named| named.id)
}

// === impl Shared ===

impl Shared {
    /// Keeps an object now and writes it soon, so that no stream on this thread waits for the disk.
    pub(crate) fn keep(self: &Arc<Self>, object: Object) {
        let (kind, id) = (object.kind, object.id.clone());
        let place = (kind, id.clone());
        self.memory.fresh.lock().insert(place, object);
        let shared = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = shared.write(kind, &id) {
                tracing::error!("a {} was not written: {error}", kind.as_str());
                // It stays in memory for a caller who comes back soon, but not without end.
                let mut fresh = shared.memory.fresh.lock();
                if fresh.len() > MAX_UNWRITTEN {
                    fresh.remove(&(kind, id));
                }
            }
        });
    }

    /// Writes the newest state of an object, unless it is written already or was deleted. One writer at a time:
    /// an older state must not come after a newer one.
    fn write(&self, kind: ObjectKind, id: &str) -> Result<()> {
        let place = (kind, id.to_owned());
        let _writer = self.memory.writing.lock();
        let Some(object) = self.memory.fresh.lock().get(&place).cloned() else {
            return Ok(());
        };
        self.objects.put_object(&object)?;
        let oldest = UnixMillis(object.created_at.0.saturating_sub(KEEP_MILLIS));
        if matches!(kind, ObjectKind::Response | ObjectKind::Item) {
            self.objects.forget_objects(kind, oldest)?;
        }
        let mut fresh = self.memory.fresh.lock();
        if fresh.get(&place) == Some(&object) {
            fresh.remove(&place);
        }
        Ok(())
    }

    pub(crate) fn forget(&self, kind: ObjectKind, id: &str) -> Result<()> {
        let _writer = self.memory.writing.lock();
        self.memory.fresh.lock().remove(&(kind, id.to_owned()));
        self.objects.delete_object(kind, id).map(drop)
    }

    pub(crate) fn recent(&self, kind: ObjectKind, id: &str) -> Result<Option<Object>> {
        if let Some(object) = self.memory.fresh.lock().get(&(kind, id.to_owned())) {
            return Ok(Some(object.clone()));
        }
        self.objects.object(kind, id)
    }

    fn response(&self, id: &str, caller: &Caller) -> Result<Object> {
        let kind = ObjectKind::Response;
        owned(self.recent(kind, id)?, kind, id, &caller.key_id)
    }
}

// === Stored responses ===

impl Gateway {
    /// Answers a question about a stored response.
    pub async fn stored(
        &self,
        caller: &Caller,
        action: StoredAction,
        id: &str,
        query: Option<&str>,
        request_id: &str,
    ) -> Response<Body> {
        let answered = match self.shared.response(id, caller) {
            Ok(object) if object.provider.is_empty() => self.of_memory(action, object, query),
            Ok(object) => self.of_provider(action, &object, query, request_id).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(body) => json_response(DIALECT, body, request_id),
            Err(error) => error_response(DIALECT, &error, request_id),
        }
    }

    fn of_memory(
        &self,
        action: StoredAction,
        object: Object,
        query: Option<&str>,
    ) -> Result<Bytes> {
        let turn = read_turn(&object)?;
        let response = Bytes::from(turn.response.get().to_owned());
        match action {
            StoredAction::Show => self.as_it_is(&object, &response),
            StoredAction::InputItems => {
                let items: Vec<_> = turn
                    .input
                    .iter()
                    .map(|item| item.get().to_owned())
                    .collect();
                let page = ItemsPage::read(query)?;
                input_items_page(&items, page.after.as_deref(), page.limit, page.order)
            }
            StoredAction::Delete => {
                if let Some(running) = self.shared.memory.running.lock().remove(&object.id) {
                    running.abort();
                }
                for item in output_items(&response)? {
                    if let Some(id) = id_of(&item) {
                        self.shared.forget(ObjectKind::Item, &id)?;
                    }
                }
                self.shared.forget(object.kind, &object.id)?;
                Ok(deleted_response(&object.id))
            }
            StoredAction::Cancel => {
                let running = self.shared.memory.running.lock().remove(&object.id);
                let Some(running) = running else {
                    let message = "Only a response that runs in the background can be cancelled, and this one does not.";
                    return Err(Error::new(Kind::InvalidRequest, "invalid_request", message));
                };
                running.abort();
                let cancelled = cancelled_response(&response)?;
                self.replace(object, turn, &cancelled)?;
                Ok(cancelled)
            }
        }
    }

    /// A response whose work ended with the process that did it says so.
    fn as_it_is(&self, object: &Object, response: &Bytes) -> Result<Bytes> {
        let raw = RawObject::parse(response.clone())?;
        let runs = self.shared.memory.running.lock().contains_key(&object.id);
        if raw.get("status") != Some("\"in_progress\"") || runs {
            return Ok(response.clone());
        }
        let error = r#"{"code":"server_error","message":"The gateway was restarted while it worked on this response. Send the request again."}"#;
        Ok(raw.with(&[("status", Some("\"failed\"")), ("error", Some(error))]))
    }

    fn replace(&self, mut object: Object, mut turn: Turn, response: &Bytes) -> Result<()> {
        let text = String::from_utf8_lossy(response).into_owned();
        turn.response = serde_json::value::RawValue::from_string(text)
            .map_err(|_| Error::internal("A response is no JSON."))?;
        object.body = serde_json::to_string(&turn)
            .map_err(|_| Error::internal("A response cannot be written."))?;
        self.shared.keep(object);
        Ok(())
    }

    async fn of_provider(
        &self,
        action: StoredAction,
        object: &Object,
        query: Option<&str>,
        request_id: &str,
    ) -> Result<Bytes> {
        let snapshot = self.shared.snapshot.load_full();
        let gone = || {
            let message = format!(
                "The provider {} that keeps this response is not switched on any more.",
                quote(&object.provider)
            );
            Error::new(Kind::NotFound, "not_found", message)
        };
        let provider = snapshot.providers.get(&object.provider).ok_or_else(gone)?;
        let service = provider.exact(DIALECT).ok_or_else(gone)?;
        let (method, part) = match action {
            StoredAction::Show => (Method::GET, ""),
            StoredAction::Delete => (Method::DELETE, ""),
            StoredAction::Cancel => (Method::POST, "/cancel"),
            StoredAction::InputItems => (Method::GET, "/input_items"),
        };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let uri = service
            .below(&format!("/{}{part}{query}", segment(&object.id)))
            .ok_or_else(gone)?;
        let mut headers = provider.headers.clone();
        headers.remove(header::CONTENT_TYPE);
        if let Ok(id) = http::HeaderValue::try_from(request_id) {
            headers.insert("x-client-request-id", id);
        }
        let response = self
            .send(provider, method, &uri, headers, Bytes::new())
            .await
            .map_err(|failure| failure.error)?;
        if !response.status().is_success() {
            return Err(read_error(DIALECT, response, self.shared.clock.now()).await);
        }
        let patience = snapshot.config.streaming.first_byte_timeout;
        let body = collect_within(patience, response.into_body(), MAX_RESPONSE).await?;
        if action == StoredAction::Delete {
            self.shared.forget(object.kind, &object.id)?;
        }
        Ok(body)
    }
}

// === Background ===

impl Gateway {
    /// Starts a call that nobody waits for, and tells the response as it is now: in progress.
    pub(crate) fn start_in_background(
        &self,
        caller: &Caller,
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
        // Who takes the id out decides what becomes of the response: this, or who cancelled or deleted it.
        if self.shared.memory.running.lock().remove(id).is_none() {
            return;
        }
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
        match ended {
            Ok(ended) if is_good => keeping.keep(&self.shared, &caller.key_id, "", &ended),
            Ok(ended) => keeping.keep_response(&self.shared, &caller.key_id, "", &ended),
            Err(error) => {
                tracing::error!("a response in the background could not be kept: {error}");
            }
        }
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

/// A page of items: `after`, `limit`, `order`.
pub(crate) struct ItemsPage {
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
    pub(crate) order: ItemOrder,
}

impl ItemsPage {
    pub(crate) fn read(query: Option<&str>) -> Result<Self> {
        let mut page = Self {
            after: None,
            limit: 20,
            order: ItemOrder::default(),
        };
        for pair in query.unwrap_or_default().split('&') {
            match pair.split_once('=') {
                Some(("after", id)) => page.after = Some(id.to_owned()),
                Some(("order", "asc")) => page.order = ItemOrder::Oldest,
                Some(("order", "desc")) => page.order = ItemOrder::Newest,
                Some(("order", _)) => {
                    return Err(Error::invalid_value(
                        "order",
                        "`order` must be `asc` or `desc`.",
                    ));
                }
                Some(("limit", limit)) => {
                    page.limit = limit
                        .parse()
                        .ok()
                        .filter(|limit| (1..=100).contains(limit))
                        .ok_or_else(|| {
                            Error::invalid_value("limit", "`limit` must be between 1 and 100.")
                        })?;
                }
                _ => {}
            }
        }
        Ok(page)
    }
}
