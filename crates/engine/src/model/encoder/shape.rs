//! The sizes of an encoder, read from the file's keys and checked against each other, and how it makes one vector of many.

use crate::error::EngineError;
use crate::gguf::Gguf;
use crate::model::shape::{float, size};

/// What sets one architecture apart from the other.
#[derive(Debug, Clone, Copy)]
struct Architecture {
    /// `general.architecture`, and what its keys begin with.
    name: &'static str,
    /// Positions turn queries and keys; without it there is a learned vector for each.
    has_rope: bool,
    /// Feed-forward layers have gates with SiLU, else GELU.
    has_gates: bool,
}

const ARCHITECTURES: [Architecture; 2] = [
    Architecture {
        name: "bert",
        has_rope: false,
        has_gates: false,
    },
    Architecture {
        name: "nomic-bert",
        has_rope: true,
        has_gates: true,
    },
];

#[derive(Debug, Clone)]
pub(in crate::model) struct EncoderShape {
    pub(super) n_layers: usize,
    pub(in crate::model) hidden: usize,
    pub(super) n_heads: usize,
    pub(super) head: usize,
    pub(super) feed_forward: usize,
    /// The most tokens of a text, those around it included.
    pub(in crate::model) window: u32,
    pub(super) epsilon: f32,
    /// `None` where positions have learned vectors.
    pub(super) rope_base: Option<f64>,
    pub(super) has_gates: bool,
    pub(super) pooling: Pooling,
}

/// How the vectors of a text's tokens become one, `pooling_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Pooling {
    Mean,
    First,
    Last,
}

// === impl EncoderShape ===

impl EncoderShape {
    /// Whether the architecture is one of these.
    pub(in crate::model) fn is_for(architecture: &str) -> bool {
        ARCHITECTURES.iter().any(|known| known.name == architecture)
    }

    pub(in crate::model) fn names() -> impl Iterator<Item = &'static str> {
        ARCHITECTURES.iter().map(|known| known.name)
    }

    pub(in crate::model) fn from_gguf(file: &Gguf<'_>) -> Result<EncoderShape, EngineError> {
        let name = file.text("general.architecture")?;
        let architecture = ARCHITECTURES
            .into_iter()
            .find(|known| known.name == name)
            .ok_or_else(|| {
                EngineError::unsupported_model(format!("its architecture {name:?} is no encoder"))
            })?;
        let key = |key: &str| format!("{name}.{key}");
        let hidden = size(file, &key("embedding_length"))?;
        let n_heads = size(file, &key("attention.head_count"))?;
        if !hidden.is_multiple_of(n_heads) || !(hidden / n_heads).is_multiple_of(2) {
            return Err(EngineError::corrupt(format!(
                "{n_heads} heads do not fit into {hidden} numbers"
            )));
        }
        refuse_what_is_not_read(file, name)?;
        let n_layers = size(file, &key("block_count"))?;
        let feed_forward = size(file, &key("feed_forward_length"))?;
        // They are multiplied and used as sizes later.
        if hidden > 1 << 20 || feed_forward > 1 << 24 || n_layers > 1 << 16 {
            return Err(EngineError::corrupt("its layers are too many or too large"));
        }
        let rope_base = file.optional_float(&key("rope.freq_base"))?;
        Ok(EncoderShape {
            n_layers,
            hidden,
            n_heads,
            head: hidden / n_heads,
            feed_forward,
            window: file.count(&key("context_length"))?.max(1),
            epsilon: float(file, &key("attention.layer_norm_epsilon"))?.unwrap_or(1e-12),
            rope_base: architecture
                .has_rope
                .then(|| rope_base.unwrap_or(10_000.0)),
            has_gates: architecture.has_gates,
            pooling: Pooling::from_gguf(file, name)?.ok_or_else(|| {
                EngineError::unsupported_model(format!(
                    "it does not say how a text gets one vector ({}); mean (1), the first token (2) and the last (3) \
                     are computed",
                    key("pooling_type")
                ))
            })?,
        })
    }

    /// Bytes that a pass takes for each of its tokens: the row itself, what meets matrices, and what comes of it.
    pub(in crate::model) fn bytes_per_token(&self) -> u64 {
        4 * (8 * self.hidden as u64 + 3 * self.feed_forward as u64)
    }
}

