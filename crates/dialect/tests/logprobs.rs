//! Log-probabilities on their way: asked for in one dialect, told by a provider of another, and shown to the
//! caller in the shape that the vendor's reference has.

#![expect(clippy::disallowed_methods, reason = "`json!` writes what is expected")]

#[path = "support/replies.rs"]
mod replies;
#[expect(dead_code, reason = "each test file uses some of it")]
mod support;

use replies::{raw, streamed};
use serde_json::{Value, json};
use support::{encoded, events, frames, options};
use tollgate_dialect::{
    Dialect, EncodeOptions, decoder,
    ir::{Block, BlockStart, Delta, Event, FinishReason, Response, TokenLogprob},
    parse_response, render_response,
};

/// The dialects that have a word for them.
const TOLD_IN: [Dialect; 4] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiCompletions,
    Dialect::OpenAiResponses,
    Dialect::GeminiGenerate,
];

fn token(text: &str, logprob: f64, top: Vec<TokenLogprob>) -> TokenLogprob {
    TokenLogprob {
        token: text.to_owned(),
        bytes: Some(text.as_bytes().to_vec()),
        id: None,
        logprob,
        top,
    }
}

/// `Hé!` in two tokens.
fn tokens() -> [TokenLogprob; 2] {
    let first = vec![token("Hé", -0.25, vec![]), token("Hi", -1.5, vec![])];
    let second = vec![token("?", -0.5, vec![]), token("!", -0.75, vec![])];
    [token("Hé", -0.25, first), token("!", -0.75, second)]
}

/// The reply `Hé!`, in two pieces.
fn told() -> Vec<Event> {
    let [first, second] = tokens();
    let delta = |delta| Event::Delta { index: 0, delta };
    vec![
        Event::Start {
            id: "x".into(),
            model: "m".into(),
        },
        Event::BlockStart {
            index: 0,
            block: BlockStart::Text,
        },
        delta(Delta::Logprobs(vec![first])),
        delta(Delta::Text("Hé".into())),
        delta(Delta::Logprobs(vec![second])),
        delta(Delta::Text("!".into())),
        Event::BlockEnd { index: 0 },
        Event::Finish(FinishReason::EndOfTurn),
    ]
}

fn whole(dialect: Dialect, options: &EncodeOptions) -> Value {
    replies::whole(dialect, options, told())
}

fn rendered(from: Dialect, text: &str, to: Dialect) -> Result<Value, String> {
    let (body, losses) = replies::rendered(from, text, to)?;
    assert!(losses.iter().all(|loss| !loss.field.contains("prob")));
    Ok(body)
}

fn logprobs_of(response: &Response) -> Vec<TokenLogprob> {
    let lists = response.blocks.iter().filter_map(|block| match block {
        Block::Text { logprobs, .. } => Some(logprobs.clone()),
        _ => None,
    });
    lists.flatten().collect()
}

#[test]
fn a_reply_of_chat_tells_each_token_with_its_bytes_and_what_else_was_likely() {
    let content = json!([
        {"token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169], "top_logprobs": [
            {"token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169]},
            {"token": "Hi", "logprob": -1.5, "bytes": [72, 105]},
        ]},
        {"token": "!", "logprob": -0.75, "bytes": [33], "top_logprobs": [
            {"token": "?", "logprob": -0.5, "bytes": [63]},
            {"token": "!", "logprob": -0.75, "bytes": [33]},
        ]},
    ]);
    let reply = whole(Dialect::OpenAiChat, &options());
    let expect = json!({"content": content, "refusal": null});
    assert_eq!(reply["choices"][0]["logprobs"], expect);
    let chunks = streamed(Dialect::OpenAiChat, options(), &told());
    let told: Vec<(&Value, &Value)> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0])
        .map(|choice| (&choice["delta"]["content"], &choice["logprobs"]))
        .collect();
    let piece = |at: usize| json!({"content": [content[at]], "refusal": null});
    assert_eq!(
        told,
        [
            (&json!(""), &Value::Null),
            (&json!("Hé"), &piece(0)),
            (&json!("!"), &piece(1)),
            (&Value::Null, &Value::Null),
        ]
    );
}

#[test]
fn a_legacy_reply_tells_them_in_lists_with_the_place_of_each_token() {
    let reply = whole(Dialect::OpenAiCompletions, &options());
    assert_eq!(
        reply["choices"][0],
        json!({"text": "Hé!", "index": 0, "finish_reason": "stop", "logprobs": {
            "tokens": ["Hé", "!"],
            "token_logprobs": [-0.25, -0.75],
            "top_logprobs": [{"Hé": -0.25, "Hi": -1.5}, {"?": -0.5, "!": -0.75}],
            "text_offset": [0, 2],
        }})
    );
    let pieces = streamed(Dialect::OpenAiCompletions, options(), &told());
    assert_eq!(
        pieces[1]["choices"][0],
        json!({"text": "!", "index": 0, "finish_reason": null, "logprobs": {
            "tokens": ["!"],
            "token_logprobs": [-0.75],
            "top_logprobs": [{"?": -0.5, "!": -0.75}],
            "text_offset": [2],
        }})
    );
}

