//! What the header of a GGUF file says about its model, and what running it takes.
//!
//! The engine's reader does the reading. It is given the beginning of the file with the number of tensors set to nought,
//! so that neither the whole file is read nor an encoding that the engine cannot run yet hides the facts. The keys are
//! those of <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Whether the engine can run the model is not
//! decided here.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use tollgate_base::{Error, Kind, Result};
use tollgate_engine::gguf::{Array, Gguf, Value};

use crate::quantization_of;

/// What is known of a model; what its file does not say is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub architecture: Option<String>,
    /// The model's own name.
    pub title: Option<String>,
    /// The number of parameters in the file's words: `0.5B`.
    pub parameters: Option<String>,
    pub quantization: Option<String>,
    pub layers: Option<u64>,
    /// The longest context in tokens that it was made for.
    pub context: Option<u64>,
    pub vocabulary: Option<u64>,
    /// The kind of tokenizer: `gpt2` (byte-level BPE), `llama` (SentencePiece), `bert` …
    pub tokenizer: Option<String>,
    pub has_chat_template: bool,
    pub licence: Option<String>,
    /// What a token costs in the key-value cache; absent for a model that keeps none.
    pub kv_bytes_per_token: Option<u64>,
}

/// What running a model takes, estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub weights: u64,
    /// For each 1,024 tokens of a conversation.
    pub kv_per_1k_tokens: u64,
}

/// Bytes read of a header, tried one after the other. The largest vocabularies take some 20 MB.
const WINDOWS: [u64; 3] = [8 << 20, 32 << 20, 128 << 20];
/// Bytes of one number in the key-value cache: the engine keeps F16.
const KV_NUMBER: u64 = 2;

// === impl Facts ===

impl Facts {
    /// Reads the header of the file at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let fault = |error: &io::Error| {
            let message = format!("{} cannot be read: {error}.", path.display());
            Error::new(Kind::NotFound, "model_unreadable", message)
        };
        let length = std::fs::metadata(path)
            .map_err(|error| fault(&error))?
            .len();
        let mut last = None;
        for window in WINDOWS {
            let bytes = beginning(path, window).map_err(|error| fault(&error))?;
            match Gguf::parse(&bytes) {
                Ok(gguf) => {
                    let mut facts = of(&gguf);
                    let name = path.file_name().and_then(|name| name.to_str());
                    facts.quantization = facts.quantization.or_else(|| quantization_of(name?));
                    return Ok(facts);
                }
                Err(error) => last = Some(error),
            }
            if window >= length {
                break;
            }
        }
        let why = last.map_or_else(|| "it is empty".to_owned(), |error| error.message);
        let message = format!("{}: {why}.", path.display());
        Err(Error::new(Kind::Unprocessable, "model_unreadable", message))
    }
}

// === impl Memory ===

impl Memory {
    /// Weights and the cache of this many tokens.
    pub fn in_use(self, tokens: u64) -> u64 {
        let kv = self.kv_per_1k_tokens.saturating_mul(tokens) / 1_024;
        self.weights.saturating_add(kv)
    }
}

/// What running the model of a file takes: its bytes as they are, and the key-value cache. Scratch space is not counted.
pub fn memory(file_size: u64, facts: &Facts) -> Memory {
    memory_of(file_size, facts.kv_bytes_per_token)
}

pub(crate) fn memory_of(file_size: u64, kv_bytes_per_token: Option<u64>) -> Memory {
    Memory {
        weights: file_size,
        kv_per_1k_tokens: kv_bytes_per_token.unwrap_or(0).saturating_mul(1_024),
    }
}

/// `heads` are the key-value heads of all layers together.
pub(crate) fn kv_bytes_per_token(heads: u64, key: u64, value: u64) -> u64 {
    heads
        .saturating_mul(key.saturating_add(value))
        .saturating_mul(KV_NUMBER)
}

/// The file's first bytes, as a file without tensors: their number stands in the bytes 8 to 16.
fn beginning(path: &Path, window: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(window).read_to_end(&mut bytes)?;
    if let Some(n_tensors) = bytes.get_mut(8..16) {
        n_tensors.fill(0);
    }
    Ok(bytes)
}

fn of(gguf: &Gguf<'_>) -> Facts {
    let architecture = text(gguf, "general.architecture");
    let own = |key: &str| format!("{}.{key}", architecture.as_deref().unwrap_or_default());
    let count = |key: &str| counts(gguf, &own(key)).and_then(|all| all.first().copied());
    let layers = count("block_count");
    let tokens = match gguf.value("tokenizer.ggml.tokens") {
        Some(Value::Array(Array::Texts(tokens))) => u64::try_from(tokens.len()).ok(),
        _ => None,
    };
    let file_type = counts(gguf, "general.file_type").and_then(|all| all.first().copied());
    Facts {
        title: text(gguf, "general.name"),
        parameters: text(gguf, "general.size_label"),
        quantization: file_type.and_then(of_file_type).map(str::to_owned),
        layers,
        context: count("context_length"),
        vocabulary: tokens.or_else(|| count("vocab_size")),
        tokenizer: text(gguf, "tokenizer.ggml.model"),
        has_chat_template: gguf.value("tokenizer.chat_template").is_some(),
        licence: text(gguf, "general.license"),
        kv_bytes_per_token: kv(gguf, &own, layers),
        architecture,
    }
}

