//! Teams, projects, budgets and limits, and how they stand.

use serde_json::{Value, json};

use crate::support::Service;

fn id(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn p02_a_budget_is_an_exact_amount_from_zero_on() {
    let service = Service::start();
    for amount in [
        "-1",
        "\"10\"",
        "1e30",
        "0.0000000001",
        "true",
        "null",
        "1000000000000",
    ] {
        let body = format!("{{\"scope\":\"gateway\",\"period\":\"day\",\"limit_usd\":{amount}}}");
        let answer = service
            .send(&service.ask("POST", "/admin/v1/budgets").text(&body))
            .await;
        assert_eq!(
            answer.outcome(),
            (400, "invalid_value".to_owned()),
            "{amount}"
        );
        assert_eq!(answer.json()["error"]["param"], "limit_usd", "{amount}");
    }
    let currency = json!({"scope": "gateway", "period": "day", "limit_usd": 1, "currency": "XXX"});
    let answer = service.post("/admin/v1/budgets", &currency).await;
    assert_eq!(answer.outcome(), (400, "unknown_field".to_owned()));
    let exact = "{\"scope\":\"gateway\",\"period\":\"day\",\"limit_usd\":999999999999.999999999}";
    let made = service
        .send(&service.ask("POST", "/admin/v1/budgets").text(exact))
        .await;
    assert_eq!(made.status, 201);
    assert!(
        made.body.contains("\"limit_usd\":999999999999.999999999,"),
        "{}",
        made.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_made_replaced_relieved_and_deleted() {
    let service = Service::start();
    let new = json!({"scope": "gateway", "period": "month", "limit_usd": 10, "zone": "Europe/Berlin", "thresholds": [80, 50]});
    let made = service.post("/admin/v1/budgets", &new).await;
    assert_eq!(
        (made.status, &made.json()["thresholds"]),
        (201, &json!([50, 80]))
    );
    let path = format!("/admin/v1/budgets/{}", id(&made.json()));
    let twice = service.post("/admin/v1/budgets", &new).await;
    assert_eq!(twice.outcome(), (409, "conflict".to_owned()));

    let changed = service
        .change("PUT", &path, &json!({"limit_usd": 20.5}))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert!(
        changed.body.contains("\"limit_usd\":20.50"),
        "{}",
        changed.body
    );
    let put = service.ask("PUT", &path).json(&json!({"limit_usd": 1}));
    assert_eq!(service.send(&put).await.status, 428);
    let stale = put.header("If-Match", made.header("etag").unwrap());
    assert_eq!(
        service.send(&stale).await.outcome(),
        (409, "conflict".to_owned())
    );

    let relief = json!({"relief": {"limit_usd": 100, "until": "2090-01-01T00:00:00Z"}});
    let relieved = service.post(&format!("{path}/relief"), &relief).await;
    assert_eq!(relieved.json()["relief"]["until"], "2090-01-01T00:00:00Z");
    let standing = service
        .get("/admin/v1/standings?scope=gateway")
        .await
        .json();
    assert_eq!(standing["budgets"][0]["limit_usd"], 100.0);
    let past = json!({"relief": {"limit_usd": 100, "until": "2020-01-01T00:00:00Z"}});
    assert_eq!(
        service.post(&format!("{path}/relief"), &past).await.status,
        400
    );
    assert_eq!(
        service
            .post(&format!("{path}/relief"), &json!({}))
            .await
            .outcome(),
        (400, "missing_field".to_owned())
    );
    let back = service
        .post(&format!("{path}/relief"), &json!({"relief": null}))
        .await;
    assert_eq!(back.json()["relief"], Value::Null);

    assert_eq!(
        service.change("DELETE", &path, &Value::Null).await.status,
        204
    );
    assert_eq!(service.get(&path).await.status, 404);
    assert_eq!(
        service.get("/admin/v1/standings").await.json()["budgets"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_binds_from_its_answer_on() {
    let service = Service::start();
    let key = service.model_key.expose().to_owned();
    assert_eq!(service.call(&key).await.0, 200);
    let scope = format!("key:{}", service.model_key_id);
    let new = json!({"scope": scope, "measure": "requests-per-day", "most": 0});
    let made = service.post("/admin/v1/limits", &new).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(
        service.call(&key).await,
        (429, "rate_limit_exceeded".to_owned())
    );
    let path = format!("/admin/v1/limits/{}", id(&made.json()));
    assert_eq!(
        service
            .change("PUT", &path, &json!({"most": 5}))
            .await
            .json()["most"],
        5
    );
    assert_eq!(service.call(&key).await.0, 200);
    let standing = service
        .get(&format!("/admin/v1/standings?scope={scope}"))
        .await
        .json();
    assert_eq!(
        (
            &standing["limits"][0]["used"],
            &standing["limits"][0]["remaining"]
        ),
        (&json!(1), &json!(4))
    );
    assert!(standing["limits"][0]["frees_at"].is_string());
    assert_eq!(service.post("/admin/v1/limits", &new).await.status, 409);
    assert_eq!(
        service.change("DELETE", &path, &Value::Null).await.status,
        204
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_a_budget_larger_than_its_parents_is_taken_and_the_smaller_one_decides() {
    let service = Service::start();
    let scope = format!("key:{}", service.model_key_id);
    for (scope, limit) in [("gateway", 1), (scope.as_str(), 100)] {
        let new = json!({"scope": scope, "period": "total", "limit_usd": limit});
        assert_eq!(service.post("/admin/v1/budgets", &new).await.status, 201);
    }
    let what_if = json!({
        "model": "openai/gold", "key_id": service.model_key_id, "input_tokens": 1_000_000, "output_tokens": 0,
    });
    let answer = service.post("/admin/v1/what-if", &what_if).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    assert_eq!(
        (&answer["admitted"], &answer["refused_by"]["scope"]),
        (&json!(false), &json!("gateway"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p08_a_team_with_keys_or_projects_stays() {
    let service = Service::start();
    let team = service
        .post("/admin/v1/teams", &json!({"name": "shop"}))
        .await;
    assert_eq!(team.status, 201);
    let team = id(&team.json());
    let path = format!("/admin/v1/teams/{team}");
    let project = service
        .post(
            "/admin/v1/projects",
            &json!({"name": "site", "team_id": team}),
        )
        .await;
    let project = format!("/admin/v1/projects/{}", id(&project.json()));
    let stays = service.change("DELETE", &path, &Value::Null).await;
    assert_eq!(stays.outcome(), (409, "conflict".to_owned()));
    let moved = service
        .change("PATCH", &project, &json!({"team_id": null, "name": "shop"}))
        .await;
    assert_eq!(moved.json()["team_id"], Value::Null);
    let off = service
        .change("PATCH", &path, &json!({"disabled": true}))
        .await;
    assert!(off.json()["disabled_at"].is_string());
    assert_eq!(
        service.change("DELETE", &path, &Value::Null).await.status,
        204
    );
    assert_eq!(
        service
            .change("DELETE", &project, &Value::Null)
            .await
            .status,
        204
    );
    let nowhere = json!({"name": "x", "team_id": team});
    let answer = service.post("/admin/v1/projects", &nowhere).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (404, &json!("team_id"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_if_says_the_price_and_the_rule_and_takes_nothing() {
    let service = Service::start();
    let key = &service.model_key_id;
    let new = json!({"scope": format!("key:{key}"), "period": "day", "limit_usd": 0.01});
    service.post("/admin/v1/budgets", &new).await;
    let ask = |input: u64| json!({"model": "openai/gold", "key_id": key, "input_tokens": input, "output_tokens": 500});
    let small = service.post("/admin/v1/what-if", &ask(1_000)).await;
    assert_eq!(small.json()["admitted"], true, "{}", small.body);
    // 1,000 tokens at $3 and 500 at $6 for a million.
    assert!(small.body.contains("\"most_usd\":0.006,"), "{}", small.body);
    let large = service.post("/admin/v1/what-if", &ask(10_000)).await.json();
    assert_eq!(large["refused_by"]["code"], "insufficient_quota");
    assert_eq!(large["refused_by"]["scope"], format!("key:{key}"));
    assert!(large["refused_by"]["retry_at"].is_string());
    let standing = service.get("/admin/v1/standings").await.json();
    assert_eq!(standing["budgets"][0]["held_usd"], 0.0);
    assert_eq!(standing["budgets"][0]["remaining_usd"], 0.01);
    service
        .post(&format!("/admin/v1/keys/{key}/disable"), &json!({}))
        .await;
    let disabled = service.post("/admin/v1/what-if", &ask(1)).await.json();
    assert_eq!(disabled["refused_by"]["code"], "key_disabled");
    let nothing = json!({"model": "no-such", "input_tokens": 1, "output_tokens": 1});
    assert_eq!(
        service.post("/admin/v1/what-if", &nothing).await.outcome(),
        (404, "model_not_found".to_owned())
    );
}
