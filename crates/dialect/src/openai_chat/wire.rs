//! The names of OpenAI's chat completions, exactly:
//! <https://platform.openai.com/docs/api-reference/chat>. Replies and chunks are read borrowed and lenient;
//! what is written is complete and strict.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use tollgate_base::{Provenance, ServiceTier, Usage};

use crate::{
    ir::ANSWERS_LIMIT,
    json::{Count, Text},
};

// === What is read ===

/// A chunk of a stream.
#[derive(Debug, Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) model: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) object: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) choices: Choices<Choice<'a>>,
    #[serde(default)]
    pub(crate) usage: Option<WireUsage>,
    #[serde(borrow, default)]
    pub(crate) service_tier: Text<'a>,
    #[serde(default)]
    pub(crate) error: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    pub(crate) delta: Option<Delta<'a>>,
    /// Legacy completions: the text itself.
    #[serde(borrow, default)]
    pub(crate) text: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) finish_reason: Text<'a>,
    /// vLLM: the stop string that was hit.
    #[serde(borrow, default)]
    pub(crate) stop_reason: Text<'a>,
    /// Read by `logprobs.rs`.
    #[serde(borrow, default)]
    pub(crate) logprobs: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(crate) content: Content<'a>,
    #[serde(borrow, default)]
    pub(crate) reasoning_content: Text<'a>,
    /// The newer name of vLLM and Ollama.
    #[serde(borrow, default)]
    pub(crate) reasoning: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) refusal: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) tool_calls: Option<Vec<CallFragment<'a>>>,
    #[serde(borrow, default)]
    pub(crate) function_call: Option<FunctionFragment<'a>>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<Vec<Annotation<'a>>>,
}

/// A source of a reply's text.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Annotation<'a> {
    #[serde(borrow, default)]
    pub(crate) url_citation: Option<UrlCitation<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct UrlCitation<'a> {
    #[serde(default)]
    pub(crate) start_index: Count,
    #[serde(default)]
    pub(crate) end_index: Count,
    #[serde(borrow, default)]
    pub(crate) url: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) title: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct CallFragment<'a> {
    #[serde(default)]
    pub(crate) index: Index,
    #[serde(borrow, default)]
    pub(crate) id: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) function: Option<FunctionFragment<'a>>,
    #[serde(borrow, default)]
    pub(crate) custom: Option<CustomFragment<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct FunctionFragment<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) arguments: Arguments<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct CustomFragment<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) input: Text<'a>,
}

/// The first choice (`index` 0) of a list, the others by their numbers, and how many there were.
#[derive(Debug)]
pub(crate) struct Choices<T> {
    pub(crate) first: Option<T>,
    pub(crate) others: Vec<(usize, T)>,
    pub(crate) n: usize,
    pub(crate) is_list: bool,
}

/// What tells the choices of a list apart.
pub(crate) trait Indexed {
    fn index(&self) -> Count;
}

/// `content`: a string, or (Mistral) a list of parts.
#[derive(Debug, Default)]
pub(crate) struct Content<'a> {
    pub(crate) text: Option<Cow<'a, str>>,
    /// Texts of `thinking` parts.
    pub(crate) thinking: String,
}

/// `arguments`: JSON text in a string, or (Mistral, Ollama) the JSON itself.
#[derive(Debug, Default)]
pub(crate) struct Arguments<'a>(pub(crate) Option<Cow<'a, str>>);

/// A tool call's index: any whole number serves as a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index(pub(crate) Option<i64>);

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct WireUsage {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
    /// Moonshot's word for what was read from the prompt cache, and DeepSeek's.
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    prompt_cache_hit_tokens: Count,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
    /// Mistral's word for the length of the sound that was heard.
    #[serde(default)]
    prompt_audio_seconds: Count,
}

#[expect(clippy::struct_field_names, reason = "the vendor's names")]
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    cache_write_tokens: Count,
    #[serde(default)]
    audio_tokens: Count,
    #[serde(default)]
    image_tokens: Count,
}

#[expect(clippy::struct_field_names, reason = "the vendor's names")]
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Count,
    #[serde(default)]
    audio_tokens: Count,
    #[serde(default)]
    image_tokens: Count,
}

/// A whole reply.
#[derive(Debug, Deserialize)]
pub(crate) struct Reply<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) model: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) object: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) choices: Choices<ReplyChoice<'a>>,
    #[serde(default)]
    pub(crate) usage: Option<WireUsage>,
    #[serde(borrow, default)]
    pub(crate) service_tier: Text<'a>,
    #[serde(default)]
    pub(crate) error: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ReplyChoice<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    pub(crate) message: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub(crate) text: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) finish_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) stop_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) logprobs: Option<&'a RawValue>,
}

