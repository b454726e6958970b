//! Vectors for texts through the public face, held to what transformers and llama.cpp compute with the same numbers.
//! `tools/engine-vectors/embeddings.py` made both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tollgate_engine::{
    Description, EmbedInput, Embedded, Engine, EngineError, ErrorKind, Memory, ModelKind, Prompt,
    Request,
};

/// How far a number of a vector of length one may be off. Where weights are Q8_0, activations are brought to eight bits
/// too; llama.cpp, with which the last two are compared, rounds activations to halves where weights are.
const BOUNDS: [(&str, f32); 5] = [
    ("bert-f32", 1e-5),
    ("bert-f16", 1e-5),
    ("bert-q8_0", 2e-2),
    ("nomic-f16", 1e-3),
    ("qwen3-f16", 1e-3),
];

#[derive(Deserialize)]
struct Vectors {
    texts: Vec<String>,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    ids: Vec<Vec<u32>>,
    vectors: Vec<Vec<f32>>,
    #[serde(default)]
    llama_off: f32,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/embeddings")
}

fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.gguf"))
}

fn engine(name: &str) -> Engine {
    Engine::from_file(file(name), format!("my-{name}"))
}

fn vectors(name: &str) -> Vectors {
    let text = std::fs::read_to_string(folder().join(name)).expect("the vectors are there");
    serde_json::from_str(&text).expect("the vectors have this shape")
}

fn texts(texts: &[String]) -> Vec<EmbedInput> {
    texts.iter().cloned().map(EmbedInput::Text).collect()
}

fn tokens(ids: &[Vec<u32>]) -> Vec<EmbedInput> {
    ids.iter().cloned().map(EmbedInput::Tokens).collect()
}

async fn embed(engine: &Engine, inputs: Vec<EmbedInput>) -> Embedded {
    engine.embed(inputs).await.expect("as the test set up")
}

async fn refusal(engine: &Engine, inputs: Vec<EmbedInput>) -> EngineError {
    engine.embed(inputs).await.expect_err("a refusal")
}

fn farthest(found: &[Vec<f32>], expect: &[Vec<f32>]) -> f32 {
    assert_eq!(found.len(), expect.len());
    let mut farthest = 0.0_f32;
    for (found, expect) in found.iter().zip(expect) {
        assert_eq!(found.len(), expect.len());
        let length: f32 = found.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
        for (a, b) in found.iter().zip(expect) {
            farthest = farthest.max((a - b).abs());
        }
    }
    farthest
}

#[tokio::test]
async fn vectors_are_those_of_transformers_and_llama_cpp() {
    let vectors = vectors("embeddings.json");
    assert_eq!(vectors.cases.len(), BOUNDS.len());
    for (name, bound) in BOUNDS {
        let case = &vectors.cases[name];
        let found = embed(&engine(name), tokens(&case.ids)).await;
        let off = farthest(&found.vectors, &case.vectors);
        println!("{name}: off by {off:.7}, llama.cpp by {}", case.llama_off);
        assert!(off <= bound, "{name}: {off}");
    }
}

#[tokio::test]
async fn a_text_gets_the_tokens_of_the_reference_and_its_frame() {
    let vectors = vectors("embeddings.json");
    for name in ["bert-f32", "bert-q8_0", "nomic-f16"] {
        let (engine, case) = (engine(name), &vectors.cases[name]);
        let by_text = embed(&engine, texts(&vectors.texts)).await;
        assert_eq!(by_text, embed(&engine, tokens(&case.ids)).await, "{name}");
        let lengths: Vec<usize> = by_text.tokens_each.iter().map(|n| *n as usize).collect();
        let expect: Vec<usize> = case.ids.iter().map(Vec::len).collect();
        assert_eq!(lengths, expect, "{name}");
        let counted = engine.count(&Prompt::Raw(vectors.texts[0].clone())).await;
        assert_eq!(counted.unwrap(), expect[0]);
    }
}

