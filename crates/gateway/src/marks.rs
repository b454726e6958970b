//! Words by which a request may ask for more than its own text: files, media, tools that the provider runs, caches.
//!
//! They are found in one pass over the body, so that a request without any of them, which is nearly every one, is
//! looked into no further. A mark says only that the word is there, wherever it stands.

use std::sync::LazyLock;

use aho_corasick::{Span, packed::Searcher};
use memchr::memmem::Finder;

/// What is found in one body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u8);

/// What a word may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A field that names a file.
    File = 1,
    /// Something that the provider keeps or fetches, or a tool that it runs.
    Kept = 2,
    /// Media by their address or id, whose size nobody here knows.
    FarMedia = 4,
    /// Media in the body that are no images.
    NearMedia = 8,
    /// A prompt cache of Anthropic's.
    Cache = 16,
    /// Media, or their address: without one the body is as large as its text.
    Media = 64,
    /// An escape, behind which any of the others may hide in a name.
    Escape = 32,
}

/// None begins with another one: of two that begin at the same place, one would not be seen.
const WORDS: &[(&str, &[Mark])] = &[
    // Also `file_ids`; as the name of a field it is a file, as a part of media one elsewhere.
    ("file_id", &[Mark::File, Mark::FarMedia, Mark::Media]),
    ("fileId", &[Mark::File]),
    ("training_file", &[Mark::File]),
    ("validation_file", &[Mark::File]),
    ("file_url", &[Mark::FarMedia, Mark::Media]),
    ("fileUri", &[Mark::FarMedia, Mark::Media]),
    ("file_uri", &[Mark::FarMedia, Mark::Media]),
    ("application/pdf", &[Mark::NearMedia]),
    ("file_data", &[Mark::NearMedia, Mark::Media]),
    ("image_url", &[Mark::Media]),
    ("\"url\"", &[Mark::Media]),
    ("\"data\"", &[Mark::Media]),
    ("input_audio", &[Mark::NearMedia]),
    ("audio/", &[Mark::NearMedia]),
    ("video/", &[Mark::NearMedia]),
    ("\"document\"", &[Mark::NearMedia]),
    ("cache_control", &[Mark::Cache]),
    ("cachePoint", &[Mark::Cache]),
    ("previous_response_id", &[Mark::Kept]),
    ("\"conversation\"", &[Mark::Kept]),
    ("cachedContent", &[Mark::Kept]),
    ("cached_content", &[Mark::Kept]),
    ("\"container\"", &[Mark::Kept]),
    ("web_search", &[Mark::Kept]),
    ("web_fetch", &[Mark::Kept]),
    ("google_search", &[Mark::Kept]),
    ("googleSearch", &[Mark::Kept]),
    ("file_search", &[Mark::Kept]),
    ("fileSearch", &[Mark::Kept]),
    ("code_interpreter", &[Mark::Kept]),
    ("code_execution", &[Mark::Kept]),
    ("codeExecution", &[Mark::Kept]),
    ("url_context", &[Mark::Kept]),
    ("urlContext", &[Mark::Kept]),
    ("\"mcp\"", &[Mark::Kept]),
];

/// Finds all words at once; `None` on a processor that cannot.
static ALL: LazyLock<Option<Searcher>> =
    LazyLock::new(|| Searcher::new(WORDS.iter().map(|(word, _)| word)));
static EACH: LazyLock<Vec<Finder<'static>>> =
    LazyLock::new(|| WORDS.iter().map(|(word, _)| Finder::new(word)).collect());
static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u"));

/// Words found one by one, before the rest is asked for each word apart: a body that is full of one word is not
/// searched for it more often than this.
const MOST_HITS: usize = 32;

impl Marks {
    pub(crate) fn of(body: &[u8]) -> Self {
        let mut marks = Self::default();
        if ESCAPE.find(body).is_some() {
            marks.add(Mark::Escape);
        }
        let Some(all) = &*ALL else {
            marks.search_each(body);
            return marks;
        };
        let mut span = Span::from(0..body.len());
        for _ in 0..MOST_HITS {
            let Some(hit) = all.find_in(body, span) else {
                return marks;
            };
            marks.add_word(hit.pattern().as_usize());
            // The next word may begin within this one.
            span.start = hit.start() + 1;
        }
        marks.search_each(body);
        marks
    }

    fn search_each(&mut self, body: &[u8]) {
        for (at, word) in EACH.iter().enumerate() {
            if word.find(body).is_some() {
                self.add_word(at);
            }
        }
    }

    fn add_word(&mut self, at: usize) {
        for mark in WORDS.get(at).map_or(&[][..], |(_, marks)| *marks) {
            self.add(*mark);
        }
    }

    fn add(&mut self, mark: Mark) {
        self.0 |= mark as u8;
    }

    /// Whether a word of this kind is there.
    pub(crate) fn has(self, mark: Mark) -> bool {
        self.0 & mark as u8 != 0
    }

    /// As `has`, or it may be there behind an escape.
    pub(crate) fn may_have(self, mark: Mark) -> bool {
        self.has(mark) || self.has(Mark::Escape)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_dialect::MEDIA_NAMES;

    use super::*;

    /// By looking for each word alone.
    fn slowly(body: &[u8]) -> Marks {
        let mut marks = Marks::default();
        for (at, (word, _)) in WORDS.iter().enumerate() {
            if body.windows(word.len()).any(|part| part == word.as_bytes()) {
                marks.add_word(at);
            }
        }
        if body.windows(2).any(|part| part == b"\\u") {
            marks.add(Mark::Escape);
        }
        marks
    }

    #[test]
    fn no_word_begins_with_another() {
        for (word, _) in WORDS {
            let inside = WORDS
                .iter()
                .filter(|(other, _)| word.starts_with(other))
                .count();
            assert_eq!(inside, 1, "{word}");
        }
    }

    #[test]
    fn every_word_is_found_wherever_it_stands() {
        for (word, _) in WORDS {
            for before in [0, 1, 15, 16, 31, 63, 64, 1000] {
                for after in [0, 1, 40] {
                    let body = format!("{}{word}{}", "x".repeat(before), "y".repeat(after));
                    let found = Marks::of(body.as_bytes());
                    assert_eq!(found, slowly(body.as_bytes()), "{body}");
                    assert_ne!(found, Marks::default(), "{body}");
                }
            }
        }
    }

    #[test]
    fn words_within_words_and_after_many_others_are_found() {
        for body in [
            "training_file_id".to_owned(),
            "input_audio/".to_owned(),
            format!("{}\"mcp\"", "file_id".repeat(1_000)),
            format!("{}\\u0061", "cache_control ".repeat(1_000)),
        ] {
            assert_eq!(
                Marks::of(body.as_bytes()),
                slowly(body.as_bytes()),
                "{body:.60}"
            );
        }
    }

    #[test]
    fn every_name_of_media_has_a_mark() {
        for name in MEDIA_NAMES {
            let body = format!(r#"{{"{name}":"x"}}"#);
            assert!(Marks::of(body.as_bytes()).has(Mark::Media), "{name}");
        }
    }

    #[test]
    fn plain_text_has_no_mark() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"Where is my file?"}]}"#;
        assert_eq!(Marks::of(body), Marks::default());
    }
}
