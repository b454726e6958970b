//! How much to think: a level or a budget, in each model's own form (mapping section 1).

use crate::{
    Effort, Loss, ModelTraits, Target, ThinkingStyle,
    ir::{Request, changed, dropped},
};

/// What is written of `thinkingConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thinking {
    pub(super) amount: Amount,
    pub(super) is_shown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// As the model does by default.
    Unsaid,
    Level(&'static str),
    Budget(u64),
}

pub(super) fn plan(
    request: &Request,
    target: Target<'_>,
    losses: &mut Vec<Loss>,
) -> Option<Thinking> {
    let reasoning = request.reasoning.as_ref()?;
    let path = request.reasoning_path();
    let traits = target.traits;
    let is_off = reasoning.effort == Some(Effort::None) || reasoning.budget_tokens == Some(0);
    let is_shown = !is_off && reasoning.visible != Some(false);
    let amount = match traits.thinking {
        ThinkingStyle::None | ThinkingStyle::Unknown if is_off => return None,
        ThinkingStyle::None => {
            losses.push(dropped(path, "The model does not think."));
            return None;
        }
        ThinkingStyle::Unknown | ThinkingStyle::Adaptive => {
            losses.push(dropped(
                path,
                "It is not known how this model is told to think.",
            ));
            return None;
        }
        ThinkingStyle::Level => {
            let of_budget = reasoning.budget_tokens.map(Effort::of_budget);
            match reasoning.effort.or(of_budget) {
                None => Amount::Unsaid,
                Some(effort) => Amount::Level(level(effort, traits, path, losses)),
            }
        }
        ThinkingStyle::Budget => {
            let of_effort = reasoning.effort.map(gemini_budget);
            match reasoning.budget_tokens.or(of_effort) {
                None => Amount::Unsaid,
                Some(budget) => Amount::Budget(fitted(budget, traits, path, losses)),
            }
        }
    };
    Some(Thinking { amount, is_shown })
}

/// The vendor's own table for efforts ends here.
fn gemini_budget(effort: Effort) -> u64 {
    effort.budget().min(Effort::High.budget())
}

fn level(wanted: Effort, traits: &ModelTraits, path: &str, losses: &mut Vec<Loss>) -> &'static str {
    let takes = |effort: Effort| match traits.efforts.as_slice() {
        // The lowest level is the one that models differ in.
        [] => effort != Effort::Minimal,
        efforts => efforts.contains(&effort),
    };
    let ladder = [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High];
    if wanted == Effort::None {
        losses.push(changed(
            path,
            "The model always thinks, so it thinks as little as it can.",
        ));
    }
    let fitting = ladder
        .into_iter()
        .find(|effort| *effort >= wanted && takes(*effort))
        .unwrap_or(Effort::High);
    if fitting != wanted && wanted != Effort::None {
        losses.push(changed(
            path,
            format!("The model's next level is {}.", fitting.as_str()),
        ));
    }
    match fitting {
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::Xhigh | Effort::Max => "HIGH",
    }
}

fn fitted(budget: u64, traits: &ModelTraits, path: &str, losses: &mut Vec<Loss>) -> u64 {
    if budget == 0 && !traits.thinking_always_on {
        return 0;
    }
    let (fewest, most) = traits.thinking_budget.unwrap_or((1, 24_576));
    let fitting = budget.clamp(fewest, most.max(fewest));
    if budget == 0 {
        losses.push(changed(
            path,
            "The model always thinks, so it thinks as little as it can.",
        ));
    } else if fitting != budget {
        losses.push(changed(
            path,
            format!("The model takes {fewest} to {most} tokens of thinking."),
        ));
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Quirks, ir::Reasoning};

    fn planned(traits: &ModelTraits, reasoning: Reasoning) -> (Option<Thinking>, usize) {
        let quirks = Quirks::default();
        let request = Request {
            reasoning: Some(reasoning),
            ..Request::default()
        };
        let mut losses = Vec::new();
        let target = Target {
            model: "m",
            traits,
            quirks: &quirks,
            max_output: None,
        };
        let plan = plan(&request, target, &mut losses);
        (plan, losses.len())
    }

    fn of_effort(traits: &ModelTraits, effort: Effort) -> (Amount, bool, usize) {
        let reasoning = Reasoning {
            effort: Some(effort),
            ..Reasoning::default()
        };
        let (plan, n_losses) = planned(traits, reasoning);
        let plan = plan.unwrap();
        (plan.amount, plan.is_shown, n_losses)
    }

    #[test]
    fn t07_levels_are_those_the_model_takes() {
        let traits = ModelTraits {
            thinking: ThinkingStyle::Level,
            efforts: vec![Effort::Low, Effort::High],
            ..ModelTraits::default()
        };
        let level = |effort| of_effort(&traits, effort);
        assert_eq!(level(Effort::None), (Amount::Level("LOW"), false, 1));
        assert_eq!(level(Effort::Minimal), (Amount::Level("LOW"), true, 1));
        assert_eq!(level(Effort::Low), (Amount::Level("LOW"), true, 0));
        assert_eq!(level(Effort::Medium), (Amount::Level("HIGH"), true, 1));
        assert_eq!(level(Effort::Max), (Amount::Level("HIGH"), true, 1));
    }

    #[test]
    fn t07_budgets_stay_in_the_models_range() {
        let mut traits = ModelTraits {
            thinking: ThinkingStyle::Budget,
            thinking_always_on: true,
            thinking_budget: Some((128, 32_768)),
            ..ModelTraits::default()
        };
        assert_eq!(
            of_effort(&traits, Effort::None),
            (Amount::Budget(128), false, 1)
        );
        assert_eq!(
            of_effort(&traits, Effort::Max),
            (Amount::Budget(24_576), true, 0)
        );
        traits.thinking_always_on = false;
        traits.thinking_budget = Some((512, 24_576));
        assert_eq!(
            of_effort(&traits, Effort::None),
            (Amount::Budget(0), false, 0)
        );
        let reasoning = Reasoning {
            budget_tokens: Some(100),
            visible: Some(false),
            ..Reasoning::default()
        };
        let (plan, n_losses) = planned(&traits, reasoning);
        assert_eq!(plan.unwrap().amount, Amount::Budget(512));
        assert_eq!(n_losses, 1);
    }

    #[test]
    fn a_model_that_is_not_known_is_told_nothing() {
        let traits = ModelTraits::default();
        let reasoning = Reasoning {
            effort: Some(Effort::High),
            ..Reasoning::default()
        };
        assert_eq!(planned(&traits, reasoning), (None, 1));
    }
}
