//! Who may do what (reliability, A5 and A7): every role on every route, every field of every request, ids that
//! lead nowhere. All of it comes from the table of routes; a new one is tested without a line here.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tollgate_api::{Kind, ROUTES, Route, Shape};
use tollgate_policy::key::{AdminRole, Permission};

use crate::support::{Answer, Ask, Service};

/// An id that nothing has.
const NOBODY: &str = "key_00000000000000000000";

fn path_of(route: &Route) -> String {
    route.path.replace("{id}", NOBODY)
}

/// A request that is right but for its id.
fn ask(service: &Service, route: &Route) -> Ask {
    let mut ask = service.ask(route.method, &path_of(route));
    if route.needs_version() {
        ask = ask.header("If-Match", "*");
    }
    match route.request {
        Some(shape) => ask.json(&sample(shape)),
        None => ask,
    }
}

/// A request with every field, each of its kind.
fn sample(shape: &Shape) -> Value {
    let fields = shape.fields.iter().map(|field| {
        let value = match (field.name, field.kind) {
            ("scope", _) => json!("gateway"),
            ("role", _) => json!("model"),
            ("zone", _) => json!("UTC"),
            ("until" | "expires_at" | "to", _) => json!("2090-01-01T00:00:00Z"),
            ("models", _) => json!(["openai/*"]),
            ("operations", _) => json!(["generation"]),
            ("sources", _) => json!(["127.0.0.0/8"]),
            ("scopes", _) => json!(["gateway"]),
            ("admin_role" | "project_id" | "team_id" | "key_id", _) => Value::Null,
            ("model", _) => json!("openai/gold"),
            ("at_hold", _) => json!(false),
            (_, Kind::Text) => json!("a text"),
            (_, Kind::Word(words)) => json!(words[0]),
            (_, Kind::Whole(from, _)) => json!(from.max(1)),
            (_, Kind::Bool) => json!(true),
            (_, Kind::Amount | Kind::SignedAmount) => json!(1),
            (_, Kind::Time) => json!("2026-01-01T00:00:00Z"),
            (_, Kind::Wholes(from, _)) => json!([from]),
            (_, Kind::Object(inner)) => sample(inner),
            (_, Kind::Texts | Kind::List(_)) => json!([]),
            (_, Kind::Texted | Kind::Any) => json!({}),
        };
        (field.name.to_owned(), value)
    });
    // What cannot be null stays out where this sample has nothing for it.
    let known = fields.filter(|(name, value)| {
        let field = shape.fields.iter().find(|field| field.name == name);
        !value.is_null() || field.is_some_and(|field| field.need == tollgate_api::Need::Nullable)
    });
    Value::Object(known.collect::<Map<_, _>>())
}

