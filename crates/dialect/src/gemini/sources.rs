//! Where a reply's statements come from: `groundingMetadata` and `citationMetadata`, whose places are counted
//! in bytes, as citations, whose places are counted in characters of their text block.

use super::wire::{CitationMetadata, Grounding, GroundingChunk};
use crate::ir::Citation;

/// What is known of the sources of the text that is open.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Over all pieces of a stream: the places name them by their number.
    chunks: Vec<Citation>,
    places: Vec<Place>,
    text: String,
}

#[derive(Debug)]
struct Place {
    chunk: Option<usize>,
    /// A source that stands at its place itself.
    own: Option<Citation>,
    bytes: Option<(usize, usize)>,
    words: String,
}

impl Sources {
    pub(super) fn begin_text(&mut self) {
        self.text.clear();
    }

    pub(super) fn said(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn read(
        &mut self,
        grounding: Option<&Grounding<'_>>,
        citations: Option<&CitationMetadata<'_>>,
    ) {
        if let Some(grounding) = grounding {
            self.grounding(grounding);
        }
        for source in citations
            .iter()
            .flat_map(|metadata| &metadata.citation_sources)
        {
            let citation = Citation {
                url: source.uri.filled().map(str::to_owned),
                title: source.title.filled().map(str::to_owned),
                ..Citation::default()
            };
            self.places.push(Place {
                chunk: None,
                own: Some(citation),
                bytes: bytes(source.start_index.0, source.end_index.0),
                words: String::new(),
            });
        }
    }

    fn grounding(&mut self, grounding: &Grounding<'_>) {
        let chunks: Vec<Citation> = grounding.grounding_chunks.iter().map(source).collect();
        let n_before = self.chunks.len();
        // A piece that repeats what the one before said adds nothing.
        if chunks.is_empty() || !self.chunks.starts_with(&chunks) {
            self.chunks.extend(chunks);
        }
        for support in &grounding.grounding_supports {
            let segment = &support.segment;
            for index in support
                .grounding_chunk_indices
                .iter()
                .filter_map(|index| index.0)
            {
                self.places.push(Place {
                    chunk: usize::try_from(index).ok(),
                    own: None,
                    bytes: bytes(segment.start_index.0, segment.end_index.0),
                    words: segment.text.to_text(),
                });
            }
        }
        if grounding.grounding_supports.is_empty() {
            let fresh = n_before..self.chunks.len();
            self.places.extend(fresh.map(|chunk| Place {
                chunk: Some(chunk),
                own: None,
                bytes: None,
                words: String::new(),
            }));
        }
    }

    /// The citations of the open text.
    pub(super) fn take(&mut self) -> Vec<Citation> {
        let places = std::mem::take(&mut self.places);
        let mut citations: Vec<Citation> = Vec::new();
        for place in places {
            let known = place.own.clone().or_else(|| {
                let chunk = place.chunk?;
                self.chunks.get(chunk).cloned()
            });
            let Some(known) = known else { continue };
            let citation = Citation {
                range: self.range(&place),
                ..known
            };
            if !citations.contains(&citation) {
                citations.push(citation);
            }
        }
        citations
    }

    /// A place in characters, when it is one of this text.
    fn range(&self, place: &Place) -> Option<(u64, u64)> {
        let (start, end) = place.bytes?;
        let is_here = self.text.get(start..end).is_some_and(|words| {
            !words.is_empty() && (place.words.is_empty() || words == place.words)
        });
        let (start, end) = if is_here {
            (start, end)
        } else {
            // Counted from the start of another piece.
            let start = self
                .text
                .find(Some(&*place.words).filter(|w| !w.is_empty())?)?;
            (start, start + place.words.len())
        };
        let characters = |end: usize| u64::try_from(self.text[..end].chars().count()).ok();
        Some((characters(start)?, characters(end)?))
    }
}

fn bytes(start: Option<u64>, end: Option<u64>) -> Option<(usize, usize)> {
    // A start of zero is left out on the wire.
    let start = usize::try_from(start.unwrap_or(0)).ok()?;
    let end = usize::try_from(end?).ok()?;
    (start <= end).then_some((start, end))
}

fn source(chunk: &GroundingChunk<'_>) -> Citation {
    let source = chunk
        .web
        .as_ref()
        .or(chunk.retrieved_context.as_ref())
        .or(chunk.maps.as_ref());
    source.map_or_else(Citation::default, |source| Citation {
        url: source.uri.filled().map(str::to_owned),
        title: source.title.filled().map(str::to_owned),
        quote: source.text.filled().map(str::to_owned),
        range: None,
    })
}
