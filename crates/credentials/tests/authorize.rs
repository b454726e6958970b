//! Requests authorised as a gateway does it, with scripted token endpoints in place of the network. The fetches
//! that each way makes are compared whole; what must stay secret is looked for in every error.

#![expect(
    clippy::disallowed_methods,
    reason = "`json!` writes the scripted answers"
)]
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::{
    fmt::Write as _,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tollgate_base::{Error, Kind, Result, Secret, UnixMillis};
use tollgate_credentials::{
    AwsMachine, AwsStatic, AzureMachine, Credentials, Entra, Fetch, Signed,
};

/// 2026-01-02T03:04:05Z
const NOW: UnixMillis = UnixMillis(1_767_323_045_000);
const HOUR: u64 = 3_600_000;

// === The script ===

/// Answers in order, and what was asked: `METHOD url`, each header, and the body.
struct Script {
    answers: Mutex<Vec<Result<(u16, String)>>>,
    asked: Mutex<Vec<String>>,
    slow: AtomicBool,
}

fn script<const N: usize>(answers: [(u16, Value); N]) -> Script {
    let mut answers: Vec<Result<(u16, String)>> = answers
        .into_iter()
        .map(|(status, body)| {
            Ok((
                status,
                body.as_str()
                    .map_or_else(|| body.to_string(), str::to_owned),
            ))
        })
        .collect();
    answers.reverse();
    Script {
        answers: Mutex::new(answers),
        asked: Mutex::new(Vec::new()),
        slow: AtomicBool::new(false),
    }
}

impl Script {
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }
}

impl Fetch for Script {
    async fn fetch(&self, url: &str, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let mut line = format!("{} {url}", request.method());
        for (name, value) in request.headers() {
            write!(line, "\n{name}: {}", value.to_str().unwrap()).unwrap();
        }
        if !request.body().is_empty() {
            line.push_str("\n\n");
            line.push_str(std::str::from_utf8(request.body()).unwrap());
        }
        self.asked.lock().push(line);
        if self.slow.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let answer = self
            .answers
            .lock()
            .pop()
            .expect("a fetch that the script does not hold");
        answer.map(|(status, body)| {
            Response::builder()
                .status(status)
                .body(Bytes::from(body))
                .unwrap()
        })
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

fn authorize(credentials: &Credentials, script: &Script, now: UnixMillis) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let host = HeaderValue::from_static("provider.example");
    let target = Uri::from_static("/model/a%3A0/converse");
    let outcome = {
        let future = is_send(credentials.authorize(
            script,
            now,
            Signed {
                method: &Method::POST,
                host: &host,
                target: &target,
                headers: &mut headers,
                body: b"{}",
            },
        ));
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("scripted fetches never wait"),
        }
    };
    outcome.map(|()| headers)
}

fn bearer(credentials: &Credentials, script: &Script, now: UnixMillis) -> String {
    let headers = authorize(credentials, script, now).unwrap();
    assert!(headers["authorization"].is_sensitive());
    headers["authorization"].to_str().unwrap().to_owned()
}

/// An error as it must be: ours, with a next step, and without anything that was sent or answered.
#[track_caller]
fn refused(error: &Error, expect: &str) {
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::Upstream, "upstream_auth")
    );
    assert!(error.message().contains(expect), "{error:?}");
    for part in ["canary", "://", "169.254"] {
        assert!(!format!("{error:?}").contains(part), "{error:?}");
    }
}

// === Google ===

