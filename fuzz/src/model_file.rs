//! Writes GGUF files for the targets: a tokenizer's metadata made of a fuzzer's bytes, without tensors.

/// The separator of an input's parts; it is in no UTF-8 text.
const BORDER: u8 = 0xff;

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

const PRETOKENIZERS: [&str; 6] = ["gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "gpt-4o"];

/// A GGUF file's metadata on its way.
#[derive(Default)]
struct Metadata {
    n_keys: u64,
    bytes: Vec<u8>,
}

/// A vocabulary and a text for it.
pub struct Case {
    pub kind: Kind,
    pub file: Vec<u8>,
    /// The ids from here on are control tokens.
    pub first_control: usize,
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Bytes,
    Pieces,
    Words,
}

/// Reads an input as: a byte for the kind, one for the pre-tokenizer, one that merges and scores vary by; then ordinary,
/// unused, user-defined and control tokens, a line each, and the text, with a border between these five.
pub fn case(data: &[u8]) -> Option<Case> {
    let ([kind, pretokenizer, variation], rest) = data.split_first_chunk()?;
    let mut parts = rest.splitn(5, |byte| *byte == BORDER);
    let mut part = || parts.next().unwrap_or_default();
    let lines = |part: &[u8]| -> Vec<Vec<u8>> {
        let lines = part.split(|byte| *byte == b'\n');
        lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let [ordinary, unused, user_defined, control] = [lines(part()), lines(part()), lines(part()), lines(part())];
    let text = String::from_utf8_lossy(part()).into_owned();
    let kind = [Kind::Bytes, Kind::Pieces, Kind::Words][usize::from(kind % 3)];
    let mut tokens: Vec<(String, i32)> = match kind {
        Kind::Bytes => (0..=u8::MAX).map(|byte| (stand_in(&[byte]), NORMAL)).collect(),
        Kind::Pieces => (0..=u8::MAX).map(|byte| (format!("<0x{byte:02X}>"), BYTE)).collect(),
        Kind::Words => ["[UNK]", "[CLS]", "[SEP]"].map(|text| (text.to_owned(), CONTROL)).into(),
    };
    let plain = |line: &Vec<u8>| String::from_utf8_lossy(line).into_owned();
    let written = |line: &Vec<u8>| if kind == Kind::Bytes { stand_in(line) } else { plain(line) };
    tokens.extend(ordinary.iter().map(|line| (written(line), NORMAL)));
    tokens.extend(unused.iter().map(|line| (written(line), UNUSED)));
    tokens.extend(user_defined.iter().map(|line| (plain(line), USER_DEFINED)));
    let first_control = tokens.len();
    tokens.extend(control.iter().map(|line| (plain(line), CONTROL)));
    let file = file(kind, *pretokenizer, *variation, &tokens);
    Some(Case { kind, file, first_control, text })
}

fn file(kind: Kind, pretokenizer: u8, variation: u8, tokens: &[(String, i32)]) -> Vec<u8> {
    let mut metadata = Metadata::default();
    let texts: Vec<&str> = tokens.iter().map(|(text, _)| text.as_str()).collect();
    metadata.texts("tokenizer.ggml.tokens", &texts);
    let kinds = tokens.iter().flat_map(|(_, kind)| kind.to_le_bytes()).collect();
    metadata.numbers("tokenizer.ggml.token_type", 5, tokens.len(), kinds);
    match kind {
        Kind::Bytes => {
            metadata.text("tokenizer.ggml.model", "gpt2");
            metadata.text("tokenizer.ggml.pre", PRETOKENIZERS[usize::from(pretokenizer) % 6]);
            let merges = merges(&texts, usize::from(variation));
            let merges: Vec<&str> = merges.iter().map(String::as_str).collect();
            metadata.texts("tokenizer.ggml.merges", &merges);
        }
        Kind::Pieces => {
            metadata.text("tokenizer.ggml.model", "llama");
            metadata.flag("tokenizer.ggml.add_space_prefix", pretokenizer % 2 == 0);
            let score = |i: usize| (i * usize::from(variation) % 251) as f32;
            let scores = (0..tokens.len()).flat_map(|i| score(i).to_le_bytes()).collect();
            metadata.numbers("tokenizer.ggml.scores", 6, tokens.len(), scores);
        }
        Kind::Words => {
            metadata.text("tokenizer.ggml.model", "bert");
            metadata.flag("tokenizer.ggml.normalizer.lowercase", pretokenizer % 2 == 0);
            metadata.flag("tokenizer.ggml.normalizer.strip_accents", pretokenizer % 3 == 0);
        }
    }
    metadata.finish()
}

/// For every token one way to make it of two others, where there is one.
fn merges(texts: &[&str], variation: usize) -> Vec<String> {
    let known: std::collections::HashSet<&str> = texts.iter().copied().collect();
    let mut merges = Vec::new();
    for text in texts {
        let splits = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let ways: Vec<(&str, &str)> = splits.filter(|(a, b)| known.contains(a) && known.contains(b)).collect();
        if let Some((left, right)) = ways.get(variation % ways.len().max(1))
            && !text.contains(' ')
        {
            merges.push(format!("{left} {right}"));
        }
    }
    merges
}

/// GPT-2's printable text for bytes.
fn stand_in(bytes: &[u8]) -> String {
    let character = |byte: &u8| {
        let code = match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => u32::from(*byte),
            0..=b' ' => 0x100 + u32::from(*byte),
            0x7f..=0xa0 => 0x121 + u32::from(*byte) - 0x7f,
            0xad => 0x143,
        };
        char::from_u32(code).expect("a letter")
    };
    bytes.iter().map(character).collect()
}

// === impl Metadata ===

impl Metadata {
    fn key(&mut self, key: &str, kind: u32) {
        self.n_keys += 1;
        self.push_text(key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn push_text(&mut self, text: &str) {
        self.bytes.extend((text.len() as u64).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key, 8);
        self.push_text(text);
    }

    fn flag(&mut self, key: &str, flag: bool) {
        self.key(key, 7);
        self.bytes.push(u8::from(flag));
    }

    fn numbers(&mut self, key: &str, kind: u32, n: usize, numbers: Vec<u8>) {
        self.key(key, 9);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((n as u64).to_le_bytes());
        self.bytes.extend(numbers);
    }

    fn texts(&mut self, key: &str, texts: &[&str]) {
        self.key(key, 9);
        self.bytes.extend(8_u32.to_le_bytes());
        self.bytes.extend((texts.len() as u64).to_le_bytes());
        for text in texts {
            self.push_text(text);
        }
    }

    fn finish(self) -> Vec<u8> {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend(0_u64.to_le_bytes());
        file.extend(self.n_keys.to_le_bytes());
        file.extend(self.bytes);
        file
    }
}
