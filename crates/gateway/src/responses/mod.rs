//! The memory of the Responses API. A model is stateless; who asks for `previous_response_id`, `store` or
//! `background` is served by the gateway's own memory, unless every target of the call remembers by itself:
//! then the provider keeps the response, and the gateway only whose it is.
//!
//! Here a request is completed with what came before it, and a response is kept; `memory.rs` is where, `stored.rs`
//! answers questions about it, `background.rs` runs what nobody waits for, and `followed/` books what a provider
//! runs so.

mod background;
mod followed;
mod memory;
mod stored;

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tollgate_base::{Error, Kind, Result, quote};
use tollgate_dialect::{Dialect, RawObject, expanded_request, input_items, output_items};
use tollgate_policy::{
    key::Caller,
    objects::{Object, ObjectKind, owned},
};

use crate::{
    call::Call,
    gateway::Shared,
    plan::{Place, Plan, Target},
    snapshot::Snapshot,
};
pub(crate) use followed::{Follow, running_id};
pub(crate) use memory::Memory;
pub(crate) use stored::ItemsPage;
pub use stored::StoredAction;

const DIALECT: Dialect = Dialect::OpenAiResponses;
/// More turns than any conversation has; a longer chain is refused.
const MAX_TURNS: usize = 1000;

/// What becomes of a response when it is whole.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// The request as the caller wrote it.
    pub(crate) original: RawObject,
    previous: Option<String>,
    conversation: Option<String>,
    place: Kept,
    pub(crate) background: Background,
}

/// Who runs a response that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Background {
    /// Its caller waits.
    No,
    Here,
    AtProvider,
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
            background: if in_background {
                shared.memory.check_followed(&caller.key_id)?;
                Background::AtProvider
            } else {
                Background::No
            },
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
        background: if in_background {
            Background::Here
        } else {
            Background::No
        },
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
        Place::Local(_) => false,
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
        Place::Local(_) => false,
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
