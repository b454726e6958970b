//! The stream that a Gemini client reads: the encoder. Text goes out piece by piece, calls whole; the last piece of
//! each candidate has the `finishReason`, and the last of all has the usage.

use bytes::BytesMut;
use tollgate_base::{Provenance, Usage};

use super::{
    finish_name,
    logprobs::{self, Mean},
    parts::{Said, Writer},
    wire::UsageOut,
};
use crate::{
    EncodeOptions, Encoder,
    ir::{self, Answers, BlockStart, Citation, Event, FinishReason, Issuer, TokenLogprob},
    json::{List, Object},
};

/// Writes the pieces of a stream. An error is not written here: who sends the stream ends it with one, and
/// then nothing follows.
#[derive(Debug)]
pub(crate) struct GenerateEncoder {
    options: EncodeOptions,
    id: String,
    model: String,
    answers: Answers<Answer>,
    usage: Usage,
    has_failed: bool,
    scratch: Vec<u8>,
}

/// A candidate that is being written.
#[derive(Debug)]
struct Answer {
    writer: Writer,
    calls: Vec<Call>,
    /// Sources of the open text, whose length is only known at its end.
    citations: Vec<Citation>,
    /// Tokens of the text that is told next.
    tokens: Vec<TokenLogprob>,
    mean: Mean,
    finish: Option<FinishReason>,
}

/// A call under way.
#[derive(Debug)]
struct Call {
    /// The number of its block.
    index: usize,
    id: String,
    name: String,
    arguments: String,
    has_ended: bool,
}

// === impl Answer ===

impl Default for Answer {
    fn default() -> Self {
        Self {
            writer: Writer::of_stream(),
            calls: Vec::new(),
            citations: Vec::new(),
            tokens: Vec::new(),
            mean: Mean::default(),
            finish: None,
        }
    }
}

// === impl GenerateEncoder ===

impl GenerateEncoder {
    pub(crate) fn new(options: EncodeOptions) -> Self {
        Self {
            options,
            id: String::new(),
            model: String::new(),
            answers: Answers::default(),
            usage: Usage::default(),
            has_failed: false,
            scratch: Vec::with_capacity(512),
        }
    }

    fn part(&mut self, said: &Said<'_>, out: &mut BytesMut) {
        self.piece(out, |writer, parts| writer.put(parts, said));
    }

