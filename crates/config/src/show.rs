//! The settings in force, as a settings file with its secrets masked.

use tollgate_base::Secret;

use crate::alerts::{AlertChannel, AlertWay, HookUrl};
use crate::draft::{AlertDraft, BudgetDraft, Draft, LimitDraft, ProviderDraft, RouteDraft};
use crate::kind::key;
use crate::model::{Config, Identity, Origin, Provider, Route};
use crate::reference::{push, split};
use crate::schema::{
    ALERT_SETTINGS, BUDGET_SETTINGS, LIMIT_SETTINGS, PROVIDER_SETTINGS, ROUTE_SETTINGS, SECTIONS,
    SETTINGS, Setting,
};
use crate::url::Reach;

impl Config {
    /// This configuration as a settings file: every setting with its value, defaults too. A secret is `"…"`,
    /// which is refused when it is read back.
    pub fn effective_toml(&self) -> String {
        let mut out = String::new();
        let mut draft = draft_of(self);
        for section in SECTIONS {
            if !section.path.is_empty() {
                push(&mut out, format_args!("\n[{}]\n", section.path));
            }
            for setting in SETTINGS
                .iter()
                .filter(|setting| split(setting.path).0 == section.path)
            {
                line(&mut out, setting, &mut draft);
            }
        }
        for (name, provider) in &self.providers {
            push(
                &mut out,
                format_args!(
                    "\n# {}\n[providers.{}]\n",
                    origin(&provider.origin),
                    key(name)
                ),
            );
            let mut draft = draft_of_provider(provider);
            for setting in PROVIDER_SETTINGS {
                line(&mut out, setting, &mut draft);
            }
        }
        for (name, route) in &self.routes {
            push(&mut out, format_args!("\n[routes.{}]\n", key(name)));
            let mut draft = draft_of_route(route);
            for setting in ROUTE_SETTINGS {
                line(&mut out, setting, &mut draft);
            }
        }
        self.money(&mut out);
        for channel in &self.alerts {
            push(
                &mut out,
                format_args!("\n[alerts.{}]\n", key(&channel.name)),
            );
            let mut draft = draft_of_channel(channel);
            for setting in ALERT_SETTINGS {
                line(&mut out, setting, &mut draft);
            }
        }
        out
    }
}

impl Config {
    fn money(&self, out: &mut String) {
        for price in &self.prices {
            let target = format!("{}/{}", price.provider, price.model);
            push(out, format_args!("\n[prices.{}]\n", key(&target)));
            if price.free {
                out.push_str("free = true\n");
            }
            for (name, rate) in &price.rates {
                push(out, format_args!("{name} = {}\n", rate.to_decimal()));
            }
        }
        for limit in &self.limits {
            push(
                out,
                format_args!("\n[limits.{}]\n", key(local_name(&limit.id))),
            );
            let mut draft = LimitDraft {
                scope: Some(limit.scope.to_string()),
                measure: Some(limit.measure),
                most: Some(limit.most),
            };
            for setting in LIMIT_SETTINGS {
                line(out, setting, &mut draft);
            }
        }
        for budget in &self.budgets {
            push(
                out,
                format_args!("\n[budgets.{}]\n", key(local_name(&budget.id))),
            );
            let mut draft = BudgetDraft {
                scope: Some(budget.scope.to_string()),
                limit: Some(budget.limit),
                period: budget.period,
                zone: budget.zone.clone(),
                hard: budget.hard,
                thresholds: budget
                    .thresholds
                    .iter()
                    .map(|share| format!("{share}%"))
                    .collect(),
            };
            for setting in BUDGET_SETTINGS {
                line(out, setting, &mut draft);
            }
        }
    }
}

/// The name of a rule in the file.
fn local_name(id: &str) -> &str {
    id.strip_prefix("config:").unwrap_or(id)
}

fn line<D>(out: &mut String, setting: &Setting<D>, draft: &mut D) {
    if let Some(value) = setting.kind.written(draft) {
        push(out, format_args!("{} = {value}\n", split(setting.path).1));
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::File => "from the settings file".to_owned(),
        Origin::Environment(variable) => format!("on because {variable} is set"),
        Origin::Detected => "found on this machine".to_owned(),
    }
}