/// To the last bit: what else is in a pass does not matter.
#[tokio::test]
async fn a_batch_gives_what_each_text_gets_alone() {
    let vectors = vectors("embeddings.json");
    for (name, _) in BOUNDS {
        let (engine, ids) = (engine(name), &vectors.cases[name].ids);
        let many: Vec<Vec<u32>> = ids.iter().cycle().take(40).cloned().collect();
        let together = embed(&engine, tokens(&many)).await;
        for (i, text) in ids.iter().enumerate() {
            let alone = embed(&engine, tokens(std::slice::from_ref(text))).await;
            for at in (i..many.len()).step_by(ids.len()) {
                assert_eq!(together.vectors[at], alone.vectors[0], "{name} {at}");
            }
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_the_window_is_refused_with_both_lengths() {
    let engine = engine("bert-f32");
    let fits = EmbedInput::Text("the".to_owned());
    for (long, n) in [
        (EmbedInput::Text("the ".repeat(47)), 49),
        (EmbedInput::Tokens(vec![7; 60]), 60),
    ] {
        let error = refusal(&engine, vec![fits.clone(), long]).await;
        let expect =
            format!("input 1 has {n} tokens and the model's window 48; shorten or split it");
        assert_eq!(error.message, expect);
        assert!(matches!(
            error.kind,
            ErrorKind::ContextOverflow { window: 48, .. }
        ));
    }
    let full = embed(&engine, vec![EmbedInput::Text("the ".repeat(46))]).await;
    assert_eq!(full.tokens_each, [48]);
}

#[tokio::test]
async fn inputs_that_are_empty_or_of_another_vocabulary_are_refused() {
    let engine = engine("bert-f32");
    let text = || EmbedInput::Text("the".to_owned());
    for (inputs, message) in [
        (vec![], "at least one"),
        (
            vec![text(), EmbedInput::Text(String::new())],
            "input 1 is empty",
        ),
        (vec![EmbedInput::Tokens(vec![])], "input 0 is empty"),
        (vec![text(), EmbedInput::Tokens(vec![2, 9999])], "9999"),
    ] {
        let error = refusal(&engine, inputs).await;
        assert_eq!(error.kind, ErrorKind::InvalidParameter { param: "input" });
        assert!(error.message.contains(message), "{error}");
    }
}

#[tokio::test]
async fn a_model_refuses_what_it_is_not_for_by_its_name() {
    let error = engine("bert-f32")
        .generate(Request::new(Prompt::Raw("the".to_owned())))
        .await
        .expect_err("a refusal");
    assert_eq!(error.kind, ErrorKind::Unsupported { what: "generation" });
    assert!(error.message.contains("my-bert-f32 gives embeddings only"));
    let inputs = vec![EmbedInput::Text("the".to_owned())];
    let error = refusal(&Engine::builtin(), inputs).await;
    assert_eq!(error.kind, ErrorKind::Unsupported { what: "embeddings" });
    assert!(
        error
            .message
            .contains("tollgate-demo writes text; it gives no embeddings")
    );
}

#[test]
fn the_head_of_a_file_tells_what_a_model_is_for() {
    for (name, window) in [("bert-f16", 48), ("nomic-f16", 48), ("qwen3-f16", 64)] {
        let engine = engine(name);
        let kind = ModelKind::Embeds { dimensions: 32 };
        assert_eq!(engine.describe().unwrap(), Description { kind, window });
        assert!(!engine.is_loaded());
        let memory = Memory::of_file(&file(name)).unwrap();
        assert_eq!(memory.window, window);
        assert_eq!(memory.weights, std::fs::metadata(file(name)).unwrap().len());
        assert!(memory.cache_per_token > 0);
    }
    let builtin = Engine::builtin().describe().unwrap();
    assert_eq!(builtin.kind, ModelKind::Generates);
    let missing = Engine::from_file(file("missing"), "missing".to_owned());
    let error = missing.describe().expect_err("a refusal");
    assert!(error.message.contains("missing.gguf"), "{error}");
}

/// With the published weights, where `TOLLGATE_MINILM` names the folder in which `embeddings.py --minilm` wrote them.
#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
#[tokio::test]
async fn vectors_of_published_weights_are_those_of_transformers() {
    let Ok(folder) = std::env::var("TOLLGATE_MINILM") else {
        println!("skipped: TOLLGATE_MINILM is not set");
        return;
    };
    let vectors = vectors("minilm.json");
    let case = &vectors.cases["minilm"];
    for (name, bound) in [
        ("minilm-f32", 1e-5),
        ("minilm-f16", 1e-3),
        ("minilm-q8_0", 1e-2),
    ] {
        let path = Path::new(&folder).join(format!("{name}.gguf"));
        let engine = Engine::from_file(path, name.to_owned());
        let found = embed(&engine, texts(&vectors.texts)).await;
        let off = farthest(&found.vectors, &case.vectors);
        let mut least = 1.0_f32;
        for (a, b) in found.vectors.iter().zip(&case.vectors) {
            least = least.min(a.iter().zip(b).map(|(a, b)| a * b).sum());
        }
        println!("{name}: off by {off:.7}, cosine at least {least:.7}");
        assert!(off <= bound && least > 0.999, "{name}: {off} {least}");
    }
}
