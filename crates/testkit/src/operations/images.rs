//! Images: generated, edited, varied. Each is the same single pixel.

use serde_json::Value;

use super::form::Form;
use super::{Said, check_fields, check_option, event, is_on, number};
use crate::ask::words;
use crate::clock::unix_seconds;
use crate::json::quote;
use crate::openai::check::{Checked, refuse};

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// What one image costs.
const IMAGE_TOKENS: u64 = 272;

pub(super) const GENERATION_FIELDS: &[&str] = &[
    "background",
    "model",
    "moderation",
    "n",
    "output_compression",
    "output_format",
    "partial_images",
    "prompt",
    "quality",
    "response_format",
    "size",
    "stream",
    "style",
    "user",
];
pub(super) const EDIT_FIELDS: &[&str] = &[
    "background",
    "image",
    "input_fidelity",
    "mask",
    "model",
    "n",
    "output_compression",
    "output_format",
    "partial_images",
    "prompt",
    "quality",
    "response_format",
    "size",
    "stream",
    "user",
];
pub(super) const VARIATION_FIELDS: &[&str] =
    &["image", "model", "n", "response_format", "size", "user"];

pub(super) fn generations(body: &Value, model: &str) -> Checked<Said> {
    check_fields(body, GENERATION_FIELDS, &["prompt"])?;
    answer(body, model, "image_generation", 0)
}

pub(super) fn edits(body: &Value, form: Option<&Form<'_>>, model: &str) -> Checked<Said> {
    check_fields(body, EDIT_FIELDS, &["image", "prompt"])?;
    answer(body, model, "image_edit", files(form, "image")?)
}

pub(super) fn variations(body: &Value, form: Option<&Form<'_>>, model: &str) -> Checked<Said> {
    check_fields(body, VARIATION_FIELDS, &["image"])?;
    answer(body, model, "image_variation", files(form, "image")?)
}

/// How many files came in a field; none is refused.
fn files(form: Option<&Form<'_>>, field: &str) -> Checked<u64> {
    let n = form.map_or(0, |form| {
        form.files.iter().filter(|part| part.field == field).count()
    });
    if n > 0 {
        return Ok(n as u64);
    }
    refuse(
        field,
        "invalid_type",
        format!("Invalid type for '{field}': expected a file in a multipart form."),
    )
}

fn answer(body: &Value, model: &str, kind: &str, n_inputs: u64) -> Checked<Said> {
    check_option(body, "response_format", &["url", "b64_json"])?;
    check_option(
        body,
        "quality",
        &[
            "auto", "low", "medium", "high", "standard", "hd", "xhigh", "max",
        ],
    )?;
    check_option(body, "output_format", &["png", "jpeg", "webp"])?;
    let n = number(body, "n", 1, 10)?.max(1);
    let partial = number(body, "partial_images", 0, 3)?;
    let is_dall_e = model.starts_with("dall-e");
    if !is_dall_e && !body["response_format"].is_null() {
        return refuse(
            "response_format",
            "unknown_parameter",
            "Unknown parameter: 'response_format'.",
        );
    }
    let input = words(body["prompt"].as_str().unwrap_or_default());
    let images = n_inputs * IMAGE_TOKENS;
    let output = n * IMAGE_TOKENS;
    let usage = format!(
        r#"{{"input_tokens":{},"input_tokens_details":{{"image_tokens":{images},"text_tokens":{input}}},"output_tokens":{output},"total_tokens":{}}}"#,
        input + images,
        input + images + output
    );
    let created = unix_seconds();
    let look = r#""background":"opaque","output_format":"png","quality":"high","size":"1024x1024""#;
    if is_on(body, "stream") {
        let shared = format!(r#""b64_json":"{PIXEL}","created_at":{created},{look}"#);
        let mut events: Vec<String> = (0..partial)
            .map(|index| {
                event(
                    &format!("{kind}.partial_image"),
                    &format!(r#"{shared},"partial_image_index":{index}"#),
                )
            })
            .collect();
        events.push(event(
            &format!("{kind}.completed"),
            &format!(r#"{shared},"usage":{usage}"#),
        ));
        return Ok(Said::events(events, input + images, output));
    }
    let is_url = is_dall_e && body["response_format"] != "b64_json";
    let revised = match model {
        "dall-e-3" => format!(r#","revised_prompt":{}"#, quote("A revised prompt.")),
        _ => String::new(),
    };
    let rows: Vec<String> = (0..n)
        .map(|index| {
            if is_url {
                format!(r#"{{"url":"https://example.com/image-{index}.png"{revised}}}"#)
            } else {
                format!(r#"{{"b64_json":"{PIXEL}"{revised}}}"#)
            }
        })
        .collect();
    let rest = if is_dall_e {
        String::new()
    } else {
        format!(r#",{look},"usage":{usage}"#)
    };
    let text = format!(
        r#"{{"created":{created},"data":[{}]{rest}}}"#,
        rows.join(",")
    );
    Ok(Said::json(text, input + images, output))
}
