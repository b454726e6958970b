//! A request of the IR in the engine's words.

use tollgate_base::{Error, Result};
use tollgate_dialect::{
    Effort, Loss, LossKind,
    ir::{self, Part, ToolChoice},
};
use tollgate_engine::{
    Constraint, Conversation, Prompt, Request, Role, Sampling, Tool, ToolCall as EngineCall, Turn,
};

/// What is asked of the engine.
pub(super) struct Wanted {
    pub(super) request: Request,
    pub(super) candidates: u32,
}

impl Wanted {
    /// Gives no more output than the call may have.
    pub(super) fn cap(&mut self, most: Option<u64>) {
        if let Some(most) = most.map(|most| u32::try_from(most).unwrap_or(u32::MAX)) {
            let wanted = self.request.max_tokens;
            self.request.max_tokens = Some(wanted.map_or(most, |wanted| wanted.min(most)));
        }
    }
}

/// What a request asks of the model; what the engine has no word for is lost by name, or refused where a caller relies
/// on it. What the engine has read for `owner` before, it need not read again.
pub(super) fn read(
    asked: &ir::Request,
    (model, owner): (&str, &str),
    losses: &mut Vec<Loss>,
) -> Result<Wanted> {
    let forces_a_call = matches!(
        asked.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_))
    );
    if forces_a_call && asked.tools.is_empty() {
        let message = "`tool_choice` forces a tool, and `tools` has none that this model can call.";
        return Err(Error::invalid_value("tool_choice", message));
    }
    let constraint = constraint(asked);
    lose_what_is_not_kept(asked, constraint.as_ref(), losses);
    let wanted = &asked.sampling;
    let default = Sampling::default();
    let sampling = Sampling {
        temperature: single(wanted.temperature, default.temperature),
        top_p: single(wanted.top_p, default.top_p),
        top_k: wanted
            .top_k
            .map_or(default.top_k, |k| u32::try_from(k).unwrap_or(u32::MAX)),
        min_p: single(wanted.min_p, default.min_p),
        repetition_penalty: single(wanted.repetition_penalty, default.repetition_penalty),
        frequency_penalty: single(wanted.frequency_penalty, default.frequency_penalty),
        presence_penalty: single(wanted.presence_penalty, default.presence_penalty),
        logit_bias: wanted
            .logit_bias
            .iter()
            .map(|(token, bias)| (*token, single(Some(*bias), 0.0)))
            .collect(),
        seed: wanted.seed.map(i64::cast_unsigned),
        ..default
    };
    let request = Request {
        sampling,
        max_tokens: asked
            .max_output_tokens
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
        stop: asked.stop.clone(),
        logprobs: asked.logprobs,
        owner: owner.to_owned(),
        constraint,
        ..Request::new(prompt(asked, model)?)
    };
    Ok(Wanted {
        request,
        candidates: asked.candidates.max(1),
    })
}

/// Names what the engine has no word for, and what the answer's constraint leaves no room for.
fn lose_what_is_not_kept(
    asked: &ir::Request,
    constraint: Option<&Constraint>,
    losses: &mut Vec<Loss>,
) {
    let mut lose = |field: &str, kind, reason: &str| {
        losses.push(Loss {
            field: field.to_owned(),
            kind,
            reason: reason.to_owned(),
        });
    };
    for (field, _) in &asked.extras {
        let reason = "a model of this machine does not know it";
        lose(field, LossKind::Dropped, reason);
    }
    let has_format = !matches!(asked.output, ir::OutputFormat::Text);
    match constraint {
        Some(Constraint::JsonObject | Constraint::JsonSchema(_)) if offers_tools(asked) => {
            let reason = "the answer is bound to `response_format`, so that no tool can be called";
            lose("tools", LossKind::Dropped, reason);
        }
        Some(Constraint::StrictTools | Constraint::ToolCall { .. }) if has_format => {
            let reason = "the answer is bound to its tools instead";
            lose("response_format", LossKind::Dropped, reason);
        }
        _ => {}
    }
    let is_forced = matches!(constraint, Some(Constraint::ToolCall { .. }));
    if asked.parallel_tool_calls == Some(false) && offers_tools(asked) && !is_forced {
        let reason = "one call at a time is kept only where a call is forced";
        lose("parallel_tool_calls", LossKind::Dropped, reason);
    }
    if let Some(reasoning) = &asked.reasoning {
        let is_level = !matches!(reasoning.effort, None | Some(Effort::None));
        if is_level || reasoning.budget_tokens.is_some_and(|n| n > 0) {
            let reason = "the model reasons as much as it does; only on and off can be said";
            lose("reasoning", LossKind::Changed, reason);
        }
    }
    let tier = asked.service_tier.as_deref();
    if tier.is_some_and(|tier| !["auto", "default", "standard_only"].contains(&tier)) {
        lose("service_tier", LossKind::Dropped, "this machine has one");
    }
    if has_failed_results(asked) {
        let reason = "a failed result is marked by the word Error";
        lose("is_error", LossKind::Changed, reason);
    }
}

fn has_failed_results(asked: &ir::Request) -> bool {
    let mut parts = asked.messages.iter().flat_map(|message| &message.parts);
    parts.any(|part| matches!(part, Part::ToolResult { result, .. } if result.is_error))
}

