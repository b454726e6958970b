//! The ledger's words: what is written down of each attempt, and in which order it may change.
//!
//! An attempt is opened before its first byte goes to a provider and closed exactly once afterwards. The
//! order is `held -> dispatched -> settled | unknown`, or `held -> released` when nothing was ever sent.

mod attempt;
mod report;
#[cfg(test)]
mod tests;

pub use attempt::{Attempt, Correction, NO_BEGINNING, Step};
pub use report::{
    AttemptFilter, AttemptQuery, Group, Listed, ReportQuery, ReportRow, day_of, sum_up,
};

use tollgate_base::{Money, Result, UnixMillis, Usage};

use crate::scope::Scope;

/// One try of one call: the request id and the try's number, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    pub request_id: String,
    pub number: u32,
}

/// What is known of an attempt when it begins. It is durable before the first byte is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub id: AttemptId,
    /// When the call was admitted: decides the window that the attempt belongs to.
    pub at: UnixMillis,
    pub key_id: String,
    pub project_id: Option<String>,
    pub team_id: Option<String>,
    /// `generation`, `embeddings`, or the name of an operation that is passed through.
    pub operation: String,
    pub dialect: String,
    /// The model that the caller asked for.
    pub route: String,
    /// The provider's configured name, and its name of the model.
    pub provider: String,
    pub model: String,
    pub stream: bool,
    /// The most that the attempt can cost; `None` when its price is not known.
    pub held: Option<Money>,
    /// Upper bounds in tokens.
    pub held_input: u64,
    pub held_output: u64,
    pub price_version: String,
    /// The caller's own labels for reports, in order.
    pub tags: Vec<(String, String)>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub id: AttemptId,
    pub at: UnixMillis,
    pub outcome: AttemptOutcome,
    pub usage: Usage,
    pub cost: Cost,
    /// The rates that were used, as `name=dollars per million` pairs separated by spaces.
    pub unit_prices: String,
    /// The error's code, or empty.
    pub code: String,
    /// Milliseconds from the attempt's beginning to the first event and to the end.
    pub first_event_ms: Option<u64>,
    pub duration_ms: u64,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptOutcome {
    /// The provider's answer came to its end.
    Complete,
    /// The provider failed or refused.
    Failed,
    /// The caller left before the end.
    ClientGone,
    /// Answered from the cache, nothing was sent.
    CacheHit,
}

/// What an attempt cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// To the nano-dollar, by the provider's own report or by our estimate; the usage's provenance says which.
    Known(Money),
    /// The price is not known: never to be taken for zero.
    Unknown,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptState {
    /// Money is held; nothing has been sent.
    Held,
    /// It may have been sent.
    Dispatched,
    /// It ended, and what it cost is booked.
    Settled,
    /// It ended without having been sent.
    Released,
    /// Nobody knows how it ended (the process died). Its hold counts until somebody resolves it.
    Unknown,
}

/// A change of the ledger, in the order in which it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Opened(Opening),
    /// Opened and dispatched at once: one record, of which no part can be lost alone.
    Sent(Opening),
    Dispatched(AttemptId),
    Settled(Settlement),
    Released(AttemptId),
    /// What recovery says of an attempt that a dead process left dispatched.
    Lost(AttemptId, UnixMillis),
    /// What an administrator says of a lost attempt: the cost that it is booked with.
    Resolved(AttemptId, UnixMillis, Money),
}

/// Money that counts against one scope in one period: what admission starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// Booked costs, and the holds of attempts whose outcome is unknown.
    pub money: Money,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub requests: u64,
}

/// What a scope used in several stretches of time, as of one record of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Between each border and the next.
    pub parts: Vec<Posted>,
    /// The figures hold every record up to this one and no later one.
    pub as_of: u64,
}

