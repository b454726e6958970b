//! Damaged model files: whatever the bytes, an error or an answer, never a panic.

use tollgate_engine::gguf::{Gguf, Tokenizer};
use tollgate_engine::{Engine, ErrorKind, Event, Prompt, Request};

static MODEL: &[u8] = include_bytes!("../models/tollgate-demo-q8_0.gguf");

/// Everything before the tensors' data: there lies the structure.
fn structure_length() -> usize {
    let file = Gguf::parse(MODEL).expect("as the test set up");
    let first = [
        "token_embd.weight",
        "output_norm.weight",
        "blk.0.attn_norm.weight",
    ]
    .iter()
    .map(|name| {
        file.tensor(name)
            .expect("as the test set up")
            .data
            .as_ptr()
            .addr()
            - MODEL.as_ptr().addr()
    })
    .min()
    .expect("as the test set up");
    assert!(first > 1000 && first < MODEL.len() / 10);
    first
}

fn read(bytes: &[u8]) -> bool {
    match Gguf::parse(bytes) {
        Ok(file) => {
            let tokenizer = Tokenizer::from_gguf(&file);
            if let Ok(tokenizer) = &tokenizer {
                let tokens = tokenizer.encode("Hello, wörld! <|im_end|>");
                let decoded: Vec<u8> = tokens
                    .iter()
                    .flat_map(|t| tokenizer.token_bytes(*t))
                    .copied()
                    .collect();
                // A flipped byte may give a merge another meaning, so only lengths are sure to be sane.
                assert!(!decoded.is_empty());
            }
            tokenizer.is_ok()
        }
        Err(error) => {
            assert!(
                matches!(
                    error.kind,
                    ErrorKind::CorruptModel | ErrorKind::UnsupportedModel
                ),
                "{error:?}"
            );
            false
        }
    }
}

/// Loads the bytes as an engine would and lets it write a few tokens. False where it refuses.
async fn answers(bytes: &[u8], name: &str) -> bool {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).expect("as the test set up");
    let engine = Engine::from_file(path, "damaged".to_owned());
    let request = Request {
        max_tokens: Some(2),
        ..Request::new(Prompt::Messages(vec![tollgate_engine::Message {
            role: tollgate_engine::Role::User,
            content: "hi".to_owned(),
        }]))
    };
    let mut generation = match engine.generate(request).await {
        Ok(generation) => generation,
        Err(error) => {
            assert_ne!(error.kind, ErrorKind::Internal, "{error}");
            return false;
        }
    };
    while let Some(event) = generation.next().await {
        if let Event::Failed(error) = event {
            assert_eq!(error.kind, ErrorKind::CorruptModel, "{error}");
        }
    }
    true
}

/// The numbers of a linear congruence; the seed is printed by every test that fails.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("as the test set up") % bound
    }
}

#[test]
fn every_truncation_is_refused() {
    let structure = structure_length();
    let offsets = (0..100)
        .map(|i| i * structure / 100)
        .chain((0..100).map(|i| structure + i * (MODEL.len() - structure) / 100));
    let mut n = 0;
    for offset in offsets {
        let error = Gguf::parse(&MODEL[..offset]).err();
        let kind = error
            .unwrap_or_else(|| panic!("cut at {offset} it must not be read"))
            .kind;
        assert_eq!(kind, ErrorKind::CorruptModel, "cut at {offset}");
        n += 1;
    }
    assert_eq!(n, 200);
    assert!(Gguf::parse(&MODEL[..MODEL.len() - 1]).is_err() || MODEL.ends_with(&[0]));
}

#[tokio::test]
async fn flipped_bytes_never_panic() {
    let seed = 20_261_121;
    println!("seed {seed}");
    let mut numbers = Numbers(seed);
    let structure = structure_length();
    let (mut n_read, mut n_answered, mut n_tried) = (0, 0, 0);
    for round in 0..500 {
        let mut bytes = MODEL.to_vec();
        // Most of the damage where the structure is; the first flips among the counts and offsets.
        let range = if round % 5 == 0 {
            bytes.len()
        } else {
            structure
        };
        for _ in 0..=round % 3 {
            let at = numbers.below(range);
            bytes[at] ^= u8::try_from(1 + numbers.below(255)).unwrap();
        }
        n_read += u32::from(read(&bytes));
        if round % 5 == 0 || round % 7 == 0 {
            n_tried += 1;
            n_answered += u32::from(answers(&bytes, "flipped.gguf").await);
        }
    }
    println!("{n_read} of 500 read, {n_answered} of {n_tried} answered");
    assert!(n_read > 0 && n_read < 500);
    assert!(n_answered > 0);
}

