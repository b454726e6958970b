//! One attempt: what it may cost is held and written down before its first byte is sent, what it cost is booked
//! once when it has ended, whatever ended it.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use tollgate_base::{Moment, Money, Provenance, Result, ServiceTier, Usage, crash_point};
use tollgate_dialect::{Dialect, RawObject, parse_response};
use tollgate_ledger::Durable;
use tollgate_policy::{
    admission::{Actual, Demand, Held, Refusal, Row, Used},
    ledger::{AttemptId, AttemptOutcome, Cost, Opening, Settlement},
    retry::{Failure, Sent},
};
use tollgate_tokens::{ConversationCounter, Counter};

use super::{Asker, Notice, Pricing, call::AttemptScopes, size};
use crate::gateway::Shared;

/// What is known of an attempt before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) id: AttemptId,
    pub(crate) asker: &'a Asker,
    pub(crate) scopes: &'a AttemptScopes,
    pub(crate) dialect: Dialect,
    pub(crate) stream: bool,
    /// The request and how it is counted.
    pub(crate) request: Option<(Dialect, Bytes)>,
    pub(crate) counter: ConversationCounter,
    /// The place and its name of the model.
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    pub(crate) pricing: Pricing,
    pub(crate) price_version: &'a str,
    /// The service tier that was asked for.
    pub(crate) tier: ServiceTier,
    /// Upper bounds in tokens; the output is that of all candidates together.
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// The most that it can cost.
    pub(crate) money: Option<Money>,
}

/// An attempt that was admitted. It is settled by [`Booking::settle`]; dropped without, it counts as one whose
/// caller left before anything came.
#[derive(Debug)]
pub(crate) struct Booking {
    shared: Arc<Shared>,
    /// What it holds of budgets.
    money: Option<Held>,
    /// What it holds of the limits of its provider and its target; those of its caller are held by the call.
    load: Option<Held>,
    pricing: Pricing,
    opening: Box<Opening>,
    state: State,
    began: Instant,
    first_event: Option<Instant>,
    tier: ServiceTier,
    /// What came of an answer that broke off before anybody was told of it.
    said: Usage,
    seen: u64,
    /// For a provider that does not say what went in.
    input: InputEstimate,
    counter: ConversationCounter,
}

/// The input of an attempt, counted when somebody has to know.
#[derive(Debug)]
enum InputEstimate {
    /// The request itself, kept for it.
    Request(Dialect, Bytes),
    /// Counted, or an upper bound: the request was too large to be kept.
    Known(u64),
}

/// What the books can hold of one attempt: nine billion dollars.
const LARGEST_HOLD: Money = Money::from_nanos(9_000_000_000_000_000_000);

/// The largest request that is kept until its answer has ended, in bytes.
const KEPT_REQUEST: usize = 1024 * 1024;
/// The same for one that nobody waits for.
const LONG_KEPT_REQUEST: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    // ## Admitted => Dispatched | Ended: nothing has been sent
    Admitted,
    // ## Dispatched => Ended
    Dispatched,
    Ended,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    pub(crate) outcome: AttemptOutcome,
    /// As far as the provider said it.
    pub(crate) usage: Usage,
    /// Output tokens that were seen, counted here.
    pub(crate) seen: u64,
    pub(crate) code: &'a str,
}

/// What an attempt came to.
#[derive(Debug)]
pub(crate) struct Booked {
    /// Resolves when the booking is as durable as configured.
    pub(crate) durable: Durable,
    pub(crate) usage: Usage,
    pub(crate) cost: Cost,
    pub(crate) actual: Actual,
    /// The ledger's record; `None` when it could not be written down.
    pub(crate) row: Option<Row>,
}

impl Booking {
    /// Holds what the attempt may need, all or nothing.
    pub(crate) fn admit(shared: &Arc<Shared>, offer: Offer<'_>) -> Result<Self, Box<Refusal>> {
        let books = &shared.books;
        let rules = books.rules();
        let money = Demand {
            scopes: offer.scopes.all.clone(),
            counts: false,
            input_tokens: 0,
            output_tokens: 0,
            money: offer.money,
        };
        let load = Demand {
            scopes: offer.scopes.own.clone(),
            counts: true,
            input_tokens: offer.input,
            output_tokens: offer.output,
            money: None,
        };
        let at = offer.asker.at;
        let money = books.admission.admit(&rules, at, &money)?;
        let load = match books.admission.admit(&rules, shared.clock.moment(), &load) {
            Ok(load) => load,
            Err(refusal) => {
                money.settle(at, Actual::Nothing);
                return Err(refusal);
            }
        };
        crash_point("after-reserve");
        Ok(Self {
            shared: shared.clone(),
            money: Some(money),
            load: Some(load),
            tier: offer.tier,
            said: Usage::default(),
            seen: 0,
            input: InputEstimate::of(&offer),
            counter: offer.counter,
            pricing: offer.pricing.clone(),
            opening: Box::new(offer.opening()),
            state: State::Admitted,
            began: Instant::now(),
            first_event: None,
        })
    }

