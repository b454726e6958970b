//! Log-probabilities of a reply as this vendor writes them, in the forms of chat completions (which Responses
//! shares) and of legacy completions:
//! <https://platform.openai.com/docs/api-reference/chat/object#chat-object-choices-logprobs>.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    ir::{TokenLogprob, UNLIKELY},
    json::{Count, List, Object, Text},
};

type TopMap<'a> = HashMap<Cow<'a, str>, f64>;

/// `logprobs` of a choice, of either form.
#[derive(Debug, Default, Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    content: Option<Vec<Chance<'a>>>,
    #[serde(default)]
    refusal: Option<Vec<IgnoredAny>>,
    // Legacy completions: lists side by side.
    #[serde(borrow, default)]
    tokens: Option<Vec<Text<'a>>>,
    #[serde(default)]
    token_logprobs: Option<Vec<Option<f64>>>,
    #[serde(borrow, default)]
    top_logprobs: Option<Vec<Option<TopMap<'a>>>>,
}

/// A token as chat and Responses tell it.
#[derive(Debug, Default, Deserialize)]
struct Chance<'a> {
    #[serde(borrow, default)]
    token: Text<'a>,
    #[serde(default)]
    logprob: Option<f64>,
    #[serde(default)]
    bytes: WireBytes,
    /// Mistral's: the number of the token.
    #[serde(default)]
    token_id: Count,
    #[serde(borrow, default)]
    top_logprobs: Option<Vec<Chance<'a>>>,
}

/// `null` is a token without bytes; a server that names no bytes at all tells the token's text alone.
#[derive(Debug, Default)]
enum WireBytes {
    #[default]
    Unsaid,
    None,
    Some(Vec<u8>),
}

impl<'de> Deserialize<'de> for WireBytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = Option::deserialize(from)?;
        Ok(bytes.map_or(Self::None, Self::Some))
    }
}

/// What a choice says of its tokens.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) tokens: Vec<TokenLogprob>,
    /// Why some of it, or all, is not told.
    pub(crate) lost: Option<&'static str>,
}

/// Reads `logprobs` of a choice.
pub(crate) fn read(raw: Option<&RawValue>) -> Said {
    let Some(raw) = raw else {
        return Said::default();
    };
    let is_object = raw.get().starts_with('{');
    let wire = serde_json::from_str::<Wire<'_>>(raw.get()).ok();
    let Some(wire) = wire.filter(|_| is_object) else {
        return Said {
            tokens: Vec::new(),
            lost: Some("The server told them in a form of its own."),
        };
    };
    let has_refusal = wire.refusal.is_some_and(|tokens| !tokens.is_empty());
    let legacy = wire
        .tokens
        .map(|tokens| side_by_side(&tokens, wire.token_logprobs, wire.top_logprobs));
    let chat = wire.content.into_iter().flatten().map(Chance::into_token);
    Said {
        tokens: legacy.unwrap_or_else(|| chat.collect()),
        lost: has_refusal.then_some("No other dialect tells those of a refusal."),
    }
}

/// Reads a list of tokens, as the texts of Responses have it. A list in another form holds none.
pub(crate) fn read_list(raw: Option<&RawValue>) -> Vec<TokenLogprob> {
    let Some(raw) = raw.filter(|raw| raw.get() != "[]") else {
        return Vec::new();
    };
    let tokens: Vec<Chance<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    tokens.into_iter().map(Chance::into_token).collect()
}

fn side_by_side(
    tokens: &[Text<'_>],
    logprobs: Option<Vec<Option<f64>>>,
    tops: Option<Vec<Option<TopMap<'_>>>>,
) -> Vec<TokenLogprob> {
    let logprobs = logprobs.unwrap_or_default();
    let mut tops = tops.unwrap_or_default().into_iter();
    let tokens = tokens.iter().enumerate().map(|(i, token)| {
        let logprob = logprobs.get(i).copied().flatten().unwrap_or(UNLIKELY);
        let top = tops.next().flatten().unwrap_or_default();
        let mut top: Vec<TokenLogprob> = top
            .into_iter()
            .map(|(token, logprob)| TokenLogprob::of_text(token.into_owned(), logprob))
            .collect();
        top.sort_by(|a, b| b.logprob.total_cmp(&a.logprob).then(a.token.cmp(&b.token)));
        TokenLogprob {
            top,
            ..TokenLogprob::of_text(token.to_text(), logprob)
        }
    });
    tokens.collect()
}

/// What is written of a token. The stream of Responses tells no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bytes {
    OrNull,
    OrEmpty,
    Untold,
}

