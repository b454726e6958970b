//! The tokens of a model file: their bytes, what each is for, and which of them begin and end texts.
//!
//! Owns the keys that every kind of tokenizer shares. How text becomes tokens is in `bytes`, `pieces` and `words`.

use std::collections::{HashMap, HashSet};

use super::special::{Special, Specials};
use crate::error::EngineError;
use crate::gguf::{Array, Gguf, Value};

/// A special token longer than this is no marker of anything; the limit keeps the search for them linear.
const LONGEST_SPECIAL: usize = 1024;

/// Tokens that end an answer, beside those that the file's keys name. The list is that of llama.cpp, `llama-vocab.cpp`.
const ENDS_BY_NAME: [&str; 26] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "</s>",
    "<eos>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<fim-pad>",
];

/// What a token is for, `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// The vocabulary as the file has it.
pub(super) struct Listed<'a> {
    pub(super) texts: &'a [&'a str],
    pub(super) kinds: Vec<Kind>,
}

#[derive(Debug)]
pub(super) struct Vocabulary {
    /// The bytes of every token, end to end; token `i` is `bytes[starts[i]..starts[i + 1]]`.
    bytes: Vec<u8>,
    starts: Vec<usize>,
    /// Tokens that add nothing to an answer's text.
    silent: Vec<bool>,
    ends: Vec<u32>,
    end: Option<u32>,
    longest: usize,
    /// Control tokens, and the user-defined ones that the chat template writes: contents must not make them.
    pub(super) guarded: Specials,
    /// The control tokens alone.
    pub(super) controls: Specials,
    /// User-defined tokens that are pieces of any text.
    pub(super) pieces: Specials,
    /// All user-defined tokens.
    pub(super) user_defined: Specials,
}

/// What is put around a text that no template made.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) begin: Option<u32>,
    pub(super) end: Option<u32>,
    /// The token that the template knows as `bos_token`, whether or not it is put anywhere.
    pub(super) begin_token: Option<u32>,
}

// === impl Kind ===

impl Kind {
    fn from_id(id: i64) -> Kind {
        match id {
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            _ => Kind::Normal,
        }
    }
}

// === impl Listed ===

impl<'a> Listed<'a> {
    pub(super) fn read(file: &'a Gguf<'_>) -> Result<Listed<'a>, EngineError> {
        let texts = file.texts("tokenizer.ggml.tokens")?;
        if u32::try_from(texts.len()).is_err() || texts.is_empty() {
            return Err(EngineError::corrupt("its vocabulary has an unusable size"));
        }
        let kinds = match file.optional_integers("tokenizer.ggml.token_type")? {
            None => vec![Kind::Normal; texts.len()],
            Some(kinds) if kinds.len() == texts.len() => {
                kinds.into_iter().map(Kind::from_id).collect()
            }
            Some(kinds) => {
                return Err(EngineError::corrupt(format!(
                    "it has {} tokens and {} token types",
                    texts.len(),
                    kinds.len()
                )));
            }
        };
        Ok(Listed { texts, kinds })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &'a str, Kind)> {
        (0..)
            .zip(self.texts.iter().copied())
            .zip(self.kinds.iter().copied())
            .map(|((token, text), kind)| (token, text, kind))
    }

    /// The id of every text, of tokens of all kinds. Where an ordinary token shares its text with another, it is the
    /// ordinary one's: control and user-defined tokens do not stand for bytes but for their own text.
    pub(super) fn ids(&self) -> HashMap<&'a str, u32> {
        let mut ids = HashMap::new();
        for (token, text, kind) in self.iter() {
            if is_silent(kind) || kind == Kind::UserDefined {
                ids.entry(text).or_insert(token);
            } else {
                ids.insert(text, token);
            }
        }
        ids
    }

    /// Whether a byte-level text can make the token: not a control token, nor one whose text does not stand for bytes.
    pub(super) fn is_made(&self, token: u32) -> bool {
        let kind = self.kinds.get(token as usize);
        let text = self.texts.get(token as usize);
        match kind {
            None => false,
            Some(Kind::UserDefined) => text.is_some_and(|text| text.is_ascii()),
            Some(kind) => !is_silent(*kind),
        }
    }

    /// A key that names a token of the vocabulary.
    pub(super) fn token_key(&self, file: &Gguf<'_>, key: &str) -> Result<Option<u32>, EngineError> {
        let key = format!("tokenizer.ggml.{key}");
        let token = file.optional_count(&key)?;
        match token {
            Some(token) if token as usize >= self.texts.len() => {
                Err(EngineError::corrupt(format!(
                    "the key {key} is {token}, and the vocabulary ends at {}",
                    self.texts.len() - 1
                )))
            }
            _ => Ok(token),
        }
    }

    fn default_token(&self, default: u32) -> Option<u32> {
        Some(default).filter(|token| (*token as usize) < self.texts.len())
    }
}