    /// How the model's texts are counted.
    pub(crate) fn text_counter(&self) -> Counter {
        self.counter.text()
    }

    /// From here on something may have been sent. It is written down first; where that fails, nothing is sent.
    pub(crate) fn dispatch(&mut self) -> Result<()> {
        self.shared.books.ledger.dispatch(&self.opening)?;
        self.state = State::Dispatched;
        Ok(())
    }

    /// An answer broke off before anybody was told of it; this is what was seen.
    pub(crate) fn broke_off(&mut self, said: Usage, seen: u64) {
        self.said = said;
        if self.said.provenance == Provenance::Reported {
            self.said.provenance = Provenance::Partial;
        }
        self.seen = seen;
    }

    /// What so many tokens of output would cost more; nothing where the price is not known.
    pub(crate) fn output_costs(&self, tokens: u64) -> Money {
        let usage = Usage {
            output: tokens,
            ..Usage::default()
        };
        self.pricing.cost(&usage).0.known().unwrap_or_default()
    }

    /// The tokens of a whole reply whose provider does not say how many they are.
    pub(crate) fn count_reply(&self, dialect: Dialect, body: &[u8]) -> u64 {
        let Ok(response) = parse_response(dialect, body) else {
            return 0;
        };
        let counter = self.counter.text();
        let texts = response.billed_texts();
        texts.map(|text| counter.count(text)).sum()
    }

    /// The first event of the answer has come.
    pub(crate) fn first_event(&mut self) {
        self.first_event.get_or_insert_with(Instant::now);
    }

    /// The attempt failed before anything of an answer came.
    pub(crate) fn fail(self, failure: &Failure) -> Option<Booked> {
        let usage = match failure.sent {
            // It never arrived, or it was refused: neither is charged.
            Sent::No | Sent::Answered => Usage {
                provenance: Provenance::Reported,
                ..Usage::default()
            },
            Sent::Maybe | Sent::Accepted => self.said,
        };
        let end = End {
            outcome: AttemptOutcome::Failed,
            usage,
            seen: self.seen,
            code: failure.error.code(),
        };
        self.settle(end)
    }

    /// Books what the attempt came to; `None` when nothing was sent, so that there is nothing to book.
    pub(crate) fn settle(mut self, end: End<'_>) -> Option<Booked> {
        self.end(end)
    }

    /// Nobody waits for it any more, and its provider goes on.
    pub(crate) fn leave(&self) {
        self.load.iter().for_each(Held::leave);
    }

    /// Whether it keeps a request that is too large to be kept for hours.
    pub(crate) fn is_large(&self) -> bool {
        let large = |body: &Bytes| body.len() > LONG_KEPT_REQUEST;
        matches!(&self.input, InputEstimate::Request(_, body) if large(body))
    }

    /// Counts its request now, instead of keeping it until somebody has to know.
    pub(crate) fn count_input(&mut self) {
        self.input = InputEstimate::Known(self.input.tokens(&self.counter));
    }

    /// The attempt goes on without this process: its row stays as it is, and what is held counts as used.
    pub(crate) fn leave_open(mut self) {
        self.state = State::Ended;
        let unknown = Actual::AtLeast(Used::default());
        self.give_back(self.shared.clock.moment(), unknown, unknown, None);
    }

    fn end(&mut self, end: End<'_>) -> Option<Booked> {
        let at = self.shared.clock.moment();
        if std::mem::replace(&mut self.state, State::Ended) != State::Dispatched {
            self.give_back(at, Actual::Nothing, Actual::Nothing, None);
            return None;
        }
        crash_point("after-usage");
        let mut usage = completed(end.usage, end.seen, || self.input.tokens(&self.counter));
        if usage.provenance != Provenance::Reported && usage.tier == ServiceTier::Standard {
            // Nobody said where it was served: where it was asked to be.
            usage.tier = self.tier;
        }
        let (cost, unit_prices) = self.pricing.cost(&usage);
        let actual = |used| {
            if usage.provenance == Provenance::Reported {
                Actual::Exact(used)
            } else {
                Actual::AtLeast(used)
            }
        };
        // Each limit and each budget is told of a call once: tokens by one hold, money by the other.
        let spent = actual(Used {
            money: cost.known(),
            ..Used::default()
        });
        let tokens = actual(Used {
            input_tokens: usage.input_total(),
            output_tokens: usage.output_total(),
            money: None,
        });
        let durable = self.shared.books.ledger.settle(&Settlement {
            id: self.opening.id.clone(),
            at: at.wall,
            outcome: end.outcome,
            usage,
            cost,
            unit_prices,
            code: end.code.to_owned(),
            first_event_ms: self.first_event.map(|at| millis(at - self.began)),
            duration_ms: millis(self.began.elapsed()),
        });
        let row = durable.number().map(|number| self.row(number, &usage));
        self.give_back(at, spent, tokens, row);
        self.tell(cost);
        Some(Booked {
            durable,
            usage,
            cost,
            actual: tokens,
            row,
        })
    }

