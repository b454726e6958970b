//! Reads the file by the table of settings: unknown keys, wrong types, values out of range.
//!
//! How the values go together is not looked at here.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::draft::Draft;
use crate::findings::Findings;
use crate::kind::key;
use crate::schema::{
    ALERT_SETTINGS, BUDGET_SETTINGS, LIMIT_SETTINGS, PRICE_SETTINGS, PROVIDER_SETTINGS,
    ROUTE_SETTINGS, SETTINGS, Setting,
};
use crate::suggest;

/// The tables whose keys are the user's own names.
const NAMED_TABLES: [&str; 6] = [
    "alerts",
    "budgets",
    "limits",
    "prices",
    "providers",
    "routes",
];

/// What was written. When the text is not TOML, the draft holds what could be saved of it and must not be
/// looked at any further.
pub(crate) fn read(findings: &mut Findings<'_>) -> Draft {
    let mut draft = Draft::default();
    let Some(text) = findings.text() else {
        return draft;
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        findings.syntax(span, &error.message().replace('\n', ", "));
    }
    let mut settings = BTreeMap::new();
    for (name, value) in document.get_ref() {
        match name.get_ref().as_ref() {
            "providers" => {
                draft.providers = read_named(findings, "providers", value, PROVIDER_SETTINGS);
            }
            "routes" => draft.routes = read_named(findings, "routes", value, ROUTE_SETTINGS),
            "prices" => draft.prices = read_named(findings, "prices", value, PRICE_SETTINGS),
            "limits" => draft.limits = read_named(findings, "limits", value, LIMIT_SETTINGS),
            "budgets" => draft.budgets = read_named(findings, "budgets", value, BUDGET_SETTINGS),
            "alerts" => draft.alerts = read_named(findings, "alerts", value, ALERT_SETTINGS),
            _ => {
                settings.insert(name, value);
            }
        }
    }
    let mut reader = Reader {
        findings,
        settings: SETTINGS,
        root: "",
    };
    reader.table(settings, "", &mut draft);
    draft
}

fn read_named<D: Default>(
    findings: &mut Findings<'_>,
    root: &str,
    value: &Spanned<DeValue<'_>>,
    settings: &'static [Setting<D>],
) -> BTreeMap<String, D> {
    let mut named = BTreeMap::new();
    findings.locate(root, value.span());
    let Some(tables) = value.get_ref().as_table() else {
        findings.hide(value.span());
        findings.error(
            root,
            "must be a table of tables",
            format!("write [{root}.<name>]"),
        );
        return named;
    };
    for (name, value) in tables {
        let path = format!("{root}.{}", key(name.get_ref()));
        findings.locate(&path, name.span());
        let Some(table) = value.get_ref().as_table() else {
            findings.hide(value.span());
            findings.error(&path, "must be a table", format!("write [{path}]"));
            continue;
        };
        let mut draft = D::default();
        let mut reader = Reader {
            findings,
            settings,
            root: &path,
        };
        reader.table(table, "", &mut draft);
        named.insert(name.get_ref().to_string(), draft);
    }
    named
}

struct Reader<'r, 'a, D: 'static> {
    findings: &'r mut Findings<'a>,
    settings: &'static [Setting<D>],
    /// The path of the table that the settings' paths start at.
    root: &'r str,
}

// === impl Reader ===

impl<D> Reader<'_, '_, D> {
    /// `inner` is the path of this table below the root.
    fn table<'t, 'i: 't>(
        &mut self,
        entries: impl IntoIterator<
            Item = (
                &'t Spanned<toml::de::DeString<'i>>,
                &'t Spanned<DeValue<'i>>,
            ),
        >,
        inner: &str,
        draft: &mut D,
    ) {
        for (name, value) in entries {
            let below = join(inner, name.get_ref());
            let path = join(self.root, &join(inner, &key(name.get_ref())));
            if let Some(setting) = self.settings.iter().find(|setting| setting.path == below) {
                self.findings.locate(&path, value.span());
                if setting.kind.is_secret() {
                    self.findings.hide(value.span());
                }
                if let Some(elements) = value.get_ref().as_array() {
                    let spans = elements.iter().map(Spanned::span);
                    self.findings.locate_elements(&path, spans);
                }
                for (span, fault) in setting.kind.read(value, draft).err().unwrap_or_default() {
                    self.findings
                        .error_within(span, &path, fault.message, fault.hint);
                }
            } else if self
                .settings
                .iter()
                .any(|setting| is_inside(setting.path, &below))
            {
                self.findings.locate(&path, name.span());
                if let Some(table) = value.get_ref().as_table() {
                    self.table(table, &below, draft);
                } else {
                    let hint = format!("write [{path}]");
                    self.findings.error(&path, "must be a table", hint);
                }
            } else {
                self.findings.hide(value.span());
                let hint = self.hint(inner, name.get_ref());
                let table = join(self.root, inner);
                let message = format!("unknown key {}", quote_key(name.get_ref()));
                self.findings.error_at(name.span(), &table, message, hint);
            }
        }
    }

    fn hint(&self, inner: &str, name: &str) -> String {
        let named = if self.root.is_empty() && inner.is_empty() {
            &NAMED_TABLES[..]
        } else {
            &[]
        };
        let siblings: Vec<&str> = self
            .settings
            .iter()
            .filter_map(|setting| {
                let rest = if inner.is_empty() {
                    setting.path
                } else {
                    setting.path.strip_prefix(inner)?.strip_prefix('.')?
                };
                rest.split('.').next()
            })
            .chain(named.iter().copied())
            .collect();
        if let Some(meant) = suggest::nearest(name, siblings.iter().copied()) {
            return format!("did you mean `{meant}`?");
        }
        // The right key in the wrong table.
        let elsewhere = |setting: &&Setting<D>| setting.path.rsplit('.').next() == Some(name);
        if let Some(setting) = self.settings.iter().find(elsewhere) {
            return format!("did you mean `{}`?", setting.path);
        }
        let mut known = siblings;
        known.sort_unstable();
        known.dedup();
        suggest::one_of(known)
    }
}

/// A key as a message shows it: what does not look like a key may be a secret in the wrong place.
fn quote_key(name: &str) -> String {
    let plain = name.len() <= 32
        && !name.starts_with("sk-")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if plain {
        format!("`{name}`")
    } else {
        "(not shown)".to_owned()
    }
}

fn join(parent: &str, name: &str) -> String {
    match (parent, name) {
        ("", name) => name.to_owned(),
        (parent, "") => parent.to_owned(),
        (parent, name) => format!("{parent}.{name}"),
    }
}

fn is_inside(path: &str, table: &str) -> bool {
    path.strip_prefix(table)
        .is_some_and(|rest| rest.starts_with('.'))
}
