//! The embeddings that are being made, and one step of all of them.
//!
//! Every step takes a text of each in turn until the pass is full, so that a caller with thousands of texts does not hold
//! up one with a single text. Callers that are gone leave between two passes. No threads and no clock here.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{EmbedInput, Embedded};
use crate::error::EngineError;
use crate::model::Embedder;
use crate::queue::Place;

/// Tokens of a pass, unless a single text has more.
const TOKENS_PER_PASS: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct EmbedBatch {
    /// The one whose turn it is comes first.
    running: VecDeque<Embedding>,
}

/// The texts of one caller.
#[derive(Debug)]
struct Embedding {
    texts: Vec<Vec<u32>>,
    /// Of the first texts; as many as there are texts at the end.
    vectors: Vec<Vec<f32>>,
    asker: Asker,
}

/// Who waits for an answer, and the place that he takes meanwhile.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) reply: oneshot::Sender<Result<Embedded, EngineError>>,
    /// Held for its drop, which frees the place in the queue.
    pub(crate) place: Place,
}

// === impl EmbedBatch ===

impl EmbedBatch {
    /// Refuses a text that does not fit the window, before any is embedded.
    pub(crate) fn enter(&mut self, model: &Embedder, inputs: &[EmbedInput], asker: Asker) {
        let texts = inputs.iter().enumerate();
        let texts = texts.map(|(index, input)| model.tokenize(input, index));
        match texts.collect::<Result<Vec<Vec<u32>>, EngineError>>() {
            Ok(texts) => self.running.push_back(Embedding {
                vectors: Vec::with_capacity(texts.len()),
                texts,
                asker,
            }),
            Err(error) => asker.answer(Err(error)),
        }
    }

    pub(crate) fn n_active(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// One pass: the cancelled leave, everybody's texts take turns, and whoever has all vectors gets them.
    pub(crate) fn step(&mut self, model: &Embedder) {
        self.running
            .retain(|embedding| !embedding.asker.reply.is_closed());
        let (taken, next) = self.take_turns();
        let mut texts = Vec::new();
        for (embedding, n) in self.running.iter().zip(&taken) {
            let done = embedding.vectors.len();
            texts.extend(embedding.texts[done..done + n].iter().map(Vec::as_slice));
        }
        if texts.is_empty() {
            return;
        }
        match model.embed(&texts) {
            Ok(vectors) => {
                let mut vectors = vectors.into_iter();
                for (embedding, n) in self.running.iter_mut().zip(taken) {
                    embedding.vectors.extend(vectors.by_ref().take(n));
                }
                self.running.rotate_left(next);
                self.answer();
            }
            Err(error) => {
                for embedding in self.running.drain(..) {
                    embedding.asker.answer(Err(error.clone()));
                }
            }
        }
    }

    /// How many texts of each take part in the next pass, and whose turn it is in the pass after it.
    fn take_turns(&self) -> (Vec<usize>, usize) {
        let mut taken = vec![0; self.running.len()];
        let mut n_tokens = 0;
        let mut n_passed_over = 0;
        for i in (0..self.running.len()).cycle() {
            let embedding = &self.running[i];
            match embedding.texts.get(embedding.vectors.len() + taken[i]) {
                Some(text) if n_tokens > 0 && n_tokens + text.len() > TOKENS_PER_PASS => {
                    return (taken, i);
                }
                Some(text) => {
                    n_tokens += text.len();
                    taken[i] += 1;
                    n_passed_over = 0;
                }
                // Nobody has a text left when this was said of all.
                None => n_passed_over += 1,
            }
            if n_passed_over == self.running.len() {
                break;
            }
        }
        (taken, 0)
    }

    /// Gives their vectors to those who have all. A caller that is gone does not mind.
    fn answer(&mut self) {
        for _ in 0..self.running.len() {
            let Some(embedding) = self.running.pop_front() else {
                return;
            };
            if embedding.vectors.len() < embedding.texts.len() {
                self.running.push_back(embedding);
                continue;
            }
            let lengths = embedding.texts.iter();
            let lengths = lengths.map(|text| u32::try_from(text.len()).unwrap_or(u32::MAX));
            let embedded = Embedded {
                tokens_each: lengths.collect(),
                vectors: embedding.vectors,
            };
            embedding.asker.answer(Ok(embedded));
        }
    }
}

// === impl Asker ===

impl Asker {
    /// A caller that is gone does not mind. Whoever sees an answer finds the place free.
    pub(crate) fn answer(self, answer: Result<Embedded, EngineError>) {
        drop(self.place);
        drop(self.reply.send(answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Loaded, Source};
    use crate::queue::Places;

    type Answer = oneshot::Receiver<Result<Embedded, EngineError>>;

    fn model() -> Embedder {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/vectors/embeddings/bert-f32.gguf"
        );
        match Source::File(path.into()).load(None) {
            Ok(Loaded::Embedder(embedder)) => *embedder,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for so many texts of 40 tokens, six of which fill a pass.
    fn ask(batch: &mut EmbedBatch, model: &Embedder, places: &Places, n: usize) -> Answer {
        let (reply, answer) = oneshot::channel();
        let place = places.take().unwrap();
        let inputs = vec![EmbedInput::Tokens(vec![7; 40]); n];
        batch.enter(model, &inputs, Asker { reply, place });
        answer
    }

    #[test]
    fn one_with_many_texts_does_not_hold_up_others() {
        let (model, places, mut batch) = (model(), Places::new(9), EmbedBatch::default());
        let mut long = ask(&mut batch, &model, &places, 100);
        batch.step(&model);
        let mut short = ask(&mut batch, &model, &places, 3);
        let mut middle = ask(&mut batch, &model, &places, 9);
        batch.step(&model);
        batch.step(&model);
        assert!(short.try_recv().is_ok() && middle.try_recv().is_err());
        for _ in 0..3 {
            batch.step(&model);
        }
        assert_eq!(middle.try_recv().unwrap().unwrap().vectors.len(), 9);
        assert!(long.try_recv().is_err());
        let mut n_steps = 6;
        while !batch.is_idle() {
            batch.step(&model);
            n_steps += 1;
        }
        // 112 texts in all, and none of them twice.
        assert_eq!(n_steps, 112_usize.div_ceil(6));
        assert_eq!(long.try_recv().unwrap().unwrap().tokens_each, [40; 100]);
        assert_eq!(places.n_taken(), 0);
    }

    #[test]
    fn a_caller_that_is_gone_leaves_between_two_passes() {
        let (model, places, mut batch) = (model(), Places::new(1), EmbedBatch::default());
        let answer = ask(&mut batch, &model, &places, 100);
        batch.step(&model);
        assert_eq!((batch.n_active(), places.n_taken()), (1, 1));
        drop(answer);
        batch.step(&model);
        assert!(batch.is_idle());
        assert_eq!(places.n_taken(), 0);
    }
}
