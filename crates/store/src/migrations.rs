//! The schema's history: each entry brings a database from one version to the next.

/// Statement batches; after entry `n` (counted from 1) the database's `user_version` is `n`. Entries are
/// never changed once released, only added.
pub(crate) const MIGRATIONS: &[&str] = &["CREATE TABLE keys (
        id         TEXT PRIMARY KEY,
        name       TEXT NOT NULL,
        role       TEXT NOT NULL CHECK (role IN ('model', 'admin')),
        digest     BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revoked_at INTEGER
    ) STRICT;"];

/// The version this program writes.
pub(crate) const CURRENT: u32 = 1;

const _: () = assert!(MIGRATIONS.len() == CURRENT as usize);
