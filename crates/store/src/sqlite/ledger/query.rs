//! What is asked of the attempts, as SQL. Values are always bound, never written into a statement.

use rusqlite::{Connection, Row, ToSql, params, params_from_iter};
use tollgate_base::{Money, UnixMillis};
use tollgate_policy::{
    ledger::{
        AttemptFilter, AttemptQuery, AttemptState, Correction, Figures, Group, Listed, Posted,
        ReportQuery, ReportRow,
    },
    scope::Scope,
};

use super::row::{COLUMNS, money_of, signed, to_attempt, unsigned};
use crate::sqlite::{sql_time, time_of};

fn posted(
    reader: &Connection,
    scope: &Scope,
    from: UnixMillis,
    to: UnixMillis,
) -> rusqlite::Result<Posted> {
    let (condition, name) = match scope {
        Scope::Gateway => ("?3 = ''", ""),
        Scope::Team(id) => ("team_id = ?3", id.as_str()),
        Scope::Project(id) => ("project_id = ?3", id.as_str()),
        Scope::Key(id) => ("key_id = ?3", id.as_str()),
        Scope::Provider(name) => ("provider = ?3", name.as_str()),
        Scope::Model(name) => (
            "(route = ?3 OR provider || '/' || model = ?3)",
            name.as_str(),
        ),
    };
    // Whole units and the rest are added up apart, so that no sum of 64-bit figures can overflow.
    let mut statement = reader.prepare(&format!(
        "WITH counted AS (
            SELECT request_id,
                coalesce(CASE
                    WHEN state = 'unknown' THEN held
                    WHEN outcome IS NULL THEN resolved_cost
                    -- Of what is not known exactly, nothing that was held is free again.
                    WHEN cost IS NULL THEN held
                    WHEN provenance <> 'reported' THEN max(cost, coalesce(held, 0))
                    ELSE cost END, 0) AS money,
                CASE WHEN outcome IS NULL THEN held_input
                    WHEN provenance <> 'reported' THEN max({INPUT}, held_input)
                    ELSE {INPUT} END AS input,
                CASE WHEN outcome IS NULL THEN held_output
                    WHEN provenance <> 'reported' THEN max({OUTPUT}, held_output)
                    ELSE {OUTPUT} END AS output
            FROM attempts
            WHERE at >= ?1 AND at < ?2 AND {condition} AND state IN ('settled', 'unknown')
        )
        SELECT count(DISTINCT request_id), {}, {}, {} FROM counted",
        halves("money"),
        halves("input"),
        halves("output"),
    ))?;
    statement.query_row(params![sql_time(from), sql_time(to), name], |row| {
        Ok(Posted {
            requests: unsigned(row.get(0)?),
            money: Money::from_nanos(joined(row, 1)?),
            input_tokens: tokens(row, 3)?,
            output_tokens: tokens(row, 5)?,
        })
    })
}

/// What was used between each border and the next, and the number of the last record that is in it.
pub(super) fn figures(
    reader: &Connection,
    scope: &Scope,
    borders: &[UnixMillis],
) -> rusqlite::Result<Figures> {
    let as_of = reader.query_row("SELECT number FROM shipped WHERE id = 1", [], |row| {
        row.get(0).map(unsigned)
    })?;
    let spans = borders.iter().zip(borders.iter().skip(1));
    let parts = spans.map(|(from, to)| posted(reader, scope, *from, *to));
    Ok(Figures {
        parts: parts.collect::<rusqlite::Result<_>>()?,
        as_of,
    })
}

/// Everything that went in, and out, of a settled attempt.
const INPUT: &str = "(input + coalesce(cache_read, 0) + coalesce(cache_write, 0) + coalesce(cache_write_1h, 0) \
    + coalesce(audio_input, 0) + coalesce(image_input, 0))";
const OUTPUT: &str =
    "(output + coalesce(reasoning, 0) + coalesce(audio_output, 0) + coalesce(image_output, 0))";

/// A sum as two columns, billions and the rest.
fn halves(value: &str) -> String {
    format!("coalesce(sum(({value}) / 1000000000), 0), coalesce(sum(({value}) % 1000000000), 0)")
}

