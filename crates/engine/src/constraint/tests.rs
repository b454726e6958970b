use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::batch::{Batch, Bounds};
use crate::conversation::{Conversation, Turn};
use crate::error::ErrorKind;
use crate::generation::{Event, FinishReason};
use crate::model::{Model, Source};
use crate::queue::{Places, Seat};
use crate::request::{Prompt, Request, Role, Sampling};
use crate::sequence::Sequence;

const SAY: &str = "{% for m in messages %}{{ m.content }}{% endfor %}";

/// The built-in model with a template that shows how calls and reasoning are written.
fn model(signs: &str) -> Model {
    let model = Source::Builtin.load_model();
    model.with_template(&format!("{SAY}{{# {signs} #}}"))
}

fn tool(name: &str, parameters: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: None,
        parameters: Some(parameters.to_owned()),
    }
}

fn tools() -> Vec<Tool> {
    vec![
        tool(
            "count",
            r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1,"maximum":9}},"required":["n"],"additionalProperties":false}"#,
        ),
        tool(
            "say",
            r##"{"properties":{"text":{"$ref":"#/$defs/t"}},"required":["text"],"additionalProperties":false,"$defs":{"t":{"enum":["a","b"]}}}"##,
        ),
    ]
}

fn conversation(text: &str) -> Prompt {
    Prompt::Conversation(Box::new(Conversation {
        turns: vec![Turn::new(Role::User, text.to_owned())],
        tools: tools(),
        ..Conversation::default()
    }))
}

fn forced(name: Option<&str>, is_parallel: bool) -> Constraint {
    Constraint::ToolCall {
        name: name.map(str::to_owned),
        is_parallel,
    }
}

fn bound(model: &Model, prompt: &Prompt, constraint: &Constraint) -> Result<Bound, EngineError> {
    let (_, manner) = model.read(prompt).unwrap();
    Bound::new(model.vocabulary()?, constraint, manner, prompt.tools())
}

/// Writes a text token by token: how many bytes of it may be written, and whether it may end there.
fn write(model: &Model, mut bound: Bound, text: &str) -> (usize, bool) {
    let vocabulary = model.vocabulary().unwrap();
    let size = model.tokenizer.vocabulary_size();
    let mut n_written = 0;
    // Tokens of one byte, so that it is the byte that is refused.
    for byte in text.bytes() {
        let token = (0..u32::try_from(size).unwrap())
            .find(|token| model.tokenizer.answer_bytes(*token) == [byte])
            .expect("the vocabulary has every byte");
        let mut logits = vec![0.0; size];
        if bound.apply(vocabulary, true, &mut logits).is_err()
            || logits[token as usize] == f32::NEG_INFINITY
        {
            return (n_written, false);
        }
        n_written += 1;
        if bound.take(vocabulary, token).unwrap() {
            return (n_written, true);
        }
    }
    let mut logits = vec![0.0; size];
    let ends = bound.apply(vocabulary, true, &mut logits).is_ok()
        && (0..)
            .zip(&logits)
            .any(|(token, logit)| model.tokenizer.ends_answer(token) && *logit == 0.0);
    (n_written, ends)
}

#[track_caller]
fn takes(model: &Model, prompt: &Prompt, constraint: &Constraint, text: &str) {
    let bound = bound(model, prompt, constraint).unwrap();
    assert_eq!(write(model, bound, text), (text.len(), true), "{text}");
}

/// `good` is the part that may be written, as the beginning of something longer.
#[track_caller]
fn stops_at(model: &Model, prompt: &Prompt, constraint: &Constraint, good: &str, bad: &str) {
    let bound = bound(model, prompt, constraint).unwrap();
    let text = format!("{good}{bad}");
    assert_eq!(write(model, bound, &text), (good.len(), false), "{text}");
}

