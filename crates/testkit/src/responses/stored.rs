//! The responses that a provider keeps (`store`, on by default), and what is asked of them by id.
//!
//! A background response is queued when made, in progress when first looked at, finished from then on.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::openai::errors::Refused;
use crate::route::parameter;

#[derive(Debug, Default)]
pub(crate) struct Stored {
    responses: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    object: Value,
    /// Input of this turn and of those before it, then the output: what a continuation builds on.
    input: Vec<Value>,
    /// How often a background response was looked at; `None` for one in the foreground.
    looks: Option<u32>,
}

/// Items as the list shows them need an id.
fn listed(item: &Value, position: usize, id: &str) -> Value {
    let mut item = item.clone();
    let is_message = item.get("type").is_none_or(|kind| kind == "message");
    if let Some(fields) = item.as_object_mut() {
        let prefix = if is_message { "msg" } else { "item" };
        fields
            .entry("id")
            .or_insert_with(|| format!("{prefix}_{id}_{position}").into());
        fields.entry("type").or_insert_with(|| "message".into());
        if let Some(Value::String(text)) = fields.get("content").cloned() {
            let kind = if fields.get("role") == Some(&Value::from("assistant")) {
                "output_text"
            } else {
                "input_text"
            };
            let mut part = Map::new();
            part.insert("type".to_owned(), kind.into());
            part.insert("text".to_owned(), text.into());
            if kind == "output_text" {
                part.insert("annotations".to_owned(), Value::Array(Vec::new()));
                part.insert("logprobs".to_owned(), Value::Array(Vec::new()));
            }
            fields.insert("content".to_owned(), Value::Array(vec![part.into()]));
        }
        fields.entry("status").or_insert_with(|| "completed".into());
    }
    item
}

impl Stored {
    /// Keeps a finished response with the input it answered.
    pub(crate) fn keep(&self, id: &str, object: &str, body: &Value, earlier: &[Value]) {
        let mut input = earlier.to_vec();
        match &body["input"] {
            Value::Array(items) => input.extend(items.iter().cloned()),
            text => {
                let mut message = Map::new();
                message.insert("role".to_owned(), "user".into());
                message.insert("content".to_owned(), text.clone());
                input.push(message.into());
            }
        }
        let kept = Kept {
            object: serde_json::from_str(object).unwrap_or_default(),
            input,
            looks: (body["background"] == true).then_some(0),
        };
        self.responses.lock().insert(id.to_owned(), kept);
    }

    pub(crate) fn clear(&self) {
        self.responses.lock().clear();
    }

    /// Everything said before a response that continues `previous`.
    pub(crate) fn earlier(&self, previous: &Value) -> Result<Vec<Value>, Box<Refused>> {
        let Some(id) = previous.as_str() else {
            return Ok(Vec::new());
        };
        let responses = self.responses.lock();
        let Some(kept) = responses.get(id) else {
            return Err(Box::new(Refused::bad(
                "previous_response_id",
                "previous_response_not_found",
                format!("Previous response with id '{id}' not found."),
            )));
        };
        let mut items = kept.input.clone();
        items.extend(
            kept.object["output"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned(),
        );
        Ok(items)
    }

    /// The answer to `{method} /v1/responses/{target}`, where the target is an id or an id and a verb.
    pub(crate) fn answer(
        &self,
        method: &str,
        target: &str,
        query: &str,
    ) -> Result<String, Box<Refused>> {
        let (id, verb) = target.split_once('/').unwrap_or((target, ""));
        let mut responses = self.responses.lock();
        let Some(kept) = responses.get_mut(id) else {
            let refused = Refused::bad("", "", format!("Response with id '{id}' not found."));
            return Err(Box::new(refused.with_status(404)));
        };
        match (method, verb) {
            ("GET", "") if parameter(query, "stream") == Some("true") => {
                Err(Box::new(Refused::bad(
                    "stream",
                    "",
                    "This response cannot be streamed: it was not created with 'stream' and 'background'.",
                )))
            }
            ("GET", "") => Ok(look(kept).to_string()),
            ("DELETE", "") => {
                responses.remove(id);
                Ok(format!(
                    r#"{{"id":"{id}","object":"response","deleted":true}}"#
                ))
            }
            ("POST", "cancel") => match kept.looks {
                Some(_) => {
                    kept.looks = None;
                    kept.object["status"] = "cancelled".into();
                    kept.object["output"] = Value::Array(Vec::new());
                    Ok(kept.object.to_string())
                }
                None => Err(Box::new(Refused::bad(
                    "",
                    "",
                    "Cannot cancel a synchronous response.",
                ))),
            },
            ("GET", "input_items") => Ok(items(kept, id, query)),
            _ => {
                let refused = Refused::bad(
                    "",
                    "",
                    format!("Invalid URL ({method} /v1/responses/{target})"),
                );
                Err(Box::new(refused.with_status(404)))
            }
        }
    }
}

fn look(kept: &mut Kept) -> Value {
    let mut object = kept.object.clone();
    if let Some(looks) = &mut kept.looks {
        *looks += 1;
        if *looks == 1 {
            object["status"] = "in_progress".into();
            object["completed_at"] = Value::Null;
            object["output"] = Value::Array(Vec::new());
            object.as_object_mut().map(|fields| fields.remove("usage"));
        }
    }
    object
}

/// One page, newest first unless `order=asc`.
fn items(kept: &Kept, id: &str, query: &str) -> String {
    let mut all: Vec<Value> = kept
        .input
        .iter()
        .enumerate()
        .map(|(position, item)| listed(item, position, id))
        .collect();
    if parameter(query, "order") != Some("asc") {
        all.reverse();
    }
    let start = parameter(query, "after")
        .and_then(|after| all.iter().position(|item| item["id"] == after))
        .map_or(0, |at| at + 1);
    let limit = parameter(query, "limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(20);
    let end = all.len().min(start + limit);
    let page = &all[start..end];
    let edge = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let rows: Vec<String> = page.iter().map(ToString::to_string).collect();
    format!(
        r#"{{"object":"list","data":[{}],"first_id":{},"last_id":{},"has_more":{}}}"#,
        rows.join(","),
        edge(page.first()),
        edge(page.last()),
        end < all.len()
    )
}
