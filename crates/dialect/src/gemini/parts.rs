//! The parts of a candidate as a Gemini client reads them, each with the seal that belongs to it, and the sources
//! of its texts.

use crate::{
    anthropic,
    ir::Citation,
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
    is_stream: bool,
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
    pub(super) fn of_stream() -> Self {
        Self {
            is_stream: true,
            ..Self::default()
        }
    }

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
