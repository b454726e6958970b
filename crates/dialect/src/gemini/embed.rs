//! embedContent and batchEmbedContents: what is checked of a request, the model in its body, and the usage of
//! a reply (digest section 6.6).

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use tollgate_base::{Error, Provenance, Result, Usage};

use super::{
    fields::{field, integer, shaped, top},
    head::no_field_twice,
    not_a_reply, parse_error,
};
use crate::{
    Head, RawObject, Reading, Rendered, Target, checks,
    json::{Count, Json, Shape},
};

const REQUESTS_LIMIT: usize = 2_048;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reply {
    embedding: Option<IgnoredAny>,
    embeddings: Option<IgnoredAny>,
    usage_metadata: Option<WireUsage>,
    error: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireUsage {
    prompt_token_count: Count,
}

impl WireUsage {
    pub(crate) fn to_usage(self) -> Usage {
        match self.prompt_token_count.0 {
            None => Usage::default(),
            Some(input) => Usage {
                input,
                provenance: Provenance::Reported,
                ..Usage::default()
            },
        }
    }
}

/// The two forms are told apart by what they hold: one content, or several requests.
pub(crate) fn read_embeddings_head(raw: &RawObject) -> Result<Head> {
    checks::no_overrides(raw)?;
    no_field_twice(raw, &["content", "requests", "outputDimensionality"])?;
    let content = shaped(top(raw, "content"), "content", Shape::Object)?;
    let requests = shaped(top(raw, "requests"), "requests", Shape::Array)?;
    match (content, requests) {
        (Some(content), _) => {
            check_content(content, "content")?;
            if let Some(value) = top(raw, "outputDimensionality") {
                check_dimensions(value)?;
            }
        }
        (None, Some(requests)) => check_requests(requests)?,
        (None, None) => return Err(Error::missing_field("content")),
    }
    Ok(Head {
        candidates: 1,
        ..Head::default()
    })
}

fn check_requests(requests: Json<'_>) -> Result<()> {
    let mut n = 0;
    for (i, request) in requests.items().enumerate() {
        if i == REQUESTS_LIMIT {
            let text = format!("`requests` must not hold more than {REQUESTS_LIMIT} requests.");
            return Err(Error::invalid_value("requests", text));
        }
        let path = format!("requests[{i}]");
        if request.shape() != Shape::Object {
            return Err(checks::wrong_type(&path, "an object"));
        }
        integer(
            request,
            "outputDimensionality",
            &path,
            1..=i64::from(i32::MAX),
        )?;
        let path = format!("{path}.content");
        let Some(content) = shaped(field(request, "content"), &path, Shape::Object)? else {
            return Err(Error::missing_field(path));
        };
        check_content(content, &path)?;
        n += 1;
    }
    if n == 0 {
        let text = "`requests` must hold at least one request.";
        return Err(Error::invalid_value("requests", text));
    }
    Ok(())
}

fn check_dimensions(value: Json<'_>) -> Result<()> {
    match value.as_u64().filter(|n| (1..=i32::MAX as u64).contains(n)) {
        Some(_) => Ok(()),
        None => Err(checks::wrong_type(
            "outputDimensionality",
            "a whole number from 1 on",
        )),
    }
}

fn check_content(content: Json<'_>, path: &str) -> Result<()> {
    let path = format!("{path}.parts");
    let Some(parts) = shaped(field(content, "parts"), &path, Shape::Array)? else {
        return Err(Error::missing_field(path));
    };
    if parts.items().next().is_none() {
        let text = format!("`{path}` must not be empty.");
        return Err(Error::invalid_value(path, text));
    }
    match parts.items().position(|part| part.shape() != Shape::Object) {
        None => Ok(()),
        Some(j) => Err(checks::wrong_type(&format!("{path}[{j}]"), "an object")),
    }
}

/// The model that the body names must be that of the path; a batch must name it in each of its requests.
pub(crate) fn patch_embeddings(raw: &RawObject, target: Target<'_>) -> Result<Rendered> {
    read_embeddings_head(raw)?;
    let model = serde_json::to_string(&resource_name(target.model)).unwrap_or_default();
    let mut changes = Vec::new();
    if raw.get("model").is_some_and(|named| *named != model) {
        changes.push(("model", Some(model.clone())));
    }
    if let Some(requests) = raw.json("requests") {
        let mut list = Vec::new();
        for request in requests.items() {
            let request = RawObject::parse(Bytes::copy_from_slice(request.text().as_bytes()))?;
            let request = request.with(&[("model", Some(&model))]);
            list.push(String::from_utf8_lossy(&request).into_owned());
        }
        let list = format!("[{}]", list.join(","));
        if list != requests.text() {
            changes.push(("requests", Some(list)));
        }
    }
    let changes: Vec<(&str, Option<&str>)> = changes
        .iter()
        .map(|(name, value)| (*name, value.as_deref()))
        .collect();
    let body = if changes.is_empty() {
        raw.bytes().clone()
    } else {
        raw.with(&changes)
    };
    Ok(Rendered {
        body,
        ..Rendered::default()
    })
}

/// `models/m`, unless the name says where it is already.
pub(crate) fn resource_name(model: &str) -> String {
    if model.contains('/') {
        model.to_owned()
    } else {
        format!("models/{model}")
    }
}

pub(crate) fn read_embeddings_reply(body: &Bytes) -> Result<Reading> {
    let reply: Reply = serde_json::from_slice(body).map_err(|_| not_a_reply())?;
    if reply.error.is_some() {
        return Err(parse_error(200, None, body));
    }
    if reply.embedding.is_none() && reply.embeddings.is_none() {
        return Err(not_a_reply());
    }
    Ok(Reading {
        usage: reply
            .usage_metadata
            .map(WireUsage::to_usage)
            .unwrap_or_default(),
        finish: None,
    })
}
