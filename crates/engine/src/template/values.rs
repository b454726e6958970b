//! A conversation as a template sees it: the shapes of OpenAI's chat messages, as transformers hands them on.
//!
//! Every text of a caller goes through the guard, inside of JSON too, so that none becomes a control token.

use minijinja::value::{Value, ValueKind};

use crate::conversation::{Conversation, Tool, ToolCall, Turn};
use crate::error::EngineError;
use crate::request::Role;
use crate::tokenizer::{Guard, Tokenizer};

/// Makes values out of the texts of callers.
pub(super) struct Values<'a> {
    pub(super) guard: &'a Guard,
    pub(super) tokenizer: &'a Tokenizer,
    /// Whether the template takes a list of parts as content.
    pub(super) takes_parts: bool,
    /// Whether it takes nothing else.
    pub(super) needs_parts: bool,
}

type Entry = (&'static str, Value);

// === impl Values ===

impl Values<'_> {
    pub(super) fn messages(&self, conversation: &Conversation) -> Value {
        conversation
            .turns
            .iter()
            .map(|turn| self.message(turn))
            .collect()
    }

    /// Nothing rather than an empty list, as transformers has it.
    pub(super) fn tools(&self, conversation: &Conversation) -> Result<Value, EngineError> {
        if conversation.tools.is_empty() {
            return Ok(Value::from(()));
        }
        conversation
            .tools
            .iter()
            .map(|tool| self.tool(tool))
            .collect()
    }

    /// The template's keyword arguments.
    pub(super) fn arguments(
        &self,
        conversation: &Conversation,
    ) -> Result<Vec<(String, Value)>, EngineError> {
        let mut arguments = Vec::new();
        for (name, text) in &conversation.arguments {
            let value = self.json(text).ok_or_else(|| {
                EngineError::invalid(
                    "chat_template_kwargs",
                    format!("the value of {name:?} in chat_template_kwargs is not JSON"),
                )
            })?;
            arguments.push((name.clone(), value));
        }
        Ok(arguments)
    }

    fn message(&self, turn: &Turn) -> Value {
        let mut entries: Vec<Entry> = vec![
            ("role", Value::from(turn.role.name())),
            ("content", self.content(turn)),
        ];
        if let Some(reasoning) = &turn.reasoning {
            entries.push((
                "reasoning_content",
                Value::from(self.text(turn.role, reasoning)),
            ));
        }
        if !turn.calls.is_empty() {
            let calls: Value = turn.calls.iter().map(|call| self.call(call)).collect();
            entries.push(("tool_calls", calls));
        }
        if let Some(id) = &turn.call_id {
            entries.push(("tool_call_id", self.value(id)));
        }
        if let Some(name) = &turn.name {
            entries.push(("name", self.value(name)));
        }
        Value::from_pairs(entries)
    }

    fn content(&self, turn: &Turn) -> Value {
        let is_list = self.needs_parts || self.takes_parts && turn.content.len() > 1;
        if !is_list {
            return Value::from(self.text(turn.role, &turn.content.concat()));
        }
        let part = |text: &String| {
            let text = Value::from(self.text(turn.role, text));
            Value::from_pairs([("type", Value::from("text")), ("text", text)])
        };
        turn.content.iter().map(part).collect()
    }

    fn tool(&self, tool: &Tool) -> Result<Value, EngineError> {
        let mut function: Vec<Entry> = vec![("name", self.value(&tool.name))];
        if let Some(description) = &tool.description {
            function.push(("description", self.value(description)));
        }
        if let Some(parameters) = &tool.parameters {
            let schema = self.json(parameters).ok_or_else(|| {
                EngineError::invalid(
                    "tools",
                    format!("the parameters of the tool {:?} are not JSON", tool.name),
                )
            })?;
            function.push(("parameters", schema));
        }
        Ok(Value::from_pairs([
            ("type", Value::from("function")),
            ("function", Value::from_pairs(function)),
        ]))
    }

    fn call(&self, call: &ToolCall) -> Value {
        let arguments = self
            .json(&call.arguments)
            .unwrap_or_else(|| self.value(&call.arguments));
        let function = [("name", self.value(&call.name)), ("arguments", arguments)];
        Value::from_pairs([
            ("id", self.value(&call.id)),
            ("type", Value::from("function")),
            ("function", Value::from_pairs(function)),
        ])
    }

    /// The assistant's own words keep the markers that templates look for in them, `</think>` say.
    fn text(&self, role: Role, text: &str) -> String {
        let specials = match role {
            Role::Assistant => self.tokenizer.controls(),
            Role::System | Role::User | Role::Tool => self.tokenizer.specials(),
        };
        self.guard.protect(text, specials)
    }

    fn value(&self, text: &str) -> Value {
        Value::from(self.guard.protect(text, self.tokenizer.specials()))
    }

    /// The value of a JSON text, keys in their order.
    fn json(&self, text: &str) -> Option<Value> {
        serde_json::from_str(text)
            .ok()
            .map(|value| self.inside(&value))
    }

    /// Templates quote what is inside of JSON, so nothing there can join what stands around it: only whole special
    /// tokens are broken, and words that templates compare, `string` say, stay as they are.
    fn inside(&self, value: &Value) -> Value {
        let broken = |text: &str| {
            let text = self.guard.protect_inside(text, self.tokenizer.specials());
            Value::from(text)
        };
        match (value.kind(), value.try_iter()) {
            (ValueKind::Map, Ok(keys)) => Value::from_pairs(keys.map(|key| {
                let entry = value.get_item(&key).unwrap_or_default();
                (
                    key.as_str().map_or(key.clone(), broken),
                    self.inside(&entry),
                )
            })),
            (ValueKind::Seq, Ok(items)) => items.map(|item| self.inside(&item)).collect(),
            _ => value.as_str().map_or_else(|| value.clone(), broken),
        }
    }
}
