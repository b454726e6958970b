//! What a caller asks of the engine, and which values it may ask with.
//!
//! Ranges are checked here, before anything is queued; whether the prompt fits the window is checked where the
//! tokenizer is, in the worker.

use crate::constraint::Constraint;
use crate::conversation::{Conversation, Tool};
use crate::error::EngineError;

const MAX_STOPS: usize = 64;
/// As OpenAI's.
const MAX_TOP_LOGPROBS: u32 = 20;
const MAX_BIASES: usize = 1024;

/// One generation.
#[derive(Debug, Clone)]
pub struct Request {
    pub prompt: Prompt,
    pub sampling: Sampling,
    /// `None`: until the model ends its answer or the window is full.
    pub max_tokens: Option<u32>,
    /// Text at which the answer ends; the text itself is not part of the answer.
    pub stop: Vec<String>,
    /// Pieces carry their tokens with log probabilities, and with so many of the most likely: 0..=20. `None`: without.
    pub logprobs: Option<u32>,
    /// The text of the prompt comes before the answer. Its tokens are not told.
    pub echo: bool,
    /// Who asks. A beginning of the prompt that a request of the same owner had is not computed again.
    pub owner: String,
    /// What the answer must be. `None`: anything.
    pub constraint: Option<Constraint>,
}

#[derive(Debug, Clone)]
pub enum Prompt {
    /// A conversation, put into the model's own form by the chat template of its file.
    Messages(Vec<Message>),
    /// The same with tools, reasoning and what else templates know.
    Conversation(Box<Conversation>),
    /// Text to continue, with no template around it. Special tokens in it are plain text.
    Raw(String),
    /// Token ids of this model's vocabulary.
    Tokens(Vec<u32>),
}

#[derive(Debug, Clone)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// How the next token is drawn. `sampling` says in which order these act.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0..=2. Zero takes the most likely token. Default 0.7: a small model wanders at 1.
    pub temperature: f32,
    /// Above 0, up to 1. Default 1, which is off.
    pub top_p: f32,
    /// 0 is off, which is the default.
    pub top_k: u32,
    /// 0..=1, a share of the best token's probability. Default 0, which is off.
    pub min_p: f32,
    /// Above 0, up to 2, over prompt and answer. Default 1, which is off.
    pub repetition_penalty: f32,
    /// How many of the last tokens the repetition penalty looks at. `None`, the default: all of prompt and answer.
    pub repetition_window: Option<u32>,
    /// -2..=2, times the count in the answer. Default 0, which is off.
    pub frequency_penalty: f32,
    /// -2..=2, once for a token that the answer has. Default 0, which is off.
    pub presence_penalty: f32,
    /// Added to a token's logit, -100..=100: -100 bans the token, and where tokens have 100 only those can come.
    pub logit_bias: Vec<(u32, f32)>,
    /// The same seed and request give the same answer, whatever else runs. `None` draws one.
    pub seed: Option<u64>,
}

// === impl Request ===

impl Request {
    /// With the defaults of everything but the prompt.
    pub fn new(prompt: Prompt) -> Request {
        Request {
            prompt,
            sampling: Sampling::default(),
            max_tokens: None,
            stop: Vec::new(),
            logprobs: None,
            echo: false,
            owner: String::new(),
            constraint: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        self.sampling.check()?;
        if self.max_tokens == Some(0) {
            return Err(EngineError::invalid(
                "max_tokens",
                "max_tokens must be at least 1",
            ));
        }
        if self.stop.len() > MAX_STOPS {
            return Err(EngineError::invalid(
                "stop",
                format!("at most {MAX_STOPS} stop sequences are taken"),
            ));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(EngineError::invalid(
                "stop",
                "a stop sequence must not be empty",
            ));
        }
        if let Some(n_top) = self.logprobs
            && n_top > MAX_TOP_LOGPROBS
        {
            return Err(EngineError::invalid(
                "top_logprobs",
                format!("top_logprobs must be between 0 and {MAX_TOP_LOGPROBS}, not {n_top}"),
            ));
        }
        self.prompt.check()
    }
}

// === impl Prompt ===

impl Prompt {
    /// What the model may call.
    pub(crate) fn tools(&self) -> &[Tool] {
        match self {
            Prompt::Conversation(conversation) => &conversation.tools,
            Prompt::Messages(_) | Prompt::Raw(_) | Prompt::Tokens(_) => &[],
        }
    }

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        match self {
            Prompt::Messages(messages) if messages.is_empty() => Err(EngineError::invalid(
                "messages",
                "messages must have at least one entry",
            )),
            Prompt::Raw(text) if text.is_empty() => {
                Err(EngineError::invalid("prompt", "prompt must not be empty"))
            }
            Prompt::Tokens(tokens) if tokens.is_empty() => {
                Err(EngineError::invalid("prompt", "prompt must not be empty"))
            }
            Prompt::Conversation(conversation) => conversation.check(),
            Prompt::Messages(_) | Prompt::Raw(_) | Prompt::Tokens(_) => Ok(()),
        }
    }
}

// === impl Role ===

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }
}

