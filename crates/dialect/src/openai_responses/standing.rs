//! How a response stands that its provider runs in the background.

use tollgate_base::{Error, Result, Usage};

use super::{
    errors::failure,
    response::{parse_wire, reply_finish},
};

/// A response as its provider shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseStanding {
    pub id: String,
    /// What is said of its usage so far; of what was cancelled or failed that may be nothing.
    pub usage: Usage,
    /// `None` while it is queued or under way.
    pub end: Option<ResponseEnd>,
}

/// How a response ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseEnd {
    /// The model came to an end, or was cut.
    Complete,
    Cancelled,
    Failed(Error),
}

/// Reads how a response stands. An error when `body` is none.
pub fn response_standing(body: &[u8]) -> Result<ResponseStanding> {
    let reply = parse_wire(body)?;
    let end = match reply.status.as_deref() {
        Some("cancelled") => Some(ResponseEnd::Cancelled),
        Some("failed") => Some(ResponseEnd::Failed(failure(reply.error.as_ref()))),
        _ => reply_finish(&reply)?.map(|_| ResponseEnd::Complete),
    };
    Ok(ResponseStanding {
        id: reply.id.to_text(),
        usage: reply.to_usage().unwrap_or_default(),
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_stands_as_its_status_says() {
        let of = |status: &str, more: &str| {
            let body = format!(
                r#"{{"id":"resp_1","object":"response","status":"{status}","output":[]{more}}}"#
            );
            response_standing(body.as_bytes()).unwrap()
        };
        for status in ["queued", "in_progress"] {
            let standing = of(status, r#","usage":null"#);
            assert_eq!((&*standing.id, standing.end), ("resp_1", None));
        }
        let used = r#","usage":{"input_tokens":3,"output_tokens":5}"#;
        let done = of("completed", used);
        assert_eq!((done.usage.input, done.usage.output), (3, 5));
        assert_eq!(done.end, Some(ResponseEnd::Complete));
        let cut = r#","incomplete_details":{"reason":"max_output_tokens"}"#;
        assert_eq!(of("incomplete", cut).end, Some(ResponseEnd::Complete));
        assert_eq!(of("cancelled", used).end, Some(ResponseEnd::Cancelled));
        let why = r#","error":{"code":"server_error","message":"Lost."}"#;
        let Some(ResponseEnd::Failed(error)) = of("failed", why).end else {
            panic!("a failed response has no error");
        };
        assert!(error.message().contains("Lost."), "{error}");
        assert!(response_standing(br#"{"object":"list"}"#).is_err());
    }
}
