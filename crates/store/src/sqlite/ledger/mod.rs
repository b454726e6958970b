//! The ledger in SQLite: one row for each attempt, and what is asked of them as SQL.
//!
//! It has a connection for writing of its own, so that a batch of entries waits for no other work of the
//! store, and one for reading. Its transactions are synced (`synchronous = FULL`): a sync for each batch costs
//! little, and what is applied survives the loss of power, so that the journal needs to keep nothing.

mod query;
mod row;

use std::{collections::HashMap, path::Path};

use parking_lot::Mutex;
use rusqlite::{CachedStatement, Connection, TransactionBehavior, params};
use tollgate_base::{Money, Result, UnixMillis, Usage, crash_point};
use tollgate_policy::{
    ledger::{
        Applied, Attempt, AttemptId, AttemptQuery, AttemptState, Correction, Entry, Figures,
        LedgerStore, Listed, ReportQuery, ReportRow, Step,
    },
    scope::Scope,
};

use self::row::{read_attempt, signed, unsigned, word, write_attempt};
use super::{OpenError, SqliteStore, classify, connect, sql_time, unavailable};

#[derive(Debug)]
pub struct SqliteLedger {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// What a transaction does with attempts.
struct Statements<'c> {
    reading: CachedStatement<'c>,
    adding: CachedStatement<'c>,
    writing: CachedStatement<'c>,
}

impl SqliteLedger {
    /// Opens the ledger in the database of `folder`, creating what is missing.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(SqliteStore::FILE);
        let writer = connect(folder)?;
        let reader = connect(folder)?;
        reader
            .pragma_update(None, "query_only", true)
            .map_err(|error| classify(&path, &error))?;
        Ok(Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
        })
    }

    /// From here on everything that is read is of one instant, whatever another process writes. For a short-lived
    /// reader: the database's log cannot shrink meanwhile.
    pub fn freeze(&self) -> Result<()> {
        let reader = self.reader.lock();
        let pinned = reader
            .execute_batch("BEGIN")
            .and_then(|()| reader.query_row("SELECT number FROM shipped", [], |_| Ok(())));
        pinned.map_err(|error| unavailable(&error))
    }
}

impl LedgerStore for SqliteLedger {
    fn apply(&self, entries: &[Entry], shipped: Option<u64>) -> Result<Applied> {
        let mut writer = self.writer.lock();
        apply(&mut writer, entries, shipped).map_err(|error| unavailable(&error))
    }

    fn shipped(&self) -> Result<u64> {
        let reader = self.reader.lock();
        let number = reader.query_row("SELECT number FROM shipped WHERE id = 1", [], |row| {
            row.get(0).map(unsigned)
        });
        number.map_err(|error| unavailable(&error))
    }

    fn figures(&self, scope: &Scope, borders: &[UnixMillis]) -> Result<Figures> {
        let mut reader = self.reader.lock();
        // A savepoint is a transaction of its own, or a part of the one that `freeze` began.
        let figures = reader
            .savepoint()
            .and_then(|reading| query::figures(&reading, scope, borders));
        figures.map_err(|error| unavailable(&error))
    }

    fn open_attempts(&self) -> Result<Vec<(AttemptId, AttemptState)>> {
        let reader = self.reader.lock();
        open_attempts(&reader).map_err(|error| unavailable(&error))
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Listed>> {
        let reader = self.reader.lock();
        query::attempts(&reader, query).map_err(|error| unavailable(&error))
    }

    fn report(&self, query: &ReportQuery) -> Result<Vec<ReportRow>> {
        let reader = self.reader.lock();
        query::report(&reader, query).map_err(|error| unavailable(&error))
    }

    fn correct(&self, corrections: &[Correction]) -> Result<usize> {
        let mut writer = self.writer.lock();
        correct(&mut writer, corrections).map_err(|error| unavailable(&error))
    }
}

fn apply(
    writer: &mut Connection,
    entries: &[Entry],
    shipped: Option<u64>,
) -> rusqlite::Result<Applied> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut applied = Applied::default();
    {
        let mut statements = Statements::prepare(&transaction)?;
        for (id, places) in by_attempt(entries) {
            statements.apply(id, entries, &places, &mut applied)?;
        }
    }
    applied.refused.sort_by_key(|(at, _)| *at);
    if let Some(shipped) = shipped
        && applied.refused.is_empty()
    {
        transaction
            .prepare_cached("UPDATE shipped SET number = max(number, ?1) WHERE id = 1")?
            .execute([signed(shipped)])?;
    }
    crash_point("ship-after-send");
    transaction.commit()?;
    crash_point("checkpoint");
    Ok(applied)
}