/// What a token costs in the cache, from the shapes that the header names.
fn kv(gguf: &Gguf<'_>, own: &dyn Fn(&str) -> String, layers: Option<u64>) -> Option<u64> {
    if let Some(Value::Bool(false)) = gguf.value(&own("attention.causal")) {
        return None;
    }
    let first = |key: &str| counts(gguf, &own(key)).and_then(|all| all.first().copied());
    let n_heads = first("attention.head_count")?;
    // A list has the heads of each layer; one number is that of every layer.
    let heads = match counts(gguf, &own("attention.head_count_kv")) {
        Some(all) if all.len() > 1 => all.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)),
        Some(all) => all.first()?.saturating_mul(layers?),
        None => n_heads.saturating_mul(layers?),
    };
    let size = |key: &str| first(key).or_else(|| first("embedding_length")?.checked_div(n_heads));
    let key = size("attention.key_length")?;
    let value = size("attention.value_length")?;
    Some(kv_bytes_per_token(heads, key, value))
}

/// A text of the header, without what a terminal would act on and never longer than a line.
fn text(gguf: &Gguf<'_>, key: &str) -> Option<String> {
    let Some(Value::Text(text)) = gguf.value(key) else {
        return None;
    };
    let plain: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    (!plain.is_empty()).then_some(plain)
}

/// A number of the header, or a list of them.
fn counts(gguf: &Gguf<'_>, key: &str) -> Option<Vec<u64>> {
    match gguf.value(key)? {
        Value::Unsigned(n) => Some(vec![*n]),
        Value::Signed(n) => u64::try_from(*n).ok().map(|n| vec![n]),
        // UINT32 and INT32 are what writers use for lists of counts.
        Value::Array(Array::Scalars { kind: 4 | 5, bytes }) => Some(
            bytes
                .chunks_exact(4)
                .map(|four| {
                    let four = four.iter().rev();
                    four.fold(0, |n, byte| n << 8 | u64::from(*byte))
                })
                .collect(),
        ),
        _ => None,
    }
}

/// GGUF's `general.file_type`.
fn of_file_type(id: u64) -> Option<&'static str> {
    Some(match id {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        25 => "IQ4_NL",
        30 => "IQ4_XS",
        32 => "BF16",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_the_built_in_model_says_what_it_is() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/models/tollgate-demo-q8_0.gguf");
        let facts = Facts::read(&path).unwrap();
        assert_eq!(facts.architecture.as_deref(), Some("llama"));
        assert_eq!(facts.quantization.as_deref(), Some("Q8_0"));
        assert_eq!((facts.layers, facts.context), (Some(4), Some(1024)));
        assert_eq!(facts.vocabulary, Some(2048));
        assert!(facts.has_chat_template);
        assert_eq!(facts.licence.as_deref(), Some("Apache-2.0"));
        // 4 layers x 2 heads x (64 + 64) numbers of 2 bytes.
        assert_eq!(facts.kv_bytes_per_token, Some(2_048));
        assert_eq!(memory(1_000, &facts).in_use(2_048), 1_000 + 2_048 * 2_048);
    }

    #[test]
    fn a_file_that_is_cut_in_its_header_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.gguf");
        for (bytes, says) in [
            (&b""[..], "ends within the magic number"),
            (b"<html>not a model</html>", "does not begin with GGUF"),
            (b"GGUF\x03\0\0\0", "ends within"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Facts::read(&path).unwrap_err();
            assert!(error.message().contains(says), "{error}");
        }
    }

    #[test]
    fn an_encoding_that_the_engine_cannot_run_does_not_hide_the_facts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model-Q4_K_M.gguf");
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        for part in ["general.architecture", "qwen2"] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part.as_bytes());
            if part != "qwen2" {
                bytes.extend(8_u32.to_le_bytes());
            }
        }
        bytes.extend(b"tensors of ggml type 12 follow");
        std::fs::write(&path, bytes).unwrap();
        let facts = Facts::read(&path).unwrap();
        assert_eq!(facts.architecture.as_deref(), Some("qwen2"));
        assert_eq!(facts.quantization.as_deref(), Some("Q4_K_M"));
        assert_eq!(facts.kv_bytes_per_token, None);
    }
}
