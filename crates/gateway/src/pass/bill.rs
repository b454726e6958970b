//! What an operation that is passed through may cost, and what it cost when its answer does not say.

use std::sync::Arc;

use tollgate_base::{Provenance, Result, ServiceTier, Usage};
use tollgate_catalog::{
    Operation,
    price::{Ask, Bucket},
};
use tollgate_dialect::RawObject;
use tollgate_policy::{key::Caller, ledger::AttemptId};
use tollgate_tokens::ConversationCounter;

use super::DIALECT;
use crate::{
    admit::{Asker, Booking, Offer, Pricing, pricing_at, unbounded},
    gateway::Gateway,
    plan::Served,
    snapshot::Snapshot,
};

/// The most output tokens of one picture, or of the text of one recording.
const MOST_OUTPUT: u64 = 16_384;

/// A request that is passed through, as far as its price goes.
#[derive(Clone, Debug)]
pub(super) struct Bill {
    operation: Operation,
    /// An upper bound in tokens.
    input: u64,
    /// Pictures wanted.
    pictures: u64,
    /// Characters to be spoken.
    characters: u64,
    /// The length of a recording, at most: speech is seldom coded with less than 8 kbit/s.
    sound_ms: u64,
}

impl Bill {
    /// Of a JSON request, or of a form of so many bytes.
    pub(super) fn of(operation: Operation, raw: Option<&RawObject>, bytes: u64) -> Self {
        let number = |field: &str| -> Option<u64> {
            let text = raw.and_then(|raw| raw.get(field))?;
            serde_json::from_str(text).ok()
        };
        let text = |field: &str| -> Option<String> {
            let text = raw.and_then(|raw| raw.get(field))?;
            serde_json::from_str(text).ok()
        };
        let is_sound = matches!(operation, Operation::Transcription | Operation::Translation);
        Self {
            operation,
            input: if is_sound { MOST_OUTPUT } else { bytes },
            // A form names its number where it is not read.
            pictures: number("n").unwrap_or(if raw.is_some() { 1 } else { 10 }),
            characters: text("input").map_or(0, |text| text.chars().count() as u64),
            sound_ms: if is_sound { bytes } else { 0 },
        }
    }

    fn pieces(&self) -> Vec<(Bucket, u64)> {
        match self.operation {
            Operation::ImageGeneration | Operation::ImageEdit | Operation::ImageVariation => {
                vec![(Bucket::Image, self.pictures)]
            }
            Operation::Transcription | Operation::Translation => {
                vec![(Bucket::AudioMs, self.sound_ms)]
            }
            Operation::Speech => vec![(Bucket::Character, self.characters)],
            Operation::Rerank => vec![(Bucket::Search, 1)],
            Operation::Moderation
            | Operation::Files
            | Operation::FineTuning
            | Operation::DeleteModel => Vec::new(),
        }
    }

    /// What the answer is known to have consumed although it does not say so.
    pub(super) fn known(&self) -> Usage {
        let said = |usage: Usage| Usage {
            provenance: Provenance::Reported,
            ..usage
        };
        match self.operation {
            Operation::Speech => said(Usage {
                characters: Some(self.characters),
                ..Usage::default()
            }),
            Operation::Rerank => said(Usage {
                searches: Some(1),
                ..Usage::default()
            }),
            Operation::Moderation => said(Usage::default()),
            _ => Usage::default(),
        }
    }

    /// Upper bounds of what goes in and comes out.
    pub(super) fn tokens(&self) -> (u64, u64) {
        (self.input, self.output())
    }

    fn output(&self) -> u64 {
        match self.operation {
            Operation::ImageGeneration | Operation::ImageEdit | Operation::ImageVariation => {
                MOST_OUTPUT.saturating_mul(self.pictures)
            }
            Operation::Transcription | Operation::Translation | Operation::Speech => MOST_OUTPUT,
            _ => 0,
        }
    }
}

impl Gateway {
    /// Admits one attempt at an operation, and writes down that it begins.
    pub(super) fn book(
        &self,
        snapshot: &Snapshot,
        asker: &Asker,
        target: &Served,
        id: AttemptId,
        bill: &Bill,
    ) -> Result<Booking> {
        let model = target.model.as_deref().unwrap_or_default();
        let provider = &target.provider;
        let pricing = match bill.operation {
            // OpenAI's moderation endpoint is free: <https://platform.openai.com/docs/guides/moderation>.
            Operation::Moderation | Operation::Files => Pricing::Free,
            // What training costs is known when the job is done, at its provider alone.
            Operation::FineTuning => Pricing::Unknown,
            _ => pricing_at(snapshot, &provider.name, model)?,
        };
        let pieces = bill.pieces();
        let ask = Ask {
            input: bill.input,
            candidates: 1,
            pieces: &pieces,
            ..Ask::default()
        };
        let money = pricing.most(&ask, bill.output());
        if money.is_none() && matches!(pricing, Pricing::Known(_)) {
            unbounded(snapshot, &target.name())?;
        }
        let offer = Offer {
            id,
            asker,
            dialect: DIALECT,
            request: None,
            counter: ConversationCounter::for_model(&provider.row.id, model),
            tier: ServiceTier::Standard,
            stream: false,
            provider: &provider.name,
            model,
            money,
            pricing,
            price_version: snapshot.prices.version(),
            input: bill.input,
            output: bill.output(),
        };
        let mut booking =
            Booking::admit(&self.shared, offer).map_err(|refusal| refusal.to_error())?;
        booking.dispatch()?;
        Ok(booking)
    }

    /// Who asks for an operation.
    pub(super) fn asker(
        &self,
        caller: &Arc<Caller>,
        operation: Operation,
        model: Option<&str>,
        tags: Vec<(String, String)>,
    ) -> Asker {
        let route = model.unwrap_or_default().to_owned();
        let at = self.shared.clock.moment();
        Asker::new(caller, route, operation.name(), tags, at)
    }
}
