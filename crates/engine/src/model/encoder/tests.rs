//! Damaged files of encoders, and what does not depend on the number of threads.

use std::borrow::Cow;
use std::sync::Arc;

use super::*;
use crate::embedding::EmbedInput;
use crate::error::ErrorKind;
use crate::model::{Description, Loaded};
use crate::random::Random;

const NAMES: [&str; 3] = ["bert-f32", "bert-q8_0", "nomic-f16"];

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/embeddings");
    std::fs::read(format!("{folder}/{name}.gguf")).unwrap()
}

fn encoder(bytes: Vec<u8>, n_threads: usize) -> Result<Encoder, EngineError> {
    let bytes: FileBytes = Arc::new(Cow::Owned(bytes));
    Encoder::from_gguf(&Gguf::parse(&bytes)?, &bytes, n_threads)
}

/// Puts other bytes at the place of these, so many bytes behind their beginning.
fn changed(name: &str, text: &str, behind: usize, other: &[u8]) -> Vec<u8> {
    let mut bytes = file(name);
    let mut windows = bytes.windows(text.len());
    let at = windows
        .position(|window| window == text.as_bytes())
        .unwrap()
        + behind;
    bytes[at..at + other.len()].copy_from_slice(other);
    bytes
}

#[test]
fn the_number_of_threads_does_not_change_a_vector() {
    let long: Vec<u32> = (0..48).map(|i| i * 7 % 60).collect();
    let texts: Vec<&[u32]> = (1..40).map(|n| &long[..n]).chain([&long[..]]).collect();
    for name in NAMES {
        let alone = encoder(file(name), 1).unwrap().states(&texts);
        let found = encoder(file(name), 3).unwrap().states(&texts);
        assert!(found == alone, "{name}");
    }
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let check = |bytes: Vec<u8>, expect: &[&str]| {
        let error = encoder(bytes, 1).expect_err("a refusal");
        for part in expect {
            assert!(error.message.contains(part), "{error}");
        }
    };
    for tensor in [
        "position_embd.weight",
        "token_embd_norm.bias",
        "blk.0.attn_k.weight",
        "blk.0.attn_output_norm.weight",
        "blk.0.ffn_down.weight",
        "blk.0.layer_output_norm.bias",
    ] {
        // Its first letter becomes another.
        check(changed("bert-f32", tensor, 0, b"x"), &[tensor, "missing"]);
        // Its first dimension, behind the name and their number.
        let n_columns = 31_u64.to_le_bytes();
        let misshapen = changed("bert-f32", tensor, tensor.len() + 4, &n_columns);
        check(misshapen, &[tensor, "shape"]);
    }
    // Values behind a key have a type of four bytes before them.
    for (key, value, expect) in [
        ("bert.context_length", 49_u32, "position_embd.weight"),
        ("bert.embedding_length", 64, "token_embd.weight"),
        ("bert.feed_forward_length", 96, "blk.0.ffn_up.weight"),
        ("bert.block_count", 40_000, "blk.1.attn_q.weight"),
        ("bert.block_count", u32::MAX, "too many"),
        ("bert.attention.head_count", 5, "5 heads"),
        ("bert.attention.head_count", 32, "32 heads"),
        ("bert.pooling_type", 0, "bert.pooling_type"),
        ("bert.pooling_type", 4, "ranks"),
        ("bert.pooling_type", 77, "77"),
        ("bert.attention.causal", 1, "bert.attention.causal"),
    ] {
        let value = value.to_le_bytes();
        let value = if key.ends_with("causal") {
            &value[..1]
        } else {
            &value[..]
        };
        check(changed("bert-f32", key, key.len() + 4, value), &[expect]);
    }
}

#[test]
fn every_truncation_is_refused() {
    for name in NAMES {
        let bytes = file(name);
        for i in 0..100 {
            let cut = &bytes[..i * bytes.len() / 100];
            let error = Gguf::parse(cut).err().unwrap();
            assert_eq!(error.kind, ErrorKind::CorruptModel, "{name} {i}");
        }
    }
}

/// Damage among the keys and the list of tensors gives an error or a network that computes.
#[test]
fn flipped_bytes_never_panic() {
    let seed = 20_261_121;
    println!("seed {seed}");
    let mut random = Random::from_seed(seed);
    let (mut n_read, mut n_refused) = (0, 0);
    for name in NAMES {
        let sound = file(name);
        let whole = Gguf::parse(&sound).unwrap();
        let end = whole.required("token_embd.weight").unwrap().range.start;
        for round in 0..300 {
            let mut bytes = sound.clone();
            for _ in 0..=round % 3 {
                let number = usize::try_from(random.next() >> 32).unwrap();
                bytes[number % end] ^= 1 << (number >> 24 & 7);
            }
            let bytes: FileBytes = Arc::new(Cow::Owned(bytes));
            let described = Gguf::parse(&bytes).and_then(|file| Description::of(&file));
            let error = match Loaded::from_bytes(&bytes, 1) {
                Ok(Loaded::Embedder(embedder)) => {
                    assert!(described.is_ok());
                    n_read += 1;
                    let input = EmbedInput::Text("the capital of the gateway".to_owned());
                    let embedded = embedder
                        .tokenize(&input, 0)
                        .and_then(|tokens| embedder.embed(&[&tokens]));
                    match embedded {
                        Ok(_) => continue,
                        Err(error) => error,
                    }
                }
                Ok(Loaded::Model(model)) => panic!("{model:?}"),
                Err(error) => error,
            };
            n_refused += 1;
            assert!(
                matches!(
                    error.kind,
                    ErrorKind::CorruptModel
                        | ErrorKind::UnsupportedModel
                        | ErrorKind::ContextOverflow { .. }
                ),
                "{error}"
            );
        }
    }
    println!("{n_read} compute, {n_refused} are refused");
    assert!(n_read > 100 && n_refused > 100);
}
