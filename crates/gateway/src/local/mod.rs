//! One attempt at a model of this machine: the IR in the engine's words, and the engine's events in the IR's.
//!
//! `request.rs` says what is asked of the engine and what it cannot be asked, `stream.rs` tells its events, `embed.rs`
//! gives vectors, `fault.rs` says what went wrong in the callers' words.

mod embed;
mod fault;
mod request;
mod stream;

use tollgate_base::{Error, Kind, Result};
use tollgate_dialect::{
    Dialect, Loss, LossKind, RawObject, encoder, ir, parse_request, render_response,
};
use tollgate_engine::{Engine, EngineError, ErrorKind, Generation, Prompt, Request};

pub(crate) use self::stream::LocalStream;
use self::{fault::engine_error, request::Wanted};
use crate::{
    admit::Booking,
    attempt::{Attempt, Content, Reply},
    call::Call,
    locals::LocalModel,
    provider::plain_options,
    relay::{Flow, Output},
};

pub(crate) async fn answer(
    attempt: Attempt<'_>,
    (model, max_output): (&LocalModel, Option<u64>),
    booking: &mut Booking,
) -> Result<Reply> {
    let call = attempt.call;
    if call.dialect.is_embeddings() {
        return embed::answer(attempt, model, booking).await;
    }
    let asked = call.parse()?;
    let mut losses = asked.losses.clone();
    let mut wanted = request::read(&asked, (&model.name, attempt.owner), &mut losses)?;
    wanted.cap(max_output);
    booking.dispatch()?;
    let generations = within(attempt, start(&model.engine, wanted)).await?;
    unheard(&asked, &generations, &mut losses);
    attempt.check_losses(&losses)?;
    let shows_reasoning = asked
        .reasoning
        .as_ref()
        .is_none_or(|reasoning| reasoning.visible != Some(false));
    let ids = &attempt.gateway.shared.ids;
    let mut stream = LocalStream::new(&model.name, generations, shows_reasoning, ids.number());
    let options = plain_options(attempt);
    let content = if call.head.stream {
        let output = Output::Encoded(encoder(call.dialect, options));
        let mut flow = Flow::from_engine(stream, output);
        flow.accept(attempt.snapshot.heartbeat()).await?;
        Content::Stream(Box::new(flow))
    } else {
        let mut events = Vec::new();
        within(attempt, async {
            while std::future::poll_fn(|cx| stream.poll_events(cx, &mut events)).await {}
            Ok(())
        })
        .await?;
        let response = ir::Response::from_events(events)?;
        Content::Whole {
            body: render_response(call.dialect, &response, &options),
            usage: Box::new(response.usage),
        }
    };
    Ok(Reply {
        content,
        losses,
        upstream_request_id: None,
    })
}

/// A request as a model of this machine is given it, for counting it without a call.
pub fn local_prompt(dialect: Dialect, raw: &RawObject, model: &str) -> Result<Prompt> {
    request::prompt(&parse_request(dialect, raw)?, model)
}

/// How many tokens a call's prompt has, by the model's own template and tokenizer.
pub(crate) async fn count(model: &LocalModel, call: &Call) -> Result<u64> {
    let prompt = request::prompt(&call.parse()?, &model.name)?;
    let counted = model.engine.count(&prompt).await;
    counted
        .map(|n| n as u64)
        .map_err(|error| engine_error(&error))
}

/// A part of a call, which ends when the call may take no longer.
async fn within<T>(attempt: Attempt<'_>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let total = attempt.snapshot.config.streaming.total_timeout;
    let deadline = tokio::time::Instant::from_std(attempt.call.received + total);
    tokio::time::timeout_at(deadline, work)
        .await
        .unwrap_or_else(|_| {
            let message = "The answer took longer than a call may take. Ask for fewer tokens, or for a stream.";
            Err(Error::new(Kind::UpstreamTimeout, "upstream_timeout", message))
        })
}

/// `max_tokens` is the most the caller wants, not what it must get: where the window ends before, the answer
/// goes on to the window's end and says so. A prompt that does not fit is refused.
async fn start(engine: &Engine, wanted: Wanted) -> Result<Vec<Generation>> {
    let Wanted {
        request,
        candidates,
    } = wanted;
    let up_to_the_window = Request {
        max_tokens: None,
        ..request.clone()
    };
    let started = match engine.generate_many(request, candidates).await {
        Err(EngineError {
            kind:
                ErrorKind::ContextOverflow {
                    prompt_tokens,
                    window,
                    ..
                },
            ..
        }) if prompt_tokens < window => engine.generate_many(up_to_the_window, candidates).await,
        started => started,
    };
    started.map_err(|error| engine_error(&error))
}

/// What the model's template has no words for.
fn unheard(asked: &ir::Request, generations: &[Generation], losses: &mut Vec<Loss>) {
    let Some(format) = generations.first().and_then(|first| first.format) else {
        return;
    };
    let mut lose = |field: &str, reason: &str| {
        losses.push(Loss {
            field: field.to_owned(),
            kind: LossKind::Dropped,
            reason: reason.to_owned(),
        });
    };
    if request::offers_tools(asked) && format.calls.is_none() {
        lose("tools", "the model's chat template knows no tools");
    }
    match (request::thinking(asked), format.thinking) {
        (Some(true), None) => lose("reasoning", "the model does not reason"),
        (Some(false), Some(thinking)) if thinking.is_open => {
            lose("reasoning", "the model's template always reasons");
        }
        _ => {}
    }
}
