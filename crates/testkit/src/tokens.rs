//! The token endpoints of the clouds: Google's OAuth and its metadata server, Microsoft Entra.
//!
//! Every port serves them. What they give out begins with the prefix that all keys have. `?expires_in=<s>`
//! shortens what they say of its life. Form fields with a secret are recorded by fingerprint.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::http::Request;
use crate::json::quote;
use crate::record::{Record, fingerprint};
use crate::route::{decoded, parameter};
use crate::turn::{Frame, Role};
use crate::voice::KEY_PREFIX;
use crate::wire::Answer;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const METADATA: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const SECRETS: &[&str] = &[
    "assertion",
    "client_assertion",
    "client_secret",
    "refresh_token",
];

/// What a token endpoint says: a status and a body.
type Said = (u16, String);

/// The answer of a token endpoint; `None` when the path is none.
pub(crate) fn answer(request: &Request, record: &mut Record, serial: u64) -> Option<Answer> {
    let is_post = request.method == "POST";
    let tenant = request.path.strip_suffix("/oauth2/v2.0/token");
    let lifetime = parameter(&request.query, "expires_in")
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(3599);
    let (status, body) = match request.path.as_str() {
        "/token" if is_post => google(&form(request, record), lifetime, serial),
        METADATA if request.method == "GET" => metadata(request, lifetime, serial),
        _ if is_post && tenant.is_some_and(|tenant| tenant.len() > 1) => {
            entra(&form(request, record), lifetime, serial)
        }
        _ => return None,
    };
    record.refused = (status != 200).then(|| body.clone());
    let mut headers = vec![("cache-control".to_owned(), "no-store".to_owned())];
    if request.path == METADATA {
        headers.push(("metadata-flavor".to_owned(), "Google".to_owned()));
    }
    Some(Answer {
        status,
        headers,
        frames: vec![Frame::new(Role::Content, body)],
        ..Answer::default()
    })
}

/// The fields of a form body, recorded without their secrets.
fn form(request: &Request, record: &mut Record) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&request.body).replace('+', " ");
    let fields: Vec<(String, String)> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let shown: Map<String, Value> = fields
        .iter()
        .map(|(name, value)| {
            let value = if SECRETS.contains(&name.as_str()) {
                fingerprint(value)
            } else {
                value.clone()
            };
            (name.clone(), value.into())
        })
        .collect();
    record.body = Value::Object(shown);
    fields
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter()
        .find(|(key, _)| key == name)
        .map_or("", |(_, value)| value.as_str())
}

fn google(form: &[(String, String)], lifetime: u64, serial: u64) -> Said {
    let refused = |error: &str, description: &str| {
        (
            400,
            format!(
                r#"{{"error":"{error}","error_description":{}}}"#,
                quote(description)
            ),
        )
    };
    match field(form, "grant_type") {
        JWT_BEARER => {
            if let Err(fault) = check_assertion(field(form, "assertion")) {
                return refused("invalid_grant", fault);
            }
        }
        "refresh_token" => {
            if field(form, "client_id").is_empty() || field(form, "client_secret").is_empty() {
                return refused(
                    "invalid_request",
                    "Could not determine client ID from request.",
                );
            }
            if !field(form, "refresh_token").starts_with(KEY_PREFIX) {
                return refused("invalid_grant", "Bad Request");
            }
        }
        other => {
            let description = format!("Invalid grant_type: {other}");
            return refused("unsupported_grant_type", &description);
        }
    }
    (
        200,
        format!(
            r#"{{"access_token":"{KEY_PREFIX}ya29.{serial}","expires_in":{lifetime},"scope":"https://www.googleapis.com/auth/cloud-platform","token_type":"Bearer"}}"#
        ),
    )
}

/// All of a service account's assertion but its signature, whose key only the account has.
fn check_assertion(assertion: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err("Invalid JWT: it has not three parts.");
    };
    let read = |part: &str| -> Value {
        URL_SAFE_NO_PAD
            .decode(part)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    };
    if read(header)["alg"] != "RS256" {
        return Err("Invalid JWT: the header must name RS256.");
    }
    if URL_SAFE_NO_PAD
        .decode(signature)
        .map_or(0, |bytes| bytes.len())
        < 128
    {
        return Err("Invalid JWT Signature.");
    }
    let claims = read(claims);
    if !claims["iss"].is_string() || !claims["scope"].is_string() {
        return Err("Invalid JWT: iss and scope are required.");
    }
    if !claims["aud"]
        .as_str()
        .is_some_and(|aud| aud.ends_with("/token"))
    {
        return Err("Invalid JWT: aud must be the token endpoint.");
    }
    match (claims["iat"].as_u64(), claims["exp"].as_u64()) {
        (Some(from), Some(to)) if from < to && to - from <= 3600 => Ok(()),
        _ => Err(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
        ),
    }
}

fn metadata(request: &Request, lifetime: u64, serial: u64) -> Said {
    if request.header("metadata-flavor") != Some("Google") {
        return (
            403,
            r#"{"error":"Missing Metadata-Flavor:Google header."}"#.to_owned(),
        );
    }
    (
        200,
        format!(
            r#"{{"access_token":"{KEY_PREFIX}ya29.c.{serial}","expires_in":{lifetime},"token_type":"Bearer"}}"#
        ),
    )
}

fn entra(form: &[(String, String)], lifetime: u64, serial: u64) -> Said {
    let refused = |status, error: &str, number: u32, text: &str| {
        (
            status,
            format!(
                r#"{{"error":"{error}","error_description":{},"error_codes":[{number}],"timestamp":"2030-01-01 00:00:00Z","trace_id":"00000000-0000-4000-8000-000000000001","correlation_id":"00000000-0000-4000-8000-000000000002"}}"#,
                quote(&format!("AADSTS{number}: {text}"))
            ),
        )
    };
    let grant = field(form, "grant_type");
    if grant != "client_credentials" {
        let text = format!("The app requested an unsupported grant type '{grant}'.");
        return refused(400, "unsupported_grant_type", 70003, &text);
    }
    if field(form, "client_id").is_empty() {
        let text = "The request body must contain the following parameter: 'client_id'.";
        return refused(400, "invalid_request", 900_144, text);
    }
    let has_assertion = !field(form, "client_assertion").is_empty()
        && field(form, "client_assertion_type")
            == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    if !has_assertion && !field(form, "client_secret").starts_with(KEY_PREFIX) {
        return refused(
            401,
            "invalid_client",
            7_000_215,
            "Invalid client secret provided.",
        );
    }
    if !field(form, "scope").ends_with("/.default") {
        let text = "The provided value for the input parameter 'scope' is not valid: it must end in '/.default'.";
        return refused(400, "invalid_scope", 70011, text);
    }
    (
        200,
        format!(
            r#"{{"token_type":"Bearer","expires_in":{lifetime},"ext_expires_in":{lifetime},"access_token":"{KEY_PREFIX}eyJ0.{serial}"}}"#
        ),
    )
}
