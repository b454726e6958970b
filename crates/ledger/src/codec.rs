//! One ledger entry as bytes: a tag, then the fields in order. Numbers are LEB128, strings and lists have
//! their length before them, options a 0 or 1. A layout is never changed: a new one gets a new tag.
//!
//! It owns no framing and no checksum; `segment` does.

use tollgate_base::{Money, Provenance, Region, ServiceTier, UnixMillis, Usage};
use tollgate_policy::ledger::{AttemptId, AttemptOutcome, Cost, Entry, Opening, Settlement};

const OPENED: u8 = 1;
const DISPATCHED: u8 = 2;
const SETTLED: u8 = 3;
const RELEASED: u8 = 4;
const LOST: u8 = 5;
const RESOLVED: u8 = 6;
const SENT: u8 = 7;

/// An entry that is written: what it says is somebody else's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written<'a> {
    Opened(&'a Opening),
    Sent(&'a Opening),
    Dispatched(&'a AttemptId),
    Settled(&'a Settlement),
    Released(&'a AttemptId),
    Lost(&'a AttemptId, UnixMillis),
    Resolved(&'a AttemptId, UnixMillis, Money),
}

impl<'a> From<&'a Entry> for Written<'a> {
    fn from(entry: &'a Entry) -> Self {
        match entry {
            Entry::Opened(opening) => Written::Opened(opening),
            Entry::Sent(opening) => Written::Sent(opening),
            Entry::Dispatched(id) => Written::Dispatched(id),
            Entry::Settled(settlement) => Written::Settled(settlement),
            Entry::Released(id) => Written::Released(id),
            Entry::Lost(id, at) => Written::Lost(id, *at),
            Entry::Resolved(id, at, cost) => Written::Resolved(id, *at, *cost),
        }
    }
}

impl Written<'_> {
    /// For keeping it.
    pub(crate) fn to_entry(self) -> Entry {
        match self {
            Written::Opened(opening) => Entry::Opened(opening.clone()),
            Written::Sent(opening) => Entry::Sent(opening.clone()),
            Written::Dispatched(id) => Entry::Dispatched(id.clone()),
            Written::Settled(settlement) => Entry::Settled(settlement.clone()),
            Written::Released(id) => Entry::Released(id.clone()),
            Written::Lost(id, at) => Entry::Lost(id.clone(), at),
            Written::Resolved(id, at, cost) => Entry::Resolved(id.clone(), at, cost),
        }
    }
}

/// Appends `entry` to `out`.
pub(crate) fn encode(entry: Written<'_>, out: &mut Vec<u8>) {
    match entry {
        Written::Opened(opening) => {
            out.push(OPENED);
            put_opening(opening, out);
        }
        Written::Sent(opening) => {
            out.push(SENT);
            put_opening(opening, out);
        }
        Written::Dispatched(id) => {
            out.push(DISPATCHED);
            put_id(id, out);
        }
        Written::Settled(settlement) => {
            out.push(SETTLED);
            put_settlement(settlement, out);
        }
        Written::Released(id) => {
            out.push(RELEASED);
            put_id(id, out);
        }
        Written::Lost(id, at) => {
            out.push(LOST);
            put_id(id, out);
            put_number(at.0, out);
        }
        Written::Resolved(id, at, cost) => {
            out.push(RESOLVED);
            put_id(id, out);
            put_number(at.0, out);
            put_money(cost, out);
        }
    }
}

/// Reads what `encode` wrote, and nothing else: `None` for bytes that are short, long or make no sense.
pub(crate) fn decode(bytes: &[u8]) -> Option<Entry> {
    let mut input = Input(bytes);
    let entry = match input.byte()? {
        OPENED => Entry::Opened(input.opening()?),
        SENT => Entry::Sent(input.opening()?),
        DISPATCHED => Entry::Dispatched(input.id()?),
        SETTLED => Entry::Settled(input.settlement()?),
        RELEASED => Entry::Released(input.id()?),
        LOST => Entry::Lost(input.id()?, UnixMillis(input.number()?)),
        RESOLVED => Entry::Resolved(input.id()?, UnixMillis(input.number()?), input.money()?),
        _ => return None,
    };
    input.0.is_empty().then_some(entry)
}

fn put_number(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn put_option(value: Option<u64>, out: &mut Vec<u8>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put_number(value, out);
    }
}

fn put_money(money: Money, out: &mut Vec<u8>) {
    out.extend(money.nanos().to_le_bytes());
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_number(text.len() as u64, out);
    out.extend(text.as_bytes());
}

fn put_id(id: &AttemptId, out: &mut Vec<u8>) {
    put_text(&id.request_id, out);
    put_number(u64::from(id.number), out);
}

fn put_opening(opening: &Opening, out: &mut Vec<u8>) {
    put_id(&opening.id, out);
    put_number(opening.at.0, out);
    put_text(&opening.key_id, out);
    for text in [&opening.project_id, &opening.team_id] {
        out.push(u8::from(text.is_some()));
        if let Some(text) = text {
            put_text(text, out);
        }
    }
    for text in [
        &opening.operation,
        &opening.dialect,
        &opening.route,
        &opening.provider,
        &opening.model,
    ] {
        put_text(text, out);
    }
    out.push(u8::from(opening.stream));
    out.push(u8::from(opening.held.is_some()));
    if let Some(held) = opening.held {
        put_money(held, out);
    }
    put_number(opening.held_input, out);
    put_number(opening.held_output, out);
    put_text(&opening.price_version, out);
    put_number(opening.tags.len() as u64, out);
    for (name, value) in &opening.tags {
        put_text(name, out);
        put_text(value, out);
    }
}

fn put_settlement(settlement: &Settlement, out: &mut Vec<u8>) {
    put_id(&settlement.id, out);
    put_number(settlement.at.0, out);
    out.push(position(&AttemptOutcome::ALL, &settlement.outcome));
    put_usage(&settlement.usage, out);
    match settlement.cost {
        Cost::Known(money) => {
            out.push(1);
            put_money(money, out);
        }
        Cost::Unknown => out.push(0),
    }
    put_text(&settlement.unit_prices, out);
    put_text(&settlement.code, out);
    put_option(settlement.first_event_ms, out);
    put_number(settlement.duration_ms, out);
}

fn put_usage(usage: &Usage, out: &mut Vec<u8>) {
    put_number(usage.input, out);
    put_number(usage.output, out);
    for bucket in [
        usage.cache_read,
        usage.cache_write,
        usage.cache_write_1h,
        usage.audio_input,
        usage.image_input,
        usage.reasoning,
        usage.audio_output,
        usage.image_output,
        usage.searches,
        usage.images,
        usage.audio_ms,
        usage.characters,
    ] {
        put_option(bucket, out);
    }
    out.push(position(&ServiceTier::ALL, &usage.tier));
    out.push(position(&Region::ALL, &usage.region));
    out.push(position(&Provenance::ALL, &usage.provenance));
}

/// Enumerations are written as their place in `ALL`, to whose end new variants are added.
fn position<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let place = all.iter().position(|known| known == value).unwrap_or(0);
    u8::try_from(place).unwrap_or(u8::MAX)
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    #[expect(
        clippy::option_option,
        reason = "the outer one says whether it can be read, the inner one is what was written"
    )]
    fn option(&mut self) -> Option<Option<u64>> {
        Some(if self.flag()? {
            Some(self.number()?)
        } else {
            None
        })
    }

    fn take(&mut self, n: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn money(&mut self) -> Option<Money> {
        let bytes = self.take(16)?.try_into().ok()?;
        Some(Money::from_nanos(i128::from_le_bytes(bytes)))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let place = self.byte()?;
        all.get(usize::from(place)).copied()
    }

    fn id(&mut self) -> Option<AttemptId> {
        Some(AttemptId {
            request_id: self.text()?,
            number: u32::try_from(self.number()?).ok()?,
        })
    }

    #[expect(
        clippy::option_option,
        reason = "the outer one says whether it can be read, the inner one is what was written"
    )]
    fn optional_text(&mut self) -> Option<Option<String>> {
        Some(if self.flag()? {
            Some(self.text()?)
        } else {
            None
        })
    }

    fn opening(&mut self) -> Option<Opening> {
        Some(Opening {
            id: self.id()?,
            at: UnixMillis(self.number()?),
            key_id: self.text()?,
            project_id: self.optional_text()?,
            team_id: self.optional_text()?,
            operation: self.text()?,
            dialect: self.text()?,
            route: self.text()?,
            provider: self.text()?,
            model: self.text()?,
            stream: self.flag()?,
            held: if self.flag()? {
                Some(self.money()?)
            } else {
                None
            },
            held_input: self.number()?,
            held_output: self.number()?,
            price_version: self.text()?,
            tags: {
                let n = self.number()?;
                let pairs = (0..n).map(|_| Some((self.text()?, self.text()?)));
                pairs.collect::<Option<_>>()?
            },
        })
    }

    fn settlement(&mut self) -> Option<Settlement> {
        Some(Settlement {
            id: self.id()?,
            at: UnixMillis(self.number()?),
            outcome: self.one_of(&AttemptOutcome::ALL)?,
            usage: self.usage()?,
            cost: if self.flag()? {
                Cost::Known(self.money()?)
            } else {
                Cost::Unknown
            },
            unit_prices: self.text()?,
            code: self.text()?,
            first_event_ms: self.option()?,
            duration_ms: self.number()?,
        })
    }

    fn usage(&mut self) -> Option<Usage> {
        Some(Usage {
            input: self.number()?,
            output: self.number()?,
            cache_read: self.option()?,
            cache_write: self.option()?,
            cache_write_1h: self.option()?,
            audio_input: self.option()?,
            image_input: self.option()?,
            reasoning: self.option()?,
            audio_output: self.option()?,
            image_output: self.option()?,
            searches: self.option()?,
            images: self.option()?,
            audio_ms: self.option()?,
            characters: self.option()?,
            tier: self.one_of(&ServiceTier::ALL)?,
            region: self.one_of(&Region::ALL)?,
            provenance: self.one_of(&Provenance::ALL)?,
        })
    }
}
