//! Several answers in one reply: each has its number and its end, all of them one usage, and a dialect that
//! gives one answer refuses to be asked for more.

#![expect(clippy::disallowed_methods, reason = "`json!` writes what is expected")]

#[path = "support/replies.rs"]
mod replies;
#[expect(dead_code, reason = "each test file uses some of it")]
mod support;

use replies::raw;
use serde_json::{Value, json};
use support::{encoded, events, frames, options};
use tollgate_base::{Provenance, Usage};
use tollgate_dialect::{
    Dialect, EncodeOptions, decoder,
    ir::{Answer, Block, BlockStart, Delta, Event, FinishReason, Response},
    law::Law,
    parse_response, render_response,
};

/// The dialects in which a reply may have several answers.
const SEVERAL: [Dialect; 3] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiCompletions,
    Dialect::GeminiGenerate,
];

fn start() -> Event {
    Event::Start {
        id: "x".into(),
        model: "m".into(),
    }
}

fn text_start() -> Event {
    Event::BlockStart {
        index: 0,
        block: BlockStart::Text,
    }
}

fn piece(text: &str) -> Event {
    Event::Delta {
        index: 0,
        delta: Delta::Text(text.into()),
    }
}

/// `One` and `Two`, told by turns.
fn told() -> Vec<Event> {
    vec![
        start(),
        text_start(),
        piece("O"),
        Event::Choice(1),
        text_start(),
        piece("Tw"),
        Event::Choice(0),
        piece("ne"),
        Event::BlockEnd { index: 0 },
        Event::Finish(FinishReason::EndOfTurn),
        Event::Choice(1),
        piece("o"),
        Event::BlockEnd { index: 0 },
        Event::Finish(FinishReason::MaxTokens),
        Event::Usage(Usage {
            input: 4,
            output: 6,
            provenance: Provenance::Reported,
            ..Usage::default()
        }),
    ]
}

fn whole(dialect: Dialect, options: &EncodeOptions) -> Value {
    replies::whole(dialect, options, told())
}

fn streamed(dialect: Dialect, options: EncodeOptions) -> Vec<Value> {
    replies::streamed(dialect, options, &told())
}

fn rendered(from: Dialect, text: &str, to: Dialect) -> Result<Value, String> {
    replies::rendered(from, text, to).map(|(body, _)| body)
}

#[test]
fn a_reply_of_chat_numbers_its_choices_and_counts_them_once() {
    let reply = whole(Dialect::OpenAiChat, &options());
    let choice = |index: usize, text: &str, finish: &str| {
        json!({"index": index, "message": {"role": "assistant", "content": text, "refusal": null},
            "logprobs": null, "finish_reason": finish})
    };
    assert_eq!(
        reply["choices"],
        json!([choice(0, "One", "stop"), choice(1, "Two", "length")])
    );
    assert_eq!(reply["usage"]["completion_tokens"], 6);
}

#[test]
fn a_stream_of_chat_begins_and_ends_each_choice_and_tells_usage_last() {
    let chunks = streamed(Dialect::OpenAiChat, options());
    let told: Vec<(&Value, &Value, &Value)> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"].get(0))
        .map(|choice| (&choice["index"], &choice["delta"], &choice["finish_reason"]))
        .collect();
    let begin = json!({"role": "assistant", "content": ""});
    let content = |text: &str| json!({"content": text});
    assert_eq!(
        told,
        [
            (&json!(0), &begin, &Value::Null),
            (&json!(0), &content("O"), &Value::Null),
            (&json!(1), &begin, &Value::Null),
            (&json!(1), &content("Tw"), &Value::Null),
            (&json!(0), &content("ne"), &Value::Null),
            (&json!(0), &json!({}), &json!("stop")),
            (&json!(1), &content("o"), &Value::Null),
            (&json!(1), &json!({}), &json!("length")),
        ]
    );
    let with_usage: Vec<usize> = (0..chunks.len())
        .filter(|at| chunks[*at]["usage"].is_object())
        .collect();
    assert_eq!(with_usage, [chunks.len() - 1]);
    assert_eq!(chunks.last().unwrap()["choices"], json!([]));
}

