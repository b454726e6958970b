//! The generated files are those that are committed. `TOLLGATE_BLESS=1` writes them.

use std::path::Path;

use super::{config, load, mistakes};
use crate::reference::EXAMPLE;
use crate::schema::{
    ALERT_SETTINGS, BUDGET_SETTINGS, LIMIT_SETTINGS, PRICE_SETTINGS, PROVIDER_SETTINGS,
    ROUTE_SETTINGS, SECTIONS, SETTINGS, Setting,
};
use crate::{json_schema, reference};

fn committed(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/{name} is not what the table says: run TOLLGATE_BLESS=1 cargo test -p tollgate-config generated"
    );
}

#[test]
fn the_reference_is_the_table() {
    committed("configuration.md", &reference());
}

#[test]
fn the_json_schema_is_the_table() {
    let text = json_schema();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        schema["properties"]["server"]["properties"]["listen"]["default"],
        "127.0.0.1:4321"
    );
    assert_eq!(
        schema["properties"]["server"]["additionalProperties"],
        false
    );
    committed("tollgate.schema.json", &text);
}

#[test]
fn the_example_of_the_reference_loads() {
    let config = config(EXAMPLE, &[("WORK_ANTHROPIC_KEY", "sk-ant-canary")]);
    assert_eq!(config.routes["fast"].targets.len(), 2);
}

fn whole<D>(settings: &[Setting<D>], around: impl Fn(&str) -> String) {
    for setting in settings {
        assert!(
            setting.doc.ends_with('.'),
            "{}: a sentence ends with a full stop",
            setting.path
        );
        let text = around(&format!("{} = {}", setting.path, setting.example));
        let about: Vec<_> = mistakes(&text, &[("OPENAI_API_KEY", "sk-canary")])
            .into_iter()
            .filter(|line| {
                line.contains(&format!("{}: ", setting.path)) && !line.contains("warning: ")
            })
            .collect();
        // An example may ask for something else (a key file, a variable), but never be malformed.
        let excused = [
            "is not set",
            "cannot read",
            "cannot be read",
            "the vault, which has no key",
            "the key holds",
            "is not switched on",
            "has no versions",
            "has no region",
            "has no project",
            "has no resource",
            "takes a key",
            "there is no provider",
        ];
        assert!(
            about
                .iter()
                .all(|line| excused.iter().any(|excuse| line.contains(excuse))),
            "{}: {about:?}",
            setting.path
        );
    }
}

#[test]
fn every_setting_is_documented_and_its_example_is_right() {
    whole(SETTINGS, str::to_owned);
    whole(PROVIDER_SETTINGS, |line| {
        format!("[providers.openai]\n{line}")
    });
    whole(ROUTE_SETTINGS, |line| format!("[routes.fast]\n{line}"));
    whole(PRICE_SETTINGS, |line| {
        format!("[prices.\"tollgate/*\"]\n{line}")
    });
    whole(LIMIT_SETTINGS, |line| format!("[limits.l]\n{line}"));
    whole(BUDGET_SETTINGS, |line| format!("[budgets.b]\n{line}"));
    whole(ALERT_SETTINGS, |line| format!("[alerts.ops]\n{line}"));
}

#[test]
fn every_setting_has_its_section() {
    for setting in SETTINGS {
        let (table, _) = crate::reference::split(setting.path);
        assert!(
            SECTIONS.iter().any(|section| section.path == table),
            "{}",
            setting.path
        );
    }
}

#[test]
fn no_two_settings_share_a_path() {
    let mut paths: Vec<_> = SETTINGS.iter().map(|setting| setting.path).collect();
    paths.sort_unstable();
    let n_paths = paths.len();
    paths.dedup();
    assert_eq!(paths.len(), n_paths);
}

#[test]
fn every_default_reads_back_as_itself() {
    let shown = config("", &[]).effective_toml();
    let again = load(&shown, &[]).unwrap_or_else(|mistakes| panic!("{}", super::print(&mistakes)));
    assert_eq!(again.config.effective_toml(), shown);
}