// === impl Sampling ===

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling {
            temperature: 0.7,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            repetition_window: None,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: None,
        }
    }
}

impl Sampling {
    /// The most likely token each time.
    pub fn greedy() -> Sampling {
        Sampling {
            temperature: 0.0,
            ..Sampling::default()
        }
    }

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let within = |param, value: f32, low: f32, high: f32| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(EngineError::invalid(
                param,
                format!("{param} must be between {low} and {high}, not {value}"),
            ))
        };
        let above_zero = |param, value: f32, high: f32| {
            if value > 0.0 && value <= high {
                return Ok(());
            }
            Err(EngineError::invalid(
                param,
                format!("{param} must be above 0 and at most {high}, not {value}"),
            ))
        };
        within("temperature", self.temperature, 0.0, 2.0)?;
        above_zero("top_p", self.top_p, 1.0)?;
        within("min_p", self.min_p, 0.0, 1.0)?;
        above_zero("repetition_penalty", self.repetition_penalty, 2.0)?;
        within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?;
        within("presence_penalty", self.presence_penalty, -2.0, 2.0)?;
        if self.logit_bias.len() > MAX_BIASES {
            return Err(EngineError::invalid(
                "logit_bias",
                format!("logit_bias takes at most {MAX_BIASES} tokens"),
            ));
        }
        let mut biases = self.logit_bias.iter();
        biases.try_for_each(|(_, bias)| within("logit_bias", *bias, -100.0, 100.0))
    }

    /// Whether every token that it names is one of so many.
    pub(crate) fn check_tokens(&self, vocabulary_size: usize) -> Result<(), EngineError> {
        let unknown = |(token, _): &&(u32, f32)| *token as usize >= vocabulary_size;
        match self.logit_bias.iter().find(unknown) {
            None => Ok(()),
            Some((token, _)) => Err(EngineError::invalid(
                "logit_bias",
                format!(
                    "logit_bias names the token {token}; this model's end at {}",
                    vocabulary_size - 1
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn refused(change: impl FnOnce(&mut Request)) -> Option<&'static str> {
        let mut request = Request::new(Prompt::Raw("a".to_owned()));
        change(&mut request);
        match request.check().map_err(|error| error.kind) {
            Ok(()) => None,
            Err(ErrorKind::InvalidParameter { param }) => Some(param),
            Err(other) => panic!("unexpected {other:?}"),
        }
    }

    #[test]
    fn every_range_names_its_parameter() {
        assert_eq!(refused(|_| ()), None);
        for value in [-0.1, 2.1, f32::NAN, f32::INFINITY] {
            assert_eq!(
                refused(|r| r.sampling.temperature = value),
                Some("temperature")
            );
        }
        for value in [0.0, -1.0, 1.01, f32::NAN] {
            assert_eq!(refused(|r| r.sampling.top_p = value), Some("top_p"));
        }
        for value in [-0.1, 1.1, f32::NAN] {
            assert_eq!(refused(|r| r.sampling.min_p = value), Some("min_p"));
        }
        for value in [0.0, 2.5, f32::NAN] {
            assert_eq!(
                refused(|r| r.sampling.repetition_penalty = value),
                Some("repetition_penalty")
            );
        }
        for value in [-2.1, 2.1, f32::NAN] {
            assert_eq!(
                refused(|r| r.sampling.frequency_penalty = value),
                Some("frequency_penalty")
            );
            assert_eq!(
                refused(|r| r.sampling.presence_penalty = value),
                Some("presence_penalty")
            );
        }
        for value in [-100.5, 101.0, f32::NAN] {
            assert_eq!(
                refused(|r| r.sampling.logit_bias = vec![(1, 0.0), (2, value)]),
                Some("logit_bias")
            );
        }
        assert_eq!(refused(|r| r.logprobs = Some(21)), Some("top_logprobs"));
        assert_eq!(refused(|r| r.max_tokens = Some(0)), Some("max_tokens"));
        assert_eq!(refused(|r| r.stop = vec![String::new()]), Some("stop"));
        assert_eq!(refused(|r| r.stop = vec!["x".to_owned(); 65]), Some("stop"));
        assert_eq!(
            refused(|r| r.prompt = Prompt::Messages(Vec::new())),
            Some("messages")
        );
        assert_eq!(
            refused(|r| r.prompt = Prompt::Raw(String::new())),
            Some("prompt")
        );
        assert_eq!(
            refused(|r| r.prompt = Prompt::Tokens(Vec::new())),
            Some("prompt")
        );
    }

    #[test]
    fn the_ends_of_every_range_are_taken() {
        for (temperature, penalty) in [(0.0, -2.0), (2.0, 2.0)] {
            assert_eq!(
                refused(|r| {
                    r.sampling.temperature = temperature;
                    r.sampling.top_p = 1.0;
                    r.sampling.min_p = 1.0;
                    r.sampling.repetition_penalty = 2.0;
                    r.sampling.frequency_penalty = penalty;
                    r.sampling.presence_penalty = penalty;
                    r.sampling.logit_bias = vec![(0, penalty * 50.0)];
                    r.logprobs = Some(20);
                }),
                None
            );
        }
    }
}
