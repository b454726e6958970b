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
    // Money is in nano-dollars, times in milliseconds since 1970. `place` is the order of arrival.
    "CREATE TABLE attempts (
        place          INTEGER PRIMARY KEY AUTOINCREMENT,
        request_id     TEXT NOT NULL,
        number         INTEGER NOT NULL,
        state          TEXT NOT NULL CHECK (state IN ('held', 'dispatched', 'settled', 'released', 'unknown')),
        at             INTEGER NOT NULL,
        key_id         TEXT NOT NULL,
        project_id     TEXT,
        team_id        TEXT,
        operation      TEXT NOT NULL,
        dialect        TEXT NOT NULL,
        route          TEXT NOT NULL,
        provider       TEXT NOT NULL,
        model          TEXT NOT NULL,
        stream         INTEGER NOT NULL,
        held           INTEGER,
        held_input     INTEGER NOT NULL,
        held_output    INTEGER NOT NULL,
        price_version  TEXT NOT NULL,
        tags           TEXT NOT NULL,
        settled_at     INTEGER,
        outcome        TEXT CHECK (outcome IN ('complete', 'failed', 'client_gone', 'cache_hit')),
        input          INTEGER,
        cache_read     INTEGER,
        cache_write    INTEGER,
        cache_write_1h INTEGER,
        audio_input    INTEGER,
        image_input    INTEGER,
        output         INTEGER,
        reasoning      INTEGER,
        audio_output   INTEGER,
        image_output   INTEGER,
        searches       INTEGER,
        images         INTEGER,
        audio_ms       INTEGER,
        characters     INTEGER,
        tier           TEXT,
        region         TEXT,
        provenance     TEXT,
        cost           INTEGER,
        unit_prices    TEXT,
        code           TEXT,
        first_event_ms INTEGER,
        duration_ms    INTEGER,
        lost_at        INTEGER,
        resolved_at    INTEGER,
        resolved_cost  INTEGER,
        UNIQUE (request_id, number),
        CHECK ((outcome IS NULL) = (settled_at IS NULL)),
        CHECK (state != 'settled' OR outcome IS NOT NULL OR resolved_cost IS NOT NULL)
    ) STRICT;
    CREATE INDEX attempts_by_time ON attempts (at);
    CREATE INDEX attempts_by_key ON attempts (key_id, at);
    CREATE INDEX attempts_open ON attempts (state) WHERE state IN ('held', 'dispatched', 'unknown');
    CREATE TABLE corrections (
        place         INTEGER PRIMARY KEY AUTOINCREMENT,
        request_id    TEXT NOT NULL,
        number        INTEGER NOT NULL,
        at            INTEGER NOT NULL,
        cost          INTEGER NOT NULL,
        price_version TEXT NOT NULL,
        unit_prices   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX corrections_by_attempt ON corrections (request_id, number, place);
    CREATE TABLE shipped (
        id     INTEGER PRIMARY KEY CHECK (id = 1),
        number INTEGER NOT NULL
    ) STRICT;
    INSERT INTO shipped (id, number) VALUES (1, 0);",
    // Accounts: records are JSON (`policy::account`), their changes are a chain of audit entries.
    "CREATE TABLE records (
        kind    TEXT NOT NULL,
        id      TEXT NOT NULL,
        version INTEGER NOT NULL,
        body    TEXT NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT;
    CREATE UNIQUE INDEX records_by_digest ON records (json_extract(body, '$.digest')) WHERE kind = 'key';
    INSERT INTO records (kind, id, version, body)
        SELECT 'key', id, 0, json_object(
            'name', name,
            'role', role,
            'admin_role', CASE role WHEN 'admin' THEN 'owner' END,
            'digest', lower(hex(digest)),
            'created_at', created_at,
            'expires_at', expires_at,
            'revoked_at', revoked_at)
        FROM keys;
    DROP TABLE keys;
    CREATE TABLE key_uses (
        key_id TEXT PRIMARY KEY,
        at     INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        number   INTEGER PRIMARY KEY,
        at       INTEGER NOT NULL,
        actor    TEXT NOT NULL,
        action   TEXT NOT NULL,
        object   TEXT NOT NULL,
        before   TEXT,
        after    TEXT,
        previous BLOB NOT NULL CHECK (length(previous) = 32),
        seal     BLOB NOT NULL CHECK (length(seal) = 32)
    ) STRICT;
    CREATE TRIGGER audit_is_not_edited BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
    CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
    CREATE TABLE audit_head (
        one    INTEGER PRIMARY KEY CHECK (one = 1),
        number INTEGER NOT NULL,
        seal   BLOB NOT NULL CHECK (length(seal) = 32)
    ) STRICT;
    INSERT INTO audit_head (one, number, seal) VALUES (1, 0, zeroblob(32));",
    // `IN` with more than two values builds a tree of them for every row that is written: a third of its time.
    "DROP INDEX attempts_by_time;
    DROP INDEX attempts_by_key;
    DROP INDEX attempts_open;
    ALTER TABLE attempts RENAME TO attempts_before;
    CREATE TABLE attempts (
        place          INTEGER PRIMARY KEY AUTOINCREMENT,
        request_id     TEXT NOT NULL,
        number         INTEGER NOT NULL,
        state          TEXT NOT NULL CHECK (state = 'held' OR state = 'dispatched' OR state = 'settled'
                        OR state = 'released' OR state = 'unknown'),
        at             INTEGER NOT NULL,
        key_id         TEXT NOT NULL,
        project_id     TEXT,
        team_id        TEXT,
        operation      TEXT NOT NULL,
        dialect        TEXT NOT NULL,
        route          TEXT NOT NULL,
        provider       TEXT NOT NULL,
        model          TEXT NOT NULL,
        stream         INTEGER NOT NULL,
        held           INTEGER,
        held_input     INTEGER NOT NULL,
        held_output    INTEGER NOT NULL,
        price_version  TEXT NOT NULL,
        tags           TEXT NOT NULL,
        settled_at     INTEGER,
        outcome        TEXT CHECK (outcome = 'complete' OR outcome = 'failed' OR outcome = 'client_gone'
                        OR outcome = 'cache_hit'),
        input          INTEGER,
        cache_read     INTEGER,
        cache_write    INTEGER,
        cache_write_1h INTEGER,
        audio_input    INTEGER,
        image_input    INTEGER,
        output         INTEGER,
        reasoning      INTEGER,
        audio_output   INTEGER,
        image_output   INTEGER,
        searches       INTEGER,
        images         INTEGER,
        audio_ms       INTEGER,
        characters     INTEGER,
        tier           TEXT,
        region         TEXT,
        provenance     TEXT,
        cost           INTEGER,
        unit_prices    TEXT,
        code           TEXT,
        first_event_ms INTEGER,
        duration_ms    INTEGER,
        lost_at        INTEGER,
        resolved_at    INTEGER,
        resolved_cost  INTEGER,
        UNIQUE (request_id, number),
        CHECK ((outcome IS NULL) = (settled_at IS NULL)),
        CHECK (state != 'settled' OR outcome IS NOT NULL OR resolved_cost IS NOT NULL)
    ) STRICT;
    CREATE INDEX attempts_by_time ON attempts (at);
    CREATE INDEX attempts_by_key ON attempts (key_id, at);
    CREATE INDEX attempts_open ON attempts (state) WHERE settled_at IS NULL;
    INSERT INTO attempts SELECT * FROM attempts_before;
    DROP TABLE attempts_before;",
];

/// The version this program writes.
pub(crate) const CURRENT: u32 = 5;

const _: () = assert!(MIGRATIONS.len() == CURRENT as usize);
