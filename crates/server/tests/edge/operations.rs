//! What is passed through, and whose files and jobs are whose.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write requests as they read"
)]

use serde_json::json;

use crate::{
    asks::{as_key, ask, form, get, read},
    support::Service,
};

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
