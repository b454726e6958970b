//! Files: kept in memory whole, listed, given back byte for byte, deleted.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::Value;

use super::check_fields;
use super::form::Form;
use crate::clock::unix_seconds;
use crate::json::{quote, quote_or_null};
use crate::openai::check::{Checked, refuse};
use crate::openai::errors::Refused;
use crate::route::parameter;

pub(super) const FIELDS: &[&str] = &["expires_after", "file", "purpose"];
const PURPOSES: &[&str] = &[
    "assistants",
    "batch",
    "fine-tune",
    "vision",
    "user_data",
    "evals",
];

#[derive(Debug, Default)]
pub(crate) struct Files {
    kept: Mutex<BTreeMap<String, File>>,
}

#[derive(Debug, Clone)]
struct File {
    filename: String,
    purpose: String,
    created: u64,
    content: Vec<u8>,
}

/// What is answered about a file.
pub(crate) enum Answered {
    Json(String),
    Content(Vec<u8>),
}

impl File {
    fn json(&self, id: &str) -> String {
        format!(
            r#"{{"id":"{id}","object":"file","bytes":{},"created_at":{},"filename":{},"purpose":{},"status":"processed"}}"#,
            self.content.len(),
            self.created,
            quote(&self.filename),
            quote(&self.purpose)
        )
    }
}

fn unknown<T>(id: &str) -> Checked<T> {
    let refused = Refused::bad("id", "", format!("No such File object: {id}"));
    Err(Box::new(refused.with_status(404)))
}

impl Files {
    pub(crate) fn clear(&self) {
        self.kept.lock().clear();
    }

    /// The purpose of a file that is kept.
    pub(super) fn purpose(&self, id: &str) -> Option<String> {
        self.kept.lock().get(id).map(|file| file.purpose.clone())
    }

    pub(crate) fn upload(
        &self,
        body: &Value,
        form: Option<&Form<'_>>,
        serial: u64,
    ) -> Checked<String> {
        check_fields(body, FIELDS, &["file", "purpose"])?;
        let purpose = body["purpose"].as_str().unwrap_or_default();
        if !PURPOSES.contains(&purpose) {
            return refuse(
                "purpose",
                "invalid_value",
                format!(
                    "'{purpose}' is not one of ['{}'] - 'purpose'",
                    PURPOSES.join("', '")
                ),
            );
        }
        let part = form.and_then(|form| form.files.iter().find(|part| part.field == "file"));
        let Some(part) = part else {
            return refuse(
                "file",
                "invalid_type",
                "Invalid type for 'file': expected a file in a multipart form.",
            );
        };
        let file = File {
            filename: part.filename.clone(),
            purpose: purpose.to_owned(),
            created: unix_seconds(),
            content: part.data.to_vec(),
        };
        let id = format!("file-tk{serial:020}");
        let json = file.json(&id);
        self.kept.lock().insert(id, file);
        Ok(json)
    }

    /// One page, newest first unless `order=asc`.
    pub(crate) fn list(&self, query: &str) -> String {
        let kept = self.kept.lock();
        let purpose = parameter(query, "purpose");
        let mut ids: Vec<&String> = kept
            .iter()
            .filter(|(_, file)| purpose.is_none_or(|purpose| file.purpose == purpose))
            .map(|(id, _)| id)
            .collect();
        if parameter(query, "order") != Some("asc") {
            ids.reverse();
        }
        let start = parameter(query, "after")
            .and_then(|after| ids.iter().position(|id| *id == after))
            .map_or(0, |at| at + 1);
        let limit = parameter(query, "limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(10_000);
        let end = ids.len().min(start + limit);
        let page = &ids[start..end];
        let rows: Vec<String> = page.iter().map(|id| kept[*id].json(id)).collect();
        // An empty page has no ids; the schema wants strings where the page has rows.
        let edge = |id: Option<&&String>| quote_or_null(id.map(|id| id.as_str()));
        format!(
            r#"{{"object":"list","data":[{}],"first_id":{},"last_id":{},"has_more":{}}}"#,
            rows.join(","),
            edge(page.first()),
            edge(page.last()),
            end < ids.len()
        )
    }

    /// The answer to `{method} /v1/files/{target}`.
    pub(crate) fn answer(&self, method: &str, target: &str) -> Checked<Answered> {
        let (id, verb) = target.split_once('/').unwrap_or((target, ""));
        let mut kept = self.kept.lock();
        let Some(file) = kept.get(id) else {
            return unknown(id);
        };
        match (method, verb) {
            ("GET", "") => Ok(Answered::Json(file.json(id))),
            ("GET", "content") => Ok(Answered::Content(file.content.clone())),
            ("DELETE", "") => {
                kept.remove(id);
                Ok(Answered::Json(format!(
                    r#"{{"id":"{id}","object":"file","deleted":true}}"#
                )))
            }
            _ => {
                let message = format!("Invalid URL ({method} /v1/files/{target})");
                Err(Box::new(Refused::bad("", "", message).with_status(404)))
            }
        }
    }
}
