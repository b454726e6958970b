//! Every recorded request, reply, stream and error, into every dialect: golden results.

mod support;

use std::fmt::Write;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use support::{
    CONVERSATIONS, Fixture, body_lines, check, encoded, error_line, events, fixtures, frames,
    options, others, rendered_lines,
};
use tollgate_dialect::{
    Dialect, ModelTraits, Quirks, RawObject, Target, decoder, parse_error, parse_request,
    parse_response, patch_request, read_head, read_reply, render_error, render_request,
    render_response,
};

/// A request, and the model and server it is for.
#[derive(Deserialize)]
struct RequestCase {
    #[serde(default)]
    target: TargetCase,
    body: Box<RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TargetCase {
    traits: ModelTraits,
    quirks: Quirks,
}

#[derive(Deserialize)]
struct ErrorCase {
    status: u16,
    retry_after: Option<String>,
    body: Option<Box<RawValue>>,
    text: Option<String>,
}

fn patched(fixture: &Fixture, raw: &RawObject, target: Target<'_>) -> String {
    match read_head(fixture.dialect, raw) {
        Err(error) => error_line(&error),
        Ok(head) => {
            let patched = patch_request(fixture.dialect, raw, target);
            let lines = patched.map_or_else(
                |error| error_line(&error),
                |patched| rendered_lines(&patched),
            );
            format!("{lines}{head:?}\n")
        }
    }
}

#[test]
fn requests() {
    for fixture in fixtures("request") {
        let case: RequestCase = serde_json::from_slice(&fixture.content)
            .unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
        let target = Target {
            model: "target-model",
            traits: &case.target.traits,
            quirks: &case.target.quirks,
            max_output: None,
        };
        let raw = RawObject::parse(Bytes::copy_from_slice(case.body.get().as_bytes())).unwrap();
        check(
            &fixture,
            fixture.dialect.name(),
            &patched(&fixture, &raw, target),
        );
        for dialect in others(fixture.dialect) {
            let result = parse_request(fixture.dialect, &raw)
                .and_then(|request| render_request(dialect, &request, target));
            let text = result.map_or_else(
                |error| error_line(&error),
                |rendered| rendered_lines(&rendered),
            );
            check(&fixture, dialect.name(), &text);
        }
    }
}

#[test]
fn responses() {
    for fixture in fixtures("response") {
        let body = Bytes::from(fixture.content.trim_ascii().to_vec());
        let reading = match read_reply(fixture.dialect, &body) {
            Ok(reading) => format!("{reading:?}\n"),
            Err(error) => error_line(&error),
        };
        for target in others(fixture.dialect) {
            // A completion's reply is a chat reply under another name.
            if fixture.dialect == Dialect::OpenAiCompletions && target == Dialect::OpenAiChat {
                continue;
            }
            let mut text = reading.clone();
            match parse_response(fixture.dialect, &body) {
                Ok(response) => {
                    text += &body_lines(&render_response(target, &response, &options()));
                    for loss in &response.losses {
                        writeln!(
                            text,
                            "loss: {} {:?}: {}",
                            loss.field, loss.kind, loss.reason
                        )
                        .unwrap();
                    }
                }
                Err(error) => text += &error_line(&error),
            }
            check(&fixture, target.name(), &text);
        }
    }
}

/// `text` is prose where it has a blank: longer by a page then, with what is escaped in JSON.
fn say_more(value: &mut Value) -> usize {
    match value {
        Value::String(text) if text.contains(' ') => {
            text.push_str(&" more of it,\n\"quoted\"".repeat(100));
            1
        }
        Value::Array(items) => items.iter_mut().map(say_more).sum(),
        Value::Object(fields) => fields.values_mut().map(say_more).sum(),
        _ => 0,
    }
}

#[test]
fn how_much_is_said_changes_neither_usage_nor_end() {
    let mut lengthened = 0;
    for fixture in fixtures("response") {
        let body = fixture.content.trim_ascii();
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
            continue;
        };
        let places = say_more(&mut value);
        let read = |body: Vec<u8>| read_reply(fixture.dialect, &body.into());
        let (short, long) = (read(body.to_vec()), read(value.to_string().into()));
        match (short, long) {
            (Ok(short), Ok(long)) => assert_eq!(short, long, "{}", fixture.name),
            // Its words are the provider's own, all of them.
            (Err(short), Err(long)) => assert_eq!(
                (short.code(), short.message().len() <= long.message().len()),
                (long.code(), true),
                "{}",
                fixture.name
            ),
            (short, long) => panic!("{}: {short:?}, {long:?}", fixture.name),
        }
        lengthened += places;
    }
    assert!(lengthened > 20, "{lengthened} texts");
}

#[test]
fn streams() {
    for fixture in fixtures("stream") {
        let (frames, rest) = frames(&[&fixture.content]);
        let mut decoder = decoder(fixture.dialect);
        let events = events(&mut *decoder, &frames);
        let mut text = String::new();
        for event in &events {
            writeln!(text, "{event:?}").unwrap();
        }
        writeln!(
            text,
            "complete: {}, left over: {} bytes",
            decoder.is_complete(),
            rest.len()
        )
        .unwrap();
        check(&fixture, "events", &text);
        for target in others(fixture.dialect) {
            let out = encoded(target, options(), &events);
            // Snapshots keep no carriage returns.
            let text = std::str::from_utf8(&out).unwrap().replace('\r', "");
            check(&fixture, target.name(), &text);
        }
    }
}

#[test]
fn errors() {
    for fixture in fixtures("error") {
        let case: ErrorCase = serde_json::from_slice(&fixture.content).unwrap();
        let body = case
            .body
            .map(|body| body.get().to_owned())
            .or(case.text)
            .unwrap();
        let error = parse_error(
            fixture.dialect,
            case.status,
            case.retry_after.as_deref(),
            body.as_bytes(),
        );
        for dialect in CONVERSATIONS {
            let wire = render_error(dialect, &error, "req_1");
            let shown = std::str::from_utf8(&wire.body).unwrap();
            check(
                &fixture,
                dialect.name(),
                &format!("{}{} {shown}\n", error_line(&error), wire.status),
            );
        }
    }
}
