//! Models of this machine, as callers of each dialect have them.

use serde_json::Value;

use crate::support::Service;

const DEMO: &str = "tollgate-demo";
/// A BERT of random weights.
const EMBEDDER: &str = "bert-f32";

/// A chat request to the built-in model with more fields, which may replace its own.
fn chat(more: &str) -> String {
    let mut body = read(&format!(
        r#"{{"model": "{DEMO}", "messages": [{{"role": "user", "content": "What is a token?"}}]}}"#
    ));
    if let Value::Object(more) = read(&format!("{{{more}}}")) {
        body.as_object_mut().unwrap().extend(more);
    }
    body.to_string()
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The data of every frame that is JSON.
fn frames(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

#[tokio::test]
async fn several_answers_are_those_of_their_seeds_and_the_prompt_is_counted_once() {
    let service = Service::start().await;
    // Nothing that the model was taught: what it says depends on the seed.
    let unknown = r#""messages": [{"role": "user", "content": "zebra xylophone quartz"}]"#;
    let one = format!(r#"{unknown}, "seed": 7, "temperature": 2, "max_tokens": 12"#);
    let asked = format!(r#"{one}, "n": 3"#);
    let reply = service.chat(&chat(&asked)).await.json();
    let texts: Vec<&str> = reply["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| choice["message"]["content"].as_str().unwrap())
        .collect();
    assert_eq!(texts.len(), 3);
    assert!(texts[0] != texts[1] || texts[1] != texts[2], "{texts:?}");
    let alone = service.chat(&chat(&one)).await.json();
    assert_eq!(alone["choices"][0]["message"]["content"], texts[0]);
    assert_eq!(
        alone["usage"]["prompt_tokens"],
        reply["usage"]["prompt_tokens"]
    );
    assert!(
        reply["usage"]["completion_tokens"].as_u64() > alone["usage"]["completion_tokens"].as_u64()
    );

    let stream = service
        .chat(&chat(&format!(r#"{asked}, "stream": true"#)))
        .await;
    let mut told = vec![String::new(); 3];
    for frame in frames(&stream.body) {
        for choice in frame["choices"].as_array().unwrap() {
            let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
            told[index] += choice["delta"]["content"].as_str().unwrap_or_default();
        }
    }
    assert_eq!(told, texts);
}

#[tokio::test]
async fn log_probabilities_reach_chat_and_completions_and_belong_to_the_text() {
    let service = Service::start().await;
    let asked = r#""logprobs": true, "top_logprobs": 3, "max_tokens": 8, "temperature": 0"#;
    let reply = service.chat(&chat(asked)).await.json();
    let choice = &reply["choices"][0];
    let tokens = choice["logprobs"]["content"].as_array().unwrap();
    let text: String = tokens
        .iter()
        .map(|token| token["token"].as_str().unwrap())
        .collect();
    assert_eq!(text, choice["message"]["content"].as_str().unwrap());
    for token in tokens {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        // Greedy: the token is the likeliest.
        assert_eq!(top[0]["token"], token["token"]);
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
        assert!(top[0]["logprob"].as_f64() >= top[1]["logprob"].as_f64());
    }

    let body = format!(
        r#"{{"model": "{DEMO}", "prompt": "A token is", "max_tokens": 6, "temperature": 0, "logprobs": 2}}"#
    );
    let reply = service
        .raw(&service.post("/v1/completions", &body))
        .await
        .json();
    let choice = &reply["choices"][0];
    let tokens = choice["logprobs"]["tokens"].as_array().unwrap();
    assert_eq!(
        tokens.len(),
        choice["logprobs"]["token_logprobs"]
            .as_array()
            .unwrap()
            .len()
    );
    assert_eq!(
        choice["logprobs"]["top_logprobs"][0]
            .as_object()
            .unwrap()
            .len(),
        2
    );
    let text: String = tokens.iter().map(|token| token.as_str().unwrap()).collect();
    assert_eq!(text, choice["text"].as_str().unwrap());
}

#[tokio::test]
async fn a_prompt_that_begins_alike_is_cached_for_its_key_and_for_no_other() {
    let service = Service::start().await;
    let long = "A gateway stands between programs and models. ".repeat(8);
    let settings = format!(r#""model": "{DEMO}", "max_tokens": 4, "temperature": 0"#);
    let hello = r#"{"role": "user", "content": "Hello"}"#;
    let body = format!(
        r#"{{{settings}, "messages": [{{"role": "system", "content": "{long}"}}, {hello}]}}"#
    );
    let cached = |reply: &Value| {
        reply["usage"]["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap()
    };
    let first = service.chat(&body).await.json();
    assert_eq!(cached(&first), 0);
    let second = service.chat(&body).await.json();
    assert!(cached(&second) > 50, "{second}");
    assert_eq!(
        second["choices"][0]["message"],
        first["choices"][0]["message"]
    );
    let messages = format!(r#"{{{settings}, "system": "{long}", "messages": [{hello}]}}"#);
    let third = service.messages(&messages).await.json();
    assert!(third["usage"]["cache_read_input_tokens"].as_u64().unwrap() > 50);

    let other = service
        .post("/v1/chat/completions", &body)
        .replace(service.key.expose(), service.other_key.expose());
    assert_eq!(cached(&service.raw(&other).await.json()), 0);
}

#[tokio::test]
async fn texts_become_vectors_in_both_dialects_and_encodings() {
    let service = Service::start().await;
    let ask = async |fields: &str| {
        let body = format!(r#"{{"model": "{EMBEDDER}", {fields}}}"#);
        service.raw(&service.post("/v1/embeddings", &body)).await
    };
    let reply = ask(r#""input": ["the cat", "a dog"]"#).await.json();
    let vector = |reply: &Value, at: usize| -> Vec<f64> {
        serde_json::from_value(reply["data"][at]["embedding"].clone()).unwrap()
    };
    let length = |vector: &[f64]| vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (cat, dog) = (vector(&reply, 0), vector(&reply, 1));
    assert!(cat != dog && (length(&cat) - 1.0).abs() < 1e-5);
    assert_eq!(reply["model"], EMBEDDER);
    let n_tokens = reply["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(n_tokens >= 8, "two words and two marks each: {n_tokens}");

    let short = ask(r#""input": "the cat", "dimensions": 8"#).await;
    let short = vector(&short.json(), 0);
    assert!(short.len() == 8 && (length(&short) - 1.0).abs() < 1e-5);
    assert!((short[0] / short[1] - cat[0] / cat[1]).abs() < 1e-4);

    let encoded = ask(r#""input": "the cat", "encoding_format": "base64""#).await;
    let text = encoded.json()["data"][0]["embedding"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(text.len(), (cat.len() * 4).div_ceil(3) * 4);

    let body = r#"{"content": {"parts": [{"text": "the cat"}]}}"#;
    let path = format!("/v1beta/models/{EMBEDDER}:embedContent");
    let gemini = service.raw(&service.post(&path, body)).await.json();
    let values: Vec<f64> = serde_json::from_value(gemini["embedding"]["values"].clone()).unwrap();
    assert_eq!(values, cat);

    let booked = service.wait_for_attempts(|all| all.len() == 4).await;
    assert_eq!(
        booked[0].settlement.as_ref().unwrap().usage.input_total(),
        n_tokens
    );
}

#[tokio::test]
async fn what_an_embedding_model_cannot_do_is_said() {
    let service = Service::start().await;
    let long = "the cat ".repeat(60);
    for (body, code, says) in [
        (
            format!(r#"{{"model": "{EMBEDDER}", "input": "{long}"}}"#),
            "context_length_exceeded",
            "window 48",
        ),
        (
            format!(r#"{{"model": "{EMBEDDER}", "input": "x", "dimensions": 4000}}"#),
            "invalid_value",
            "Ask for 1 to",
        ),
        (
            format!(r#"{{"model": "{DEMO}", "input": "x"}}"#),
            "unsupported_value",
            "does not serve this endpoint",
        ),
    ] {
        let answer = service.raw(&service.post("/v1/embeddings", &body)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, code),
            "{answer:?}"
        );
        assert!(answer.body.contains(says), "{answer:?}");
    }
    let body =
        format!(r#"{{"model": "{EMBEDDER}", "messages": [{{"role": "user", "content": "hi"}}]}}"#);
    let answer = service.chat(&body).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "unsupported_value")
    );
}

#[tokio::test]
async fn tools_that_the_template_does_not_know_are_a_named_loss_and_cannot_be_forced() {
    let service = Service::start().await;
    let tools =
        r#""tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]"#;
    let answer = service.chat(&chat(tools)).await;
    assert_eq!(answer.status, 200);
    let loss = answer.header("x-tollgate-loss").unwrap();
    assert!(loss.contains("tools"), "{loss}");
    let forced = format!(r#"{tools}, "tool_choice": "required""#);
    let answer = service.chat(&chat(&forced)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "unsupported_value")
    );
}

/// What the answers to a JSON Schema must be, in the words of each dialect.
const SCHEMA: &str = r#"{"type": "object", "properties": {"label": {"enum": ["spam", "ham"]},
    "score": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["label", "score"],
    "additionalProperties": false}"#;

fn check_labelled(text: &str) {
    let value = read(text);
    assert!(["spam", "ham"].contains(&value["label"].as_str().unwrap()));
    assert!((0..=9).contains(&value["score"].as_i64().unwrap()));
    assert_eq!(value.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn answers_are_bound_to_a_schema_in_every_dialect_that_has_a_word_for_it() {
    let service = Service::start().await;
    for seed in 0..4 {
        let format = format!(
            r#""response_format": {{"type": "json_schema", "json_schema": {{"name": "x", "strict": true, "schema": {SCHEMA}}}}},
            "temperature": 1.5, "seed": {seed}"#
        );
        let reply = service.chat(&chat(&format)).await.json();
        check_labelled(reply["choices"][0]["message"]["content"].as_str().unwrap());
    }
    let body = format!(
        r#"{{"model": "{DEMO}", "input": "hello", "text": {{"format":
        {{"type": "json_schema", "name": "x", "strict": true, "schema": {SCHEMA}}}}}}}"#
    );
    let reply = service.raw(&service.post("/v1/responses", &body)).await;
    let output = &reply.json()["output"];
    let message = output
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["type"] == "message");
    check_labelled(message.unwrap()["content"][0]["text"].as_str().unwrap());

    let body = format!(
        r#"{{"contents": [{{"role": "user", "parts": [{{"text": "hello"}}]}}], "generationConfig":
        {{"responseMimeType": "application/json", "responseJsonSchema": {SCHEMA}}}}}"#
    );
    let path = format!("/v1beta/models/{DEMO}:generateContent");
    let reply = service.raw(&service.post(&path, &body)).await.json();
    check_labelled(
        reply["candidates"][0]["content"]["parts"][0]["text"]
            .as_str()
            .unwrap(),
    );
}

#[tokio::test]
async fn json_is_json_and_a_schema_that_cannot_be_kept_is_refused_by_its_keyword() {
    let service = Service::start().await;
    let object = r#""response_format": {"type": "json_object"}, "max_tokens": 400, "seed": 3"#;
    let reply = service.chat(&chat(object)).await.json();
    let choice = &reply["choices"][0];
    let text = choice["message"]["content"].as_str().unwrap();
    if choice["finish_reason"] == "stop" {
        assert!(read(text).is_object(), "{text}");
    } else {
        assert!(text.trim_start().starts_with('{'), "{text}");
    }
    let unknown = r#""response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema":
        {"type": "array", "uniqueItems": true}}}"#;
    let answer = service.chat(&chat(unknown)).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("uniqueItems"), "{answer:?}");
}

#[tokio::test]
async fn a_prompt_is_counted_by_the_models_own_template_and_tokenizer() {
    let service = Service::start().await;
    let body = format!(
        r#"{{"model": "{DEMO}", "max_tokens": 1, "system": "Be brief: 東京 🙂",
        "messages": [{{"role": "user", "content": "What is a token?"}}]}}"#
    );
    let counted = service
        .raw(&service.post("/v1/messages/count_tokens", &body))
        .await;
    assert_eq!(counted.header("x-tollgate-estimate"), None);
    let used = service.messages(&body).await.json();
    assert_eq!(
        counted.json()["input_tokens"],
        used["usage"]["input_tokens"]
    );
}

/// The built-in model with a template that knows tools: it never learned to call one, and is bound to.
const CALLER: &str = "tool-demo";
const PARAMETERS: &str = r#"{"type": "object", "properties": {"city": {"enum": ["Oslo", "Lima"]},
    "days": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["city", "days"],
    "additionalProperties": false}"#;

fn check_arguments(value: &Value) {
    assert!(["Oslo", "Lima"].contains(&value["city"].as_str().unwrap()));
    assert!((1..=9).contains(&value["days"].as_i64().unwrap()));
}

#[tokio::test]
async fn a_forced_call_is_valid_in_every_dialect_and_its_result_goes_on() {
    let service = Service::start().await;
    let tool = format!(
        r#"{{"type": "function", "function": {{"name": "weather", "parameters": {PARAMETERS}}}}}"#
    );
    let hello = r#"{"role": "user", "content": "hello"}"#;
    for choice in [
        r#""required""#,
        r#"{"type": "function", "function": {"name": "weather"}}"#,
    ] {
        let body = format!(
            r#"{{"model": "{CALLER}", "messages": [{hello}], "tools": [{tool}], "tool_choice": {choice},
            "parallel_tool_calls": false}}"#
        );
        let reply = service.chat(&body).await.json();
        let message = &reply["choices"][0]["message"];
        let call = &message["tool_calls"][0];
        assert_eq!(call["function"]["name"], "weather", "{reply}");
        check_arguments(&read(call["function"]["arguments"].as_str().unwrap()));
        assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
        let id = call["id"].as_str().unwrap();
        let result = format!(r#"{{"role": "tool", "tool_call_id": "{id}", "content": "rain"}}"#);
        let body = format!(
            r#"{{"model": "{CALLER}", "messages": [{hello}, {message}, {result}], "tools": [{tool}], "max_tokens": 4}}"#
        );
        assert_eq!(service.chat(&body).await.status, 200);
    }

    let body = format!(
        r#"{{"model": "{CALLER}", "max_tokens": 200, "messages": [{hello}],
        "tool_choice": {{"type": "any", "disable_parallel_tool_use": true}},
        "tools": [{{"name": "weather", "input_schema": {PARAMETERS}}}]}}"#
    );
    let reply = service.messages(&body).await.json();
    let blocks = reply["content"].as_array().unwrap();
    let call = blocks.iter().find(|block| block["type"] == "tool_use");
    check_arguments(&call.unwrap()["input"]);
    assert_eq!(reply["stop_reason"], "tool_use");

    let body = format!(
        r#"{{"contents": [{{"role": "user", "parts": [{{"text": "hello"}}]}}],
        "tools": [{{"functionDeclarations": [{{"name": "weather", "parametersJsonSchema": {PARAMETERS}}}]}}],
        "toolConfig": {{"functionCallingConfig": {{"mode": "ANY"}}}}}}"#
    );
    let path = format!("/v1beta/models/{CALLER}:streamGenerateContent?alt=sse");
    let stream = service.raw(&service.post(&path, &body)).await;
    let parts = frames(&stream.body)
        .into_iter()
        .filter_map(|frame| {
            frame["candidates"][0]["content"]["parts"]
                .as_array()
                .cloned()
        })
        .flatten();
    let call = parts
        .into_iter()
        .find(|part| part["functionCall"].is_object());
    check_arguments(&call.unwrap()["functionCall"]["args"]);
}

#[tokio::test]
async fn a_keys_largest_output_bounds_a_local_answer() {
    let service = Service::start().await;
    let key = service.add_key("key_small", |record| {
        std::sync::Arc::make_mut(&mut record.scopes).max_output_tokens = Some(3);
    });
    for wanted in [r#""max_tokens": 400"#, r#""temperature": 0"#] {
        let request = service
            .post("/v1/chat/completions", &chat(wanted))
            .replace(service.key.expose(), key.expose());
        let reply = service.raw(&request).await.json();
        assert_eq!(reply["usage"]["completion_tokens"], 3, "{reply}");
        assert_eq!(reply["choices"][0]["finish_reason"], "length");
    }
}

#[tokio::test]
async fn what_a_local_model_does_not_keep_is_a_named_loss() {
    let service = Service::start().await;
    let tool = r#"{"type": "function", "function": {"name": "look", "strict": true, "parameters":
        {"type": "object", "properties": {}, "additionalProperties": false, "required": []}}}"#;
    let format = r#""response_format": {"type": "json_object"}"#;
    for (fields, field) in [
        (format!(r#""tools": [{tool}], {format}"#), "response_format"),
        (
            format!(
                r#""tools": [{}], {format}"#,
                tool.replace("true, \"par", "false, \"par")
            ),
            "tools",
        ),
        (
            format!(r#""tools": [{tool}], "parallel_tool_calls": false"#),
            "parallel_tool_calls",
        ),
        (r#""service_tier": "priority""#.to_owned(), "service_tier"),
        (r#""reasoning_effort": "high""#.to_owned(), "reasoning"),
    ] {
        let body = format!(r#"{fields}, "model": "{CALLER}", "max_tokens": 16"#);
        let answer = service.chat(&chat(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let loss = answer.header("x-tollgate-loss").unwrap_or_default();
        assert!(loss.contains(field), "{field}: {loss}");
    }
    let forced = chat(r#""tool_choice": "required""#);
    assert_eq!(service.chat(&forced).await.status, 400);
}

#[tokio::test]
async fn a_route_passes_over_a_local_model_for_one_that_sees() {
    let settings = "[routes.any]\ntargets = [\"tollgate/tollgate-demo\", \"full/gpt-4o\"]\n";
    let service = Service::start_with(settings).await;
    let body = r#"{"model": "any", "messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}]}"#;
    let answer = service.chat(body).await;
    assert_eq!(
        answer.header("x-tollgate-target"),
        Some("full/gpt-4o"),
        "{answer:?}"
    );
}