// === impl Vocabulary ===

impl Vocabulary {
    /// `decode` gives the bytes of a token that does not stand for itself.
    pub(super) fn read(
        file: &Gguf<'_>,
        listed: &Listed<'_>,
        decode: impl Fn(u32, &str, Kind) -> Result<Vec<u8>, EngineError>,
    ) -> Result<Vocabulary, EngineError> {
        let mut vocabulary = Vocabulary {
            bytes: Vec::new(),
            starts: vec![0],
            silent: Vec::new(),
            ends: Vec::new(),
            end: listed.token_key(file, "eos_token_id")?,
            longest: 1,
            guarded: Specials::default(),
            controls: Specials::default(),
            pieces: Specials::default(),
            user_defined: Specials::default(),
        };
        for (token, text, kind) in listed.iter() {
            vocabulary.silent.push(is_silent(kind));
            if is_silent(kind) || kind == Kind::UserDefined {
                vocabulary.add(text.as_bytes());
            } else {
                vocabulary.add(&decode(token, text, kind)?);
            }
        }
        vocabulary.read_ends(file, listed)?;
        vocabulary.read_specials(file, listed)?;
        Ok(vocabulary)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.longest = self.longest.max(bytes.len());
        self.starts.push(self.bytes.len());
    }

    fn read_ends(&mut self, file: &Gguf<'_>, listed: &Listed<'_>) -> Result<(), EngineError> {
        if self.end.is_none() && file.text("tokenizer.ggml.model")? == "llama" {
            self.end = listed.default_token(2);
        }
        self.ends.extend(self.end);
        let keys = [
            "eot_token_id",
            "eom_token_id",
            "fim_pad_token_id",
            "fim_rep_token_id",
            "fim_sep_token_id",
        ];
        for key in keys {
            self.ends.extend(listed.token_key(file, key)?);
        }
        let named: Vec<(u32, &str)> = listed
            .iter()
            // Text that a vocabulary happens to have as one ordinary token ends nothing.
            .filter(|(_, text, kind)| *kind != Kind::Normal && ENDS_BY_NAME.contains(text))
            .map(|(token, text, _)| (token, text))
            .collect();
        let has = |name: &str| named.iter().any(|(_, text)| *text == name);
        // In the harmony format and its kin this token ends a message of several in one answer.
        let end_goes_on = has("<|return|>") && has("<|call|>")
            || has("<|flush|>") && (has("<|call|>") || has("<|calls|>"));
        let html_goes_on = has("<|tool_response>");
        for (token, text) in &named {
            let goes_on = end_goes_on && *text == "<|end|>" || html_goes_on && *text == "</s>";
            if !goes_on && !self.ends.contains(token) {
                self.ends.push(*token);
            }
            if !goes_on && let Some(silent) = self.silent.get_mut(*token as usize) {
                *silent = true;
            }
        }
        Ok(())
    }

