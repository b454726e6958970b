//! A conversation with everything that a chat template may be told: tools, calls of tools and their results, reasoning.
//!
//! Owns the types and their checks. How they look to a template is in `template`.

use crate::error::EngineError;
use crate::request::{Message, Role};

/// Names of a template's variables that are not keyword arguments.
const RESERVED: [&str; 7] = [
    "messages",
    "tools",
    "documents",
    "add_generation_prompt",
    "enable_thinking",
    "bos_token",
    "eos_token",
];

#[derive(Debug, Clone, Default)]
pub struct Conversation {
    pub turns: Vec<Turn>,
    /// What the model may call. Empty: the template is told of no tools.
    pub tools: Vec<Tool>,
    /// The template's `enable_thinking`; `None` leaves it to the template.
    pub thinking: Option<bool>,
    /// Further keyword arguments of the template: a name and a JSON text.
    pub arguments: Vec<(String, String)>,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Turn {
    pub role: Role,
    /// The parts of the text; most messages have one.
    pub content: Vec<String>,
    /// What the assistant thought before it answered.
    pub reasoning: Option<String>,
    /// The tools that the assistant called.
    pub calls: Vec<ToolCall>,
    /// The call that a message of a tool answers.
    pub call_id: Option<String>,
    /// The tool that answers, or who speaks.
    pub name: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// The JSON Schema of the arguments, as text.
    pub parameters: Option<String>,
}

#[derive(Debug, Clone)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// A JSON object, as text. Templates get what is no JSON as it is.
    pub arguments: String,
}

// === impl Conversation ===

impl Conversation {
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        if self.turns.is_empty() {
            return Err(EngineError::invalid(
                "messages",
                "messages must have at least one entry",
            ));
        }
        for (name, _) in &self.arguments {
            if RESERVED.contains(&name.as_str()) {
                return Err(EngineError::invalid(
                    "chat_template_kwargs",
                    format!(
                        "chat_template_kwargs must not set {name:?}; it is made of the request"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The length of what is certain to be in the prompt.
    pub(crate) fn n_bytes(&self) -> usize {
        self.turns
            .iter()
            .flat_map(|turn| &turn.content)
            .map(String::len)
            .sum()
    }

    /// Every text that a template may write.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let turns = self.turns.iter().flat_map(Turn::texts);
        let tools = self.tools.iter().flat_map(|tool| {
            [
                Some(&tool.name),
                tool.description.as_ref(),
                tool.parameters.as_ref(),
            ]
        });
        let arguments = self
            .arguments
            .iter()
            .flat_map(|(name, value)| [name, value]);
        turns
            .chain(tools.flatten().map(String::as_str))
            .chain(arguments.map(String::as_str))
    }
}

impl From<&[Message]> for Conversation {
    fn from(messages: &[Message]) -> Conversation {
        let turns = messages
            .iter()
            .map(|message| Turn::new(message.role, message.content.clone()));
        Conversation {
            turns: turns.collect(),
            ..Conversation::default()
        }
    }
}

// === impl Turn ===

impl Turn {
    /// A message of text alone.
    pub fn new(role: Role, content: String) -> Turn {
        Turn {
            role,
            content: vec![content],
            reasoning: None,
            calls: Vec::new(),
            call_id: None,
            name: None,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let calls = self
            .calls
            .iter()
            .flat_map(|call| [&call.id, &call.name, &call.arguments]);
        self.content
            .iter()
            .chain(&self.reasoning)
            .chain(calls)
            .chain(&self.call_id)
            .chain(&self.name)
            .map(String::as_str)
    }
}
