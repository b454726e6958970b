//! Conversations of the Responses API, kept by the gateway whichever provider answers: a list of items that
//! grows with each response.

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tollgate_base::{Error, Result};
use tollgate_dialect::{Dialect, RawObject, input_items, input_items_page};
use tollgate_policy::{
    key::Caller,
    objects::{Object, ObjectKind, owned},
};

use crate::{
    Body,
    gateway::{Gateway, Shared},
    reply::{error_response, json_response},
    responses::ItemsPage,
};

const DIALECT: Dialect = Dialect::OpenAiResponses;
/// The most items of one conversation; a longer one is refused rather than cut.
const MAX_ITEMS: usize = 10_000;
/// The most bytes of all items of one conversation.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What is asked of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationAction {
    Create,
    Show,
    /// Replaces the metadata.
    Update,
    Delete,
    Items,
    AddItems,
}

/// A question about a conversation.
#[derive(Debug)]
pub struct ConversationRequest {
    pub action: ConversationAction,
    pub id: String,
    pub query: Option<String>,
    pub body: Bytes,
    pub request_id: String,
}

/// A conversation as it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Conversation {
    /// Seconds since 1970.
    created: u64,
    metadata: Option<Box<RawValue>>,
    items: Vec<Box<RawValue>>,
}

impl Gateway {
    /// Answers a question about a conversation.
    pub fn conversation(&self, caller: &Caller, request: ConversationRequest) -> Response<Body> {
        let request_id = request.request_id.clone();
        match self.answer_conversation(caller, request) {
            Ok(body) => json_response(DIALECT, body, &request_id),
            Err(error) => error_response(DIALECT, &error, &request_id),
        }
    }

    fn answer_conversation(&self, caller: &Caller, request: ConversationRequest) -> Result<Bytes> {
        let shared = &self.shared;
        if request.action == ConversationAction::Create {
            let id = shared.ids.next("conv_");
            let raw = optional_object(request.body)?;
            let mut made = Conversation {
                created: shared.clock.now().as_secs(),
                metadata: metadata(&raw)?,
                items: Vec::new(),
            };
            made.add(items_of(&raw, &id)?)?;
            let shown = made.shown(&id);
            shared.keep(object(shared, &id, &caller.key_id, &made)?);
            return Ok(shown);
        }
        let id = &request.id;
        let _turn = shared.memory.conversing.lock();
        let mut conversation = read(&shared.conversation(id, caller)?)?;
        match request.action {
            ConversationAction::Show | ConversationAction::Create => Ok(conversation.shown(id)),
            ConversationAction::Update => {
                conversation.metadata = metadata(&RawObject::parse(request.body)?)?;
                let shown = conversation.shown(id);
                shared.keep(object(shared, id, &caller.key_id, &conversation)?);
                Ok(shown)
            }
            ConversationAction::Delete => {
                shared.forget(ObjectKind::Conversation, id)?;
                let body = format!(
                    "{{\"id\":\"{id}\",\"object\":\"conversation.deleted\",\"deleted\":true}}"
                );
                Ok(body.into())
            }
            ConversationAction::Items => {
                let page = ItemsPage::read(request.query.as_deref())?;
                input_items_page(
                    &conversation.texts(),
                    page.after.as_deref(),
                    page.limit,
                    page.order,
                )
            }
            ConversationAction::AddItems => {
                let seed = format!("{id}{}", conversation.items.len());
                let new = items_of(&RawObject::parse(request.body)?, &seed)?;
                conversation.add(new.clone())?;
                shared.keep(object(shared, id, &caller.key_id, &conversation)?);
                input_items_page(&new, None, new.len(), tollgate_dialect::ItemOrder::Oldest)
            }
        }
    }
}

impl Shared {
    fn conversation(&self, id: &str, caller: &Caller) -> Result<Object> {
        let kind = ObjectKind::Conversation;
        owned(self.recent(kind, id)?, kind, id, &caller.key_id)
    }

    /// The items of a conversation, the oldest first.
    pub(crate) fn conversation_items(&self, id: &str, caller: &Caller) -> Result<Vec<String>> {
        Ok(read(&self.conversation(id, caller)?)?.texts())
    }

    /// Adds what a response said to its conversation.
    pub(crate) fn grow_conversation(
        self: &std::sync::Arc<Self>,
        id: &str,
        key_id: &str,
        items: Vec<String>,
    ) -> Result<()> {
        let _turn = self.memory.conversing.lock();
        let Some(found) = self.recent(ObjectKind::Conversation, id)? else {
            // It was deleted while the model answered.
            return Ok(());
        };
        let mut conversation = read(&found)?;
        conversation.add(items)?;
        self.keep(object(self, id, key_id, &conversation)?);
        Ok(())
    }
}

impl Conversation {
    fn texts(&self) -> Vec<String> {
        self.items
            .iter()
            .map(|item| item.get().to_owned())
            .collect()
    }

    fn add(&mut self, items: Vec<String>) -> Result<()> {
        let held: usize = self.items.iter().map(|item| item.get().len()).sum();
        let more: usize = items.iter().map(String::len).sum();
        if self.items.len() + items.len() > MAX_ITEMS || held + more > MAX_BYTES {
            let message = "The conversation is full: 10000 items, or 16 MiB. Start a new one.";
            return Err(Error::invalid_value("conversation", message));
        }
        for item in items {
            let item = RawValue::from_string(item)
                .map_err(|_| Error::invalid_value("items", "An item is no JSON."))?;
            self.items.push(item);
        }
        Ok(())
    }

    fn shown(&self, id: &str) -> Bytes {
        let metadata = self.metadata.as_ref().map_or("{}", |json| json.get());
        format!(
            "{{\"id\":\"{id}\",\"object\":\"conversation\",\"created_at\":{},\"metadata\":{metadata}}}",
            self.created
        )
        .into()
    }
}

fn object(shared: &Shared, id: &str, key_id: &str, conversation: &Conversation) -> Result<Object> {
    Ok(Object {
        kind: ObjectKind::Conversation,
        id: id.to_owned(),
        key_id: key_id.to_owned(),
        provider: String::new(),
        created_at: shared.clock.now(),
        body: serde_json::to_string(conversation)
            .map_err(|_| Error::internal("A conversation cannot be written."))?,
    })
}

fn read(object: &Object) -> Result<Conversation> {
    serde_json::from_str(&object.body)
        .map_err(|_| Error::internal("A conversation cannot be read. Start a new one."))
}

fn optional_object(body: Bytes) -> Result<RawObject> {
    let body = if body.is_empty() { "{}".into() } else { body };
    RawObject::parse(body)
}

fn metadata(raw: &RawObject) -> Result<Option<Box<RawValue>>> {
    let Some(text) = raw.get("metadata").filter(|text| *text != "null") else {
        return Ok(None);
    };
    if !text.starts_with('{') {
        return Err(Error::invalid_value(
            "metadata",
            "`metadata` must be an object.",
        ));
    }
    RawValue::from_string(text.to_owned())
        .map(Some)
        .map_err(|_| Error::invalid_value("metadata", "`metadata` must be an object."))
}

/// The items of a body, those without an id named after `seed`.
fn items_of(raw: &RawObject, seed: &str) -> Result<Vec<String>> {
    let Some(items) = raw.get("items").filter(|text| *text != "null") else {
        return Ok(Vec::new());
    };
    if !items.starts_with('[') {
        return Err(Error::invalid_value(
            "items",
            "`items` must be a list of items.",
        ));
    }
    let input = RawObject::parse(format!("{{\"input\":{items}}}").into())?;
    input_items(&input, seed)
}
