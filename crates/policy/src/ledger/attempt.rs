//! One attempt as its entries tell it: the state machine, kept apart from every store so that all stores
//! agree. Entries may come twice; what contradicts the order is refused and changes nothing.

use tollgate_base::{Money, Provenance, UnixMillis};

use super::{AttemptState, Entry, Opening, Posted, Settlement};

/// Everything that is known of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub opening: Opening,
    pub state: AttemptState,
    pub settlement: Option<Settlement>,
    /// When recovery found that nobody knows how it ended.
    pub lost_at: Option<UnixMillis>,
    /// When and at what cost an administrator booked it after that.
    pub resolved: Option<(UnixMillis, Money)>,
}

/// What an attempt would have cost at other prices. It stands beside the booked cost, never in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    pub id: super::AttemptId,
    /// When the correction was made.
    pub at: UnixMillis,
    pub cost: Money,
    pub price_version: String,
    pub unit_prices: String,
}

/// What an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Changed,
    /// It was known already.
    Repeated,
}

/// Why an entry is refused whose attempt nobody knows.
pub const NO_BEGINNING: &str = "nothing is known of its beginning";

impl Attempt {
    pub fn open(opening: Opening) -> Self {
        Self {
            opening,
            state: AttemptState::Held,
            settlement: None,
            lost_at: None,
            resolved: None,
        }
    }

    /// What `entry` makes of an attempt of which `known` is known. Refusals say why, and change nothing.
    pub fn advance(known: &mut Option<Self>, entry: &Entry) -> Result<Step, &'static str> {
        match (known, entry) {
            (Some(attempt), entry) => attempt.take(entry),
            (known, Entry::Opened(opening)) => {
                *known = Some(Self::open(opening.clone()));
                Ok(Step::Changed)
            }
            (known, Entry::Sent(opening)) => {
                let attempt = known.insert(Self::open(opening.clone()));
                Ok(attempt.step(AttemptState::Dispatched))
            }
            (None, _) => Err(NO_BEGINNING),
        }
    }

    /// Takes one more entry of this attempt.
    pub fn take(&mut self, entry: &Entry) -> Result<Step, &'static str> {
        use AttemptState::{Dispatched, Held, Released, Settled, Unknown};
        match (entry, self.state) {
            (Entry::Opened(opening), _) if *opening == self.opening => Ok(Step::Repeated),
            (Entry::Opened(_), _) => Err("another attempt has this id"),
            (Entry::Sent(opening), _) if *opening != self.opening => {
                Err("another attempt has this id")
            }

            // ## held => dispatched. Late news of it is no news.
            (Entry::Dispatched(_) | Entry::Sent(_), Held) => Ok(self.step(Dispatched)),
            (Entry::Dispatched(_) | Entry::Sent(_), Dispatched | Settled | Unknown)
            | (Entry::Released(_), Released) => Ok(Step::Repeated),
            (Entry::Dispatched(_) | Entry::Sent(_), Released) => {
                Err("it was released before it was dispatched")
            }

            // ## held | dispatched | unknown => settled. What really happened is better than not to know it,
            // so it may still come after recovery has given up; not after somebody has decided.
            (Entry::Settled(settlement), Held | Dispatched | Unknown) => {
                self.settlement = Some(settlement.clone());
                Ok(self.step(Settled))
            }
            (Entry::Settled(settlement), Settled) => match &self.settlement {
                Some(known) if known == settlement => Ok(Step::Repeated),
                Some(_) => Err("it is settled, and differently"),
                None => Err("an administrator has resolved it"),
            },
            (Entry::Settled(_), Released) => Err("it was released: nothing was sent"),

            // ## held => released
            (Entry::Released(_), Held) => Ok(self.step(Released)),
            (Entry::Released(_), _) => Err("it was dispatched: it must be settled"),

            // ## dispatched => unknown
            (Entry::Lost(_, at), Dispatched) => {
                self.lost_at = Some(*at);
                Ok(self.step(Unknown))
            }
            (Entry::Lost(..), _) if self.lost_at.is_some() => Ok(Step::Repeated),
            (Entry::Lost(..), Held) => Err("it was never dispatched: it must be released"),
            (Entry::Lost(..), _) => Err("it has ended, and how is known"),

            // ## unknown => settled, by decree
            (Entry::Resolved(_, at, cost), Unknown) => {
                self.resolved = Some((*at, *cost));
                Ok(self.step(Settled))
            }
            (Entry::Resolved(_, _, cost), Settled)
                if self.resolved.is_some_and(|(_, known)| known == *cost) =>
            {
                Ok(Step::Repeated)
            }
            (Entry::Resolved(..), _) => Err("only an attempt of unknown outcome can be resolved"),
        }
    }

    fn step(&mut self, to: AttemptState) -> Step {
        self.state = to;
        Step::Changed
    }

    /// What is booked for it; `None` when nothing is, or when its price is not known.
    pub fn cost(&self) -> Option<Money> {
        match (&self.settlement, self.resolved) {
            (Some(settlement), _) => settlement.cost.known(),
            (None, resolved) => resolved.map(|(_, cost)| cost),
        }
    }

    /// Whether it was settled without a price.
    pub fn is_unpriced(&self) -> bool {
        self.state == AttemptState::Settled && self.cost().is_none()
    }

    /// Whether its cost rests on what the provider reported of the whole call.
    pub fn is_reported(&self) -> bool {
        self.settlement
            .as_ref()
            .is_some_and(|settlement| settlement.usage.provenance == Provenance::Reported)
    }

    /// What counts against the scopes that it lies in; `requests` is 1 for every attempt that counts. Of what is not
    /// known exactly, nothing that was held is free again.
    pub fn posted(&self) -> Option<Posted> {
        let usage = self.settlement.as_ref().map(|settlement| settlement.usage);
        let is_exact = usage.is_none_or(|usage| usage.provenance == Provenance::Reported);
        let held = self.opening.held.unwrap_or_default();
        let at_least = |used: u64, held: u64| if is_exact { used } else { used.max(held) };
        match self.state {
            AttemptState::Settled => Some(Posted {
                money: match self.cost() {
                    Some(cost) if is_exact => cost,
                    Some(cost) => cost.max(held),
                    None => held,
                },
                input_tokens: usage.map_or(self.opening.held_input, |usage| {
                    at_least(usage.input_total(), self.opening.held_input)
                }),
                output_tokens: usage.map_or(self.opening.held_output, |usage| {
                    at_least(usage.output_total(), self.opening.held_output)
                }),
                requests: 1,
            }),
            AttemptState::Unknown => Some(Posted {
                money: self.opening.held.unwrap_or_default(),
                input_tokens: self.opening.held_input,
                output_tokens: self.opening.held_output,
                requests: 1,
            }),
            AttemptState::Held | AttemptState::Dispatched | AttemptState::Released => None,
        }
    }
}
