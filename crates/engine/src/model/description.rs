//! What a model is for, told from the head of its file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::encoder::{EncoderShape, Pooling};
use super::shape::Shape;
use crate::error::EngineError;
use crate::gguf::Gguf;

/// A model, without its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    pub kind: ModelKind,
    /// The most tokens of prompt and answer together, or of a text to embed.
    pub window: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// It writes text.
    Generates,
    /// It gives vectors of so many numbers.
    Embeds { dimensions: u32 },
}

/// The same, with what loading needs.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    Encoder(EncoderShape),
    /// Pools where the file says how.
    Decoder(Box<Shape>, Option<Pooling>),
}

// === impl Description ===

impl Description {
    /// Reads no more of the file than its head.
    pub fn of_file(path: &Path) -> Result<Description, EngineError> {
        read_head(path, |file, _| Description::of(file))
    }

    pub fn of(file: &Gguf<'_>) -> Result<Description, EngineError> {
        let embeds = |hidden: usize| ModelKind::Embeds {
            dimensions: u32::try_from(hidden).unwrap_or(u32::MAX),
        };
        Ok(match Plan::of(file)? {
            Plan::Encoder(shape) => Description {
                kind: embeds(shape.hidden),
                window: shape.window,
            },
            Plan::Decoder(shape, pooling) => Description {
                kind: pooling.map_or(ModelKind::Generates, |_| embeds(shape.hidden)),
                window: shape.window,
            },
        })
    }
}

// === impl Plan ===

impl Plan {
    pub(super) fn of(file: &Gguf<'_>) -> Result<Plan, EngineError> {
        let architecture = file.text("general.architecture")?;
        if EncoderShape::is_for(architecture) {
            return Ok(Plan::Encoder(EncoderShape::from_gguf(file)?));
        }
        let shape = Shape::from_gguf(file)?;
        let pooling = Pooling::from_gguf(file, architecture)?;
        Ok(Plan::Decoder(Box::new(shape), pooling))
    }
}

/// Reads as much of a file as its head needs; `of` is given the file's size too.
pub(super) fn read_head<T>(
    path: &Path,
    of: impl FnOnce(&Gguf<'_>, u64) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let unreadable = |error: std::io::Error| {
        EngineError::corrupt(format!("{} cannot be read: {error}", path.display()))
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut head = Vec::new();
    let mut n_wanted = 1_u64 << 20;
    loop {
        let n_more = n_wanted.min(size).saturating_sub(head.len() as u64);
        let mut part = Read::by_ref(&mut file).take(n_more);
        let n_read = part.read_to_end(&mut head).map_err(unreadable)?;
        match Gguf::parse_head(&head, size) {
            Ok(gguf) => return of(&gguf, size),
            // The head may go on beyond what was read.
            Err(error) if head.len() as u64 == size || n_read == 0 => return Err(error),
            Err(_) => n_wanted = n_wanted.saturating_mul(4),
        }
    }
}