/// Where entries end up, and what is asked of them. Applying the same entry twice changes nothing.
pub trait LedgerStore: Send + Sync + std::fmt::Debug {
    /// Applies entries in one transaction, and in the same one remembers `shipped`, the journal's number of
    /// the last of them. When it returns, the entries survive the loss of power: the journal forgets them.
    ///
    /// An entry that cannot be ([`Attempt::take`] says which) is refused alone; the others are applied.
    fn apply(&self, entries: &[Entry], shipped: Option<u64>) -> Result<Applied>;
    /// The largest number that `apply` was given; 0 at first.
    fn shipped(&self) -> Result<u64>;
    /// Everything that `scope` used between each of `borders` (inclusive) and the next (exclusive), by admission, and
    /// which records these figures hold: all of it of one instant. Later corrections of prices do not count: what was
    /// booked was spent.
    fn figures(&self, scope: &Scope, borders: &[UnixMillis]) -> Result<Figures>;
    /// Attempts that have begun and not ended.
    fn open_attempts(&self) -> Result<Vec<(AttemptId, AttemptState)>>;
    /// Attempts that match, a page at a time.
    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Listed>>;
    /// Sums over the attempts that match, by the groups' values in ascending order.
    fn report(&self, query: &ReportQuery) -> Result<Vec<ReportRow>>;
    /// Adds corrections beside what was booked, which stays as it is. A second one of the same attempt takes
    /// the place of the first in reports; both are kept. Says how many attempts were known.
    fn correct(&self, corrections: &[Correction]) -> Result<usize>;
}

/// What became of entries that were applied together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Entries that changed something.
    pub changed: usize,
    /// Entries that were known already.
    pub repeated: usize,
    /// Entries that cannot be: their index and why. The others are applied all the same.
    pub refused: Vec<(usize, String)>,
}

impl AttemptState {
    pub const ALL: [Self; 5] = [
        Self::Held,
        Self::Dispatched,
        Self::Settled,
        Self::Released,
        Self::Unknown,
    ];

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// The word for it in the store and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptState::Held => "held",
            AttemptState::Dispatched => "dispatched",
            AttemptState::Settled => "settled",
            AttemptState::Released => "released",
            AttemptState::Unknown => "unknown",
        }
    }
}

impl AttemptOutcome {
    pub const ALL: [Self; 4] = [
        Self::Complete,
        Self::Failed,
        Self::ClientGone,
        Self::CacheHit,
    ];

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// The word for it in the store and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptOutcome::Complete => "complete",
            AttemptOutcome::Failed => "failed",
            AttemptOutcome::ClientGone => "client_gone",
            AttemptOutcome::CacheHit => "cache_hit",
        }
    }
}

impl Entry {
    /// The attempt that it speaks of.
    pub fn id(&self) -> &AttemptId {
        match self {
            Entry::Opened(opening) | Entry::Sent(opening) => &opening.id,
            Entry::Settled(settlement) => &settlement.id,
            Entry::Dispatched(id)
            | Entry::Released(id)
            | Entry::Lost(id, _)
            | Entry::Resolved(id, ..) => id,
        }
    }
}

impl Cost {
    /// The amount, unless the price is not known.
    pub fn known(self) -> Option<Money> {
        match self {
            Cost::Known(money) => Some(money),
            Cost::Unknown => None,
        }
    }
}

impl Opening {
    /// The circles that the attempt lies in.
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes = vec![
            Scope::Gateway,
            Scope::Key(self.key_id.clone()),
            Scope::Provider(self.provider.clone()),
        ];
        scopes.extend(self.team_id.clone().map(Scope::Team));
        scopes.extend(self.project_id.clone().map(Scope::Project));
        let target = format!("{}/{}", self.provider, self.model);
        if !self.route.is_empty() && self.route != target {
            scopes.push(Scope::Model(self.route.clone()));
        }
        scopes.push(Scope::Model(target));
        scopes
    }
}

impl AttemptId {
    /// Reads it as it is displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let (request_id, number) = text.rsplit_once('-')?;
        Some(Self {
            request_id: request_id.to_owned(),
            number: number.parse().ok()?,
        })
    }
}

impl std::fmt::Display for AttemptId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.request_id, self.number)
    }
}
