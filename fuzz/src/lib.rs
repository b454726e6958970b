//! What the targets share.

pub mod model_file;

use bytes::Bytes;
use tollgate_dialect::{
    Dialect,
    frame::{Frame, SseFramer},
};

pub const DIALECTS: [Dialect; 8] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiCompletions,
    Dialect::OpenAiEmbeddings,
    Dialect::OpenAiResponses,
    Dialect::AnthropicMessages,
    Dialect::GeminiGenerate,
    Dialect::GeminiEmbed,
    Dialect::GeminiBatchEmbed,
];

/// The dialects that a conversation is translated between.
pub const CONVERSATIONS: [Dialect; 4] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::AnthropicMessages,
    Dialect::GeminiGenerate,
];

/// Gemini's own word for a call that the model wrote wrongly: its reader takes it for the failure it is.
pub fn is_malformed(reply: &[u8]) -> bool {
    reply.windows(23).any(|bytes| bytes == b"MALFORMED_FUNCTION_CALL")
}

/// The dialect that the first byte picks, and the rest of the input.
pub fn pick(data: &[u8]) -> Option<(Dialect, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((DIALECTS[usize::from(*first) % DIALECTS.len()], rest))
}

/// The frames of these chunks; fewer when one of them is too large.
pub fn frames<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Bytes) {
    let mut framer = SseFramer::default();
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.push(Bytes::copy_from_slice(chunk));
        while let Ok(Some(frame)) = framer.next_frame() {
            frames.push(frame);
        }
    }
    framer.end();
    while let Ok(Some(frame)) = framer.next_frame() {
        frames.push(frame);
    }
    (frames, framer.rest())
}