/// The entries of each attempt, by their places, attempts in the order in which they appear: each is read and
/// written once, however many of its entries are in the batch.
fn by_attempt(entries: &[Entry]) -> Vec<(&AttemptId, Vec<usize>)> {
    let mut known: HashMap<&AttemptId, usize> = HashMap::with_capacity(entries.len());
    let mut attempts: Vec<(&AttemptId, Vec<usize>)> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let place = *known.entry(entry.id()).or_insert_with(|| {
            attempts.push((entry.id(), Vec::new()));
            attempts.len() - 1
        });
        if let Some((_, places)) = attempts.get_mut(place) {
            places.push(at);
        }
    }
    attempts
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            reading: connection.prepare_cached(&row::READING)?,
            adding: connection.prepare_cached(&row::ADDING)?,
            writing: connection.prepare_cached(&row::WRITING)?,
        })
    }

    fn apply(
        &mut self,
        id: &AttemptId,
        entries: &[Entry],
        places: &[usize],
        applied: &mut Applied,
    ) -> rusqlite::Result<()> {
        let begins = places.first().and_then(|at| entries.get(*at));
        if matches!(begins, Some(Entry::Opened(_) | Entry::Sent(_))) {
            // Most attempts begin and end within one batch: they are added without being looked for.
            let fresh = advanced(None, entries, places);
            if let Some(attempt) = &fresh.attempt
                && write_attempt(&mut self.adding, attempt)?
            {
                fresh.count(applied);
                return Ok(());
            }
        }
        let known = read_attempt(&mut self.reading, id)?;
        let advanced = advanced(known, entries, places);
        if let Some(attempt) = &advanced.attempt
            && advanced.changed > 0
        {
            write_attempt(&mut self.writing, attempt)?;
        }
        advanced.count(applied);
        Ok(())
    }
}

/// An attempt after more of its entries.
struct Advanced {
    attempt: Option<Attempt>,
    changed: usize,
    repeated: usize,
    refused: Vec<(usize, String)>,
}

fn advanced(mut attempt: Option<Attempt>, entries: &[Entry], places: &[usize]) -> Advanced {
    let (mut changed, mut repeated, mut refused) = (0, 0, Vec::new());
    for &at in places {
        let Some(entry) = entries.get(at) else {
            continue;
        };
        match storable(entry).and_then(|()| Attempt::advance(&mut attempt, entry)) {
            Ok(Step::Changed) => changed += 1,
            Ok(Step::Repeated) => repeated += 1,
            Err(why) => refused.push((at, why.to_owned())),
        }
    }
    Advanced {
        attempt,
        changed,
        repeated,
        refused,
    }
}

impl Advanced {
    fn count(self, applied: &mut Applied) {
        applied.changed += self.changed;
        applied.repeated += self.repeated;
        applied.refused.extend(self.refused);
    }
}

/// SQLite's integers are signed and have 64 bits. A figure that does not fit is refused, never cut.
fn storable(entry: &Entry) -> Result<(), &'static str> {
    let fits = |n: u64| i64::try_from(n).is_ok();
    let money = |money: Money| i64::try_from(money.nanos()).is_ok();
    let is_storable = match entry {
        Entry::Opened(opening) | Entry::Sent(opening) => {
            fits(opening.held_input)
                && fits(opening.held_output)
                && opening.held.is_none_or(money)
                && fits(opening.at.0)
        }
        Entry::Settled(settlement) => {
            let usage = &settlement.usage;
            [
                usage.input,
                usage.output,
                settlement.at.0,
                settlement.duration_ms,
            ]
            .into_iter()
            .chain(buckets(usage).into_iter().flatten())
            .chain(settlement.first_event_ms)
            .all(fits)
                && settlement.cost.known().is_none_or(money)
        }
        Entry::Lost(_, at) => fits(at.0),
        Entry::Resolved(_, at, cost) => fits(at.0) && money(*cost),
        Entry::Dispatched(_) | Entry::Released(_) => true,
    };
    if is_storable {
        Ok(())
    } else {
        Err("a figure is too large to be stored")
    }
}

fn buckets(usage: &Usage) -> [Option<u64>; 12] {
    [
        usage.cache_read,
        usage.cache_write,
        usage.cache_write_1h,
        usage.audio_input,
        usage.image_input,
        usage.reasoning,
        usage.audio_output,
        usage.image_output,
        usage.searches,
        usage.images,
        usage.audio_ms,
        usage.characters,
    ]
}

