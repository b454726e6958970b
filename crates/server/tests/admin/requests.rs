//! How requests have to look (reliability, 4.7): fields, versions, pages, requests that are sent again.

use serde_json::{Value, json};

use crate::support::Service;

fn bad(code: &str) -> (u16, String) {
    (400, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn p01_unknown_and_read_only_fields_are_refused_by_name() {
    let service = Service::start();
    for field in [
        "spend",
        "id",
        "created_at",
        "version",
        "state",
        "last_four",
        "token",
        "allowed_routes",
    ] {
        let mut body = json!({"name": "x"});
        body[field] = json!("1");
        let answer = service.post("/admin/v1/keys", &body).await;
        assert_eq!(answer.outcome(), bad("unknown_field"), "{field}");
        assert_eq!(answer.json()["error"]["param"], field);
    }
    let path = format!("/admin/v1/keys/{}", service.model_key_id);
    for field in ["role", "id", "revoked_at"] {
        let answer = service
            .change("PATCH", &path, &json!({field: "model"}))
            .await;
        assert_eq!(answer.outcome(), bad("unknown_field"), "{field}");
    }
    let relief = json!({"relief": {"limit_usd": 1, "until": "2090-01-01T00:00:00Z", "by": "me"}});
    let answer = service
        .post("/admin/v1/budgets/budget_1/relief", &relief)
        .await;
    assert_eq!(answer.json()["error"]["param"], "relief.by");
}

#[tokio::test(flavor = "multi_thread")]
async fn p01_what_is_no_sound_json_is_refused() {
    let service = Service::start();
    for (body, code) in [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        ("null", "invalid_json"),
        ("{\"name\":\"a\",\"name\":\"b\"}", "duplicate_field"),
        ("{\"name\":\"a\"}{}", "invalid_json"),
        ("{\"name\":null}", "invalid_value"),
        ("{\"name\":1}", "invalid_value"),
        ("{}", "missing_field"),
        ("{\"name\":\"a\",\"strict\":\"yes\"}", "invalid_value"),
        (
            "{\"name\":\"a\",\"max_output_tokens\":1.5}",
            "invalid_value",
        ),
        ("{\"name\":\"a\",\"max_output_tokens\":-1}", "invalid_value"),
        ("{\"name\":\"a\",\"models\":[1]}", "invalid_value"),
        ("{\"name\":\"a\",\"role\":\"root\"}", "invalid_value"),
        (
            "{\"name\":\"a\",\"expires_at\":\"2020-01-01T00:00:00Z\"}",
            "invalid_value",
        ),
        ("{\"name\":\"a\",\"expires_at\":1}", "invalid_value"),
    ] {
        let answer = service
            .send(&service.ask("POST", "/admin/v1/keys").text(body))
            .await;
        assert_eq!(answer.outcome(), bad(code), "{body}");
    }
    let plain = format!(
        "POST /admin/v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: text/plain\r\n\
         Connection: close\r\nContent-Length: 12\r\n\r\n{{\"name\":\"a\"}}",
        service.owner.expose()
    );
    let answer = service.raw(&plain).await;
    assert_eq!(answer.outcome(), (415, "unsupported_media_type".to_owned()));
    // Announced alone: the answer comes before the body, and a client that still writes may not read it.
    let large = format!(
        "POST /admin/v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        service.owner.expose(),
        2 << 20
    );
    let answer = service.raw(&large).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn p05_pages_sorts_and_times_are_checked() {
    let service = Service::start();
    for query in [
        "page_size=0",
        "page_size=-1",
        "page_size=1000000000",
        "page_size=1001",
        "page_size=x",
        "page_size=",
        "state=gone",
        "role=root",
    ] {
        let answer = service.get(&format!("/admin/v1/keys?{query}")).await;
        assert_eq!(answer.outcome(), bad("invalid_value"), "{query}");
    }
    for query in [
        "sort=spend;drop%20table",
        "sort=password_hash",
        "page_sizes=1",
        "sort=name",
    ] {
        let answer = service.get(&format!("/admin/v1/keys?{query}")).await;
        assert_eq!(answer.outcome(), bad("unknown_field"), "{query}");
    }
    let answer = service.get("/admin/v1/keys?page_size=1&page_size=2").await;
    assert_eq!(answer.outcome(), bad("duplicate_field"));
    for query in [
        "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=99999-01-01T00:00:00Z",
        "to=yesterday",
        "group=password_hash",
        "group=key,key",
        "group=key,day,model,team,route",
        "format=xml",
        "tag=x",
    ] {
        let answer = service.get(&format!("/admin/v1/usage?{query}")).await;
        assert_eq!(answer.outcome(), bad("invalid_value"), "{query}");
    }
    assert_eq!(
        service.get("/admin/v1/keys?page_size=1000").await.status,
        200
    );
    assert_eq!(
        service.get("/admin/v1/attempts?after=x").await.outcome(),
        bad("invalid_value")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p07_a_change_names_the_version_that_was_read() {
    let service = Service::start();
    let path = format!("/admin/v1/keys/{}", service.model_key_id);
    let read = service.get(&path).await;
    let tag = read.header("etag").unwrap();
    assert_eq!(tag, format!("\"{}\"", read.json()["version"]));
    let patch = |tag: Option<&str>, name: &str| {
        let ask = service.ask("PATCH", &path).json(&json!({"name": name}));
        tag.map_or(ask.clone(), |tag| ask.header("If-Match", tag))
    };
    for method in ["PATCH", "DELETE"] {
        let ask = service.ask(method, &path).json(&json!({}));
        assert_eq!(
            service.send(&ask).await.outcome(),
            (428, "if_match_required".to_owned())
        );
    }
    let changed = service.send(&patch(Some(tag), "first")).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag").unwrap(), tag);
    let stale = service.send(&patch(Some(tag), "second")).await;
    assert_eq!(stale.outcome(), (409, "conflict".to_owned()));
    assert_eq!(service.get(&path).await.json()["name"], "first");
    assert_eq!(service.send(&patch(Some("*"), "third")).await.status, 200);
    assert_eq!(
        service.send(&patch(Some("third"), "x")).await.outcome(),
        bad("invalid_header")
    );
    // An action takes a version, too.
    let disable = service
        .ask("POST", &format!("{path}/disable"))
        .header("If-Match", tag);
    assert_eq!(
        service.send(&disable).await.outcome(),
        (409, "conflict".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p07_of_edits_at_once_on_one_version_exactly_one_is_made() {
    let service = Service::start();
    let path = format!("/admin/v1/keys/{}", service.model_key_id);
    for round in 0..5 {
        let tag = service.get(&path).await.header("etag").unwrap().to_owned();
        let edits = (0..8).map(|n| {
            let name = json!({"name": format!("round {round}, edit {n}")});
            let ask = service
                .ask("PATCH", &path)
                .header("If-Match", &tag)
                .json(&name);
            let service = &service;
            async move { service.send(&ask).await.status }
        });
        let mut statuses = all(edits).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    }
    let verified = service.get("/admin/v1/audit/verify").await.json();
    assert_eq!(verified["sound"], true);
    assert_eq!(verified["entries"], 4 + 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_is_sent_again_is_made_once() {
    let service = Service::start();
    let ask = |key: &str, name: &str| {
        let ask = service
            .ask("POST", "/admin/v1/keys")
            .header("Idempotency-Key", key);
        ask.json(&json!({"name": name}))
    };
    let first = service.send(&ask("k1", "a")).await;
    let again = service.send(&ask("k1", "a")).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(first.header("etag"), again.header("etag"));
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
    let other = service.send(&ask("k1", "b")).await;
    assert_eq!(other.outcome(), (422, "idempotency_mismatch".to_owned()));
    // Somebody else's key of the same text is another one.
    let manager = service
        .send(&ask("k1", "b").with_key(&service.manager))
        .await;
    assert_eq!(manager.status, 201);
    // What failed can be put right under the same key.
    assert_eq!(service.send(&ask("k2", " ")).await.status, 400);
    assert_eq!(service.send(&ask("k2", "c")).await.status, 201);
    let long = "k".repeat(256);
    for bad_key in ["", &long] {
        assert_eq!(
            service.send(&ask(bad_key, "a")).await.outcome(),
            bad("invalid_header")
        );
    }
    let made = service.get("/admin/v1/keys?role=model").await.json();
    assert_eq!(made["data"].as_array().unwrap().len(), 1 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_post_at_once_is_made_once() {
    let service = Service::start();
    let ask = service
        .ask("POST", "/admin/v1/teams")
        .header("Idempotency-Key", "once");
    let ask = ask.json(&json!({"name": "only"}));
    let answers = all((0..8).map(|_| service.send(&ask))).await;
    for answer in &answers {
        let is_one = answer.status == 201 || answer.outcome() == (409, "in_progress".to_owned());
        assert!(is_one, "{}", answer.body);
    }
    let teams = service.get("/admin/v1/teams").await.json();
    assert_eq!(teams["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_no_other_site_may_read_an_answer() {
    let service = Service::start();
    let ask = service
        .ask("OPTIONS", "/admin/v1/keys")
        .header("Origin", "https://elsewhere.example");
    let ask = ask.header("Access-Control-Request-Method", "GET");
    let answer = service.send(&ask).await;
    assert_eq!(answer.status, 405);
    let ask = service
        .ask("GET", "/admin/v1/keys")
        .header("Origin", "https://elsewhere.example");
    let answer = service.send(&ask).await;
    assert!(
        answer
            .headers
            .iter()
            .all(|(name, _)| !name.starts_with("access-control"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served_as_it_is_committed() {
    let service = Service::start();
    let served = service.get("/admin/v1/openapi.json").await.json();
    let committed: Value =
        serde_json::from_str(include_str!("../../../../docs/openapi-admin.json")).unwrap();
    assert_eq!(served, committed);
}

/// Runs requests at once.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(|future| Some(Box::pin(future))).collect();
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (slot, out) in pending.iter_mut().zip(&mut done) {
            if let Some(future) = slot
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *out = Some(value);
                *slot = None;
            }
        }
        if pending.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
