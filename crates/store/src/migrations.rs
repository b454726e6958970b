//! The schema's history: each entry brings a database from one version to the next.

/// Statement batches; after entry `n` (counted from 1) the database's `user_version` is `n`. Entries are
/// never changed once released, only added.
pub(crate) const MIGRATIONS: &[&str] = &[
    "CREATE TABLE keys (
        id         TEXT PRIMARY KEY,
        name       TEXT NOT NULL,
        role       TEXT NOT NULL CHECK (role IN ('model', 'admin')),
        digest     BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revoked_at INTEGER
    ) STRICT;",
    "CREATE TABLE objects (
        kind       TEXT NOT NULL,
        id         TEXT NOT NULL,
        key_id     TEXT NOT NULL,
        provider   TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        body       TEXT NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT;
    CREATE INDEX objects_by_key ON objects (kind, key_id, created_at);
    CREATE INDEX objects_by_age ON objects (kind, created_at);",
];

/// The version this program writes.
pub(crate) const CURRENT: u32 = 2;

const _: () = assert!(MIGRATIONS.len() == CURRENT as usize);
