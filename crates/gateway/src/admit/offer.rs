//! Admits an attempt at one target: with the whole of what the caller may get, or with what its budgets leave.

use tollgate_base::{Error, Money};
use tollgate_catalog::price::Ask;
use tollgate_policy::{admission::Refusal, ledger::AttemptId, scope::Scope};
use tollgate_tokens::ConversationCounter;

use super::{
    Asker, Pricing, Size,
    attempt::{Booking, Offer},
    call::{AttemptScopes, Precision},
    price::unbounded,
    pricing,
};
use crate::{
    attempt::Attempt,
    plan::{Place, Target},
    snapshot::Snapshot,
};

/// The smallest output that an answer is cut to: with less there is no point in asking.
const LEAST_OUTPUT: u64 = 16;

/// Why a target is not asked.
#[derive(Debug)]
pub(crate) enum Declined {
    /// The target's own limits, or its price: another one may do.
    Target(Error),
    /// The caller's budget; a cheaper target may fit.
    Budget(Error),
    /// The caller's own limits: no other target helps.
    Caller(Error),
}

/// An attempt as it was admitted.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) booking: Booking,
    /// The largest output that the provider may be asked for, for each candidate; `None`: what the caller wrote.
    pub(crate) max_output: Option<u64>,
}

/// A target and what asking it would cost.
struct Bid<'a> {
    attempt: &'a Attempt<'a>,
    target: &'a Target,
    asker: &'a Asker,
    scopes: AttemptScopes,
    size: &'a Size<'a>,
    counter: ConversationCounter,
    pricing: Pricing,
    output: u64,
}

/// Admits `attempt` at `target`. With `may_clamp`, an answer that the budget has no room for is made smaller.
pub(crate) fn admit(
    attempt: &Attempt<'_>,
    target: &Target,
    asker: &Asker,
    size: &Size<'_>,
    may_clamp: bool,
) -> Result<Admitted, Declined> {
    let bid = Bid {
        attempt,
        target,
        asker,
        scopes: asker.scopes_at(target.place.name(), &target.model),
        size,
        counter: counter(attempt.snapshot, target),
        pricing: pricing(attempt.snapshot, target).map_err(Declined::Target)?,
        output: size.output(target.traits),
    };
    let rough = bid.quote(Precision::Rough, bid.output);
    bid.check_price(&rough).map_err(Declined::Target)?;
    let refusal = match bid.book(rough) {
        Ok(booking) => return Ok(bid.admitted(booking, bid.output)),
        Err(refusal) => refusal,
    };
    if !refusal.depends_on_size() {
        return Err(bid.declined(&refusal));
    }
    // What is refused by its bytes may fit by its tokens.
    let refusal = match bid.book(bid.quote(Precision::Exact, bid.output)) {
        Ok(booking) => return Ok(bid.admitted(booking, bid.output)),
        Err(refusal) => refusal,
    };
    if may_clamp
        && let Some(room) = refusal.room()
        && let Some(output) = bid.output_within(room)
        && let Ok(booking) = bid.book(bid.quote(Precision::Exact, output))
    {
        return Ok(bid.admitted(booking, output));
    }
    Err(bid.declined(&refusal))
}

/// The most that asking this target would cost; the order of "cheaper".
pub(crate) fn price_of(attempt: &Attempt<'_>, target: &Target, size: &Size<'_>) -> Option<Money> {
    let pricing = pricing(attempt.snapshot, target).ok()?;
    let input = size.bound(
        Precision::Rough,
        &counter(attempt.snapshot, target),
        target.traits,
    );
    let ask = ask(size, target, attempt, input);
    pricing.most(&ask, size.output(target.traits))
}

fn ask<'a>(size: &'a Size<'a>, target: &Target, attempt: &Attempt<'_>, input: u64) -> Ask<'a> {
    let wire = match &target.place {
        Place::Provider(provider) => provider.service(attempt.call.dialect),
        Place::Local(_) => None,
    };
    Ask {
        input,
        candidates: size.candidates,
        tier: size.tier,
        without: wire.map_or(&[], |service| size.without(service.dialect)),
        pieces: size.pieces(),
        ..Ask::default()
    }
}

/// Counts as the target's model does.
pub(crate) fn counter(snapshot: &Snapshot, target: &Target) -> ConversationCounter {
    match &target.place {
        Place::Provider(provider) => snapshot.facts(&provider.name, &target.model).counter,
        Place::Local(_) => ConversationCounter::for_model(target.place.name(), &target.model),
    }
}

/// What an attempt may use at most.
#[derive(Clone, Copy, Debug)]
struct Quote {
    input: u64,
    /// For each candidate.
    output: u64,
    money: Option<Money>,
}

impl Bid<'_> {
    fn quote(&self, precision: Precision, output: u64) -> Quote {
        let input = self
            .size
            .bound(precision, &self.counter, self.target.traits);
        let ask = ask(self.size, self.target, self.attempt, input);
        Quote {
            input,
            output,
            money: self.pricing.most(&ask, output),
        }
    }

    fn book(&self, quote: Quote) -> Result<Booking, Box<Refusal>> {
        let Attempt {
            gateway,
            snapshot,
            call,
            number,
            ..
        } = *self.attempt;
        let offer = Offer {
            id: AttemptId {
                request_id: call.request_id.clone(),
                number,
            },
            asker: self.asker,
            scopes: &self.scopes,
            dialect: call.dialect,
            request: Some((call.dialect, call.raw.bytes().clone())),
            counter: self.counter,
            stream: call.head.stream,
            provider: self.target.place.name(),
            model: &self.target.model,
            tier: self.size.tier.unwrap_or_default(),
            pricing: self.pricing.clone(),
            price_version: snapshot.prices.version(),
            input: quote.input,
            output: quote.output.saturating_mul(u64::from(self.size.candidates)),
            money: quote.money,
        };
        Booking::admit(&gateway.shared, offer)
    }

    /// A call whose most is not known is held by no budget: it is treated as one without a price.
    fn check_price(&self, quote: &Quote) -> Result<(), Error> {
        if quote.money.is_some() || matches!(self.pricing, Pricing::Unknown) {
            return Ok(());
        }
        unbounded(self.attempt.snapshot, &self.target.name())
    }

    fn output_within(&self, room: Money) -> Option<u64> {
        let input = self
            .size
            .bound(Precision::Exact, &self.counter, self.target.traits);
        let ask = ask(self.size, self.target, self.attempt, input);
        let output = self.pricing.output_within(&ask, room)?.min(self.output);
        (output >= LEAST_OUTPUT).then_some(output)
    }

    /// The provider is told the largest output where something depends on its being kept.
    fn admitted(&self, booking: Booking, output: u64) -> Admitted {
        let is_bound = output < self.output
            || self.size.is_bounded_by_key()
            || self
                .attempt
                .gateway
                .shared
                .books
                .rules()
                .bound_output(&self.scopes.all);
        Admitted {
            booking,
            max_output: (is_bound && self.size.exceeds(output) && output > 0).then_some(output),
        }
    }

    fn declined(&self, refusal: &Refusal) -> Declined {
        let error = refusal.to_error();
        let name = self.target.name();
        match refusal.scope() {
            Scope::Provider(_) => Declined::Target(error),
            Scope::Model(model) if *model == name && *model != self.asker.route => {
                Declined::Target(error)
            }
            _ if refusal.room().is_some() => Declined::Budget(error),
            _ => Declined::Caller(error),
        }
    }
}