#[test]
fn the_token_itself_is_always_among_those_of_a_legacy_reply() {
    let mut told = told();
    told[2] = Event::Delta {
        index: 0,
        delta: Delta::Logprobs(vec![token("Hé", -7.5, vec![token("Hi", -0.5, vec![])])]),
    };
    let pieces = streamed(Dialect::OpenAiCompletions, options(), &told);
    assert_eq!(
        pieces[0]["choices"][0]["logprobs"]["top_logprobs"],
        json!([{"Hi": -0.5, "Hé": -7.5}])
    );
}

#[test]
fn an_echoed_prompt_comes_before_the_answer_and_moves_its_places() {
    let asked = raw(r#"{"model":"m","prompt":["Öl: "],"echo":true}"#);
    let options = EncodeOptions {
        request: Some(asked),
        ..options()
    };
    let reply = whole(Dialect::OpenAiCompletions, &options);
    assert_eq!(reply["choices"][0]["text"], "Öl: Hé!");
    assert_eq!(
        reply["choices"][0]["logprobs"]["text_offset"],
        json!([4, 6])
    );
    let pieces = streamed(Dialect::OpenAiCompletions, options, &told());
    let texts: Vec<&Value> = pieces
        .iter()
        .map(|piece| &piece["choices"][0]["text"])
        .collect();
    assert_eq!(texts, ["Öl: ", "Hé", "!", ""]);
    let offset = &pieces[2]["choices"][0]["logprobs"]["text_offset"];
    assert_eq!(*offset, json!([6]));
}

#[test]
fn responses_tell_bytes_in_the_whole_and_none_in_the_stream() {
    let reply = whole(Dialect::OpenAiResponses, &options());
    assert_eq!(
        reply["output"][0]["content"][0]["logprobs"][1],
        json!({"token": "!", "logprob": -0.75, "bytes": [33], "top_logprobs": [
            {"token": "?", "logprob": -0.5, "bytes": [63]},
            {"token": "!", "logprob": -0.75, "bytes": [33]},
        ]})
    );
    let events = streamed(Dialect::OpenAiResponses, options(), &told());
    let named = |name: &str| -> Vec<&Value> {
        let all = events.iter().filter(|event| event["type"] == name);
        all.map(|event| &event["logprobs"]).collect()
    };
    let first = json!({"token": "Hé", "logprob": -0.25, "top_logprobs": [
        {"token": "Hé", "logprob": -0.25}, {"token": "Hi", "logprob": -1.5},
    ]});
    let second = json!({"token": "!", "logprob": -0.75, "top_logprobs": [
        {"token": "?", "logprob": -0.5}, {"token": "!", "logprob": -0.75},
    ]});
    assert_eq!(
        named("response.output_text.delta"),
        [&json!([first]), &json!([second])]
    );
    assert_eq!(
        named("response.output_text.done"),
        [&json!([first, second])]
    );
}

#[test]
fn a_candidate_of_gemini_tells_chosen_and_top_tokens_and_their_mean() {
    let reply = whole(Dialect::GeminiGenerate, &options());
    let candidate = &reply["candidates"][0];
    assert_eq!(candidate["avgLogprobs"], -0.5);
    assert_eq!(
        candidate["logprobsResult"],
        json!({
            "chosenCandidates": [
                {"token": "Hé", "logProbability": -0.25},
                {"token": "!", "logProbability": -0.75},
            ],
            "topCandidates": [
                {"candidates": [
                    {"token": "Hé", "logProbability": -0.25},
                    {"token": "Hi", "logProbability": -1.5},
                ]},
                {"candidates": [
                    {"token": "?", "logProbability": -0.5},
                    {"token": "!", "logProbability": -0.75},
                ]},
            ],
        })
    );
    let pieces = streamed(Dialect::GeminiGenerate, options(), &told());
    let chosen: Vec<&Value> = pieces
        .iter()
        .map(|piece| &piece["candidates"][0]["logprobsResult"]["chosenCandidates"][0]["token"])
        .collect();
    assert_eq!(chosen, [&json!("Hé"), &json!("!"), &Value::Null]);
    assert_eq!(pieces[2]["candidates"][0]["avgLogprobs"], -0.5);
}

#[test]
fn a_number_that_a_provider_or_an_engine_knows_is_told_where_there_is_a_place() {
    let mut told = told();
    told[2] = Event::Delta {
        index: 0,
        delta: Delta::Logprobs(vec![TokenLogprob::of_bytes(
            7,
            b"H\xc3\xa9".to_vec(),
            -0.25,
        )]),
    };
    let pieces = streamed(Dialect::GeminiGenerate, options(), &told);
    assert_eq!(
        pieces[0]["candidates"][0]["logprobsResult"]["chosenCandidates"],
        json!([{"token": "Hé", "tokenId": 7, "logProbability": -0.25}])
    );
}

#[test]
fn an_impossible_token_is_told_as_the_vendor_tells_it_and_not_as_null() {
    let mut told = told();
    told[2] = Event::Delta {
        index: 0,
        delta: Delta::Logprobs(vec![token("Hé", f64::NEG_INFINITY, vec![])]),
    };
    let chunks = streamed(Dialect::OpenAiChat, options(), &told);
    let logprob = &chunks[1]["choices"][0]["logprobs"]["content"][0]["logprob"];
    assert_eq!(*logprob, -9999.0);
}

#[test]
fn tokens_without_a_text_of_their_own_are_told_before_the_end() {
    let mut told = told();
    // The last character is never completed: its token adds nothing.
    told.remove(5);
    for dialect in TOLD_IN {
        let (all, _) = frames(&[&encoded(dialect, options(), &told)]);
        let back = events(&mut *decoder(dialect), &all);
        let response = Response::from_events(back).unwrap();
        let names: Vec<String> = logprobs_of(&response)
            .into_iter()
            .map(|token| token.token)
            .collect();
        assert_eq!(names, ["Hé", "!"], "{}", dialect.name());
    }
}

#[test]
fn what_a_dialect_tells_is_read_back_as_it_was_whole_and_streamed() {
    for dialect in TOLD_IN {
        let response = Response::from_events(told()).unwrap();
        let body = render_response(dialect, &response, &options());
        let back = parse_response(dialect, &body).unwrap();
        assert_eq!(logprobs_of(&back), tokens(), "{}", dialect.name());
        assert!(back.losses.is_empty());
        let (all, _) = frames(&[&encoded(dialect, options(), &told())]);
        let back = events(&mut *decoder(dialect), &all);
        assert!(!back.iter().any(|event| matches!(event, Event::Lost(_))));
        let back = Response::from_events(back).unwrap();
        assert_eq!(logprobs_of(&back), tokens(), "{}", dialect.name());
    }
}

#[test]
fn anthropic_callers_see_the_text_alone() {
    let mut without = told();
    without.retain(|event| {
        !matches!(
            event,
            Event::Delta {
                delta: Delta::Logprobs(_),
                ..
            }
        )
    });
    let dialect = Dialect::AnthropicMessages;
    assert_eq!(
        encoded(dialect, options(), &told()),
        encoded(dialect, options(), &without)
    );
}

#[test]
fn a_wish_for_them_is_said_in_each_dialects_words() {
    let asks = [
        (
            Dialect::OpenAiChat,
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"logprobs":true,"top_logprobs":3}"#,
        ),
        (
            Dialect::OpenAiCompletions,
            r#"{"model":"m","prompt":"x","logprobs":3}"#,
        ),
        (
            Dialect::OpenAiResponses,
            r#"{"model":"m","input":"x","include":["message.output_text.logprobs"],"top_logprobs":3}"#,
        ),
        (
            Dialect::GeminiGenerate,
            r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}],"generationConfig":{"responseLogprobs":true,"logprobs":3}}"#,
        ),
    ];
    for (from, text) in asks {
        let chat = rendered(from, text, Dialect::OpenAiChat).unwrap();
        assert_eq!(chat["logprobs"], true);
        assert_eq!(chat["top_logprobs"], 3);
        let responses = rendered(from, text, Dialect::OpenAiResponses).unwrap();
        let include = responses["include"].as_array().unwrap();
        assert!(include.contains(&json!("message.output_text.logprobs")));
        assert_eq!(responses["top_logprobs"], 3);
        let gemini = rendered(from, text, Dialect::GeminiGenerate).unwrap();
        assert_eq!(gemini["generationConfig"]["responseLogprobs"], true);
        assert_eq!(gemini["generationConfig"]["logprobs"], 3);
        let path = match from {
            Dialect::OpenAiResponses => "include",
            Dialect::GeminiGenerate => "generationConfig.responseLogprobs",
            _ => "logprobs",
        };
        let refused = rendered(from, text, Dialect::AnthropicMessages);
        assert_eq!(refused, Err(format!("unsupported_value {path}")));
    }
    let (from, text) = asks[1];
    let legacy = rendered(from, text, Dialect::OpenAiCompletions).unwrap();
    assert_eq!(legacy["logprobs"], 3);
}
