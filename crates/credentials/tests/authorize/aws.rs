//! Keys that are given, of an instance, and of a container.

use http::HeaderMap;
use serde_json::Value;
use serde_json::json;
use tollgate_base::Result;
use tollgate_base::Secret;
use tollgate_base::UnixMillis;
use tollgate_credentials::AwsMachine;
use tollgate_credentials::AwsStatic;
use tollgate_credentials::Credentials;

use crate::script::HOUR;
use crate::script::NOW;
use crate::script::authorize;
use crate::script::refused;
use crate::script::script;

pub(crate) fn machine(said: AwsMachine) -> Result<Credentials> {
    Credentials::aws_machine(said, "us-east-1", "bedrock")
}

pub(crate) fn keys(id: &str, expiration: &str) -> Value {
    json!({
        "Code": "Success",
        "AccessKeyId": id,
        "SecretAccessKey": "canary",
        "Token": "session",
        "Expiration": expiration,
    })
}

pub(crate) fn signed_by(headers: &HeaderMap) -> &str {
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
