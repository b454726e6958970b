//! A legacy completion as a conversation: one prompt becomes one user message.

use tollgate_base::{Error, Result};

use super::head::read_head;
use crate::{
    Dialect, EncodeOptions, RawObject, Rendered, Target,
    ir::{Message, Part, Request, Role, raw_json},
    json::{Json, Object, Shape},
    openai_chat,
};

/// What the dialect gives when the caller names no maximum.
const DEFAULT_MAX_TOKENS: u64 = 16;
/// The most alternatives to a token that a chat model tells.
const TOP_LIMIT: u64 = 20;

/// The fields that the IR says, or that are refused.
const SAID: [&str; 20] = [
    "model",
    "prompt",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
    "stop",
    "n",
    "suffix",
    "echo",
    "logprobs",
    "best_of",
];

pub(crate) fn parse_request(raw: &RawObject) -> Result<Request> {
    read_head(raw)?;
    check_can_be_chat(raw)?;
    let text = prompt(raw)?;
    let mut request = Request {
        origin: Some(Dialect::OpenAiCompletions),
        ..openai_chat::parse_scalars(raw)
    };
    request.raw_prompt = true;
    request.logprobs = raw
        .json("logprobs")
        .and_then(Json::as_u64)
        .and_then(|n| u32::try_from(n).ok());
    request.max_output_tokens = request.max_output_tokens.or(Some(DEFAULT_MAX_TOKENS));
    request.messages = vec![Message {
        role: Role::User,
        parts: vec![Part::Text { text, cache: None }],
        name: None,
    }];
    let is_said = |name: &str| SAID.contains(&name) && !openai_chat::is_not_understood(raw, name);
    let is_extra = |name: &str| !is_said(name) && name != "user";
    request.extras = raw
        .fields()
        .filter(|(name, value)| *value != "null" && is_extra(name))
        .map(|(name, value)| (name.to_owned(), raw_json(value)))
        .collect();
    Ok(request)
}

/// Refuses what only a completion model can do.
fn check_can_be_chat(raw: &RawObject) -> Result<()> {
    let needs = |name: &str| {
        let text = format!(
            "`{name}` needs a completion model, and a chat model answers here. Leave it out."
        );
        Err(Error::unsupported(name, text))
    };
    let is_empty = |value: Json<'_>| value.shape() == Shape::String && value.text() == "\"\"";
    if raw.json("suffix").is_some_and(|suffix| !is_empty(suffix)) {
        return needs("suffix");
    }
    let number = |name| raw.json(name).and_then(Json::as_u64).unwrap_or(1);
    // The best of as many as are wanted are all of them.
    if number("best_of") > number("n") {
        return needs("best_of");
    }
    let Some(top) = raw.json("logprobs").and_then(Json::as_u64) else {
        return Ok(());
    };
    if top > TOP_LIMIT {
        let text = format!("The model tells at most {TOP_LIMIT} tokens at each place.");
        return Err(Error::unsupported("logprobs", text));
    }
    if is_echo(raw) {
        // Those of the prompt's tokens, which is what this is asked for.
        let text = "`echo` with `logprobs` needs a completion model, and a chat model answers here. Leave one of them out.";
        return Err(Error::unsupported("echo", text));
    }
    Ok(())
}

fn is_echo(raw: &RawObject) -> bool {
    raw.json("echo").and_then(Json::as_bool) == Some(true)
}

/// The prompt that comes before the answer, for a caller who asked for it.
pub(super) fn echoed(options: &EncodeOptions) -> Option<String> {
    let raw = options.request.as_ref().filter(|raw| is_echo(raw))?;
    prompt(raw).ok()
}

/// The one prompt there is.
fn prompt(raw: &RawObject) -> Result<String> {
    let Some(prompt) = raw.json("prompt") else {
        return Err(Error::missing_field("prompt"));
    };
    let mut items = prompt.items();
    let text = prompt
        .as_str()
        .or_else(|| match (items.next(), items.next()) {
            (Some(only), None) => only.as_str(),
            _ => None,
        });
    match text {
        Some(text) if !text.is_empty() => Ok(text.into_owned()),
        Some(_) => Err(Error::invalid_value(
            "prompt",
            "`prompt` must not be empty.",
        )),
        None => {
            let text = "A chat model answers here, and takes one prompt of text. Send each prompt in its own request.";
            Err(Error::unsupported("prompt", text))
        }
    }
}

/// Writes a completion for a server that speaks this dialect. Only what was one can be one.
pub(crate) fn render_request(request: &Request, target: Target<'_>) -> Result<Rendered> {
    let prompt = match request.messages.as_slice() {
        [Message { parts, .. }] if request.raw_prompt => match parts.as_slice() {
            [Part::Text { text, .. }] => text,
            _ => return Err(no_conversation()),
        },
        _ => return Err(no_conversation()),
    };
    let mut out = Vec::new();
    {
        let mut body = Object::new(&mut out);
        body.put("model", target.model);
        body.put("prompt", prompt);
        let limit = target.limited(request.max_output_tokens, "max_tokens", 0)?;
        body.put_some("max_tokens", limit);
        let sampling = &request.sampling;
        let fields = [
            ("temperature", sampling.temperature),
            ("top_p", sampling.top_p),
            ("min_p", sampling.min_p),
            ("frequency_penalty", sampling.frequency_penalty),
            ("presence_penalty", sampling.presence_penalty),
            ("repetition_penalty", sampling.repetition_penalty),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                body.raw(name, &value.to_string());
            }
        }
        body.put_some("top_k", sampling.top_k);
        body.put_some("seed", sampling.seed);
        openai_chat::put_logit_bias(&mut body, &sampling.logit_bias);
        if !request.stop.is_empty() {
            body.put("stop", &request.stop);
        }
        if request.candidates > 1 {
            body.put("n", &request.candidates);
        }
        body.put_some("logprobs", request.logprobs);
        body.put_some("user", request.user.as_ref());
        if request.stream {
            body.put("stream", &true);
            if target.quirks.stream_usage {
                body.object("stream_options").put("include_usage", &true);
            }
        }
        for (name, json) in &request.extras {
            body.raw(name, json.get());
        }
    }
    Ok(Rendered {
        body: out.into(),
        losses: request.losses.clone(),
        ..Rendered::default()
    })
}

fn no_conversation() -> Error {
    Error::unsupported(
        "model",
        "The model completes text and holds no conversation. Use `/v1/completions`.",
    )
}
