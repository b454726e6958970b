//! How the next token is drawn: what chat and legacy completions know beyond the other dialects.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test's own helpers may fail it, and `json!` writes what is expected"
)]

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_dialect::{
    Dialect, LossKind, ModelTraits, Quirks, RawObject, Target, ir::Request, parse_request,
    render_request,
};

const OTHERS: [Dialect; 3] = [
    Dialect::AnthropicMessages,
    Dialect::GeminiGenerate,
    Dialect::OpenAiResponses,
];

fn parsed(from: Dialect, sampling: &str) -> Request {
    let prompt = match from {
        Dialect::OpenAiCompletions => r#""prompt":"x""#,
        _ => r#""messages":[{"role":"user","content":"x"}]"#,
    };
    let text = format!(r#"{{"model":"m",{prompt},{sampling}}}"#);
    let raw = RawObject::parse(Bytes::from(text)).unwrap();
    parse_request(from, &raw).unwrap()
}

/// The request in another dialect, for a server that is not the vendor's own, and what was dropped.
fn rendered(request: &Request, to: Dialect) -> (Value, Vec<String>) {
    let traits = ModelTraits::default();
    let quirks = Quirks {
        vendor_fields: false,
        ..Quirks::default()
    };
    let target = Target {
        model: "m",
        traits: &traits,
        quirks: &quirks,
        max_output: None,
    };
    let rendered = render_request(to, request, target).unwrap();
    let dropped = rendered.losses.iter();
    let dropped = dropped.filter(|loss| loss.kind == LossKind::Dropped);
    let dropped = dropped.map(|loss| loss.field.clone()).collect();
    (serde_json::from_slice(&rendered.body).unwrap(), dropped)
}

#[test]
fn biases_and_a_repetition_penalty_go_where_they_are_known_and_are_named_where_they_are_not() {
    for from in [Dialect::OpenAiChat, Dialect::OpenAiCompletions] {
        let request = parsed(
            from,
            r#""logit_bias":{"50256":-100,"7":0.5},"repetition_penalty":1.1"#,
        );
        assert_eq!(request.sampling.logit_bias, [(50_256, -100.0), (7, 0.5)]);
        assert_eq!(request.sampling.repetition_penalty, Some(1.1));
        assert!(request.extras.is_empty(), "{:?}", request.extras);
        let (body, dropped) = rendered(&request, Dialect::OpenAiChat);
        assert_eq!(body["logit_bias"], json!({"50256": -100, "7": 0.5}));
        assert_eq!(body["repetition_penalty"], 1.1);
        assert!(dropped.is_empty());
        for to in OTHERS {
            let (body, dropped) = rendered(&request, to);
            assert!(!body.to_string().contains("penalty"), "{body}");
            assert_eq!(
                dropped,
                ["repetition_penalty", "logit_bias"],
                "{}",
                to.name()
            );
        }
    }
    let request = parsed(
        Dialect::OpenAiCompletions,
        r#""logit_bias":{"7":5},"repetition_penalty":1.1"#,
    );
    let (body, _) = rendered(&request, Dialect::OpenAiCompletions);
    assert_eq!(body["logit_bias"], json!({"7": 5}));
    assert_eq!(body["repetition_penalty"], 1.1);
}

#[test]
fn what_changes_nothing_is_no_loss() {
    let request = parsed(
        Dialect::OpenAiChat,
        r#""logit_bias":{},"repetition_penalty":1"#,
    );
    for to in OTHERS {
        assert_eq!(rendered(&request, to).1, [""; 0], "{}", to.name());
    }
}

#[test]
fn values_that_only_some_servers_take_are_passed_on_to_them_and_lost_elsewhere() {
    for (field, value) in [
        ("logit_bias", r#"{"hello":5}"#),
        ("top_k", "-1"),
        ("min_p", r#""low""#),
        ("repetition_penalty", r#""high""#),
    ] {
        let sampling = format!(r#""{field}":{value}"#);
        let request = parsed(Dialect::OpenAiChat, &sampling);
        let (body, dropped) = rendered(&request, Dialect::OpenAiChat);
        assert_eq!(body[field].to_string(), value);
        assert!(dropped.is_empty());
        for to in OTHERS {
            assert_eq!(rendered(&request, to).1, [field], "{}", to.name());
        }
        let request = parsed(Dialect::OpenAiCompletions, &sampling);
        let (_, dropped) = rendered(&request, Dialect::OpenAiChat);
        assert_eq!(dropped, [field]);
    }
}
