//! The usage of operations that are passed through and have no dialect of their own: images, transcriptions,
//! speech, embeddings and rerankers. Conversations are read by their dialects.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;
use tollgate_base::{Provenance, Usage};

use crate::{
    json::{Count, Json, Text},
    openai_chat::wire::take,
};

/// An answer, or an event of one that is streamed.
#[derive(Debug, Deserialize)]
struct Answer<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    usage: Option<Figures<'a>>,
    #[serde(default, deserialize_with = "lenient")]
    data: Option<Vec<Datum>>,
    #[serde(default, deserialize_with = "lenient")]
    meta: Option<Meta>,
}

/// `usage`: tokens in and out, a total alone, or the length of what was heard.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Figures<'a> {
    #[serde(alias = "prompt_tokens")]
    input_tokens: Count,
    #[serde(alias = "completion_tokens")]
    output_tokens: Count,
    total_tokens: Count,
    /// Transcriptions leave the plural out.
    #[serde(alias = "input_token_details", alias = "prompt_tokens_details")]
    input_tokens_details: Option<Details>,
    #[serde(alias = "output_token_details", alias = "completion_tokens_details")]
    output_tokens_details: Option<Details>,
    #[serde(borrow)]
    seconds: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_audio_seconds: Option<&'a RawValue>,
}

#[expect(clippy::struct_field_names, reason = "the vendor's names")]
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

/// A result; an image is one that has either of these.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Datum {
    b64_json: Option<IgnoredAny>,
    url: Option<IgnoredAny>,
}

/// Cohere's word for what it charges: <https://docs.cohere.com/reference/rerank>.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta {
    billed_units: Option<Billed>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Billed {
    input_tokens: Count,
    output_tokens: Count,
    search_units: Count,
}

/// What an answer to a passed-through operation, or an event of its stream, says of the usage. Unknown where
/// it says nothing. Images are counted one by one only where no tokens are said of them, since a provider
/// charges for the one or the other.
pub fn read_operation_usage(json: &[u8]) -> Usage {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(json) else {
        return Usage::default();
    };
    let images = answer.images();
    let is_image = images.is_some() || is_image_event(answer.kind.as_deref());
    let said = answer.usage.and_then(|figures| figures.to_usage(is_image));
    let billed = || answer.meta?.billed_units?.to_usage();
    said.or_else(billed)
        .or_else(|| {
            Some(Usage {
                images: Some(images?),
                ..Usage::default()
            })
        })
        .map(|usage| Usage {
            provenance: Provenance::Reported,
            ..usage
        })
        .unwrap_or_default()
}

fn is_image_event(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| kind.starts_with("image_"))
}

impl Answer<'_> {
    fn images(&self) -> Option<u64> {
        let is_image = |datum: &&Datum| datum.b64_json.is_some() || datum.url.is_some();
        let n = self.data.iter().flatten().filter(is_image).count();
        u64::try_from(n).ok().filter(|n| *n > 0)
    }
}

impl Figures<'_> {
    /// `None` where nothing is said that is known.
    fn to_usage(&self, is_image: bool) -> Option<Usage> {
        let audio_ms = self.prompt_audio_seconds.or(self.seconds).and_then(millis);
        let whole_output = self.output_tokens.0.unwrap_or(0);
        let rest = || Some(self.total_tokens.0?.saturating_sub(whole_output));
        let said = self.input_tokens.0.or_else(rest);
        said.or(audio_ms)?;
        let (mut input, mut output) = (said.unwrap_or(0), whole_output);
        let details = self.input_tokens_details.unwrap_or_default();
        let cache_read = take(details.cached_tokens, &mut input);
        let audio_input = take(details.audio_tokens, &mut input);
        let image_input = take(details.image_tokens, &mut input);
        let details = match self.output_tokens_details {
            Some(details) => details,
            // An answer that does not tell them apart gives nothing but the image.
            None if is_image => Details {
                image_tokens: self.output_tokens,
                ..Details::default()
            },
            None => Details::default(),
        };
        let audio_output = take(details.audio_tokens, &mut output);
        let image_output = take(details.image_tokens, &mut output);
        Some(Usage {
            input,
            cache_read,
            audio_input,
            image_input,
            output,
            audio_output,
            image_output,
            audio_ms,
            ..Usage::default()
        })
    }
}

