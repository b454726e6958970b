//! Whom a limit or a budget is for.

use std::{fmt, ops::Deref, sync::Arc};

/// One of the circles that a call lies in. A limit or a budget of a scope covers every call that lies in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Everything.
    Gateway,
    /// A team, by its id.
    Team(String),
    /// A project, by its id.
    Project(String),
    /// A key, by its id.
    Key(String),
    /// A model: a name that callers use, or a target (`provider/model`).
    Model(String),
    /// A provider, by its configured name: the credential that is spent.
    Provider(String),
}

/// Every circle that a call lies in, shared by all that remembers the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Arc<[Scope]>);

// === impl Scope, impl Scopes ===

impl Scope {
    /// Reads `gateway`, or a kind and a name: `team:…`, `project:…`, `key:…`, `model:…`, `provider:…`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "gateway" {
            return Some(Scope::Gateway);
        }
        let (kind, name) = text.split_once(':')?;
        if name.is_empty() {
            return None;
        }
        let name = name.to_owned();
        match kind {
            "team" => Some(Scope::Team(name)),
            "project" => Some(Scope::Project(name)),
            "key" => Some(Scope::Key(name)),
            "model" => Some(Scope::Model(name)),
            "provider" => Some(Scope::Provider(name)),
            _ => None,
        }
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(scopes: Vec<Scope>) -> Self {
        Self(scopes.into())
    }
}

impl Deref for Scopes {
    type Target = [Scope];

    fn deref(&self) -> &[Scope] {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Gateway => f.write_str("gateway"),
            Scope::Team(id) => write!(f, "team:{id}"),
            Scope::Project(id) => write!(f, "project:{id}"),
            Scope::Key(id) => write!(f, "key:{id}"),
            Scope::Model(name) => write!(f, "model:{name}"),
            Scope::Provider(name) => write!(f, "provider:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for text in [
            "gateway",
            "team:team_1",
            "project:p",
            "key:key_1",
            "model:openai/gpt-4o",
            "model:lab/a:b",
            "provider:openai",
        ] {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "team", "team:", "user:x", "Gateway", "gateway:x"] {
            assert_eq!(Scope::parse(bad), None, "{bad}");
        }
    }
}
