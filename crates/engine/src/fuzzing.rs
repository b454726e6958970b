//! What the fuzz targets need of parts that have no public face: a model's file run from its bytes, and a chat template
//! from its source. Not for programs; it does what the worker does with them, on the caller's thread.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::batch::{Batch, Bounds};
use crate::conversation::Conversation;
use crate::embedding::{Asker, EmbedBatch, EmbedInput};
use crate::error::EngineError;
use crate::generation::Event;
use crate::gguf::Gguf;
use crate::model::{Embedder, Loaded, Model, demo_bytes};
use crate::queue::{Places, Seat};
use crate::request::{Prompt, Request, Sampling};
use crate::sequence::Sequence;
use crate::template::Template;
use crate::tokenizer::Tokenizer;

/// Loads a model file and has it answer, or embed, a text. The error is what a caller would be told.
pub fn run_model(file: Vec<u8>, text: &str) -> Result<(), EngineError> {
    match Loaded::from_bytes(&Arc::new(Cow::Owned(file)), 1)? {
        Loaded::Model(model) => generate(&model, text),
        Loaded::Embedder(embedder) => embed(&embedder, text),
    }
}

/// What a template makes of a conversation, with the built-in model's tokens.
pub fn render(source: &str, conversation: &Conversation) -> Result<String, EngineError> {
    static TOKENIZER: OnceLock<Option<Tokenizer>> = OnceLock::new();
    let builtin = || Tokenizer::from_gguf(&Gguf::parse(demo_bytes())?);
    let tokenizer = TOKENIZER.get_or_init(|| builtin().ok());
    let tokenizer = tokenizer
        .as_ref()
        .ok_or_else(|| EngineError::internal("the built-in model is damaged"))?;
    conversation.check()?;
    let template = Template::new(source, None, tokenizer.begin_and_end_text())?;
    let rendered = template.render(conversation, tokenizer)?;
    let tokens = tokenizer.encode_rendered(&rendered.text, &rendered.guard);
    drop(tokens);
    Ok(rendered.guard.lift(&rendered.text).into_owned())
}

fn generate(model: &Model, text: &str) -> Result<(), EngineError> {
    let request = Request {
        sampling: Sampling::greedy(),
        max_tokens: Some(3),
        ..Request::new(Prompt::Raw(text.to_owned()))
    };
    request.check()?;
    let (events, mut receiver) = mpsc::unbounded_channel();
    let seat = Seat {
        events,
        _place: Places::new(1).take()?,
    };
    let mut batch = Batch::new(Bounds::new(1, usize::MAX, model.window()));
    batch.enter(Sequence::new(model, &request, vec![seat])?);
    while !batch.is_idle() {
        batch.step(model);
    }
    while let Ok(event) = receiver.try_recv() {
        if let Event::Failed(error) = event {
            return Err(error);
        }
    }
    Ok(())
}

fn embed(embedder: &Embedder, text: &str) -> Result<(), EngineError> {
    let (reply, mut answer) = oneshot::channel();
    let place = Places::new(1).take()?;
    let mut batch = EmbedBatch::default();
    let inputs = [EmbedInput::Text(text.to_owned())];
    batch.enter(embedder, &inputs, Asker { reply, place });
    while !batch.is_idle() {
        batch.step(embedder);
    }
    let unanswered = |_| EngineError::internal("the embedding has no answer");
    answer.try_recv().map_err(unanswered)?.map(drop)
}
