//! Keys through the API, and what comes of it on the call path at once.

use serde_json::{Value, json};

use crate::support::Service;

async fn new_key(service: &Service, fields: &Value) -> (String, String) {
    let made = service.post("/admin/v1/keys", fields).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let body = made.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&body["key"]["id"]), text(&body["token"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lives_from_its_making_to_its_end_and_each_step_counts_at_once() {
    let service = Service::start();
    let (id, token) = new_key(&service, &json!({"name": "for the shop", "owner": "Ann"})).await;
    let path = format!("/admin/v1/keys/{id}");
    assert_eq!(service.call(&token).await.0, 200);

    let shown = service.get(&path).await;
    assert_eq!(shown.json()["last_four"], token[token.len() - 4..]);
    assert!(!shown.body.contains(&token), "the text is shown once");

    let disabled = service.post(&format!("{path}/disable"), &json!({})).await;
    assert_eq!(disabled.json()["state"], "disabled");
    assert_eq!(service.call(&token).await, (401, "key_disabled".to_owned()));
    assert_eq!(
        service
            .post(&format!("{path}/enable"), &json!({}))
            .await
            .status,
        200
    );
    assert_eq!(service.call(&token).await.0, 200);

    let overlap = json!({"overlap_seconds": 3600});
    let rotated = service
        .post(&format!("{path}/rotate"), &overlap)
        .await
        .json();
    let second = rotated["token"].as_str().unwrap().to_owned();
    assert!(rotated["key"]["former_until"].is_string());
    assert_eq!(
        (service.call(&token).await.0, service.call(&second).await.0),
        (200, 200)
    );
    let rotated = service
        .post(&format!("{path}/rotate"), &json!({}))
        .await
        .json();
    let third = rotated["token"].as_str().unwrap().to_owned();
    assert_eq!(service.call(&second).await, (401, "key_revoked".to_owned()));

    assert_eq!(
        service
            .post(&format!("{path}/revoke"), &json!({}))
            .await
            .json()["state"],
        "revoked"
    );
    for text in [&token, &third] {
        assert_eq!(service.call(text).await, (401, "key_revoked".to_owned()));
    }
    assert_eq!(
        service.change("DELETE", &path, &Value::Null).await.status,
        204
    );
    assert_eq!(
        service.call(&third).await,
        (401, "invalid_api_key".to_owned())
    );
    assert_eq!(
        service.get(&path).await.outcome(),
        (404, "not_found".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_changes_what_it_names_and_null_clears() {
    let service = Service::start();
    let (id, _) = new_key(
        &service,
        &json!({"name": "a", "owner": "Ann", "models": ["openai/*"], "max_output_tokens": 10}),
    )
    .await;
    let path = format!("/admin/v1/keys/{id}");
    let patch = json!({"name": "b", "owner": null, "sources": ["10.0.0.0/8"], "strict": true});
    let changed = service.change("PATCH", &path, &patch).await.json();
    assert_eq!(changed["name"], "b");
    assert_eq!(changed["owner"], Value::Null);
    assert_eq!(changed["models"], json!(["openai/*"]));
    assert_eq!(changed["sources"], json!(["10.0.0.0/8"]));
    assert_eq!(
        (&changed["strict"], &changed["max_output_tokens"]),
        (&json!(true), &json!(10))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_by_pages_and_filters_without_gaps_or_repetitions() {
    let service = Service::start();
    let team = service
        .post("/admin/v1/teams", &json!({"name": "t"}))
        .await
        .json();
    for n in 0..7 {
        let fields = json!({"name": format!("needle {n}"), "team_id": team["id"]});
        new_key(&service, &fields).await;
    }
    let filter = format!(
        "search=NEEDLE&role=model&state=active&team_id={}",
        team["id"].as_str().unwrap()
    );
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/admin/v1/keys?{filter}&page_size=3{after}");
        let page = service.get(&path).await.json();
        let names = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["name"].to_string());
        seen.extend(names);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 7);
    assert_eq!(
        service.get("/admin/v1/keys?state=revoked").await.json()["data"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p04_a_search_is_taken_literally() {
    let service = Service::start();
    new_key(&service, &json!({"name": "100%_ 'x' \\ done"})).await;
    for (search, found) in [
        ("100%25_", 1),
        ("%25_%25", 0),
        ("%25%25%25%25%25%25", 0),
        ("'x'", 1),
        ("%5C%20done", 1),
    ] {
        let path = format!("/admin/v1/keys?search={search}");
        let page = service.get(&path).await.json();
        assert_eq!(page["data"].as_array().unwrap().len(), found, "{search}");
    }
    for search in ["%25", "_", "", &"x".repeat(4000)] {
        let answer = service
            .get(&format!("/admin/v1/keys?search={search}"))
            .await;
        assert_eq!(answer.outcome(), (400, "invalid_value".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_key_is_bound_to_its_networks() {
    let service = Service::start();
    let fields = json!({"name": "elsewhere", "role": "admin", "admin_role": "viewer", "sources": ["10.0.0.0/8"]});
    let (_, token) = new_key(&service, &fields).await;
    let ask = service.ask("GET", "/admin/v1/keys");
    let answer = service
        .send(&ask.with_key(&tollgate_base::Secret::new(token.as_str())))
        .await;
    assert_eq!(answer.outcome(), (403, "source_not_allowed".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn p08_the_last_owner_stays_and_nobody_demotes_himself() {
    let service = Service::start();
    let own = format!("/admin/v1/keys/{}", service.admin_ids["owner"]);
    let demotion = json!({"admin_role": "viewer"});
    assert_eq!(
        service.change("PATCH", &own, &demotion).await.outcome(),
        (409, "conflict".to_owned())
    );
    for action in ["revoke", "disable"] {
        let answer = service.post(&format!("{own}/{action}"), &json!({})).await;
        assert_eq!(answer.outcome(), (409, "conflict".to_owned()), "{action}");
    }
    let answer = service.change("DELETE", &own, &Value::Null).await;
    assert_eq!(answer.outcome(), (409, "conflict".to_owned()));
    // With another owner it is still not himself who does it.
    new_key(
        &service,
        &json!({"name": "second", "role": "admin", "admin_role": "owner"}),
    )
    .await;
    assert_eq!(service.change("PATCH", &own, &demotion).await.status, 409);
    assert_eq!(
        service
            .post(&format!("{own}/revoke"), &json!({}))
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_a_name_is_kept_as_it_is_and_bounded() {
    let service = Service::start();
    for name in [
        "<img src=x onerror=alert(1)>",
        "\u{202e}evil",
        "🔑",
        "javascript:alert(1)",
    ] {
        let (id, _) = new_key(&service, &json!({"name": name})).await;
        let shown = service.get(&format!("/admin/v1/keys/{id}")).await;
        assert_eq!(shown.json()["name"], name);
        assert_eq!(
            shown.header("content-type"),
            Some("application/json; charset=utf-8")
        );
    }
    for name in [
        "x".repeat(257),
        "x".repeat(10_240),
        "a\nb".to_owned(),
        " ".to_owned(),
    ] {
        let answer = service.post("/admin/v1/keys", &json!({"name": name})).await;
        assert_eq!(answer.outcome(), (400, "invalid_value".to_owned()));
    }
}
