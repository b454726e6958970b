//! A call as a whole under the limits of its caller and of the model that it names.

use std::sync::Arc;

use tollgate_base::{Moment, Result};
use tollgate_policy::{
    admission::{Actual, Demand, Held, LimitStanding, Row, Used},
    key::Caller,
    scope::{Scope, Scopes},
};

use crate::gateway::Shared;

/// Who calls what, as limits, budgets and the ledger want to know it.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) caller: Arc<Caller>,
    /// The model that was asked for; empty where none is.
    pub(crate) route: String,
    pub(crate) operation: &'static str,
    pub(crate) tags: Vec<(String, String)>,
    /// When the call was admitted: every attempt of it belongs to the windows of this instant.
    pub(crate) at: Moment,
    /// The circles that the call lies in, whatever serves it.
    scopes: Scopes,
}

/// The circles that an attempt lies in.
#[derive(Debug)]
pub(crate) struct AttemptScopes {
    pub(crate) all: Scopes,
    /// Those that its call does not lie in.
    pub(crate) own: Scopes,
}

/// What a call holds of the limits until it has ended.
#[derive(Debug)]
pub(crate) struct CallHold {
    shared: Arc<Shared>,
    held: Option<Held>,
    /// What its attempts used.
    used: Used,
    /// The ledger's records of them.
    rows: Vec<Row>,
    is_exact: bool,
    was_sent: bool,
    /// An attempt is under way: until it has ended, nobody knows what it used.
    is_open: bool,
}

// === impl Asker ===

impl Asker {
    pub(crate) fn new(
        caller: &Arc<Caller>,
        operation: &'static str,
        route: &str,
        tags: Vec<(String, String)>,
        at: Moment,
    ) -> Self {
        let mut scopes = Vec::with_capacity(5);
        scopes.extend([Scope::Gateway, Scope::Key(caller.key_id.clone())]);
        scopes.extend(caller.team_id.clone().map(Scope::Team));
        scopes.extend(caller.project_id.clone().map(Scope::Project));
        if !route.is_empty() {
            scopes.push(Scope::Model(route.to_owned()));
        }
        Self {
            caller: caller.clone(),
            route: route.to_owned(),
            operation,
            tags,
            at,
            scopes: scopes.into(),
        }
    }

    /// The circles that the call lies in, whatever serves it.
    pub(crate) fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The circles of an attempt of the call at a target.
    pub(crate) fn scopes_at(&self, provider: &str, model: &str) -> AttemptScopes {
        let mut own = vec![Scope::Provider(provider.to_owned())];
        let target = format!("{provider}/{model}");
        if target != self.route {
            own.push(Scope::Model(target));
        }
        let all: Vec<Scope> = self.scopes.iter().chain(&own).cloned().collect();
        AttemptScopes {
            all: all.into(),
            own: own.into(),
        }
    }
}

// === impl CallHold ===

impl CallHold {
    /// Admits a call, or says which limit stands in its way. `size` gives upper bounds of its tokens: in, and
    /// out for all candidates together; asked twice, first roughly and, when that is refused, exactly.
    pub(crate) fn admit(
        shared: &Arc<Shared>,
        asker: &Asker,
        mut size: impl FnMut(Precision) -> (u64, u64),
    ) -> Result<Self> {
        let books = &shared.books;
        let rules = books.rules();
        books.touch(&asker.caller.key_id, asker.at.wall);
        let mut admit = |precision| {
            let (input_tokens, output_tokens) = size(precision);
            let demand = Demand {
                scopes: asker.scopes().clone(),
                counts: true,
                input_tokens,
                output_tokens,
                money: None,
            };
            books.admission.admit(&rules, asker.at, &demand)
        };
        let held = match admit(Precision::Rough) {
            Err(refusal) if refusal.depends_on_size() => admit(Precision::Exact),
            admitted => admitted,
        };
        Ok(Self {
            shared: shared.clone(),
            held: Some(held.map_err(|refusal| refusal.to_error())?),
            used: Used::default(),
            rows: Vec::new(),
            is_exact: true,
            was_sent: false,
            is_open: false,
        })
    }

    /// How the call's limits stand, for the headers of its answer.
    pub(crate) fn standings(&self, asker: &Asker) -> Vec<LimitStanding> {
        let books = &self.shared.books;
        let rules = books.rules();
        let at = self.shared.clock.moment();
        books.admission.standings(&rules, at, asker.scopes()).limits
    }

    /// An attempt begins.
    pub(crate) fn begin(&mut self) {
        self.is_open = true;
    }

    /// The attempt ended: this is what it used, and the ledger's record of it.
    pub(crate) fn end(&mut self, actual: Actual, row: Option<Row>) {
        self.is_open = false;
        let (used, is_exact) = match actual {
            Actual::Nothing => return,
            Actual::Exact(used) => (used, true),
            Actual::AtLeast(used) => (used, false),
        };
        self.was_sent = true;
        self.rows.extend(row);
        self.is_exact &= is_exact;
        self.used.input_tokens = self.used.input_tokens.saturating_add(used.input_tokens);
        self.used.output_tokens = self.used.output_tokens.saturating_add(used.output_tokens);
    }

    /// Nobody waits for it any more, and its attempt goes on.
    pub(crate) fn leave(&self) {
        self.held.iter().for_each(Held::leave);
    }

    /// The call is served without any attempt, and counts as a request all the same.
    pub(crate) fn serve_here(&mut self) {
        self.was_sent = true;
    }
}

impl Drop for CallHold {
    /// Whatever ended the call: its place is free, and its tokens are what its attempts used.
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        let actual = match (
            self.was_sent || self.is_open,
            self.is_exact && !self.is_open,
        ) {
            (false, _) => Actual::Nothing,
            (true, true) => Actual::Exact(self.used),
            (true, false) => Actual::AtLeast(self.used),
        };
        held.book(self.shared.clock.moment(), actual, &self.rows);
    }
}

/// How closely a request is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// By its bytes: at once, and larger than it is.
    Rough,
    /// By the model's own tokenizer, where that is known.
    Exact,
}
