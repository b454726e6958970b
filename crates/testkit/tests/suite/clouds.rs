//! The clouds: where the model and the version stand, which credentials count, how a stream is framed, and the
//! token endpoints.

use crate::client::{Reply, body, exchange, parse, post, request};
use crate::shapes::Schemas;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tollgate_testkit::{Dialect, SHORT_TEXT, TestProvider, fingerprint};

const ANTHROPIC: &str = include_str!("../../schemas/anthropic-2026-10-21.json");
const OPENAI: &str = include_str!("../../schemas/openai.json");
const VERTEX: &str = "/v1/projects/p/locations/global/publishers";

fn cloud_body(version: &str) -> Value {
    json!({"anthropic_version": version, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]})
}

/// The payloads of AWS frames by their headers' text.
fn frames(mut bytes: &[u8]) -> Vec<(String, Value)> {
    let word = |bytes: &[u8], at: usize| {
        u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
    };
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (total, headers) = (word(bytes, 0), word(bytes, 4));
        let names = String::from_utf8_lossy(&bytes[12..12 + headers]).into_owned();
        let payload =
            serde_json::from_slice(&bytes[12 + headers..total - 4]).expect("a payload is JSON");
        out.push((names, payload));
        bytes = &bytes[total..];
    }
    out
}

#[tokio::test]
async fn bedrock_frames_the_events_of_messages() {
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    let schemas = Schemas::new(ANTHROPIC);
    let body = cloud_body("bedrock-2023-05-31");
    for model in ["us.anthropic.text", "anthropic.claude-opus-5-v1:0", "text"] {
        let whole = post(&provider, &format!("/model/{model}/invoke"), &body).await;
        schemas.check("Message", &whole.json());
        assert!(whole.header("x-amzn-requestid").is_some());
        let path = format!("/model/{model}/invoke-with-response-stream");
        let reply = post(&provider, &path, &body).await;
        assert_eq!(
            reply.header("content-type"),
            Some("application/vnd.amazon.eventstream")
        );
        let mut text = String::new();
        let mut kinds = Vec::new();
        for (names, payload) in frames(&reply.body) {
            assert!(names.contains("chunk"), "{names}");
            let bytes = STANDARD.decode(payload["bytes"].as_str().unwrap()).unwrap();
            let mut event: Value = serde_json::from_slice(&bytes).unwrap();
            text.push_str(event["delta"]["text"].as_str().unwrap_or_default());
            kinds.push(event["type"].as_str().unwrap().to_owned());
            if event["type"] == "message_stop" {
                let metrics = event
                    .as_object_mut()
                    .unwrap()
                    .remove("amazon-bedrock-invocationMetrics");
                assert!(metrics.unwrap()["outputTokenCount"].as_u64() > Some(0));
            }
            schemas.check("RawMessageStreamEvent", &event);
        }
        assert_eq!(text, SHORT_TEXT);
        assert!(!kinds.contains(&"ping".to_owned()));
    }
    let path = "/model/error-mid-stream/invoke-with-response-stream";
    let reply = post(&provider, path, &body).await;
    let (names, _) = frames(&reply.body).pop().unwrap();
    assert!(names.contains("modelStreamErrorException") && names.contains("exception"));
    let record = provider.wait_for_end(|record| record.path == path).await;
    assert_eq!(
        (record.model.as_deref(), record.stream),
        (Some("error-mid-stream"), true)
    );
}

#[tokio::test]
async fn clouds_want_the_model_in_the_path_and_the_version_in_the_body() {
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    let with = |version: &str, field: &str, value: Value| {
        let mut body = cloud_body(version);
        body[field] = value;
        body
    };
    let (bedrock, vertex) = ("bedrock-2023-05-31", "vertex-2023-10-16");
    let invoke = "/model/text/invoke".to_owned();
    let predict = format!("{VERTEX}/anthropic/models/text:rawPredict");
    for (path, body, status) in [
        (&invoke, cloud_body(bedrock), 200),
        (&invoke, with(bedrock, "temperature", json!(0.5)), 200),
        (&invoke, with(bedrock, "anthropic_beta", json!(["x"])), 200),
        (&invoke, cloud_body(vertex), 400),
        (&invoke, with(bedrock, "model", json!("text")), 400),
        (&invoke, with(bedrock, "stream", json!(true)), 400),
        (&invoke, with(bedrock, "nonsense", json!(1)), 400),
        (&predict, cloud_body(vertex), 200),
        (&predict, cloud_body(bedrock), 400),
        (&predict, with(vertex, "model", json!("text")), 400),
        (&predict, with(vertex, "stream", json!(true)), 400),
    ] {
        let reply = post(&provider, path, &body).await;
        assert_eq!(reply.status, status, "{path} {body}\n{}", reply.text());
        if status == 400 && path == &invoke {
            assert_eq!(
                reply.header("x-amzn-errortype"),
                Some("ValidationException")
            );
            assert!(reply.json()["message"].is_string());
        }
    }
    let throttled = post(&provider, "/model/e429/invoke", &cloud_body(bedrock)).await;
    assert_eq!(
        (throttled.status, throttled.header("x-amzn-errortype")),
        (429, Some("ThrottlingException"))
    );
}

