//! OpenAI's other operations: shapes by the OpenAPI document, uploads that arrive whole, jobs from file to model.

use crate::client::{Reply, exchange, post, request};
use crate::shapes::Schemas;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tollgate_testkit::{Dialect, SHORT_TEXT, TestProvider};

const OPERATIONS: &str = include_str!("../../schemas/openai-operations.json");

async fn send(provider: &TestProvider, method: &str, path: &str) -> Reply {
    exchange(
        provider.addr(),
        &request(method, path, "", "connection: close\r\n"),
    )
    .await
}

/// Posts a form; a field whose name ends in `@` is a file.
async fn form(provider: &TestProvider, path: &str, fields: &[(&str, &[u8])]) -> Reply {
    let mut body = Vec::new();
    for (name, value) in fields {
        let head = match name.strip_suffix('@') {
            Some(name) => format!(
                "--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a \u{fc}.bin\"\r\nContent-Type: audio/wav\r\n\r\n"
            ),
            None => format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n"),
        };
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XyZ--\r\n");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer test-key\r\ncontent-type: multipart/form-data; boundary=XyZ\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange(provider.addr(), &[head.as_bytes(), &body].concat()).await
}

/// Bytes of every value, line ends and near-boundaries among them.
fn awkward(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = b"\r\n--Xy\r\n\r\n--\0".to_vec();
    bytes.extend((0..len).map(|at| u8::try_from(at % 251).unwrap_or(0)));
    bytes
}

#[tokio::test]
async fn uploads_arrive_whole_and_come_back_whole() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(OPERATIONS);
    let content = awkward(3_000_000);
    let made = form(
        &provider,
        "/v1/files",
        &[("purpose", b"user_data"), ("file@", &content)],
    )
    .await
    .json();
    schemas.check("OpenAIFile", &made);
    assert_eq!(made["bytes"], content.len());
    let id = made["id"].as_str().unwrap();
    let record = provider
        .wait_for_end(|record| !record.files.is_empty())
        .await;
    let file = &record.files[0];
    let hash: String = Sha256::digest(&content)
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(
        (
            file.field.as_str(),
            file.filename.as_str(),
            file.bytes,
            &file.sha256
        ),
        ("file", "a \u{fc}.bin", content.len() as u64, &hash)
    );
    assert_eq!(record.body["purpose"], "user_data");
    assert_eq!(
        send(&provider, "GET", &format!("/v1/files/{id}/content"))
            .await
            .body,
        content
    );
    schemas.check(
        "OpenAIFile",
        &send(&provider, "GET", &format!("/v1/files/{id}"))
            .await
            .json(),
    );
    let list = send(&provider, "GET", "/v1/files?purpose=user_data")
        .await
        .json();
    schemas.check("ListFilesResponse", &list);
    assert_eq!(list["data"][0]["id"], id);
    let deleted = send(&provider, "DELETE", &format!("/v1/files/{id}"))
        .await
        .json();
    schemas.check("DeleteFileResponse", &deleted);
    assert_eq!(
        send(&provider, "GET", &format!("/v1/files/{id}/content"))
            .await
            .status,
        404
    );
    let refused = form(
        &provider,
        "/v1/files",
        &[("purpose", b"nonsense"), ("file@", b"x")],
    )
    .await;
    assert_eq!(refused.status, 400);
    let extra = form(
        &provider,
        "/v1/files",
        &[("purpose", b"batch"), ("file@", b"x"), ("more", b"y")],
    )
    .await;
    assert!(extra.text().contains("Unknown parameter: 'more'."));
}

