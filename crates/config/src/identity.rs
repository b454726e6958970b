//! Who the gateway is to a provider that asks for more than a key, and the variables of its address.
//!
//! Everything is read once, here: files, environment. Nothing secret is in a message.

use std::collections::BTreeMap;

use tollgate_base::Secret;
use tollgate_catalog::{Auth, ProviderRow};

use crate::draft::ProviderDraft;
use crate::findings::Findings;
use crate::keys;
use crate::model::{AwsContainer, Identity};
use crate::resolve::Surroundings;

/// What `{name}` stands for in this provider's address and paths. What is missing is a finding, and `None`.
pub(crate) fn variables(
    path: &str,
    written: &ProviderDraft,
    row: &ProviderRow,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut whole = true;
    for (name, variable) in &row.variables {
        let at = format!("{path}.{name}");
        let value = written
            .variable(name)
            .cloned()
            .or_else(|| in_environment(&variable.env, around))
            .or_else(|| variable.default.clone());
        // With an address of its own nothing of the row's address is left open.
        let is_used = written.base_url.is_none() || in_paths(row, name);
        match value {
            Some(value) if is_name(&value) => {
                found.insert(name.clone(), value);
            }
            Some(_) => {
                findings.error(
                    &at,
                    "is not a name",
                    "use letters, digits, `-`, `_`, `.` and `:`",
                );
                whole = false;
            }
            None if is_used => {
                let or = variable
                    .env
                    .first()
                    .map(|env| format!(", or set the environment variable {env}"))
                    .unwrap_or_default();
                findings.error(
                    path,
                    format!("`{name}` is missing"),
                    format!("write `{name} = \"…\"`{or}"),
                );
                whole = false;
            }
            None => {}
        }
    }
    for name in ["region", "project", "resource"] {
        if written.variable(name).is_some() && !row.variables.contains_key(name) {
            findings.error(
                &format!("{path}.{name}"),
                format!("`{}` has no {name}", row.id),
                "remove the line",
            );
        }
    }
    whole.then_some(found)
}

/// The variables of a row alone; `Err` names the first that nobody sets.
pub(crate) fn variables_of_row(
    row: &ProviderRow,
    around: &Surroundings<'_>,
) -> Result<BTreeMap<String, String>, String> {
    row.variables
        .iter()
        .map(|(name, variable)| {
            in_environment(&variable.env, around)
                .or_else(|| variable.default.clone())
                .filter(|value| is_name(value))
                .map(|value| (name.clone(), value))
                .ok_or_else(|| variable.env.first().unwrap_or(name).clone())
        })
        .collect()
}

/// A text with its variables in place. Google's address without a region has no `global-` in front.
pub fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = text.to_owned();
    for (name, value) in variables {
        out = out.replace(&format!("{{{name}}}"), value);
    }
    out.replace("://global-", "://")
}

/// How this provider is shown who calls: `Identity::Key` where a key, or nothing, is enough.
pub(crate) fn of_provider(
    path: &str,
    written: &ProviderDraft,
    row: &ProviderRow,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Identity {
    let names_key = ["api_key", "api_key_env", "api_key_file"]
        .iter()
        .any(|source| findings.was_written(&format!("{path}.{source}")));
    let has_key = names_key || keys::in_environment(row, around).is_some();
    refuse_strangers(path, written, row, findings);
    match row.auth {
        Auth::Azure => match (&written.tenant_id, &written.client_id) {
            _ if written.machine_identity => Identity::AzureMachine {
                client_id: written.client_id.clone(),
            },
            (Some(tenant), Some(client_id)) => Identity::Entra {
                tenant: tenant.clone(),
                client_id: client_id.clone(),
            },
            _ => Identity::Key,
        },
        Auth::Google if written.machine_identity => Identity::GoogleMachine,
        Auth::Google => {
            google_file(path, written, has_key, around, findings).unwrap_or(Identity::Key)
        }
        Auth::Aws { .. } if written.machine_identity => Identity::AwsMachine(AwsContainer {
            relative_uri: set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", around),
            full_uri: set("AWS_CONTAINER_CREDENTIALS_FULL_URI", around),
            authorization: set("AWS_CONTAINER_AUTHORIZATION_TOKEN", around).map(Secret::new),
        }),
        Auth::Aws { .. } if !has_key => aws_key_pair(around).unwrap_or(Identity::Key),
        Auth::Bearer | Auth::Header(_) | Auth::Aws { .. } => Identity::Key,
    }
}

/// A setting that belongs to another kind of provider would be ignored, so it is an error.
fn refuse_strangers(
    path: &str,
    written: &ProviderDraft,
    row: &ProviderRow,
    findings: &mut Findings<'_>,
) {
    let is = |wanted: &[bool]| wanted.iter().any(|fits| *fits);
    let (azure, google) = (row.auth == Auth::Azure, row.auth == Auth::Google);
    let aws = matches!(row.auth, Auth::Aws { .. });
    for (name, is_written, fits) in [
        ("tenant_id", written.tenant_id.is_some(), azure),
        ("client_id", written.client_id.is_some(), azure),
        (
            "credentials_file",
            written.credentials_file.is_some(),
            google,
        ),
        (
            "machine_identity",
            written.machine_identity,
            is(&[azure, google, aws]),
        ),
    ] {
        if is_written && !fits {
            findings.error(
                &format!("{path}.{name}"),
                format!("`{}` takes a key", row.id),
                "remove the line",
            );
        }
    }
}

fn google_file(
    path: &str,
    written: &ProviderDraft,
    has_key: bool,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<Identity> {
    let named = written
        .credentials_file
        .as_ref()
        .map(|file| (format!("{path}.credentials_file"), around.resolve(file)));
    let of_environment = || {
        let file = around.environment.get("GOOGLE_APPLICATION_CREDENTIALS")?;
        (!has_key && !file.trim().is_empty()).then(|| (path.to_owned(), file.into()))
    };
    let (at, file) = named.or_else(of_environment)?;
    let text = keys::from_file(&at, &file, findings)?;
    Some(Identity::GoogleFile(Secret::new(text)))
}

fn aws_key_pair(around: &Surroundings<'_>) -> Option<Identity> {
    Some(Identity::AwsKeyPair {
        id: set("AWS_ACCESS_KEY_ID", around)?,
        secret: Secret::new(set("AWS_SECRET_ACCESS_KEY", around)?),
        session: set("AWS_SESSION_TOKEN", around).map(Secret::new),
    })
}

/// A variable of the environment that holds something.
fn set(name: &str, around: &Surroundings<'_>) -> Option<String> {
    in_environment(&[name.to_owned()], around)
}

fn in_environment(names: &[String], around: &Surroundings<'_>) -> Option<String> {
    names.iter().find_map(|name| {
        let value = around.environment.get(name)?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    })
}

fn in_paths(row: &ProviderRow, name: &str) -> bool {
    let wanted = format!("{{{name}}}");
    row.endpoints()
        .any(|endpoint| endpoint.path.contains(&wanted))
}

/// What may stand in a host name or a path without changing either.
fn is_name(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 128
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        && !value.contains("..")
}
