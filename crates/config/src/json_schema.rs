//! The JSON Schema of `tollgate.toml`, printed from the table, for editors.

use serde_json::{Map, Value};
use tollgate_catalog::Catalog;

use crate::draft::Draft;
use crate::schema::{
    ALERT_SETTINGS, BUDGET_SETTINGS, LIMIT_SETTINGS, PRICE_SETTINGS, PROVIDER_SETTINGS,
    ROUTE_SETTINGS, SECTIONS, SETTINGS, Setting,
};

/// `docs/tollgate.schema.json` (JSON Schema, draft 2020-12)
pub fn json_schema() -> String {
    let mut root = table("What `tollgate.toml` may hold.");
    for section in SECTIONS.iter().filter(|section| !section.path.is_empty()) {
        *at(&mut root, section.path) = table(section.doc);
    }
    let mut draft = Draft::default();
    for setting in SETTINGS {
        *at(&mut root, setting.path) = property(setting, &mut draft);
    }
    let mut provider = of_table(
        "A provider, under the name that targets use.",
        PROVIDER_SETTINGS,
    );
    let ids: Vec<&str> = Catalog::builtin()
        .providers()
        .iter()
        .map(|row| row.id.as_str())
        .collect();
    provider["properties"]["kind"]["enum"] = ids.into();
    let mut route = of_table(
        "A model name for callers, and what serves it.",
        ROUTE_SETTINGS,
    );
    route["properties"]["targets"]["minItems"] = 1.into();
    route["properties"]["targets"]["items"]["pattern"] = "^[^/]+/.+$".into();
    *at(&mut root, "providers") = named("Providers by name.", &provider);
    *at(&mut root, "routes") = named("Routes by the model name that callers use.", &route);
    let price = of_table("What a target costs.", PRICE_SETTINGS);
    *at(&mut root, "prices") = named(
        "Prices by target, as `provider/model` or `provider/*`.",
        &price,
    );
    let limit = of_table("A limit.", LIMIT_SETTINGS);
    *at(&mut root, "limits") = named("Limits by name.", &limit);
    let budget = of_table("A budget.", BUDGET_SETTINGS);
    *at(&mut root, "budgets") = named("Budgets by name.", &budget);
    let alert = of_table("Somebody who is told.", ALERT_SETTINGS);
    *at(&mut root, "alerts") = named("Channels of alerts by name.", &alert);
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "Tollgate settings".into();
    // The order must not depend on a feature that another crate switches on.
    root.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&root).expect("a JSON value has a text");
    text.push('\n');
    text
}

/// The schema of a table whose settings these are.
fn of_table<D: Default>(doc: &str, settings: &[Setting<D>]) -> Value {
    let mut schema = table(doc);
    for setting in settings {
        *at(&mut schema, setting.path) = property(setting, &mut D::default());
    }
    let required: Vec<&str> = settings
        .iter()
        .filter(|setting| setting.absent == "required")
        .map(|setting| setting.path)
        .collect();
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn property<D>(setting: &Setting<D>, draft: &mut D) -> Value {
    let mut schema = setting.kind.json_schema();
    schema["description"] = setting.doc.into();
    // TOML and JSON write these defaults alike: a text in quotes, a number, true or false.
    if setting.absent.is_empty()
        && let Some(default) = setting.kind.written(draft)
        && let Ok(default) = serde_json::from_str::<Value>(&default)
    {
        schema["default"] = default;
    }
    schema
}

fn table(doc: &str) -> Value {
    object([
        ("type", "object".into()),
        ("description", doc.into()),
        ("properties", object([])),
        ("additionalProperties", false.into()),
    ])
}

fn named(doc: &str, of: &Value) -> Value {
    object([
        ("type", "object".into()),
        ("description", doc.into()),
        ("additionalProperties", of.clone()),
    ])
}

/// The place of a dotted path among the properties of a table.
fn at<'v>(root: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('.').fold(root, |table, name| {
        let properties = table.as_object_mut().map(|table| {
            table
                .entry("properties")
                .or_insert_with(|| Value::Object(Map::new()))
        });
        match properties {
            Some(properties) => &mut properties[name],
            None => unreachable!("a section is a table before its settings are put into it"),
        }
    })
}

/// A JSON object.
pub(crate) fn object<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<Map<_, _>>()
        .into()
}
