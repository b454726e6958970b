//! The operations beside conversations and embeddings: requests that are passed through as they are.

use serde::Deserialize;

/// What a provider can do for a caller besides talking. Its path at a provider is a column of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    ImageGeneration,
    /// Multipart.
    ImageEdit,
    /// Multipart.
    ImageVariation,
    /// Multipart.
    Transcription,
    /// Multipart: speech in any language to English text.
    Translation,
    Speech,
    Moderation,
    Rerank,
    /// Uploads (multipart), lists, contents, deletion.
    Files,
    /// Jobs, their events and checkpoints.
    FineTuning,
    /// Deletes a fine-tuned model.
    DeleteModel,
}

impl Operation {
    /// The name in logs and in `providers.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::ImageGeneration => "image_generation",
            Operation::ImageEdit => "image_edit",
            Operation::ImageVariation => "image_variation",
            Operation::Transcription => "transcription",
            Operation::Translation => "translation",
            Operation::Speech => "speech",
            Operation::Moderation => "moderation",
            Operation::Rerank => "rerank",
            Operation::Files => "files",
            Operation::FineTuning => "fine_tuning",
            Operation::DeleteModel => "delete_model",
        }
    }
}
