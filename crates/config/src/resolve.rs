//! From what was written to what is true.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tollgate_base::Secret;
use tollgate_catalog::Catalog;
use tollgate_vault::Vault;

use crate::draft::Draft;
use crate::findings::Findings;
use crate::keys::{self, Readers};
use crate::mistake::{Place, Severity};
use crate::model::{Config, FirstKeys, HubSettings, Provider, ServerSettings};
use crate::{
    Allowances, BaseUrl, Overrides, alerts, money, providers, routes, value,
    vault::{self, VaultKeys},
};

/// The shortest first key that is taken without a word: 16 characters of 62 are 95 bits.
const SHORTEST_FIRST_KEY: usize = 16;

/// What the settings are read in: the environment, the catalogue, the folder of the file.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) catalog: &'static Catalog,
    /// Where relative paths of the file start; empty without a file.
    pub(crate) folder: PathBuf,
    /// Who can read the settings file.
    pub(crate) file_readers: Readers,
    /// Where providers' credentials are sealed, once it is known where the data is.
    pub(crate) vault: OnceCell<Option<Vault>>,
}

/// Where the data is, and what its vault is sealed under.
pub(crate) fn resolve_vault(
    draft: &Draft,
    overrides: &Overrides,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> (PathBuf, VaultKeys) {
    let data_dir = data_dir(draft, overrides, around, findings);
    (data_dir, vault::keys(draft, around, findings))
}

pub(crate) fn resolve(
    draft: &Draft,
    overrides: &Overrides,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Config {
    let server = server(draft, overrides, findings);
    let first_keys = first_keys(&server, around, findings);
    let (data_dir, vault) = resolve_vault(draft, overrides, around, findings);
    around.vault.get_or_init(|| vault.open(&data_dir));
    let providers = providers::resolve(draft, around, findings);
    let routes = routes::resolve(draft, &providers, around, findings);
    check_default_model(draft, &providers, around, findings);
    warn_of_readable_secrets(draft, around, findings);
    check_pairs(draft, findings);
    Config {
        data_dir,
        vault,
        server,
        log: draft.log.clone(),
        streaming: draft.streaming.clone(),
        retry: draft.retry.clone(),
        ledger: draft.ledger.clone(),
        prices: money::prices(draft, &providers, findings),
        limits: money::limits(draft, findings),
        budgets: money::budgets(draft, findings),
        hub: hub(draft, around, findings),
        engine: draft.engine.clone(),
        alerting: draft.alerting.clone(),
        alerts: alerts::channels(draft, around, findings),
        strict: draft.strict,
        built_in_model: draft.built_in_model,
        detect_local_servers: draft.detect_local_servers,
        default_model: draft.default_model.clone(),
        providers,
        routes,
        disabled_providers: disabled(draft),
        first_keys,
    }
}

fn server(draft: &Draft, overrides: &Overrides, findings: &mut Findings<'_>) -> ServerSettings {
    let mut server = draft.server.clone();
    server.workers = draft
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if let Some(text) = &overrides.listen {
        match value::parse_address(text) {
            Ok(address) => server.listen = address,
            Err(fault) => findings.elsewhere(
                Severity::Error,
                Place::CommandLine("--listen"),
                format!("`{text}` {}", fault.message),
                fault.hint,
            ),
        }
    }
    server
}

fn data_dir(
    draft: &Draft,
    overrides: &Overrides,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> PathBuf {
    if let Some(folder) = &overrides.data_dir {
        return folder.clone();
    }
    if let Some(folder) = &draft.data_dir {
        return around.resolve(folder);
    }
    // The XDG rules: a relative path in the variable counts as unset.
    let absolute = |name: &str| {
        around
            .environment
            .get(name)
            .map(Path::new)
            .filter(|path| path.is_absolute())
    };
    if let Some(folder) = absolute("XDG_DATA_HOME") {
        return folder.join("tollgate");
    }
    if let Some(home) = absolute("HOME") {
        return home.join(".local/share/tollgate");
    }
    findings.elsewhere(
        Severity::Warning,
        Place::Nowhere,
        "there is no home folder, so the data goes into ./tollgate-data",
        "name a folder with --data or `data_dir`",
    );
    PathBuf::from("tollgate-data")
}

/// Where model files come from. A private address may be meant: a mirror in one's own network.
fn hub(draft: &Draft, around: &Surroundings<'_>, findings: &mut Findings<'_>) -> HubSettings {
    let everywhere = Allowances {
        private: true,
        http: true,
    };
    let url = draft.hub.clone().filter(|text| {
        let parsed = BaseUrl::parse(text, everywhere);
        if let Err(fault) = &parsed {
            findings.error(
                "models.hub",
                format!("the URL {}", fault.message),
                fault.hint,
            );
        }
        parsed.is_ok()
    });
    let token = draft.hub_token_file.as_ref().and_then(|file| {
        let text = keys::from_file("models.token_file", &around.resolve(file), findings)?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            findings.error(
                "models.token_file",
                "holds no token",
                "write the token alone into it",
            );
            return None;
        }
        Some(Secret::new(token))
    });
    HubSettings { url, token }
}

/// Everything that must stay off: what is listed, and what is written with `enabled = false`.
fn disabled(draft: &Draft) -> Vec<String> {
    let off = draft
        .providers
        .iter()
        .filter(|(_, written)| !written.enabled)
        .map(|(name, _)| name);
    let mut names: Vec<String> = draft
        .disabled_providers
        .iter()
        .chain(off)
        .cloned()
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn first_keys(
    server: &ServerSettings,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> FirstKeys {
    let mut first_key = |variable: &str| -> Option<Secret> {
        let text = around
            .environment
            .get(variable)
            .filter(|text| !text.is_empty())?;
        let checked = keys::check(text);
        let weak = match &checked {
            Ok(key) if key.expose().len() < SHORTEST_FIRST_KEY => {
                Some("the key is too short to be safe")
            }
            Ok(_) => None,
            Err(fault) => Some(fault.message()),
        };
        if let Some(message) = weak {
            // On loopback only this machine can use it, so a trial may.
            let usable = !matches!(
                checked,
                Err(keys::KeyFault::Blank | keys::KeyFault::Unsendable)
            );
            let severity = if usable && server.listen.ip().is_loopback() {
                Severity::Warning
            } else {
                Severity::Error
            };
            findings.elsewhere(
                severity,
                Place::Environment(variable.to_owned()),
                message,
                format!("use {SHORTEST_FIRST_KEY} random characters or more, or unset it to have a key made"),
            );
        }
        Some(Secret::new(text.trim()))
    };
    FirstKeys {
        admin: first_key("TOLLGATE_ADMIN_KEY"),
        caller: first_key("TOLLGATE_KEY"),
    }
}

/// A default whose provider is known and off. Anything else may be a model's own name, slash included.
fn check_default_model(
    draft: &Draft,
    providers: &BTreeMap<String, Provider>,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(model) = &draft.default_model else {
        return;
    };
    let Some((provider, _)) = model.split_once('/') else {
        return;
    };
    if draft.routes.contains_key(model) || providers.contains_key(provider) {
        return;
    }
    let needs_key = around
        .catalog
        .provider(provider)
        .is_some_and(|row| !row.key_optional);
    let is_off = draft
        .providers
        .get(provider)
        .is_some_and(|written| !written.enabled)
        || draft.disabled_providers.iter().any(|name| name == provider);
    if is_off || (needs_key && !draft.providers.contains_key(provider)) {
        let (message, hint) = routes::not_on(provider, draft, around.catalog);
        findings.error("default_model", message, hint);
    }
}

fn warn_of_readable_secrets(draft: &Draft, around: &Surroundings<'_>, findings: &mut Findings<'_>) {
    if around.file_readers != Readers::Everyone {
        return;
    }
    let mut warn = |setting: String, or: &str| {
        findings.warning(
            &setting,
            "a secret in a file that everyone on this machine can read",
            format!("chmod 600 the file{or}"),
        );
    };
    for (name, written) in &draft.providers {
        let path = format!("providers.{}", crate::kind::key(name));
        for (setting, is_there) in [
            ("api_key", written.api_key.is_some()),
            ("headers", !written.headers.is_empty()),
        ] {
            if is_there {
                warn(
                    format!("{path}.{setting}"),
                    ", or use `api_key_env` or `api_key_file`",
                );
            }
        }
    }
    for (name, written) in &draft.alerts {
        let path = format!("alerts.{}", crate::kind::key(name));
        for (setting, value, or) in [
            ("url", &written.url, ""),
            (
                "secret",
                &written.secret,
                ", or use `secret_env` or `secret_file`",
            ),
            (
                "password",
                &written.password,
                ", or use `password_env` or `password_file`",
            ),
        ] {
            if value.is_some() {
                warn(format!("{path}.{setting}"), or);
            }
        }
    }
}

/// Values that are each in range and make no sense together.
fn check_pairs(draft: &Draft, findings: &mut Findings<'_>) {
    if draft.retry.base_delay > draft.retry.max_delay {
        findings.error(
            "retry.base_delay",
            "is longer than `retry.max_delay`",
            "make it shorter",
        );
    }
    let limits = &draft.server.limits;
    if limits.body_bytes > limits.in_flight_body_bytes {
        findings.error(
            "server.limits.body_bytes",
            "is more than `server.limits.in_flight_body_bytes` leaves for all bodies together",
            "make it smaller",
        );
    }
    let streaming = &draft.streaming;
    for (path, part) in [
        ("streaming.connect_timeout", streaming.connect_timeout),
        ("streaming.first_byte_timeout", streaming.first_byte_timeout),
        ("streaming.idle_timeout", streaming.idle_timeout),
    ] {
        if part > streaming.total_timeout {
            findings.warning(
                path,
                "is longer than `streaming.total_timeout`, which ends the call first",
                "",
            );
        }
    }
}

// === impl Surroundings ===

impl Surroundings<'_> {
    /// A path as the file means it: `~/` is the home folder, and a relative one starts at the file's folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        if let Ok(below) = path.strip_prefix("~")
            && let Some(home) = self.environment.get("HOME")
        {
            return Path::new(home).join(below);
        }
        self.folder.join(path)
    }
}
