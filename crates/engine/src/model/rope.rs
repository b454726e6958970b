//! Rotary position embedding: by which angles a head's pairs are turned, and the turning.
//!
//! The frequencies, and how files say that they are stretched, are llama.cpp's (`ggml_rope_ext`): factors for each pair
//! from a tensor (Llama 3, Phi 3), one factor for all (`linear`), or none.

use super::family::{Family, Pairing};
use super::matrix::vector;
use super::shape::{Shape, float};
use crate::error::EngineError;
use crate::gguf::{Gguf, Value};

/// The turns of layers that see everything, and of those with a sliding window.
#[derive(Debug)]
pub(super) struct Rope {
    pairing: Pairing,
    head: usize,
    global: Vec<f32>,
    local: Option<Vec<f32>>,
    /// What turned numbers are multiplied by.
    size: f32,
}

/// Sine and cosine for each pair of each row.
pub(super) struct Angles {
    global: Vec<(f32, f32)>,
    local: Option<Vec<(f32, f32)>>,
}

// === impl Rope ===

impl Rope {
    pub(super) fn from_gguf(file: &Gguf<'_>, shape: &Shape) -> Result<Rope, EngineError> {
        let family = shape.family;
        let rotated = file
            .optional_count(&family.key("rope.dimension_count"))?
            .map_or(shape.head, |n| n as usize);
        if rotated == 0 || rotated % 2 != 0 || rotated > shape.head {
            return Err(EngineError::corrupt(format!(
                "RoPE turns {rotated} of the {} numbers of a head",
                shape.head
            )));
        }
        let stretch = stretch(file, family)?;
        let base = file
            .optional_float(&family.key("rope.freq_base"))?
            .unwrap_or(10_000.0);
        let mut global = turns(base, rotated, stretch);
        if let Some(factors) = factors(file, shape, rotated / 2)? {
            for (turn, factor) in global.iter_mut().zip(factors) {
                *turn /= factor;
            }
        }
        // Gemma 3's sliding layers have a base of their own, which its files need not name, and are never stretched.
        let local = match file.optional_float(&family.key("rope.freq_base_swa"))? {
            Some(base) => Some(turns(base, rotated, 1.0)),
            None if family.name == "gemma3" => Some(turns(10_000.0, rotated, 1.0)),
            None => None,
        };
        Ok(Rope {
            pairing: family.pairing,
            head: shape.head,
            global,
            local,
            size: float(file, &family.key("rope.scaling.attn_factor"))?.unwrap_or(1.0),
        })
    }

    /// Every number of a head is turned, in halves, by the angles that the base gives.
    pub(super) fn plain(head: usize, base: f64) -> Rope {
        Rope {
            pairing: Pairing::Halves,
            head,
            global: turns(base, head, 1.0),
            local: None,
            size: 1.0,
        }
    }

    pub(super) fn angles(&self, positions: &[usize]) -> Angles {
        let angles = |turns: &[f32]| {
            positions
                .iter()
                .flat_map(|position| {
                    #[expect(clippy::cast_precision_loss, reason = "positions are below 2^24")]
                    turns
                        .iter()
                        .map(move |turn| (turn * *position as f32).sin_cos())
                })
                .map(|(sin, cos)| (sin * self.size, cos * self.size))
                .collect()
        };
        Angles {
            global: angles(&self.global),
            local: self.local.as_deref().map(angles),
        }
    }

    /// Turns every head of every row.
    pub(super) fn rotate(&self, x: &mut [f32], n_heads: usize, angles: &Angles, is_local: bool) {
        let angles = match &angles.local {
            Some(local) if is_local => local,
            _ => &angles.global,
        };
        let n_pairs = self.global.len();
        for (row, angles) in x
            .chunks_exact_mut(self.head * n_heads)
            .zip(angles.chunks_exact(n_pairs))
        {
            for head in row.chunks_exact_mut(self.head) {
                match self.pairing {
                    Pairing::Neighbours => {
                        for (pair, angle) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                            [pair[0], pair[1]] = turned(pair[0], pair[1], *angle);
                        }
                    }
                    Pairing::Halves => {
                        let (first, second) = head.split_at_mut(n_pairs);
                        for ((a, b), angle) in first.iter_mut().zip(second).zip(angles) {
                            [*a, *b] = turned(*a, *b, *angle);
                        }
                    }
                }
            }
        }
    }
}

fn turned(a: f32, b: f32, (sin, cos): (f32, f32)) -> [f32; 2] {
    [a * cos - b * sin, a * sin + b * cos]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "angles are f32, as in the reference; a head is short"
)]
fn turns(base: f64, rotated: usize, stretch: f64) -> Vec<f32> {
    (0..rotated / 2)
        .map(|i| (base.powf(-((2 * i) as f64) / rotated as f64) / stretch) as f32)
        .collect()
}

/// By how much all positions are drawn together.
fn stretch(file: &Gguf<'_>, family: Family) -> Result<f64, EngineError> {
    let kind = family.key("rope.scaling.type");
    let factor = match file.optional_float(&family.key("rope.scaling.factor"))? {
        Some(factor) => Some(factor),
        None => file.optional_float(&family.key("rope.scale_linear"))?,
    };
    match file.value(&kind) {
        // Files without a type have one factor for all, and most of them none.
        None | Some(Value::Text("linear")) => match factor.unwrap_or(1.0) {
            factor if factor > 0.0 => Ok(factor),
            0.0 => Ok(1.0),
            _ => Err(EngineError::corrupt("RoPE's scaling factor is negative")),
        },
        Some(Value::Text("none" | "longrope" | "su")) => Ok(1.0),
        Some(other) => Err(EngineError::unsupported_model(format!(
            "it scales RoPE ({kind} is {other:?}); none, linear and longrope are computed"
        ))),
    }
}

/// A divisor for each pair. Of a long and a short list, the long one is for windows beyond that of the training.
fn factors(
    file: &Gguf<'_>,
    shape: &Shape,
    n_pairs: usize,
) -> Result<Option<Vec<f32>>, EngineError> {
    let original =
        file.optional_count(&shape.family.key("rope.scaling.original_context_length"))?;
    let name = match original {
        Some(original) if shape.window > original => "rope_factors_long.weight",
        _ => "rope_factors_short.weight",
    };
    let Some(tensor) = file
        .tensor(name)
        .or_else(|| file.tensor("rope_freqs.weight"))
    else {
        return Ok(None);
    };
    let factors = vector(tensor, n_pairs)?;
    if factors
        .iter()
        .any(|factor| *factor <= 0.0 || factor.is_nan())
    {
        return Err(EngineError::corrupt(format!(
            "the tensor {} has a factor that is not positive",
            tensor.name
        )));
    }
    Ok(Some(factors))
}
