//! Questions about stored responses: answered here, or passed on to the provider that keeps them.

use bytes::Bytes;
use http::{Method, Response, header};
use tollgate_base::{Error, Kind, Result, quote};
use tollgate_dialect::{
    ItemOrder, RawObject, cancelled_response, deleted_response, input_items_page, output_items,
};
use tollgate_policy::{
    key::Caller,
    objects::{Object, ObjectKind},
};

use super::{DIALECT, Turn, followed::News, id_of, read_turn};
use crate::{
    Body,
    gateway::Gateway,
    paths::segment,
    provider::{collect_within, read_error},
    reply::{X_CLIENT_REQUEST_ID, error_response, json_response},
};

const MAX_RESPONSE: usize = 64 * 1024 * 1024;

/// What is asked of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredAction {
    Show,
    Delete,
    Cancel,
    InputItems,
}

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
        let is_in_progress = |response: &Bytes| {
            let raw = RawObject::parse(response.clone())?;
            Ok::<_, Error>(raw.get("status") == Some("\"in_progress\""))
        };
        let runs = || self.shared.memory.running.lock().contains_key(&object.id);
        if !is_in_progress(response)? || runs() {
            return Ok(response.clone());
        }
        // It may have ended between the reading and the question whether it runs.
        let now = self.shared.recent(object.kind, &object.id)?;
        let now = now.as_ref().map_or(Ok(response.clone()), |object| {
            Ok::<_, Error>(Bytes::from(read_turn(object)?.response.get().to_owned()))
        })?;
        if !is_in_progress(&now)? {
            return Ok(now);
        }
        let raw = RawObject::parse(now)?;
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
        let (provider, id) = (&*object.provider, &*object.id);
        if action == StoredAction::Delete && self.is_followed(provider, id) {
            // Nobody can ask for it afterwards.
            let last = self.ask_keeper(StoredAction::Show, provider, id, None, None);
            if let Ok(body) = last.await {
                self.hear(provider, id, News::Shown(body)).await;
            }
        }
        let body = self
            .ask_keeper(action, provider, id, query, Some(request_id))
            .await?;
        match action {
            StoredAction::Show | StoredAction::Cancel => {
                self.hear(provider, id, News::Shown(body.clone())).await;
            }
            StoredAction::Delete => {
                self.hear(provider, id, News::Gone(deleted())).await;
                self.shared.forget(object.kind, id)?;
            }
            StoredAction::InputItems => {}
        }
        Ok(body)
    }

    /// Asks the provider that keeps a response.
    pub(super) async fn ask_keeper(
        &self,
        action: StoredAction,
        provider: &str,
        id: &str,
        query: Option<&str>,
        request_id: Option<&str>,
    ) -> Result<Bytes> {
        let snapshot = self.shared.snapshot.load_full();
        let gone = || {
            let message = format!(
                "The provider {} that keeps this response is not switched on any more.",
                quote(provider)
            );
            Error::new(Kind::NotFound, "not_found", message)
        };
        let provider = snapshot.providers.get(provider).ok_or_else(gone)?;
        let service = provider.exact(DIALECT).ok_or_else(gone)?;
        let (method, part) = match action {
            StoredAction::Show => (Method::GET, ""),
            StoredAction::Delete => (Method::DELETE, ""),
            StoredAction::Cancel => (Method::POST, "/cancel"),
            StoredAction::InputItems => (Method::GET, "/input_items"),
        };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let uri = service
            .below(&format!("/{}{part}{query}", segment(id)))
            .ok_or_else(gone)?;
        let mut headers = provider.headers.clone();
        headers.remove(header::CONTENT_TYPE);
        if let Some(id) = request_id.and_then(|id| http::HeaderValue::try_from(id).ok()) {
            headers.insert(X_CLIENT_REQUEST_ID, id);
        }
        let response = self
            .send(provider, method, &uri, headers, Bytes::new())
            .await
            .map_err(|failure| failure.error)?;
        if !response.status().is_success() {
            return Err(read_error(DIALECT, response, self.shared.clock.now()).await);
        }
        let patience = snapshot.config.streaming.first_byte_timeout;
        collect_within(patience, response.into_body(), MAX_RESPONSE).await
    }
}

fn deleted() -> Error {
    let message = "The response was deleted before it had ended.";
    Error::new(Kind::NotFound, "response_deleted", message)
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
