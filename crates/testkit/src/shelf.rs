//! What a provider keeps between requests: responses, files, fine-tuning jobs and the models made by them.

use serde_json::Value;

use crate::http::Request;
use crate::openai::check::Checked;
use crate::openai::errors::Refused;
use crate::operations::files::{Answered, Files};
use crate::operations::form::Form;
use crate::operations::tuning::Jobs;
use crate::responses::stored::Stored;
use crate::route::{Endpoint, Route};
use crate::turn::{Frame, Role};
use crate::wire::Answer;

#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) responses: Stored,
    files: Files,
    pub(crate) jobs: Jobs,
}

impl Shelf {
    pub(crate) fn clear(&self) {
        self.responses.clear();
        self.files.clear();
        self.jobs.clear();
    }

    /// The answer of an endpoint that only looks at what is kept; `None` when the endpoint is another.
    pub(crate) fn answer(
        &self,
        route: &Route,
        request: &Request,
        body: &Value,
        form: Option<&Form<'_>>,
        serial: u64,
    ) -> Checked<Option<Answer>> {
        let method = request.method.as_str();
        let target = route.name.as_deref();
        let json = match (route.endpoint, method, target) {
            (Endpoint::StoredResponse, _, Some(target)) => {
                self.responses.answer(method, target, &request.query)?
            }
            (Endpoint::Models, "DELETE", Some(id)) => self.delete_model(id)?,
            (Endpoint::Files, "POST", None) => self.files.upload(body, form, serial)?,
            (Endpoint::Files, "GET", None) => self.files.list(&request.query),
            (Endpoint::Files, _, Some(target)) => match self.files.answer(method, target)? {
                Answered::Json(json) => json,
                Answered::Content(content) => return Ok(Some(raw(content))),
            },
            (Endpoint::Jobs, "POST", None) => self.jobs.create(body, &self.files, serial)?,
            (Endpoint::Jobs, "GET", None) => self.jobs.list(&request.query),
            (Endpoint::Jobs, _, Some(target)) => self.jobs.answer(method, target)?,
            _ => return Ok(None),
        };
        Ok(Some(Answer {
            frames: vec![Frame::new(Role::Content, json)],
            ..Answer::default()
        }))
    }

    fn delete_model(&self, id: &str) -> Checked<String> {
        if self.jobs.delete_model(id) {
            return Ok(format!(
                r#"{{"id":{},"object":"model","deleted":true}}"#,
                crate::json::quote(id)
            ));
        }
        let message = format!("The model '{id}' does not exist");
        let refused = Refused::bad("model", "model_not_found", message);
        Err(Box::new(refused.with_status(404)))
    }
}

fn raw(content: Vec<u8>) -> Answer {
    Answer {
        content_type: "application/octet-stream".to_owned(),
        frames: vec![Frame {
            bytes: content,
            ..Frame::default()
        }],
        ..Answer::default()
    }
}
