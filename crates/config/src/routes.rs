//! From what was written about routes to routes whose every target exists.

use std::collections::BTreeMap;

use tollgate_catalog::Catalog;

use crate::draft::{Draft, RouteDraft};
use crate::findings::Findings;
use crate::kind::key;
use crate::model::{BUILT_IN_MODEL, BUILT_IN_PROVIDER, Provider, Route, RouteTarget};
use crate::resolve::Surroundings;
use crate::suggest;

/// What targets are checked against.
struct Known<'a> {
    draft: &'a Draft,
    providers: &'a BTreeMap<String, Provider>,
    around: &'a Surroundings<'a>,
}

pub(crate) fn resolve(
    draft: &Draft,
    providers: &BTreeMap<String, Provider>,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, Route> {
    let known = Known {
        draft,
        providers,
        around,
    };
    draft
        .routes
        .iter()
        .map(|(name, written)| (name.clone(), route(name, written, &known, findings)))
        .collect()
}

fn route(
    name: &str,
    written: &RouteDraft,
    known: &Known<'_>,
    findings: &mut Findings<'_>,
) -> Route {
    let path = format!("routes.{}", key(name));
    if name.is_empty()
        || name.len() > 256
        || name.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        findings.error(
            &path,
            "is not a model name",
            "use up to 256 characters without blanks",
        );
    }
    let at = format!("{path}.targets");
    if written.targets.is_empty() {
        if findings.was_written(&at) {
            // A list that was refused has been reported already, and stands here as empty too.
            if !findings.is_refused(&at) {
                findings.error(
                    &at,
                    "names no target",
                    "write at least one, as \"provider/model\"",
                );
            }
        } else {
            findings.error(
                &path,
                "`targets` is missing",
                "write targets = [\"provider/model\"]",
            );
        }
    }
    let mut targets = Vec::new();
    for (index, text) in written.targets.iter().enumerate() {
        match known.target(text) {
            Ok(target) => targets.push(target),
            Err((message, hint)) => findings.error_of_element(&at, index, message, hint),
        }
    }
    Route {
        name: name.to_owned(),
        targets,
        strategy: written.strategy,
        strict: written.strict.unwrap_or(known.draft.strict),
        near_budget: written.near_budget,
        on_disconnect: written
            .on_disconnect
            .unwrap_or(known.draft.ledger.on_disconnect),
    }
}

// === impl Known ===

impl Known<'_> {
    fn target(&self, text: &str) -> Result<RouteTarget, (String, String)> {
        if let Some(route) = self.draft.routes.get(text) {
            let hint = if route.targets.is_empty() {
                "write its targets here".to_owned()
            } else {
                format!(
                    "write its targets here: {}",
                    crate::kind::list_of(&route.targets)
                )
            };
            return Err((
                format!("`{text}` is a route, and a route cannot lead to a route"),
                hint,
            ));
        }
        let Some((provider, model)) = text
            .split_once('/')
            .filter(|(p, m)| !p.is_empty() && !m.is_empty())
        else {
            return Err((
                format!("`{text}` is not a target"),
                "write it as \"provider/model\"".to_owned(),
            ));
        };
        let target = RouteTarget {
            provider: provider.to_owned(),
            model: model.to_owned(),
        };
        if provider == BUILT_IN_PROVIDER {
            // Which other models are on this machine changes while the service runs.
            return if self.draft.built_in_model || model != BUILT_IN_MODEL {
                Ok(target)
            } else {
                Err((
                    format!("`{text}` is the built-in model, which is switched off"),
                    "set `built_in_model = true`, or remove the target".to_owned(),
                ))
            };
        }
        match self.providers.get(provider) {
            Some(known)
                if known
                    .models
                    .as_ref()
                    .is_none_or(|models| models.iter().any(|m| m == model)) =>
            {
                Ok(target)
            }
            Some(_) => Err((
                format!("`{model}` is not among the models of `{provider}`"),
                format!("add it to `providers.{}.models`", key(provider)),
            )),
            // The provider's own mistakes have been reported.
            None if self.is_broken(provider) => Ok(target),
            None => Err(self.unknown(provider)),
        }
    }

    /// A provider that is written and switched on, and yet not there.
    fn is_broken(&self, provider: &str) -> bool {
        self.draft
            .providers
            .get(provider)
            .is_some_and(|written| written.enabled)
            && !self.is_disabled(provider)
    }

    fn is_disabled(&self, provider: &str) -> bool {
        self.draft
            .disabled_providers
            .iter()
            .any(|name| name == provider)
    }

    fn unknown(&self, provider: &str) -> (String, String) {
        let catalog = self.around.catalog;
        if self.is_disabled(provider)
            || self.draft.providers.contains_key(provider)
            || catalog.provider(provider).is_some()
        {
            return not_on(provider, self.draft, catalog);
        }
        let known = self
            .providers
            .keys()
            .map(String::as_str)
            .chain(catalog.providers().iter().map(|row| row.id.as_str()));
        let hint = match suggest::nearest(provider, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("add [providers.{}]", key(provider)),
        };
        (format!("there is no provider `{provider}`"), hint)
    }
}

/// What to say of a provider that is known and off, and how to switch it on.
pub(crate) fn not_on(provider: &str, draft: &Draft, catalog: &Catalog) -> (String, String) {
    let message = format!("the provider `{provider}` is not switched on");
    let hint = if draft.disabled_providers.iter().any(|name| name == provider) {
        "remove it from `disabled_providers`".to_owned()
    } else if draft.providers.contains_key(provider) {
        format!("set `enabled = true` in [providers.{}]", key(provider))
    } else {
        let variable = catalog
            .provider(provider)
            .filter(|row| !row.key_optional)
            .and_then(|row| row.key_env.first());
        match variable {
            Some(variable) => {
                format!("set the environment variable {variable}, or add [providers.{provider}]")
            }
            None => format!("add [providers.{provider}]"),
        }
    };
    (message, hint)
}