impl Billed {
    fn to_usage(self) -> Option<Usage> {
        let tokens = self.input_tokens.0.or(self.output_tokens.0);
        tokens.or(self.search_units.0)?;
        Some(Usage {
            input: self.input_tokens.0.unwrap_or(0),
            output: self.output_tokens.0.unwrap_or(0),
            searches: self.search_units.0,
            ..Usage::default()
        })
    }
}

/// Seconds as milliseconds; what is begun counts.
fn millis(seconds: &RawValue) -> Option<u64> {
    let length = Duration::try_from_secs_f64(Json::new(seconds.get()).as_f64()?).ok()?;
    u64::try_from(length.as_micros().div_ceil(1000)).ok()
}

/// Reads a value, or nothing where it has another shape.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(from)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> Usage {
        let usage = read_operation_usage(json.as_bytes());
        assert_eq!(usage.provenance, Provenance::Reported, "{json}");
        usage
    }

    #[test]
    fn tokens_of_images_stand_in_their_own_buckets() {
        let usage = said(
            r#"{"created":1,"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":50,"output_tokens":30,
                "total_tokens":80,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#,
        );
        assert_eq!((usage.input, usage.image_input), (10, Some(40)));
        assert_eq!((usage.output, usage.image_output), (0, Some(30)));
        assert_eq!(usage.images, None);
        let event = said(
            r#"{"type":"image_generation.completed","b64_json":"AA","usage":{"input_tokens":5,"output_tokens":9,
                "output_tokens_details":{"image_tokens":7,"text_tokens":2}}}"#,
        );
        assert_eq!((event.output, event.image_output), (2, Some(7)));
    }

    #[test]
    fn images_without_tokens_are_counted() {
        let usage = said(r#"{"created":1,"data":[{"url":"https://a/1"},{"url":"https://a/2"}]}"#);
        assert_eq!((usage.images, usage.output_total()), (Some(2), 0));
    }

    #[test]
    fn a_transcription_is_charged_by_tokens_or_by_its_length() {
        let tokens = said(
            r#"{"text":"x","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59,
                "input_token_details":{"text_tokens":4,"audio_tokens":10}}}"#,
        );
        assert_eq!((tokens.input, tokens.audio_input), (4, Some(10)));
        assert_eq!(tokens.output, 45);
        let of = |seconds: &str| {
            let json =
                format!(r#"{{"text":"x","usage":{{"type":"duration","seconds":{seconds}}}}}"#);
            said(&json).audio_ms
        };
        assert_eq!(of("9"), Some(9_000));
        assert_eq!(of("3.5201"), Some(3_521));
        let mistral = said(
            r#"{"usage":{"prompt_audio_seconds":203,"prompt_tokens":4,"total_tokens":3264,"completion_tokens":635}}"#,
        );
        assert_eq!(
            (mistral.audio_ms, mistral.input, mistral.output),
            (Some(203_000), 4, 635)
        );
    }

    #[test]
    fn embeddings_and_rerankers_say_a_total_or_search_units() {
        let embedded = r#"{"data":[{"object":"embedding","embedding":[1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#;
        assert_eq!((said(embedded).input, said(embedded).images), (8, None));
        assert_eq!(
            said(r#"{"results":[],"usage":{"total_tokens":9}}"#).input,
            9
        );
        let cohere = said(r#"{"results":[],"meta":{"billed_units":{"search_units":2}}}"#);
        assert_eq!((cohere.searches, cohere.input_total()), (Some(2), 0));
    }

    #[test]
    fn what_says_nothing_is_unknown() {
        for silent in [
            r#"{"text":"x"}"#,
            r#"{"usage":{}}"#,
            r#"{"usage":7,"data":"no","meta":[]}"#,
            r#"{"usage":{"type":"duration","seconds":-1}}"#,
            "[]",
            "no",
        ] {
            let usage = read_operation_usage(silent.as_bytes());
            assert_eq!(usage.provenance, Provenance::Unknown, "{silent}");
        }
    }
}
