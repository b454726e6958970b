//! From what was written about prices, limits and budgets to rules that can be enforced.

use std::collections::BTreeMap;

use tollgate_base::Rate;
use tollgate_policy::{
    rules::{BudgetRule, LimitRule},
    scope::Scope,
};

use crate::{
    draft::{BudgetDraft, Draft, LimitDraft, PriceDraft},
    findings::Findings,
    kind::key,
    model::{BUILT_IN_PROVIDER, PriceSetting, Provider},
    schema::{Kind, PRICE_SETTINGS},
    suggest,
};

pub(crate) const SCOPES: &str =
    "write `gateway`, or a kind and a name: `team:`, `project:`, `key:`, `model:`, `provider:`";

pub(crate) fn prices(
    draft: &Draft,
    providers: &BTreeMap<String, Provider>,
    findings: &mut Findings<'_>,
) -> Vec<PriceSetting> {
    let mut prices = Vec::new();
    for (target, written) in &draft.prices {
        let path = format!("prices.{}", key(target));
        let Some((provider, model)) = target
            .split_once('/')
            .filter(|(_, model)| !model.is_empty())
        else {
            findings.error(
                &path,
                "is no target",
                "write [prices.\"provider/model\"], or `provider/*`",
            );
            continue;
        };
        if !providers.contains_key(provider) && provider != BUILT_IN_PROVIDER {
            let hint = suggest::hint(provider, providers.keys().map(String::as_str));
            findings.warning(&path, "is for a provider that is not switched on", &hint);
        }
        let rates = rates(written);
        if written.free != rates.is_empty() {
            let (message, hint) = if written.free {
                ("is free and has prices", "remove `free`, or the prices")
            } else {
                (
                    "has no price",
                    "write `input` and `output`, or `free = true`",
                )
            };
            findings.error(&path, message, hint);
        }
        prices.push(PriceSetting {
            provider: provider.to_owned(),
            model: model.to_owned(),
            free: written.free,
            rates,
        });
    }
    prices
}

fn rates(written: &PriceDraft) -> Vec<(&'static str, Rate)> {
    let mut written = written.clone();
    PRICE_SETTINGS
        .iter()
        .filter_map(|setting| match &setting.kind {
            Kind::Rate(slot) => Some((setting.path, slot(&mut written).held()?)),
            _ => None,
        })
        .collect()
}

pub(crate) fn limits(draft: &Draft, findings: &mut Findings<'_>) -> Vec<LimitRule> {
    draft
        .limits
        .iter()
        .filter_map(|(name, written)| limit(name, written, findings))
        .collect()
}

fn limit(name: &str, written: &LimitDraft, findings: &mut Findings<'_>) -> Option<LimitRule> {
    let path = format!("limits.{}", key(name));
    let scope = scope(&path, written.scope.as_deref(), findings);
    let measure = needed(&path, "measure", written.measure, findings);
    let most = needed(&path, "most", written.most, findings);
    Some(LimitRule {
        id: format!("config:{name}"),
        scope: scope?,
        measure: measure?,
        most: most?,
    })
}

pub(crate) fn budgets(draft: &Draft, findings: &mut Findings<'_>) -> Vec<BudgetRule> {
    draft
        .budgets
        .iter()
        .filter_map(|(name, written)| budget(name, written, findings))
        .collect()
}

fn budget(name: &str, written: &BudgetDraft, findings: &mut Findings<'_>) -> Option<BudgetRule> {
    let path = format!("budgets.{}", key(name));
    let scope = scope(&path, written.scope.as_deref(), findings);
    let limit = needed(&path, "limit", written.limit, findings);
    let thresholds = thresholds(&path, &written.thresholds, findings);
    Some(BudgetRule {
        id: format!("config:{name}"),
        scope: scope?,
        limit: limit?,
        period: written.period,
        zone: written.zone.clone(),
        hard: written.hard,
        thresholds,
        relief: None,
    })
}

fn thresholds(path: &str, written: &[String], findings: &mut Findings<'_>) -> Vec<u8> {
    let at = format!("{path}.thresholds");
    let mut shares = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let share = text
            .strip_suffix('%')
            .and_then(|number| number.parse().ok());
        match share.filter(|share| (1..=100).contains(share)) {
            Some(share) => shares.push(share),
            None => findings.error_of_element(
                &at,
                index,
                "is no share".to_owned(),
                "write 1% to 100%".to_owned(),
            ),
        }
    }
    shares.sort_unstable();
    shares
}

fn scope(path: &str, written: Option<&str>, findings: &mut Findings<'_>) -> Option<Scope> {
    let text = needed(path, "scope", written, findings)?;
    let scope = Scope::parse(text);
    if scope.is_none() {
        findings.error(&format!("{path}.scope"), "is no scope", SCOPES);
    }
    scope
}

/// What must be written.
pub(crate) fn needed<T>(
    path: &str,
    name: &str,
    written: Option<T>,
    findings: &mut Findings<'_>,
) -> Option<T> {
    // A value that was refused has been reported already.
    if written.is_none() && !findings.was_written(&format!("{path}.{name}")) {
        findings.error(path, format!("`{name}` is missing"), "");
    }
    written
}
