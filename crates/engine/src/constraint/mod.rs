//! What an answer must be, and which tokens keep it so: before a token is drawn, every other token is taken away.
//!
//! Owns the wish (`Constraint`), the check of its schema (`schema`), the grammar of a model's own calls (`grammar`) and
//! the state of one answer (`Bound`). The automaton behind it is llguidance's; here it gets limits, and its panics end
//! in an error. What limits allow takes milliseconds, and a request that needs more is refused or fails by name.
//!
//! A constraint binds what is drawn, not where it ends: `max_tokens`, the window and stop sequences can still cut the
//! answer, and then it is the beginning of a valid one. Log probabilities stay those of the model itself.

mod grammar;
mod numbers;
mod schema;
mod vocabulary;

use std::fmt;
use std::panic::AssertUnwindSafe;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, panic_utils};

use self::numbers::Numbers;
pub(crate) use self::vocabulary::Vocabulary;
use crate::conversation::Tool;
use crate::error::EngineError;
use crate::reply::ReplyFormat;

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// A JSON object.
    JsonObject,
    /// JSON that is valid against this JSON Schema (a text). Keywords that cannot be kept are refused by name.
    JsonSchema(String),
    /// A call, in the model's own form, of the tool that is named, or of any of the conversation's tools, with arguments
    /// that are valid against the tool's schema.
    ToolCall {
        name: Option<String>,
        /// Whether more calls may follow the first.
        is_parallel: bool,
    },
    /// Anything, but a call that the model begins is one of the conversation's tools with valid arguments.
    StrictTools,
}

/// How the conversation's model writes, as far as a grammar must know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) format: ReplyFormat,
    /// Of Mistral's two forms of calls, whether it is `name[ARGS]{…}`.
    pub(crate) names_before_arguments: bool,
}

/// One answer under its constraint.
pub(crate) struct Bound {
    matcher: Matcher,
    /// Where the answer is JSON but for reasoning.
    numbers: Option<Numbers>,
    /// The field of the request that asks for it.
    param: &'static str,
}

// === impl Constraint ===

impl Constraint {
    /// The name of the request's field in errors.
    fn param(&self) -> &'static str {
        match self {
            Constraint::JsonObject | Constraint::JsonSchema(_) => "response_format",
            Constraint::ToolCall { .. } => "tool_choice",
            Constraint::StrictTools => "tools",
        }
    }

    /// Whether the answer is calls of tools, or may have them.
    pub(crate) fn has_calls(&self) -> bool {
        match self {
            Constraint::JsonObject | Constraint::JsonSchema(_) => false,
            Constraint::ToolCall { .. } | Constraint::StrictTools => true,
        }
    }

    fn grammar(
        &self,
        manner: Option<Manner>,
        tools: &[Tool],
    ) -> Result<TopLevelGrammar, EngineError> {
        let thinking = manner.and_then(|manner| manner.format.thinking);
        match self {
            Constraint::JsonObject => Ok(grammar::json(schema::any_object(), thinking)),
            Constraint::JsonSchema(text) => Ok(grammar::json(
                schema::read("response_format", text)?,
                thinking,
            )),
            Constraint::ToolCall { name, is_parallel } => {
                let tools = grammar::chosen(tools, name.as_deref())?;
                let more = if *is_parallel {
                    grammar::More::Calls
                } else {
                    grammar::More::Nothing
                };
                grammar::calls(with_calls(manner)?, &tools, more)
            }
            Constraint::StrictTools => {
                let tools = grammar::chosen(tools, None)?;
                grammar::calls(with_calls(manner)?, &tools, grammar::More::Anything)
            }
        }
    }
}

fn with_calls(manner: Option<Manner>) -> Result<Manner, EngineError> {
    manner
        .filter(|manner| manner.format.calls.is_some())
        .ok_or_else(|| {
            EngineError::unsupported(
                "tools",
                "this model's chat template has no form for calls of tools that is known; leave tools out, or take \
                 another model",
            )
        })
}