/// Writes a list of tokens.
pub(crate) fn put_list(list: &mut List<'_>, tokens: &[TokenLogprob], bytes: Bytes) {
    for token in tokens {
        let mut out = list.object();
        put_token(&mut out, token, bytes);
        let mut top = out.list("top_logprobs");
        for token in &token.top {
            put_token(&mut top.object(), token, bytes);
        }
    }
}

fn put_token(out: &mut Object<'_>, token: &TokenLogprob, bytes: Bytes) {
    out.put("token", &token.token);
    out.put("logprob", &token.finite());
    match bytes {
        Bytes::OrNull => out.put("bytes", &token.bytes),
        Bytes::OrEmpty => out.put("bytes", token.bytes.as_deref().unwrap_or_default()),
        Bytes::Untold => {}
    }
}

/// Writes `logprobs` of a choice: null where nothing is told.
pub(crate) fn put(choice: &mut Object<'_>, tokens: &[TokenLogprob]) {
    if tokens.is_empty() {
        return choice.put("logprobs", &());
    }
    let mut logprobs = choice.object("logprobs");
    put_list(&mut logprobs.list("content"), tokens, Bytes::OrNull);
    logprobs.put("refusal", &());
}

// === impl Chance ===

impl Chance<'_> {
    fn into_token(self) -> TokenLogprob {
        let token = self.token.to_text();
        let bytes = match self.bytes {
            WireBytes::Unsaid => Some(token.as_bytes().to_vec()),
            WireBytes::None => None,
            WireBytes::Some(bytes) => Some(bytes),
        };
        let top = self.top_logprobs.into_iter().flatten();
        TokenLogprob {
            bytes,
            id: self.token_id.0.and_then(|id| u32::try_from(id).ok()),
            logprob: self.logprob.unwrap_or(UNLIKELY),
            top: top.map(Chance::into_token).collect(),
            token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_of(json: &str) -> Said {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        read(Some(&raw))
    }

    #[test]
    fn a_token_without_bytes_is_told_apart_from_one_whose_bytes_nobody_says() {
        let said = said_of(
            r#"{"content":[{"token":"<|end|>","logprob":-1,"bytes":null},{"token":"é","logprob":-2}]}"#,
        );
        assert_eq!(said.tokens[0].bytes, None);
        assert_eq!(said.tokens[1].bytes.as_deref(), Some("é".as_bytes()));
    }

    #[test]
    fn a_form_of_a_servers_own_is_a_loss_and_no_failure() {
        for json in [
            "[1]",
            "7",
            r#"{"content":"x"}"#,
            r#"{"tokens":[1],"token_logprobs":"x"}"#,
        ] {
            let said = said_of(json);
            assert!(said.tokens.is_empty() && said.lost.is_some(), "{json}");
        }
        assert!(said_of(r#"{"content":null}"#).lost.is_none());
    }

    #[test]
    fn lists_side_by_side_are_read_as_tokens_with_the_likeliest_first() {
        let said = said_of(
            r#"{"tokens":["a","b"],"token_logprobs":[null,-0.5],"top_logprobs":[null,{"c":-3.0,"b":-0.5}],"text_offset":[0,1]}"#,
        );
        let [first, second] = said.tokens.as_slice() else {
            panic!("{said:?}");
        };
        assert!((first.logprob - UNLIKELY).abs() < f64::EPSILON);
        let names: Vec<&str> = second.top.iter().map(|top| &*top.token).collect();
        assert_eq!(names, ["b", "c"]);
    }
}
