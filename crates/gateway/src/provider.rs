//! One attempt at a provider: patch or translate, send, and accept the beginning of the answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use tollgate_base::{Error, Result, UnixMillis};
use tollgate_catalog::ProviderRow;
use tollgate_dialect::{
    Dialect, EncodeOptions, Loss, ModelTraits, Quirks, RawObject, Rendered, Target,
    chat_needs_responses, encoder, parse_error, parse_response, parse_retry_after, patch_request,
    read_operation_usage, read_reply, render_embeddings, render_request, render_response,
    translate_embeddings_reply,
};
use tollgate_policy::retry::{Failure, Sent};
use tollgate_upstream::{Fault, Progress, ReplyBody};

use crate::{
    admit::Booking,
    attempt::{Attempt, Content, Reply, refused},
    call::Call,
    framer::Framer,
    relay::{Flow, Output},
    reply,
    snapshot::{Provider, Service},
};

/// The largest whole answer that is read.
const MAX_REPLY: usize = 64 * 1024 * 1024;
/// The largest error answer that is read; of it, little is shown.
const MAX_ERROR: usize = 64 * 1024;
/// What an error says is not waited for longer.
const ERROR_PATIENCE: Duration = Duration::from_secs(30);

/// What is asked of a provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) model: &'a str,
    /// What is known of the model.
    pub(crate) traits: &'static ModelTraits,
    /// The largest output that may be asked for; `None`: what the caller wrote.
    pub(crate) max_output: Option<u64>,
}

pub(crate) async fn answer(
    attempt: Attempt<'_>,
    ask: Ask<'_>,
    booking: &mut Booking,
) -> Result<Reply, Failure> {
    let call = attempt.call;
    let Ask {
        provider,
        model,
        traits,
        ..
    } = ask;
    let Some(service) = service_for(call, provider, model, traits) else {
        return Err(refused(Error::internal(
            "A target was planned that does not serve this operation.",
        )));
    };
    let wire = service.dialect;
    let path = service.path(model, call.head.stream).map_err(refused)?;
    let rendered = render(attempt, ask, wire).map_err(refused)?;
    attempt.check_losses(&rendered.losses).map_err(refused)?;
    let headers = request_headers(attempt, provider, wire);
    booking.dispatch().map_err(refused)?;
    let response = attempt
        .gateway
        .send(
            provider,
            Method::POST,
            &path,
            headers,
            rendered.body.clone(),
        )
        .await?;
    let upstream_request_id = reply::upstream_request_id(response.headers());
    let mut losses = rendered.losses.clone();
    if response.status() != StatusCode::OK {
        return Err(Failure {
            error: read_error(wire, response, attempt.now).await,
            sent: Sent::Answered,
        });
    }
    let asked = Asked {
        attempt,
        wire,
        row: provider.row,
        rendered: &rendered,
    };
    let content = asked
        .accept(response, booking, &mut losses)
        .await
        .map_err(|error| Failure {
            error,
            sent: Sent::Accepted,
        })?;
    Ok(Reply {
        content,
        losses,
        upstream_request_id,
    })
}

/// The provider's service for this call. Some models take tools while they reason in Responses alone, so that
/// a chat request goes there where the provider has both (trap T1).
fn service_for<'p>(
    call: &Call,
    provider: &'p Provider,
    model: &str,
    traits: &ModelTraits,
) -> Option<&'p Service> {
    let service = provider.service(call.dialect)?;
    if service.dialect != Dialect::OpenAiChat
        || traits.chat_refuses_tools_while_reasoning != Some(true)
    {
        return Some(service);
    }
    let Some(responses) = provider.exact(Dialect::OpenAiResponses) else {
        return Some(service);
    };
    let target = Target {
        model,
        traits,
        quirks: &provider.row.quirks,
        max_output: None,
    };
    let needs_responses = if call.dialect == Dialect::OpenAiChat {
        chat_needs_responses(&call.raw, target)
    } else {
        // What the request would be as a chat request; one that cannot be is refused when it is rendered.
        call.parse()
            .and_then(|request| render_request(Dialect::OpenAiChat, &request, target))
            .and_then(|rendered| RawObject::parse(rendered.body))
            .is_ok_and(|raw| chat_needs_responses(&raw, target))
    };
    Some(if needs_responses { responses } else { service })
}

/// The same dialect is patched, another one is translated through the IR.
fn render(attempt: Attempt<'_>, ask: Ask<'_>, wire: Dialect) -> Result<Rendered> {
    let call = attempt.call;
    let target = Target {
        model: ask.model,
        traits: ask.traits,
        quirks: &ask.provider.row.quirks,
        max_output: ask.max_output,
    };
    if wire == call.dialect {
        return patch_request(wire, &call.raw, target);
    }
    if call.dialect.is_embeddings() {
        return render_embeddings(call.dialect, &call.raw, wire, target);
    }
    render_request(wire, &call.parse()?, target)
}

/// Headers are built, never copied from the caller, but for the few that belong to the dialect itself.
fn request_headers(attempt: Attempt<'_>, provider: &Provider, wire: Dialect) -> HeaderMap {
    let call = attempt.call;
    let mut headers = provider.headers.clone();
    let accept = if call.head.stream {
        Framer::media_type(provider.row.framing)
    } else {
        "application/json"
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    // The id of this very attempt, so that a provider's records can be laid beside ours.
    if let Ok(id) = HeaderValue::try_from(format!("{}-{}", call.request_id, attempt.number)) {
        headers.insert(reply::X_CLIENT_REQUEST_ID, id);
    }
    let is_versioned_by_header = provider.row.quirks.body_version.is_none();
    if wire == Dialect::AnthropicMessages && call.dialect == wire && is_versioned_by_header {
        for name in ["anthropic-version", "anthropic-beta"] {
            if let Some(value) = call.headers.get(name) {
                headers.insert(name, value.clone());
            }
        }
    }
    headers
}

pub(crate) fn transport_failure(fault: Fault) -> Failure {
    let sent = match fault.progress {
        Progress::NotSent => Sent::No,
        Progress::MaybeSent => Sent::Maybe,
    };
    Failure {
        error: fault.error,
        sent,
    }
}

/// A request that a provider has accepted.
struct Asked<'a> {
    attempt: Attempt<'a>,
    wire: Dialect,
    row: &'static ProviderRow,
    rendered: &'a Rendered,
}