/// The signs of every form, and two calls in it.
const FORMS: [(&str, &str, &str, &str); 4] = [
    (
        "<tool_call>",
        "<tool_call>\n{\"name\": \"count\", \"arguments\": ",
        "{\"n\": 3}",
        "}\n</tool_call>",
    ),
    (
        "<|python_tag|>",
        "{\"name\": \"count\", \"parameters\": ",
        "{\"n\": 3}",
        "}",
    ),
    (
        "[TOOL_CALLS]",
        "[TOOL_CALLS][{\"name\": \"count\", \"arguments\": ",
        "{\"n\": 3}",
        "}]",
    ),
    (
        "[TOOL_CALLS] [ARGS]",
        "[TOOL_CALLS]count[ARGS]",
        "{\"n\": 3}",
        "",
    ),
];

#[test]
fn a_forced_call_is_written_as_the_model_writes_calls() {
    let prompt = conversation("x");
    for (signs, before, arguments, behind) in FORMS {
        let model = model(signs);
        for constraint in [
            forced(None, false),
            forced(Some("count"), false),
            forced(None, true),
        ] {
            takes(
                &model,
                &prompt,
                &constraint,
                &format!("{before}{arguments}{behind}"),
            );
            stops_at(&model, &prompt, &constraint, "", "Sure, ");
            stops_at(
                &model,
                &prompt,
                &constraint,
                &format!("{before}{{\"n\": "),
                "0",
            );
            stops_at(
                &model,
                &prompt,
                &constraint,
                &format!("{before}{{\""),
                "text",
            );
        }
        let other = before.replace("count", "say");
        takes(
            &model,
            &prompt,
            &forced(None, false),
            &format!("{other}{{\"text\":\"b\"}}{behind}"),
        );
        let only_count = bound(&model, &prompt, &forced(Some("count"), false)).unwrap();
        assert!(write(&model, only_count, &other).0 < other.len());
    }
}

#[test]
fn more_calls_follow_where_they_may() {
    let prompt = conversation("x");
    let call = |(_, before, arguments, behind): (&str, &str, &str, &str)| {
        format!("{before}{arguments}{behind}")
    };
    for (form, between) in [(FORMS[0], "\n"), (FORMS[1], "; "), (FORMS[3], "")] {
        let model = model(form.0);
        let one = call(form);
        let two = format!("{one}{between}{one}");
        takes(&model, &prompt, &forced(None, true), &two);
        let single = bound(&model, &prompt, &forced(None, false)).unwrap();
        assert_eq!(write(&model, single, &two), (one.len(), true));
    }
    let list = "[TOOL_CALLS][{\"name\": \"count\", \"arguments\": {\"n\": 3}}, {\"name\": \"say\", \"arguments\": {\"text\": \"a\"}}]";
    takes(&model("[TOOL_CALLS]"), &prompt, &forced(None, true), list);
}

#[test]
fn strict_tools_bind_calls_and_leave_text_alone() {
    let prompt = conversation("x");
    let strict = Constraint::StrictTools;
    for (signs, before, arguments, behind) in FORMS {
        let model = model(signs);
        let call = format!("{before}{arguments}{behind}");
        takes(&model, &prompt, &strict, "Just text, <b>bold</b> [x] {y}.");
        takes(&model, &prompt, &strict, &call);
        stops_at(
            &model,
            &prompt,
            &strict,
            &format!("{before}{{\"n\": "),
            "\"",
        );
        if signs != "<|python_tag|>" {
            takes(&model, &prompt, &strict, &format!("I count: {call}"));
            let bad = format!("I count: {before}{{\"n\": ");
            stops_at(&model, &prompt, &strict, &bad, "0");
        }
    }
    takes(
        &model("<tool_call>"),
        &prompt,
        &strict,
        "<tool_call>\n{\"name\": \"count\", \"arguments\": {\"n\": 3}}\n</tool_call> and that was <tool_cal",
    );
}