#[test]
fn each_legacy_choice_has_its_number_its_echo_and_its_end() {
    let options = EncodeOptions {
        request: Some(raw(r#"{"model":"m","prompt":"P:","echo":true,"n":2}"#)),
        ..options()
    };
    let reply = whole(Dialect::OpenAiCompletions, &options);
    assert_eq!(
        reply["choices"],
        json!([
            {"text": "P:One", "index": 0, "logprobs": null, "finish_reason": "stop"},
            {"text": "P:Two", "index": 1, "logprobs": null, "finish_reason": "length"},
        ])
    );
    let mut texts = [String::new(), String::new()];
    let mut ends = Vec::new();
    for piece in streamed(Dialect::OpenAiCompletions, options) {
        let Some(choice) = piece["choices"].get(0) else {
            continue;
        };
        let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
        texts[index].push_str(choice["text"].as_str().unwrap());
        ends.extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
    assert_eq!(texts, ["P:One", "P:Two"]);
    assert_eq!(ends, ["stop", "length"]);
}

#[test]
fn each_candidate_of_gemini_ends_once_and_the_last_piece_has_the_usage() {
    let reply = whole(Dialect::GeminiGenerate, &options());
    let candidate = |index: usize, text: &str, finish: &str| {
        json!({"content": {"parts": [{"text": text}], "role": "model"},
            "finishReason": finish, "index": index})
    };
    assert_eq!(
        reply["candidates"],
        json!([
            candidate(0, "One", "STOP"),
            candidate(1, "Two", "MAX_TOKENS")
        ])
    );
    let pieces = streamed(Dialect::GeminiGenerate, options());
    let mut texts = [String::new(), String::new()];
    let mut ends = Vec::new();
    for piece in &pieces {
        let candidate = &piece["candidates"][0];
        let index = usize::try_from(candidate["index"].as_u64().unwrap()).unwrap();
        let text = &candidate["content"]["parts"][0]["text"];
        texts[index].push_str(text.as_str().unwrap());
        ends.extend(candidate["finishReason"].as_str());
    }
    assert_eq!(texts, ["One", "Two"]);
    assert_eq!(ends, ["STOP", "MAX_TOKENS"]);
    let with_usage = pieces
        .iter()
        .filter(|piece| piece["usageMetadata"].is_object());
    assert_eq!(with_usage.count(), 1);
    assert_eq!(
        pieces.last().unwrap()["usageMetadata"]["candidatesTokenCount"],
        6
    );
}

#[test]
fn all_answers_are_read_back_whole_and_streamed() {
    let second = Answer {
        index: 1,
        blocks: vec![Block::text("Two")],
        finish: FinishReason::MaxTokens,
    };
    for dialect in SEVERAL {
        let response = Response::from_events(told()).unwrap();
        let back = parse_response(dialect, &render_response(dialect, &response, &options()));
        let (all, _) = frames(&[&encoded(dialect, options(), &told())]);
        let streamed = Response::from_events(events(&mut *decoder(dialect), &all));
        for back in [back.unwrap(), streamed.unwrap()] {
            assert_eq!(back.blocks, [Block::text("One")], "{}", dialect.name());
            assert_eq!(back.finish, FinishReason::EndOfTurn);
            assert_eq!(
                back.others.as_slice(),
                std::slice::from_ref(&second),
                "{}",
                dialect.name()
            );
            assert_eq!(back.usage.output, 6);
            let texts: Vec<&str> = back.billed_texts().collect();
            assert_eq!(texts, ["One", "Two"]);
        }
    }
}

#[test]
fn a_dialect_with_one_answer_shows_the_first() {
    for dialect in [Dialect::AnthropicMessages, Dialect::OpenAiResponses] {
        let shown = encoded(dialect, options(), &told());
        let shown = std::str::from_utf8(&shown).unwrap();
        assert!(shown.contains("ne") && !shown.contains("Tw"), "{shown}");
        let (all, _) = frames(&[shown.as_bytes()]);
        let back = Response::from_events(events(&mut *decoder(dialect), &all)).unwrap();
        assert_eq!(back.blocks, [Block::text("One")]);
        assert_eq!(back.finish, FinishReason::EndOfTurn);
    }
}

#[test]
fn a_reply_ends_when_all_of_its_answers_have() {
    let mut cut = told();
    cut.truncate(10);
    let mut law = Law::default();
    assert!(cut.iter().all(|event| law.check(event).is_ok()));
    assert!(!law.is_whole());
    assert!(Response::from_events(cut.clone()).is_err());
    for dialect in SEVERAL {
        let shown = encoded(dialect, options(), &cut);
        let shown = std::str::from_utf8(&shown).unwrap();
        assert!(!shown.contains("[DONE]") && !shown.contains("finishReason"));
    }
}

#[test]
fn each_answer_keeps_the_law_for_itself() {
    let after = |before: &[Event], event: Event| {
        let mut law = Law::default();
        assert!(before.iter().all(|event| law.check(event).is_ok()));
        law.check(&event)
    };
    let finished = [
        start(),
        Event::Finish(FinishReason::EndOfTurn),
        Event::Choice(1),
    ];
    assert_eq!(after(&finished, text_start()), Ok(()));
    assert_eq!(
        after(&finished, Event::BlockEnd { index: 0 }),
        Err("only an open block ends")
    );
    let again = [&finished[..], &[Event::Choice(0)]].concat();
    assert_eq!(
        after(&again, text_start()),
        Err("only usage follows the finish")
    );
    assert_eq!(
        after(&[], Event::Choice(1)),
        Err("a reply begins with its start")
    );
    assert_eq!(
        after(&[start()], Event::Choice(128)),
        Err("a reply has at most 128 answers")
    );
}

#[test]
fn calls_without_an_id_get_different_ones_in_each_answer() {
    let call = r#"{"function":{"name":"f","arguments":"{}"}}"#;
    let choice = |index: usize| {
        format!(
            r#"{{"index":{index},"message":{{"tool_calls":[{call}]}},"finish_reason":"tool_calls"}}"#
        )
    };
    let body = format!(
        r#"{{"id":"x","model":"m","choices":[{},{}]}}"#,
        choice(0),
        choice(1)
    );
    let reply = parse_response(Dialect::OpenAiChat, body.as_bytes()).unwrap();
    let ids: Vec<&String> = reply
        .answers()
        .flat_map(|(_, blocks, _)| blocks)
        .map(|block| match block {
            Block::ToolCall(call) => &call.id,
            block => panic!("{block:?}"),
        })
        .collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn several_answers_are_asked_for_in_each_dialects_words() {
    let asks = [
        (
            Dialect::OpenAiChat,
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"n":3}"#,
            "n",
        ),
        (
            Dialect::OpenAiCompletions,
            r#"{"model":"m","prompt":"x","n":3,"best_of":3}"#,
            "n",
        ),
        (
            Dialect::GeminiGenerate,
            r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}],"generationConfig":{"candidateCount":3}}"#,
            "generationConfig.candidateCount",
        ),
    ];
    for (from, text, path) in asks {
        let chat = rendered(from, text, Dialect::OpenAiChat).unwrap();
        assert_eq!(chat["n"], 3);
        assert_eq!(chat.get("best_of"), None);
        let gemini = rendered(from, text, Dialect::GeminiGenerate).unwrap();
        assert_eq!(gemini["generationConfig"]["candidateCount"], 3);
        for to in [Dialect::AnthropicMessages, Dialect::OpenAiResponses] {
            let refused = rendered(from, text, to);
            assert_eq!(refused, Err(format!("unsupported_value {path}")));
        }
    }
}
