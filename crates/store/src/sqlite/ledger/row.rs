//! One attempt as a row of the table, there and back.

use std::sync::LazyLock;

use rusqlite::{
    OptionalExtension as _, Row, Statement, ToSql, params, params_from_iter, types::Type,
};
use tollgate_base::{Money, Provenance, Region, ServiceTier, Usage};
use tollgate_policy::ledger::{
    Attempt, AttemptId, AttemptOutcome, AttemptState, Cost, Opening, Settlement,
};

use crate::sqlite::{sql_time, time_of};

pub(super) const COLUMNS: &str = "request_id, number, state, at, key_id, project_id, team_id, operation, dialect, \
    route, provider, model, stream, held, held_input, held_output, price_version, tags, settled_at, outcome, \
    input, cache_read, cache_write, cache_write_1h, audio_input, image_input, output, reasoning, \
    audio_output, image_output, searches, images, audio_ms, characters, tier, region, provenance, cost, \
    unit_prices, code, first_event_ms, duration_ms, lost_at, resolved_at, resolved_cost";
const N_COLUMNS: usize = 45;

/// Finds an attempt by its id.
pub(super) static READING: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {COLUMNS} FROM attempts WHERE request_id = ?1 AND number = ?2")
});

/// Adds an attempt that is not there yet.
pub(super) static ADDING: LazyLock<String> =
    LazyLock::new(|| format!("{} ON CONFLICT (request_id, number) DO NOTHING", insert()));

/// Adds an attempt, or puts its new state in the place of the old one.
pub(super) static WRITING: LazyLock<String> = LazyLock::new(|| {
    let kept = COLUMNS.split(", ").map(str::trim).skip(2);
    let sets: Vec<_> = kept
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    format!(
        "{} ON CONFLICT (request_id, number) DO UPDATE SET {}",
        insert(),
        sets.join(", ")
    )
});

fn insert() -> String {
    let marks = vec!["?"; N_COLUMNS].join(", ");
    format!("INSERT INTO attempts ({COLUMNS}) VALUES ({marks})")
}

pub(super) fn read_attempt(
    statement: &mut Statement<'_>,
    id: &AttemptId,
) -> rusqlite::Result<Option<Attempt>> {
    statement
        .query_row(params![id.request_id, id.number], to_attempt)
        .optional()
}

/// Whether a row was written.
pub(super) fn write_attempt(
    statement: &mut Statement<'_>,
    attempt: &Attempt,
) -> rusqlite::Result<bool> {
    let opening = &attempt.opening;
    let settled = attempt.settlement.as_ref();
    let usage = settled.map(|settlement| &settlement.usage);
    let tags = serde_json::to_string(&opening.tags).unwrap_or_default();
    let money = |money: Money| i64::try_from(money.nanos()).unwrap_or(i64::MAX);
    let bucket = |read: fn(&Usage) -> Option<u64>| usage.and_then(read).map(signed);
    let rows = statement.execute(params_from_iter::<[&dyn ToSql; N_COLUMNS]>([
        &opening.id.request_id,
        &opening.id.number,
        &attempt.state.as_str(),
        &sql_time(opening.at),
        &opening.key_id,
        &opening.project_id,
        &opening.team_id,
        &opening.operation,
        &opening.dialect,
        &opening.route,
        &opening.provider,
        &opening.model,
        &opening.stream,
        &opening.held.map(money),
        &signed(opening.held_input),
        &signed(opening.held_output),
        &opening.price_version,
        &tags,
        &settled.map(|settlement| sql_time(settlement.at)),
        &settled.map(|settlement| settlement.outcome.as_str()),
        &usage.map(|usage| signed(usage.input)),
        &bucket(|usage| usage.cache_read),
        &bucket(|usage| usage.cache_write),
        &bucket(|usage| usage.cache_write_1h),
        &bucket(|usage| usage.audio_input),
        &bucket(|usage| usage.image_input),
        &usage.map(|usage| signed(usage.output)),
        &bucket(|usage| usage.reasoning),
        &bucket(|usage| usage.audio_output),
        &bucket(|usage| usage.image_output),
        &bucket(|usage| usage.searches),
        &bucket(|usage| usage.images),
        &bucket(|usage| usage.audio_ms),
        &bucket(|usage| usage.characters),
        &usage.map(|usage| usage.tier.as_str()),
        &usage.map(|usage| usage.region.as_str()),
        &usage.map(|usage| usage.provenance.as_str()),
        &settled
            .and_then(|settlement| settlement.cost.known())
            .map(money),
        &settled.map(|settlement| settlement.unit_prices.as_str()),
        &settled.map(|settlement| settlement.code.as_str()),
        &settled
            .and_then(|settlement| settlement.first_event_ms)
            .map(signed),
        &settled.map(|settlement| signed(settlement.duration_ms)),
        &attempt.lost_at.map(sql_time),
        &attempt.resolved.map(|(at, _)| sql_time(at)),
        &attempt.resolved.map(|(_, cost)| money(cost)),
    ]))?;
    Ok(rows > 0)
}

