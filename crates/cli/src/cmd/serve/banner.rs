//! What a service says when it is ready: for people, and as one line of JSON for programs.

use std::{fmt::Write as _, net::SocketAddr};

use serde::Serialize;
use tollgate_base::Secret;
use tollgate_config::{Origin, Provider};

use super::Started;

/// The built-in model's name, for the lines to copy.
const DEMO: &str = "tollgate-demo";

/// The line for programs. Keys are in it only when this start made them.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    version: &'static str,
    url: String,
    listen: SocketAddr,
    data: String,
    providers: Vec<&'a str>,
    startup_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

pub(super) fn json(started: &Started<'_>) -> String {
    let ready = Ready {
        event: "ready",
        version: env!("CARGO_PKG_VERSION"),
        url: url(started.running.address()),
        listen: started.running.address(),
        data: started.config.data_dir.display().to_string(),
        providers: started
            .config
            .providers
            .keys()
            .map(String::as_str)
            .collect(),
        startup_ms: u64::try_from(started.startup.as_millis()).unwrap_or(u64::MAX),
        admin_key: started.keys.admin.as_ref().map(Secret::expose),
        key: started.keys.caller.as_ref().map(Secret::expose),
    };
    serde_json::to_string(&ready).unwrap_or_default()
}

pub(super) fn text(started: &Started<'_>) -> String {
    let url = url(started.running.address());
    let mut out = String::new();
    let ms = started.startup.as_millis();
    push(
        &mut out,
        format_args!(
            "Tollgate {} is ready on {url} ({ms} ms)\n\n",
            env!("CARGO_PKG_VERSION")
        ),
    );
    push(
        &mut out,
        format_args!("  Providers  {}\n", providers(started)),
    );
    push(&mut out, format_args!("  Models     {}\n", models(started)));
    push(
        &mut out,
        format_args!("  Data       {}\n", started.config.data_dir.display()),
    );
    if let Some(admin) = &started.keys.admin {
        push(
            &mut out,
            format_args!(
                "\nNew keys, shown this once. Keep them.\n\n  Admin key  {}\n",
                admin.expose()
            ),
        );
    }
    if let Some(key) = &started.keys.caller {
        push(&mut out, format_args!("  Key        {}\n", key.expose()));
        examples(&mut out, &url, key.expose());
    } else {
        examples(&mut out, &url, "$TOLLGATE_KEY");
    }
    out
}

fn examples(out: &mut String, url: &str, key: &str) {
    push(
        out,
        format_args!(
            r#"
Try it:

  curl {url}/v1/chat/completions \
    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \
    -d '{{"model":"{DEMO}","messages":[{{"role":"user","content":"What is Tollgate?"}}]}}'

Point your programs here:

  OpenAI SDK     export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={key}
  Anthropic SDK  export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY={key}
  Claude Code    ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={key} claude --model <provider>/<model>
  Gemini SDK     export GOOGLE_GEMINI_BASE_URL={url} GEMINI_API_KEY={key}
  Codex          TOLLGATE_KEY={key} codex -m <provider>/<model> -c model_provider=tollgate \
                   -c 'model_providers.tollgate={{name="Tollgate",base_url="{url}/v1",env_key="TOLLGATE_KEY",wire_api="responses"}}'
  Terminal       tollgate chat "What is Tollgate?""#
        ),
    );
}

fn providers(started: &Started<'_>) -> String {
    let names: Vec<String> = started.config.providers.values().map(provider).collect();
    if names.is_empty() {
        "none yet: set OPENAI_API_KEY, ANTHROPIC_API_KEY, … or write tollgate.toml".to_owned()
    } else {
        names.join(", ")
    }
}

fn provider(provider: &Provider) -> String {
    match &provider.origin {
        Origin::File => provider.name.clone(),
        Origin::Environment(variable) => format!("{} ({variable})", provider.name),
        Origin::Detected => format!(
            "{} (found on port {})",
            provider.name,
            provider.base_url.port()
        ),
    }
}

fn models(started: &Started<'_>) -> String {
    let list = if started.config.providers.is_empty() {
        ""
    } else {
        " and the providers' own, as <provider>/<model>"
    };
    if started.config.built_in_model {
        format!("{DEMO} (built in){list}")
    } else {
        "the providers' own, as <provider>/<model>".to_owned()
    }
}

/// An address that a program on this machine can use.
fn url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://127.0.0.1:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    if out.write_fmt(text).is_err() {
        // A string does not fail to grow.
    }
}
