//! Audio: transcribed, translated, spoken. What is heard is always the short text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::form::Form;
use super::{Said, check_fields, check_option, event, is_on};
use crate::ask::words;
use crate::builtin::SHORT_TEXT;
use crate::json::quote;
use crate::openai::check::{Checked, refuse};
use crate::turn::{Frame, Role, pieces};

/// Tokens of any recording, and its length.
const AUDIO_TOKENS: u64 = 30;
const SECONDS: u64 = 3;
/// Speech comes in this many pieces of this many bytes.
const SPEECH_PIECES: usize = 4;
const PIECE_BYTES: usize = 1024;

pub(super) const TRANSCRIPTION_FIELDS: &[&str] = &[
    "chunking_strategy",
    "file",
    "include",
    "keywords",
    "known_speaker_names",
    "known_speaker_references",
    "language",
    "languages",
    "model",
    "prompt",
    "response_format",
    "stream",
    "temperature",
    "timestamp_granularities",
];
pub(super) const TRANSLATION_FIELDS: &[&str] =
    &["file", "model", "prompt", "response_format", "temperature"];
pub(super) const SPEECH_FIELDS: &[&str] = &[
    "input",
    "instructions",
    "model",
    "response_format",
    "speed",
    "stream_format",
    "voice",
];

pub(super) fn transcriptions(body: &Value, form: Option<&Form<'_>>, model: &str) -> Checked<Said> {
    check_fields(body, TRANSCRIPTION_FIELDS, &["file", "model"])?;
    check_recording(form)?;
    check_option(
        body,
        "response_format",
        &[
            "json",
            "text",
            "srt",
            "verbose_json",
            "vtt",
            "diarized_json",
        ],
    )?;
    let is_whisper = model.starts_with("whisper");
    let format = body["response_format"].as_str().unwrap_or("json");
    if !is_whisper && matches!(format, "srt" | "verbose_json" | "vtt") {
        return refuse(
            "response_format",
            "unsupported_value",
            format!(
                "response_format '{format}' is not compatible with model '{model}'. Use 'json' or 'text' instead."
            ),
        );
    }
    if !body["timestamp_granularities"].is_null() && format != "verbose_json" {
        return refuse(
            "timestamp_granularities",
            "",
            "timestamp_granularities is only supported with response_format 'verbose_json'.",
        );
    }
    let output = words(SHORT_TEXT);
    let tokens = format!(
        r#"{{"type":"tokens","input_tokens":{AUDIO_TOKENS},"input_token_details":{{"text_tokens":0,"audio_tokens":{AUDIO_TOKENS}}},"output_tokens":{output},"total_tokens":{}}}"#,
        AUDIO_TOKENS + output
    );
    let duration = format!(r#"{{"type":"duration","seconds":{SECONDS}}}"#);
    // Whisper ignores `stream`, as documented.
    if is_on(body, "stream") && !is_whisper {
        let mut events: Vec<String> = pieces(SHORT_TEXT)
            .map(|piece| {
                event(
                    "transcript.text.delta",
                    &format!(r#""delta":{}"#, quote(piece)),
                )
            })
            .collect();
        let done = format!(r#""text":{},"usage":{tokens}"#, quote(SHORT_TEXT));
        events.push(event("transcript.text.done", &done));
        return Ok(Said::events(events, AUDIO_TOKENS, output));
    }
    let usage = if is_whisper { duration } else { tokens };
    written(format, &format!(r#","usage":{usage}"#), "english")
}

pub(super) fn translations(body: &Value, form: Option<&Form<'_>>) -> Checked<Said> {
    check_fields(body, TRANSLATION_FIELDS, &["file", "model"])?;
    check_recording(form)?;
    let formats = ["json", "text", "srt", "verbose_json", "vtt"];
    check_option(body, "response_format", &formats)?;
    written(
        body["response_format"].as_str().unwrap_or("json"),
        "",
        "english",
    )
}

fn check_recording(form: Option<&Form<'_>>) -> Checked<()> {
    let file = form.and_then(|form| form.files.iter().find(|part| part.field == "file"));
    match file {
        Some(part) if part.data.is_empty() => refuse(
            "file",
            "",
            "The audio file is empty. Minimum audio length is 0.1 seconds.",
        ),
        Some(_) => Ok(()),
        None => refuse(
            "file",
            "invalid_type",
            "Invalid type for 'file': expected a file in a multipart form.",
        ),
    }
}

/// The text in the wanted form.
fn written(format: &str, usage: &str, language: &str) -> Checked<Said> {
    let output = words(SHORT_TEXT);
    let text = quote(SHORT_TEXT);
    let plain = |content_type, text: String| {
        Ok(Said {
            content_type,
            ..Said::json(text, AUDIO_TOKENS, output)
        })
    };
    match format {
        "text" => plain("text/plain; charset=utf-8", format!("{SHORT_TEXT}\n")),
        "srt" => plain(
            "text/plain; charset=utf-8",
            format!("1\n00:00:00,000 --> 00:00:03,000\n{SHORT_TEXT}\n\n"),
        ),
        "vtt" => plain(
            "text/vtt; charset=utf-8",
            format!("WEBVTT\n\n00:00:00.000 --> 00:00:03.000\n{SHORT_TEXT}\n\n"),
        ),
        "verbose_json" => Ok(Said::json(
            format!(
                r#"{{"language":"{language}","duration":{SECONDS}.0,"text":{text},"segments":[{{"id":0,"seek":0,"start":0.0,"end":{SECONDS}.0,"text":{text},"tokens":[1,2,3],"temperature":0.0,"avg_logprob":-0.1,"compression_ratio":1.0,"no_speech_prob":0.01}}]{usage}}}"#
            ),
            AUDIO_TOKENS,
            output,
        )),
        _ => Ok(Said::json(
            format!(r#"{{"text":{text}{usage}}}"#),
            AUDIO_TOKENS,
            output,
        )),
    }
}

/// Made-up audio: bytes that are no text, the same each time.
fn speech_piece(index: usize) -> Vec<u8> {
    (0..PIECE_BYTES)
        .map(|at| u8::try_from((at * 7 + index * 31) % 256).unwrap_or_default())
        .collect()
}

pub(super) fn speech(body: &Value) -> Checked<Said> {
    check_fields(body, SPEECH_FIELDS, &["input", "model", "voice"])?;
    let formats = ["mp3", "opus", "aac", "flac", "wav", "pcm"];
    check_option(body, "response_format", &formats)?;
    check_option(body, "stream_format", &["sse", "audio"])?;
    let text = body["input"].as_str().unwrap_or_default();
    if text.is_empty() || text.chars().count() > 4096 {
        return refuse(
            "input",
            "string_above_max_length",
            "Invalid 'input': expected a string of 1 to 4096 characters.",
        );
    }
    let input = words(text);
    let output = SPEECH_PIECES as u64;
    if body["stream_format"] == "sse" {
        let mut events: Vec<String> = (0..SPEECH_PIECES)
            .map(|index| {
                let audio = STANDARD.encode(speech_piece(index));
                event("speech.audio.delta", &format!(r#""audio":"{audio}""#))
            })
            .collect();
        let usage = format!(
            r#""usage":{{"input_tokens":{input},"output_tokens":{output},"total_tokens":{}}}"#,
            input + output
        );
        events.push(event("speech.audio.done", &usage));
        return Ok(Said::events(events, input, output));
    }
    let content_type = match body["response_format"].as_str().unwrap_or("mp3") {
        "opus" => "audio/opus",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "pcm" => "audio/pcm",
        _ => "audio/mpeg",
    };
    let frames = (0..SPEECH_PIECES)
        .map(|index| Frame {
            bytes: speech_piece(index),
            role: Role::Content,
            output: 1,
            reasoning: 0,
        })
        .collect();
    Ok(Said {
        content_type,
        frames,
        is_stream: true,
        input,
        output,
    })
}