    /// The ledger's record of the attempt, with the figures that the ledger counts.
    fn row(&self, number: u64, usage: &Usage) -> Row {
        let is_exact = usage.provenance == Provenance::Reported;
        let count = |used: u64, held: u64| if is_exact { used } else { used.max(held) };
        Row {
            number,
            input_tokens: count(usage.input_total(), self.opening.held_input),
            output_tokens: count(usage.output_total(), self.opening.held_output),
        }
    }

    fn give_back(&mut self, at: Moment, spent: Actual, tokens: Actual, row: Option<Row>) {
        for (held, actual) in [(self.money.take(), spent), (self.load.take(), tokens)] {
            let Some(held) = held else { continue };
            for crossing in held.book(at, actual, row.as_slice()) {
                self.shared.books.notify(Notice::Crossed(crossing));
            }
        }
    }

    fn tell(&self, cost: Cost) {
        let books = &self.shared.books;
        let at = self.opening.at;
        match cost {
            Cost::Known(cost) if cost.is_zero() => {}
            Cost::Known(cost) => books.spend(&self.opening.key_id, at, cost),
            Cost::Unknown => books.notify(Notice::Unpriced {
                target: format!("{}/{}", self.opening.provider, self.opening.model),
                at,
            }),
        }
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        if self.state == State::Ended {
            return;
        }
        let gone = End {
            outcome: AttemptOutcome::ClientGone,
            usage: Usage::default(),
            seen: 0,
            code: "",
        };
        // Nobody waits for the disk any more.
        drop(self.end(gone));
    }
}

impl Offer<'_> {
    fn opening(self) -> Opening {
        let caller = &self.asker.caller;
        Opening {
            id: self.id,
            at: self.asker.at.wall,
            key_id: caller.key_id.clone(),
            project_id: caller.project_id.clone(),
            team_id: caller.team_id.clone(),
            operation: self.asker.operation.to_owned(),
            dialect: self.dialect.name().to_owned(),
            route: self.asker.route.clone(),
            provider: self.provider.to_owned(),
            model: self.model.to_owned(),
            stream: self.stream,
            held: self.money.map(|held| held.min(LARGEST_HOLD)),
            held_input: self.input,
            held_output: self.output,
            price_version: self.price_version.to_owned(),
            tags: self.asker.tags.clone(),
        }
    }
}

impl InputEstimate {
    fn of(offer: &Offer<'_>) -> Self {
        match &offer.request {
            Some((dialect, body)) if body.len() <= KEPT_REQUEST => {
                InputEstimate::Request(*dialect, body.clone())
            }
            _ => InputEstimate::Known(offer.input),
        }
    }

    fn tokens(&self, counter: &ConversationCounter) -> u64 {
        match self {
            InputEstimate::Known(tokens) => *tokens,
            InputEstimate::Request(dialect, body) => match RawObject::parse(body.clone()) {
                Ok(raw) => size::counted(*dialect, &raw, counter),
                Err(_) => body.len() as u64,
            },
        }
    }
}

/// The usage as it is booked: what the provider left out is counted here, and says so. Nothing is counted over
/// a report that is complete, not even over one of nothing.
fn completed(said: Usage, seen: u64, input: impl FnOnce() -> u64) -> Usage {
    if said.provenance == Provenance::Reported {
        return said;
    }
    let mut usage = said;
    if said.input_total() == 0 {
        usage.provenance = Provenance::Estimated;
        usage.input = input();
    } else {
        usage.provenance = Provenance::Partial;
    }
    let missing = seen.saturating_sub(said.output_total());
    usage.output = usage.output.saturating_add(missing);
    usage
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(input: u64, output: u64, provenance: Provenance) -> Usage {
        Usage {
            input,
            output,
            provenance,
            ..Usage::default()
        }
    }

    fn told(usage: Usage) -> (u64, u64, &'static str) {
        (usage.input, usage.output, usage.provenance.as_str())
    }

    #[test]
    fn a_complete_report_is_booked_as_it_is_also_when_it_is_zero() {
        let zero = said(0, 0, Provenance::Reported);
        assert_eq!(told(completed(zero, 50, || 100)), (0, 0, "reported"));
    }

    #[test]
    fn what_was_not_said_is_counted_and_says_so() {
        let nothing = Usage::default();
        assert_eq!(told(completed(nothing, 50, || 100)), (100, 50, "estimated"));
        let early = said(90, 1, Provenance::Partial);
        assert_eq!(told(completed(early, 50, || 100)), (90, 50, "partial"));
        // A provider that says more than was seen is believed.
        let late = said(90, 80, Provenance::Partial);
        assert_eq!(told(completed(late, 50, || 100)), (90, 80, "partial"));
    }
}