/// As much of a whole reply as its forwarding needs: what was said is crossed and not read.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Glance<'a> {
    #[serde(borrow, default)]
    pub(crate) object: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) choices: Choices<GlanceChoice<'a>>,
    #[serde(default)]
    pub(crate) usage: Option<WireUsage>,
    #[serde(borrow, default)]
    pub(crate) service_tier: Text<'a>,
    #[serde(default)]
    pub(crate) error: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct GlanceChoice<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    pub(crate) message: Option<GlanceMessage<'a>>,
    #[serde(borrow, default)]
    pub(crate) finish_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) stop_reason: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct GlanceMessage<'a> {
    #[serde(default)]
    pub(crate) tool_calls: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    pub(crate) function_call: Option<IgnoredAny>,
    #[serde(borrow, default)]
    pub(crate) refusal: Text<'a>,
}

// === impl WireUsage ===

impl WireUsage {
    /// Whether any figure is there at all.
    pub(crate) fn says_something(self) -> bool {
        self.prompt_tokens.0.is_some()
            || self.completion_tokens.0.is_some()
            || self.total_tokens.0.is_some()
    }

    /// Takes the nested figures apart (digest section 11). Parts that are larger than their whole are cut.
    pub(crate) fn to_usage(self) -> Usage {
        let prompt = self.prompt_tokens.0.unwrap_or(0);
        let details = self.prompt_tokens_details.unwrap_or_default();
        let mut input = prompt;
        let cached = details.cached_tokens.0.or(self.cached_tokens.0);
        let cached = cached.or(self.prompt_cache_hit_tokens.0);
        let cache_read = take(Count(cached), &mut input);
        let cache_write = take(details.cache_write_tokens, &mut input);
        let audio_input = take(details.audio_tokens, &mut input);
        let image_input = take(details.image_tokens, &mut input);
        // A server that only says the total said the rest with it.
        let total_says = || {
            self.total_tokens
                .0
                .map(|total| total.saturating_sub(prompt))
        };
        let mut output = self.completion_tokens.0.or_else(total_says).unwrap_or(0);
        let details = self.completion_tokens_details.unwrap_or_default();
        // Some servers (xAI) count reasoning beside the completion; their total says so.
        let outside = |reasoning: u64| {
            let sum = prompt.saturating_add(output).saturating_add(reasoning);
            reasoning > 0 && self.total_tokens.0.is_some_and(|total| total >= sum)
        };
        let reasoning = match details.reasoning_tokens.0 {
            Some(reasoning) if outside(reasoning) => Some(reasoning),
            _ => take(details.reasoning_tokens, &mut output),
        };
        let audio_output = take(details.audio_tokens, &mut output);
        let image_output = take(details.image_tokens, &mut output);
        Usage {
            input,
            cache_read,
            cache_write,
            cache_write_1h: None,
            audio_input,
            image_input,
            output,
            reasoning,
            audio_output,
            image_output,
            audio_ms: self.prompt_audio_seconds.0.map(|n| n.saturating_mul(1000)),
            provenance: if self.says_something() {
                Provenance::Reported
            } else {
                Provenance::Unknown
            },
            ..Usage::default()
        }
    }
}

/// What a whole reply says of its usage. The tier that served it stands beside the usage.
pub(crate) fn reply_usage(usage: Option<WireUsage>, tier_name: Option<&str>) -> Usage {
    Usage {
        tier: tier(tier_name),
        ..usage.map(WireUsage::to_usage).unwrap_or_default()
    }
}

/// The tier that served a call, in OpenAI's words: what was asked for as `fast` is named `priority`, and
/// `ultrafast` is a tier of its own. `scale` was paid for in advance, and has no other price.
pub(crate) fn tier(name: Option<&str>) -> ServiceTier {
    match name {
        Some("flex") => ServiceTier::Flex,
        Some("priority" | "fast") => ServiceTier::Priority,
        Some("ultrafast") => ServiceTier::Fast,
        Some("batch") => ServiceTier::Batch,
        _ => ServiceTier::Standard,
    }
}

/// Moves a part out of its whole.
pub(crate) fn take(part: Count, whole: &mut u64) -> Option<u64> {
    let part = part.0?.min(*whole);
    *whole -= part;
    Some(part)
}

// === Choices, Content, Arguments, Index ===

impl<T> Default for Choices<T> {
    fn default() -> Self {
        Self {
            first: None,
            others: Vec::new(),
            n: 0,
            is_list: false,
        }
    }
}

impl Indexed for Choice<'_> {
    fn index(&self) -> Count {
        self.index
    }
}

impl Indexed for ReplyChoice<'_> {
    fn index(&self) -> Count {
        self.index
    }
}

impl Indexed for GlanceChoice<'_> {
    fn index(&self) -> Count {
        self.index
    }
}

