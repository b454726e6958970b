//! Who may come in (reliability, 4.2).

use tollgate_policy::key::{Role, Token};

use crate::support::{Service, chat_body};

fn with_headers(headers: &str) -> String {
    let body = chat_body("tollgate-demo", false);
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Row, headers, status, code.
type Case = (&'static str, String, u16, &'static str);

fn bad_credentials(service: &Service) -> Vec<Case> {
    let good = service.key.expose();
    let unknown = Token::generate(Role::Model).unwrap();
    let unknown = unknown.secret().expose();
    // Another last letter, whatever the key of this run ends with.
    let other = if good.ends_with('x') { 'y' } else { 'x' };
    let damaged = format!("{}{other}", &good[..good.len() - 1]);
    let long = "k".repeat(10_000);
    vec![
        ("C01", String::new(), 401, "missing_api_key"),
        (
            "C02",
            "Authorization: Basic eDp5\r\n".to_owned(),
            401,
            "invalid_api_key",
        ),
        (
            "C02",
            "Authorization: Bearer\r\n".to_owned(),
            401,
            "invalid_api_key",
        ),
        (
            "C03",
            format!("Authorization: Bearer {damaged}\r\n"),
            401,
            "invalid_api_key",
        ),
        (
            "C04",
            format!("Authorization: Bearer {unknown}\r\n"),
            401,
            "invalid_api_key",
        ),
        (
            "C05",
            format!("x-api-key: {long}\r\n"),
            401,
            "invalid_api_key",
        ),
        (
            "C05",
            "x-api-key: ' OR 1=1--${jndi}{{7*7}}\r\n".to_owned(),
            401,
            "invalid_api_key",
        ),
        (
            "C07",
            format!("Authorization: Bearer {good}\r\nx-api-key: {unknown}\r\n"),
            400,
            "ambiguous_credentials",
        ),
        (
            "C09",
            format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\n"),
            400,
            "ambiguous_credentials",
        ),
        (
            "C11",
            "Authorization: Bearer sk-proj-canary\r\n".to_owned(),
            401,
            "invalid_api_key",
        ),
        (
            "C12",
            format!("Authorization: Bearer {}\r\n", service.admin_key.expose()),
            403,
            "route_not_allowed",
        ),
        (
            "C14",
            format!(
                "Authorization: Bearer {}{}\r\n",
                &good[..20],
                &unknown[20..]
            ),
            401,
            "invalid_api_key",
        ),
    ]
}

#[tokio::test]
async fn every_bad_credential_gets_its_own_refusal() {
    let service = Service::start().await;
    for (row, headers, status, code) in bad_credentials(&service) {
        let answer = service.raw(&with_headers(&headers)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{row}"
        );
        assert!(
            answer
                .header("x-request-id")
                .is_some_and(|id| id.starts_with("req_")),
            "{row}"
        );
        assert!(
            !answer.body.contains("canary") && !answer.body.contains("OR 1=1"),
            "{row}: {}",
            answer.body
        );
        if status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{row}");
        }
    }
    assert!(service.openai.records().is_empty());
}

#[tokio::test]
async fn a_good_key_passes_in_each_header_and_twice_when_equal() {
    let service = Service::start().await;
    let key = service.key.expose();
    for headers in [
        format!("Authorization: Bearer {key}\r\n"),
        format!("x-api-key: {key}\r\n"),
        format!("x-goog-api-key: {key}\r\n"),
        format!("Authorization: Bearer {key}\r\nx-api-key: {key}\r\n"),
    ] {
        let answer = service.raw(&with_headers(&headers)).await;
        assert_eq!(answer.status, 200, "{headers}: {}", answer.body);
    }
}

#[tokio::test]
async fn h25_a_bad_key_is_refused_before_the_body_is_asked_for() {
    let service = Service::start().await;
    let head = "POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: bad\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    let answer = service.raw(head).await;
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (401, "authentication_error")
    );
    let id = answer.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("request-id"), Some(id.as_str()));
}
