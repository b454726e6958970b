//! Accounts in SQLite: records as JSON bodies, and the chain of their changes.
//!
//! The head of the chain is a row of its own: it is the generation that others poll, and it shows when the
//! newest entries were taken away.

use rusqlite::{Connection, ErrorCode, Row, Transaction, TransactionBehavior, params, types::Type};
use tollgate_base::{Result, UnixMillis};
use tollgate_policy::{
    account::{AccountStore, Accounts, Change, Record, RecordKind},
    audit::{AuditDraft, AuditEntry, AuditHead},
};

use super::{SqliteStore, sql_time, time_of, unavailable};
use crate::same_digest;

impl AccountStore for SqliteStore {
    fn accounts(&self) -> Result<Accounts> {
        let mut connection = self.connection.lock();
        // One transaction, so that records and generation are of one instant.
        let read = connection.transaction().and_then(|transaction| {
            let accounts = read_accounts(&transaction)?;
            transaction.commit()?;
            Ok(accounts)
        });
        read.map_err(|error| unavailable(&error))
    }

    fn generation(&self) -> Result<u64> {
        Ok(self.audit_head()?.number)
    }

    fn commit(
        &self,
        based_on: u64,
        changes: &[Change],
        audit: &AuditDraft,
    ) -> Result<Option<AuditEntry>> {
        let mut connection = self.connection.lock();
        let committed = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| write(transaction, based_on, changes, audit));
        committed.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => same_digest(),
            _ => unavailable(&error),
        })
    }

    fn audit(&self, from: u64, most: usize) -> Result<Vec<AuditEntry>> {
        let connection = self.connection.lock();
        read_audit(&connection, from, most).map_err(|error| unavailable(&error))
    }

    fn audit_head(&self) -> Result<AuditHead> {
        read_head(&self.connection.lock()).map_err(|error| unavailable(&error))
    }

    fn touch_keys(&self, uses: &[(String, UnixMillis)]) -> Result<()> {
        let mut connection = self.connection.lock();
        let touched = connection.transaction().and_then(|transaction| {
            let mut statement = transaction.prepare(
                "INSERT INTO key_uses (key_id, at) VALUES (?1, ?2)
                 ON CONFLICT (key_id) DO UPDATE SET at = excluded.at WHERE excluded.at > at",
            )?;
            for (id, at) in uses {
                statement.execute(params![id, sql_time(*at)])?;
            }
            drop(statement);
            transaction.commit()
        });
        touched.map_err(|error| unavailable(&error))
    }
}

fn read_accounts(connection: &Connection) -> rusqlite::Result<Accounts> {
    let mut accounts = Accounts {
        generation: read_head(connection)?.number,
        ..Accounts::default()
    };
    let mut statement = connection.prepare("SELECT kind, id, version, body FROM records")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, id): (String, String) = (row.get(0)?, row.get(1)?);
        let kind = RecordKind::from_word(&kind)
            .ok_or_else(|| rusqlite::Error::InvalidColumnType(0, kind, Type::Text))?;
        let record =
            Record::from_stored(kind, &id, row.get_ref(3)?.as_str()?).map_err(|fault| {
                rusqlite::Error::FromSqlConversionFailure(3, Type::Text, Box::new(fault))
            })?;
        accounts.put(number_of(row.get(2)?), record);
    }
    let mut statement = connection.prepare("SELECT key_id, at FROM key_uses")?;
    let uses = statement.query_map([], |row| Ok((row.get(0)?, time_of(row.get(1)?))))?;
    accounts.last_used = uses.collect::<rusqlite::Result<_>>()?;
    Ok(accounts)
}

/// The change and its audit entry, both or neither: a transaction that is not committed is undone.
fn write(
    transaction: Transaction<'_>,
    based_on: u64,
    changes: &[Change],
    audit: &AuditDraft,
) -> rusqlite::Result<Option<AuditEntry>> {
    let head = read_head(&transaction)?;
    if head.number != based_on {
        return Ok(None);
    }
    let entry = head.next(audit.clone());
    for change in changes {
        match change {
            Change::Put(record) => {
                transaction.execute(
                    "INSERT INTO records (kind, id, version, body) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, body = excluded.body",
                    params![
                        record.kind().as_str(),
                        record.id(),
                        sql_number(entry.number),
                        record.to_stored()
                    ],
                )?;
            }
            Change::Delete(kind, id) => {
                transaction.execute(
                    "DELETE FROM records WHERE kind = ?1 AND id = ?2",
                    params![kind.as_str(), id],
                )?;
            }
        }
    }
    append(&transaction, &entry)?;
    transaction.commit()?;
    Ok(Some(entry))
}

fn append(transaction: &Transaction<'_>, entry: &AuditEntry) -> rusqlite::Result<()> {
    let what = &entry.what;
    transaction.execute(
        "INSERT INTO audit (number, at, actor, action, object, before, after, previous, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            sql_number(entry.number),
            sql_time(what.at),
            what.actor,
            what.action,
            what.object,
            what.before,
            what.after,
            entry.previous.as_slice(),
            entry.seal.as_slice(),
        ],
    )?;
    transaction.execute(
        "UPDATE audit_head SET number = ?1, seal = ?2",
        params![sql_number(entry.number), entry.seal.as_slice()],
    )?;
    Ok(())
}

fn read_head(connection: &Connection) -> rusqlite::Result<AuditHead> {
    connection
        .prepare("SELECT number, seal FROM audit_head")?
        .query_row([], |row| {
            Ok(AuditHead {
                number: number_of(row.get(0)?),
                seal: row.get(1)?,
            })
        })
}

fn read_audit(
    connection: &Connection,
    from: u64,
    most: usize,
) -> rusqlite::Result<Vec<AuditEntry>> {
    let mut statement =
        connection.prepare("SELECT * FROM audit WHERE number >= ?1 ORDER BY number LIMIT ?2")?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![sql_number(from), most], read_entry)?;
    rows.collect()
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        number: number_of(row.get("number")?),
        what: AuditDraft {
            at: time_of(row.get("at")?),
            actor: row.get("actor")?,
            action: row.get("action")?,
            object: row.get("object")?,
            before: row.get("before")?,
            after: row.get("after")?,
        },
        previous: row.get("previous")?,
        seal: row.get("seal")?,
    })
}

fn sql_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number_of(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
