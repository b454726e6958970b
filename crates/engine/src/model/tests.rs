use super::*;
use crate::error::ErrorKind;
use crate::request::{Message, Role};

fn demo() -> Model {
    Source::Builtin.load_model()
}

fn say(role: Role, content: &str) -> Message {
    Message {
        role,
        content: content.to_owned(),
    }
}

/// Against llama.cpp's tokenizer on the same file.
#[test]
fn prompts_have_the_token_ids_of_llama_cpp() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tools/demo-model/vectors.json"
    );
    let vectors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let model = demo();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let messages = case["messages"].as_array().unwrap().iter().map(|message| {
            let role = match message["role"].as_str().unwrap() {
                "system" => Role::System,
                "user" => Role::User,
                _ => Role::Assistant,
            };
            say(role, message["content"].as_str().unwrap())
        });
        let tokens = model
            .tokenize(&Prompt::Messages(messages.collect()))
            .unwrap();
        let expect: Vec<u64> = case["prompt_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_u64().unwrap())
            .collect();
        assert_eq!(
            tokens.iter().map(|t| u64::from(*t)).collect::<Vec<u64>>(),
            expect,
            "{}",
            case["prompt"]
        );
    }
}

/// A pass over several sequences, cut into different chunks, gives the logits of each one alone, to the last bit.
#[test]
fn a_batch_computes_what_each_sequence_does_alone() {
    let model = demo();
    let prompts: Vec<Vec<u32>> = [
        "What is Tollgate?",
        "a",
        "How many tokens does this prompt have?",
    ]
    .iter()
    .map(|text| model.tokenizer.encode(text))
    .collect();
    let alone: Vec<Vec<f32>> = prompts
        .iter()
        .map(|tokens| {
            let mut cache = Cache::default();
            let mut lane = [Lane {
                cache: &mut cache,
                tokens,
                wants_logits: true,
            }];
            model.network.forward(&mut lane).remove(0).unwrap()
        })
        .collect();
    let mut caches: Vec<Cache> = prompts.iter().map(|_| Cache::default()).collect();
    let mut found = vec![None; prompts.len()];
    for step in 0..prompts.iter().map(Vec::len).max().unwrap() {
        let mut indices = Vec::new();
        let mut lanes = Vec::new();
        for (i, (cache, tokens)) in caches.iter_mut().zip(&prompts).enumerate() {
            // Chunks of one, two and three tokens.
            if let Some(chunk) = tokens.chunks(i + 1).nth(step) {
                indices.push(i);
                lanes.push(Lane {
                    cache,
                    tokens: chunk,
                    wants_logits: true,
                });
            }
        }
        if lanes.is_empty() {
            break;
        }
        for (i, logits) in indices.into_iter().zip(model.network.forward(&mut lanes)) {
            found[i] = logits;
        }
    }
    for (alone, together) in alone.iter().zip(&found) {
        assert_eq!(Some(alone), together.as_ref());
    }
}

#[test]
fn prompts_outside_the_vocabulary_or_the_window_are_refused() {
    let model = demo();
    let last = u32::try_from(model.tokenizer.vocabulary_size()).unwrap();
    assert!(model.tokenize(&Prompt::Tokens(vec![last - 1])).is_ok());
    let error = model.tokenize(&Prompt::Tokens(vec![0, last])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidParameter { param: "prompt" });
    let error = model
        .tokenize(&Prompt::Messages(vec![say(
            Role::User,
            &"x".repeat(1 << 20),
        )]))
        .unwrap_err();
    assert!(matches!(error.kind, ErrorKind::ContextOverflow { .. }));
}
