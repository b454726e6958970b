//! Against llama.cpp on the same file: `tools/demo-model/vectors.json`, which `vectors.py` there makes.
//! The prompts' token ids are compared beside the tokenizer, in `model/tests.rs`.

use serde::Deserialize;
use tollgate_engine::{Engine, Event, FinishReason, Message, Prompt, Request, Role, Sampling};

#[derive(Deserialize)]
struct Vectors {
    limit: u32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    messages: Vec<Turn>,
    prompt_ids: Vec<u32>,
    continuation: String,
    continuation_ids: Vec<u32>,
    finish: String,
    smallest_lead: f64,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

fn vectors() -> Vectors {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tools/demo-model/vectors.json"
    );
    let text = std::fs::read_to_string(path).expect("the vectors are in the repository");
    serde_json::from_str(&text).expect("the vectors have this shape")
}

fn messages(turns: &[Turn]) -> Prompt {
    let message = |turn: &Turn| Message {
        role: match turn.role.as_str() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => panic!("unknown role {other}"),
        },
        content: turn.content.clone(),
    };
    Prompt::Messages(turns.iter().map(message).collect())
}

async fn answer(engine: &Engine, prompt: Prompt, max_tokens: u32) -> (String, FinishReason, u32) {
    let request = Request {
        sampling: Sampling::greedy(),
        max_tokens: Some(max_tokens),
        ..Request::new(prompt)
    };
    let mut generation = engine.generate(request).await.expect("the prompt fits");
    let mut text = String::new();
    loop {
        match generation.next().await.expect("an end comes first") {
            Event::Text(more) => text += &more.text,
            Event::Done { reason, usage } => return (text, reason, usage.output_tokens),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn greedy_answers_equal_those_of_llama_cpp() {
    let engine = Engine::builtin();
    let vectors = vectors();
    assert!(vectors.cases.len() >= 20);
    for case in &vectors.cases {
        let question = &case.messages.last().unwrap().content;
        let (text, reason, n_output) =
            answer(&engine, messages(&case.messages), vectors.limit).await;
        assert_eq!(
            text, case.continuation,
            "{question:?}, smallest lead {}",
            case.smallest_lead
        );
        let expect = match case.finish.as_str() {
            "stop" => FinishReason::EndOfText,
            _ => FinishReason::MaxTokens,
        };
        assert_eq!(reason, expect, "{question:?}");
        assert_eq!(
            n_output as usize,
            case.continuation_ids.len(),
            "{question:?}"
        );
    }
}

#[tokio::test]
async fn prompts_have_as_many_tokens_as_in_llama_cpp() {
    let engine = Engine::builtin();
    for case in vectors().cases {
        let counted = engine.count(&messages(&case.messages)).await.unwrap();
        assert_eq!(counted, case.prompt_ids.len());
        let (_, _, n_output) = answer(&engine, Prompt::Tokens(case.prompt_ids), 1).await;
        assert_eq!(n_output, 1);
    }
}

#[tokio::test]
async fn the_model_knows_what_tollgate_is_and_what_it_is_not() {
    let engine = Engine::builtin();
    let ask = async |question: &str| {
        let prompt = Prompt::Messages(vec![Message {
            role: Role::User,
            content: question.to_owned(),
        }]);
        let (text, reason, _) = answer(&engine, prompt, 120).await;
        assert_eq!(reason, FinishReason::EndOfText, "{text}");
        text
    };
    let about = ask("What is Tollgate?").await;
    assert!(
        about.contains("Tollgate") && about.contains("providers"),
        "{about}"
    );
    let elsewhere = ask("Who wrote Hamlet?").await;
    assert!(elsewhere.contains("tiny demo model"), "{elsewhere}");
}