    fn read_specials(&mut self, file: &Gguf<'_>, listed: &Listed<'_>) -> Result<(), EngineError> {
        let strips = strips_after_specials(file)?;
        let (mut controls, mut user_defined) = (Vec::new(), Vec::new());
        for (token, text, kind) in listed.iter() {
            let is_user_defined = kind == Kind::UserDefined;
            if !is_user_defined && !is_silent(kind) {
                continue;
            }
            if text.len() > LONGEST_SPECIAL {
                return Err(EngineError::corrupt(format!(
                    "the special token {token} has {} bytes; at most {LONGEST_SPECIAL} are read",
                    text.len()
                )));
            }
            let special = Special {
                text: text.to_owned(),
                token,
                takes_space: strips && !matches!(text, "<unk>" | "<s>" | "<|endoftext|>"),
            };
            if is_user_defined && !self.ends.contains(&token) {
                user_defined.push(special);
            } else {
                controls.push(special);
            }
        }
        self.user_defined = Specials::new(user_defined);
        let written = written(&self.user_defined, file);
        let (mut guarded, pieces): (Vec<Special>, Vec<Special>) = self
            .user_defined
            .all()
            .iter()
            .cloned()
            .partition(|special| written.contains(&special.token));
        guarded.extend(controls.iter().cloned());
        self.guarded = Specials::new(guarded);
        self.controls = Specials::new(controls);
        self.pieces = Specials::new(pieces);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// The bytes of any token; none for ids outside the vocabulary.
    pub(super) fn token_bytes(&self, token: u32) -> &[u8] {
        let bounds = usize::try_from(token)
            .ok()
            .and_then(|i| Some((*self.starts.get(i)?, *self.starts.get(i + 1)?)));
        bounds
            .and_then(|(from, to)| self.bytes.get(from..to))
            .unwrap_or(&[])
    }

    pub(super) fn is_silent(&self, token: u32) -> bool {
        self.silent.get(token as usize).copied().unwrap_or(true)
    }

    pub(super) fn ends_answer(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// The token that the template knows as `eos_token`.
    pub(super) fn end_token(&self) -> Option<u32> {
        self.end.or(self.ends.first().copied())
    }
}

// === impl Frame ===

impl Frame {
    /// `adds_begin` is what this kind of tokenizer does where the file does not say.
    pub(super) fn read(
        file: &Gguf<'_>,
        listed: &Listed<'_>,
        adds_begin: bool,
    ) -> Result<Frame, EngineError> {
        let flag = |key: &str, default| {
            file.optional_bool(&format!("tokenizer.ggml.{key}"))
                .map(|flag| flag.unwrap_or(default))
        };
        let mut begin_token = listed.token_key(file, "bos_token_id")?;
        let mut end_token = listed.token_key(file, "eos_token_id")?;
        if file.text("tokenizer.ggml.model")? == "llama" {
            begin_token = begin_token.or(listed.default_token(1));
            end_token = end_token.or(listed.default_token(2));
        }
        let adds_begin = flag("add_bos_token", adds_begin)?;
        let adds_end = flag("add_eos_token", false)?;
        Ok(Frame {
            begin: begin_token.filter(|_| adds_begin),
            end: end_token.filter(|_| adds_end),
            begin_token,
        })
    }
}

fn is_silent(kind: Kind) -> bool {
    matches!(kind, Kind::Control | Kind::Unknown)
}

/// The tokens that the file's chat templates write as marks: not white space, which some vocabularies have as tokens and
/// every template has in its own text.
fn written(specials: &Specials, file: &Gguf<'_>) -> HashSet<u32> {
    let mut tokens = HashSet::new();
    for source in template_sources(file) {
        let mut from = 0;
        while let Some(found) = specials.find(source, from) {
            from = found.end;
            if !found.special.text.trim().is_empty() {
                tokens.insert(found.special.token);
            }
        }
    }
    tokens
}

/// Every chat template of the file.
fn template_sources<'a>(file: &Gguf<'a>) -> Vec<&'a str> {
    let names = match file.value("tokenizer.chat_templates") {
        Some(Value::Array(Array::Texts(names))) => names.as_slice(),
        _ => &[],
    };
    let named = names
        .iter()
        .map(|name| format!("tokenizer.chat_template.{name}"));
    std::iter::once("tokenizer.chat_template".to_owned())
        .chain(named)
        .filter_map(|key| file.optional_text(&key).ok().flatten())
        .collect()
}

/// Phi-3's special tokens take the white space behind them. Only the model's name tells, as in llama.cpp.
fn strips_after_specials(file: &Gguf<'_>) -> Result<bool, EngineError> {
    let name = file.optional_text("general.name")?.unwrap_or("");
    let name = name.to_lowercase();
    Ok(name.contains("phi-3") || name.contains("phi3"))
}
