//! An answer that ends only where it must.

use tollgate_engine::Sampling;

/// Rewards the tokens of the prompt and of the answer far beyond the end token, whatever the model likes.
pub(crate) fn sampling() -> Sampling {
    Sampling {
        repetition_penalty: 1e-4,
        frequency_penalty: -2.0,
        presence_penalty: -2.0,
        ..Sampling::greedy()
    }
}
