//! What was used: sums and single attempts; and the two things that may be done about them.

use std::collections::BTreeMap;

use tollgate_api::{
    Amount, Attempt, Page, Reprice, RepriceAnswer, Resolution, Shaped as _, Timestamp, Usage,
    UsageRow,
};
use tollgate_base::{Error, Kind, Money, Result, quote};
use tollgate_ledger::report;
use tollgate_policy::ledger::{
    self, AttemptFilter, AttemptId, AttemptOutcome, AttemptQuery, AttemptState, Group, Listed,
    Opening, ReportQuery, ReportRow,
};

use super::{Desk, asked::Asked, reply::Reply};

/// By how much one report may be grouped.
const MAX_GROUPS: usize = 4;
impl Desk {
    pub(super) fn usage(&self, asked: &Asked) -> Result<Reply> {
        let query = ReportQuery {
            groups: groups(asked.parameter("group"))?,
            filter: filter(asked)?,
        };
        let rows = self.ledger_store()?.report(&query)?;
        if asked.wants_csv() {
            return Ok(Reply::csv(report::to_csv(&query.groups, &rows)));
        }
        let data = rows.into_iter().map(|row| usage_row(&query.groups, row));
        Ok(Reply::json(&Usage {
            data: data.collect(),
        }))
    }

    pub(super) fn list_attempts(&self, asked: &Asked) -> Result<Reply> {
        let size = asked.page_size();
        let query = AttemptQuery {
            filter: filter(asked)?,
            newest_first: true,
            after: asked.after_number()?,
            limit: size.saturating_add(1),
        };
        let mut found = self.ledger_store()?.attempts(&query)?;
        let is_last = found.len() <= size;
        found.truncate(size);
        if asked.wants_csv() {
            return Ok(Reply::csv(report::attempts_to_csv(&found)));
        }
        let last = found.last().map(|listed| listed.place.to_string());
        Ok(Reply::json(&Page {
            data: found.iter().map(shown).collect(),
            next: last.filter(|_| !is_last),
        }))
    }

    pub(super) fn show_attempt(&self, asked: &Asked) -> Result<Reply> {
        Ok(Reply::json(&shown(&self.attempt(&asked.id)?)))
    }

    /// Books an attempt of which nobody knows how it ended, and tells the budgets.
    pub(super) fn resolve_attempt(&self, asked: &Asked) -> Result<Reply> {
        let resolution = Resolution::read(&asked.body)?;
        let books = &self.shared.books;
        // Two that book the same attempt would both find it unknown.
        let unchanged = books.changing.lock();
        let known = self.attempt(&asked.id)?;
        let opening = &known.attempt.opening;
        if known.attempt.state != AttemptState::Unknown {
            let message = "Only an attempt of unknown outcome can be resolved.";
            return Err(Error::new(Kind::Conflict, "conflict", message));
        }
        let cost = match (resolution.cost_usd, resolution.at_hold) {
            (Some(Amount(cost)), false) => cost,
            (None, true) => opening.held.ok_or_else(|| {
                let message =
                    "Nothing is held for this attempt: its price is not known. Send `cost_usd`.";
                Error::invalid_value("at_hold", message)
            })?,
            _ => {
                let message = "Send either `cost_usd` or `\"at_hold\": true`.";
                return Err(Error::invalid_value("cost_usd", message));
            }
        };
        books.ledger.resolve(&opening.id, cost)?;
        books.correct(opening, cost, self.shared.clock.moment());
        drop(unchanged);
        let states = (
            Some(state("unknown", opening.held)),
            Some(state("settled", Some(cost))),
        );
        self.accounts
            .note(&asked.act(), "ledger.resolve", &asked.id, states)?;
        self.show_attempt(asked)
    }

    pub(super) fn reprice(&self, asked: &Asked) -> Result<Reply> {
        let Reprice { from, to } = Reprice::read(&asked.body)?;
        if from >= to {
            return Err(reversed());
        }
        let snapshot = self.shared.snapshot.load_full();
        let version = snapshot.price_book().version().to_owned();
        let came_to = self
            .shared
            .books
            .ledger
            .reprice((from.0, to.0), |attempt| {
                let usage = attempt.settlement.as_ref()?.usage;
                let Opening {
                    provider, model, ..
                } = &attempt.opening;
                let (cost, unit_prices) = snapshot.cost(provider, model, &usage)?;
                Some((cost, version.clone(), unit_prices))
            })?;
        let span = format!("{}/{}", from.to_text(), to.to_text());
        let states = (
            Some(state("booked", Some(came_to.before))),
            Some(state("corrected", Some(came_to.after))),
        );
        self.accounts
            .note(&asked.act(), "ledger.reprice", &span, states)?;
        Ok(Reply::json(&RepriceAnswer {
            corrected: came_to.corrected as u64,
            before_usd: Amount(came_to.before),
            after_usd: Amount(came_to.after),
            price_version: version,
        }))
    }