    /// Writes a piece with these parts; nothing when there are none.
    fn piece(&mut self, out: &mut BytesMut, write: impl FnOnce(&mut Writer, &mut List<'_>)) {
        let mut parts = Vec::new();
        let is_empty = {
            let mut list = List::new(&mut parts);
            write(&mut self.answers.now.writer, &mut list);
            list.is_empty()
        };
        if !is_empty {
            self.frame(out, &parts, None, false);
        }
    }

    /// Writes a piece of a candidate. The usage is that of all of them, and comes with the last piece.
    fn frame(&mut self, out: &mut BytesMut, parts: &[u8], finish: Option<&str>, is_last: bool) {
        self.scratch.clear();
        let index = self.answers.index();
        let answer = &mut self.answers.now;
        let tokens = std::mem::take(&mut answer.tokens);
        answer.mean.add(&tokens);
        {
            let mut body = Object::new(&mut self.scratch);
            {
                let mut candidates = body.list("candidates");
                let mut candidate = candidates.object();
                {
                    let mut content = candidate.object("content");
                    content.raw("parts", std::str::from_utf8(parts).unwrap_or("[]"));
                    content.put("role", "model");
                }
                candidate.put_some("finishReason", finish);
                candidate.put("index", &index);
                logprobs::put(&mut candidate, &tokens);
                if finish.is_some() {
                    answer.mean.put(&mut candidate);
                    answer.writer.put_sources(&mut candidate);
                }
            }
            if is_last && self.usage.provenance != Provenance::Unknown {
                body.put("usageMetadata", &UsageOut::new(&self.usage, None));
            }
            body.put("modelVersion", &self.model);
            body.put("responseId", &self.id);
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.scratch);
        out.extend_from_slice(b"\r\n\r\n");
    }

    fn start(&mut self, index: usize, block: &BlockStart, out: &mut BytesMut) {
        match block {
            BlockStart::Text | BlockStart::Refusal => self.answers.now.writer.begin_text(),
            BlockStart::Reasoning => {}
            BlockStart::RedactedReasoning { data } => {
                let seal = ir::redacted_for(Issuer::Gemini, data);
                self.part(&Said::Thought("", Some(&seal)), out);
            }
            BlockStart::ToolCall { id, name } => self.answers.now.calls.push(Call {
                index,
                id: id.clone(),
                name: self.options.names.original(name).to_owned(),
                arguments: String::new(),
                has_ended: false,
            }),
        }
    }

    fn delta(&mut self, index: usize, delta: &ir::Delta, out: &mut BytesMut) {
        match delta {
            ir::Delta::Text(text) | ir::Delta::Refusal(text) => self.part(&Said::Text(text), out),
            ir::Delta::Logprobs(tokens) => self.answers.now.tokens.extend_from_slice(tokens),
            ir::Delta::Reasoning(text) => self.part(&Said::Thought(text, None), out),
            ir::Delta::Signature(signature) if signature.issuer == Issuer::Gemini => {
                self.piece(out, |writer, parts| writer.seal(parts, &signature.data));
            }
            ir::Delta::Signature(signature) => {
                let seal = signature.written_for(Issuer::Gemini);
                self.part(&Said::Thought("", Some(&seal)), out);
            }
            ir::Delta::Citation(citation) => self.answers.now.citations.push(citation.clone()),
            ir::Delta::Arguments(text) => {
                let mut calls = self.answers.now.calls.iter_mut();
                if let Some(call) = calls.find(|call| call.index == index) {
                    call.arguments.push_str(text);
                }
            }
        }
    }

    fn end(&mut self, index: usize, out: &mut BytesMut) {
        let answer = &mut self.answers.now;
        for citation in std::mem::take(&mut answer.citations) {
            answer.writer.cite(&citation);
        }
        if let Some(call) = answer.calls.iter_mut().find(|call| call.index == index) {
            call.has_ended = true;
        }
        // In the order in which they began: results are matched by it.
        while let Some(true) = self.answers.now.calls.first().map(|call| call.has_ended) {
            let call = self.answers.now.calls.remove(0);
            let said = Said::Call {
                id: &call.id,
                name: &call.name,
                arguments: &call.arguments,
            };
            self.part(&said, out);
        }
    }

    fn end_answer(&mut self, out: &mut BytesMut, is_last: bool) {
        let answer = &mut self.answers.now;
        let Some(finish) = answer.finish.take() else {
            return;
        };
        let mut parts = Vec::new();
        {
            let mut list = List::new(&mut parts);
            answer.writer.close(&mut list);
            if list.is_empty() {
                list.object().put("text", "");
            }
        }
        let name = if answer.writer.is_malformed && finish == FinishReason::ToolCalls {
            "MALFORMED_FUNCTION_CALL"
        } else {
            finish_name(&finish)
        };
        self.frame(out, &parts, Some(name), is_last);
    }
}

impl Encoder for GenerateEncoder {
    fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.has_failed {
            return;
        }
        match event {
            Event::Start { id, model } => {
                let id = if id.is_empty() {
                    &self.options.id_suffix
                } else {
                    id
                };
                self.id.clone_from(id);
                self.model.clone_from(model);
            }
            Event::BlockStart { index, block } => self.start(*index, block, out),
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::BlockEnd { index } => self.end(*index, out),
            Event::Usage(usage) => self.usage = *usage,
            Event::Choice(index) => self.answers.turn(*index),
            Event::Finish(finish) => self.answers.now.finish = Some(finish.clone()),
            // There is no form for "nothing yet" that its clients take.
            Event::Lost(_) | Event::Ping => {}
            Event::Error(_) => self.has_failed = true,
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        // The usage may follow the finish, and belongs into the same piece.
        let has_finished = self.answers.all().all(|answer| answer.finish.is_some());
        if self.has_failed || !has_finished {
            return;
        }
        let indices = self.answers.indices();
        for index in &indices {
            self.answers.turn(*index);
            self.end_answer(out, indices.last() == Some(index));
        }
    }
}