/// What a file may say that changes the result and is not computed here.
fn refuse_what_is_not_read(file: &Gguf<'_>, name: &str) -> Result<(), EngineError> {
    let key = format!("{name}.attention.causal");
    if file.optional_bool(&key)? == Some(true) {
        return Err(EngineError::unsupported_model(format!(
            "its tokens see only those before them ({key}); texts are read as a whole"
        )));
    }
    let key = format!("{name}.rope.scaling.type");
    match file.optional_text(&key)? {
        None | Some("none") => {}
        Some(other) => {
            return Err(EngineError::unsupported_model(format!(
                "it scales RoPE ({key} is {other:?})"
            )));
        }
    }
    for name in [
        "blk.0.attn_q_norm.weight",
        "blk.0.attn_norm_2.weight",
        "cls.weight",
    ] {
        if file.tensor(name).is_some() {
            return Err(EngineError::unsupported_model(format!(
                "the tensor {name} belongs to another kind of network"
            )));
        }
    }
    Ok(())
}

// === impl Pooling ===

impl Pooling {
    /// `None` where the file names none or the key is missing.
    pub(in crate::model) fn from_gguf(
        file: &Gguf<'_>,
        architecture: &str,
    ) -> Result<Option<Pooling>, EngineError> {
        let key = format!("{architecture}.pooling_type");
        match file.optional_count(&key)? {
            None | Some(0) => Ok(None),
            Some(1) => Ok(Some(Pooling::Mean)),
            Some(2) => Ok(Some(Pooling::First)),
            Some(3) => Ok(Some(Pooling::Last)),
            Some(4) => Err(EngineError::unsupported_model(format!(
                "it ranks pairs of texts ({key} is 4); models that write text or embed it are read"
            ))),
            Some(other) => Err(EngineError::corrupt(format!("the key {key} is {other}"))),
        }
    }

    /// One vector of length one from a text's rows.
    #[expect(clippy::cast_precision_loss, reason = "a text is short")]
    pub(in crate::model) fn pool(self, rows: &[f32], width: usize) -> Vec<f32> {
        let n_rows = rows.len() / width;
        let mut vector = match self {
            Pooling::First => rows[..width].to_vec(),
            Pooling::Last => rows[rows.len() - width..].to_vec(),
            Pooling::Mean => {
                let mut sum = vec![0.0_f64; width];
                for row in rows.chunks_exact(width) {
                    for (sum, x) in sum.iter_mut().zip(row) {
                        *sum += f64::from(*x);
                    }
                }
                #[expect(clippy::cast_possible_truncation, reason = "a mean of f32")]
                sum.iter().map(|sum| (sum / n_rows as f64) as f32).collect()
            }
        };
        let square: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        if square > 0.0 {
            #[expect(clippy::cast_possible_truncation, reason = "a length of f32")]
            let factor = (1.0 / square.sqrt()) as f32;
            for x in &mut vector {
                *x *= factor;
            }
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_pooling_gives_a_vector_of_length_one() {
        let rows = [3.0, 0.0, 0.0, 8.0, 3.0, -4.0];
        assert_eq!(Pooling::First.pool(&rows, 2), [1.0, 0.0]);
        assert_eq!(Pooling::Last.pool(&rows, 2), [0.6, -0.8]);
        let mean = Pooling::Mean.pool(&rows, 2);
        let length = (36.0_f32 + 16.0).sqrt();
        assert!((mean[0] - 6.0 / length).abs() < 1e-6 && (mean[1] - 4.0 / length).abs() < 1e-6);
        assert_eq!(Pooling::Mean.pool(&[0.0; 6], 2), [0.0; 2]);
    }
}