#[tokio::test]
async fn images_have_openai_shape() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(OPERATIONS);
    let body = json!({"model": "gpt-image-1", "prompt": "a cat", "n": 2});
    let made = post(&provider, "/v1/images/generations", &body)
        .await
        .json();
    schemas.check("ImagesResponse", &made);
    assert_eq!(made["data"].as_array().map(Vec::len), Some(2));
    let body =
        json!({"model": "gpt-image-1", "prompt": "a cat", "stream": true, "partial_images": 2});
    let streamed = post(&provider, "/v1/images/generations", &body).await;
    let events = streamed.events();
    assert_eq!((events.len(), streamed.is_whole), (3, true));
    for event in &events {
        schemas.check("ImageGenStreamEvent", event);
    }
    let fields: &[(&str, &[u8])] = &[
        ("model", b"gpt-image-1"),
        ("prompt", b"hat"),
        ("image[]@", b"1"),
        ("image[]@", b"2"),
    ];
    let edited = form(&provider, "/v1/images/edits", fields).await;
    schemas.check("ImagesResponse", &edited.json());
    assert_eq!(
        provider
            .wait_for_end(|record| record.path.ends_with("edits"))
            .await
            .files
            .len(),
        2
    );
    let fields: &[(&str, &[u8])] = &[
        ("model", b"gpt-image-1"),
        ("prompt", b"hat"),
        ("image@", b"1"),
        ("stream", b"true"),
    ];
    for event in form(&provider, "/v1/images/edits", fields).await.events() {
        schemas.check("ImageEditStreamEvent", &event);
    }
    let varied = form(&provider, "/v1/images/variations", &[("image@", b"1")])
        .await
        .json();
    schemas.check("ImagesResponse", &varied);
    assert!(varied["data"][0]["url"].is_string());
    let refused = post(
        &provider,
        "/v1/images/generations",
        &json!({"prompt": "x", "nonsense": 1}),
    )
    .await;
    assert_eq!(refused.json()["error"]["code"], "unknown_parameter");
}

#[tokio::test]
async fn audio_is_heard_and_spoken() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(OPERATIONS);
    let at = "/v1/audio/transcriptions";
    let heard = |format: &'static str, model: &'static str| {
        let provider = &provider;
        async move {
            form(
                provider,
                at,
                &[
                    ("model", model.as_bytes()),
                    ("response_format", format.as_bytes()),
                    ("file@", b"RIFF"),
                ],
            )
            .await
        }
    };
    for model in ["whisper-1", "gpt-4o-transcribe"] {
        let json = heard("json", model).await.json();
        schemas.check("CreateTranscriptionResponseJson", &json);
        assert_eq!(json["text"], SHORT_TEXT);
    }
    schemas.check(
        "CreateTranscriptionResponseVerboseJson",
        &heard("verbose_json", "whisper-1").await.json(),
    );
    assert_eq!(heard("text", "whisper-1").await.text().trim(), SHORT_TEXT);
    assert!(heard("vtt", "whisper-1").await.text().starts_with("WEBVTT"));
    assert_eq!(heard("srt", "gpt-4o-transcribe").await.status, 400);
    let fields: &[(&str, &[u8])] = &[
        ("model", b"gpt-4o-transcribe"),
        ("stream", b"true"),
        ("file@", b"RIFF"),
    ];
    let events = form(&provider, at, fields).await.events();
    for event in &events {
        schemas.check("CreateTranscriptionResponseStreamEvent", event);
    }
    assert_eq!(events.last().unwrap()["text"], SHORT_TEXT);
    let translated = form(
        &provider,
        "/v1/audio/translations",
        &[("model", b"whisper-1"), ("file@", b"RIFF")],
    )
    .await;
    schemas.check("CreateTranslationResponseJson", &translated.json());
    let fields: &[(&str, &[u8])] = &[
        ("model", b"whisper-1"),
        ("response_format", b"verbose_json"),
        ("file@", b"RIFF"),
    ];
    schemas.check(
        "CreateTranslationResponseVerboseJson",
        &form(&provider, "/v1/audio/translations", fields)
            .await
            .json(),
    );
    assert_eq!(
        form(&provider, at, &[("model", b"whisper-1")]).await.status,
        400
    );

    let mut body = json!({"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello", "response_format": "wav"});
    let spoken = post(&provider, "/v1/audio/speech", &body).await;
    assert_eq!(
        (
            spoken.header("content-type"),
            spoken.body.len(),
            spoken.is_whole
        ),
        (Some("audio/wav"), 4096, true)
    );
    body["stream_format"] = json!("sse");
    let events = post(&provider, "/v1/audio/speech", &body).await.events();
    for event in &events {
        schemas.check("CreateSpeechResponseStreamEvent", event);
    }
    assert_eq!(events.len(), 5);
}

