//! What a translation could not carry.

/// One thing that the caller sent and the provider will not see, or will see otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The caller's field, as a path in the caller's dialect: `seed`, `messages[3].content[1].cache_control`.
    pub field: String,
    pub kind: LossKind,
    /// Why, in one short sentence.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// Left out.
    Dropped,
    /// Carried in another form, or with another value.
    Changed,
}
