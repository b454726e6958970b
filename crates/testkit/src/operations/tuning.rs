//! Fine-tuning jobs, and the models that come of them.
//!
//! A job validates when made, runs when first looked at, and has succeeded from the second look on: then its
//! model is in the list, answers as the model it was made from, and can be deleted.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::Value;

use super::check_fields;
use super::files::Files;
use crate::clock::unix_seconds;
use crate::json::{quote, quote_or_null};
use crate::openai::check::{Checked, refuse};
use crate::openai::errors::Refused;
use crate::route::parameter;

pub(super) const FIELDS: &[&str] = &[
    "hyperparameters",
    "integrations",
    "metadata",
    "method",
    "model",
    "seed",
    "suffix",
    "training_file",
    "validation_file",
];

#[derive(Debug, Default)]
pub(crate) struct Jobs {
    kept: Mutex<BTreeMap<String, Job>>,
}

#[derive(Debug, Clone)]
struct Job {
    request: Value,
    created: u64,
    status: Status,
    /// The model was deleted.
    is_gone: bool,
    serial: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Validating,
    Running,
    Succeeded,
    Cancelled,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "validating_files",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Cancelled => "cancelled",
        }
    }

    fn is_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Cancelled)
    }
}

impl Job {
    fn base(&self) -> &str {
        self.request["model"].as_str().unwrap_or_default()
    }

    fn tuned(&self) -> Option<String> {
        let suffix = self.request["suffix"].as_str().unwrap_or_default();
        (self.status == Status::Succeeded)
            .then(|| format!("ft:{}:testkit:{suffix}:{}", self.base(), self.serial))
    }

    fn json(&self, id: &str) -> String {
        let ended = if self.status.is_ended() {
            self.created.to_string()
        } else {
            "null".to_owned()
        };
        let trained = if self.status == Status::Succeeded {
            "1000"
        } else {
            "null"
        };
        format!(
            r#"{{"object":"fine_tuning.job","id":"{id}","model":{},"created_at":{},"finished_at":{ended},"fine_tuned_model":{},"organization_id":"org-testkit","result_files":[],"status":"{}","validation_file":{},"training_file":{},"hyperparameters":{{"n_epochs":"auto","batch_size":"auto","learning_rate_multiplier":"auto"}},"trained_tokens":{trained},"error":null,"seed":{},"estimated_finish":null,"integrations":[],"metadata":{},"method":{{"type":"supervised","supervised":{{"hyperparameters":{{"n_epochs":"auto","batch_size":"auto","learning_rate_multiplier":"auto"}}}}}}}}"#,
            quote(self.base()),
            self.created,
            quote_or_null(self.tuned().as_deref()),
            self.status.as_str(),
            quote_or_null(self.request["validation_file"].as_str()),
            self.request["training_file"],
            self.request["seed"].as_u64().unwrap_or(0),
            match &self.request["metadata"] {
                Value::Null => "{}".to_owned(),
                metadata => metadata.to_string(),
            }
        )
    }
}

impl Jobs {
    pub(crate) fn clear(&self) {
        self.kept.lock().clear();
    }

    pub(crate) fn create(&self, body: &Value, files: &Files, serial: u64) -> Checked<String> {
        check_fields(body, FIELDS, &["model", "training_file"])?;
        for field in ["training_file", "validation_file"] {
            let Some(id) = body[field].as_str() else {
                continue;
            };
            match files.purpose(id).as_deref() {
                Some("fine-tune") => {}
                Some(_) => {
                    return refuse(
                        field,
                        "invalid_file_purpose",
                        format!("File '{id}' has not the purpose 'fine-tune'."),
                    );
                }
                None => {
                    return refuse(
                        field,
                        "invalid_training_file",
                        format!("invalid {field}: {id}"),
                    );
                }
            }
        }
        if body["suffix"]
            .as_str()
            .is_some_and(|suffix| suffix.len() > 64)
        {
            return refuse(
                "suffix",
                "string_above_max_length",
                "Invalid 'suffix': at most 64 characters.",
            );
        }
        let job = Job {
            request: body.clone(),
            created: unix_seconds(),
            status: Status::Validating,
            is_gone: false,
            serial,
        };
        let id = format!("ftjob-tk{serial:020}");
        let json = job.json(&id);
        self.kept.lock().insert(id, job);
        Ok(json)
    }

