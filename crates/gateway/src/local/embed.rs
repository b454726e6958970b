//! Vectors for texts, by a model of this machine.

use tollgate_base::{Error, Provenance, Result, Usage};
use tollgate_dialect::{read_embeddings, render_embeddings_reply};
use tollgate_engine::{EmbedInput, ErrorKind, ModelKind};

use super::fault::{engine_error, too_long};
use crate::{
    admit::Booking,
    attempt::{Attempt, Content, Reply},
    locals::LocalModel,
    provider::plain_options,
};

pub(super) async fn answer(
    attempt: Attempt<'_>,
    model: &LocalModel,
    booking: &mut Booking,
) -> Result<Reply> {
    let call = attempt.call;
    let wanted = read_embeddings(call.dialect, &call.raw)?;
    attempt.check_losses(&wanted.losses)?;
    let most = match model
        .engine
        .describe()
        .map_err(|error| engine_error(&error))?
        .kind
    {
        ModelKind::Embeds { dimensions } => dimensions as usize,
        ModelKind::Generates => 0,
    };
    let dimensions = match wanted.dimensions.map(usize::try_from) {
        None => None,
        Some(Ok(n)) if (1..=most.max(1)).contains(&n) => Some(n),
        Some(_) => {
            let message = format!(
                "The model {} gives vectors of {most} numbers. Ask for 1 to {most} dimensions.",
                model.name
            );
            return Err(Error::invalid_value("dimensions", message));
        }
    };
    let inputs = wanted.texts.into_iter().map(EmbedInput::Text).collect();
    booking.dispatch()?;
    let embedded = model.engine.embed(inputs).await.map_err(|error| {
        // The engine names the input that is too long.
        match error.kind {
            ErrorKind::ContextOverflow { .. } => too_long(&error),
            _ => engine_error(&error),
        }
    })?;
    let mut vectors = embedded.vectors;
    if let Some(n) = dimensions {
        for vector in &mut vectors {
            shorten(vector, n);
        }
    }
    let usage = Usage {
        input: embedded.tokens_each.iter().copied().map(u64::from).sum(),
        provenance: Provenance::Reported,
        ..Usage::default()
    };
    let options = plain_options(attempt);
    Ok(Reply {
        content: Content::Whole {
            body: render_embeddings_reply(call.dialect, &vectors, &usage, &options)?,
            usage: Box::new(usage),
        },
        losses: wanted.losses,
        upstream_request_id: None,
    })
}

/// The first numbers of a vector, of length one again: what models trained for it (Matryoshka) are shortened by.
fn shorten(vector: &mut Vec<f32>, n: usize) {
    vector.truncate(n);
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        for x in vector {
            *x /= length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn a_shortened_vector_has_length_one() {
        let mut vector = vec![3.0, 4.0, 12.0];
        shorten(&mut vector, 2);
        assert_eq!(vector, [0.6, 0.8]);
        let mut nothing = vec![0.0, 0.0];
        shorten(&mut nothing, 1);
        assert_eq!(nothing, [0.0]);
    }
}