#[tokio::test]
async fn verdicts_and_ranks_follow_the_words() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let body = json!({"input": ["peace", "violence"]});
    let verdicts = post(&provider, "/v1/moderations", &body).await.json();
    Schemas::new(OPERATIONS).check("CreateModerationResponse", &verdicts);
    assert_eq!(
        (
            &verdicts["results"][0]["flagged"],
            &verdicts["results"][1]["categories"]["violence"]
        ),
        (&json!(false), &json!(true))
    );
    let body = json!({"model": "rerank-v3.5", "query": "capital of France", "documents": ["Berlin", "Paris is the capital of France", "a capital"], "top_n": 2});
    for path in ["/v1/rerank", "/v2/rerank"] {
        let ranked = post(&provider, path, &body).await.json();
        let order: Vec<&Value> = ranked["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["index"])
            .collect();
        assert_eq!(order, [1, 2], "{path}");
    }
    let refused = post(
        &provider,
        "/v2/rerank",
        &json!({"model": "m", "query": "q"}),
    )
    .await;
    assert!(refused.status == 400 && refused.json()["message"].is_string());
    let embed = json!({"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query", "output_dimension": 8});
    let vectors = post(&provider, "/v2/embed", &embed).await.json();
    assert_eq!(
        vectors["embeddings"]["float"][1].as_array().map(Vec::len),
        Some(8)
    );
    let mistral = json!({"model": "mistral-embed", "input": "a", "output_dimension": 8});
    let vectors = post(&provider, "/v1/embeddings", &mistral).await.json();
    assert_eq!(
        vectors["data"][0]["embedding"].as_array().map(Vec::len),
        Some(8)
    );
    let foreign = json!({"model": "mistral-embed", "input": "a", "dimensions": 8});
    let refused = post(&provider, "/v1/embeddings", &foreign).await;
    assert_eq!(
        (refused.status, &refused.json()["detail"][0]["loc"][1]),
        (422, &json!("dimensions"))
    );
}

#[tokio::test]
async fn faults_strike_operations_by_their_model() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let body = |model: &str| json!({"model": model, "prompt": "x"});
    let at = "/v1/images/generations";
    for status in [429, 200] {
        assert_eq!(
            post(&provider, at, &body("e429-once:image")).await.status,
            status
        );
    }
    let cut = post(&provider, at, &body("cut-at:40")).await;
    assert_eq!((cut.body.len(), cut.is_whole), (40, false));
}

#[tokio::test]
async fn jobs_go_from_a_file_to_a_model() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(OPERATIONS);
    let file = form(
        &provider,
        "/v1/files",
        &[("purpose", b"fine-tune"), ("file@", b"{}")],
    )
    .await
    .json();
    let body = json!({"model": "text", "training_file": file["id"], "suffix": "mine"});
    let job = post(&provider, "/v1/fine_tuning/jobs", &body).await.json();
    schemas.check("FineTuningJob", &job);
    let at = format!("/v1/fine_tuning/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(
        send(&provider, "GET", &at).await.json()["status"],
        "running"
    );
    let done = send(&provider, "GET", &at).await.json();
    schemas.check("FineTuningJob", &done);
    assert_eq!(done["status"], "succeeded");
    schemas.check(
        "ListFineTuningJobEventsResponse",
        &send(&provider, "GET", &format!("{at}/events")).await.json(),
    );
    schemas.check(
        "ListFineTuningJobCheckpointsResponse",
        &send(&provider, "GET", &format!("{at}/checkpoints"))
            .await
            .json(),
    );
    schemas.check(
        "ListPaginatedFineTuningJobsResponse",
        &send(&provider, "GET", "/v1/fine_tuning/jobs").await.json(),
    );
    assert_eq!(
        send(&provider, "POST", &format!("{at}/cancel"))
            .await
            .status,
        400
    );
    let model = done["fine_tuned_model"].as_str().unwrap();
    let chat = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
    assert!(
        post(&provider, "/v1/chat/completions", &chat)
            .await
            .text()
            .contains(SHORT_TEXT)
    );
    assert!(
        send(&provider, "GET", "/v1/models")
            .await
            .text()
            .contains(model)
    );
    let deleted = send(&provider, "DELETE", &format!("/v1/models/{model}"))
        .await
        .json();
    schemas.check("DeleteModelResponse", &deleted);
    assert_eq!(
        post(&provider, "/v1/chat/completions", &chat).await.status,
        404
    );
    assert_eq!(
        send(&provider, "DELETE", "/v1/models/text").await.status,
        404
    );
    let other = post(&provider, "/v1/fine_tuning/jobs", &body).await.json();
    let at = format!(
        "/v1/fine_tuning/jobs/{}/cancel",
        other["id"].as_str().unwrap()
    );
    assert_eq!(
        send(&provider, "POST", &at).await.json()["status"],
        "cancelled"
    );
    let missing = json!({"model": "text", "training_file": "file-none"});
    assert_eq!(
        post(&provider, "/v1/fine_tuning/jobs", &missing)
            .await
            .status,
        400
    );
}
