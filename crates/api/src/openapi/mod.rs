//! The OpenAPI 3.1 document, made of the table of routes.
#![expect(
    clippy::disallowed_methods,
    reason = "a document is written as values, by a macro that goes through them"
)]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    routes::{Answer, ROUTES, Route},
    schema::{Field, Kind, Need, Shape},
};

/// The document.
pub fn openapi() -> Value {
    let mut shapes = BTreeMap::new();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        for shape in [route.request, answer_shape(route.answer)]
            .into_iter()
            .flatten()
        {
            collect(shape, &mut shapes);
        }
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation(route);
    }
    let mut schemas: Map<String, Value> = shapes
        .into_values()
        .map(|shape| (shape.name.to_owned(), object(shape)))
        .collect();
    schemas.insert("Error".to_owned(), error());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate admin API",
            "version": "1",
            "description": "Keys, teams, projects, budgets, limits, usage, prices, the ledger and the audit log. \
                Every request needs an admin key. Amounts are JSON numbers of dollars with at most nine decimals: \
                read them as decimals, not as floating-point numbers.",
        },
        "security": [{"admin_key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "admin_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An admin key, `sk-tga-…`.",
                },
            },
            "schemas": schemas,
        },
    });
    // Whether maps keep their order is decided by what else is in the binary.
    document.sort_all_objects();
    document
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": format!("{:?}", route.endpoint),
        "summary": route.summary,
        "x-tollgate-permission": format!("{:?}", route.permission),
        "parameters": parameters(route),
        "responses": responses(route),
    });
    if let Some(shape) = route.request {
        let needs_body = shape
            .fields
            .iter()
            .any(|field| field.need == Need::Required);
        operation["requestBody"] = json!({
            "required": needs_body,
            "content": {"application/json": {"schema": reference(shape)}},
        });
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    let header = |name: &str, is_required: bool, doc: &str| {
        json!({
            "name": name, "in": "header", "required": is_required, "description": doc, "schema": {"type": "string"},
        })
    };
    if route.path.contains("{id}") {
        parameters.push(json!({
            "name": "id", "in": "path", "required": true, "description": "Its id.", "schema": {"type": "string"},
        }));
    }
    if route.needs_version() {
        parameters.push(header(
            "If-Match",
            true,
            "The `ETag` of the object as it was read; `*` takes any.",
        ));
    }
    if route.method == "POST" {
        let doc = "Any text of at most 255 characters. The same request with the same text within a day is made \
                   once, and gets the same answer.";
        parameters.push(header("Idempotency-Key", false, doc));
    }
    parameters.extend(route.query.iter().map(|field| {
        json!({
            "name": field.name, "in": "query", "required": false, "description": field.doc,
            "schema": kind(field.kind),
        })
    }));
    parameters
}

fn responses(route: &Route) -> Value {
    let content = |shape: &Shape| json!({"application/json": {"schema": reference(shape)}});
    let (status, mut response) = match route.answer {
        Answer::Nothing => ("204", json!({"description": "Done."})),
        Answer::Created(shape) => (
            "201",
            json!({"description": shape.doc, "content": content(shape)}),
        ),
        Answer::Object(shape) => (
            "200",
            json!({"description": shape.doc, "content": content(shape)}),
        ),
        Answer::Table(shape) => {
            let mut content = content(shape);
            content["text/csv"] = json!({"schema": {"type": "string"}});
            ("200", json!({"description": shape.doc, "content": content}))
        }
        Answer::Document => {
            let content = json!({"application/json": {"schema": {"type": "object"}}});
            (
                "200",
                json!({"description": "The document.", "content": content}),
            )
        }
    };
    let has_version = answer_shape(route.answer).is_some_and(|shape| {
        shape
            .fields
            .iter()
            .any(|field| field.name == "version" || field.name == "key")
    });
    if has_version && !matches!(route.answer, Answer::Table(_)) {
        response["headers"] = json!({
            "ETag": {"description": "The object's version.", "schema": {"type": "string"}},
        });
    }
    json!({
        status: response,
        "default": {
            "description": "What is wrong.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        },
    })
}

fn answer_shape(answer: Answer) -> Option<&'static Shape> {
    match answer {
        Answer::Object(shape) | Answer::Table(shape) | Answer::Created(shape) => Some(shape),
        Answer::Nothing | Answer::Document => None,
    }
}

fn collect(shape: &'static Shape, into: &mut BTreeMap<&'static str, &'static Shape>) {
    into.insert(shape.name, shape);
    for field in shape.fields {
        if let Kind::Object(inner) | Kind::List(inner) = field.kind {
            collect(inner, into);
        }
    }
}

fn object(shape: &Shape) -> Value {
    let is_answer = shape.about.is_none();
    let properties: Map<String, Value> = shape
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), property(field)))
        .collect();
    let is_there = |field: &&Field| {
        field.need == Need::Required
            || (is_answer && field.need == Need::Nullable && is_only_answered(shape))
    };
    let required: Vec<_> = shape
        .fields
        .iter()
        .filter(is_there)
        .map(|field| field.name)
        .collect();
    json!({
        "type": "object",
        "description": shape.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Whether no request has this shape: its nullable fields are always there then.
fn is_only_answered(shape: &Shape) -> bool {
    let is_asked = |asked: &Shape| {
        asked == shape
            || asked
                .fields
                .iter()
                .any(|field| matches!(field.kind, Kind::Object(inner) | Kind::List(inner) if inner == shape))
    };
    !ROUTES
        .iter()
        .filter_map(|route| route.request)
        .any(is_asked)
}

fn property(field: &Field) -> Value {
    let schema = kind(field.kind);
    let mut property = if field.need == Need::Nullable {
        json!({"anyOf": [schema, {"type": "null"}]})
    } else {
        schema
    };
    property["description"] = Value::from(field.doc);
    property
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Word(words) => json!({"type": "string", "enum": words}),
        Kind::Whole(from, u64::MAX) => json!({"type": "integer", "minimum": from}),
        Kind::Whole(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Amount => json!({"type": "number", "minimum": 0}),
        Kind::SignedAmount => json!({"type": "number"}),
        Kind::Time => json!({"type": "string", "format": "date-time"}),
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Wholes(from, to) => {
            json!({"type": "array", "items": {"type": "integer", "minimum": from, "maximum": to}})
        }
        Kind::Object(shape) => reference(shape),
        Kind::List(shape) => json!({"type": "array", "items": reference(shape)}),
        Kind::Texted => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Kind::Any => json!({"type": "object"}),
    }
}

fn reference(shape: &Shape) -> Value {
    json!({"$ref": format!("#/components/schemas/{}", shape.name)})
}

fn error() -> Value {
    json!({
        "type": "object",
        "description": "What is wrong. `code` stays the same, `message` is for people.",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
                "required": ["message", "type", "param", "code"],
            },
        },
        "required": ["error"],
    })
}

#[cfg(test)]
mod tests;
