//! The ledger, prices and the audit log through the API.

use serde_json::{Value, json};
use tollgate_base::{Clock as _, Money, Provenance, SystemClock, Usage};
use tollgate_ledger::{Config, Ledger};
use tollgate_policy::ledger::{AttemptId, AttemptOutcome, Cost, Opening, Settlement};
use tollgate_store::SqliteLedger;

use crate::support::Service;

fn opening(number: u32, tag: &str) -> Opening {
    Opening {
        id: AttemptId {
            request_id: "req_1".to_owned(),
            number,
        },
        at: SystemClock.now(),
        key_id: "key_1".to_owned(),
        project_id: None,
        team_id: None,
        operation: "generation".to_owned(),
        dialect: "openai-chat".to_owned(),
        route: "gold".to_owned(),
        provider: "openai".to_owned(),
        model: "gold".to_owned(),
        stream: false,
        held: Some(Money::from_nanos(5_000_000_000)),
        held_input: 10,
        held_output: 10,
        price_version: "before".to_owned(),
        tags: vec![("cost".to_owned(), tag.to_owned())],
    }
}

/// A ledger with one settled attempt and one whose end nobody knows.
fn with_history() -> Service {
    let data = tempfile::tempdir().unwrap();
    let open = || {
        let store = std::sync::Arc::new(SqliteLedger::open(data.path()).unwrap());
        Ledger::open(
            Config::new(data.path()),
            store,
            std::sync::Arc::new(SystemClock),
        )
        .unwrap()
    };
    let ledger = open();
    let settled = opening(1, "=HYPERLINK(\"x\")");
    ledger.begin(&settled).unwrap();
    ledger.dispatched(&settled.id).unwrap();
    let settlement = Settlement {
        id: settled.id.clone(),
        at: settled.at,
        outcome: AttemptOutcome::Complete,
        usage: Usage {
            input: 1_000_000,
            output: 1_000_000,
            provenance: Provenance::Reported,
            ..Usage::default()
        },
        cost: Cost::Known(Money::from_nanos(1)),
        unit_prices: String::new(),
        code: String::new(),
        first_event_ms: None,
        duration_ms: 5,
    };
    ledger.settle(&settlement).wait().unwrap();
    let lost = opening(2, "+1+1");
    ledger.begin(&lost).unwrap();
    ledger.dispatched(&lost.id).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    Service::start_in(data)
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_added_up_and_exact() {
    let service = with_history();
    let usage = service.get("/admin/v1/usage?group=key,day&key=key_1").await;
    assert_eq!(usage.status, 200, "{}", usage.body);
    let row = &usage.json()["data"][0];
    assert_eq!(
        (&row["group"]["key"], &row["requests"], &row["attempts"]),
        (&json!("key_1"), &json!(1), &json!(2))
    );
    assert!(
        usage.body.contains("\"cost_usd\":0.000000001,"),
        "{}",
        usage.body
    );
    assert!(
        usage.body.contains("\"held_by_unknown_usd\":5.00"),
        "{}",
        usage.body
    );
    assert_eq!(
        service.get("/admin/v1/usage?key=key_2").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_no_field_of_a_csv_is_a_formula() {
    let service = with_history();
    let csv = service
        .get("/admin/v1/usage?group=tag:cost&format=csv")
        .await;
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert!(
        csv.header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );
    assert!(
        csv.body.contains("\r\n\"'=HYPERLINK(\"\"x\"\")\","),
        "{}",
        csv.body
    );
    assert!(csv.body.contains("\r\n'+1+1,"), "{}", csv.body);
    let csv = service.get("/admin/v1/attempts?format=csv").await;
    assert_eq!(csv.body.lines().count(), 3, "{}", csv.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_listed_found_and_paged() {
    let service = with_history();
    let first = service
        .get("/admin/v1/attempts?request_id=req_1&page_size=1")
        .await
        .json();
    assert_eq!(first["data"][0]["id"], "req_1-2", "the newest first");
    let after = first["next"].as_str().unwrap();
    let second = service
        .get(&format!(
            "/admin/v1/attempts?request_id=req_1&page_size=1&after={after}"
        ))
        .await;
    assert_eq!(
        (&second.json()["data"][0]["id"], &second.json()["next"]),
        (&json!("req_1-1"), &Value::Null)
    );
    let unknown = service.get("/admin/v1/attempts?state=unknown").await.json();
    assert_eq!(unknown["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        service.get("/admin/v1/attempts/req_1-1").await.json()["outcome"],
        "complete"
    );
    assert_eq!(service.get("/admin/v1/attempts/req_1-3").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_attempt_is_resolved_once_and_the_budget_knows() {
    let service = with_history();
    let new = json!({"scope": "key:key_1", "period": "total", "limit_usd": 10});
    // The key is gone, and the ledger remembers it; a budget of the gateway counts it, too.
    assert_eq!(service.post("/admin/v1/budgets", &new).await.status, 404);
    let new = json!({"scope": "gateway", "period": "total", "limit_usd": 10});
    assert_eq!(service.post("/admin/v1/budgets", &new).await.status, 201);
    let posted = async || service.get("/admin/v1/standings").await.body;
    assert!(
        posted().await.contains("\"posted_usd\":5.000000001,"),
        "{}",
        posted().await
    );
    let path = "/admin/v1/attempts/req_1-2/resolve";
    for body in [
        json!({}),
        json!({"cost_usd": 1, "at_hold": true}),
        json!({"at_hold": false}),
    ] {
        assert_eq!(
            service.post(path, &body).await.outcome(),
            (400, "invalid_value".to_owned()),
            "{body}"
        );
    }
    let resolved = service.post(path, &json!({"cost_usd": 1.25})).await;
    assert_eq!(
        (resolved.status, &resolved.json()["state"]),
        (200, &json!("settled")),
        "{}",
        resolved.body
    );
    assert!(
        resolved.body.contains("\"cost_usd\":1.25,"),
        "{}",
        resolved.body
    );
    assert!(
        posted().await.contains("\"posted_usd\":1.250000001,"),
        "{}",
        posted().await
    );
    let again = service.post(path, &json!({"cost_usd": 2})).await;
    assert_eq!(again.outcome(), (409, "conflict".to_owned()));
    let settled = service
        .post(
            "/admin/v1/attempts/req_1-1/resolve",
            &json!({"at_hold": true}),
        )
        .await;
    assert_eq!(settled.status, 409);
    let health = service.get("/admin/v1/ledger/health").await.json();
    assert_eq!(
        (&health["ready"], &health["alarms"]["dead_letters"]),
        (&json!(true), &json!(0))
    );
    let verified = service.get("/admin/v1/ledger/verify").await.json();
    assert_eq!(verified["sound"], true, "{verified}");
    let log = service.get("/admin/v1/audit?page_size=1").await.json();
    assert_eq!(
        (&log["data"][0]["action"], &log["data"][0]["object"]),
        (&json!("ledger.resolve"), &json!("req_1-2"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_priced_again_beside_what_was_booked() {
    let service = with_history();
    let span = json!({"from": "2020-01-01T00:00:00Z", "to": "2090-01-01T00:00:00Z"});
    let repriced = service.post("/admin/v1/reprice", &span).await;
    assert_eq!(repriced.status, 200, "{}", repriced.body);
    assert_eq!(repriced.json()["corrected"], 1);
    // A million at $3 and a million at $6.
    assert!(
        repriced.body.contains("\"after_usd\":9.00,"),
        "{}",
        repriced.body
    );
    let usage = service.get("/admin/v1/usage").await.body;
    assert!(
        usage.contains("\"cost_usd\":0.000000001,")
            && usage.contains("\"cost_corrected_usd\":9.00,"),
        "{usage}"
    );
    let reversed = json!({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"});
    assert_eq!(
        service.post("/admin/v1/reprice", &reversed).await.outcome(),
        (400, "invalid_value".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_projection_comes_out() {
    let service = Service::start();
    let wish = json!({"model": "openai/gold", "requests_per_day": 10_000, "input_tokens": 500, "output_tokens": 200});
    let forecast = service.post("/admin/v1/projection", &wish).await;
    assert!(
        forecast
            .body
            .starts_with("{\"cost_usd\":810.00,\"days\":30,"),
        "{}",
        forecast.body
    );
    let none = json!({"model": "openai/no-such", "requests_per_day": 1, "input_tokens": 1, "output_tokens": 1});
    assert_eq!(
        service.post("/admin/v1/projection", &none).await.status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_are_listed_with_the_overrides_of_the_settings() {
    let service = Service::start();
    let page = service.get("/admin/v1/prices?page_size=2").await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert!(page["next"].is_string() && page["version"].is_string());
    let gold = service
        .get("/admin/v1/prices?model=openai/gold")
        .await
        .json();
    assert_eq!(gold["data"][0]["figures"]["input"], "3.00");
    assert_eq!(
        service.get("/admin/v1/prices?model=nothing").await.status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_in_force_are_shown_without_secrets() {
    let service = Service::start();
    let shown = service.get("/admin/v1/config/effective").await;
    assert!(
        shown.json()["toml"]
            .as_str()
            .unwrap()
            .contains("[providers.openai]")
    );
    assert!(!shown.body.contains("canary"), "{}", shown.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_log_without_secrets() {
    let service = Service::start();
    let made = service
        .post("/admin/v1/keys", &json!({"name": "logged"}))
        .await
        .json();
    let path = format!("/admin/v1/keys/{}", made["key"]["id"].as_str().unwrap());
    service
        .change("PATCH", &path, &json!({"name": "renamed"}))
        .await;
    service.change("DELETE", &path, &Value::Null).await;
    let log = service.get("/admin/v1/audit?page_size=3").await;
    let entries = log.json();
    let actions: Vec<_> = entries["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["action"])
        .collect();
    assert_eq!(actions, ["key.delete", "key.update", "key.create"]);
    assert_eq!(
        entries["data"][0]["actor"],
        service.admin_ids["owner"].as_str()
    );
    assert_eq!(entries["data"][1]["before"]["name"], "logged");
    assert_eq!(entries["data"][1]["after"]["name"], "renamed");
    assert!(!log.body.contains(made["token"].as_str().unwrap()) && !log.body.contains("digest"));
    let next = entries["next"].as_str().unwrap();
    let older = service
        .get(&format!("/admin/v1/audit?after={next}"))
        .await
        .json();
    assert_eq!(
        (older["data"].as_array().unwrap().len(), &older["next"]),
        (4, &Value::Null)
    );
    let check = service.get("/admin/v1/audit/verify").await.json();
    assert_eq!(
        (&check["sound"], &check["entries"]),
        (&json!(true), &json!(7))
    );
}