/// Whether the model may call tools.
pub(super) fn offers_tools(asked: &ir::Request) -> bool {
    !asked.tools.is_empty() && asked.tool_choice != Some(ToolChoice::None)
}

/// Whether the model shall think before it answers; `None` leaves it to the model.
pub(super) fn thinking(asked: &ir::Request) -> Option<bool> {
    let reasoning = asked.reasoning.as_ref()?;
    match (&reasoning.effort, reasoning.budget_tokens) {
        (Some(Effort::None), _) | (None, Some(0)) => Some(false),
        (Some(_), _) | (None, Some(_)) => Some(true),
        (None, None) => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sampling parameters are small numbers; single precision is the engine's own"
)]
fn single(wanted: Option<f64>, default: f32) -> f32 {
    wanted.map_or(default, |value| value as f32)
}

/// What the answer must be. A call that is asked for binds it more than a format does: the format is for the turn that
/// answers in words.
fn constraint(asked: &ir::Request) -> Option<Constraint> {
    let is_parallel = asked.parallel_tool_calls != Some(false);
    let call = |name| Constraint::ToolCall { name, is_parallel };
    if offers_tools(asked) {
        match &asked.tool_choice {
            Some(ToolChoice::Required) => return Some(call(None)),
            Some(ToolChoice::Named(name)) => return Some(call(Some(name.clone()))),
            _ if asked.tools.iter().any(|tool| tool.strict == Some(true)) => {
                return Some(Constraint::StrictTools);
            }
            _ => {}
        }
    }
    match &asked.output {
        ir::OutputFormat::Text => None,
        ir::OutputFormat::JsonObject => Some(Constraint::JsonObject),
        ir::OutputFormat::JsonSchema { schema, .. } => {
            Some(Constraint::JsonSchema(schema.get().to_owned()))
        }
    }
}

pub(super) fn prompt(asked: &ir::Request, model: &str) -> Result<Prompt> {
    if asked.raw_prompt {
        let text = asked
            .messages
            .iter()
            .flat_map(|message| &message.parts)
            .filter_map(|part| match part {
                Part::Text { text, .. } => Some(text.as_str()),
                _ => None,
            });
        return Ok(Prompt::Raw(text.collect()));
    }
    let mut turns = Turns {
        model,
        turns: Vec::new(),
    };
    for message in &asked.messages {
        turns.add(message)?;
    }
    let tools = if offers_tools(asked) {
        asked.tools.iter().map(tool).collect()
    } else {
        Vec::new()
    };
    Ok(Prompt::Conversation(Box::new(Conversation {
        turns: turns.turns,
        tools,
        thinking: thinking(asked),
        arguments: Vec::new(),
    })))
}

fn tool(tool: &ir::Tool) -> Tool {
    Tool {
        name: tool.name.clone(),
        description: tool.description.clone(),
        parameters: tool.parameters.as_ref().map(|json| json.get().to_owned()),
    }
}

/// The messages as a chat template knows them: a tool's result is a message of its own.
struct Turns<'a> {
    model: &'a str,
    turns: Vec<Turn>,
}

impl Turns<'_> {
    fn add(&mut self, message: &ir::Message) -> Result<()> {
        let mut turn = turn(match message.role {
            ir::Role::System | ir::Role::Developer => Role::System,
            ir::Role::User => Role::User,
            ir::Role::Assistant => Role::Assistant,
        });
        turn.name.clone_from(&message.name);
        let mut has_results = false;
        for part in &message.parts {
            match part {
                Part::Text { text, .. } | Part::Refusal { text } => turn.content.push(text.clone()),
                Part::Reasoning { text, .. } => {
                    turn.reasoning.get_or_insert_default().push_str(text);
                }
                // Another vendor's own, which it alone can read.
                Part::RedactedReasoning { .. } => {}
                Part::ToolCall { call, .. } => turn.calls.push(EngineCall {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                }),
                Part::ToolResult { result, .. } => {
                    has_results = true;
                    self.add_result(result)?;
                }
                Part::Image { .. }
                | Part::Document { .. }
                | Part::Audio { .. }
                | Part::Opaque { .. } => return Err(self.reads_text_only()),
            }
        }
        // A message of results alone is told by them.
        if !has_results || !turn.content.is_empty() {
            self.turns.push(turn);
        }
        Ok(())
    }

    fn add_result(&mut self, result: &ir::ToolResult) -> Result<()> {
        let mut turn = turn(Role::Tool);
        turn.call_id = Some(result.call_id.clone());
        let calls = self.turns.iter().rev().flat_map(|turn| &turn.calls);
        let called = calls.clone().find(|call| call.id == result.call_id);
        turn.name = called.map(|call| call.name.clone());
        if result.is_error {
            turn.content.push("Error: ".to_owned());
        }
        for part in &result.content {
            let Part::Text { text, .. } = part else {
                return Err(self.reads_text_only());
            };
            turn.content.push(text.clone());
        }
        self.turns.push(turn);
        Ok(())
    }

    fn reads_text_only(&self) -> Error {
        let message = format!(
            "The model {} reads text only: no images, files or audio. Choose another model for them.",
            self.model
        );
        Error::unsupported("messages", message)
    }
}

fn turn(role: Role) -> Turn {
    Turn {
        role,
        content: Vec::new(),
        reasoning: None,
        calls: Vec::new(),
        call_id: None,
        name: None,
    }
}
