//! The reference page of all settings, printed from the table.

use std::fmt::Write as _;

use tollgate_catalog::{Catalog, ProviderRow};

use crate::draft::{
    AlertDraft, BudgetDraft, Draft, LimitDraft, PriceDraft, ProviderDraft, RouteDraft,
};
use crate::schema::{
    ALERT_SETTINGS, BUDGET_SETTINGS, LIMIT_SETTINGS, PRICE_SETTINGS, PROVIDER_SETTINGS,
    ROUTE_SETTINGS, SECTIONS, SETTINGS, Setting,
};

/// A settings file that shows each table once. A test reads it.
pub(crate) const EXAMPLE: &str = r#"data_dir = "/var/lib/tollgate"

[server]
listen = "0.0.0.0:4321"

[server.limits]
body_bytes = "64MiB"

# A provider of the list below, with a key of its own.
[providers.anthropic]
api_key_env = "WORK_ANTHROPIC_KEY"
api_version = "2026-10-21"

# Any server that speaks OpenAI's API.
[providers.gpu]
kind = "openai-compatible"
base_url = "http://10.0.0.7:8000/v1"
allow_private = true

# A name for callers: the first target serves, the second when the first cannot.
[routes.fast]
targets = ["gpu/qwen3-8b", "anthropic/claude-haiku-4-5"]

# Dollars for a million tokens, where the price book knows none.
[prices."gpu/*"]
input = 0.05
output = 0.20

# Everything together may cost 500 dollars a month.
[budgets.everything]
scope = "gateway"
limit = 500

[limits.openai]
scope = "provider:openai"
measure = "tokens-per-minute"
most = 200000

# Who is told when a budget is nearly spent, or something is wrong. docs/alerts.md has the rest.
[alerts.ops]
kind = "email"
server = "smtp.example.com:587"
from = "tollgate@example.com"
to = ["ops@example.com"]
"#;

const INTRODUCTION: &str = "\
# Configuration

Nothing has to be configured: without a settings file Tollgate listens on this machine, keeps its data in your
home folder, and switches on every provider whose key is in the environment.

Everything else stands in `tollgate.toml`, which is read from the folder where Tollgate starts, or from where
`--config FILE` says. The command line goes before the file, and the file before the environment.
`tollgate config check` lists every mistake at once with its line and a hint; `tollgate config show` prints the
settings in force, secrets masked. Editors complete and check the file by
[tollgate.schema.json](tollgate.schema.json).

A duration is a whole number with a unit: `ms`, `s`, `m`, `h` or `d`. A size has the unit `B`, `KiB`, `MiB`, `GiB`,
`KB`, `MB` or `GB`. This page is generated; it cannot differ from what the program does.

";

const ENVIRONMENT: &str = "\
## Environment

| variable | what it does |
|---|---|
| the key variables of the list above | switch that provider on |
| `TOLLGATE_ADMIN_KEY` | the first admin key, instead of a random one |
| `TOLLGATE_KEY` | the first key for callers, instead of a random one |
| `TOLLGATE_VAULT_KEY` | the vault's key, unless `vault.key_file` names a file |
| `HF_ENDPOINT`, `HF_TOKEN` | the hub that `tollgate models pull` asks, and the token for it, unless `[models]` or the command line says otherwise |
| `XDG_DATA_HOME`, `HOME` | where the data folder is, unless `data_dir` or `--data` names one |
";

