//! One attempt at a provider: patch or translate, send, and accept the beginning of the answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use tollgate_base::{Error, Result};
use tollgate_dialect::{
    Dialect, EncodeOptions, Rendered, Target, encoder, parse_error, parse_request, parse_response,
    parse_retry_after, patch_request, read_reply, render_request, render_response,
};
use tollgate_policy::retry::{Failure, Sent};
use tollgate_upstream::{Fault, Progress, ReplyBody};

use crate::{
    attempt::{Attempt, Content, Reply, refused},
    relay::{Flow, Output},
    reply,
    snapshot::Provider,
};

/// The largest whole answer that is read.
const MAX_REPLY: usize = 64 * 1024 * 1024;
/// The largest error answer that is read; of it, little is shown.
const MAX_ERROR: usize = 64 * 1024;

pub(crate) async fn answer(
    attempt: Attempt<'_>,
    provider: &Provider,
    model: &str,
) -> Result<Reply, Failure> {
    let call = attempt.call;
    let Some((wire, path)) = provider.operation(call.dialect) else {
        return Err(refused(Error::internal(
            "A target was planned that does not serve this operation.",
        )));
    };
    let rendered = render(attempt, provider, model, wire).map_err(refused)?;
    attempt.check_losses(&rendered.losses).map_err(refused)?;
    let headers = request_headers(attempt, provider, wire);
    let response = attempt
        .gateway
        .upstream
        .send(
            &provider.endpoint,
            Method::POST,
            path,
            headers,
            rendered.body.clone(),
        )
        .await
        .map_err(transport_failure)?;
    let upstream_request_id = reply::upstream_request_id(response.headers());
    let content = accept(attempt, wire, &rendered, response)
        .await
        .map_err(|error| Failure {
            error,
            sent: Sent::Answered,
        })?;
    Ok(Reply {
        content,
        losses: rendered.losses,
        upstream_request_id,
    })
}

/// The same dialect is patched, another one is translated through the IR.
fn render(
    attempt: Attempt<'_>,
    provider: &Provider,
    model: &str,
    wire: Dialect,
) -> Result<Rendered> {
    let call = attempt.call;
    let target = Target {
        model,
        traits: provider.traits(model),
        quirks: &provider.row.quirks,
    };
    if wire == call.dialect {
        return patch_request(wire, &call.raw, target);
    }
    let request = parse_request(call.dialect, &call.raw)?;
    render_request(wire, &request, target)
}

/// Headers are built, never copied from the caller, but for the few that belong to the dialect itself.
fn request_headers(attempt: Attempt<'_>, provider: &Provider, wire: Dialect) -> HeaderMap {
    let call = attempt.call;
    let mut headers = provider.headers.clone();
    let accept = if call.head.stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    // The id of this very attempt, so that a provider's records can be laid beside ours.
    if let Ok(id) = HeaderValue::try_from(format!("{}-{}", call.request_id, attempt.number)) {
        headers.insert("x-client-request-id", id);
    }
    if wire == Dialect::AnthropicMessages && call.dialect == wire {
        for name in ["anthropic-version", "anthropic-beta"] {
            if let Some(value) = call.headers.get(name) {
                headers.insert(name, value.clone());
            }
        }
    }
    headers
}

fn transport_failure(fault: Fault) -> Failure {
    let sent = match fault.progress {
        Progress::NotSent => Sent::No,
        Progress::MaybeSent => Sent::Maybe,
    };
    Failure {
        error: fault.error,
        sent,
    }
}

async fn accept(
    attempt: Attempt<'_>,
    wire: Dialect,
    rendered: &Rendered,
    response: Response<ReplyBody>,
) -> Result<Content> {
    if response.status() != StatusCode::OK {
        return Err(read_error(attempt, wire, response).await);
    }
    let is_stream = content_type(response.headers()).starts_with("text/event-stream");
    if attempt.call.head.stream {
        if !is_stream {
            return Err(not_a_stream(wire, response).await);
        }
        let mut flow =
            Flow::from_provider(response.into_body(), wire, output(attempt, wire, rendered));
        flow.accept(attempt.snapshot.heartbeat()).await?;
        return Ok(Content::Stream(Box::new(flow)));
    }
    let body = read_whole(attempt, response).await?;
    whole(attempt, wire, rendered, body)
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
    let id_suffix = call
        .request_id
        .split_once('_')
        .map_or(&*call.request_id, |(_, id)| id)
        .to_owned();
    EncodeOptions {
        created: attempt.now.as_secs(),
        include_usage: call.head.include_usage,
        id_suffix,
        ..EncodeOptions::default()
    }
}

fn whole(attempt: Attempt<'_>, wire: Dialect, rendered: &Rendered, body: Bytes) -> Result<Content> {
    let call = attempt.call;
    if wire == call.dialect {
        let reading = read_reply(wire, &body)?;
        return Ok(Content::Whole { body, reading });
    }
    let response = parse_response(wire, &body)?;
    let options = encode_options(attempt, rendered);
    let reading = tollgate_dialect::Reading {
        usage: response.usage,
        finish: Some(response.finish.clone()),
    };
    Ok(Content::Whole {
        body: render_response(call.dialect, &response, &options),
        reading,
    })
}

async fn read_whole(attempt: Attempt<'_>, response: Response<ReplyBody>) -> Result<Bytes> {
    let streaming = &attempt.snapshot.config.streaming;
    tokio::time::timeout(
        streaming.first_byte_timeout,
        response.into_body().collect(MAX_REPLY),
    )
    .await
    .map_err(|_| {
        Error::new(
            tollgate_base::Kind::UpstreamTimeout,
            "upstream_timeout",
            "The provider did not finish its answer in time.",
        )
    })?
}

async fn read_error(attempt: Attempt<'_>, wire: Dialect, response: Response<ReplyBody>) -> Error {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| parse_retry_after(text, attempt.now));
    let body = response
        .into_body()
        .collect(MAX_ERROR)
        .await
        .unwrap_or_default();
    let error = parse_error(wire, status, None, &body);
    match retry_after {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// A provider that was asked for a stream and sent something else: an error in a 200, a login page.
async fn not_a_stream(wire: Dialect, response: Response<ReplyBody>) -> Error {
    let body = response
        .into_body()
        .collect(MAX_ERROR)
        .await
        .unwrap_or_default();
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
