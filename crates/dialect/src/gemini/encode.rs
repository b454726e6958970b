//! What a Gemini client reads: the parts of a reply, and the stream's encoder. Text goes out piece by piece,
//! calls whole; the last piece has the `finishReason` and the usage.

use bytes::BytesMut;
use tollgate_base::{Provenance, Usage};

use super::{
    finish_name,
    logprobs::{self, Mean},
    wire::UsageOut,
};
use crate::{
    EncodeOptions, Encoder, anthropic,
    ir::{self, BlockStart, Citation, Event, FinishReason, Issuer, TokenLogprob},
    json::{List, Object},
};

/// A part to be written.
#[derive(Debug)]
pub(super) enum Said<'a> {
    Text(&'a str),
    /// Reasoning, and the seal of another vendor, which stands on it: it is kept whole or not at all.
    Thought(&'a str, Option<&'a str>),
    Call {
        id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
}

/// Writes parts, each with the seal that belongs to it, and remembers where texts cite what.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// The vendor's own seal, for the part that follows.
    seal: Option<String>,
    pub(super) is_malformed: bool,
    /// The pieces of a stream count as one text; in a whole reply each part is counted on its own.
    pub(super) is_stream: bool,
    n_parts: usize,
    /// Bytes of the texts before this one.
    before: usize,
    text: String,
    sources: Vec<(Citation, Option<Segment>)>,
}

#[derive(Debug, Clone)]
struct Segment {
    part: usize,
    start: usize,
    end: usize,
    words: String,
}

// === impl Writer ===

impl Writer {
    /// Places of citations are counted from here.
    pub(super) fn begin_text(&mut self) {
        self.before += self.text.len();
        self.text.clear();
    }

    /// Remembers the seal; one that had no part to stand on gets an empty one.
    pub(super) fn seal(&mut self, parts: &mut List<'_>, seal: &str) {
        self.close(parts);
        self.seal = Some(seal.to_owned());
    }

    pub(super) fn close(&mut self, parts: &mut List<'_>) {
        if let Some(seal) = self.seal.take() {
            let mut part = parts.object();
            part.put("text", "");
            part.put("thoughtSignature", &seal);
            self.n_parts += 1;
        }
    }

    pub(super) fn put(&mut self, parts: &mut List<'_>, said: &Said<'_>) {
        match said {
            Said::Text("") | Said::Thought("", None) => return,
            Said::Thought(..) => self.close(parts),
            Said::Text(text) => self.text.push_str(text),
            Said::Call { .. } => {}
        }
        let args = match said {
            Said::Call { arguments, .. } => {
                let Some(args) = anthropic::arguments_object(arguments) else {
                    self.is_malformed = true;
                    return;
                };
                // A line's end would end the event's.
                args.replace(['\n', '\r'], " ")
            }
            _ => String::new(),
        };
        self.n_parts += 1;
        let mut part = parts.object();
        match said {
            Said::Text(text) => part.put("text", text),
            Said::Thought(text, seal) => {
                part.put("text", text);
                part.put("thought", &true);
                part.put_some("thoughtSignature", *seal);
            }
            Said::Call { id, name, .. } => {
                let mut call = part.object("functionCall");
                call.put("name", name);
                call.raw("args", &args);
                if !id.is_empty() {
                    call.put("id", id);
                }
            }
        }
        part.put_some("thoughtSignature", self.seal.take());
    }

    /// A source of the text written last.
    pub(super) fn cite(&mut self, citation: &Citation) {
        let byte = |n: u64| {
            let n = usize::try_from(n).ok()?;
            let mut starts = self.text.char_indices().map(|(at, _)| at);
            starts
                .nth(n)
                .or((n == self.text.chars().count()).then_some(self.text.len()))
        };
        let bytes = match citation.range {
            // A dialect that cites for whole texts names no place.
            None => Some((0, self.text.len())),
            Some((start, end)) => byte(start).zip(byte(end)),
        };
        let segment = bytes.and_then(|(start, end)| {
            let words = self.text.get(start..end)?.to_owned();
            let (part, offset) = if self.is_stream {
                (0, self.before)
            } else {
                (self.n_parts.saturating_sub(1), 0)
            };
            Some(Segment {
                part,
                start: start + offset,
                end: end + offset,
                words,
            })
        });
        self.sources.push((citation.clone(), segment));
    }

    /// Writes `groundingMetadata` of a candidate that cites.
    pub(super) fn put_sources(&mut self, candidate: &mut Object<'_>) {
        let sources = std::mem::take(&mut self.sources);
        if sources.is_empty() {
            return;
        }
        let mut metadata = candidate.object("groundingMetadata");
        {
            let mut chunks = metadata.list("groundingChunks");
            for (citation, _) in &sources {
                let mut chunk = chunks.object();
                let kind = if citation.quote.is_some() {
                    "retrievedContext"
                } else {
                    "web"
                };
                let mut source = chunk.object(kind);
                source.put_some("uri", citation.url.as_ref());
                source.put_some("title", citation.title.as_ref());
                source.put_some("text", citation.quote.as_ref());
            }
        }
        let mut supports = metadata.list("groundingSupports");
        for (i, (_, segment)) in sources.iter().enumerate() {
            let Some(place) = segment else { continue };
            let mut support = supports.object();
            let mut segment = support.object("segment");
            if place.part > 0 {
                segment.put("partIndex", &place.part);
            }
            segment.put("startIndex", &place.start);
            segment.put("endIndex", &place.end);
            segment.put("text", &place.words);
            drop(segment);
            support.put("groundingChunkIndices", &[i]);
        }
    }
}

