//! Requests about what callers make through the gateway, and how their answers are read.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{Answer, Service};

pub(crate) fn get(service: &Service, method: &str, path: &str) -> String {
    as_key(service.key.expose(), method, path)
}

pub(crate) fn as_key(key: &str, method: &str, path: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: tollgate\r\nAuthorization: Bearer {key}\r\nContent-Length: 0\r\n\r\n"
    )
}

pub(crate) fn form(service: &Service, path: &str, parts: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (disposition, content) in parts {
        write!(
            body,
            "--bOuNd\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n"
        )
        .unwrap();
    }
    body += "--bOuNd--\r\n";
    format!(
        "POST {path} HTTP/1.1\r\nHost: tollgate\r\nAuthorization: Bearer {}\r\nContent-Type: multipart/form-data; boundary=bOuNd\r\nContent-Length: {}\r\n\r\n{body}",
        service.key.expose(),
        body.len()
    )
}

pub(crate) fn read(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

pub(crate) async fn ask(service: &Service, path: &str, body: &Value) -> Answer {
    service.raw(&service.post(path, &body.to_string())).await
}

/// The id of a response, whole or streamed.
pub(crate) fn id_of(body: &str) -> String {
    let start = body
        .find("resp_")
        .unwrap_or_else(|| panic!("no response: {body}"));
    let id: String = body[start..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    id
}