// === impl Bound ===

impl Bound {
    /// Refuses a constraint that cannot be kept, before any token is drawn.
    pub(crate) fn new(
        vocabulary: &Vocabulary,
        constraint: &Constraint,
        manner: Option<Manner>,
        tools: &[Tool],
    ) -> Result<Bound, EngineError> {
        let param = constraint.param();
        let grammar = constraint.grammar(manner, tools)?;
        let made = || Ok(Matcher::new(vocabulary.factory().create_parser(grammar)));
        let mut matcher = panic_utils::catch_unwind(AssertUnwindSafe(made))
            .map_err(|error| refused(param, &error.to_string()))?;
        if let Some(error) = matcher.get_error() {
            return Err(refused(param, &error));
        }
        // A schema that only points at itself has no beginning, and this is where it shows.
        match matcher.compute_mask_or_eos() {
            Ok(mask) if !mask.is_zero() => Ok(Bound {
                matcher,
                numbers: (*constraint != Constraint::StrictTools).then(Numbers::default),
                param,
            }),
            Ok(_) => Err(refused(param, "nothing satisfies it")),
            Err(error) => Err(refused(param, &error.to_string())),
        }
    }

    /// Takes the logits of every token that would break the constraint.
    pub(crate) fn apply(
        &mut self,
        vocabulary: &Vocabulary,
        shows_markers: bool,
        logits: &mut [f32],
    ) -> Result<(), EngineError> {
        let mask = self.matcher.compute_mask_or_eos();
        let mask = mask.map_err(|error| self.gave_up(&error.to_string()))?;
        ban(logits, |token| !mask.is_allowed(token));
        if !shows_markers {
            for token in vocabulary.markers() {
                if let Some(logit) = logits.get_mut(*token as usize) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        if let Some(numbers) = self.numbers
            && !numbers.is_in_string()
        {
            let is_long = |token| !{ numbers }.push(vocabulary.bytes(token));
            let mut rest = (0..).zip(logits.iter());
            let goes_on = rest.any(|(token, logit)| is_possible(*logit) && !is_long(token));
            if goes_on {
                ban(logits, is_long);
            }
        }
        if logits.iter().any(|logit| is_possible(*logit)) {
            return Ok(());
        }
        Err(self.gave_up("no token of this model goes on"))
    }

    /// Goes on behind a token that was drawn. True where the answer is whole and nothing can follow.
    pub(crate) fn take(
        &mut self,
        vocabulary: &Vocabulary,
        token: u32,
    ) -> Result<bool, EngineError> {
        if let Some(numbers) = &mut self.numbers {
            numbers.push(vocabulary.bytes(token));
        }
        self.matcher
            .consume_token(token)
            .map_err(|error| self.gave_up(&error.to_string()))?;
        Ok(self.matcher.is_stopped())
    }

    /// The same constraint at the beginning of another answer.
    pub(crate) fn again(&self) -> Bound {
        Bound {
            matcher: self.matcher.deep_clone(),
            numbers: self.numbers,
            param: self.param,
        }
    }

    fn gave_up(&self, reason: &str) -> EngineError {
        refused(self.param, reason)
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("param", &self.param)
            .finish_non_exhaustive()
    }
}

fn is_possible(logit: f32) -> bool {
    logit > f32::NEG_INFINITY
}

fn ban(logits: &mut [f32], is_banned: impl Fn(u32) -> bool) {
    for (token, logit) in (0..).zip(logits) {
        if is_possible(*logit) && is_banned(token) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// `reason` is a library's; its first line says what is wrong.
fn refused(param: &'static str, reason: &str) -> EngineError {
    let line: String = reason
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    EngineError::unsupported(
        param,
        format!("the schema cannot be kept: {line}; simplify it"),
    )
}

#[cfg(test)]
mod tests;