/// A throwaway key of this run, and a service account's file with it.
fn service_account() -> (RsaKeyPair, Secret) {
    let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    );
    let file = json!({
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "key-1",
        "private_key": pem,
        "client_email": "gateway@project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    (key, Secret::new(file.to_string()))
}

#[test]
fn a_service_account_exchanges_a_signed_statement_for_a_token() {
    let (key, file) = service_account();
    let credentials = Credentials::google_file(&file).unwrap();
    let script = script([(
        200,
        json!({"access_token": "ya29.a", "expires_in": 3599, "token_type": "Bearer"}),
    )]);
    assert_eq!(bearer(&credentials, &script, NOW), "Bearer ya29.a");
    assert_eq!(bearer(&credentials, &script, NOW), "Bearer ya29.a");

    let asked = script.asked();
    assert_eq!(asked.len(), 1);
    let assertion = asked[0]
        .strip_prefix(
            "POST https://oauth2.googleapis.com/token\ncontent-type: application/x-www-form-urlencoded\n\n\
             grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=",
        )
        .unwrap();
    let (text, signature) = assertion.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    public.verify(text.as_bytes(), &signature).unwrap();
    public.verify(b"another text", &signature).unwrap_err();

    let (header, claims) = text.split_once('.').unwrap();
    let json_of = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(
        json_of(header),
        json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"})
    );
    assert_eq!(
        json_of(claims),
        json!({
            "iss": "gateway@project.iam.gserviceaccount.com",
            "scope": "https://www.googleapis.com/auth/cloud-platform",
            "aud": "https://oauth2.googleapis.com/token",
            "iat": 1_767_323_045,
            "exp": 1_767_326_645,
        })
    );
}

#[test]
fn a_user_s_file_is_refreshed_with_its_refresh_token() {
    let file = json!({
        "type": "authorized_user",
        "client_id": "id.apps.googleusercontent.com",
        "client_secret": "canary&secret",
        "refresh_token": "1//canary",
    });
    let credentials = Credentials::google_file(&Secret::new(file.to_string())).unwrap();
    let script = script([
        (200, json!({"access_token": "a", "expires_in": 3600})),
        (200, json!({"access_token": "b", "expires_in": 3600})),
    ]);
    assert_eq!(bearer(&credentials, &script, NOW), "Bearer a");
    assert_eq!(
        bearer(&credentials, &script, UnixMillis(NOW.0 + HOUR)),
        "Bearer b"
    );
    let expect = "POST https://oauth2.googleapis.com/token\ncontent-type: application/x-www-form-urlencoded\n\n\
        grant_type=refresh_token&client_id=id.apps.googleusercontent.com&client_secret=canary%26secret&refresh_token=1%2F%2Fcanary";
    assert_eq!(script.asked(), [expect, expect]);
}

#[test]
fn a_machine_on_google_cloud_asks_its_metadata_server() {
    let answer = json!({"access_token": "m", "expires_in": 3600, "token_type": "Bearer"});
    for (base, host) in [
        (None, "http://metadata.google.internal"),
        (Some("http://127.0.0.1:9/"), "http://127.0.0.1:9"),
    ] {
        let script = script([(200, answer.clone())]);
        assert_eq!(
            bearer(&Credentials::google_machine(base), &script, NOW),
            "Bearer m"
        );
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        assert_eq!(
            script.asked(),
            [format!("GET {host}{path}\nmetadata-flavor: Google")]
        );
    }
}

#[test]
fn a_bad_google_file_fails_when_it_is_read_and_is_not_quoted() {
    let (_, good) = service_account();
    let mut broken: Value = serde_json::from_str(good.expose()).unwrap();
    broken["private_key"] =
        json!("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n");
    let mut plain: Value = serde_json::from_str(good.expose()).unwrap();
    plain["token_uri"] = json!("http://canary.example/token");
    for (file, expect) in [
        ("canary".to_owned(), "no JSON object"),
        (json!({"type": ["canary"]}).to_string(), "no JSON object"),
        (
            json!({"type": "external_account"}).to_string(),
            "type `external_account` are not supported",
        ),
        (
            json!({"type": "service_account", "client_email": "canary"}).to_string(),
            "has no `private_key`",
        ),
        (
            json!({"type": "authorized_user", "client_id": "canary"}).to_string(),
            "has no `client_secret`",
        ),
        (broken.to_string(), "`private_key`"),
        (plain.to_string(), "no https address"),
    ] {
        refused(
            &Credentials::google_file(&Secret::new(file)).unwrap_err(),
            expect,
        );
    }
}

// === Entra ===

fn entra() -> Credentials {
    Credentials::entra(Entra {
        tenant: "contoso.example".to_owned(),
        client_id: "app".to_owned(),
        secret: Secret::new("canary~secret"),
        authority: None,
    })
    .unwrap()
}

#[test]
fn an_entra_application_sends_its_client_credentials() {
    let script = script([(
        200,
        json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "e"}),
    )]);
    assert_eq!(bearer(&entra(), &script, NOW), "Bearer e");
    assert_eq!(
        script.asked(),
        [
            "POST https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token\n\
         content-type: application/x-www-form-urlencoded\n\n\
         grant_type=client_credentials&client_id=app&client_secret=canary~secret\
         &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
        ]
    );
    let plain = Entra {
        tenant: "t".to_owned(),
        client_id: "app".to_owned(),
        secret: Secret::new("canary"),
        authority: Some("http://login.example".to_owned()),
    };
    refused(&Credentials::entra(plain).unwrap_err(), "no https address");
}

#[test]
fn a_machine_on_azure_asks_for_the_identity_that_is_named() {
    let answer =
        json!({"access_token": "m", "expires_in": "3599", "resource": "r", "token_type": "Bearer"});
    let script = script([(200, answer)]);
    let machine = AzureMachine {
        client_id: Some("id".to_owned()),
        metadata: None,
    };
    let credentials = Credentials::azure_machine(&machine);
    assert_eq!(bearer(&credentials, &script, NOW), "Bearer m");
    assert_eq!(
        bearer(&credentials, &script, UnixMillis(NOW.0 + HOUR / 2)),
        "Bearer m"
    );
    assert_eq!(
        script.asked(),
        [
            "GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01\
         &resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=id\nmetadata: true"
        ]
    );
}

