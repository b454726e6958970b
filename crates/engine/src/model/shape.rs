//! The sizes and constants of a network, read from the file's keys and checked against each other.

use super::family::Family;
use crate::error::EngineError;
use crate::gguf::Gguf;

#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) family: Family,
    pub(super) n_layers: usize,
    pub(super) hidden: usize,
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) head: usize,
    pub(super) feed_forward: usize,
    /// Tokens of prompt and answer together.
    pub(super) window: u32,
    pub(super) epsilon: f32,
    /// What products of queries and keys are multiplied by.
    pub(super) scale: f32,
    pub(super) attention_cap: Option<f32>,
    pub(super) logit_cap: Option<f32>,
    /// Positions that a layer with a sliding window sees, the token's own among them.
    pub(super) sliding_window: Option<usize>,
}

// === impl Shape ===

impl Shape {
    pub(super) fn from_gguf(file: &Gguf<'_>) -> Result<Shape, EngineError> {
        let family = Family::of(file.text("general.architecture")?)?;
        refuse_what_is_not_read(file, family)?;
        let hidden = size(file, &family.key("embedding_length"))?;
        let n_heads = size(file, &family.key("attention.head_count"))?;
        let n_kv_heads =
            optional_size(file, &family.key("attention.head_count_kv"))?.unwrap_or(n_heads);
        let head =
            optional_size(file, &family.key("attention.key_length"))?.unwrap_or(hidden / n_heads);
        let value_head =
            optional_size(file, &family.key("attention.value_length"))?.unwrap_or(head);
        if value_head != head {
            return Err(EngineError::unsupported_model(
                "its keys and values differ in length",
            ));
        }
        if head == 0 || head % 2 != 0 || n_heads % n_kv_heads != 0 {
            return Err(EngineError::corrupt(format!(
                "{n_heads} heads of {head} over {n_kv_heads} key-value heads do not fit together"
            )));
        }
        let n_layers = size(file, &family.key("block_count"))?;
        // The products are used as sizes later.
        if n_heads.checked_mul(head).is_none_or(|n| n > 1 << 24) || n_layers > 1 << 16 {
            return Err(EngineError::corrupt("its heads or layers are too many"));
        }
        Ok(Shape {
            scale: scale(file, family, (n_layers, hidden, n_heads, head))?,
            family,
            n_layers,
            hidden,
            n_heads,
            n_kv_heads,
            head,
            feed_forward: size(file, &family.key("feed_forward_length"))?,
            window: file.count(&family.key("context_length"))?.max(1),
            epsilon: float(file, &family.key("attention.layer_norm_rms_epsilon"))?.unwrap_or(1e-5),
            attention_cap: cap(file, &family.key("attn_logit_softcapping"))?,
            logit_cap: cap(file, &family.key("final_logit_softcapping"))?,
            sliding_window: match file.optional_count(&family.key("attention.sliding_window"))? {
                None | Some(0) => None,
                Some(n) => Some(n as usize),
            },
        })
    }

    /// Numbers of all queries of a token.
    pub(super) fn query_width(&self) -> usize {
        self.n_heads * self.head
    }

    /// Numbers of all keys of a token in one layer, which are as many as those of its values.
    pub(super) fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head
    }

    /// The first position that a layer's token at `position` sees.
    pub(super) fn first_seen(&self, layer: usize, position: usize) -> usize {
        match self.sliding_window {
            Some(window) if self.family.sliding.is_for(layer) => {
                (position + 1).saturating_sub(window)
            }
            _ => 0,
        }
    }
}

/// What a file may say that changes the result and is not computed here.
fn refuse_what_is_not_read(file: &Gguf<'_>, family: Family) -> Result<(), EngineError> {
    if file
        .optional_count(&family.key("expert_count"))?
        .unwrap_or(0)
        > 0
    {
        return Err(EngineError::unsupported_model(format!(
            "it is a mixture of experts ({}.expert_count); dense models are read",
            family.name
        )));
    }
    for key in ["logit_scale", "residual_scale", "embedding_scale"] {
        let key = family.key(key);
        if float(file, &key)?.is_some_and(|scale| ![0.0, 1.0].contains(&scale)) {
            return Err(EngineError::unsupported_model(format!(
                "the key {key} is not computed"
            )));
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^24")]
fn scale(
    file: &Gguf<'_>,
    family: Family,
    (n_layers, hidden, n_heads, head): (usize, usize, usize, usize),
) -> Result<f32, EngineError> {
    if let Some(scale) = float(file, &family.key("attention.scale"))?
        && scale != 0.0
    {
        return Ok(scale);
    }
    let length = if family.layers_of_odd_scale == Some(n_layers) {
        hidden / n_heads
    } else {
        head
    };
    Ok(1.0 / (length as f32).sqrt())
}

fn cap(file: &Gguf<'_>, key: &str) -> Result<Option<f32>, EngineError> {
    Ok(float(file, key)?.filter(|cap| *cap > 0.0))
}

/// A count that must be there and not be 0. Where the file has one for each layer, all must be the same.
pub(super) fn size(file: &Gguf<'_>, key: &str) -> Result<usize, EngineError> {
    optional_size(file, key)?
        .ok_or_else(|| EngineError::corrupt(format!("the key {key} is missing")))
}

fn optional_size(file: &Gguf<'_>, key: &str) -> Result<Option<usize>, EngineError> {
    let Some(counts) = file.optional_counts(key)? else {
        return Ok(None);
    };
    let Some(first) = counts.first() else {
        return Err(EngineError::corrupt(format!("the key {key} is empty")));
    };
    if counts.iter().any(|count| count != first) {
        return Err(EngineError::unsupported_model(format!(
            "the key {key} differs from layer to layer"
        )));
    }
    match u32::try_from(*first) {
        Ok(0) | Err(_) => Err(EngineError::corrupt(format!("the key {key} is {first}"))),
        Ok(n) => Ok(Some(n as usize)),
    }
}

pub(super) fn float(file: &Gguf<'_>, key: &str) -> Result<Option<f32>, EngineError> {
    #[expect(clippy::cast_possible_truncation, reason = "f32 in the file")]
    Ok(file.optional_float(key)?.map(|x| x as f32))
}
