//! What was said so far, and the next question.

use serde::Serialize;
use tollgate_base::{Error, Result};
use tollgate_dialect::{
    Dialect, decoder,
    frame::SseFramer,
    ir::{Delta, Event},
};

use super::{Arguments, line::Line};
use crate::terminal::{say, write_data};

/// A conversation with a model.
pub(super) struct Conversation {
    line: Line,
    model: String,
    system: Option<String>,
    turns: Vec<Turn>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_tokens: Option<u64>,
    seed: Option<i64>,
    stop: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Turn {
    role: &'static str,
    content: String,
}

/// An OpenAI chat request, of which every model here understands the fields used.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: Vec<Turn>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
}

impl Conversation {
    pub(super) fn new(line: Line, arguments: &Arguments, default_model: String) -> Self {
        Self {
            line,
            model: arguments.model.clone().unwrap_or(default_model),
            system: arguments.system.clone(),
            turns: Vec::new(),
            temperature: arguments.temperature,
            top_p: arguments.top_p,
            max_tokens: arguments.max_tokens,
            seed: arguments.seed,
            stop: arguments.stop.clone(),
        }
    }

    pub(super) fn model(&self) -> &str {
        &self.model
    }

    pub(super) fn set_model(&mut self, name: &str) {
        name.clone_into(&mut self.model);
    }

    pub(super) fn set_system(&mut self, prompt: &str) {
        self.system = (!prompt.is_empty()).then(|| prompt.to_owned());
    }

    pub(super) fn clear(&mut self) {
        self.turns.clear();
    }

    /// Takes back the question that got no answer.
    pub(super) fn forget_last(&mut self) {
        if self.turns.last().is_some_and(|turn| turn.role == "user") {
            self.turns.pop();
        }
    }

    /// Asks, and shows the answer as it comes. Ctrl-C ends the answer; what was said up to then is kept.
    pub(super) async fn ask(&mut self, question: String) -> Result<()> {
        self.turns.push(Turn {
            role: "user",
            content: question,
        });
        let mut said = String::new();
        let heard = tokio::select! {
            heard = self.hear(&mut said) => heard,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        if !said.is_empty() {
            self.turns.push(Turn {
                role: "assistant",
                content: said,
            });
        }
        heard
    }

    async fn hear(&self, said: &mut String) -> Result<()> {
        let body = serde_json::to_vec(&self.request())
            .map_err(|_| Error::internal("The question cannot be written as JSON."))?;
        let mut answer = self.line.ask(body.into()).await?;
        if let Some(losses) = &answer.losses {
            say(&format!("Not carried to this model: {losses}"));
        }
        let mut framer = SseFramer::default();
        let mut decoder = decoder(Dialect::OpenAiChat);
        let mut events = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            framer.push(chunk);
            while let Some(frame) = framer.next_frame()? {
                decoder.push(&frame, &mut events);
            }
            show(&mut events, said)?;
        }
        decoder.finish(&mut events);
        show(&mut events, said)
    }

    fn request(&self) -> Request<'_> {
        let system = self.system.iter().map(|text| Turn {
            role: "system",
            content: text.clone(),
        });
        Request {
            model: &self.model,
            messages: system.chain(self.turns.iter().cloned()).collect(),
            stream: true,
            temperature: self.temperature,
            top_p: self.top_p,
            max_completion_tokens: self.max_tokens,
            seed: self.seed,
            stop: &self.stop,
        }
    }
}

fn show(events: &mut Vec<Event>, said: &mut String) -> Result<()> {
    for event in events.drain(..) {
        match event {
            Event::Delta {
                delta: Delta::Text(text) | Delta::Refusal(text),
                ..
            } => {
                write_data(&text);
                said.push_str(&text);
            }
            Event::Error(error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