#[test]
fn reasoning_comes_before_what_is_bound() {
    let prompt = conversation("x <think>\n");
    let open = Source::Builtin.load_model();
    let open = open.with_template(&format!("{{# </think> <tool_call> #}}{SAY}"));
    let schema = Constraint::JsonSchema(r#"{"const":7}"#.to_owned());
    takes(&open, &prompt, &schema, "{not} JSON yet</think>\n\n7");
    stops_at(&open, &prompt, &schema, "a</think>\n\n", "8");
    takes(
        &open,
        &prompt,
        &forced(Some("count"), false),
        "hm</think><tool_call>\n{\"name\": \"count\", \"arguments\": {\"n\": 3}}\n</tool_call>",
    );
    let closed = model("</think>");
    let prompt = conversation("x");
    takes(&closed, &prompt, &schema, "<think>so</think>7");
    takes(&closed, &prompt, &schema, "7");
}

#[test]
fn json_is_bound_without_a_conversation_too() {
    let model = model("");
    let prompt = Prompt::Raw("x".to_owned());
    takes(
        &model,
        &prompt,
        &Constraint::JsonObject,
        "{\"a\": [1, {\"b\": null}], \"c\": \"\\\"\"}",
    );
    takes(&model, &prompt, &Constraint::JsonObject, "{}");
    stops_at(&model, &prompt, &Constraint::JsonObject, "", "[");
    stops_at(&model, &prompt, &Constraint::JsonObject, "{\"a\": ", "}");
    let error = bound(&model, &prompt, &Constraint::StrictTools).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidParameter { param: "tools" });
    let unknown = forced(Some("nothing"), false);
    let error = bound(&model, &conversation("x"), &unknown).unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::InvalidParameter {
            param: "tool_choice"
        }
    );
    let error = bound(&model, &conversation("x"), &forced(None, false)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported { what: "tools" });
}