#[test]
fn absurd_counts_allocate_nothing() {
    // A file of 24 bytes that claims so many keys and tensors.
    for (tensors, keys) in [(u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX)] {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(keys.to_le_bytes());
        assert_eq!(
            Gguf::parse(&bytes).err().unwrap().kind,
            ErrorKind::CorruptModel
        );
    }
    // An array of strings, and of numbers, with absurd lengths.
    for kind in [8_u32, 0, 12] {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(b"k");
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(u64::MAX.to_le_bytes());
        assert_eq!(
            Gguf::parse(&bytes).err().unwrap().kind,
            ErrorKind::CorruptModel
        );
    }
    assert_eq!(
        Gguf::parse(b"").err().unwrap().kind,
        ErrorKind::CorruptModel
    );
    assert!(Gguf::parse(b"GGML\x03\0\0\0").is_err());
}

/// A network of the vectors with a vocabulary of two-digit numbers and nothing else.
fn with_numbers_only() -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let list = |kind: u32| {
        [
            9_u32.to_le_bytes(),
            kind.to_le_bytes(),
            [64, 0, 0, 0],
            [0; 4],
        ]
        .concat()
    };
    let pieces: Vec<String> = (10..74).map(|i| i.to_string()).collect();
    let mut keys = vec![
        (
            text("tokenizer.ggml.model"),
            [8_u32.to_le_bytes().to_vec(), text("llama")].concat(),
        ),
        (text("tokenizer.ggml.tokens"), list(8)),
        (
            text("tokenizer.ggml.scores"),
            [list(6), vec![0; 256]].concat(),
        ),
        (
            text("tokenizer.ggml.add_bos_token"),
            [7, 0, 0, 0, 0].to_vec(),
        ),
    ];
    keys[1]
        .1
        .extend(pieces.iter().flat_map(|piece| text(piece)));
    let length: usize = keys
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    // Tensors lie at multiples of 32 behind the head, whose length is filled up to one.
    let filler = " ".repeat((length + 23).next_multiple_of(32) - length - 23);
    keys.push((
        text("pad"),
        [8_u32.to_le_bytes().to_vec(), text(&filler)].concat(),
    ));
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/networks/llama_f32.gguf"
    );
    let mut file = std::fs::read(path).expect("the vectors are in the repository");
    // The file calls its tokenizer none, under a key that becomes another.
    let name = b"tokenizer.ggml.model";
    let at = file.windows(name.len()).position(|window| window == name);
    file[at.expect("the key")] = b'T';
    file[16] += u8::try_from(keys.len()).expect("a few");
    let inserted = keys
        .into_iter()
        .flat_map(|(key, value)| [key, value].concat());
    file.splice(24..24, inserted);
    file
}

#[tokio::test]
async fn a_text_without_a_single_token_is_refused() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("numbers-only.gguf");
    std::fs::write(&path, with_numbers_only()).unwrap();
    let engine = Engine::from_file(path, "numbers".to_owned());
    let request = |text: &str| Request {
        max_tokens: Some(1),
        ..Request::new(Prompt::Raw(text.to_owned()))
    };
    let error = engine.generate(request("Hello")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidParameter { param: "prompt" });
    let mut generation = engine.generate(request("42")).await.unwrap();
    while let Some(event) = generation.next().await {
        assert!(!matches!(event, Event::Failed(_)), "{event:?}");
    }
}

/// One stretch of bytes under many names could be unpacked as often as there are names.
#[test]
fn tensors_on_the_same_bytes_are_refused() {
    let with_offsets = |offsets: [u64; 3]| {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(3_u64.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        for (name, offset) in [b"a", b"b", b"c"].into_iter().zip(offsets) {
            bytes.extend(1_u64.to_le_bytes());
            bytes.extend(name);
            bytes.extend(1_u32.to_le_bytes());
            bytes.extend(16_u64.to_le_bytes());
            bytes.extend(0_u32.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32) + 192, 0);
        Gguf::parse(&bytes).map(drop)
    };
    assert!(with_offsets([128, 0, 64]).is_ok());
    for overlapping in [[0, 0, 128], [128, 32, 64], [64, 0, 60]] {
        let error = with_offsets(overlapping).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CorruptModel);
        assert!(error.message.contains("lie on the same bytes"), "{error}");
    }
}
