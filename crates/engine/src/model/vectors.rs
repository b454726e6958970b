//! Tiny networks of every architecture, held to what llama.cpp computes with the same files.
//! `tools/engine-vectors/networks.py` made both.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Cache, FileBytes, Lane, Network};
use crate::error::ErrorKind;
use crate::gguf::{Encoding, Gguf};
use crate::random::Random;

/// How far a logit may be off, of the largest one. llama.cpp rounds queries to halves, activations too where weights are
/// halves, and brings them to eight bits with its own rounding where weights are Q8_0.
const BOUNDS: [(&str, f32); 10] = [
    ("llama_f32", 1e-3),
    ("llama_f16", 5e-3),
    ("llama_linear", 2e-2),
    ("llama_k", 2e-2),
    ("qwen2", 2e-2),
    ("qwen3", 2e-2),
    ("gemma", 2e-2),
    ("gemma2", 5e-3),
    ("gemma3", 3e-2),
    ("phi3", 5e-3),
];

fn path(name: &str) -> String {
    format!(
        "{}/tests/vectors/networks/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn network(name: &str, n_threads: usize) -> Network {
    let bytes = std::fs::read(path(&format!("{name}.gguf"))).unwrap();
    let bytes: FileBytes = Arc::new(Cow::Owned(bytes));
    Network::from_gguf(&Gguf::parse(&bytes).unwrap(), &bytes, n_threads).unwrap()
}

fn feed(network: &Network, cache: &mut Cache, tokens: &[u32]) -> Vec<f32> {
    let mut lane = [Lane {
        cache,
        tokens,
        wants_logits: true,
    }];
    network.forward(&mut lane).remove(0).unwrap()
}

fn best(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = i;
        }
    }
    u32::try_from(best).unwrap()
}

fn vectors() -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path("networks.json")).unwrap()).unwrap()
}

fn tokens(value: &serde_json::Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn logits_and_greedy_continuations_are_those_of_llama_cpp() {
    let vectors = vectors();
    let prompt = tokens(&vectors["prompt"]);
    let cases = vectors["cases"].as_object().unwrap();
    assert_eq!(cases.len(), BOUNDS.len());
    let mut wrong = Vec::new();
    for (name, bound) in BOUNDS {
        let case = &cases[name];
        let expect: Vec<f32> = serde_json::from_value(case["logits"].clone()).unwrap();
        let network = network(name, 1);
        let mut cache = Cache::default();
        let mut logits = feed(&network, &mut cache, &prompt);
        let largest = expect.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let error = logits
            .iter()
            .zip(&expect)
            .fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()))
            / largest;
        let mut greedy = Vec::new();
        while greedy.len() < tokens(&case["greedy"]).len() {
            greedy.push(best(&logits));
            logits = feed(&network, &mut cache, &greedy[greedy.len() - 1..]);
        }
        println!("{name}: logits off by {error:.6} of the largest");
        if error > bound || greedy != tokens(&case["greedy"]) {
            wrong.push(format!(
                "{name}: off by {error}, {greedy:?} for {}",
                case["greedy"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the `gguf` package reads from random blocks, to the last bit. `encodings.py` made both.
#[test]
fn every_encoding_stands_for_the_numbers_that_the_reference_reads() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/encodings.bin");
    let bytes = std::fs::read(file).unwrap();
    let mut rest = bytes.as_slice();
    for encoding in [
        Encoding::Q8_0,
        Encoding::Q4_0,
        Encoding::Q4_1,
        Encoding::Q5_0,
        Encoding::Q5_1,
        Encoding::Q4K,
        Encoding::Q5K,
        Encoding::Q6K,
    ] {
        let (blocks, values) = rest.split_at(encoding.row_bytes(256));
        let (values, others) = values.split_at(256 * 4);
        let mut found = Vec::new();
        encoding.decode(blocks, &mut found);
        let found: Vec<u8> = found.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(found, values, "{encoding:?}");
        rest = others;
    }
    assert!(rest.is_empty());
}

/// Whatever the number of threads, and from a prefix shared with another sequence, to the last bit.
#[test]
fn threads_and_shared_prefixes_change_nothing() {
    let prompt: Vec<u32> = (0..100).map(|i| i * 7 % 64).collect();
    for (name, _) in BOUNDS {
        let alone = network(name, 1);
        let mut first = Cache::default();
        let expect = feed(&alone, &mut first, &prompt);
        let mut second = first.clone();
        second.truncate(70);
        assert_eq!(feed(&alone, &mut second, &prompt[70..]), expect, "{name}");
        let mut third = Cache::default();
        let found = feed(&network(name, 4), &mut third, &prompt);
        assert_eq!(found, expect, "{name}");
    }
}

#[test]
fn an_unknown_architecture_is_named_beside_what_is_read() {
    let bytes = std::fs::read(path("gemma2.gguf")).unwrap();
    let at = bytes.windows(6).position(|six| six == b"gemma2").unwrap();
    let mut other = bytes.clone();
    other[at..at + 6].copy_from_slice(b"mamba9");
    let other: FileBytes = Arc::new(Cow::Owned(other));
    let error = Network::from_gguf(&Gguf::parse(&other).unwrap(), &other, 1).unwrap_err();
    assert!(
        error.message.contains("mamba9") && error.message.contains("qwen3"),
        "{error}"
    );
}

/// Damage among the keys and the list of tensors gives an error or a network that computes.
#[test]
fn flipped_bytes_of_every_architecture_never_panic() {
    let seed = 20_261_122;
    println!("seed {seed}");
    let mut random = Random::from_seed(seed);
    let (mut n_read, mut n_refused) = (0, 0);
    for (name, _) in BOUNDS {
        let bytes = std::fs::read(path(&format!("{name}.gguf"))).unwrap();
        let whole = Gguf::parse(&bytes).unwrap();
        let end = whole.required("token_embd.weight").unwrap().range.start;
        for round in 0..200 {
            let mut damaged = bytes.clone();
            for _ in 0..=round % 3 {
                let number = usize::try_from(random.next() >> 32).unwrap();
                damaged[number % end] ^= 1 << (number >> 24 & 7);
            }
            let damaged: FileBytes = Arc::new(Cow::Owned(damaged));
            let network =
                Gguf::parse(&damaged).and_then(|file| Network::from_gguf(&file, &damaged, 1));
            match network {
                Ok(network) => {
                    let logits = feed(&network, &mut Cache::default(), &[1, 2, 3]);
                    assert_eq!(logits.len(), network.vocabulary_size());
                    n_read += 1;
                }
                Err(error) => {
                    let kind = &error.kind;
                    assert!(
                        matches!(kind, ErrorKind::CorruptModel | ErrorKind::UnsupportedModel),
                        "{error}"
                    );
                    n_refused += 1;
                }
            }
        }
    }
    println!("{n_read} compute, {n_refused} are refused");
    assert!(n_read > 100 && n_refused > 100);
}