// === AWS ===

fn machine(said: AwsMachine) -> Result<Credentials> {
    Credentials::aws_machine(said, "us-east-1", "bedrock")
}

fn keys(id: &str, expiration: &str) -> Value {
    json!({
        "Code": "Success",
        "AccessKeyId": id,
        "SecretAccessKey": "canary",
        "Token": "session",
        "Expiration": expiration,
    })
}

fn signed_by(headers: &HeaderMap) -> &str {
    let value = headers["authorization"].to_str().unwrap();
    let rest = value.strip_prefix("AWS4-HMAC-SHA256 Credential=").unwrap();
    rest.split('/').next().unwrap()
}

#[test]
fn given_aws_keys_sign_without_any_fetch() {
    let credentials = Credentials::aws_static(AwsStatic {
        id: "AKID".to_owned(),
        secret: Secret::new("canary"),
        session: None,
        region: "eu-central-1".to_owned(),
        service: "bedrock".to_owned(),
    });
    let headers = authorize(&credentials, &script([]), NOW).unwrap();
    let value = headers["authorization"].to_str().unwrap();
    let expect = "AWS4-HMAC-SHA256 Credential=AKID/20260102/eu-central-1/bedrock/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date, Signature=";
    assert!(value.starts_with(expect), "{value}");
    assert_eq!(headers["x-amz-date"], "20260102T030405Z");
}

#[test]
fn an_instance_takes_its_role_s_keys_and_renews_them_before_their_end() {
    let credentials = machine(AwsMachine::default()).unwrap();
    let script = script([
        (200, json!("imds-session")),
        (200, json!("gateway role\n")),
        (200, keys("ASIA1", "2026-01-02T09:04:05Z")),
        (200, json!("imds-session-2")),
        (200, json!("gateway role")),
        (200, keys("ASIA2", "2026-01-02T15:04:05Z")),
    ]);
    let headers = authorize(&credentials, &script, NOW).unwrap();
    assert_eq!(signed_by(&headers), "ASIA1");
    assert_eq!(headers["x-amz-security-token"], "session");
    let base = "http://169.254.169.254/latest";
    assert_eq!(
        script.asked(),
        [
            format!("PUT {base}/api/token\nx-aws-ec2-metadata-token-ttl-seconds: 21600"),
            format!(
                "GET {base}/meta-data/iam/security-credentials/\nx-aws-ec2-metadata-token: imds-session"
            ),
            format!(
                "GET {base}/meta-data/iam/security-credentials/gateway%20role\nx-aws-ec2-metadata-token: imds-session"
            ),
        ]
    );
    let headers = authorize(&credentials, &script, UnixMillis(NOW.0 + 5 * HOUR)).unwrap();
    assert_eq!(signed_by(&headers), "ASIA1");
    let headers = authorize(
        &credentials,
        &script,
        UnixMillis(NOW.0 + 6 * HOUR - 299_000),
    )
    .unwrap();
    assert_eq!(signed_by(&headers), "ASIA2");
    assert_eq!(script.asked().len(), 3);
}

#[test]
fn a_container_asks_its_endpoint_with_its_token() {
    for (said, expect) in [
        (
            AwsMachine {
                relative_uri: Some("/v2/credentials/1".to_owned()),
                ..AwsMachine::default()
            },
            "GET http://169.254.170.2/v2/credentials/1",
        ),
        (
            AwsMachine {
                full_uri: Some("http://169.254.170.23/v1/credentials".to_owned()),
                authorization: Some(Secret::new("pod-token\n")),
                ..AwsMachine::default()
            },
            "GET http://169.254.170.23/v1/credentials\nauthorization: pod-token",
        ),
        (
            AwsMachine {
                full_uri: Some("http://[fd00:ec2::23]/v1".to_owned()),
                ..AwsMachine::default()
            },
            "GET http://[fd00:ec2::23]/v1",
        ),
    ] {
        let script = script([(200, keys("ASIA", "2026-01-02T09:04:05Z"))]);
        let headers = authorize(&machine(said).unwrap(), &script, NOW).unwrap();
        assert_eq!(signed_by(&headers), "ASIA");
        assert_eq!(script.asked(), [expect]);
    }
}

#[test]
fn a_container_endpoint_elsewhere_is_not_asked_without_tls() {
    for (relative, full, expect) in [
        (None, Some("http://canary.example/credentials"), "FULL_URI"),
        (
            None,
            Some("http://169.254.170.2.canary.example/"),
            "FULL_URI",
        ),
        (None, Some("ftp://localhost/"), "FULL_URI"),
        (Some("@canary.example/"), None, "RELATIVE_URI"),
    ] {
        let said = AwsMachine {
            relative_uri: relative.map(str::to_owned),
            full_uri: full.map(str::to_owned),
            ..AwsMachine::default()
        };
        refused(&machine(said).unwrap_err(), expect);
    }
}

