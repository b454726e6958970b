//! The bytes that travel: chat requests and the answers of the scripted provider.
//!
//! Requests are conversations of many short messages with line breaks, quotes,
//! code and letters outside ASCII, because a gateway that looks into a body
//! meets those, not one long string of `a`. Everything is deterministic.

use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use tollgate_dialect::{
    Dialect, ModelTraits, Quirks, RawObject, Target, parse_request, render_request,
};

/// The dialects of conversations.
pub(crate) const DIALECTS: [Dialect; 4] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::AnthropicMessages,
    Dialect::GeminiGenerate,
];

/// Text with what real prompts hold; cut at character boundaries as needed.
const PROSE: &str = "Here is what I tried so far:\n\n```rust\nlet total = lines.iter().map(|l| l.len()).sum::<usize>();\nprintln!(\"{}\\t{}\", name, total);\n```\nIt prints \"0\" for the file C:\\data\\été.txt, although the file isn't empty – the naïve loop gives 1 024. Could you explain why, and what I should change? ";

/// The text of one streamed event's delta as a JSON string, chosen so that an event is about 250 bytes.
const DELTA: &str = r#"" gateway — forwards \"each\" piece\n""#;

/// A chat completions body of `bytes` bytes, for `model`.
pub(crate) fn request_body(model: &str, bytes: usize, stream: bool) -> String {
    let turns = (bytes / 640).clamp(1, 40);
    let options = if stream {
        r#""stream":true,"stream_options":{"include_usage":true},"#
    } else {
        ""
    };
    let head = format!(
        r#"{{"model":"{model}","temperature":0.7,"max_tokens":512,{options}"messages":[{{"role":"system","content":"You are a careful assistant. Answer in \"plain\" words."}}"#
    );
    let mut body = head;
    let tail = "]}";
    for turn in 0..turns {
        let left = bytes.saturating_sub(body.len() + tail.len());
        let share = left / (turns - turn);
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        let open = format!(r#",{{"role":"{role}","content":""#);
        let close = r#""}"#;
        body.push_str(&open);
        escaped_prose(&mut body, share.saturating_sub(open.len() + close.len()));
        body.push_str(close);
    }
    body.push_str(tail);
    body
}

/// The same conversation in every dialect of [`DIALECTS`], said by the translation itself.
pub(crate) fn bodies(
    model: &str,
    bytes: usize,
    stream: bool,
) -> Result<Vec<(Dialect, Bytes)>, Box<dyn Error>> {
    let chat = Bytes::from(request_body(model, bytes, stream));
    let raw = RawObject::parse(chat.clone()).map_err(|error| error.message().to_owned())?;
    let request =
        parse_request(Dialect::OpenAiChat, &raw).map_err(|error| error.message().to_owned())?;
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let mut bodies = vec![(Dialect::OpenAiChat, chat)];
    for dialect in &DIALECTS[1..] {
        let target = Target {
            model,
            traits: &traits,
            quirks: &quirks,
            max_output: None,
        };
        let rendered = render_request(*dialect, &request, target)
            .map_err(|error| error.message().to_owned())?;
        bodies.push((*dialect, rendered.body));
    }
    Ok(bodies)
}

/// A request as an SDK would send it: the usual headers and a JSON body.
pub(crate) fn post(to: SocketAddr, path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\nUser-Agent: tollgate-bench\r\nAuthorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A chat completion with usage, of exactly `bytes` bytes (or the least that is complete).
pub(crate) fn completion(bytes: usize) -> String {
    let head = r#"{"id":"chatcmpl-bench0001","object":"chat.completion","created":1760000000,"model":"bench-1","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let tail = r#"","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":211,"completion_tokens":187,"total_tokens":398,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_bench"}"#;
    let mut body = String::with_capacity(bytes);
    body.push_str(head);
    escaped_prose(&mut body, bytes.saturating_sub(head.len() + tail.len()));
    body.push_str(tail);
    body
}

/// The events of a streamed answer: `chunks` pieces of text, the finish, the usage, the end mark.
pub(crate) fn stream_events(chunks: usize) -> Vec<String> {
    let event = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-bench0001\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"bench-1\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n"
        )
    };
    let mut events: Vec<String> = (0..chunks)
        .map(|at| {
            let role = if at == 0 { r#""role":"assistant","# } else { "" };
            event(
                &format!(r#"{{"index":0,"delta":{{{role}"content":{DELTA}}},"logprobs":null,"finish_reason":null}}"#),
                "null",
            )
        })
        .collect();
    events.push(event(
        r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"#,
        "null",
    ));
    events.push(event(
        "",
        &format!(
            r#"{{"prompt_tokens":211,"completion_tokens":{chunks},"total_tokens":{}}}"#,
            chunks + 211
        ),
    ));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// Adds exactly `bytes` bytes of JSON string content.
fn escaped_prose(body: &mut String, bytes: usize) {
    let end = body.len() + bytes;
    for letter in PROSE.chars().cycle() {
        let before = body.len();
        match letter {
            '\n' => body.push_str("\\n"),
            '"' => body.push_str("\\\""),
            '\\' => body.push_str("\\\\"),
            other => body.push(other),
        }
        if body.len() > end {
            body.truncate(before);
            break;
        }
    }
    while body.len() < end {
        body.push('.');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn bodies_are_json_of_the_size_asked_for() {
        for bytes in [1024, 4096, 20480] {
            for stream in [false, true] {
                let body = request_body("bench/size:1024", bytes, stream);
                assert_eq!(body.len(), bytes);
                let value: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(value["model"], "bench/size:1024");
                assert_eq!(
                    value["messages"].as_array().unwrap().len(),
                    1 + (bytes / 640).clamp(1, 40)
                );
            }
            let answer = completion(bytes);
            assert_eq!(answer.len(), bytes);
            let value: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(value["usage"]["total_tokens"], 398);
        }
    }

    #[test]
    fn events_are_json_of_about_250_bytes() {
        let events = stream_events(100);
        assert_eq!(events.len(), 103);
        for event in &events[..102] {
            let data = event
                .strip_prefix("data: ")
                .unwrap()
                .strip_suffix("\n\n")
                .unwrap();
            serde_json::from_str::<Value>(data).unwrap();
        }
        assert!(
            (240..340).contains(&events[1].len()),
            "{} bytes",
            events[1].len()
        );
    }
}
