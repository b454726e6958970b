//! What is read and checked of a Messages request before it is planned, and the same-dialect path, which
//! changes nothing but the model and how long the answer may get: any other change of a conversation may break its preserved thinking
//! (digest 0.5).

use bytes::Bytes;
use tollgate_base::{Error, Result};

use crate::{
    Head, Loss, RawObject, Rendered, Target, checks,
    ir::changed,
    json::{Json, Shape},
    openai_chat,
};

const ROLES: [&str; 3] = ["user", "assistant", "system"];

pub(crate) fn read_head(raw: &RawObject) -> Result<Head> {
    checks::no_overrides(raw)?;
    let model = checks::model(raw)?;
    let stream = checks::flag(raw, "stream")?.unwrap_or(false);
    // Zero fills the prompt cache and answers nothing.
    let Some(max_tokens) = checks::whole(raw, "max_tokens", 0)? else {
        return Err(Error::missing_field("max_tokens"));
    };
    checks::number(raw, "temperature", 0.0..=1.0)?;
    checks::number(raw, "top_p", 0.0..=1.0)?;
    checks::whole(raw, "top_k", 0)?;
    checks::stops(raw, "stop_sequences", false)?;
    checks::text(raw, "service_tier", 64)?;
    checks::metadata(raw)?;
    checks::object(raw, "thinking")?;
    checks::object(raw, "output_config")?;
    checks::object(raw, "tool_choice")?;
    checks::tools(raw)?;
    check_system(raw)?;
    checks::messages(raw, &ROLES, false)?;
    Ok(Head {
        model,
        stream,
        include_usage: true,
        max_output_tokens: Some(max_tokens),
        candidates: 1,
    })
}

fn check_system(raw: &RawObject) -> Result<()> {
    let Some(system) = raw.json("system") else {
        return Ok(());
    };
    let fits = match system.shape() {
        Shape::String => true,
        Shape::Array => system.items().all(|block| block.shape() == Shape::Object),
        Shape::Null | Shape::Bool | Shape::Number | Shape::Object => false,
    };
    if fits {
        Ok(())
    } else {
        Err(checks::wrong_type(
            "system",
            "a string or a list of text blocks",
        ))
    }
}

pub(crate) fn patch_request(raw: &RawObject, target: Target<'_>) -> Result<Rendered> {
    let (limited, losses) = limit(raw, target)?;
    let Some(version) = &target.quirks.body_version else {
        let mut rendered = openai_chat::patch_model(raw, target, limited);
        rendered.losses.extend(losses);
        return Ok(rendered);
    };
    let version = format!("\"{version}\"");
    let mut changes = vec![
        ("model", None),
        ("stream", None),
        ("anthropic_version", Some(&*version)),
    ];
    changes.extend(limited.iter().map(|(name, value)| (*name, Some(&**value))));
    Ok(Rendered {
        body: raw.with(&changes),
        losses,
        ..Rendered::default()
    })
}

/// The least thinking that the vendor takes.
pub(super) const LOWEST_BUDGET: u64 = 1024;

type Changes = Vec<(&'static str, String)>;

/// Keeps the answer within what it may cost. The vendor counts thinking inside of the answer and refuses a
/// budget that is not below the maximum, so that the budget is lowered with it.
fn limit(raw: &RawObject, target: Target<'_>) -> Result<(Changes, Vec<Loss>)> {
    let asked = raw.json("max_tokens").and_then(Json::as_u64);
    let limited = target.limited(asked, "max_tokens", 1)?;
    let Some(most) = limited.filter(|_| limited != asked) else {
        return Ok(Default::default());
    };
    let mut changes = vec![("max_tokens", most.to_string())];
    let thinking = raw.json("thinking");
    let budget = thinking.and_then(|thinking| thinking.field("budget_tokens")?.as_u64());
    let (Some(thinking), Some(budget)) = (thinking, budget.filter(|budget| *budget >= most)) else {
        return Ok((changes, Vec::new()));
    };
    let fitting = most.saturating_sub(1);
    if fitting < LOWEST_BUDGET {
        return Err(no_room_to_think("thinking.budget_tokens", most));
    }
    debug_assert!(fitting < budget, "the budget is only lowered");
    let thinking = RawObject::parse(Bytes::from(thinking.text().to_owned()))?;
    let thinking = thinking.with(&[("budget_tokens", Some(&fitting.to_string()))]);
    changes.push(("thinking", String::from_utf8_lossy(&thinking).into_owned()));
    let reason =
        format!("The request may use {most} output tokens, which leaves {fitting} for thinking.");
    Ok((changes, vec![changed("thinking.budget_tokens", reason)]))
}

pub(super) fn no_room_to_think(field: &str, most: u64) -> Error {
    let text = format!(
        "The request may use at most {most} output tokens, and thinking takes at least {LOWEST_BUDGET} of them and leaves one. Switch thinking off, or raise the limit that applies to the request."
    );
    Error::unsupported(field, text)
}