#[tokio::test]
async fn vertex_serves_both_publishers_with_a_bearer_alone() {
    // Any port serves a cloud's paths.
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let stream = format!("{VERTEX}/anthropic/models/text@20250101:streamRawPredict");
    let path = stream.replace("text@20250101", "text");
    let reply = post(&provider, &path, &cloud_body("vertex-2023-10-16")).await;
    assert!(
        reply.text().contains("event: message_stop"),
        "{}",
        reply.text()
    );
    let count = json!({"anthropic_version": "vertex-2023-10-16", "model": "text", "messages": [{"role": "user", "content": "one two three"}]});
    let path = format!("{VERTEX}/anthropic/models/count-tokens:rawPredict");
    assert_eq!(
        post(&provider, &path, &count).await.json()["input_tokens"],
        3
    );
    let path = format!("{VERTEX}/google/models/text:streamGenerateContent?alt=sse");
    let labelled = {
        let mut body = body(Dialect::Gemini, "text", true);
        body["labels"] = json!({"team": "x"});
        body
    };
    let reply = post(&provider, &path, &labelled).await;
    assert_eq!(
        (reply.status, reply.events().len()),
        (200, 14),
        "{}",
        reply.text()
    );
    let record = provider
        .wait_for_end(|record| record.path.contains("google"))
        .await;
    assert_eq!(record.dialect, Dialect::Gemini);
    let keyed = format!(
        "POST {path}&key=test-key HTTP/1.1\r\nhost: t\r\nx-goog-api-key: test-key\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    let refused = exchange(provider.addr(), keyed.as_bytes()).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["status"]),
        (401, &json!("UNAUTHENTICATED"))
    );
}

/// Signed by botocore's `SigV4Auth` over exactly these bytes.
fn signed(signature: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /model/us.anthropic.text%3A0/invoke HTTP/1.1\r\nhost: bedrock-runtime.us-east-1.amazonaws.com\r\ncontent-type: application/json\r\nx-amz-date: 20300101T000000Z\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKIATESTKIT000000001/20300101/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature={signature}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn bedrock_verifies_signatures() {
    const SIGNATURE: &str = "217baddafda38c45457d7ebbaea00626a0f089fa4515b35c0a67acbbfc9ce1d1";
    const BODY: &str = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":100,"messages":[{"role":"user","content":"Hi"}]}"#;
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    let good = exchange(provider.addr(), &signed(SIGNATURE, BODY)).await;
    assert_eq!(good.status, 200, "{}", good.text());
    let edited = BODY.replace("Hi", "Ho");
    for (signature, body) in [(SIGNATURE, edited.as_str()), (&"0".repeat(64), BODY)] {
        let reply = exchange(provider.addr(), &signed(signature, body)).await;
        assert_eq!(
            (reply.status, reply.header("x-amzn-errortype")),
            (403, Some("InvalidSignatureException"))
        );
    }
    let bare = "POST /model/text/invoke HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(exchange(provider.addr(), bare.as_bytes()).await.status, 403);
}

#[tokio::test]
async fn azure_takes_the_deployment_for_the_model() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(OPENAI);
    let at = |rest: &str| format!("/openai/deployments/text/{rest}?api-version=2026-01-01");
    let body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let mut whole = post(&provider, &at("chat/completions"), &body).await.json();
    assert!(
        whole
            .as_object_mut()
            .unwrap()
            .remove("prompt_filter_results")
            .is_some()
    );
    schemas.check("CreateChatCompletionResponse", &whole);
    assert_eq!(whole["model"], "text");
    let streamed = json!({"messages": body["messages"], "stream": true});
    let events = post(&provider, &at("chat/completions"), &streamed)
        .await
        .events();
    assert_eq!(events[0]["choices"], json!([]));
    assert!(events[0]["prompt_filter_results"][0]["content_filter_results"].is_object());
    schemas.check("CreateChatCompletionStreamResponse", &events[1]);
    let path = "/openai/deployments/text-embedding-3-small/embeddings?api-version=2026-01-01";
    let embedded = post(&provider, path, &json!({"input": "x"})).await.json();
    schemas.check("CreateEmbeddingResponse", &embedded);
    let responses = json!({"model": "text", "input": "Hi"});
    let reply = post(&provider, "/openai/v1/responses", &responses)
        .await
        .json();
    assert_eq!(reply["status"], "completed");
    let unversioned = post(
        &provider,
        "/openai/deployments/text/chat/completions",
        &body,
    )
    .await;
    assert_eq!(unversioned.status, 404);
    let filtered = post(
        &provider,
        "/openai/deployments/e400-filter/chat/completions?api-version=2026-01-01",
        &body,
    )
    .await
    .json();
    assert_eq!(
        (
            &filtered["error"]["code"],
            &filtered["error"]["innererror"]["code"]
        ),
        (
            &json!("content_filter"),
            &json!("ResponsibleAIPolicyViolation")
        )
    );
    let text = body.to_string();
    for (header, status) in [
        ("api-key: test-x", 200),
        ("api-key: x", 401),
        ("x-none: x", 401),
    ] {
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n{header}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
            at("chat/completions"),
            text.len()
        );
        let reply = exchange(provider.addr(), head.as_bytes()).await;
        assert_eq!(reply.status, status, "{header}");
        if status == 401 {
            assert_eq!(reply.json()["error"]["code"], "401");
        }
    }
}