// === What goes wrong ===

#[test]
fn a_refusal_names_status_and_known_codes_and_repeats_nothing_else() {
    let described = json!({
        "error": "invalid_client",
        "error_description": "AADSTS7000215: Invalid client secret canary~secret provided.",
        "error_codes": [7_000_215],
    });
    for (status, body, expect) in [
        (
            401,
            described,
            "Microsoft Entra refused with status 401 (invalid_client, AADSTS7000215). Check ",
        ),
        (
            400,
            json!({"error": "canary"}),
            "refused with status 400. Check ",
        ),
        (403, json!("canary"), "refused with status 403. Check "),
        (302, json!(""), "refused with status 302. Check "),
        (200, json!("canary"), "holds no credentials. Check "),
        (
            200,
            json!({"access_token": ["canary"], "expires_in": 1}),
            "holds no credentials. Check ",
        ),
        (
            200,
            json!({"access_token": "canary", "expires_in": "soon canary"}),
            "holds no credentials. Check ",
        ),
        (
            200,
            json!({"access_token": "canary\r\nx: y", "expires_in": 1}),
            "holds no credentials. Check ",
        ),
    ] {
        refused(
            &authorize(&entra(), &script([(status, body)]), NOW).unwrap_err(),
            expect,
        );
    }
}

#[test]
fn an_instance_without_a_role_and_keys_without_an_end_are_refused() {
    let session = (200, json!("canary-session"));
    for (answers, expect) in [
        (
            [session.clone(), (404, json!("canary")), (500, json!(""))],
            "status 404. Check that the instance has a role",
        ),
        (
            [session.clone(), (200, json!("\n")), (500, json!(""))],
            "holds no credentials",
        ),
        (
            [
                session.clone(),
                (200, json!("role")),
                (200, keys("canary", "canary")),
            ],
            "holds no credentials",
        ),
        (
            [
                session,
                (200, json!("role")),
                (200, json!({"Code": "Failed", "Message": "canary"})),
            ],
            "holds no credentials",
        ),
    ] {
        let credentials = machine(AwsMachine::default()).unwrap();
        refused(
            &authorize(&credentials, &script(answers), NOW).unwrap_err(),
            expect,
        );
    }
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_named_and_the_next_call_asks_again() {
    let script = script([(200, json!({"access_token": "e", "expires_in": 3600}))]);
    let down = Error::new(
        Kind::UpstreamTimeout,
        "upstream_timeout",
        "No connection in time.",
    );
    script.answers.lock().push(Err(down));
    let credentials = entra();
    let error = authorize(&credentials, &script, NOW).unwrap_err();
    refused(
        &error,
        "No credentials from Microsoft Entra: No connection in time. Check ",
    );
    assert_eq!(bearer(&credentials, &script, NOW), "Bearer e");
}

#[test]
fn a_refresh_that_fails_leaves_the_valid_token_in_use() {
    let credentials = entra();
    let script = script([
        (200, json!({"access_token": "e", "expires_in": 3600})),
        (500, json!("")),
        (500, json!("")),
    ]);
    assert_eq!(bearer(&credentials, &script, NOW), "Bearer e");
    assert_eq!(
        bearer(&credentials, &script, UnixMillis(NOW.0 + HOUR - 60_000)),
        "Bearer e"
    );
    assert_eq!(script.asked().len(), 2);
    let error = authorize(&credentials, &script, UnixMillis(NOW.0 + HOUR)).unwrap_err();
    refused(&error, "status 500");
}

#[test]
fn two_first_calls_make_one_fetch() {
    let (credentials, script) = (entra(), script([]));
    script.slow.store(true, Ordering::Relaxed);
    let (mut one, mut two) = (HeaderMap::new(), HeaderMap::new());
    let host = HeaderValue::from_static("provider.example");
    let target = Uri::from_static("/");
    let mut calls = [&mut one, &mut two].map(|headers| {
        let request = Signed {
            method: &Method::GET,
            host: &host,
            target: &target,
            headers,
            body: b"",
        };
        Box::pin(credentials.authorize(&script, NOW, request))
    });
    for call in &mut calls {
        assert!(
            call.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    assert_eq!(script.asked().len(), 1);
}

#[test]
fn debug_output_holds_no_secret() {
    let given = AwsStatic {
        id: "AKID".to_owned(),
        secret: Secret::new("canary"),
        session: Some(Secret::new("canary")),
        region: "r".to_owned(),
        service: "s".to_owned(),
    };
    let written = format!(
        "{given:?} {:?} {:?}",
        Credentials::aws_static(given.clone()),
        entra()
    );
    assert!(!written.contains("canary"), "{written}");
}
