//! Responses that the gateway keeps itself: which items of a call are kept, how a later call finds them in
//! its `input` again, and the objects that the endpoints of stored responses answer with. Where the items
//! are kept, and whose they are, is not known here.

use bytes::Bytes;
use tollgate_base::{Error, Result};

use super::not_a_reply;
use crate::{
    RawObject, ids,
    json::{Json, List, Object, Shape},
};

/// The fields that name what is kept. They are done with once a request is expanded.
const STATE: [&str; 4] = [
    "previous_response_id",
    "conversation",
    "store",
    "background",
];

/// Which of the items of a list comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ItemOrder {
    Oldest,
    #[default]
    Newest,
}

/// The items of a request's own `input`, as JSON texts in their full form: those without an id get one of
/// their place and the response's id.
pub fn input_items(request: &RawObject, response_id: &str) -> Result<Vec<String>> {
    let Some(input) = request.json("input") else {
        return Ok(Vec::new());
    };
    if input.shape() == Shape::String {
        let message = written(|out| {
            out.put("role", "user");
            out.raw("content", input.text());
        });
        return Ok(vec![full_item(Json::new(&message), response_id, 0)]);
    }
    if input.shape() != Shape::Array {
        return Err(crate::checks::wrong_type(
            "input",
            "a string or a list of items",
        ));
    }
    let items = input.items().enumerate();
    Ok(items
        .map(|(n, item)| full_item(item, response_id, n))
        .collect())
}

/// The items of a whole response's output, as JSON texts.
pub fn output_items(response: &Bytes) -> Result<Vec<String>> {
    let response = RawObject::parse(response.clone()).map_err(|_| not_a_reply())?;
    let Some(output) = response.json("output") else {
        return Err(not_a_reply());
    };
    Ok(output.items().map(|item| item.text().to_owned()).collect())
}

/// The request with the items of earlier turns before its own input, and without the fields that named them.
/// `earlier` holds every turn's input and output in the order in which they were said. Instructions are not
/// inherited. A reference to one of the earlier items becomes the item.
pub fn expanded_request(request: &RawObject, earlier: &[String]) -> Result<Bytes> {
    let own = match request.json("input") {
        None => Vec::new(),
        Some(input) if input.shape() == Shape::String => {
            let message = written(|out| {
                out.put("role", "user");
                out.raw("content", input.text());
            });
            vec![message]
        }
        Some(input) => input.items().map(|item| item.text().to_owned()).collect(),
    };
    if earlier.is_empty() && own.is_empty() {
        return Err(Error::missing_field("input"));
    }
    let mut input = Vec::new();
    {
        let mut list = List::new(&mut input);
        for item in earlier {
            put_said(&mut list, Json::new(item));
        }
        for item in &own {
            match referred(Json::new(item), earlier) {
                // What is there already is not said twice.
                Some(_) => {}
                None => list.raw(item),
            }
        }
    }
    let input = String::from_utf8(input).unwrap_or_default();
    let mut changes: Vec<(&str, Option<&str>)> = STATE.iter().map(|name| (*name, None)).collect();
    changes.push(("input", Some(&input)));
    Ok(request.with(&changes))
}

/// The earlier item that an `item_reference` names.
fn referred<'a>(item: Json<'_>, earlier: &'a [String]) -> Option<&'a String> {
    if text(item, "type").as_deref() != Some("item_reference") {
        return None;
    }
    let id = text(item, "id")?;
    earlier
        .iter()
        .find(|item| text(Json::new(item), "id").as_deref() == Some(&*id))
}

/// An item as it is said again: what the caller said has no id at the provider.
fn put_said(list: &mut List<'_>, item: Json<'_>) {
    let role = text(item, "role");
    if !matches!(role.as_deref(), Some("user" | "system" | "developer")) {
        return list.raw(item.text());
    }
    let mut out = list.object();
    for (name, value) in item.fields() {
        if !matches!(name, "id" | "status") {
            out.raw(name, value.text());
        }
    }
}

