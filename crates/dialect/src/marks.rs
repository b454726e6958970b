//! Words by which a request may ask for more than its own text: files, media, tools that the provider runs, caches.
//!
//! They are noted while a body is checked, so that a request without any of them, which is nearly every one, is looked
//! into no further. They are names of fields and kinds, and so stand at the beginning of a string or are all of it;
//! what a message says in its middle is none of them. A mark says only that the word is there, wherever it stands.

use memchr::memchr;

/// The words of one body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u16);

/// What a word may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A field that names a file.
    File = 1,
    /// A field by which a provider adds what it keeps.
    Kept = 2,
    /// Media by their address or id, whose size nobody here knows.
    FarMedia = 4,
    /// Media in the body that are no images.
    NearMedia = 8,
    /// A prompt cache of Anthropic's.
    Cache = 16,
    /// Media, or their address: without one the body is as large as its text.
    Media = 32,
    /// A message that may have a field which only Mistral's clients write.
    Mistral = 64,
    /// A tool that the provider runs.
    Hosted = 128,
    /// One that searches, which is charged by the search.
    Search = 256,
}

#[derive(Clone, Copy)]
struct Word {
    text: &'static str,
    /// Nothing follows it. Others have plurals, versions and parameters.
    is_whole: bool,
    marks: u16,
}

const WORDS: [Word; 39] = [
    // As the name of a field it is a file, as a part of media one elsewhere.
    beginning("file_id", &[Mark::File, Mark::FarMedia, Mark::Media]),
    beginning("fileId", &[Mark::File]),
    beginning("training_file", &[Mark::File]),
    beginning("validation_file", &[Mark::File]),
    beginning("file_url", &[Mark::FarMedia, Mark::Media]),
    beginning("fileUri", &[Mark::FarMedia, Mark::Media]),
    beginning("file_uri", &[Mark::FarMedia, Mark::Media]),
    beginning("application/pdf", &[Mark::NearMedia]),
    beginning("file_data", &[Mark::NearMedia, Mark::Media]),
    beginning("image_url", &[Mark::Media]),
    whole("url", &[Mark::Media]),
    whole("data", &[Mark::Media]),
    beginning("input_audio", &[Mark::NearMedia]),
    beginning("audio/", &[Mark::NearMedia]),
    beginning("video/", &[Mark::NearMedia]),
    whole("document", &[Mark::NearMedia]),
    beginning("cache_control", &[Mark::Cache]),
    beginning("cachePoint", &[Mark::Cache]),
    beginning("previous_response_id", &[Mark::Kept]),
    whole("conversation", &[Mark::Kept]),
    beginning("cachedContent", &[Mark::Kept]),
    beginning("cached_content", &[Mark::Kept]),
    whole("container", &[Mark::Kept]),
    beginning("web_search", &[Mark::Kept, Mark::Hosted, Mark::Search]),
    beginning("web_fetch", &[Mark::Hosted]),
    beginning("google_search", &[Mark::Hosted, Mark::Search]),
    beginning("googleSearch", &[Mark::Hosted, Mark::Search]),
    beginning("file_search", &[Mark::Hosted, Mark::Search]),
    beginning("fileSearch", &[Mark::Hosted, Mark::Search]),
    beginning("code_interpreter", &[Mark::Hosted]),
    beginning("code_execution", &[Mark::Hosted]),
    beginning("codeExecution", &[Mark::Hosted]),
    beginning("url_context", &[Mark::Hosted]),
    beginning("urlContext", &[Mark::Hosted]),
    // Whole: clients name their own tools after servers (`mcp__github__search`).
    whole("mcp", &[Mark::Hosted]),
    whole("mcp_toolset", &[Mark::Hosted]),
    whole("mcp_servers", &[Mark::Kept]),
    whole("prefix", &[Mark::Mistral]),
    whole("tool", &[Mark::Mistral]),
];

/// Media in the body itself begin with this, before their kind.
const DATA_URI: &[u8] = b"data:";
/// Bytes of a string that decide: no word is longer, with what may stand before it.
const DECIDING: usize = 32;

/// For each byte the words that begin with it, one bit each, and those with it in the second place.
const BY_LETTER: [[u64; 256]; 2] = by_letter();

const fn beginning(text: &'static str, marks: &[Mark]) -> Word {
    word(text, false, marks)
}

const fn whole(text: &'static str, marks: &[Mark]) -> Word {
    word(text, true, marks)
}

const fn word(text: &'static str, is_whole: bool, marks: &[Mark]) -> Word {
    assert!(text.len() + DATA_URI.len() < DECIDING && text.len() > 1);
    let (mut bits, mut at) = (0, 0);
    while at < marks.len() {
        bits |= marks[at] as u16;
        at += 1;
    }
    Word {
        text,
        is_whole,
        marks: bits,
    }
}

