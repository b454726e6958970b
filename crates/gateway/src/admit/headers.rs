//! How the caller's limits stand, in the headers of its dialect.

use http::HeaderMap;
use tollgate_base::UnixMillis;
use tollgate_dialect::{Dialect, LimitKind, LimitState, limit_headers};
use tollgate_policy::{
    admission::LimitStanding,
    rules::{Measure, Side},
};

/// Writes the headers of the tightest limit of each kind.
pub(crate) fn insert(
    headers: &mut HeaderMap,
    dialect: Dialect,
    standings: &[LimitStanding],
    now: UnixMillis,
) {
    let mut states: Vec<LimitState> = Vec::new();
    for standing in standings {
        let Some(state) = state_of(standing, now) else {
            continue;
        };
        match states.iter_mut().find(|known| known.kind == state.kind) {
            Some(known) if known.remaining <= state.remaining => {}
            Some(known) => *known = state,
            None => states.push(state),
        }
    }
    headers.extend(limit_headers(dialect.family(), &states));
}

fn state_of(standing: &LimitStanding, now: UnixMillis) -> Option<LimitState> {
    let kind = match standing.measure {
        Measure::Requests(_) => LimitKind::Requests,
        Measure::Tokens(Side::Both, _) => LimitKind::Tokens,
        Measure::Tokens(Side::Input, _) => LimitKind::InputTokens,
        Measure::Tokens(Side::Output, _) => LimitKind::OutputTokens,
        Measure::Concurrent | Measure::LargestRequest => return None,
    };
    Some(LimitState {
        kind,
        limit: standing.most,
        remaining: standing.remaining,
        reset: standing.resets_in,
        now,
    })
}
