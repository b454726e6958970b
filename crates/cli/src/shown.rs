//! Records of the accounts as the command line shows them: JSON for programs, lines of fields for people.

use serde_json::{Map, Value};
use tollgate_base::UnixMillis;
use tollgate_policy::{
    account::{Accounts, Record},
    scope::Scope,
};

use crate::{table::plain, terminal::data, time};

/// A record as a JSON object with its id.
pub(crate) fn object(record: &Record) -> Map<String, Value> {
    let mut object =
        serde_json::from_str::<Map<String, Value>>(&record.to_shown()).unwrap_or_default();
    object.insert("id".to_owned(), Value::from(record.id()));
    object
}

/// Prints one object: as JSON, or a field on each line.
pub(crate) fn print(object: Map<String, Value>, json: bool) {
    data(&if json {
        Value::Object(object).to_string()
    } else {
        fields(&object)
    });
}

/// Prints objects as a JSON array.
pub(crate) fn print_all(objects: Vec<Map<String, Value>>) {
    data(&Value::Array(objects.into_iter().map(Value::Object).collect()).to_string());
}

/// The fields that hold something, the id first.
fn fields(object: &Map<String, Value>) -> String {
    let width = object.keys().map(String::len).max().unwrap_or(0);
    let first = object.iter().filter(|(name, _)| *name == "id");
    let others = object.iter().filter(|(name, _)| *name != "id");
    let lines = first.chain(others).filter_map(|(name, value)| {
        let text = text(name, value)?;
        Some(format!("{name:width$}  {text}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn text(name: &str, value: &Value) -> Option<String> {
    let is_time = name.ends_with("_at") || name == "until" || name == "from";
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(plain(text)),
        Value::Number(number) if is_time => Some(time::shown(UnixMillis(number.as_u64()?))),
        Value::Bool(is) => Some(if *is { "yes" } else { "no" }.to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(
            items
                .iter()
                .filter_map(|item| text("", item))
                .collect::<Vec<_>>()
                .join(", "),
        ),
        Value::Object(object) => {
            let parts = object
                .iter()
                .filter_map(|(name, value)| Some(format!("{name} {}", text(name, value)?)));
            Some(parts.collect::<Vec<_>>().join(" "))
        }
    }
}

/// A scope as people read it: the name beside the id.
pub(crate) fn scope(accounts: &Accounts, scope: &Scope) -> String {
    let name = match scope {
        Scope::Key(id) => accounts.keys.get(id).map(|key| &key.value.name),
        Scope::Team(id) => accounts.teams.get(id).map(|team| &team.value.name),
        Scope::Project(id) => accounts.projects.get(id).map(|it| &it.value.name),
        Scope::Gateway | Scope::Model(_) | Scope::Provider(_) => None,
    };
    let scope = plain(&scope.to_string());
    match name {
        Some(name) => format!("{scope} ({})", plain(name)),
        None => scope,
    }
}