    /// One page, newest first.
    pub(crate) fn list(&self, query: &str) -> String {
        let kept = self.kept.lock();
        let ids: Vec<&String> = kept.keys().rev().collect();
        let start = parameter(query, "after")
            .and_then(|after| ids.iter().position(|id| *id == after))
            .map_or(0, |at| at + 1);
        let limit = parameter(query, "limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(20);
        let end = ids.len().min(start + limit);
        let rows: Vec<String> = ids[start..end]
            .iter()
            .map(|id| kept[*id].json(id))
            .collect();
        format!(
            r#"{{"object":"list","data":[{}],"has_more":{}}}"#,
            rows.join(","),
            end < ids.len()
        )
    }

    /// The answer to `{method} /v1/fine_tuning/jobs/{target}`.
    pub(crate) fn answer(&self, method: &str, target: &str) -> Checked<String> {
        let (id, verb) = target.split_once('/').unwrap_or((target, ""));
        let mut kept = self.kept.lock();
        let Some(job) = kept.get_mut(id) else {
            let message = format!("Could not find fine tune: {id}");
            let refused = Refused::bad("fine_tune_id", "fine_tune_not_found", message);
            return Err(Box::new(refused.with_status(404)));
        };
        match (method, verb) {
            ("GET", "") => {
                job.status = match job.status {
                    Status::Validating => Status::Running,
                    Status::Running => Status::Succeeded,
                    ended => ended,
                };
                Ok(job.json(id))
            }
            ("POST", "cancel") if job.status.is_ended() => refuse(
                "",
                "job_already_ended",
                format!("Job has already completed: {id}"),
            ),
            ("POST", "cancel") => {
                job.status = Status::Cancelled;
                Ok(job.json(id))
            }
            ("GET", "events") => Ok(format!(
                r#"{{"object":"list","data":[{{"object":"fine_tuning.job.event","id":"ftevent-tk{}","created_at":{},"level":"info","message":"Job is {}.","type":"message","data":{{}}}}],"has_more":false}}"#,
                job.serial,
                job.created,
                job.status.as_str()
            )),
            ("GET", "checkpoints") => {
                let rows = job.tuned().map_or_else(String::new, |model| {
                    format!(
                        r#"{{"object":"fine_tuning.job.checkpoint","id":"ftckpt-tk{}","created_at":{},"fine_tuned_model_checkpoint":{},"fine_tuning_job_id":"{id}","step_number":100,"metrics":{{"step":100,"train_loss":0.5,"train_mean_token_accuracy":0.9}}}}"#,
                        job.serial,
                        job.created,
                        quote(&format!("{model}:ckpt-step-100"))
                    )
                });
                Ok(format!(
                    r#"{{"object":"list","data":[{rows}],"first_id":null,"last_id":null,"has_more":false}}"#
                ))
            }
            _ => {
                let message = format!("Invalid URL ({method} /v1/fine_tuning/jobs/{target})");
                Err(Box::new(Refused::bad("", "", message).with_status(404)))
            }
        }
    }

    /// The tuned models that exist.
    pub(crate) fn models(&self) -> Vec<String> {
        let kept = self.kept.lock();
        kept.values()
            .filter(|job| !job.is_gone)
            .filter_map(Job::tuned)
            .collect()
    }

    /// The model that a tuned one was made from.
    pub(crate) fn base_of(&self, model: &str) -> Option<String> {
        let kept = self.kept.lock();
        kept.values()
            .find(|job| !job.is_gone && job.tuned().as_deref() == Some(model))
            .map(|job| job.base().to_owned())
    }

    /// Deletes a tuned model; says whether there was one.
    pub(crate) fn delete_model(&self, model: &str) -> bool {
        let mut kept = self.kept.lock();
        let job = kept
            .values_mut()
            .find(|job| !job.is_gone && job.tuned().as_deref() == Some(model));
        job.map(|job| job.is_gone = true).is_some()
    }
}
