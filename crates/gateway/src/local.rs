//! One attempt at the built-in model: the IR in the engine's words, and the engine's events in the IR's.

use std::task::{Context, Poll};

use tollgate_base::{Error, Kind, Provenance, Result, Usage};
use tollgate_config::BUILT_IN_MODEL;
use tollgate_dialect::{
    Loss, LossKind, encoder,
    ir::{self, BlockStart, Delta, Event, FinishReason},
    render_response,
};
use tollgate_engine::{
    Engine, EngineError, ErrorKind, Event as EngineEvent, FinishReason as EngineFinish, Generation,
    Message, Prompt, Request, Role, Sampling,
};

use crate::{
    admit::Booking,
    attempt::{Attempt, Content, Reply},
    locals::LocalModel,
    provider::plain_options,
    relay::{Flow, Output},
};

/// A running generation, told as IR events.
#[derive(Debug)]
pub(crate) struct LocalStream {
    generation: Generation,
    /// The model's name.
    model: String,
    started: bool,
    ended: bool,
}

pub(crate) async fn answer(
    attempt: Attempt<'_>,
    model: &LocalModel,
    booking: &mut Booking,
) -> Result<Reply> {
    let call = attempt.call;
    let request = call.parse()?;
    let mut losses = request.losses.clone();
    let request = engine_request(&request, &mut losses)?;
    attempt.check_losses(&losses)?;
    booking.dispatch()?;
    let generation = start(&model.engine, request).await?;
    let mut stream = LocalStream {
        generation,
        model: model.name.clone(),
        started: false,
        ended: false,
    };
    let options = plain_options(attempt);
    let content = if call.head.stream {
        let output = Output::Encoded(encoder(call.dialect, options));
        let mut flow = Flow::from_engine(stream, output);
        flow.accept(attempt.snapshot.heartbeat()).await?;
        Content::Stream(Box::new(flow))
    } else {
        let mut events = Vec::new();
        while std::future::poll_fn(|cx| stream.poll_events(cx, &mut events)).await {}
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

/// `max_tokens` is the most the caller wants, not what it must get: where the window ends before, the answer
/// goes on to the window's end and says so. A prompt that does not fit is refused.
async fn start(engine: &Engine, request: Request) -> Result<Generation> {
    let up_to_the_window = Request {
        max_tokens: None,
        ..request.clone()
    };
    let started = match engine.generate(request).await {
        Err(EngineError {
            kind:
                ErrorKind::ContextOverflow {
                    prompt_tokens,
                    window,
                    ..
                },
            ..
        }) if prompt_tokens < window => engine.generate(up_to_the_window).await,
        started => started,
    };
    started.map_err(|error| engine_error(&error))
}

impl LocalStream {
    /// Appends the next events. `false` when the generation has ended.
    pub(crate) fn poll_events(&mut self, cx: &mut Context<'_>, out: &mut Vec<Event>) -> Poll<bool> {
        if self.ended {
            return Poll::Ready(false);
        }
        if !self.started {
            self.started = true;
            out.push(Event::Start {
                id: String::new(),
                model: self.model.clone(),
            });
            out.push(Event::BlockStart {
                index: 0,
                block: BlockStart::Text,
            });
            return Poll::Ready(true);
        }
        let Poll::Ready(event) = self.generation.poll_next(cx) else {
            return Poll::Pending;
        };
        match event {
            Some(EngineEvent::Text(piece)) => {
                out.push(Event::Delta {
                    index: 0,
                    delta: Delta::Text(piece.text),
                });
            }
            // Only a request with the engine's own conversation gets these; here it has messages.
            Some(EngineEvent::Reasoning(_) | EngineEvent::ToolCall { .. }) => {}
            Some(EngineEvent::Done { reason, usage }) => {
                self.ended = true;
                out.push(Event::BlockEnd { index: 0 });
                out.push(Event::Usage(usage_of(usage)));
                out.push(Event::Finish(finish_of(reason)));
            }
            Some(EngineEvent::Failed(error)) => {
                self.ended = true;
                out.push(Event::Error(engine_error(&error)));
            }
            None => {
                self.ended = true;
                out.push(Event::Error(Error::internal(
                    "The built-in model stopped without a word.",
                )));
            }
        }
        Poll::Ready(true)
    }
}

fn engine_request(request: &ir::Request, losses: &mut Vec<Loss>) -> Result<Request> {
    refuse_what_it_cannot(request)?;
    let mut lose = |field: &str, reason: &str| {
        losses.push(Loss {
            field: field.to_owned(),
            kind: LossKind::Dropped,
            reason: reason.to_owned(),
        });
    };
    if !request.tools.is_empty() && request.tool_choice != Some(ir::ToolChoice::None) {
        lose("tools", "the built-in model calls no tools");
    }
    if request.reasoning.is_some() {
        lose("reasoning", "the built-in model does not reason");
    }
    for (field, _) in &request.extras {
        lose(field, "the built-in model does not know it");
    }
    let wanted = &request.sampling;
    let default = Sampling::default();
    Ok(Request {
        sampling: Sampling {
            temperature: single(wanted.temperature, default.temperature),
            top_p: single(wanted.top_p, default.top_p),
            top_k: wanted
                .top_k
                .map_or(default.top_k, |k| u32::try_from(k).unwrap_or(u32::MAX)),
            min_p: single(wanted.min_p, default.min_p),
            repetition_penalty: single(wanted.repetition_penalty, default.repetition_penalty),
            frequency_penalty: single(wanted.frequency_penalty, default.frequency_penalty),
            presence_penalty: single(wanted.presence_penalty, default.presence_penalty),
            logit_bias: biases(&wanted.logit_bias),
            seed: wanted.seed.map(i64::cast_unsigned),
            ..default
        },
        max_tokens: request
            .max_output_tokens
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
        stop: request.stop.clone(),
        ..Request::new(prompt(request)?)
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sampling parameters are small numbers; single precision is the engine's own"
)]
fn single(wanted: Option<f64>, default: f32) -> f32 {
    wanted.map_or(default, |value| value as f32)
}

fn biases(wanted: &[(u32, f64)]) -> Vec<(u32, f32)> {
    let biases = wanted.iter();
    biases
        .map(|(token, bias)| (*token, single(Some(*bias), 0.0)))
        .collect()
}

/// Refuses what a caller relies on and the built-in model does not do.
fn refuse_what_it_cannot(request: &ir::Request) -> Result<()> {
    let refuse = |field: &str, what: &str| {
        let message = format!(
            "The model {BUILT_IN_MODEL} {what}. Leave `{field}` out, or choose a provider's model."
        );
        Err(Error::unsupported(field, message))
    };
    if request.candidates > 1 {
        return refuse("n", "gives one answer at a time");
    }
    if request.logprobs.is_some() {
        return refuse("logprobs", "gives no log-probabilities here");
    }
    if !matches!(request.output, ir::OutputFormat::Text) {
        return refuse("response_format", "cannot bind its answer to a format");
    }
    if matches!(
        request.tool_choice,
        Some(ir::ToolChoice::Required | ir::ToolChoice::Named(_))
    ) {
        return refuse("tool_choice", "calls no tools");
    }
    Ok(())
}

fn prompt(request: &ir::Request) -> Result<Prompt> {
    if request.raw_prompt {
        let text = request
            .messages
            .iter()
            .flat_map(|message| &message.parts)
            .filter_map(|part| match part {
                ir::Part::Text { text, .. } => Some(text.as_str()),
                _ => None,
            });
        return Ok(Prompt::Raw(text.collect()));
    }
    let messages = request
        .messages
        .iter()
        .map(message)
        .collect::<Result<_>>()?;
    Ok(Prompt::Messages(messages))
}

fn message(message: &ir::Message) -> Result<Message> {
    let mut content = String::new();
    for part in &message.parts {
        match part {
            ir::Part::Text { text, .. } | ir::Part::Refusal { text } => content.push_str(text),
            // A model's own reasoning is not part of what it said.
            ir::Part::Reasoning { .. } | ir::Part::RedactedReasoning { .. } => {}
            ir::Part::Image { .. }
            | ir::Part::Document { .. }
            | ir::Part::Audio { .. }
            | ir::Part::ToolCall { .. }
            | ir::Part::ToolResult { .. }
            | ir::Part::Opaque { .. } => {
                let message = format!(
                    "The model {BUILT_IN_MODEL} reads text only: no images, files, audio or tool calls. \
                     Choose a provider's model for them."
                );
                return Err(Error::unsupported("messages", message));
            }
        }
    }
    let role = match message.role {
        ir::Role::System | ir::Role::Developer => Role::System,
        ir::Role::User => Role::User,
        ir::Role::Assistant => Role::Assistant,
    };
    Ok(Message { role, content })
}

fn usage_of(usage: tollgate_engine::Usage) -> Usage {
    Usage {
        input: u64::from(usage.prompt_tokens.saturating_sub(usage.cached_tokens)),
        cache_read: Some(u64::from(usage.cached_tokens)),
        output: u64::from(usage.output_tokens),
        provenance: Provenance::Reported,
        ..Usage::default()
    }
}

fn finish_of(reason: EngineFinish) -> FinishReason {
    match reason {
        EngineFinish::EndOfText | EngineFinish::ToolCalls => FinishReason::EndOfTurn,
        EngineFinish::StopSequence(text) => FinishReason::StopSequence(Some(text)),
        EngineFinish::MaxTokens => FinishReason::MaxTokens,
        EngineFinish::ContextFull => FinishReason::ContextFull,
    }
}

fn engine_error(error: &EngineError) -> Error {
    let message = sentence(&error.message);
    match error.kind {
        ErrorKind::ContextOverflow {
            prompt_tokens,
            window,
            ..
        } => {
            // Client libraries look for these words to know that they must shorten the conversation.
            let message = format!(
                "The prompt is too long: {prompt_tokens} tokens > {window} maximum. Shorten it, or choose another model."
            );
            Error::new(Kind::InvalidRequest, "context_length_exceeded", message)
                .with_param("messages")
        }
        ErrorKind::InvalidParameter { param } => Error::invalid_value(param, message),
        ErrorKind::Unsupported { what } => Error::unsupported(what, message),
        ErrorKind::Busy => Error::new(Kind::Overloaded, "overloaded", message)
            .with_retry_after(std::time::Duration::from_secs(1)),
        ErrorKind::TooLarge => Error::unsupported("model", message),
        ErrorKind::UnsupportedModel | ErrorKind::CorruptModel | ErrorKind::Internal => {
            Error::internal(message)
        }
    }
}

/// The engine's messages are clauses; callers get sentences.
fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    let first = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