async fn form(provider: &TestProvider, path: &str, fields: &str) -> Reply {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\ncontent-type: application/x-www-form-urlencoded\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{fields}",
        fields.len()
    );
    exchange(provider.addr(), head.as_bytes()).await
}

fn assertion(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = URL_SAFE_NO_PAD.encode([7; 256]);
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn token_endpoints_give_out_keys_that_count() {
    let provider = TestProvider::start(Dialect::Gemini).await.unwrap();
    let claims = |exp: u64| {
        json!({"iss": "a@b.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/cloud-platform",
               "aud": "https://oauth2.googleapis.com/token", "iat": 1_000_000, "exp": exp})
    };
    let rs256 = json!({"alg": "RS256", "typ": "JWT"});
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let entra = "grant_type=client_credentials&client_id=c&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default&client_secret=";
    for (path, fields, status) in [
        (
            "/token",
            format!("{grant}{}", assertion(&rs256, &claims(1_003_600))),
            200,
        ),
        (
            "/token",
            format!("{grant}{}", assertion(&rs256, &claims(1_003_601))),
            400,
        ),
        (
            "/token",
            format!(
                "{grant}{}",
                assertion(&json!({"alg": "none"}), &claims(1_003_600))
            ),
            400,
        ),
        ("/token", format!("{grant}a.b"), 400),
        (
            "/token",
            "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=test-r".to_owned(),
            200,
        ),
        (
            "/token",
            "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=r".to_owned(),
            400,
        ),
        ("/token", "grant_type=password".to_owned(), 400),
        ("/tenant/oauth2/v2.0/token", format!("{entra}test-s"), 200),
        ("/tenant/oauth2/v2.0/token", format!("{entra}wrong"), 401),
    ] {
        let reply = form(&provider, path, &fields).await;
        assert_eq!(reply.status, status, "{fields}\n{}", reply.text());
        if status == 200 {
            let token = reply.json()["access_token"].as_str().unwrap().to_owned();
            assert!(token.starts_with("test-"));
            assert_eq!(reply.json()["expires_in"], 3599);
        } else {
            assert!(reply.json()["error"].is_string());
        }
    }
    let metadata = "/computeMetadata/v1/instance/service-accounts/default/token";
    let get = |header: &str| {
        request(
            "GET",
            &format!("{metadata}?expires_in=60"),
            "",
            &format!("connection: close\r\n{header}"),
        )
    };
    let reply = exchange(provider.addr(), &get("metadata-flavor: Google\r\n")).await;
    assert_eq!(
        (reply.status, &reply.json()["expires_in"]),
        (200, &json!(60))
    );
    assert_eq!(exchange(provider.addr(), &get("")).await.status, 403);
    let record = provider
        .wait_for_end(|record| record.body["refresh_token"].is_string())
        .await;
    assert_eq!(record.body["refresh_token"], fingerprint("test-r"));
    assert_eq!(parse(Vec::new()).status, 0);
}
