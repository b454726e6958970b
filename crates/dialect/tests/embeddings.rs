//! Embeddings from each dialect to each other one, requests and replies.
#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

use bytes::Bytes;
use tollgate_base::{Provenance, Result};
use tollgate_dialect::{
    Dialect, EncodeOptions, ModelTraits, Quirks, RawObject, Rendered, Target, patch_request,
    read_head, read_reply, render_embeddings, translate_embeddings_reply,
};

use Dialect::{GeminiBatchEmbed, GeminiEmbed, OpenAiEmbeddings};

fn raw(text: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn with_target<T>(quirks: &Quirks, then: impl FnOnce(Target<'_>) -> T) -> T {
    let traits = ModelTraits::default();
    then(Target {
        model: "target",
        traits: &traits,
        quirks,
        max_output: None,
    })
}

fn rendered(from: Dialect, body: &str, to: Dialect) -> Result<Rendered> {
    with_target(&Quirks::default(), |target| {
        render_embeddings(from, &raw(body), to, target)
    })
}

#[track_caller]
fn check(from: Dialect, body: &str, to: Dialect, expect: &str, losses: &[&str]) {
    let rendered = rendered(from, body, to).unwrap();
    assert_eq!(std::str::from_utf8(&rendered.body).unwrap(), expect);
    let lost: Vec<&str> = rendered.losses.iter().map(|loss| &*loss.field).collect();
    assert_eq!(lost, losses);
}

#[test]
fn openai_texts_become_a_batch() {
    check(
        OpenAiEmbeddings,
        r#"{"model":"a","input":["x","y\n"],"dimensions":256,"encoding_format":"base64","user":"u"}"#,
        GeminiBatchEmbed,
        r#"{"requests":[{"model":"models/target","content":{"parts":[{"text":"x"}]},"outputDimensionality":256},{"model":"models/target","content":{"parts":[{"text":"y\n"}]},"outputDimensionality":256}]}"#,
        &["user"],
    );
    check(
        OpenAiEmbeddings,
        r#"{"model":"a","input":"x"}"#,
        GeminiEmbed,
        r#"{"model":"models/target","content":{"parts":[{"text":"x"}]}}"#,
        &[],
    );
}

#[test]
fn gemini_texts_become_openai_input() {
    check(
        GeminiEmbed,
        r#"{"content":{"parts":[{"text":"a"},{"text":"b"}]},"task_type":"RETRIEVAL_QUERY","title":"t","output_dimensionality":64}"#,
        OpenAiEmbeddings,
        r#"{"model":"target","input":"a\nb","dimensions":64}"#,
        &["taskType", "title"],
    );
    check(
        GeminiBatchEmbed,
        r#"{"requests":[{"model":"models/a","content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]},"embedContentConfig":{"autoTruncate":true}}]}"#,
        OpenAiEmbeddings,
        r#"{"model":"target","input":["a","b"]}"#,
        &["requests[1].embedContentConfig.autoTruncate"],
    );
}

#[test]
fn the_two_forms_of_gemini_keep_what_is_their_own() {
    check(
        GeminiEmbed,
        r#"{"content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING"}"#,
        GeminiBatchEmbed,
        r#"{"requests":[{"model":"models/target","content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING"}]}"#,
        &[],
    );
}

#[test]
fn what_cannot_be_embedded_is_refused() {
    let param = |from, body: &str, to| {
        let error = rendered(from, body, to).unwrap_err();
        error.param().unwrap_or_default().to_owned()
    };
    for tokens in ["[1,2]", "[[1,2]]"] {
        let body = format!(r#"{{"model":"a","input":{tokens}}}"#);
        assert_eq!(param(OpenAiEmbeddings, &body, GeminiBatchEmbed), "input");
    }
    let two = r#"{"model":"a","input":["x","y"]}"#;
    assert_eq!(param(OpenAiEmbeddings, two, GeminiEmbed), "input");
    let image = r#"{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}}"#;
    assert_eq!(
        param(GeminiEmbed, image, OpenAiEmbeddings),
        "content.parts[0]"
    );
    let uneven = r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]},"outputDimensionality":5}]}"#;
    assert_eq!(
        param(GeminiBatchEmbed, uneven, OpenAiEmbeddings),
        "requests[1].outputDimensionality"
    );
}

