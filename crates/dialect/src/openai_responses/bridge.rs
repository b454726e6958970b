//! Chat requests that only Responses can answer: some models refuse function tools on chat completions
//! while they reason (traps T1).

use crate::{Effort, RawObject, Target, json::Json};

/// Whether the model would refuse this chat request on `/v1/chat/completions`, and takes it on
/// `/v1/responses`. Only a provider that has both is asked this.
pub fn chat_needs_responses(raw: &RawObject, target: Target<'_>) -> bool {
    let traits = target.traits;
    if traits.chat_refuses_tools_while_reasoning != Some(true) || !has_functions(raw) {
        return false;
    }
    let knows_none = traits.efforts.is_empty() || traits.efforts.contains(&Effort::None);
    let effort = raw.json("reasoning_effort").and_then(Json::as_str);
    match effort.as_deref() {
        Some("none") => !knows_none,
        Some(_) => true,
        None => traits.reasons_by_default == Some(true) || !knows_none,
    }
}

/// Custom tools are not refused.
fn has_functions(raw: &RawObject) -> bool {
    let mut tools = raw.json("tools").into_iter().flat_map(Json::items);
    let has_deprecated = raw
        .json("functions")
        .is_some_and(|functions| functions.items().next().is_some());
    has_deprecated
        || tools.any(|tool| {
            let kind = tool.field("type").and_then(Json::as_str);
            kind.is_none_or(|kind| kind == "function")
        })
}
