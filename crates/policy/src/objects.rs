//! What callers leave at the gateway or make through it: stored responses, files, jobs. Each belongs to the
//! key that made it, and for any other key it does not exist.

use tollgate_base::{Error, Kind, Result, UnixMillis, quote};

/// What a kept object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A response of the Responses API: kept here whole, or at the provider that gave it.
    Response,
    /// A file at a provider.
    File,
    /// A fine-tuning job at a provider.
    Job,
    /// A conversation that responses are added to.
    Conversation,
    /// One item of a stored response's output, so that it can be referred to.
    Item,
    /// An attempt whose response its provider runs in the background: the body is the id of that response.
    Attempt,
}

/// One object. The store does not look into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub kind: ObjectKind,
    /// Unique within its kind.
    pub id: String,
    /// The key that it belongs to.
    pub key_id: String,
    /// The provider that has it; empty when it is kept here alone.
    pub provider: String,
    pub created_at: UnixMillis,
    /// JSON.
    pub body: String,
}

/// Where objects are kept.
pub trait ObjectStore: Send + Sync + std::fmt::Debug {
    /// Keeps an object; one with the same kind and id is replaced when it belongs to the same key and provider,
    /// and is a conflict otherwise.
    fn put_object(&self, object: &Object) -> Result<()>;
    fn object(&self, kind: ObjectKind, id: &str) -> Result<Option<Object>>;
    /// A key's objects of one kind, the newest first.
    fn objects(&self, kind: ObjectKind, key_id: &str) -> Result<Vec<Object>>;
    /// Whether there was one.
    fn delete_object(&self, kind: ObjectKind, id: &str) -> Result<bool>;
    /// Forgets the objects of one kind that are older. Returns how many.
    fn forget_objects(&self, kind: ObjectKind, older_than: UnixMillis) -> Result<u64>;
}

impl ObjectKind {
    /// The word for it in the store and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectKind::Response => "response",
            ObjectKind::File => "file",
            ObjectKind::Job => "fine-tuning job",
            ObjectKind::Conversation => "conversation",
            ObjectKind::Item => "item",
            ObjectKind::Attempt => "attempt",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [
            ObjectKind::Response,
            ObjectKind::File,
            ObjectKind::Job,
            ObjectKind::Conversation,
            ObjectKind::Item,
            ObjectKind::Attempt,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
    }
}

/// The refusal of an id that names another key's object already: providers choose ids, and two may choose alike.
pub fn taken(object: &Object) -> Error {
    let message = format!(
        "The provider gave the {} an id that another one has here: {}. Use one of the two providers alone.",
        object.kind.as_str(),
        quote(&object.id)
    );
    Error::new(Kind::Conflict, "conflict", message)
}

/// The object, when this key may see it. Another key's object is as unknown as one that never was.
pub fn owned(found: Option<Object>, kind: ObjectKind, id: &str, key_id: &str) -> Result<Object> {
    found
        .filter(|object| object.key_id == key_id)
        .ok_or_else(|| {
            let message = format!(
                "There is no {} {} that belongs to this key.",
                kind.as_str(),
                quote(id)
            );
            Error::new(Kind::NotFound, "not_found", message).with_should_retry(false)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_keys_object_is_as_unknown_as_one_that_never_was() {
        let object = Object {
            kind: ObjectKind::File,
            id: "file-1".to_owned(),
            key_id: "key_a".to_owned(),
            provider: "openai".to_owned(),
            created_at: UnixMillis(1),
            body: "{}".to_owned(),
        };
        let of = |found: Option<Object>, key: &str| owned(found, ObjectKind::File, "file-1", key);
        assert_eq!(of(Some(object.clone()), "key_a").unwrap(), object);
        let (foreign, absent) = (of(Some(object), "key_b"), of(None, "key_b"));
        assert_eq!(
            foreign.unwrap_err().message(),
            absent.unwrap_err().message()
        );
    }
}