fn is_refused_by_role(answer: &Answer) -> bool {
    answer.outcome() == (403, "role_not_allowed".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_each_role_may_use_exactly_the_routes_that_the_table_gives_it() {
    let service = Service::start();
    let mut allowed = BTreeSet::new();
    for role in AdminRole::ALL {
        for route in ROUTES {
            let ask = ask(&service, route).with_key(service.key_of(role));
            let answer = service.send(&ask).await;
            let at = format!("{} {} as {}", route.method, route.path, role.as_str());
            assert_ne!(answer.status, 500, "{at}: {}", answer.body);
            assert_ne!(answer.status, 401, "{at}: {}", answer.body);
            if !is_refused_by_role(&answer) {
                allowed.insert((role.as_str(), route.method, route.path));
            }
        }
    }
    let table = AdminRole::ALL.into_iter().flat_map(|role| {
        let may = ROUTES
            .iter()
            .filter(move |route| role.may(route.permission));
        may.map(move |route| (role.as_str(), route.method, route.path))
    });
    assert_eq!(allowed, table.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_a_model_key_and_no_key_get_nowhere() {
    let service = Service::start();
    for route in ROUTES {
        let request = ask(&service, route);
        let answer = service
            .send(&request.clone().with_key(&service.model_key))
            .await;
        assert_eq!(
            answer.outcome(),
            (403, "route_not_allowed".to_owned()),
            "{}",
            route.path
        );
        let nobody = tollgate_base::Secret::new("sk-tga-nobody");
        let answer = service.send(&request.with_key(&nobody)).await;
        assert_eq!(
            answer.outcome(),
            (401, "invalid_api_key".to_owned()),
            "{}",
            route.path
        );
        assert!(answer.header("www-authenticate").is_some());
    }
    let generation = service.desk.generation().unwrap();
    assert_eq!(generation, 4, "only the keys of the test were made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_each_field_is_written_by_exactly_the_roles_that_may_use_its_route() {
    let service = Service::start();
    let mut cells = 0;
    for role in AdminRole::ALL {
        for route in ROUTES {
            let Some(shape) = route.request else { continue };
            let Value::Object(sample) = sample(shape) else {
                continue;
            };
            for field in shape.fields {
                // The fields that are needed, and this one.
                let fields: Map<_, _> = sample
                    .iter()
                    .filter(|(name, _)| {
                        let known = shape.fields.iter().find(|known| known.name == *name);
                        *name == field.name
                            || known.is_some_and(|known| known.need == tollgate_api::Need::Required)
                    })
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                let request = ask(&service, route).with_key(service.key_of(role));
                let mut request = request.text("");
                request = request.text(&Value::Object(fields).to_string());
                let answer = service.send(&request).await;
                let at = format!(
                    "{} {} {} as {}",
                    route.method,
                    route.path,
                    field.name,
                    role.as_str()
                );
                assert_eq!(
                    is_refused_by_role(&answer),
                    !role.may(route.permission),
                    "{at}: {}",
                    answer.body
                );
                assert_ne!(answer.code(), "unknown_field", "{at}: {}", answer.body);
                assert_ne!(answer.status, 500, "{at}: {}", answer.body);
                cells += 1;
            }
        }
    }
    assert!(cells > 100, "{cells}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_only_owners_make_or_change_admin_keys() {
    let service = Service::start();
    let admin = json!({"name": "x", "role": "admin", "admin_role": "viewer"});
    let viewer = format!("/admin/v1/keys/{}", service.admin_ids["viewer"]);
    let ways = [
        service.ask("POST", "/admin/v1/keys").json(&admin),
        service
            .ask("PATCH", &viewer)
            .header("If-Match", "*")
            .json(&json!({"admin_role": "owner"})),
        service
            .ask("PATCH", &viewer)
            .header("If-Match", "*")
            .json(&json!({"name": "y"})),
        service.ask("POST", &format!("{viewer}/rotate")),
        service.ask("POST", &format!("{viewer}/disable")),
        service.ask("POST", &format!("{viewer}/enable")),
        service.ask("POST", &format!("{viewer}/revoke")),
        service.ask("DELETE", &viewer).header("If-Match", "*"),
    ];
    let before = service.desk.generation().unwrap();
    for way in &ways {
        for key in [&service.manager, &service.viewer] {
            let answer = service.send(&way.clone().with_key(key)).await;
            assert!(is_refused_by_role(&answer), "{way:?}: {}", answer.body);
        }
    }
    assert_eq!(
        service.desk.generation().unwrap(),
        before,
        "nothing was changed"
    );
    for way in &ways {
        let answer = service.send(way).await;
        assert!(answer.status < 300, "{way:?}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_p06_an_id_that_leads_nowhere_is_404_whatever_it_is_and_changes_nothing() {
    let service = Service::start();
    let team = service
        .post("/admin/v1/teams", &json!({"name": "t"}))
        .await
        .json();
    let gone = service
        .post("/admin/v1/teams", &json!({"name": "gone"}))
        .await
        .json();
    let gone = gone["id"].as_str().unwrap();
    let path = format!("/admin/v1/teams/{gone}");
    assert_eq!(
        service.change("DELETE", &path, &Value::Null).await.status,
        204
    );
    let before = service.desk.generation().unwrap();
    // Of another kind, deleted, unknown, and things that are no ids.
    let of_others = [
        team["id"].as_str().unwrap(),
        gone,
        NOBODY,
        "1",
        "%27%20OR%201=1",
        "..%2Fkeys",
        "%00",
    ];
    for route in ROUTES.iter().filter(|route| route.path.contains("{id}")) {
        for id in of_others {
            if route.path.starts_with("/admin/v1/teams") && id == of_others[0] {
                continue;
            }
            let mut ask = service.ask(route.method, &route.path.replace("{id}", id));
            if route.needs_version() {
                ask = ask.header("If-Match", "*");
            }
            if let Some(shape) = route.request {
                ask = ask.json(&sample(shape));
            }
            let answer = service.send(&ask).await;
            let at = format!("{} {} {id}", route.method, route.path);
            assert_eq!(
                answer.outcome(),
                (404, "not_found".to_owned()),
                "{at}: {}",
                answer.body
            );
        }
    }
    assert_eq!(
        service.desk.generation().unwrap(),
        before,
        "nothing was changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p22_p15_what_the_table_does_not_have_is_405_and_says_what_there_is() {
    let service = Service::start();
    for path in ROUTES
        .iter()
        .map(|route| route.path)
        .collect::<BTreeSet<_>>()
    {
        let methods: BTreeSet<_> = ROUTES
            .iter()
            .filter(|route| route.path == path)
            .map(|route| route.method)
            .collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            if methods.contains(method) {
                continue;
            }
            let ask = service.ask(method, &path.replace("{id}", NOBODY));
            let answer = service.send(&ask).await;
            // A longer path may be the id of a shorter one: `/audit/verify`.
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.body);
            assert_eq!(answer.code(), "method_not_allowed");
            assert!(answer.header("allow").is_some(), "{method} {path}");
        }
    }
    for path in [
        "/admin/v1/attempts/req_1-1",
        "/admin/v1/audit",
        "/admin/v1/usage",
    ] {
        for method in ["DELETE", "PATCH", "PUT"] {
            let answer = service.send(&service.ask(method, path)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
    let writes =
        |route: &&Route| !matches!(route.permission, Permission::Read | Permission::ReadAudit);
    assert!(
        ROUTES
            .iter()
            .filter(writes)
            .all(|route| route.method != "GET")
    );
    for path in [
        "/admin",
        "/admin/",
        "/admin/v1",
        "/admin/v1/keys/",
        "/admin/v2/keys",
        "/admin/v1/keys/a/b",
    ] {
        assert_eq!(service.get(path).await.outcome().0, 404, "{path}");
    }
}
