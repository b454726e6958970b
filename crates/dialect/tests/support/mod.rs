//! Fixtures: where they are, and how their results are written down.
#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

use std::{fmt::Write, fs, path::PathBuf};

use bytes::{Bytes, BytesMut};
use tollgate_dialect::{
    Decoder, Dialect, EncodeOptions, RawObject, Rendered,
    frame::{Frame, SseFramer},
    ir::Event,
};

/// The dialects that have fixtures, with their folders.
pub(crate) const FOLDERS: [(Dialect, &str); 5] = [
    (Dialect::OpenAiChat, "openai_chat"),
    (Dialect::OpenAiCompletions, "openai_completions"),
    (Dialect::OpenAiResponses, "openai_responses"),
    (Dialect::AnthropicMessages, "anthropic"),
    (Dialect::GeminiGenerate, "gemini"),
];

/// The dialects that a conversation is translated between.
pub(crate) const CONVERSATIONS: [Dialect; 4] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::AnthropicMessages,
    Dialect::GeminiGenerate,
];

/// A recorded request, reply, stream or error.
pub(crate) struct Fixture {
    pub(crate) dialect: Dialect,
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) content: Vec<u8>,
}

/// Every fixture of a kind (`request`, `response`, `stream`, `error`).
pub(crate) fn fixtures(kind: &str) -> Vec<Fixture> {
    let mut all = Vec::new();
    for (dialect, folder) in FOLDERS {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("src")
            .join(folder)
            .join("fixtures")
            .join(kind);
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths
            .iter()
            .filter(|path| path.extension().is_some_and(|ext| ext != "snap"))
        {
            all.push(Fixture {
                dialect,
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                folder: folder.clone(),
                content: fs::read(path).unwrap(),
            });
        }
    }
    assert!(!all.is_empty(), "no fixtures of kind {kind}");
    all
}

/// Figures of a usage that few calls have. Where nobody says them, a snapshot leaves them out.
const RARE: [&str; 8] = [
    "image_input: None, ",
    "image_output: None, ",
    "searches: None, ",
    "images: None, ",
    "audio_ms: None, ",
    "characters: None, ",
    "tier: Standard, ",
    "region: Global, ",
];

/// Compares with `<case>.to-<target>.snap` beside the fixture.
pub(crate) fn check(fixture: &Fixture, target: &str, result: &str) {
    let result = RARE
        .iter()
        .fold(result.to_owned(), |text, rare| text.replace(rare, ""));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&fixture.folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("{}.to-{target}", fixture.name), result));
}

/// The dialects that a fixture of this one is translated to.
pub(crate) fn others(dialect: Dialect) -> Vec<Dialect> {
    let all = CONVERSATIONS.into_iter();
    all.filter(|other| *other != dialect).collect()
}

pub(crate) fn options() -> EncodeOptions {
    EncodeOptions {
        created: 1_700_000_000,
        include_usage: true,
        id_suffix: "0123456789".to_owned(),
        ..EncodeOptions::default()
    }
}

/// One field a line, its JSON untouched; lists one item a line.
pub(crate) fn body_lines(body: &Bytes) -> String {
    let raw = RawObject::parse(body.clone()).unwrap_or_else(|error| panic!("{error}: {body:?}"));
    let mut out = String::new();
    for (name, value) in raw.fields() {
        let items: Option<Vec<&serde_json::value::RawValue>> = serde_json::from_str(value).ok();
        match items.filter(|items| items.len() > 1) {
            None => writeln!(out, "{name}: {value}").unwrap(),
            Some(items) => {
                writeln!(out, "{name}:").unwrap();
                for item in items {
                    writeln!(out, "  {}", item.get()).unwrap();
                }
            }
        }
    }
    out
}

pub(crate) fn rendered_lines(rendered: &Rendered) -> String {
    let mut out = body_lines(&rendered.body);
    for loss in &rendered.losses {
        writeln!(out, "loss: {} {:?}: {}", loss.field, loss.kind, loss.reason).unwrap();
    }
    if !rendered.names.is_empty() {
        writeln!(out, "{:?}", rendered.names).unwrap();
    }
    out
}

pub(crate) fn error_line(error: &tollgate_base::Error) -> String {
    let param = error.param().unwrap_or("-");
    let mut out = format!(
        "error: {:?} {} {param}: {}",
        error.kind(),
        error.code(),
        error.message()
    );
    if let Some(wait) = error.retry_after() {
        write!(out, " (retry after {wait:?})").unwrap();
    }
    if let Some(yes) = error.should_retry() {
        write!(out, " (should retry: {yes})").unwrap();
    }
    out + "\n"
}

/// All frames of these chunks, and what is left when the stream has ended.
pub(crate) fn frames(chunks: &[&[u8]]) -> (Vec<Frame>, Bytes) {
    let mut framer = SseFramer::default();
    let mut frames = Vec::new();
    let mut drain = |framer: &mut SseFramer| {
        while let Some(frame) = framer.next_frame().unwrap() {
            frames.push(frame);
        }
    };
    for chunk in chunks {
        framer.push(Bytes::copy_from_slice(chunk));
        drain(&mut framer);
    }
    framer.end();
    drain(&mut framer);
    let rest = framer.rest();
    (frames, rest)
}

pub(crate) fn events(decoder: &mut dyn Decoder, frames: &[Frame]) -> Vec<Event> {
    let mut events = Vec::new();
    for frame in frames {
        decoder.push(frame, &mut events);
    }
    decoder.finish(&mut events);
    events
}

/// What the caller of `dialect` gets for these events.
pub(crate) fn encoded(dialect: Dialect, options: EncodeOptions, events: &[Event]) -> BytesMut {
    let mut encoder = tollgate_dialect::encoder(dialect, options);
    let mut out = BytesMut::new();
    for event in events {
        encoder.push(event, &mut out);
    }
    encoder.finish(&mut out);
    if let Some(Event::Error(error)) = events.last() {
        out.extend_from_slice(&tollgate_dialect::render_stream_error(
            dialect, error, "req_1",
        ));
    }
    out
}
