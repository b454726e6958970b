//! What is posted to a webhook, and how it is signed.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use tollgate_base::{Secret, UnixMillis};

use crate::{Alert, Severity, alert::date_time};

/// The signature: `t=<seconds since 1970>,v1=<hexadecimal HMAC-SHA256 of "<t>.<body>">`.
const SIGNATURE: HeaderName = HeaderName::from_static("x-tollgate-signature");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The document of a `webhook`.
#[derive(Serialize)]
struct Document<'a> {
    id: &'a str,
    event: &'a str,
    severity: Severity,
    scope: String,
    at: String,
    title: &'a str,
    text: &'a str,
    fields: BTreeMap<&'a str, &'a str>,
}

/// The document of a `slack` channel.
#[derive(Serialize)]
struct Message {
    text: String,
}

pub(crate) fn document(alert: &Alert) -> Bytes {
    written(&Document {
        id: &alert.id,
        event: alert.event.as_str(),
        severity: alert.severity,
        scope: alert.scope.to_string(),
        at: date_time(alert.at),
        title: &alert.title,
        text: &alert.text,
        fields: alert
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
    })
}

/// Texts alone cannot fail to be written.
fn written(document: &impl Serialize) -> Bytes {
    serde_json::to_vec(document).unwrap_or_default().into()
}

/// The three characters that Slack gives a meaning to are escaped
/// (<https://docs.slack.dev/messaging/formatting-message-text#escaping>).
pub(crate) fn slack(alert: &Alert) -> Bytes {
    let mut text = format!("*{}*\n{}", escaped(&alert.title), escaped(&alert.text));
    for (name, value) in &alert.fields {
        text.push_str(&format_args!("\n• {}: {}", escaped(name), escaped(value)).to_string());
    }
    written(&Message { text })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The headers that go with a document; `now` is when it is sent, so that an old one cannot be sent again
/// by somebody else.
pub(crate) fn headers(
    alert: &Alert,
    body: &[u8],
    secret: Option<&Secret>,
    now: UnixMillis,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::USER_AGENT, HeaderValue::from_static("tollgate"));
    if let Ok(id) = HeaderValue::try_from(&alert.id) {
        headers.insert(IDEMPOTENCY_KEY, id);
    }
    if let Some(secret) = secret
        && let Ok(value) = HeaderValue::try_from(signature(secret, now.as_secs(), body))
    {
        headers.insert(SIGNATURE, value);
    }
    headers
}

fn signature(secret: &Secret, seconds: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut signed = hmac::Context::with_key(&key);
    signed.update(format!("{seconds}.").as_bytes());
    signed.update(body);
    let mut out = format!("t={seconds},v1=");
    for byte in signed.sign().as_ref() {
        for digit in [byte >> 4, byte & 15] {
            out.extend(char::from_digit(digit.into(), 16));
        }
    }
    out
}