fn joined(row: &Row<'_>, at: usize) -> rusqlite::Result<i128> {
    let (billions, rest): (i64, i64) = (row.get(at)?, row.get(at + 1)?);
    Ok(i128::from(billions) * 1_000_000_000 + i128::from(rest))
}

fn tokens(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(joined(row, at)?).unwrap_or(u64::MAX))
}

pub(super) fn attempts(reader: &Connection, query: &AttemptQuery) -> rusqlite::Result<Vec<Listed>> {
    let mut conditions = Conditions::of(&query.filter);
    if let Some(after) = query.after {
        let sign = if query.newest_first { '<' } else { '>' };
        conditions.add(&format!("a.place {sign} ?"), Box::new(signed(after)));
    }
    let order = if query.newest_first { "DESC" } else { "ASC" };
    let columns = COLUMNS.split(", ").map(str::trim);
    let columns: Vec<_> = columns
        .map(|column| format!("a.{column} AS {column}"))
        .collect();
    let mut statement = reader.prepare(&format!(
        "SELECT a.place AS place, {}, c.at AS c_at, c.cost AS c_cost, c.price_version AS c_version,
            c.unit_prices AS c_prices
         FROM attempts a {LATEST_CORRECTION} {} ORDER BY a.place {order} LIMIT {}",
        columns.join(", "),
        conditions.clause(),
        i64::try_from(query.limit).unwrap_or(i64::MAX),
    ))?;
    let rows = statement.query_map(params_from_iter(conditions.values()), |row| {
        let attempt = to_attempt(row)?;
        let at: Option<i64> = row.get("c_at")?;
        Ok(Listed {
            place: unsigned(row.get("place")?),
            correction: match at {
                Some(at) => Some(Correction {
                    id: attempt.opening.id.clone(),
                    at: time_of(at),
                    cost: money_of(row.get("c_cost")?),
                    price_version: row.get("c_version")?,
                    unit_prices: row.get("c_prices")?,
                }),
                None => None,
            },
            attempt,
        })
    })?;
    rows.collect()
}

const LATEST_CORRECTION: &str = "LEFT JOIN corrections c ON c.place = (
    SELECT max(place) FROM corrections k WHERE k.request_id = a.request_id AND k.number = a.number)";

/// What a filter asks for, as bound parameters.
#[derive(Default)]
struct Conditions {
    texts: Vec<String>,
    values: Vec<Box<dyn ToSql>>,
}

impl Conditions {
    fn of(filter: &AttemptFilter) -> Self {
        let mut all = Self::default();
        if let Some(from) = filter.from {
            all.add("a.at >= ?", Box::new(sql_time(from)));
        }
        if let Some(to) = filter.to {
            all.add("a.at < ?", Box::new(sql_time(to)));
        }
        if let Some(state) = filter.state {
            all.add("a.state = ?", Box::new(state.as_str()));
            if matches!(
                state,
                AttemptState::Held | AttemptState::Dispatched | AttemptState::Unknown
            ) {
                // The index of these few says it so.
                all.texts.push("a.settled_at IS NULL".to_owned());
            }
        }
        for (column, wanted) in [
            ("key_id", &filter.key_id),
            ("project_id", &filter.project_id),
            ("team_id", &filter.team_id),
            ("model", &filter.model),
            ("provider", &filter.provider),
            ("route", &filter.route),
            ("operation", &filter.operation),
            ("request_id", &filter.request_id),
        ] {
            if let Some(wanted) = wanted {
                all.add(&format!("a.{column} = ?"), Box::new(wanted.clone()));
            }
        }
        if let Some((name, value)) = &filter.tag {
            all.add(&format!("{TAG} = ?"), Box::new(name.clone()));
            all.values.push(Box::new(value.clone()));
        }
        all
    }

    fn add(&mut self, text: &str, value: Box<dyn ToSql>) {
        self.texts.push(text.to_owned());
        self.values.push(value);
    }

    fn clause(&self) -> String {
        if self.texts.is_empty() {
            return String::new();
        }
        format!("WHERE {}", self.texts.join(" AND "))
    }

