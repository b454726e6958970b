//! From what was written about providers, and the keys in the environment, to the providers that are on.

use std::collections::BTreeMap;

use http::HeaderValue;
use tollgate_base::Secret;
use tollgate_catalog::{Catalog, ProviderRow};

use crate::draft::{Draft, ProviderDraft};
use crate::findings::Findings;
use crate::identity::{self, filled};
use crate::keys;
use crate::kind::key;
use crate::mistake::{Place, Severity};
use crate::model::{BUILT_IN_PROVIDER, Identity, Origin, Provider};
use crate::resolve::Surroundings;
use crate::suggest;
use crate::url::{Allowances, BaseUrl};

/// The providers that are on, by name.
pub(crate) fn resolve(
    draft: &Draft,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, Provider> {
    check_disabled(draft, around.catalog, findings);
    let mut providers = BTreeMap::new();
    for (name, written) in &draft.providers {
        let provider = of_file(name, written, around, findings);
        if let Some(provider) = provider
            && written.enabled
            && !draft.disabled_providers.contains(name)
        {
            providers.insert(name.clone(), provider);
        }
    }
    for row in around.catalog.providers() {
        let written = draft.providers.contains_key(&row.id);
        if !written
            && !row.key_optional
            && !draft.disabled_providers.contains(&row.id)
            && let Some(provider) = of_environment(row, around, findings)
        {
            providers.insert(row.id.clone(), provider);
        }
    }
    providers
}

fn check_disabled(draft: &Draft, catalog: &'static Catalog, findings: &mut Findings<'_>) {
    for (index, name) in draft.disabled_providers.iter().enumerate() {
        if catalog.provider(name).is_none() && !draft.providers.contains_key(name) {
            let known = catalog
                .providers()
                .iter()
                .map(|row| row.id.as_str())
                .chain(draft.providers.keys().map(String::as_str));
            let hint = suggest::hint(name, known);
            findings.error_of_element(
                "disabled_providers",
                index,
                format!("names the unknown provider `{name}`"),
                hint,
            );
        }
    }
}

/// A provider of a `[providers.<name>]` table; `None` when something about it is wrong.
fn of_file(
    name: &str,
    written: &ProviderDraft,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<Provider> {
    let path = format!("providers.{}", key(name));
    check_name(name, &path, findings);
    let row = row_of(name, written, &path, around.catalog, findings)?;
    let identity = identity::of_provider(&path, written, row, around, findings);
    let takes_key = matches!(identity, Identity::Key | Identity::Entra { .. });
    let is_required = takes_key && !row.key_optional;
    let key = keys::of_provider(&path, written, row, is_required, around, findings);
    let variables = identity::variables(&path, written, row, around, findings)?;
    let base_url = base_url_of(written, row, &variables, &path, findings);
    let headers = headers_of(written, row, &path, findings);
    check_models(written, &path, findings);
    Some(Provider {
        name: name.to_owned(),
        row,
        base_url: base_url?,
        key,
        headers,
        models: written.models.clone(),
        identity,
        variables,
        origin: Origin::File,
    })
}

fn check_name(name: &str, path: &str, findings: &mut Findings<'_>) {
    if name == BUILT_IN_PROVIDER {
        findings.error(
            path,
            "this name belongs to the models of this machine",
            "choose another; `built_in_model = false` switches the built-in one off",
        );
    }
    let good = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
        });
    if !good {
        findings.error(
            path,
            "is not a provider's name",
            "use lower-case letters, digits, `-`, `_` and `.`",
        );
    }
}

fn row_of(
    name: &str,
    written: &ProviderDraft,
    path: &str,
    catalog: &'static Catalog,
    findings: &mut Findings<'_>,
) -> Option<&'static ProviderRow> {
    let ids = catalog.providers().iter().map(|row| row.id.as_str());
    let at = format!("{path}.kind");
    if let Some(kind) = &written.kind {
        let row = catalog.provider(kind);
        if row.is_none() {
            findings.error(&at, "is not a known kind", suggest::hint(kind, ids));
        }
        return row;
    }
    let row = catalog.provider(name);
    if row.is_none() && !findings.was_written(&at) {
        // The rows without an address of their own stand for any server of their dialect.
        let mut any_server = catalog
            .providers()
            .iter()
            .filter(|row| row.base_url.is_none());
        let kind = any_server.next().map_or("…", |row| row.id.as_str());
        let hint = match suggest::nearest(name, ids) {
            Some(meant) => {
                format!("did you mean `[providers.{meant}]`? Else write `kind = \"{kind}\"`")
            }
            None => format!("write `kind = \"{kind}\"`, or another kind"),
        };
        findings.error(path, "`kind` is missing, and the name is not a kind", hint);
    }
    row
}