/// `docs/configuration.md`
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    push(
        &mut out,
        format_args!("```toml\n{EXAMPLE}```\n\n## Settings\n"),
    );
    let mut draft = Draft::default();
    for section in SECTIONS {
        let header = if section.path.is_empty() {
            "Top level".to_owned()
        } else {
            format!("`[{}]`", section.path)
        };
        push(
            &mut out,
            format_args!("\n### {header}\n\n{}\n", section.doc),
        );
        for setting in SETTINGS
            .iter()
            .filter(|setting| split(setting.path).0 == section.path)
        {
            entry(&mut out, setting, &mut draft);
        }
    }
    out.push_str(
        "\n### `[providers.<name>]`\n\nA provider, under the name that targets use. A provider whose key is in the \
         environment needs no table; a table goes before the environment.\n",
    );
    for setting in PROVIDER_SETTINGS {
        entry(&mut out, setting, &mut ProviderDraft::default());
    }
    out.push_str(
        "\n### `[routes.<model name>]`\n\nA model name for callers, and what serves it. Quote a name that holds a dot: \
         `[routes.\"gpt-4.1\"]`.\n",
    );
    for setting in ROUTE_SETTINGS {
        entry(&mut out, setting, &mut RouteDraft::default());
    }
    out.push_str(
        "\n### `[prices.\"<provider>/<model>\"]`\n\nWhat a target costs, where the price book does not know it or is wrong for you. \
         `<provider>/*` is for all its models.\n",
    );
    for setting in PRICE_SETTINGS {
        entry(&mut out, setting, &mut PriceDraft::default());
    }
    out.push_str(
        "\n### `[limits.<name>]`\n\nA limit on requests, tokens or open calls. Limits of keys, teams and projects are \
         usually made with `tollgate limits` or the admin API instead.\n",
    );
    for setting in LIMIT_SETTINGS {
        entry(&mut out, setting, &mut LimitDraft::default());
    }
    out.push_str(
        "\n### `[budgets.<name>]`\n\nHow much money may be spent. Budgets of keys, teams and projects are usually made with \
         `tollgate budgets` or the admin API instead.\n",
    );
    for setting in BUDGET_SETTINGS {
        entry(&mut out, setting, &mut BudgetDraft::default());
    }
    out.push_str(
        "\n### `[alerts.<name>]`\n\nSomebody who is told of a budget that is nearly spent, of unusual spending, and of what goes \
         wrong. [Alerts](alerts.md) says what each alert means and what is sent.\n",
    );
    for setting in ALERT_SETTINGS {
        entry(&mut out, setting, &mut AlertDraft::default());
    }
    kinds(&mut out);
    out.push_str(ENVIRONMENT);
    out
}

fn entry<D>(out: &mut String, setting: &Setting<D>, draft: &mut D) {
    let (_, name) = split(setting.path);
    push(out, format_args!("\n#### `{name}`\n\n{}\n\n", setting.doc));
    match &setting.kind {
        crate::schema::Kind::Choice { names, .. } => {
            let names: Vec<_> = names.iter().map(|name| format!("`\"{name}\"`")).collect();
            push(out, format_args!("- one of {}\n", names.join(", ")));
        }
        kind => match kind.range() {
            Some((min, max)) => push(out, format_args!("- {} from {min} to {max}\n", kind.noun())),
            None => push(out, format_args!("- {}\n", kind.noun())),
        },
    }
    match (setting.absent, setting.kind.written(draft)) {
        ("", Some(default)) => push(out, format_args!("- default: `{default}`\n")),
        ("required", _) => out.push_str("- required\n"),
        ("", None) => out.push_str("- default: none\n"),
        (absent, _) => push(out, format_args!("- default: {absent}\n")),
    }
    push(
        out,
        format_args!("- example: `{name} = {}`\n", setting.example),
    );
}

fn kinds(out: &mut String) {
    out.push_str(
        "\n## Kinds of providers\n\n| kind | what it is | key variables | base URL |\n|---|---|---|---|\n",
    );
    for row in Catalog::builtin().providers() {
        let ProviderRow {
            id, title, docs, ..
        } = row;
        let variables: Vec<_> = row.key_env.iter().map(|name| format!("`{name}`")).collect();
        let variables = match (variables.is_empty(), row.key_optional) {
            (true, _) => "none needed".to_owned(),
            (false, true) => format!("{} (optional)", variables.join(", ")),
            (false, false) => variables.join(", "),
        };
        let url = row
            .base_url
            .as_ref()
            .map_or("`base_url` is required".to_owned(), |url| {
                format!("`{url}`")
            });
        push(
            out,
            format_args!("| `{id}` | [{title}]({docs}) | {variables} | {url} |\n"),
        );
    }
    out.push('\n');
}

/// `server.limits.body_bytes` → `server.limits`, `body_bytes`
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

pub(crate) fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}
