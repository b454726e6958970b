//! Service accounts, a user's file, and the metadata server.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::encoding::Pkcs8V1Der;
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
use aws_lc_rs::signature::RsaKeyPair;
use aws_lc_rs::signature::UnparsedPublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;
use tollgate_base::Secret;
use tollgate_base::UnixMillis;
use tollgate_credentials::Credentials;

use crate::script::HOUR;
use crate::script::NOW;
use crate::script::bearer;
use crate::script::refused;
use crate::script::script;

/// A throwaway key of this run, and a service account's file with it.
pub(crate) fn service_account() -> (RsaKeyPair, Secret) {
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
