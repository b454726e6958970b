//! The ledger in memory: the plainest thing that behaves as every store of it must.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use tollgate_base::{Result, UnixMillis};
use tollgate_policy::{
    ledger::{
        Applied, Attempt, AttemptId, AttemptQuery, AttemptState, Correction, Entry, Figures,
        LedgerStore, Listed, Posted, ReportQuery, ReportRow, Step, sum_up,
    },
    scope::Scope,
};

#[derive(Debug, Default)]
pub struct MemoryLedger(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    attempts: Vec<Attempt>,
    places: HashMap<AttemptId, usize>,
    corrections: HashMap<AttemptId, Vec<Correction>>,
    shipped: u64,
}

impl LedgerStore for MemoryLedger {
    fn apply(&self, entries: &[Entry], shipped: Option<u64>) -> Result<Applied> {
        let mut rows = self.0.lock();
        let mut applied = Applied::default();
        for (at, entry) in entries.iter().enumerate() {
            match rows.take(entry) {
                Ok(Step::Changed) => applied.changed += 1,
                Ok(Step::Repeated) => applied.repeated += 1,
                Err(why) => applied.refused.push((at, why.to_owned())),
            }
        }
        if let Some(shipped) = shipped
            && applied.refused.is_empty()
        {
            rows.shipped = rows.shipped.max(shipped);
        }
        Ok(applied)
    }

    fn shipped(&self) -> Result<u64> {
        Ok(self.0.lock().shipped)
    }

    fn figures(&self, scope: &Scope, borders: &[UnixMillis]) -> Result<Figures> {
        let rows = self.0.lock();
        let spans = borders.iter().zip(borders.iter().skip(1));
        Ok(Figures {
            parts: spans
                .map(|(from, to)| rows.posted(scope, *from, *to))
                .collect(),
            as_of: rows.shipped,
        })
    }

    fn open_attempts(&self) -> Result<Vec<(AttemptId, AttemptState)>> {
        let rows = self.0.lock();
        let is_open = |attempt: &&Attempt| {
            matches!(attempt.state, AttemptState::Held | AttemptState::Dispatched)
        };
        let open = rows.attempts.iter().filter(is_open);
        Ok(open
            .map(|attempt| (attempt.opening.id.clone(), attempt.state))
            .collect())
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Listed>> {
        let rows = self.0.lock();
        let listed = (1..).zip(&rows.attempts).filter(|(place, attempt)| {
            let is_after = query.after.is_none_or(|after| {
                if query.newest_first {
                    *place < after
                } else {
                    *place > after
                }
            });
            is_after && query.filter.matches(attempt)
        });
        let listed = listed.map(|(place, attempt)| Listed {
            place,
            attempt: attempt.clone(),
            correction: rows.correction(attempt).cloned(),
        });
        let mut all: Vec<_> = listed.collect();
        if query.newest_first {
            all.reverse();
        }
        all.truncate(query.limit);
        Ok(all)
    }

    fn report(&self, query: &ReportQuery) -> Result<Vec<ReportRow>> {
        let rows = self.0.lock();
        let attempts = rows.attempts.iter();
        Ok(sum_up(
            query,
            attempts.map(|attempt| (attempt, rows.correction(attempt))),
        ))
    }

    fn correct(&self, corrections: &[Correction]) -> Result<usize> {
        let mut rows = self.0.lock();
        let mut known = 0;
        for correction in corrections {
            if rows.places.contains_key(&correction.id) {
                known += 1;
                let kept = rows.corrections.entry(correction.id.clone()).or_default();
                kept.push(correction.clone());
            }
        }
        Ok(known)
    }
}

impl Rows {
    fn posted(&self, scope: &Scope, from: UnixMillis, to: UnixMillis) -> Posted {
        let mut total = Posted::default();
        let mut requests = BTreeSet::new();
        for attempt in &self.attempts {
            let opening = &attempt.opening;
            if opening.at < from || opening.at >= to || !covers(scope, attempt) {
                continue;
            }
            if let Some(posted) = attempt.posted() {
                total.money += posted.money;
                total.input_tokens = total.input_tokens.saturating_add(posted.input_tokens);
                total.output_tokens = total.output_tokens.saturating_add(posted.output_tokens);
                requests.insert(&opening.id.request_id);
            }
        }
        total.requests = requests.len() as u64;
        total
    }

    fn take(&mut self, entry: &Entry) -> Result<Step, &'static str> {
        let place = self.places.get(entry.id()).copied();
        if let Some(attempt) = place.and_then(|place| self.attempts.get_mut(place)) {
            return attempt.take(entry);
        }
        let mut new = None;
        let step = Attempt::advance(&mut new, entry)?;
        self.places.insert(entry.id().clone(), self.attempts.len());
        self.attempts.extend(new);
        Ok(step)
    }

    fn correction(&self, attempt: &Attempt) -> Option<&Correction> {
        self.corrections.get(&attempt.opening.id)?.last()
    }
}

fn covers(scope: &Scope, attempt: &Attempt) -> bool {
    let opening = &attempt.opening;
    match scope {
        Scope::Gateway => true,
        Scope::Team(id) => opening.team_id.as_ref() == Some(id),
        Scope::Project(id) => opening.project_id.as_ref() == Some(id),
        Scope::Key(id) => opening.key_id == *id,
        Scope::Provider(name) => opening.provider == *name,
        Scope::Model(name) => {
            let target = name.strip_prefix(&opening.provider);
            let target = target.and_then(|rest| rest.strip_prefix('/'));
            opening.route == *name || target == Some(opening.model.as_str())
        }
    }
}