#[test]
fn a_keyword_that_cannot_be_kept_is_named_with_its_place() {
    let model = model("");
    let prompt = Prompt::Raw("x".to_owned());
    for (schema, keyword, path) in [
        (r#"{"not":{}}"#, "\"not\"", "#"),
        (
            r#"{"properties":{"a/b":{"uniqueItems":true}}}"#,
            "\"uniqueItems\"",
            "#/properties/a~1b",
        ),
        (
            r#"{"anyOf":[{},{"items":{"contains":{}}}]}"#,
            "\"contains\"",
            "#/anyOf/1/items",
        ),
        (r#"{"$defs":{"d":{"if":{}}}}"#, "\"if\"", "#/$defs/d"),
        (
            r#"{"additionalProperties":{"propertyNames":{}}}"#,
            "\"propertyNames\"",
            "#/additionalProperties",
        ),
        (
            r#"{"prefixItems":[{"format":"iri"}]}"#,
            "\"format\"",
            "#/prefixItems/0",
        ),
        (
            r#"{"items":{"$ref":"https://example.com/x"}}"#,
            "\"$ref\"",
            "#/items",
        ),
        (r#"{"minProperties":1}"#, "\"minProperties\"", "#"),
        (r#"{"x-guidance":{"lenient":true}}"#, "\"x-guidance\"", "#"),
    ] {
        let constraint = Constraint::JsonSchema(schema.to_owned());
        let error = bound(&model, &prompt, &constraint).unwrap_err();
        assert_eq!(
            error.kind,
            ErrorKind::Unsupported {
                what: "response_format"
            },
            "{schema}"
        );
        let place = format!("{keyword} at {path} ");
        assert!(error.message.contains(&place), "{error}");
    }
    // A property that is called like a keyword is none.
    let schema = r#"{"type":"object","properties":{"not":{"const":1}},"required":["not"],"additionalProperties":false}"#;
    let constraint = Constraint::JsonSchema(schema.to_owned());
    takes(&model, &prompt, &constraint, "{\"not\":1}");
}

#[test]
fn schemas_that_would_cost_too_much_are_refused() {
    let model = model("");
    let prompt = Prompt::Raw("x".to_owned());
    let deep = format!("{}{{}}{}", "{\"items\":".repeat(60), "}".repeat(60));
    let wide: Vec<String> = (0..8000)
        .map(|i| format!("\"p{i}\":{{\"pattern\":\"a{{{i}}}b\"}}"))
        .collect();
    for schema in [
        deep,
        "{\"items\":".repeat(5000),
        format!("{{\"properties\":{{{}}}}}", wide.join(",")),
        r#"{"type":"string","pattern":"(x+x+)+y(?=z)"}"#.to_owned(),
        r##"{"$ref":"#"}"##.to_owned(),
        r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##.to_owned(),
        r#"{"type":"integer","minimum":5,"maximum":4}"#.to_owned(),
        "false".to_owned(),
        "[".to_owned(),
        format!("{{\"title\":\"{}\"}}", "a".repeat(300_000)),
    ] {
        let constraint = Constraint::JsonSchema(schema.clone());
        let refusal = bound(&model, &prompt, &constraint);
        let start: String = schema.chars().take(60).collect();
        let error = refusal.err().unwrap_or_else(|| panic!("{start} is taken"));
        assert!(
            matches!(
                error.kind,
                ErrorKind::Unsupported { .. } | ErrorKind::InvalidParameter { .. }
            ),
            "{error:?}"
        );
        assert!(error.message.len() < 500, "{error}");
    }
}

/// A pattern of astronomic size is taken or refused, and costs no time either way.
#[test]
fn patterns_of_any_size_end() {
    let model = model("");
    let prompt = Prompt::Raw("x".to_owned());
    for pattern in [
        "^(((a{1,500}){1,500}){1,500}){1,500}$",
        "^(a?){2000}(a){2000}$",
        "(a|b|ab)*(bb|aa)+a{100}.{200}",
    ] {
        let constraint =
            Constraint::JsonSchema(format!("{{\"type\":\"string\",\"pattern\":\"{pattern}\"}}"));
        if let Ok(bound) = bound(&model, &prompt, &constraint) {
            let (n_written, _) = write(&model, bound, &format!("\"{}", "a".repeat(40)));
            assert!(n_written > 0, "{pattern}");
        }
    }
}

/// Whole answers of the built-in model, which knows nothing of tools.
#[test]
fn forced_calls_come_out_as_calls() {
    for (signs, ..) in FORMS {
        let model = model(signs);
        let places = Places::new(99);
        let mut batch = Batch::new(Bounds::new(16, 1000, model.window()));
        let mut receivers = Vec::new();
        for seed in 0..16 {
            let request = Request {
                sampling: Sampling {
                    temperature: 1.0,
                    seed: Some(seed),
                    ..Sampling::default()
                },
                max_tokens: Some(400),
                constraint: Some(forced(None, false)),
                ..Request::new(conversation("Count to three."))
            };
            let (events, receiver) = unbounded_channel();
            let seat = Seat {
                events,
                _place: places.take().unwrap(),
            };
            batch.enter(Sequence::new(&model, &request, vec![seat]).unwrap());
            receivers.push(receiver);
        }
        while !batch.is_idle() {
            batch.step(&model);
        }
        for mut receiver in receivers {
            let Ok(Event::ToolCall { name, arguments }) = receiver.try_recv() else {
                panic!("{signs}: a call comes first");
            };
            let arguments: serde_json::Value = serde_json::from_str(&arguments).unwrap();
            match name.as_str() {
                "count" => assert!((1..=9).contains(&arguments["n"].as_i64().unwrap())),
                "say" => assert!(["a", "b"].contains(&arguments["text"].as_str().unwrap())),
                other => panic!("{other}"),
            }
            let Ok(Event::Done { reason, .. }) = receiver.try_recv() else {
                panic!("{signs}: the end comes behind it");
            };
            assert_eq!(reason, FinishReason::ToolCalls);
        }
    }
}
