//! Whole requests against the counts that OpenAI's API reported, and what the upper bound promises.
#![expect(clippy::unwrap_used, reason = "tests say what went wrong by panicking")]

use proptest::prelude::*;
use serde_json::Value;
use tollgate_tokens::{
    Conversation, ConversationCounter, Counter, Document, Image, Message, Tool, byte_bound,
};

fn vectors() -> Value {
    serde_json::from_str(include_str!("data/tokenizer_test_vectors.json")).unwrap()
}

fn messages(chat: &Value) -> Vec<Message<'_>> {
    let message = |message: &'_ Value| -> (String, Option<String>, String) {
        let text = |field: &str| message[field].as_str().map(str::to_owned);
        (
            text("role").unwrap(),
            text("name"),
            text("content").unwrap(),
        )
    };
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    chat["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| {
            let (role, name, content) = message(value);
            Message {
                role: leak(role),
                name: name.map(leak),
                texts: vec![leak(content)],
            }
        })
        .collect()
}

fn check(chat: &Value, expected: &[(&str, u64)]) {
    let parameters: Vec<String> = chat["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["function"]["parameters"].to_string())
        .collect();
    let tools = chat["tools"].as_array().unwrap().iter().zip(&parameters);
    let conversation = Conversation {
        messages: messages(chat),
        tools: tools
            .map(|(tool, parameters)| Tool {
                name: tool["function"]["name"].as_str().unwrap(),
                description: tool["function"]["description"].as_str(),
                parameters: Some(parameters),
            })
            .collect(),
        ..Conversation::default()
    };
    for (model, tokens) in expected {
        let counter = ConversationCounter::for_model("openai", model);
        assert_eq!(counter.count(&conversation), *tokens, "{model}");
        assert!(counter.upper(&conversation) >= *tokens, "{model}");
    }
}

#[test]
fn messages_count_as_the_api_reported_them() {
    let reported = [
        ("gpt-4-0613", 129),
        ("gpt-3.5-turbo", 129),
        ("gpt-4o", 124),
        ("gpt-4o-mini", 124),
    ];
    check(&vectors()["chat"][0], &reported);
}

#[test]
fn tools_count_as_the_api_reported_them() {
    let reported = [
        ("gpt-4", 105),
        ("gpt-3.5-turbo", 105),
        ("gpt-4o", 101),
        ("gpt-4o-mini", 101),
    ];
    check(&vectors()["chat"][1], &reported);
}

fn one_tool(required: bool) -> Conversation<'static> {
    Conversation {
        tools: vec![Tool {
            name: "look",
            ..Tool::default()
        }],
        tool_required: required,
        ..Conversation::default()
    }
}

#[test]
fn anthropic_adds_the_prompt_of_its_model_when_there_are_tools() {
    for (model, may, must) in [
        ("claude-opus-5", 286, 406),
        ("claude-opus-4-7", 675, 804),
        ("claude-sonnet-4-5-20250929", 496, 588),
        ("claude-something-9", 675, 804),
    ] {
        let counter = ConversationCounter::for_model("anthropic", model);
        let bare = counter.count(&Conversation::default());
        let tool = 8 + counter.text().count("look");
        assert_eq!(
            counter.count(&one_tool(false)) - bare,
            may + tool,
            "{model}"
        );
        assert_eq!(
            counter.count(&one_tool(true)) - bare,
            must + tool,
            "{model}"
        );
    }
}

#[test]
fn the_upper_bound_of_an_unknown_tokenizer_is_its_bytes_and_the_margins() {
    let text = "a".repeat(1000);
    let conversation = Conversation {
        messages: vec![Message {
            role: "user",
            name: None,
            texts: vec![&text],
        }],
        ..Conversation::default()
    };
    let counter = ConversationCounter::for_model("vllm", "my-model");
    assert_eq!(counter.upper(&conversation), 1004 + 21 + 16 + 3 + 3);
}

#[test]
fn media_come_on_top_of_text() {
    let counter = ConversationCounter::for_model("google", "gemini-2.5-pro");
    let conversation = Conversation {
        images: vec![Image::default()],
        documents: vec![Document { pages: Some(2) }],
        audio_ms: 1000,
        ..Conversation::default()
    };
    let bare = counter.count(&Conversation::default());
    assert_eq!(counter.count(&conversation) - bare, 16 * 258 + 2 * 258 + 32);
}

#[test]
fn parameters_that_are_no_schema_count_as_text() {
    let counter = ConversationCounter::for_model("openai", "gpt-4o");
    let deep = "[".repeat(10_000);
    for parameters in ["", "null", "[]", "{", "{\"properties\":3}", deep.as_str()] {
        let mut conversation = one_tool(false);
        if let Some(tool) = conversation.tools.first_mut() {
            tool.parameters = Some("");
        }
        let before = counter.count(&conversation);
        let conversation = Conversation {
            tools: vec![Tool {
                name: "look",
                description: None,
                parameters: Some(parameters),
            }],
            ..Conversation::default()
        };
        assert!(counter.count(&conversation) >= before, "{parameters:.20}");
    }
}

proptest! {
    #[test]
    fn the_upper_bound_is_never_below_the_count(
        texts in prop::collection::vec(any::<String>(), 0..6),
        parameters in any::<String>(),
    ) {
        for (kind, model) in [("openai", "gpt-4o"), ("anthropic", "claude-opus-5"), ("vllm", "x")] {
            let conversation = Conversation {
                messages: texts.iter().map(|text| Message { role: "user", name: Some("n"), texts: vec![text] }).collect(),
                tools: vec![Tool { name: "t", description: Some("d."), parameters: Some(&parameters) }],
                ..Conversation::default()
            };
            let counter = ConversationCounter::for_model(kind, model);
            prop_assert!(counter.upper(&conversation) >= counter.count(&conversation));
        }
    }

    #[test]
    fn a_counter_never_says_more_than_the_bytes(text in any::<String>(), model in "[a-z0-9/:.-]{0,20}") {
        let counter = Counter::for_model("openai-compatible", &model);
        prop_assert!(counter.upper_bound(&text) <= byte_bound(text.len()));
    }
}
