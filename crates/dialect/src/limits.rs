//! How a caller is told what is left of its limits: the headers that the vendors' own clients read.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tollgate_base::UnixMillis;

use crate::Family;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKind {
    Requests,
    /// Tokens in and out together.
    Tokens,
    InputTokens,
    OutputTokens,
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    pub kind: LimitKind,
    pub limit: u64,
    pub remaining: u64,
    /// Until the whole limit is there again.
    pub reset: Duration,
    pub now: UnixMillis,
}

/// The headers of a reply of this family. OpenAI has no words for input and output apart, and Gemini has none at
/// all: its callers read only how long to wait.
///
/// <https://platform.openai.com/docs/guides/rate-limits>, <https://platform.claude.com/docs/en/api/rate-limits>
pub fn limit_headers(
    family: Family,
    limits: &[LimitState],
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    limits
        .iter()
        .filter_map(move |state| {
            let [limit, remaining, at] = names(family, state.kind)?;
            let reset = match family {
                Family::OpenAi => duration(state.reset),
                Family::Anthropic => rfc3339(state.now, state.reset),
                Family::Gemini => return None,
            };
            Some([
                (limit, HeaderValue::from(state.limit)),
                (remaining, HeaderValue::from(state.remaining)),
                (at, HeaderValue::try_from(reset).ok()?),
            ])
        })
        .flatten()
}

/// Names of the limit, of what remains of it and of when it is whole again.
type Names = [HeaderName; 3];

const OPENAI_REQUESTS: Names = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const OPENAI_TOKENS: Names = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
const ANTHROPIC_REQUESTS: Names = [
    HeaderName::from_static("anthropic-ratelimit-requests-limit"),
    HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    HeaderName::from_static("anthropic-ratelimit-requests-reset"),
];
const ANTHROPIC_TOKENS: Names = [
    HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
    HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
    HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
];
const ANTHROPIC_INPUT: Names = [
    HeaderName::from_static("anthropic-ratelimit-input-tokens-limit"),
    HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining"),
    HeaderName::from_static("anthropic-ratelimit-input-tokens-reset"),
];
const ANTHROPIC_OUTPUT: Names = [
    HeaderName::from_static("anthropic-ratelimit-output-tokens-limit"),
    HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining"),
    HeaderName::from_static("anthropic-ratelimit-output-tokens-reset"),
];

fn names(family: Family, kind: LimitKind) -> Option<Names> {
    Some(match (family, kind) {
        (Family::OpenAi, LimitKind::Requests) => OPENAI_REQUESTS,
        (Family::OpenAi, LimitKind::Tokens) => OPENAI_TOKENS,
        (Family::Anthropic, LimitKind::Requests) => ANTHROPIC_REQUESTS,
        (Family::Anthropic, LimitKind::Tokens) => ANTHROPIC_TOKENS,
        (Family::Anthropic, LimitKind::InputTokens) => ANTHROPIC_INPUT,
        (Family::Anthropic, LimitKind::OutputTokens) => ANTHROPIC_OUTPUT,
        _ => return None,
    })
}

/// `120ms`, `1s`, `6m0s`, `1h0m0s`: milliseconds below a second, whole seconds from there, and what is begun
/// counts. Every answer says a few of them.
fn duration(wait: Duration) -> String {
    let mut out = String::with_capacity(16);
    let mut push = |number: u64, unit: &str| {
        out.push_str(itoa::Buffer::new().format(number));
        out.push_str(unit);
    };
    let millis = u64::from(wait.subsec_micros().div_ceil(1000));
    if wait.as_secs() == 0 && millis < 1000 {
        push(millis, "ms");
        return out;
    }
    let seconds = wait.as_secs().saturating_add(u64::from(millis > 0));
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        push(hours, "h");
    }
    if hours > 0 || minutes > 0 {
        push(minutes, "m");
    }
    push(seconds % 60, "s");
    out
}

/// The last instant that four digits of a year can say.
const LAST_SECOND: u64 = 253_402_300_799;

