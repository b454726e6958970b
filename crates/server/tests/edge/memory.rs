//! What the gateway remembers of responses and conversations.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write requests as they read"
)]

use serde_json::json;

use crate::{
    asks::{as_key, ask, get, id_of, read},
    support::{Answer, Service},
};

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
