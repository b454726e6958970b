//! Files that a request refers to: those that another key made through the gateway do not exist for this one.
//! Ids that the gateway does not know are the provider's to judge.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_base::Result;
use tollgate_dialect::{Mark, RawObject};
use tollgate_policy::{
    key::Caller,
    objects::{ObjectKind, owned},
};

use crate::gateway::Shared;

/// The fields that name files, in any dialect.
const FIELDS: [&str; 7] = [
    "file_id",
    "file_ids",
    "fileId",
    "training_file",
    "training_files",
    "validation_file",
    "validation_files",
];

/// Refuses a body that names a file of another key. Bodies that name none are not looked into.
pub(crate) fn check(shared: &Shared, caller: &Caller, raw: &RawObject) -> Result<()> {
    if !raw.marks().has(Mark::File) {
        return Ok(());
    }
    let Ok(value) = serde_json::from_slice::<Value>(raw.bytes()) else {
        return Ok(());
    };
    let mut ids = BTreeSet::new();
    collect(&value, &mut ids);
    for id in ids {
        let kind = ObjectKind::File;
        if let Some(object) = shared.objects.object(kind, id)? {
            owned(Some(object), kind, id, &caller.key_id)?;
        }
    }
    Ok(())
}

fn collect<'v>(value: &'v Value, ids: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if FIELDS.contains(&name.as_str()) {
                    strings(value, ids);
                }
                collect(value, ids);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, ids)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn strings<'v>(value: &'v Value, ids: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(id) => {
            ids.insert(id);
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, ids)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_wherever_they_are_named() {
        let body = r#"{"input":[{"content":[{"type":"input_file","file_id":"a"}]}],
            "tools":[{"container":{"file_ids":["b","c"]}}],
            "training_files":[{"file_id":"d","weight":1}],"validation_file":"e","note":"file_id"}"#;
        let value = serde_json::from_str(body).unwrap();
        let mut ids = BTreeSet::new();
        collect(&value, &mut ids);
        assert_eq!(ids.into_iter().collect::<String>(), "abcde");
    }
}
