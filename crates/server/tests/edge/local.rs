//! Models of this machine, as callers of each dialect have them.

use serde_json::{Value, json};

use crate::support::Service;

const DEMO: &str = "tollgate-demo";
/// A BERT of random weights.
const EMBEDDER: &str = "bert-f32";

/// A chat request to the built-in model with more fields.
fn chat(more: &Value) -> String {
    let mut body = json!({
        "model": DEMO,
        "messages": [{"role": "user", "content": "What is a token?"}],
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string()
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
    let unknown = json!([{"role": "user", "content": "zebra xylophone quartz"}]);
    let asked = json!({
        "n": 3, "seed": 7, "temperature": 2, "max_tokens": 12, "messages": unknown,
    });
    let reply = service.chat(&chat(&asked)).await.json();
    let texts: Vec<&str> = reply["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| choice["message"]["content"].as_str().unwrap())
        .collect();
    assert_eq!(texts.len(), 3);
    assert!(texts[0] != texts[1] || texts[1] != texts[2], "{texts:?}");
    let one = json!({"seed": 7, "temperature": 2, "max_tokens": 12, "messages": unknown});
    let alone = service.chat(&chat(&one)).await.json();
    assert_eq!(alone["choices"][0]["message"]["content"], texts[0]);
    assert_eq!(
        alone["usage"]["prompt_tokens"],
        reply["usage"]["prompt_tokens"]
    );
    assert!(
        reply["usage"]["completion_tokens"].as_u64() > alone["usage"]["completion_tokens"].as_u64()
    );

    let mut streamed = asked;
    streamed["stream"] = json!(true);
    let stream = service.chat(&chat(&streamed)).await;
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
    let asked = json!({"logprobs": true, "top_logprobs": 3, "max_tokens": 8, "temperature": 0});
    let reply = service.chat(&chat(&asked)).await.json();
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

    let body = json!({
        "model": DEMO, "prompt": "A token is", "max_tokens": 6, "temperature": 0, "logprobs": 2,
    });
    let reply = service
        .raw(&service.post("/v1/completions", &body.to_string()))
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
    let body = json!({
        "model": DEMO, "max_tokens": 4, "temperature": 0,
        "messages": [{"role": "system", "content": long}, {"role": "user", "content": "Hello"}],
    })
    .to_string();
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
    let messages = json!({
        "model": DEMO, "max_tokens": 4, "temperature": 0, "system": long,
        "messages": [{"role": "user", "content": "Hello"}],
    });
    let third = service.messages(&messages.to_string()).await.json();
    assert!(third["usage"]["cache_read_input_tokens"].as_u64().unwrap() > 50);

    let other = service
        .post("/v1/chat/completions", &body)
        .replace(service.key.expose(), service.other_key.expose());
    assert_eq!(cached(&service.raw(&other).await.json()), 0);
}

#[tokio::test]
async fn texts_become_vectors_in_both_dialects_and_encodings() {
    let service = Service::start().await;
    let ask = async |body: Value| {
        service
            .raw(&service.post("/v1/embeddings", &body.to_string()))
            .await
    };
    let reply = ask(json!({"model": EMBEDDER, "input": ["the cat", "a dog"]}))
        .await
        .json();
    let vector = |reply: &Value, at: usize| -> Vec<f64> {
        serde_json::from_value(reply["data"][at]["embedding"].clone()).unwrap()
    };
    let length = |vector: &[f64]| vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (cat, dog) = (vector(&reply, 0), vector(&reply, 1));
    assert!(cat != dog && (length(&cat) - 1.0).abs() < 1e-5);
    assert_eq!(reply["model"], EMBEDDER);
    let n_tokens = reply["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(n_tokens >= 8, "two words and two marks each: {n_tokens}");

    let short = ask(json!({"model": EMBEDDER, "input": "the cat", "dimensions": 8})).await;
    let short = vector(&short.json(), 0);
    assert!(short.len() == 8 && (length(&short) - 1.0).abs() < 1e-5);
    assert!((short[0] / short[1] - cat[0] / cat[1]).abs() < 1e-4);

    let encoded =
        ask(json!({"model": EMBEDDER, "input": "the cat", "encoding_format": "base64"})).await;
    let text = encoded.json()["data"][0]["embedding"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(text.len(), (cat.len() * 4).div_ceil(3) * 4);

    let body = json!({"content": {"parts": [{"text": "the cat"}]}});
    let path = format!("/v1beta/models/{EMBEDDER}:embedContent");
    let gemini = service
        .raw(&service.post(&path, &body.to_string()))
        .await
        .json();
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
    let ask = async |body: Value| {
        service
            .raw(&service.post("/v1/embeddings", &body.to_string()))
            .await
    };
    for (body, code, says) in [
        (
            json!({"model": EMBEDDER, "input": "the cat ".repeat(60)}),
            "context_length_exceeded",
            "window 48",
        ),
        (
            json!({"model": EMBEDDER, "input": "x", "dimensions": 4000}),
            "invalid_value",
            "Ask for 1 to",
        ),
        (
            json!({"model": DEMO, "input": "x"}),
            "unsupported_value",
            "does not serve this endpoint",
        ),
    ] {
        let answer = ask(body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, code),
            "{answer:?}"
        );
        assert!(answer.body.contains(says), "{answer:?}");
    }
    let body = json!({"model": EMBEDDER, "messages": [{"role": "user", "content": "hi"}]});
    let answer = service.chat(&body.to_string()).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "unsupported_value")
    );
}

#[tokio::test]
async fn tools_that_the_template_does_not_know_are_a_named_loss() {
    let service = Service::start().await;
    let tools =
        json!({"tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]});
    let answer = service.chat(&chat(&tools)).await;
    assert_eq!(answer.status, 200);
    let loss = answer.header("x-tollgate-loss").unwrap();
    assert!(loss.contains("tools"), "{loss}");
    let mut strict = tools;
    strict["tool_choice"] = json!("required");
    let answer = service.chat(&chat(&strict)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "unsupported_value")
    );
}