pub(super) fn to_attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let id = AttemptId {
        request_id: row.get("request_id")?,
        number: row.get("number")?,
    };
    let resolved: Option<i64> = row.get("resolved_at")?;
    let resolved_cost: Option<i64> = row.get("resolved_cost")?;
    Ok(Attempt {
        state: word(row, "state", AttemptState::from_word)?,
        settlement: match row.get::<_, Option<i64>>("settled_at")? {
            Some(at) => Some(to_settlement(row, id.clone(), at)?),
            None => None,
        },
        opening: to_opening(row, id)?,
        lost_at: row.get::<_, Option<i64>>("lost_at")?.map(time_of),
        resolved: resolved
            .zip(resolved_cost)
            .map(|(at, cost)| (time_of(at), money_of(cost))),
    })
}

fn to_opening(row: &Row<'_>, id: AttemptId) -> rusqlite::Result<Opening> {
    let tags: String = row.get("tags")?;
    Ok(Opening {
        id,
        at: time_of(row.get("at")?),
        key_id: row.get("key_id")?,
        project_id: row.get("project_id")?,
        team_id: row.get("team_id")?,
        operation: row.get("operation")?,
        dialect: row.get("dialect")?,
        route: row.get("route")?,
        provider: row.get("provider")?,
        model: row.get("model")?,
        stream: row.get("stream")?,
        held: row.get::<_, Option<i64>>("held")?.map(money_of),
        held_input: unsigned(row.get("held_input")?),
        held_output: unsigned(row.get("held_output")?),
        price_version: row.get("price_version")?,
        tags: serde_json::from_str(&tags).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
        })?,
    })
}

fn to_settlement(row: &Row<'_>, id: AttemptId, at: i64) -> rusqlite::Result<Settlement> {
    let bucket = |column: &str| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(unsigned))
    };
    let cost: Option<i64> = row.get("cost")?;
    Ok(Settlement {
        id,
        at: time_of(at),
        outcome: word(row, "outcome", AttemptOutcome::from_word)?,
        usage: Usage {
            input: unsigned(row.get("input")?),
            cache_read: bucket("cache_read")?,
            cache_write: bucket("cache_write")?,
            cache_write_1h: bucket("cache_write_1h")?,
            audio_input: bucket("audio_input")?,
            image_input: bucket("image_input")?,
            output: unsigned(row.get("output")?),
            reasoning: bucket("reasoning")?,
            audio_output: bucket("audio_output")?,
            image_output: bucket("image_output")?,
            searches: bucket("searches")?,
            images: bucket("images")?,
            audio_ms: bucket("audio_ms")?,
            characters: bucket("characters")?,
            tier: word(row, "tier", |word| {
                ServiceTier::ALL
                    .into_iter()
                    .find(|known| known.as_str() == word)
            })?,
            region: word(row, "region", |word| {
                Region::ALL.into_iter().find(|known| known.as_str() == word)
            })?,
            provenance: word(row, "provenance", |word| {
                Provenance::ALL
                    .into_iter()
                    .find(|known| known.as_str() == word)
            })?,
        },
        cost: cost.map_or(Cost::Unknown, |cost| Cost::Known(money_of(cost))),
        unit_prices: row.get("unit_prices")?,
        code: row.get("code")?,
        first_event_ms: bucket("first_event_ms")?,
        duration_ms: unsigned(row.get("duration_ms")?),
    })
}

/// Reads a column that holds one of a few words.
pub(super) fn word<T>(
    row: &Row<'_>,
    column: &str,
    read: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    read(&text).ok_or_else(|| rusqlite::Error::InvalidColumnType(0, column.to_owned(), Type::Text))
}

pub(super) fn money_of(stored: i64) -> Money {
    Money::from_nanos(i128::from(stored))
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
