//! The default store: one SQLite file in the data folder.

mod accounts;
mod ledger;

pub use ledger::SqliteLedger;

use std::{fmt, fs, path::Path};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};
use tollgate_base::{Error, Kind, Result, UnixMillis, crash_point};
use tollgate_policy::objects::{self, Object, ObjectKind, ObjectStore};

use crate::migrations::{CURRENT, MIGRATIONS};

#[derive(Debug)]
pub struct SqliteStore {
    connection: Mutex<Connection>,
}

/// Why a database cannot be used. The message names the file and what to do.
#[derive(Debug)]
pub enum OpenError {
    /// The file or its folder cannot be read or written.
    Unusable(String),
    /// The file was written by a newer version of the program.
    Newer(String),
    /// The file is no database, or a damaged one.
    Damaged(String),
}

impl SqliteStore {
    /// The name of the database file in the data folder.
    pub const FILE: &str = "tollgate.db";

    /// Opens the database in `folder`, creating both when missing, and brings its schema up to date.
    ///
    /// A database with a newer schema is refused and not touched.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Ok(Self {
            connection: Mutex::new(connect(folder)?),
        })
    }
}

/// A connection to the database in `folder`, made and brought up to date if need be.
fn connect(folder: &Path) -> Result<Connection, OpenError> {
    create_private(folder).map_err(|error| {
        OpenError::Unusable(format!("Cannot create {}: {error}.", folder.display()))
    })?;
    let path = folder.join(SqliteStore::FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(&path, flags).map_err(|error| classify(&path, &error))?;
    prepare(&mut connection, &path)?;
    Ok(connection)
}

/// Only the owner may look into a folder that we make.
fn create_private(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let classify = |error| classify(path, &error);
    // Two processes that start at once wait for each other's migration.
    connection
        .busy_timeout(std::time::Duration::from_secs(5))
        .map_err(classify)?;
    // A commit survives the death of the process in WAL mode, and with FULL also the loss of power.
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(classify)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(classify)?;
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(classify)?;
    let version: u32 = transaction
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(classify)?;
    if version > CURRENT {
        return Err(OpenError::Newer(format!(
            "{} has schema version {version}; this program knows up to {CURRENT}. \
             Start the newer version of Tollgate, or use another folder with --data.",
            path.display()
        )));
    }
    for batch in MIGRATIONS.iter().skip(version as usize) {
        transaction.execute_batch(batch).map_err(classify)?;
        crash_point("migrate-step");
    }
    if version < CURRENT {
        transaction
            .pragma_update(None, "user_version", CURRENT)
            .map_err(classify)?;
    }
    transaction.commit().map_err(classify)
}

fn classify(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Damaged(format!(
            "{path} is not a usable database ({error}). Restore it from a backup, or use another folder with --data."
        )),
        _ => OpenError::Unusable(format!(
            "Cannot use {path}: {error}. Check its owner and rights, or use another folder with --data."
        )),
    }
}

impl ObjectStore for SqliteStore {
    fn put_object(&self, object: &Object) -> Result<()> {
        let put = self.connection.lock().execute(
            "INSERT INTO objects (kind, id, key_id, provider, created_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (kind, id) DO UPDATE SET created_at = excluded.created_at, body = excluded.body
             WHERE key_id = excluded.key_id AND provider = excluded.provider",
            params![
                object.kind.as_str(),
                object.id,
                object.key_id,
                object.provider,
                sql_time(object.created_at),
                object.body,
            ],
        );
        match put {
            Ok(0) => Err(objects::taken(object)),
            Ok(_) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn object(&self, kind: ObjectKind, id: &str) -> Result<Option<Object>> {
        let connection = self.connection.lock();
        let mut statement = connection
            .prepare("SELECT * FROM objects WHERE kind = ?1 AND id = ?2")
            .map_err(|error| unavailable(&error))?;
        let found = statement.query_row(params![kind.as_str(), id], read_object);
        match found {
            Ok(object) => Ok(Some(object)),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn objects(&self, kind: ObjectKind, key_id: &str) -> Result<Vec<Object>> {
        let connection = self.connection.lock();
        let mut statement = connection
            .prepare(
                "SELECT * FROM objects WHERE kind = ?1 AND key_id = ?2 ORDER BY created_at DESC, rowid DESC",
            )
            .map_err(|error| unavailable(&error))?;
        let rows = statement
            .query_map(params![kind.as_str(), key_id], read_object)
            .map_err(|error| unavailable(&error))?;
        rows.collect::<rusqlite::Result<_>>()
            .map_err(|error| unavailable(&error))
    }

    fn delete_object(&self, kind: ObjectKind, id: &str) -> Result<bool> {
        let deleted = self.connection.lock().execute(
            "DELETE FROM objects WHERE kind = ?1 AND id = ?2",
            params![kind.as_str(), id],
        );
        deleted.map(|n| n > 0).map_err(|error| unavailable(&error))
    }

    fn forget_objects(&self, kind: ObjectKind, older_than: UnixMillis) -> Result<u64> {
        let forgotten = self.connection.lock().execute(
            "DELETE FROM objects WHERE kind = ?1 AND created_at < ?2",
            params![kind.as_str(), sql_time(older_than)],
        );
        forgotten
            .map(|n| n as u64)
            .map_err(|error| unavailable(&error))
    }
}

fn read_object(row: &Row<'_>) -> rusqlite::Result<Object> {
    let kind: String = row.get("kind")?;
    let unknown_kind =
        || rusqlite::Error::InvalidColumnType(0, kind.clone(), rusqlite::types::Type::Text);
    Ok(Object {
        kind: ObjectKind::from_word(&kind).ok_or_else(unknown_kind)?,
        id: row.get("id")?,
        key_id: row.get("key_id")?,
        provider: row.get("provider")?,
        created_at: time_of(row.get("created_at")?),
        body: row.get("body")?,
    })
}

/// SQLite's integers are signed; times beyond its range are clamped to its end.
fn sql_time(time: UnixMillis) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn time_of(stored: i64) -> UnixMillis {
    UnixMillis(u64::try_from(stored).unwrap_or(0))
}

/// The store's own words may name files and statements: they go to the log, not to callers.
fn unavailable(_error: &rusqlite::Error) -> Error {
    Error::new(
        Kind::Overloaded,
        "storage_unavailable",
        "The gateway's storage is not available. Try again shortly.",
    )
    .with_retry_after(std::time::Duration::from_secs(5))
}

// === impl OpenError ===

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Unusable(message)
            | OpenError::Newer(message)
            | OpenError::Damaged(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused_and_not_written() {
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(folder.path()).unwrap());
        let file = folder.path().join(SqliteStore::FILE);
        Connection::open(&file)
            .unwrap()
            .pragma_update(None, "user_version", CURRENT + 1)
            .unwrap();
        assert!(matches!(
            SqliteStore::open(folder.path()),
            Err(OpenError::Newer(_))
        ));
        let version: u32 = Connection::open(&file)
            .unwrap()
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, CURRENT + 1);
    }

    #[test]
    fn a_file_that_is_no_database_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join(SqliteStore::FILE),
            "this is not a database, and long enough to be read",
        )
        .unwrap();
        assert!(matches!(
            SqliteStore::open(folder.path()),
            Err(OpenError::Damaged(_))
        ));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = SqliteStore::open(&blocked.join("data")).unwrap_err();
        assert!(
            matches!(&error, OpenError::Unusable(message) if message.contains("file")),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_data_folder_is_made_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        drop(SqliteStore::open(&data).unwrap());
        assert_eq!(
            fs::metadata(&data).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