/// When the wait is over, to the second, which is rounded up.
fn rfc3339(now: UnixMillis, wait: Duration) -> String {
    let millis = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    let at = now.0.saturating_add(millis).div_ceil(1000).min(LAST_SECOND);
    let (year, month, day) = date(at / 86_400);
    let (hour, minute, second) = (at / 3600 % 24, at / 60 % 60, at % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day since 1970-01-01. Years begin in March here, so that a leap day is the last
/// of its year, and 400 of them are an era of 146,097 days.
fn date(day: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    // Days from 0000-03-01 to 1970-01-01.
    let since = day.saturating_add(719_468);
    let (era, in_era) = (since / ERA, since % ERA);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(kind: LimitKind, reset: Duration) -> LimitState {
        LimitState {
            kind,
            limit: 60,
            remaining: 59,
            reset,
            // 2026-02-28T23:59:30.500Z
            now: UnixMillis(1_772_323_170_500),
        }
    }

    fn lines(family: Family, limits: &[LimitState]) -> Vec<String> {
        limit_headers(family, limits)
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn openai_callers_read_durations() {
        let limits = [
            state(LimitKind::Requests, Duration::from_secs(1)),
            state(LimitKind::Tokens, Duration::from_mins(6)),
            state(LimitKind::InputTokens, Duration::from_secs(1)),
        ];
        assert_eq!(
            lines(Family::OpenAi, &limits),
            [
                "x-ratelimit-limit-requests: 60",
                "x-ratelimit-remaining-requests: 59",
                "x-ratelimit-reset-requests: 1s",
                "x-ratelimit-limit-tokens: 60",
                "x-ratelimit-remaining-tokens: 59",
                "x-ratelimit-reset-tokens: 6m0s",
            ]
        );
    }

    #[test]
    fn a_duration_is_said_as_the_vendor_says_it() {
        let cases = [
            (0, "0ms"),
            (120, "120ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (1_001, "2s"),
            (60_000, "1m0s"),
            (3_723_000, "1h2m3s"),
        ];
        for (millis, text) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration(Duration::from_micros(1)), "1ms");
        assert!(duration(Duration::MAX).ends_with('s'));
    }

    #[test]
    fn anthropic_callers_read_instants() {
        let limits = [
            state(LimitKind::Requests, Duration::from_secs(30)),
            state(LimitKind::Tokens, Duration::ZERO),
            state(LimitKind::InputTokens, Duration::from_millis(29_500)),
            state(LimitKind::OutputTokens, Duration::MAX),
        ];
        assert_eq!(
            lines(Family::Anthropic, &limits),
            [
                "anthropic-ratelimit-requests-limit: 60",
                "anthropic-ratelimit-requests-remaining: 59",
                "anthropic-ratelimit-requests-reset: 2026-03-01T00:00:01Z",
                "anthropic-ratelimit-tokens-limit: 60",
                "anthropic-ratelimit-tokens-remaining: 59",
                "anthropic-ratelimit-tokens-reset: 2026-02-28T23:59:31Z",
                "anthropic-ratelimit-input-tokens-limit: 60",
                "anthropic-ratelimit-input-tokens-remaining: 59",
                "anthropic-ratelimit-input-tokens-reset: 2026-03-01T00:00:00Z",
                "anthropic-ratelimit-output-tokens-limit: 60",
                "anthropic-ratelimit-output-tokens-remaining: 59",
                "anthropic-ratelimit-output-tokens-reset: 9999-12-31T23:59:59Z",
            ]
        );
    }

    #[test]
    fn leap_days_are_days() {
        let at = |seconds: u64| rfc3339(UnixMillis(seconds * 1000), Duration::ZERO);
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_164_800), "2024-02-29T00:00:00Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn gemini_callers_are_told_nothing() {
        let limits = [state(LimitKind::Requests, Duration::from_secs(1))];
        assert_eq!(limit_headers(Family::Gemini, &limits).count(), 0);
    }
}