const fn by_letter() -> [[u64; 256]; 2] {
    let mut words = [[0; 256]; 2];
    let mut at = 0;
    while at < WORDS.len() {
        let text = WORDS[at].text.as_bytes();
        words[0][text[0] as usize] |= 1 << at;
        words[1][text[1] as usize] |= 1 << at;
        at += 1;
    }
    words
}

impl Marks {
    /// Whether a word of this kind is there.
    pub fn has(self, mark: Mark) -> bool {
        self.0 & mark as u16 != 0
    }

    /// Notes the words of a string, which is given as it stands between its quotes.
    #[inline]
    pub(crate) fn note(&mut self, string: &[u8], has_escapes: bool) {
        if has_escapes && hides_letters(string) {
            self.find(&plain_beginning(string));
        } else {
            self.find(string);
        }
    }

    #[inline]
    fn find(&mut self, string: &[u8]) {
        let string = string.strip_prefix(DATA_URI).unwrap_or(string);
        let [first, second, ..] = string else { return };
        let mut words = BY_LETTER[0][usize::from(*first)] & BY_LETTER[1][usize::from(*second)];
        while words != 0 {
            let word = &WORDS[words.trailing_zeros() as usize];
            words &= words - 1;
            let is_there = match string.strip_prefix(word.text.as_bytes()) {
                Some(rest) => rest.is_empty() || !word.is_whole,
                None => false,
            };
            if is_there {
                self.0 |= word.marks;
            }
        }
    }
}

/// Whether a letter of a word may be escaped. No word has a letter that must be: if the first escape is of such a one,
/// it stands behind the word.
fn hides_letters(string: &[u8]) -> bool {
    let deciding = &string[..string.len().min(DECIDING)];
    let escaped = memchr(b'\\', deciding).and_then(|at| string.get(at + 1));
    matches!(escaped, Some(b'/' | b'u'))
}

/// The bytes that decide, without what is escaped needlessly: slashes, as PHP does, and letters written as numbers.
fn plain_beginning(string: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(DECIDING);
    let mut rest = string;
    while plain.len() < DECIDING {
        let (byte, length) = match rest {
            [b'\\', b'/', ..] => (b'/', 2),
            [b'\\', b'u', b'0', b'0', high, low, ..] => match byte_of([*high, *low]) {
                Some(byte) => (byte, 6),
                None => break,
            },
            [] | [b'\\', ..] => break,
            [byte, ..] => (*byte, 1),
        };
        plain.push(byte);
        rest = &rest[length..];
    }
    plain
}

fn byte_of(digits: [u8; 2]) -> Option<u8> {
    let digits = std::str::from_utf8(&digits).ok()?;
    u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)
}

#[cfg(test)]
mod tests {
    use crate::{RawObject, bound::MEDIA_NAMES};

    use super::*;

    fn marks(body: &str) -> Marks {
        RawObject::parse(body.to_owned().into()).unwrap().marks()
    }

    /// Each byte as a client may write it that escapes more than it must.
    fn numbered(text: &str) -> String {
        let letters = text.bytes().map(|byte| format!("\\u00{byte:02X}"));
        letters.collect::<Vec<_>>().concat()
    }

    #[test]
    fn every_word_is_found_wherever_it_stands() {
        for word in WORDS {
            let text = word.text;
            let slashed = text.replace('/', "\\/");
            let (numbered, end) = (numbered(text), if word.is_whole { "" } else { "s_2\\n" });
            for written in [text, &slashed, &numbered] {
                for body in [
                    format!(r#"{{"{written}{end}":1}}"#),
                    format!(r#"{{"m":[{{"x":"x","{written}":[]}}]}}"#),
                    format!(r#"{{"m":[[{{"type":"{written}{end}"}}]]}}"#),
                    format!(r#"{{"m":"data:{written}"}}"#),
                ] {
                    assert_eq!(marks(&body), Marks(word.marks), "{body}");
                }
            }
        }
    }

    #[test]
    fn marks_of_several_words_add_up() {
        let both = marks(r#"{"file_id":"x","tools":[{"type":"web_search_20250305"}]}"#);
        assert!(both.has(Mark::File) && both.has(Mark::Kept) && !both.has(Mark::Cache));
    }

    #[test]
    fn every_name_of_media_has_a_mark() {
        for name in MEDIA_NAMES {
            assert!(
                marks(&format!(r#"{{"{name}":"x"}}"#)).has(Mark::Media),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_said_has_no_mark() {
        for text in [
            "Where is my file_id?",
            "\\nfile_id",
            "file",
            "f",
            "",
            "urls",
            "dataset",
            "\\u0066",
            "\\u00e9file_id",
            "\\u0166ile_id",
            "containers",
        ] {
            let body =
                format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
            assert_eq!(marks(&body), Marks::default(), "{text}");
        }
    }
}
