//! What is passed through, whose it is, and what is remembered.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write requests as they read"
)]

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::{Answer, Service};

fn get(service: &Service, method: &str, path: &str) -> String {
    as_key(service.key.expose(), method, path)
}

fn as_key(key: &str, method: &str, path: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: tollgate\r\nAuthorization: Bearer {key}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn form(service: &Service, path: &str, parts: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (disposition, content) in parts {
        write!(
            body,
            "--bOuNd\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n"
        )
        .unwrap();
    }
    body += "--bOuNd--\r\n";
    format!(
        "POST {path} HTTP/1.1\r\nHost: tollgate\r\nAuthorization: Bearer {}\r\nContent-Type: multipart/form-data; boundary=bOuNd\r\nContent-Length: {}\r\n\r\n{body}",
        service.key.expose(),
        body.len()
    )
}

fn read(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

async fn ask(service: &Service, path: &str, body: &Value) -> Answer {
    service.raw(&service.post(path, &body.to_string())).await
}

#[tokio::test]
async fn a_json_operation_reaches_its_provider_under_the_providers_own_name_of_the_model() {
    let service = Service::start().await;
    let body = json!({"model": "full/gpt-image-1", "prompt": "a gate"});
    let answer = ask(&service, "/v1/images/generations", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(read(&answer)["data"][0].is_object(), "{answer:?}");
    let record = &service.openai.records()[0];
    assert_eq!(record.body["model"], "gpt-image-1");
}

#[tokio::test]
async fn an_upload_streams_with_the_model_renamed_wherever_the_form_names_it() {
    let service = Service::start().await;
    let sound = "R".repeat(700_000);
    let file = ("name=\"file\"; filename=\"a.wav\"", sound.as_str());
    let model = ("name=\"model\"", "full/whisper-1");
    for parts in [[model, file], [file, model]] {
        let request = form(&service, "/v1/audio/transcriptions", &parts);
        let answer = service.raw(&request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let records = service.openai.records();
        let record = records.last().unwrap();
        assert_eq!(record.body["model"], "whisper-1");
        assert_eq!(record.files[0].bytes, sound.len() as u64);
    }
}

#[tokio::test]
async fn a_form_without_its_end_reaches_nobody_as_a_whole_one() {
    let service = Service::start().await;
    let whole = form(
        &service,
        "/v1/audio/transcriptions",
        &[("name=\"model\"", "full/whisper-1")],
    );
    let answer = service.raw(&whole.replace("; boundary=bOuNd", "")).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("boundary"), "{answer:?}");
}

#[tokio::test]
async fn a_file_belongs_to_the_key_that_made_it() {
    let service = Service::start().await;
    let parts = [
        ("name=\"purpose\"", "fine-tune"),
        ("name=\"file\"; filename=\"a.jsonl\"", "{\"messages\":[]}"),
    ];
    let made = service
        .raw(&form(&service, "/v1/files?provider=full", &parts))
        .await;
    assert_eq!(made.status, 200, "{made:?}");
    let id = read(&made)["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/files/{id}");
    let seen = service.raw(&get(&service, "GET", &path)).await;
    assert_eq!((seen.status, read(&seen)["id"].as_str()), (200, Some(&*id)));
    let content = service
        .raw(&get(&service, "GET", &format!("{path}/content")))
        .await;
    assert_eq!(content.body, "{\"messages\":[]}", "{content:?}");
    let other = service.other_key.expose();
    for (method, path) in [
        ("GET", &path),
        ("DELETE", &path),
        ("GET", &format!("{path}/content")),
    ] {
        let foreign = service.raw(&as_key(other, method, path)).await;
        assert_eq!(foreign.status, 404, "{method} {path}: {foreign:?}");
    }
    let list = |key: &str| as_key(key, "GET", "/v1/files");
    let own = read(&service.raw(&list(service.key.expose())).await);
    assert_eq!(own["data"][0]["id"], *id);
    let foreign = read(&service.raw(&list(other)).await);
    assert_eq!(foreign["data"], json!([]));
    let deleted = service.raw(&get(&service, "DELETE", &path)).await;
    assert_eq!(
        (deleted.status, &read(&deleted)["deleted"]),
        (200, &json!(true))
    );
    assert_eq!(service.raw(&get(&service, "GET", &path)).await.status, 404);
}

#[tokio::test]
async fn a_job_runs_where_its_file_is_and_its_model_can_be_deleted_by_its_key_alone() {
    let service = Service::start().await;
    let parts = [
        ("name=\"purpose\"", "fine-tune"),
        ("name=\"file\"; filename=\"a.jsonl\"", "{\"messages\":[]}"),
    ];
    let file = read(
        &service
            .raw(&form(&service, "/v1/files?provider=full", &parts))
            .await,
    );
    let job = json!({"model": "full/gpt-4o-mini", "training_file": file["id"]});
    let stranger = job.to_string();
    let request = format!(
        "POST /v1/fine_tuning/jobs HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{stranger}",
        service.other_key.expose(),
        stranger.len()
    );
    let foreign = service.raw(&request).await;
    assert_eq!(foreign.status, 404, "{foreign:?}");
    let made = ask(&service, "/v1/fine_tuning/jobs", &job).await;
    assert_eq!(made.status, 200, "{made:?}");
    let id = read(&made)["id"].as_str().unwrap().to_owned();
    let show = get(&service, "GET", &format!("/v1/fine_tuning/jobs/{id}"));
    service.raw(&show).await;
    let done = read(&service.raw(&show).await);
    assert_eq!(done["status"], "succeeded", "{done}");
    let events = get(
        &service,
        "GET",
        &format!("/v1/fine_tuning/jobs/{id}/events"),
    );
    assert_eq!(service.raw(&events).await.status, 200);
    let model = done["fine_tuned_model"].as_str().unwrap();
    let path = format!("/v1/models/full/{model}");
    let foreign = service
        .raw(&as_key(service.other_key.expose(), "DELETE", &path))
        .await;
    assert_eq!(foreign.status, 404, "{foreign:?}");
    let deleted = service.raw(&get(&service, "DELETE", &path)).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
}

#[tokio::test]
async fn a_response_of_a_provider_without_memory_is_remembered_here() {
    let service = Service::start().await;
    for stream in [false, true] {
        let body = json!({"model": "ant/text", "input": "hello", "stream": stream});
        let first = ask(&service, "/v1/responses", &body).await;
        assert_eq!(first.status, 200, "{first:?}");
        let id = id_of(&first.body);
        let shown = service
            .raw(&get(&service, "GET", &format!("/v1/responses/{id}")))
            .await;
        assert_eq!(
            (shown.status, read(&shown)["status"].as_str()),
            (200, Some("completed"))
        );
        let items = service
            .raw(&get(
                &service,
                "GET",
                &format!("/v1/responses/{id}/input_items"),
            ))
            .await;
        assert_eq!(read(&items)["data"][0]["role"], "user", "{items:?}");
        let body = json!({"model": "ant/echo", "input": "again", "previous_response_id": id});
        let second = ask(&service, "/v1/responses", &body).await;
        assert_eq!(second.status, 200, "{second:?}");
        assert_eq!(read(&second)["previous_response_id"], *id);
        let sent = service.anthropic.records().last().unwrap().body.clone();
        assert_eq!(sent["messages"].as_array().unwrap().len(), 3, "{sent}");
        let foreign = as_key(
            service.other_key.expose(),
            "GET",
            &format!("/v1/responses/{id}"),
        );
        assert_eq!(service.raw(&foreign).await.status, 404);
        let deleted = service
            .raw(&get(&service, "DELETE", &format!("/v1/responses/{id}")))
            .await;
        assert_eq!(read(&deleted)["deleted"], true);
        let gone = ask(&service, "/v1/responses", &body).await;
        assert_eq!(gone.status, 404, "{gone:?}");
        assert!(
            gone.body.contains("previous_response_not_found"),
            "{gone:?}"
        );
    }
}

#[tokio::test]
async fn an_item_of_a_stored_response_can_be_referred_to_by_its_key_alone() {
    let service = Service::start().await;
    let first = ask(
        &service,
        "/v1/responses",
        &json!({"model": "ant/text", "input": "hello"}),
    )
    .await;
    let item = read(&first)["output"][0]["id"].clone();
    let input = json!([{"role": "user", "content": "hello"}, {"type": "item_reference", "id": item}, {"role": "user", "content": "and?"}]);
    let body = json!({"model": "ant/text", "input": input});
    let second = ask(&service, "/v1/responses", &body).await;
    assert_eq!(second.status, 200, "{second:?}");
    let sent = service.anthropic.records().last().unwrap().body.clone();
    assert_eq!(sent["messages"][1]["role"], "assistant", "{sent}");
    let text = body.to_string();
    let foreign = format!(
        "POST /v1/responses HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        service.other_key.expose(),
        text.len()
    );
    assert_eq!(service.raw(&foreign).await.status, 404);
}

#[tokio::test]
async fn a_response_that_is_not_to_be_stored_is_not() {
    let service = Service::start().await;
    let body = json!({"model": "ant/text", "input": "hello", "store": false});
    let first = ask(&service, "/v1/responses", &body).await;
    let id = id_of(&first.body);
    let shown = service
        .raw(&get(&service, "GET", &format!("/v1/responses/{id}")))
        .await;
    assert_eq!(shown.status, 404, "{shown:?}");
}

#[tokio::test]
async fn a_provider_with_a_memory_keeps_its_responses_and_the_gateway_whose_they_are() {
    let service = Service::start().await;
    let body = json!({"model": "full/text", "input": "hello"});
    let first = ask(&service, "/v1/responses", &body).await;
    assert_eq!(first.status, 200, "{first:?}");
    let id = id_of(&first.body);
    let path = format!("/v1/responses/{id}");
    assert_eq!(service.raw(&get(&service, "GET", &path)).await.status, 200);
    let foreign = as_key(service.other_key.expose(), "GET", &path);
    assert_eq!(service.raw(&foreign).await.status, 404);
    let elsewhere = json!({"model": "ant/text", "input": "x", "previous_response_id": id});
    let refused = ask(&service, "/v1/responses", &elsewhere).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(
        service.raw(&get(&service, "DELETE", &path)).await.status,
        200
    );
    assert_eq!(service.raw(&get(&service, "GET", &path)).await.status, 404);
}

#[tokio::test]
async fn a_conversation_grows_with_each_response_and_belongs_to_its_key() {
    let service = Service::start().await;
    let body = json!({"metadata": {"topic": "gates"}, "items": [{"role": "user", "content": "I am Ada."}]});
    let made = ask(&service, "/v1/conversations", &body).await;
    assert_eq!(made.status, 200, "{made:?}");
    let id = read(&made)["id"].as_str().unwrap().to_owned();
    assert_eq!(read(&made)["metadata"]["topic"], "gates");
    for stream in [false, true] {
        let body =
            json!({"model": "ant/text", "input": "hello", "conversation": id, "stream": stream});
        let answer = ask(&service, "/v1/responses", &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let path = format!("/v1/conversations/{id}");
    let items = service
        .raw(&get(&service, "GET", &format!("{path}/items?order=asc")))
        .await;
    assert_eq!(
        read(&items)["data"].as_array().unwrap().len(),
        5,
        "{items:?}"
    );
    let sent = service.anthropic.records().last().unwrap().body.clone();
    assert!(sent["messages"].to_string().contains("I am Ada."), "{sent}");
    let foreign = as_key(service.other_key.expose(), "GET", &path);
    assert_eq!(service.raw(&foreign).await.status, 404);
    let body = json!({"model": "ant/text", "input": "x", "conversation": "conv_unknown"});
    assert_eq!(ask(&service, "/v1/responses", &body).await.status, 404);
    let deleted = service.raw(&get(&service, "DELETE", &path)).await;
    assert_eq!(read(&deleted)["deleted"], true);
    assert_eq!(service.raw(&get(&service, "GET", &path)).await.status, 404);
}

#[tokio::test]
async fn a_response_in_the_background_is_told_when_it_is_done_and_can_be_cancelled() {
    let service = Service::start().await;
    let body = json!({"model": "ant/hang-before-head", "input": "hello", "background": true});
    let begun = ask(&service, "/v1/responses", &body).await;
    assert_eq!(
        (begun.status, read(&begun)["status"].as_str()),
        (200, Some("in_progress")),
        "{begun:?}"
    );
    let id = id_of(&begun.body);
    let cancelled = ask(&service, &format!("/v1/responses/{id}/cancel"), &json!({})).await;
    assert_eq!(read(&cancelled)["status"], "cancelled", "{cancelled:?}");
    let shown = service
        .raw(&get(&service, "GET", &format!("/v1/responses/{id}")))
        .await;
    assert_eq!(read(&shown)["status"], "cancelled");
    let body = json!({"model": "ant/text", "input": "hello", "background": true});
    let id = id_of(&ask(&service, "/v1/responses", &body).await.body);
    let show = get(&service, "GET", &format!("/v1/responses/{id}"));
    // Each question is a round trip, so that the work goes on in between.
    for _ in 0..1000 {
        let shown = read(&service.raw(&show).await);
        if shown["status"] == "completed" {
            assert_eq!(
                (&shown["id"], &shown["background"]),
                (&json!(id), &json!(true))
            );
            assert!(
                shown["output"][0]["content"][0]["text"].is_string(),
                "{shown}"
            );
            return;
        }
        assert_eq!(shown["status"], "in_progress", "{shown}");
    }
    panic!("the response did not end");
}

/// The id of a response, whole or streamed.
fn id_of(body: &str) -> String {
    let start = body
        .find("resp_")
        .unwrap_or_else(|| panic!("no response: {body}"));
    let id: String = body[start..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    id
}

#[tokio::test]
async fn gemini_is_spoken_with_its_paths_its_keys_and_its_streams() {
    let service = Service::start().await;
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}).to_string();
    for provider in ["ant", "oai", "gem"] {
        for (verb, wanted) in [
            ("generateContent", "\"finishReason\""),
            ("streamGenerateContent?alt=sse", "data: {"),
            ("streamGenerateContent", "[{"),
        ] {
            let key = service.key.expose();
            let separator = if verb.contains('?') { '&' } else { '?' };
            let request = format!(
                "POST /v1beta/models/{provider}/text:{verb}{separator}key={key} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = service.raw(&request).await;
            assert_eq!(answer.status, 200, "{provider} {verb}: {answer:?}");
            assert!(
                answer.body.contains(wanted),
                "{provider} {verb}: {answer:?}"
            );
            if wanted == "[{" {
                let list = read(&answer);
                assert!(
                    list.as_array().is_some_and(|list| !list.is_empty()),
                    "{list}"
                );
            }
        }
    }
    let listed = service
        .raw(&format!(
            "GET /v1beta/models?pageSize=3&key={} HTTP/1.1\r\nHost: t\r\n\r\n",
            service.key.expose()
        ))
        .await;
    assert!(
        read(&listed)["models"][0]["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("models/")),
        "{listed:?}"
    );
}

#[tokio::test]
async fn a_key_in_the_address_is_read_for_gemini_alone() {
    let service = Service::start().await;
    let request = format!(
        "GET /v1/files?key={} HTTP/1.1\r\nHost: t\r\n\r\n",
        service.key.expose()
    );
    assert_eq!(service.raw(&request).await.status, 401);
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_or_estimated_and_said_so() {
    let service = Service::start().await;
    let body = json!({"model": "ant/text", "messages": [{"role": "user", "content": "hello"}]});
    let counted = ask(&service, "/v1/messages/count_tokens", &body).await;
    assert_eq!(counted.status, 200, "{counted:?}");
    assert!(
        read(&counted)["input_tokens"]
            .as_u64()
            .is_some_and(|n| n > 0)
    );
    assert!(
        !counted
            .headers
            .iter()
            .any(|(name, _)| name == "x-tollgate-estimate")
    );
    let body = json!({"model": "oai/text", "input": "hello"});
    let estimated = ask(&service, "/v1/responses/input_tokens", &body).await;
    assert!(
        read(&estimated)["input_tokens"]
            .as_u64()
            .is_some_and(|n| n > 0),
        "{estimated:?}"
    );
    assert!(
        estimated
            .headers
            .iter()
            .any(|(name, _)| name == "x-tollgate-estimate")
    );
}

#[tokio::test]
async fn clouds_are_spoken_to_in_their_own_forms() {
    let service = Service::start().await;
    for stream in [false, true] {
        for model in [
            "rock/anthropic.text",
            "signed/anthropic.text",
            "azu/text",
            "vert/text",
        ] {
            let answer = service
                .chat(&crate::support::chat_body(model, stream))
                .await;
            assert_eq!(answer.status, 200, "{model} {stream}: {answer:?}");
            assert_eq!(answer.body.contains("[DONE]"), stream, "{answer:?}");
            let messages = crate::support::messages_body(model, stream);
            let answer = service.messages(&messages).await;
            assert_eq!(answer.status, 200, "{model} {stream}: {answer:?}");
            assert_eq!(
                answer.body.contains("event: message_stop"),
                stream,
                "{answer:?}"
            );
        }
    }
    assert!(
        !service
            .gemini
            .records()
            .iter()
            .any(|record| record.status == 0)
    );
    let sent = &service.anthropic.records()[0];
    assert_eq!(sent.body["anthropic_version"], "bedrock-2023-05-31");
    assert!(sent.body.get("model").is_none() && sent.body.get("stream").is_none());
}

#[tokio::test]
async fn t1_a_model_that_takes_tools_in_responses_alone_is_asked_there_whoever_calls() {
    let service = Service::start().await;
    let parameters = json!({"type": "object", "properties": {}});
    let chat = json!({"model": "full/gpt-5.6", "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]});
    let messages = json!({"model": "full/gpt-5.6", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"name": "f", "input_schema": parameters}]});
    for (path, body) in [("/v1/chat/completions", chat), ("/v1/messages", messages)] {
        let answer = ask(&service, path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let record = service.openai.records().pop().unwrap();
        assert!(
            record.path.ends_with("/responses"),
            "{path}: {}",
            record.path
        );
    }
}

#[tokio::test]
async fn a_background_response_is_said_once_in_its_conversation() {
    let service = Service::start().await;
    let id = read(&ask(&service, "/v1/conversations", &json!({})).await)["id"].clone();
    let body =
        json!({"model": "ant/text", "input": "hello", "conversation": id, "background": true});
    let response = id_of(&ask(&service, "/v1/responses", &body).await.body);
    let show = get(&service, "GET", &format!("/v1/responses/{response}"));
    for _ in 0..1000 {
        if read(&service.raw(&show).await)["status"] == "completed" {
            break;
        }
    }
    let path = format!("/v1/conversations/{}/items", id.as_str().unwrap());
    let items = read(&service.raw(&get(&service, "GET", &path)).await);
    assert_eq!(items["data"].as_array().unwrap().len(), 2, "{items}");
}

#[tokio::test]
async fn a_route_over_providers_with_a_memory_continues_where_the_response_is_kept() {
    let settings =
        "[routes.both]\ntargets = [\"full/text\", \"azu/text\"]\nstrategy = \"spread\"\n";
    let service = Service::start_with(settings).await;
    for _ in 0..4 {
        let first = ask(
            &service,
            "/v1/responses",
            &json!({"model": "both", "input": "hello"}),
        )
        .await;
        let id = id_of(&first.body);
        let body = json!({"model": "both", "input": "again", "previous_response_id": id});
        let second = ask(&service, "/v1/responses", &body).await;
        assert_eq!(second.status, 200, "{second:?}");
        let target = |answer: &Answer| {
            answer
                .headers
                .iter()
                .find(|(name, _)| name == "x-tollgate-target")
                .unwrap()
                .1
                .clone()
        };
        assert_eq!(target(&first), target(&second));
    }
}

#[tokio::test]
async fn a_file_of_another_key_cannot_be_used_in_a_request() {
    let service = Service::start().await;
    let parts = [
        ("name=\"purpose\"", "user_data"),
        ("name=\"file\"; filename=\"a.txt\"", "secret"),
    ];
    let made = service
        .raw(&form(&service, "/v1/files?provider=full", &parts))
        .await;
    let file = read(&made)["id"].clone();
    let body = json!({"model": "full/text", "input": [{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]});
    let text = body.to_string();
    let foreign = format!(
        "POST /v1/responses HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        service.other_key.expose(),
        text.len()
    );
    let refused = service.raw(&foreign).await;
    assert_eq!(refused.status, 404, "{refused:?}");
    assert!(
        service
            .openai
            .records()
            .iter()
            .all(|record| !record.path.ends_with("/responses"))
    );
}

#[tokio::test]
async fn parallel_additions_to_a_conversation_are_all_kept() {
    let service = Service::start().await;
    let id = read(&ask(&service, "/v1/conversations", &json!({})).await)["id"].clone();
    let path = format!("/v1/conversations/{}/items", id.as_str().unwrap());
    let body = json!({"items": [{"role": "user", "content": "one"}]});
    let adding = (0..20).map(|_| ask(&service, &path, &body));
    for added in join_all(adding).await {
        assert_eq!(added.status, 200, "{added:?}");
    }
    let list = get(&service, "GET", &format!("{path}?limit=100"));
    let items = read(&service.raw(&list).await);
    assert_eq!(items["data"].as_array().unwrap().len(), 20);
}

/// All of them at the same time.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in pending.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                *done = Some(value);
            }
        }
        if pending.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pending.into_iter().filter_map(|(_, done)| done).collect()
}