    /// The ledger's store, with everything in it that was written down so far.
    fn ledger_store(&self) -> Result<&dyn ledger::LedgerStore> {
        let ledger = &self.shared.books.ledger;
        ledger.flush()?;
        Ok(&**ledger.store())
    }

    fn attempt(&self, id: &str) -> Result<Listed> {
        let absent = || {
            let message = format!("There is no attempt {}.", quote(id));
            Error::new(Kind::NotFound, "not_found", message)
        };
        let id = AttemptId::parse(id).ok_or_else(absent)?;
        self.shared.books.ledger.find(&id)?.ok_or_else(absent)
    }
}

/// What the audit log keeps of it.
fn state(word: &str, amount: Option<Money>) -> String {
    let amount = amount.map_or("null".to_owned(), Money::to_decimal);
    format!("{{\"state\":\"{word}\",\"usd\":{amount}}}")
}

fn groups(text: Option<&str>) -> Result<Vec<Group>> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let read = |word: &str| {
        Group::parse(word).ok_or_else(|| {
            let message = format!(
                "{} is nothing to add up by. Write `key`, `project`, `team`, `model`, `provider`, `route`, \
                 `operation`, `day` or `tag:NAME`.",
                quote(word)
            );
            Error::invalid_value("group", message)
        })
    };
    let groups: Vec<_> = text.split(',').map(read).collect::<Result<_>>()?;
    let is_repeated = groups
        .iter()
        .enumerate()
        .any(|(at, group)| groups.iter().take(at).any(|other| other == group));
    if groups.len() > MAX_GROUPS || is_repeated {
        let message = "`group` takes at most four different groups.";
        return Err(Error::invalid_value("group", message));
    }
    Ok(groups)
}

fn filter(asked: &Asked) -> Result<AttemptFilter> {
    let (from, to) = (asked.time("from"), asked.time("to"));
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(reversed());
    }
    let tag = asked.parameter("tag").map(|text| {
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| Error::invalid_value("tag", "`tag` must be written as `name:value`."))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    Ok(AttemptFilter {
        from,
        to,
        key_id: asked.text("key"),
        project_id: asked.text("project"),
        team_id: asked.text("team"),
        model: asked.text("model"),
        provider: asked.text("provider"),
        route: asked.text("route"),
        operation: asked.text("operation"),
        request_id: asked.text("request_id"),
        state: asked.parameter("state").and_then(AttemptState::from_word),
        tag: tag.transpose()?,
    })
}

fn reversed() -> Error {
    Error::invalid_value("from", "`from` must lie before `to`.")
}

fn usage_row(groups: &[Group], row: ReportRow) -> UsageRow {
    let names = groups.iter().map(ToString::to_string);
    UsageRow {
        cost_usd: Amount(row.cost()),
        group: names.zip(row.values).collect(),
        requests: row.requests,
        attempts: row.attempts,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cache_read_tokens: row.cache_read_tokens,
        cache_write_tokens: row.cache_write_tokens,
        cost_reported_usd: Amount(row.cost_reported),
        cost_estimated_usd: Amount(row.cost_estimated),
        cost_corrected_usd: Amount(row.cost_corrected),
        unpriced_attempts: row.unpriced,
        unknown_attempts: row.unknown,
        held_by_unknown_usd: Amount(row.held_unknown),
    }
}

fn shown(listed: &Listed) -> Attempt {
    let attempt = &listed.attempt;
    let opening = &attempt.opening;
    let ended = attempt.settlement.as_ref();
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    let tags: BTreeMap<_, _> = opening.tags.iter().rev().cloned().collect();
    Attempt {
        id: opening.id.to_string(),
        request_id: opening.id.request_id.clone(),
        number: opening.id.number,
        state: attempt.state.as_str(),
        at: Timestamp(opening.at),
        key_id: opening.key_id.clone(),
        project_id: opening.project_id.clone(),
        team_id: opening.team_id.clone(),
        operation: opening.operation.clone(),
        route: opening.route.clone(),
        provider: opening.provider.clone(),
        model: opening.model.clone(),
        stream: opening.stream,
        outcome: ended.map(|ended| AttemptOutcome::as_str(ended.outcome)),
        code: ended.and_then(|ended| said(&ended.code)),
        input_tokens: ended.map(|ended| ended.usage.input_total()),
        output_tokens: ended.map(|ended| ended.usage.output_total()),
        usage_from: ended.map(|ended| ended.usage.provenance.as_str()),
        held_usd: opening.held.map(Amount),
        cost_usd: attempt.cost().map(Amount),
        cost_corrected_usd: listed.correction.as_ref().map(|it| Amount(it.cost)),
        price_version: opening.price_version.clone(),
        unit_prices: ended.and_then(|ended| said(&ended.unit_prices)),
        first_event_ms: ended.and_then(|ended| ended.first_event_ms),
        duration_ms: ended.map(|ended| ended.duration_ms),
        resolved_at: attempt.resolved.map(|(at, _)| Timestamp(at)),
        tags,
    }
}
