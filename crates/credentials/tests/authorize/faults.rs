//! What goes wrong, and what is said of it.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Uri;
use serde_json::json;
use std::task::Context;
use std::task::Waker;
use tollgate_base::Error;
use tollgate_base::Kind;
use tollgate_base::Secret;
use tollgate_base::UnixMillis;
use tollgate_credentials::AwsMachine;
use tollgate_credentials::AwsStatic;
use tollgate_credentials::Credentials;
use tollgate_credentials::Signed;

use crate::aws::keys;
use crate::aws::machine;
use crate::azure::entra;
use crate::script::HOUR;
use crate::script::NOW;
use crate::script::authorize;
use crate::script::bearer;
use crate::script::refused;
use crate::script::script;

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
    script.fail_next(down);
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
    script.stall(true);
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