#[test]
fn heads_are_checked() {
    for (body, param) in [
        (r#"{"model":"m"}"#, "content"),
        (r#"{"content":{"parts":[]}}"#, "content.parts"),
        (
            r#"{"content":{"parts":[{"text":"a"}]},"outputDimensionality":0}"#,
            "outputDimensionality",
        ),
        (r#"{"requests":[]}"#, "requests"),
        (r#"{"requests":[{}]}"#, "requests[0].content"),
    ] {
        let error = read_head(GeminiEmbed, &raw(body)).unwrap_err();
        assert_eq!(error.param(), Some(param), "{body}");
    }
}

#[test]
fn a_batch_names_the_target_in_each_request_and_stays_otherwise() {
    let body = r#"{"requests":[{"model":"models/alias", "content":{"parts":[{"text":"\u00e9"}]}},{"content":{"parts":[{"text":"b"}]}}],"zz":1}"#;
    let patched = with_target(&Quirks::default(), |target| {
        patch_request(GeminiBatchEmbed, &raw(body), target).unwrap()
    });
    assert_eq!(
        patched.body,
        r#"{"requests":[{"model":"models/target", "content":{"parts":[{"text":"\u00e9"}]}},{"content":{"parts":[{"text":"b"}]},"model":"models/target"}],"zz":1}"#
    );
    let one = raw(r#"{"content":{"parts":[{"text":"b"}]}}"#);
    let patched = with_target(&Quirks::default(), |target| {
        patch_request(GeminiEmbed, &one, target).unwrap()
    });
    assert_eq!(patched.body.as_ptr(), one.bytes().as_ptr());
}

#[test]
fn a_server_with_other_habits_gets_its_own_fields() {
    let quirks = Quirks {
        dimensions_field: "output_dimension".to_owned(),
        base64_vectors: false,
        ..Quirks::default()
    };
    let body = r#"{"model":"target","input":"x","dimensions":5,"encoding_format":"base64"}"#;
    let patched = with_target(&quirks, |target| {
        patch_request(OpenAiEmbeddings, &raw(body), target).unwrap()
    });
    assert_eq!(
        patched.body,
        r#"{"model":"target","input":"x","output_dimension":5}"#
    );
    assert_eq!(patched.losses.len(), 1);
    assert_eq!(patched.losses[0].field, "encoding_format");
}

fn translated(wire: Dialect, body: &str, to: Dialect, asked: &str) -> (String, u64) {
    let options = EncodeOptions {
        request: Some(raw(asked)),
        ..EncodeOptions::default()
    };
    let body = Bytes::copy_from_slice(body.as_bytes());
    let (out, reading) = translate_embeddings_reply(wire, &body, to, &options).unwrap();
    let usage = reading.usage;
    let is_said = usage.provenance == Provenance::Reported;
    let tokens = if is_said { usage.input } else { u64::MAX };
    (String::from_utf8(out.to_vec()).unwrap(), tokens)
}

const BATCH: &str = r#"{"embeddings":[{"values":[0.5,-1.25]},{"values":[0.1,2]}],"usageMetadata":{"promptTokenCount":7}}"#;

#[test]
fn vectors_come_in_the_form_that_was_asked_for() {
    let asked = r#"{"model":"alias","input":["x","y"]}"#;
    let (body, tokens) = translated(GeminiBatchEmbed, BATCH, OpenAiEmbeddings, asked);
    assert_eq!(
        body,
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1.25]},{"object":"embedding","index":1,"embedding":[0.1,2]}],"model":"alias","usage":{"prompt_tokens":7,"total_tokens":7}}"#
    );
    assert_eq!(tokens, 7);
    let asked = r#"{"model":"alias","input":["x","y"],"encoding_format":"base64"}"#;
    let (body, _) = translated(GeminiBatchEmbed, BATCH, OpenAiEmbeddings, asked);
    // 0.5 and -1.25 as 32-bit floats, the lowest byte first.
    assert!(body.contains(r#""embedding":"AAAAPwAAoL8=""#), "{body}");
}

#[test]
fn base64_becomes_numbers_and_the_order_is_that_of_the_texts() {
    let reply = r#"{"object":"list","data":[{"object":"embedding","index":1,"embedding":[1.0]},{"object":"embedding","index":0,"embedding":"AAAAPwAAoL8="}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
    let (body, _) = translated(OpenAiEmbeddings, reply, GeminiBatchEmbed, "{}");
    assert_eq!(
        body,
        r#"{"embeddings":[{"values":[0.5,-1.25]},{"values":[1.0]}],"usageMetadata":{"promptTokenCount":3}}"#
    );
}

#[test]
fn one_text_gets_one_vector() {
    let one = r#"{"object":"list","data":[{"embedding":[1]}],"model":"m"}"#;
    let (body, tokens) = translated(OpenAiEmbeddings, one, GeminiEmbed, "{}");
    assert_eq!(body, r#"{"embedding":{"values":[1]}}"#);
    assert_eq!(tokens, u64::MAX);
    let body = Bytes::from_static(BATCH.as_bytes());
    let options = EncodeOptions::default();
    let error =
        translate_embeddings_reply(GeminiBatchEmbed, &body, GeminiEmbed, &options).unwrap_err();
    assert_eq!(error.code(), "upstream_invalid");
}

#[test]
fn a_reply_without_vectors_is_an_error() {
    for body in [
        r#"{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT"}}"#,
        r#"{"hello":1}"#,
        "[]",
    ] {
        let body = Bytes::copy_from_slice(body.as_bytes());
        assert!(read_reply(GeminiEmbed, &body).is_err());
        let options = EncodeOptions::default();
        assert!(
            translate_embeddings_reply(GeminiEmbed, &body, OpenAiEmbeddings, &options).is_err()
        );
    }
}
