//! The bytes that travel: chat requests and the answers of the scripted provider.
//!
//! Requests are conversations of many short messages with line breaks, quotes,
//! code and letters outside ASCII, because a gateway that looks into a body
//! meets those, not one long string of `a`. Everything is deterministic.

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