/// The list that `/input_items` answers with. `items` are in the order in which they were said; `after` is
/// the id of the last item of the page before.
pub fn input_items_page(
    items: &[String],
    after: Option<&str>,
    limit: usize,
    order: ItemOrder,
) -> Result<Bytes> {
    let mut ordered: Vec<&String> = items.iter().collect();
    if order == ItemOrder::Newest {
        ordered.reverse();
    }
    let id = |item: &String| text(Json::new(item), "id").unwrap_or_default();
    let start = match after {
        None => 0,
        Some(after) => {
            let at = ordered.iter().position(|item| id(item) == after);
            let Some(at) = at else {
                let text = "`after` names none of the items. Use the `last_id` of the page before.";
                return Err(Error::invalid_value("after", text));
            };
            at + 1
        }
    };
    let rest = ordered.get(start..).unwrap_or_default();
    let page = &rest[..rest.len().min(limit)];
    let mut out = Vec::new();
    {
        let mut body = Object::new(&mut out);
        body.put("object", "list");
        {
            let mut data = body.list("data");
            for item in page {
                data.raw(item);
            }
        }
        body.put("first_id", &page.first().map(|item| id(item)));
        body.put("last_id", &page.last().map(|item| id(item)));
        body.put("has_more", &(page.len() < rest.len()));
    }
    Ok(out.into())
}

/// What deleting a response answers with.
pub fn deleted_response(id: &str) -> Bytes {
    written(|out| {
        out.put("id", id);
        out.put("object", "response");
        out.put("deleted", &true);
    })
    .into()
}

/// The response, cancelled. One that has ended stays as it is.
pub fn cancelled_response(response: &Bytes) -> Result<Bytes> {
    let raw = RawObject::parse(response.clone()).map_err(|_| not_a_reply())?;
    let status = raw.json("status").and_then(Json::as_str);
    if !matches!(status.as_deref(), Some("queued" | "in_progress")) {
        return Ok(response.clone());
    }
    Ok(raw.with(&[("status", Some("\"cancelled\""))]))
}

// === The full form of an item ===

/// An item with its id, type and status, and its content as parts.
fn full_item(item: Json<'_>, response_id: &str, n: usize) -> String {
    let kind = text(item, "type").unwrap_or_else(|| "message".to_owned());
    let id = text(item, "id").unwrap_or_else(|| ids::item_id(prefix(&kind), response_id, n));
    let is_answer = text(item, "role").as_deref() == Some("assistant");
    written(|out| {
        out.put("id", &id);
        out.put("type", &kind);
        if has_status(&kind) && text(item, "status").is_none() {
            out.put("status", "completed");
        }
        for (name, value) in item.fields() {
            match name {
                "id" | "type" => {}
                "status" if value.is_null() => {}
                "content" if kind == "message" => put_parts(out, name, value, is_answer),
                _ => out.raw(name, value.text()),
            }
        }
    })
}

fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg_",
        "function_call" => "fc_",
        "function_call_output" => "fco_",
        "custom_tool_call" => "ctc_",
        "custom_tool_call_output" => "ctco_",
        "reasoning" => "rs_",
        _ => "item_",
    }
}

fn has_status(kind: &str) -> bool {
    matches!(
        kind,
        "message"
            | "function_call"
            | "function_call_output"
            | "custom_tool_call"
            | "custom_tool_call_output"
    )
}

fn put_parts(out: &mut Object<'_>, name: &str, content: Json<'_>, is_answer: bool) {
    let mut list = out.list(name);
    if content.shape() == Shape::String {
        let kind = if is_answer {
            "output_text"
        } else {
            "input_text"
        };
        let mut part = list.object();
        part.put("type", kind);
        part.raw("text", content.text());
        if is_answer {
            part.list("annotations");
            part.list("logprobs");
        }
        return;
    }
    for part in content.items() {
        put_part(&mut list, part);
    }
}

/// A part with the fields that a whole one has.
fn put_part(list: &mut List<'_>, part: Json<'_>) {
    let missing: &[(&str, &str)] = match text(part, "type").as_deref() {
        Some("output_text") => &[("annotations", "[]"), ("logprobs", "[]")],
        Some("input_image") => &[("detail", "\"auto\"")],
        _ => &[],
    };
    let mut out = list.object();
    for (name, value) in part.fields() {
        out.raw(name, value.text());
    }
    for (name, json) in missing {
        if part.field(name).is_none() {
            out.raw(name, json);
        }
    }
}

fn text(item: Json<'_>, name: &str) -> Option<String> {
    let text = item.field(name)?.as_str()?;
    (!text.is_empty()).then(|| text.into_owned())
}

fn written(write: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Object::new(&mut out));
    String::from_utf8(out).unwrap_or_default()
}
