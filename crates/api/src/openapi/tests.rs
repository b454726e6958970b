//! The committed files are those that the table makes (`TOLLGATE_BLESS=1` writes them), and the document is a
//! sound one.

use std::{collections::BTreeSet, path::Path};

use super::*;

fn committed(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/{name} is not what the table says: run TOLLGATE_BLESS=1 cargo test -p tollgate-api"
    );
}

#[test]
fn the_document_is_the_table() {
    let text = serde_json::to_string_pretty(&openapi()).unwrap();
    committed("openapi-admin.json", &(text + "\n"));
}

#[test]
fn the_reference_is_the_table() {
    committed("admin-api.md", &crate::reference());
}

#[test]
fn each_route_is_in_the_document_and_the_document_has_no_other() {
    let document = openapi();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(documented, routes);
}

/// What the OpenAPI 3.1 specification demands of the parts that are used here
/// (<https://spec.openapis.org/oas/v3.1.0>).
#[test]
fn the_document_is_sound_openapi() {
    let document = openapi();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(
                ["get", "post", "put", "patch", "delete"].contains(&method.as_str()),
                "{at}"
            );
            assert!(
                operations.insert(operation["operationId"].to_string()),
                "{at}"
            );
            let parameters = operation["parameters"].as_array().unwrap();
            let in_path = parameters.iter().filter(|one| one["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{at}");
            let mut names = BTreeSet::new();
            for parameter in parameters {
                assert!(names.insert(parameter["name"].to_string()), "{at}");
                assert!(parameter["schema"].is_object(), "{at}");
                assert!(
                    parameter["in"] != "path" || parameter["required"] == true,
                    "{at}"
                );
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(status == "default" || status.parse::<u16>().is_ok(), "{at}");
                assert!(response["description"].is_string(), "{at}");
            }
            assert!(
                method != "get" || operation["requestBody"].is_null(),
                "{at}"
            );
        }
    }
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    let known: BTreeSet<_> = schemas
        .keys()
        .map(|name| format!("#/components/schemas/{name}"))
        .collect();
    assert_eq!(
        references, known,
        "every schema is used, and every one that is used is there"
    );
    for (name, schema) in schemas {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
        let required = schema["required"].as_array().unwrap();
        for field in required {
            let field = field.as_str().unwrap();
            assert!(schema["properties"][field].is_object(), "{name}.{field}");
        }
    }
}

fn collect_references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                into.insert(reference.clone());
            }
            object
                .values()
                .for_each(|inner| collect_references(inner, into));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|inner| collect_references(inner, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_field_is_described_by_a_sentence() {
    for route in ROUTES {
        let shapes = [route.request, answer_shape(route.answer)];
        let fields = shapes.into_iter().flatten().flat_map(|shape| shape.fields);
        for field in fields.chain(route.query) {
            assert!(
                field.doc.ends_with(['.', '…']),
                "{}: {}",
                route.path,
                field.name
            );
        }
    }
}