const OPEN_ATTEMPTS: &str = "SELECT request_id, number, state FROM attempts
    WHERE settled_at IS NULL AND state IN ('held', 'dispatched') ORDER BY place";

fn open_attempts(reader: &Connection) -> rusqlite::Result<Vec<(AttemptId, AttemptState)>> {
    let mut statement = reader.prepare(OPEN_ATTEMPTS)?;
    let rows = statement.query_map([], |row| {
        let id = AttemptId {
            request_id: row.get(0)?,
            number: row.get(1)?,
        };
        Ok((id, word(row, "state", AttemptState::from_word)?))
    })?;
    rows.collect()
}

fn correct(writer: &mut Connection, corrections: &[Correction]) -> rusqlite::Result<usize> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut known = 0;
    for correction in corrections {
        let cost = i64::try_from(correction.cost.nanos())
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        known += transaction
            .prepare(
                "INSERT INTO corrections (request_id, number, at, cost, price_version, unit_prices)
                 SELECT request_id, number, ?3, ?4, ?5, ?6 FROM attempts WHERE request_id = ?1 AND number = ?2",
            )?
            .execute(params![
                correction.id.request_id,
                correction.id.number,
                sql_time(correction.at),
                cost,
                correction.price_version,
                correction.unit_prices,
            ])?;
    }
    transaction.commit()?;
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::MIGRATIONS;

    /// A database of the fourth schema with a settled attempt and one of unknown outcome.
    fn of_the_fourth_schema(folder: &Path) {
        let database = Connection::open(folder.join(SqliteStore::FILE)).unwrap();
        for batch in MIGRATIONS.iter().take(4) {
            database.execute_batch(batch).unwrap();
        }
        database
            .execute_batch(
                "INSERT INTO attempts (request_id, number, state, at, key_id, operation, dialect, route, provider,
                    model, stream, held, held_input, held_output, price_version, tags, settled_at, outcome, input,
                    output, tier, region, provenance, cost, unit_prices, code, duration_ms)
                 VALUES ('r1', 1, 'settled', 5, 'k', 'chat', 'openai-chat', 'm', 'p', 'm', 0, 900, 1, 2, 'v', '[]', 6,
                    'complete', 1, 2, 'standard', 'global', 'reported', 700, '', '', 1);
                 INSERT INTO attempts (request_id, number, state, at, key_id, operation, dialect, route, provider,
                    model, stream, held, held_input, held_output, price_version, tags, lost_at)
                 VALUES ('r2', 1, 'unknown', 7, 'k', 'chat', 'openai-chat', 'm', 'p', 'm', 0, 800, 1, 2, 'v', '[]', 8);
                 UPDATE shipped SET number = 42;
                 PRAGMA user_version = 4;",
            )
            .unwrap();
    }

    #[test]
    fn attempts_of_the_fourth_schema_are_brought_along() {
        let folder = tempfile::tempdir().unwrap();
        of_the_fourth_schema(folder.path());
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let borders = [UnixMillis(0), UnixMillis(10)];
        let figures = ledger.figures(&Scope::Gateway, &borders).unwrap();
        let posted = figures.parts[0];
        assert_eq!(posted.money, Money::from_nanos(700 + 800));
        assert_eq!(posted.requests, 2);
        assert_eq!(ledger.shipped().unwrap(), 42);
        let wrong = ledger.writer.lock().execute(
            "UPDATE attempts SET state = 'lost' WHERE request_id = 'r2'",
            [],
        );
        assert!(wrong.is_err(), "a state that there is not was taken");
    }

    /// `IN` with more than two values in a check builds a tree of them for each row.
    #[test]
    fn writing_a_row_builds_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let writer = ledger.writer.lock();
        for statement in [&row::ADDING, &row::WRITING] {
            let mut explained = writer.prepare(&format!("EXPLAIN {}", **statement)).unwrap();
            let mut operations = explained.raw_query();
            let mut count = 0;
            while let Some(row) = operations.next().unwrap() {
                let operation: String = row.get(1).unwrap();
                assert_ne!(operation, "OpenEphemeral", "{}", **statement);
                count += 1;
            }
            assert!(count > 50, "{count} operations");
        }
    }

    #[test]
    fn open_attempts_are_found_by_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let plan: String = ledger
            .reader
            .lock()
            .query_row(&format!("EXPLAIN QUERY PLAN {OPEN_ATTEMPTS}"), [], |row| {
                row.get(3)
            })
            .unwrap();
        assert!(plan.contains("attempts_open"), "{plan}");
    }
}