impl<'de, T: Deserialize<'de> + Indexed> Deserialize<'de> for Choices<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Indexed> Visitor<'de> for List<T> {
            type Value = Choices<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut choices = Choices {
                    is_list: true,
                    ..Choices::default()
                };
                while let Some(choice) = seq.next_element::<T>()? {
                    choices.n += 1;
                    let index = choice.index().0.unwrap_or(0);
                    if index == 0 {
                        if choices.first.is_none() {
                            choices.first = Some(choice);
                        }
                    } else if let Ok(index) = usize::try_from(index)
                        && index < ANSWERS_LIMIT
                    {
                        choices.others.push((index, choice));
                    }
                }
                Ok(choices)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Choices::default())
            }
        }

        from.deserialize_any(List(std::marker::PhantomData))
    }
}

#[derive(Deserialize)]
struct ContentPart<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Option<Thinking<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Thinking<'a> {
    Text(String),
    #[serde(borrow)]
    Parts(Vec<ContentPart<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyContent;

        impl<'de> Visitor<'de> for AnyContent {
            type Value = Content<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of parts")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content {
                    text: Some(Cow::Borrowed(text)),
                    thinking: String::new(),
                })
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content {
                    text: Some(Cow::Owned(text.to_owned())),
                    thinking: String::new(),
                })
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Content::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut text = String::new();
                let mut thinking = String::new();
                while let Some(part) = seq.next_element::<ContentPart<'de>>()? {
                    match part.thinking {
                        Some(Thinking::Text(more)) => thinking.push_str(&more),
                        Some(Thinking::Parts(parts)) => {
                            parts
                                .iter()
                                .filter_map(|part| part.text.as_deref())
                                .for_each(|t| thinking.push_str(t));
                        }
                        None if part.kind.as_deref().is_none_or(|kind| kind == "text") => {
                            text.push_str(part.text.as_deref().unwrap_or_default());
                        }
                        None => {}
                    }
                }
                Ok(Content {
                    text: Some(Cow::Owned(text)),
                    thinking,
                })
            }
        }

        from.deserialize_any(AnyContent)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Arguments<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?.get();
        let text = match raw.as_bytes().first() {
            Some(b'"') => {
                let text: Text<'a> = serde_json::from_str(raw).map_err(de::Error::custom)?;
                text.0
            }
            Some(b'n') => None,
            _ => Some(Cow::Borrowed(raw)),
        };
        Ok(Self(text))
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?.get();
        Ok(Self(raw.trim_matches('"').parse().ok()))
    }
}

// === What is written ===

#[derive(Debug, Serialize)]
pub(crate) struct UsageOut {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetailsOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetailsOut>,
}

#[expect(clippy::struct_field_names, reason = "the vendor's names")]
#[derive(Debug, Serialize)]
struct PromptDetailsOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CompletionDetailsOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

impl UsageOut {
    pub(crate) fn new(usage: &Usage) -> Self {
        let cache_write = match (usage.cache_write, usage.cache_write_1h) {
            (None, None) => None,
            (short, long) => Some(short.unwrap_or(0).saturating_add(long.unwrap_or(0))),
        };
        let has_input_details = usage
            .cache_read
            .or(cache_write)
            .or(usage.audio_input)
            .is_some();
        let has_output_details = usage.reasoning.or(usage.audio_output).is_some();
        let (input, output) = (usage.input_total(), usage.output_total());
        Self {
            prompt_tokens: input,
            completion_tokens: output,
            total_tokens: input.saturating_add(output),
            prompt_tokens_details: has_input_details.then_some(PromptDetailsOut {
                cached_tokens: usage.cache_read,
                cache_write_tokens: cache_write,
                audio_tokens: usage.audio_input,
            }),
            completion_tokens_details: has_output_details.then_some(CompletionDetailsOut {
                reasoning_tokens: usage.reasoning,
                audio_tokens: usage.audio_output,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Usage {
        serde_json::from_str::<WireUsage>(json).unwrap().to_usage()
    }

    #[test]
    fn reasoning_is_counted_whole_where_the_total_says_that_it_stands_outside() {
        // xAI's own example: <https://docs.x.ai/docs/key-information/consumption-and-rate-limits>.
        let outside = read(
            r#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}"#,
        );
        assert_eq!((outside.output, outside.reasoning), (9, Some(94)));
        let inside = read(
            r#"{"prompt_tokens":32,"completion_tokens":103,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}"#,
        );
        assert_eq!((inside.output, inside.reasoning), (9, Some(94)));
    }

    #[test]
    fn what_was_read_from_the_cache_is_read_in_each_vendors_words() {
        for json in [
            r#"{"prompt_tokens":100,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":60}}"#,
            r#"{"prompt_tokens":100,"completion_tokens":1,"cached_tokens":60}"#,
            r#"{"prompt_tokens":100,"completion_tokens":1,"prompt_cache_hit_tokens":60,"prompt_cache_miss_tokens":40}"#,
        ] {
            let usage = read(json);
            assert_eq!((usage.input, usage.cache_read), (40, Some(60)), "{json}");
        }
    }
}