    fn values(&self) -> impl Iterator<Item = &dyn ToSql> {
        self.values.iter().map(AsRef::as_ref)
    }
}

/// The value of the first tag of a name, which is a bound parameter.
const TAG: &str = "(SELECT json_extract(t.value, '$[1]') FROM json_each(a.tags) t
    WHERE json_extract(t.value, '$[0]') = ? ORDER BY t.key LIMIT 1)";

/// Adds up attempts by groups.
pub(super) fn report(reader: &Connection, query: &ReportQuery) -> rusqlite::Result<Vec<ReportRow>> {
    let conditions = Conditions::of(&query.filter);
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut keys = String::new();
    let mut by = Vec::new();
    for (at, group) in query.groups.iter().enumerate() {
        keys.extend([key_of(group, &mut values), format!(" AS g{at}, ")]);
        by.push(format!("g{at}"));
    }
    let grouped = if by.is_empty() {
        "HAVING count(*) > 0".to_owned()
    } else {
        format!("GROUP BY {0} ORDER BY {0}", by.join(", "))
    };
    let booked = "coalesce(iif(a.outcome IS NULL, a.resolved_cost, a.cost), 0)";
    let sums = [
        halves(&format!("coalesce({INPUT}, 0)")),
        halves(&format!("coalesce({OUTPUT}, 0)")),
        halves("coalesce(a.cache_read, 0)"),
        halves("coalesce(a.cache_write, 0) + coalesce(a.cache_write_1h, 0)"),
        halves(&format!("iif(a.provenance IS 'reported', {booked}, 0)")),
        halves(&format!("iif(a.provenance IS 'reported', 0, {booked})")),
        halves(&format!("coalesce(c.cost, {booked})")),
        halves("iif(a.state = 'unknown', coalesce(a.held, 0), 0)"),
    ];
    let mut statement = reader.prepare(&format!(
        "SELECT {keys} count(DISTINCT a.request_id), count(*),
            count(*) FILTER (WHERE a.state = 'settled' AND a.outcome IS NOT NULL AND a.cost IS NULL),
            count(*) FILTER (WHERE a.state = 'unknown'),
            {}
         FROM attempts a {LATEST_CORRECTION} {} {grouped}",
        sums.join(", "),
        conditions.clause(),
    ))?;
    let n = query.groups.len();
    let bound = values.iter().map(AsRef::as_ref).chain(conditions.values());
    let rows = statement.query_map(params_from_iter(bound), |row| {
        let money = |at: usize| joined(row, n + at).map(Money::from_nanos);
        Ok(ReportRow {
            values: (0..n)
                .map(|at| row.get(at))
                .collect::<rusqlite::Result<_>>()?,
            requests: unsigned(row.get(n)?),
            attempts: unsigned(row.get(n + 1)?),
            unpriced: unsigned(row.get(n + 2)?),
            unknown: unsigned(row.get(n + 3)?),
            input_tokens: tokens(row, n + 4)?,
            output_tokens: tokens(row, n + 6)?,
            cache_read_tokens: tokens(row, n + 8)?,
            cache_write_tokens: tokens(row, n + 10)?,
            cost_reported: money(12)?,
            cost_estimated: money(14)?,
            cost_corrected: money(16)?,
            held_unknown: money(18)?,
        })
    })?;
    rows.collect()
}

/// What a group is by, with what it binds.
fn key_of(group: &Group, values: &mut Vec<Box<dyn ToSql>>) -> String {
    match group {
        Group::Key => "a.key_id".to_owned(),
        Group::Project => "coalesce(a.project_id, '')".to_owned(),
        Group::Team => "coalesce(a.team_id, '')".to_owned(),
        Group::Model => "a.model".to_owned(),
        Group::Provider => "a.provider".to_owned(),
        Group::Route => "a.route".to_owned(),
        Group::Operation => "a.operation".to_owned(),
        Group::Day => "date(a.at / 1000, 'unixepoch')".to_owned(),
        Group::Tag(name) => {
            values.push(Box::new(name.clone()));
            format!("coalesce({TAG}, '')")
        }
    }
}
