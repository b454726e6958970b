//! What is read and checked of a Messages request before it is planned, and the same-dialect path, which
//! changes nothing but the model: any other change of a conversation may break its preserved thinking
//! (digest 0.5).

use tollgate_base::{Error, Result};

use crate::{Head, RawObject, Rendered, Target, checks, json::Shape, openai_chat};

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

pub(crate) fn patch_request(raw: &RawObject, target: Target<'_>) -> Rendered {
    let Some(version) = &target.quirks.body_version else {
        return openai_chat::patch_model(raw, target);
    };
    let version = format!("\"{version}\"");
    Rendered {
        body: raw.with(&[
            ("model", None),
            ("stream", None),
            ("anthropic_version", Some(&version)),
        ]),
        ..Rendered::default()
    }
}