fn base_url_of(
    written: &ProviderDraft,
    row: &ProviderRow,
    variables: &BTreeMap<String, String>,
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<BaseUrl> {
    let at = format!("{path}.base_url");
    let of_row = row.base_url.as_deref().map(|url| filled(url, variables));
    let Some(text) = written.base_url.clone().or(of_row) else {
        if !findings.was_written(&at) {
            findings.error(
                path,
                "`base_url` is missing",
                "write the root of the server's API, such as \"https://llm.example.com/v1\"",
            );
        }
        return None;
    };
    let allow = Allowances {
        private: written.allow_private,
        http: written.allow_http,
    };
    match BaseUrl::parse(&text, allow) {
        Ok(url) => {
            let operation = row
                .endpoints()
                .find(|endpoint| url.as_str().ends_with(endpoint.path.as_str()));
            if let Some(endpoint) = operation {
                findings.error(
                    &at,
                    format!("ends with `{}`, the path of one operation", endpoint.path),
                    "write the root that it stands behind",
                );
                return None;
            }
            Some(url)
        }
        Err(fault) => {
            if text.contains('@') {
                findings.hide_setting(&at);
            }
            findings.error(&at, format!("the URL {}", fault.message), fault.hint);
            None
        }
    }
}

/// The row's headers, with the version and the user's headers laid over them.
fn headers_of(
    written: &ProviderDraft,
    row: &ProviderRow,
    path: &str,
    findings: &mut Findings<'_>,
) -> Vec<(String, Secret)> {
    let mut headers: BTreeMap<String, Secret> = row
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Secret::new(value.as_str())))
        .collect();
    if let Some(version) = &written.api_version {
        let at = format!("{path}.api_version");
        match &row.version_header {
            None if row.variables.contains_key("api_version") => {}
            None => findings.error(
                &at,
                format!("`{}` has no versions", row.id),
                "remove the line",
            ),
            Some(_) if HeaderValue::from_str(version).is_err() => {
                findings.error(
                    &at,
                    "is not a version",
                    "write it as the vendor does, such as \"2023-06-01\"",
                );
            }
            Some(header) => {
                headers.insert(header.clone(), Secret::new(version.as_str()));
            }
        }
    }
    for (name, value) in &written.headers {
        if let tollgate_catalog::Auth::Header(key_header) = &row.auth
            && key_header == name
        {
            findings.error(
                &format!("{path}.headers"),
                format!("sets `{name}`, which carries the key"),
                "a key goes into `api_key_env` or `api_key_file`",
            );
        }
        headers.insert(name.clone(), value.clone());
    }
    headers.into_iter().collect()
}

fn check_models(written: &ProviderDraft, path: &str, findings: &mut Findings<'_>) {
    if written.models.as_ref().is_some_and(Vec::is_empty) {
        findings.error(
            &format!("{path}.models"),
            "allows no model",
            "name one, or remove the line; `enabled = false` switches the provider off",
        );
    }
}

/// A provider that is on because a key for it is in the environment.
fn of_environment(
    row: &'static ProviderRow,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<Provider> {
    let (variable, text) = keys::in_environment(row, around)?;
    match keys::check(text) {
        Ok(key) => match identity::variables_of_row(row, around) {
            Ok(variables) => {
                let origin = Origin::Environment(variable.to_owned());
                bare(row, Some(key), variables, origin)
            }
            Err(missing) => {
                findings.elsewhere(
                    Severity::Warning,
                    Place::Environment(variable.to_owned()),
                    format!("is set, and {missing} is not"),
                    format!("`{}` stays off until both are", row.id),
                );
                None
            }
        },
        Err(fault) => {
            // A stray variable does not keep a fresh machine from answering.
            findings.elsewhere(
                Severity::Warning,
                Place::Environment(variable.to_owned()),
                fault.message(),
                format!("`{}` stays off until it holds a key", row.id),
            );
            None
        }
    }
}

/// A row as it is, without anything from the file.
fn bare(
    row: &'static ProviderRow,
    key: Option<Secret>,
    variables: BTreeMap<String, String>,
    origin: Origin,
) -> Option<Provider> {
    Some(Provider {
        name: row.id.clone(),
        row,
        base_url: BaseUrl::parse(
            &filled(row.base_url.as_deref()?, &variables),
            Allowances::default(),
        )
        .ok()?,
        key,
        headers: row
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.as_str())))
            .collect(),
        models: None,
        identity: Identity::Key,
        variables,
        origin,
    })
}

// === impl Provider ===

impl Provider {
    /// The provider for a server of this kind that answered on its usual local port, with the key that the
    /// environment has for it. `None` for a row that is not local.
    pub fn detected(
        row: &'static ProviderRow,
        environment: &BTreeMap<String, String>,
    ) -> Option<Self> {
        row.local_port?;
        let key = row
            .key_env
            .iter()
            .find_map(|name| keys::check(environment.get(name)?).ok());
        bare(row, key, BTreeMap::new(), Origin::Detected)
    }
}