fn draft_of(config: &Config) -> Draft {
    Draft {
        data_dir: Some(config.data_dir.clone()),
        strict: config.strict,
        built_in_model: config.built_in_model,
        detect_local_servers: config.detect_local_servers,
        default_model: config.default_model.clone(),
        disabled_providers: config.disabled_providers.clone(),
        server: config.server.clone(),
        workers: Some(config.server.workers),
        log: config.log.clone(),
        streaming: config.streaming.clone(),
        retry: config.retry.clone(),
        ledger: config.ledger.clone(),
        hub: config.hub.url.clone(),
        engine: config.engine.clone(),
        alerting: config.alerting.clone(),
        ..Draft::default()
    }
}

fn draft_of_provider(provider: &Provider) -> ProviderDraft {
    let row = provider.row;
    let is_version = |name: &str| row.version_header.as_deref() == Some(name);
    let of_row = |name: &str, value: &Secret| {
        row.headers
            .iter()
            .any(|(known, text)| known == name && text == value.expose())
    };
    let (key, variable) = match (&provider.origin, &provider.key) {
        (Origin::Environment(variable), Some(_)) => (None, Some(variable.clone())),
        (_, key) => (key.clone(), None),
    };
    ProviderDraft {
        kind: Some(row.id.clone()),
        base_url: Some(provider.base_url.as_str().to_owned()),
        api_key: key,
        api_key_env: variable,
        api_version: provider
            .headers
            .iter()
            .find(|(name, _)| is_version(name))
            .map(|(_, value)| value.expose().to_owned())
            .or_else(|| provider.variables.get("api_version").cloned()),
        region: provider.variables.get("region").cloned(),
        project: provider.variables.get("project").cloned(),
        resource: provider.variables.get("resource").cloned(),
        machine_identity: matches!(
            provider.identity,
            Identity::AwsMachine(_) | Identity::GoogleMachine | Identity::AzureMachine { .. }
        ),
        tenant_id: match &provider.identity {
            Identity::Entra { tenant, .. } => Some(tenant.clone()),
            _ => None,
        },
        client_id: match &provider.identity {
            Identity::Entra { client_id, .. } => Some(client_id.clone()),
            Identity::AzureMachine { client_id } => client_id.clone(),
            _ => None,
        },
        headers: provider
            .headers
            .iter()
            .filter(|(name, value)| !is_version(name) && !of_row(name, value))
            .cloned()
            .collect(),
        models: provider.models.clone(),
        allow_private: provider.base_url.reach() == Reach::Private,
        allow_http: provider.base_url.reach() == Reach::Public && !provider.base_url.is_tls(),
        ..ProviderDraft::default()
    }
}

fn draft_of_route(route: &Route) -> RouteDraft {
    RouteDraft {
        targets: route
            .targets
            .iter()
            .map(|target| format!("{}/{}", target.provider, target.model))
            .collect(),
        strategy: route.strategy,
        strict: Some(route.strict),
        near_budget: route.near_budget,
        on_disconnect: Some(route.on_disconnect),
    }
}

fn draft_of_channel(channel: &AlertChannel) -> AlertDraft {
    let mut draft = AlertDraft {
        events: channel.events.as_ref().map(|events| {
            events
                .iter()
                .map(|event| event.as_str().to_owned())
                .collect()
        }),
        scopes: channel
            .scopes
            .as_ref()
            .map(|scopes| scopes.iter().map(ToString::to_string).collect()),
        ..AlertDraft::default()
    };
    let reach = match &channel.way {
        AlertWay::Webhook { url, secret } => {
            draft.kind = Some("webhook");
            draft.url = Some(url.target.clone());
            draft.secret.clone_from(secret);
            draft.allow_http = is_plain_abroad(url);
            url.origin.reach()
        }
        AlertWay::Slack { url } => {
            draft.kind = Some("slack");
            draft.url = Some(url.target.clone());
            draft.allow_http = is_plain_abroad(url);
            url.origin.reach()
        }
        AlertWay::Email(mail) => {
            draft.kind = Some("email");
            draft.server = Some(format!("{}:{}", mail.host, mail.port));
            draft.tls = mail.tls;
            draft.from = Some(mail.from.clone());
            draft.to.clone_from(&mail.to);
            if let Some(login) = &mail.login {
                draft.username = Some(login.username.clone());
                draft.password = Some(login.password.clone());
            }
            mail.reach
        }
    };
    draft.allow_private = reach == Reach::Private;
    draft
}

fn is_plain_abroad(url: &HookUrl) -> bool {
    url.origin.reach() == Reach::Public && !url.origin.is_tls()
}