/// Writes the pieces of a stream. An error is not written here: who sends the stream ends it with one, and
/// then nothing follows.
#[derive(Debug)]
pub(crate) struct GenerateEncoder {
    options: EncodeOptions,
    id: String,
    model: String,
    writer: Writer,
    calls: Vec<Call>,
    /// Sources of the open text, whose length is only known at its end.
    citations: Vec<Citation>,
    /// Tokens of the text that is told next.
    tokens: Vec<TokenLogprob>,
    mean: Mean,
    usage: Usage,
    finish: Option<FinishReason>,
    has_failed: bool,
    scratch: Vec<u8>,
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

// === impl GenerateEncoder ===

impl GenerateEncoder {
    pub(crate) fn new(options: EncodeOptions) -> Self {
        Self {
            options,
            id: String::new(),
            model: String::new(),
            writer: Writer {
                is_stream: true,
                ..Writer::default()
            },
            calls: Vec::new(),
            citations: Vec::new(),
            tokens: Vec::new(),
            mean: Mean::default(),
            usage: Usage::default(),
            finish: None,
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
            write(&mut self.writer, &mut list);
            list.is_empty()
        };
        if !is_empty {
            self.frame(out, &parts, None);
        }
    }

    fn frame(&mut self, out: &mut BytesMut, parts: &[u8], finish: Option<&str>) {
        self.scratch.clear();
        let tokens = std::mem::take(&mut self.tokens);
        self.mean.add(&tokens);
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
                candidate.put("index", &0);
                logprobs::put(&mut candidate, &tokens);
                if finish.is_some() {
                    self.mean.put(&mut candidate);
                    self.writer.put_sources(&mut candidate);
                }
            }
            if finish.is_some() && self.usage.provenance != Provenance::Unknown {
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
            BlockStart::Text | BlockStart::Refusal => self.writer.begin_text(),
            BlockStart::Reasoning => {}
            BlockStart::RedactedReasoning { data } => {
                let seal = ir::redacted_for(Issuer::Gemini, data);
                self.part(&Said::Thought("", Some(&seal)), out);
            }
            BlockStart::ToolCall { id, name } => self.calls.push(Call {
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
            ir::Delta::Logprobs(tokens) => self.tokens.extend_from_slice(tokens),
            ir::Delta::Reasoning(text) => self.part(&Said::Thought(text, None), out),
            ir::Delta::Signature(signature) if signature.issuer == Issuer::Gemini => {
                self.piece(out, |writer, parts| writer.seal(parts, &signature.data));
            }
            ir::Delta::Signature(signature) => {
                let seal = signature.written_for(Issuer::Gemini);
                self.part(&Said::Thought("", Some(&seal)), out);
            }
            ir::Delta::Citation(citation) => self.citations.push(citation.clone()),
            ir::Delta::Arguments(text) => {
                if let Some(call) = self.calls.iter_mut().find(|call| call.index == index) {
                    call.arguments.push_str(text);
                }
            }
        }
    }

    fn end(&mut self, index: usize, out: &mut BytesMut) {
        for citation in std::mem::take(&mut self.citations) {
            self.writer.cite(&citation);
        }
        if let Some(call) = self.calls.iter_mut().find(|call| call.index == index) {
            call.has_ended = true;
        }
        // In the order in which they began: results are matched by it.
        while self.calls.first().is_some_and(|call| call.has_ended) {
            let call = self.calls.remove(0);
            let said = Said::Call {
                id: &call.id,
                name: &call.name,
                arguments: &call.arguments,
            };
            self.part(&said, out);
        }
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
            Event::Finish(finish) => self.finish = Some(finish.clone()),
            // There is no form for "nothing yet" that its clients take.
            Event::Lost(_) | Event::Ping => {}
            Event::Error(_) => self.has_failed = true,
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        // The usage may follow the finish, and belongs into the same piece.
        let Some(finish) = self.finish.take().filter(|_| !self.has_failed) else {
            return;
        };
        let mut parts = Vec::new();
        {
            let mut list = List::new(&mut parts);
            self.writer.close(&mut list);
            if list.is_empty() {
                list.object().put("text", "");
            }
        }
        let name = if self.writer.is_malformed && finish == FinishReason::ToolCalls {
            "MALFORMED_FUNCTION_CALL"
        } else {
            finish_name(&finish)
        };
        self.frame(out, &parts, Some(name));
    }
}
