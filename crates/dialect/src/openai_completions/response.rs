//! Legacy replies, whole and streamed. They hold text alone: reasoning and tool calls have no place here, and
//! no request of this dialect asks for them.

use bytes::BytesMut;
use tollgate_base::{Provenance, Usage};

use super::{logprobs, request::echoed};
use crate::{
    EncodeOptions, Encoder, ids,
    ir::{Answers, Block, Delta, Event, FinishReason, Response, TokenLogprob},
    json::{List, Object},
    openai_chat::wire::UsageOut,
};

const PREFIX: &str = "cmpl-";

pub(crate) fn render_response(response: &Response, options: &EncodeOptions) -> Vec<u8> {
    let echo = echoed(options).unwrap_or_default();
    let mut out = Vec::with_capacity(256);
    let mut body = Object::new(&mut out);
    put_head(
        &mut body,
        &ids::reply_id(PREFIX, &response.id, &options.id_suffix),
        options.created,
        &response.model,
    );
    {
        let mut choices = body.list("choices");
        for answer in response.answers() {
            put_answer(&mut choices, &echo, answer);
        }
    }
    if response.usage.provenance != Provenance::Unknown {
        body.put("usage", &UsageOut::new(&response.usage));
    }
    drop(body);
    out
}

fn put_answer(
    choices: &mut List<'_>,
    echo: &str,
    (index, blocks, finish): (usize, &[Block], &FinishReason),
) {
    let (mut text, mut tokens) = (echo.to_owned(), Vec::new());
    for block in blocks {
        match block {
            Block::Text {
                text: more,
                logprobs,
                ..
            } => {
                text.push_str(more);
                tokens.extend_from_slice(logprobs);
            }
            Block::Refusal(more) => text.push_str(more),
            Block::Reasoning { .. } | Block::RedactedReasoning { .. } | Block::ToolCall(_) => {}
        }
    }
    put_choice(
        choices,
        (index, &text),
        (&tokens, &mut length(echo)),
        Some(finish),
    );
}

fn put_head(body: &mut Object<'_>, id: &str, created: u64, model: &str) {
    body.put("id", id);
    body.put("object", "text_completion");
    body.put("created", &created);
    body.put("model", model);
}

/// Writes a choice. With the tokens comes the place where they begin.
fn put_choice(
    choices: &mut List<'_>,
    (index, text): (usize, &str),
    (tokens, offset): (&[TokenLogprob], &mut u64),
    finish: Option<&FinishReason>,
) {
    let finish = finish.map(|finish| match finish {
        FinishReason::MaxTokens | FinishReason::ContextFull => "length",
        FinishReason::Refusal => "content_filter",
        FinishReason::EndOfTurn
        | FinishReason::StopSequence(_)
        | FinishReason::ToolCalls
        | FinishReason::Paused => "stop",
    });
    let mut choice = choices.object();
    choice.put("text", text);
    choice.put("index", &index);
    logprobs::put(&mut choice, tokens, offset);
    choice.put("finish_reason", &finish);
}

fn length(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// Writes `text_completion` objects as a stream.
#[derive(Debug)]
pub(crate) struct CompletionEncoder {
    options: EncodeOptions,
    id: String,
    model: String,
    answers: Answers<Answer>,
    usage: Option<Usage>,
    has_failed: bool,
}

/// What is known of an answer that is being written.
#[derive(Debug, Default)]
struct Answer {
    has_begun: bool,
    /// Tokens of the text that is told next.
    tokens: Vec<TokenLogprob>,
    /// Characters of the text before them.
    offset: u64,
    has_finished: bool,
}

impl CompletionEncoder {
    pub(crate) fn new(options: EncodeOptions) -> Self {
        Self {
            options,
            id: String::new(),
            model: String::new(),
            answers: Answers::default(),
            usage: None,
            has_failed: false,
        }
    }

    fn frame(&self, out: &mut BytesMut, rest: impl FnOnce(&mut Object<'_>)) {
        let mut text = Vec::with_capacity(256);
        {
            let mut body = Object::new(&mut text);
            put_head(&mut body, &self.id, self.options.created, &self.model);
            rest(&mut body);
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&text);
        out.extend_from_slice(b"\n\n");
    }

    /// Writes a piece of the answer, with the tokens that wait for it.
    fn piece(&mut self, text: &str, finish: Option<&FinishReason>, out: &mut BytesMut) {
        let index = self.answers.index();
        let tokens = std::mem::take(&mut self.answers.now.tokens);
        let mut offset = self.answers.now.offset;
        self.frame(out, |body| {
            let mut choices = body.list("choices");
            put_choice(&mut choices, (index, text), (&tokens, &mut offset), finish);
        });
        self.answers.now.offset = offset;
    }

    /// The prompt comes before the answer where the caller asked for it.
    fn begin(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.answers.now.has_begun, true) {
            return;
        }
        if let Some(prompt) = echoed(&self.options) {
            self.piece(&prompt, None, out);
            self.answers.now.offset = length(&prompt);
        }
    }
}

impl Encoder for CompletionEncoder {
    fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.has_failed {
            return;
        }
        match event {
            Event::Start { id, model } => {
                self.id = ids::reply_id(PREFIX, id, &self.options.id_suffix);
                self.model.clone_from(model);
                self.begin(out);
            }
            Event::Choice(index) => {
                self.answers.turn(*index);
                self.begin(out);
            }
            Event::Delta {
                delta: Delta::Text(text) | Delta::Refusal(text),
                ..
            } => self.piece(text, None, out),
            Event::Delta {
                delta: Delta::Logprobs(tokens),
                ..
            } => self.answers.now.tokens.extend_from_slice(tokens),
            Event::BlockEnd { .. } if !self.answers.now.tokens.is_empty() => {
                self.piece("", None, out);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => {
                self.answers.now.has_finished = true;
                self.piece("", Some(finish), out);
            }
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(_) => self.has_failed = true,
            Event::BlockStart { .. }
            | Event::Delta { .. }
            | Event::BlockEnd { .. }
            | Event::Lost(_) => {}
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        let has_finished = self.answers.all().all(|answer| answer.has_finished);
        if self.has_failed || !has_finished {
            return;
        }
        if let Some(usage) = self.usage.filter(|_| self.options.include_usage) {
            self.frame(out, |body| {
                body.list("choices");
                body.put("usage", &UsageOut::new(&usage));
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
