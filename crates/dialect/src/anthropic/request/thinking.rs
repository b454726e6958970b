//! How much to think: the ladder of efforts and budgets (mapping section 1), in each model's own form.

use tollgate_base::Result;

use crate::{
    Effort, Loss, ModelTraits, Target, ThinkingStyle,
    anthropic::head::{LOWEST_BUDGET, no_room_to_think},
    ir::{Part, Request, Role, ToolChoice, changed, dropped},
};

/// What is written of `thinking`, `output_config.effort` and `max_tokens`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) thinking: Thinking,
    pub(super) effort: Option<Effort>,
    pub(super) max_tokens: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Nothing is said, and the model does what it does by default.
    Unsaid,
    Disabled,
    Adaptive,
    Budget(u64),
}

/// What a model without a known maximum is asked for when the caller named none.
const DEFAULT_MAX_TOKENS: u64 = 4096;

pub(super) fn plan(request: &Request, target: Target<'_>, losses: &mut Vec<Loss>) -> Result<Plan> {
    let traits = target.traits;
    let mut max_tokens = request
        .max_output_tokens
        .or(traits.max_output_tokens)
        .unwrap_or(DEFAULT_MAX_TOKENS);
    if let Some(ceiling) = traits
        .max_output_tokens
        .filter(|ceiling| max_tokens > *ceiling)
    {
        max_tokens = ceiling;
        losses.push(changed(
            "max_tokens",
            format!("The model gives at most {ceiling} tokens."),
        ));
    }
    if let Some(most) = target.limited(Some(max_tokens), "max_tokens", 1)? {
        if request.max_output_tokens.is_some() && most < max_tokens {
            let reason = format!("The request may use at most {most} output tokens.");
            losses.push(changed("max_tokens", reason));
        }
        max_tokens = most;
    }
    let plan = Plan {
        thinking: Thinking::Unsaid,
        effort: None,
        max_tokens,
    };
    let Some(reasoning) = &request.reasoning else {
        return Ok(plan);
    };
    let path = request.reasoning_path();
    let wanted = reasoning
        .budget_tokens
        .map(Effort::of_budget)
        .or(reasoning.effort)
        .unwrap_or(Effort::High);
    Ok(match traits.thinking {
        _ if wanted == Effort::None => off(plan, traits, path, losses),
        ThinkingStyle::Adaptive => {
            let effort = adaptive_effort(reasoning.effort.unwrap_or(wanted), traits, path, losses);
            Plan {
                thinking: Thinking::Adaptive,
                effort: Some(effort),
                ..plan
            }
        }
        ThinkingStyle::Budget => {
            let budget = reasoning.budget_tokens.unwrap_or_else(|| wanted.budget());
            with_budget(plan, budget, request, target, losses)?
        }
        ThinkingStyle::None => {
            losses.push(dropped(path, "The model does not think."));
            plan
        }
        ThinkingStyle::Level | ThinkingStyle::Unknown => {
            losses.push(dropped(
                path,
                "It is not known how this model is told to think.",
            ));
            plan
        }
    })
}

fn off(plan: Plan, traits: &ModelTraits, path: &str, losses: &mut Vec<Loss>) -> Plan {
    if traits.thinking_always_on {
        losses.push(changed(
            path,
            "The model always thinks, so it thinks as little as it can.",
        ));
        return Plan {
            effort: Some(Effort::Low),
            ..plan
        };
    }
    match traits.thinking {
        ThinkingStyle::Adaptive => Plan {
            thinking: Thinking::Disabled,
            ..plan
        },
        // These do not think unless they are told to.
        ThinkingStyle::Budget
        | ThinkingStyle::Level
        | ThinkingStyle::None
        | ThinkingStyle::Unknown => plan,
    }
}

/// The effort on this dialect's own ladder, which begins at low, within what the model takes.
fn adaptive_effort(
    wanted: Effort,
    traits: &ModelTraits,
    path: &str,
    losses: &mut Vec<Loss>,
) -> Effort {
    let wanted = wanted.max(Effort::Low);
    // The two highest efforts are new; a model takes them only if that is known.
    let takes = |effort: &Effort| match traits.efforts.as_slice() {
        [] => *effort <= Effort::High,
        efforts => efforts.contains(effort),
    };
    if takes(&wanted) {
        return wanted;
    }
    let ladder = [
        Effort::Max,
        Effort::Xhigh,
        Effort::High,
        Effort::Medium,
        Effort::Low,
    ];
    let lower = ladder
        .into_iter()
        .filter(|effort| *effort < wanted)
        .find(takes)
        .unwrap_or(Effort::Low);
    losses.push(changed(
        path,
        format!("The model's next effort is {}.", lower.as_str()),
    ));
    lower
}