impl Asked<'_> {
    /// The beginning of a streamed answer, or the whole of another one. Of an answer that breaks off, what was
    /// seen is told to the booking: it may be charged.
    async fn accept(
        self,
        response: Response<ReplyBody>,
        booking: &mut Booking,
        losses: &mut Vec<Loss>,
    ) -> Result<Content> {
        let (attempt, wire) = (self.attempt, self.wire);
        let is_stream =
            content_type(response.headers()).starts_with(Framer::media_type(self.row.framing));
        if !attempt.call.head.stream {
            let body = read_whole(attempt, response).await?;
            let content = whole(
                attempt,
                (wire, &self.row.quirks),
                self.rendered,
                body.clone(),
                losses,
            );
            return content.inspect_err(|_| booking.broke_off(read_operation_usage(&body), 0));
        }
        if !is_stream {
            return Err(not_a_stream(wire, response, booking).await);
        }
        let mut flow = Flow::from_provider(
            response.into_body(),
            wire,
            self.row.framing,
            output(attempt, wire, self.rendered),
        );
        flow.count_as(booking.text_counter());
        if let Err(error) = flow.accept(attempt.snapshot.heartbeat()).await {
            let (said, seen) = flow.metered();
            booking.broke_off(said, seen);
            return Err(error);
        }
        Ok(Content::Stream(Box::new(flow)))
    }
}

fn output(attempt: Attempt<'_>, wire: Dialect, rendered: &Rendered) -> Output {
    let call = attempt.call;
    if wire == call.dialect {
        return Output::Verbatim {
            hide_usage: !call.head.include_usage,
        };
    }
    Output::Encoded(encoder(call.dialect, encode_options(attempt, rendered)))
}

pub(crate) fn encode_options(attempt: Attempt<'_>, rendered: &Rendered) -> EncodeOptions {
    EncodeOptions {
        names: rendered.names.clone(),
        ..plain_options(attempt)
    }
}

/// What an encoder is told of a call whose request was not rendered for a provider.
pub(crate) fn plain_options(attempt: Attempt<'_>) -> EncodeOptions {
    let call = attempt.call;
    let id_suffix = call.id_suffix().to_owned();
    EncodeOptions {
        created: attempt.now.as_secs(),
        include_usage: call.head.include_usage,
        id_suffix,
        request: Some(call.original().clone()),
        ..EncodeOptions::default()
    }
}

fn whole(
    attempt: Attempt<'_>,
    (wire, quirks): (Dialect, &Quirks),
    rendered: &Rendered,
    body: Bytes,
    losses: &mut Vec<Loss>,
) -> Result<Content> {
    let call = attempt.call;
    // Numbers are not what a caller of vectors in base64 can read.
    let is_verbatim = wire == call.dialect && (quirks.base64_vectors || !wire.is_embeddings());
    if is_verbatim {
        let usage = Box::new(read_reply(wire, &body)?.usage);
        return Ok(Content::Whole { body, usage });
    }
    let options = encode_options(attempt, rendered);
    if call.dialect.is_embeddings() {
        let (body, reading) = translate_embeddings_reply(wire, &body, call.dialect, &options)?;
        let usage = Box::new(reading.usage);
        return Ok(Content::Whole { body, usage });
    }
    let mut response = parse_response(wire, &body)?;
    losses.append(&mut response.losses);
    Ok(Content::Whole {
        body: render_response(call.dialect, &response, &options),
        usage: Box::new(response.usage),
    })
}

async fn read_whole(attempt: Attempt<'_>, response: Response<ReplyBody>) -> Result<Bytes> {
    let patience = attempt.snapshot.config.streaming.first_byte_timeout;
    collect_within(patience, response.into_body(), MAX_REPLY).await
}

/// The whole of an answer, unless the provider takes too long over it.
pub(crate) async fn collect_within(
    patience: Duration,
    body: ReplyBody,
    most: usize,
) -> Result<Bytes> {
    tokio::time::timeout(patience, body.collect(most))
        .await
        .map_err(|_| {
            Error::new(
                tollgate_base::Kind::UpstreamTimeout,
                "upstream_timeout",
                "The provider did not finish its answer in time.",
            )
        })?
}

pub(crate) async fn read_error(
    wire: Dialect,
    response: Response<ReplyBody>,
    now: UnixMillis,
) -> Error {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| parse_retry_after(text, now));
    let body = collect_within(ERROR_PATIENCE, response.into_body(), MAX_ERROR)
        .await
        .unwrap_or_default();
    let error = parse_error(wire, status, None, &body);
    match retry_after {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// A provider that was asked for a stream and sent something else: an error in a 200, a login page.
async fn not_a_stream(
    wire: Dialect,
    response: Response<ReplyBody>,
    booking: &mut Booking,
) -> Error {
    let body = response
        .into_body()
        .collect(MAX_ERROR)
        .await
        .unwrap_or_default();
    booking.broke_off(read_operation_usage(&body), 0);
    match read_reply(wire, &body) {
        Ok(_) => {
            Error::upstream_invalid("The provider was asked for a stream and did not send one.")
        }
        Err(error) => error,
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}
