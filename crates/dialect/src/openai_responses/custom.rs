//! Tools that only this dialect has, told as functions. A custom tool, which takes free text, is a function with
//! one text, `input`; a function of a namespace has the namespace in front of its name.

use crate::{
    EncodeOptions,
    ir::{Json as RawJson, raw_json},
    json::Json,
};

/// What must be told of the caller's tools when they are called.
#[derive(Clone, Debug, Default)]
pub(super) struct Peculiar {
    custom: Vec<String>,
    namespaces: Vec<String>,
}

impl Peculiar {
    pub(super) fn of_request(options: &EncodeOptions) -> Self {
        let tools = options.request.as_ref().and_then(|raw| raw.json("tools"));
        let mut found = Self::default();
        for tool in tools.into_iter().flat_map(Json::items) {
            let text = |field| Some(tool.field(field)?.as_str()?.into_owned());
            let Some(name) = text("name") else { continue };
            match text("type").as_deref() {
                Some("custom") => found.custom.push(name),
                Some("namespace") => found.namespaces.push(name),
                _ => {}
            }
        }
        found
    }

    pub(super) fn is_custom(&self, name: &str) -> bool {
        self.custom.iter().any(|custom| custom == name)
    }

    /// The namespace of a function, and its name in it.
    pub(super) fn namespace<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a str)> {
        self.namespaces.iter().find_map(|namespace| {
            let rest = name.strip_prefix(namespace.as_str())?;
            Some((namespace.as_str(), rest.strip_prefix(JOINT)?))
        })
    }
}

const JOINT: &str = "__";

/// The name of a namespace's function, as one name.
pub(super) fn joined(namespace: &str, name: &str) -> String {
    format!("{namespace}{JOINT}{name}")
}

/// The parameters of the function that stands for a custom tool.
pub(super) fn parameters() -> RawJson {
    raw_json(
        r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#,
    )
}

/// The input as the function's arguments.
pub(super) fn wrapped(input: &str) -> String {
    format!("{OPENING}{}{CLOSING}", escaped(input))
}

pub(super) const OPENING: &str = "{\"input\":\"";
pub(super) const CLOSING: &str = "\"}";

/// A piece of the input, as it stands inside of a JSON string.
pub(super) fn escaped(piece: &str) -> String {
    let quoted = serde_json::to_string(piece).unwrap_or_default();
    let inner = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

/// The input in the function's arguments; a model that writes something else is taken at its word.
pub(super) fn unwrapped(arguments: &str) -> String {
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(arguments).is_ok();
    let input = is_json
        .then(|| Json::new(arguments).field("input"))
        .flatten()
        .and_then(Json::as_str);
    input.map_or_else(|| arguments.to_owned(), std::borrow::Cow::into_owned)
}