fn with_budget(
    plan: Plan,
    budget: u64,
    request: &Request,
    target: Target<'_>,
    losses: &mut Vec<Loss>,
) -> Result<Plan> {
    let path = request.reasoning_path();
    if matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_))
    ) && !request.tools.is_empty()
    {
        losses.push(dropped(
            path,
            "The model does not think when a tool is forced.",
        ));
        return Ok(plan);
    }
    if continues_unsigned_tool_loop(request) {
        losses.push(dropped(
            path,
            "The model goes on thinking only after its own signed thinking, which is not there.",
        ));
        return Ok(plan);
    }
    let max_tokens = if request.max_output_tokens.is_some() {
        plan.max_tokens
    } else {
        // The budget counts inside of the maximum, so that it comes on top of a default.
        let raised = plan.max_tokens.saturating_add(budget);
        let ceilings = [target.traits.max_output_tokens, target.max_output];
        ceilings.into_iter().flatten().fold(raised, u64::min)
    };
    let fitting = budget.min(max_tokens.saturating_sub(1));
    if fitting < LOWEST_BUDGET {
        // The caller left room, and what it may use does not.
        let wanted = request.max_output_tokens;
        if target.max_output == Some(max_tokens) && wanted.is_none_or(|n| n > max_tokens) {
            return Err(no_room_to_think(path, max_tokens));
        }
        losses.push(dropped(
            path,
            "The maximum of output tokens leaves no room for thinking.",
        ));
        return Ok(plan);
    }
    if fitting < budget {
        losses.push(changed(
            path,
            format!("The maximum of output tokens leaves {fitting} tokens for thinking."),
        ));
    }
    Ok(Plan {
        thinking: Thinking::Budget(fitting),
        max_tokens,
        ..plan
    })
}

/// Whether the conversation ends inside of a tool loop whose last answer lacks its thinking block: with a
/// budget, the vendor refuses to go on thinking from there.
fn continues_unsigned_tool_loop(request: &Request) -> bool {
    let answers_tool = request.messages.last().is_some_and(|message| {
        message
            .parts
            .iter()
            .any(|part| matches!(part, Part::ToolResult { .. }))
    });
    let last = request
        .messages
        .iter()
        .rev()
        .find(|message| message.role == Role::Assistant);
    let is_signed = last.is_some_and(|message| {
        matches!(
            message.parts.first(),
            Some(
                Part::Reasoning {
                    signature: Some(_),
                    ..
                } | Part::RedactedReasoning { .. }
            )
        )
    });
    answers_tool && !is_signed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Quirks, ir::Reasoning};

    fn check(
        thinking: ThinkingStyle,
        effort: Effort,
        max: Option<u64>,
        expect: (Thinking, u64),
        n_losses: usize,
    ) {
        let traits = ModelTraits {
            thinking,
            max_output_tokens: Some(64_000),
            ..ModelTraits::default()
        };
        let quirks = Quirks::default();
        let request = Request {
            reasoning: Some(Reasoning {
                effort: Some(effort),
                ..Reasoning::default()
            }),
            max_output_tokens: max,
            ..Request::default()
        };
        let mut losses = Vec::new();
        let plan = plan(
            &request,
            Target {
                model: "m",
                traits: &traits,
                quirks: &quirks,
                max_output: None,
            },
            &mut losses,
        )
        .unwrap();
        assert_eq!((plan.thinking, plan.max_tokens), expect, "{losses:?}");
        assert_eq!(losses.len(), n_losses, "{losses:?}");
    }

    #[test]
    fn efforts_become_budgets_inside_of_the_maximum() {
        check(
            ThinkingStyle::Budget,
            Effort::Minimal,
            None,
            (Thinking::Budget(1024), 64_000),
            0,
        );
        check(
            ThinkingStyle::Budget,
            Effort::Medium,
            Some(20_000),
            (Thinking::Budget(8192), 20_000),
            0,
        );
        check(
            ThinkingStyle::Budget,
            Effort::High,
            Some(20_000),
            (Thinking::Budget(19_999), 20_000),
            1,
        );
        check(
            ThinkingStyle::Budget,
            Effort::High,
            Some(1_024),
            (Thinking::Unsaid, 1_024),
            1,
        );
        check(
            ThinkingStyle::Budget,
            Effort::None,
            Some(1_024),
            (Thinking::Unsaid, 1_024),
            0,
        );
    }

    #[test]
    fn adaptive_models_take_the_effort() {
        check(
            ThinkingStyle::Adaptive,
            Effort::Minimal,
            None,
            (Thinking::Adaptive, 64_000),
            0,
        );
        check(
            ThinkingStyle::Adaptive,
            Effort::Xhigh,
            None,
            (Thinking::Adaptive, 64_000),
            1,
        );
        check(
            ThinkingStyle::Adaptive,
            Effort::None,
            None,
            (Thinking::Disabled, 64_000),
            0,
        );
        check(
            ThinkingStyle::None,
            Effort::High,
            None,
            (Thinking::Unsaid, 64_000),
            1,
        );
        check(
            ThinkingStyle::Unknown,
            Effort::High,
            Some(70_000),
            (Thinking::Unsaid, 64_000),
            2,
        );
    }
}
