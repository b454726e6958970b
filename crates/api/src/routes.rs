//! Every route of the admin API, as one table: what is not in it does not exist, and the document is made of it.

use tollgate_policy::key::Permission;

use crate::{
    accounts, audit, keys, prices, rules,
    schema::{Field, Shape},
    usage,
};

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    /// `{id}` stands for one segment.
    pub path: &'static str,
    pub endpoint: Endpoint,
    /// What the caller's role has to allow. Admin keys are changed by owners alone, whatever stands here.
    pub permission: Permission,
    pub summary: &'static str,
    pub query: &'static [Field],
    pub request: Option<&'static Shape>,
    pub answer: Answer,
}

/// What a route answers when all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200.
    Object(&'static Shape),
    /// 200, as JSON or CSV.
    Table(&'static Shape),
    /// 201.
    Created(&'static Shape),
    /// 204.
    Nothing,
    /// 200: this API's OpenAPI document.
    Document,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Document,
    ListKeys,
    CreateKey,
    ShowKey,
    ChangeKey,
    DeleteKey,
    RotateKey,
    RevokeKey,
    DisableKey,
    EnableKey,
    ListTeams,
    CreateTeam,
    ShowTeam,
    ChangeTeam,
    DeleteTeam,
    ListProjects,
    CreateProject,
    ShowProject,
    ChangeProject,
    DeleteProject,
    ListBudgets,
    CreateBudget,
    ShowBudget,
    ReplaceBudget,
    DeleteBudget,
    RelieveBudget,
    ListLimits,
    CreateLimit,
    ShowLimit,
    ReplaceLimit,
    DeleteLimit,
    Standings,
    WhatIf,
    Usage,
    ListAttempts,
    ShowAttempt,
    ResolveAttempt,
    Reprice,
    LedgerHealth,
    LedgerVerify,
    Prices,
    Projection,
    ListAudit,
    VerifyAudit,
    EffectiveConfig,
}

impl Route {
    /// Whether it changes an object that exists, and has to be told which version is meant.
    pub fn needs_version(&self) -> bool {
        matches!(self.method, "PATCH" | "PUT" | "DELETE")
    }

    /// What stands for `{id}` in a path of this route.
    pub fn matches<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Some((before, after)) = self.path.split_once("{id}") else {
            return (self.path == path).then_some("");
        };
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    }
}

const fn route(
    (method, path): (&'static str, &'static str),
    endpoint: Endpoint,
    permission: Permission,
    answer: Answer,
    summary: &'static str,
) -> Route {
    Route {
        method,
        path,
        endpoint,
        permission,
        summary,
        query: &[],
        request: None,
        answer,
    }
}

impl Route {
    const fn takes(self, shape: &'static Shape) -> Self {
        Self {
            request: Some(shape),
            ..self
        }
    }

    const fn asked(self, query: &'static [Field]) -> Self {
        Self { query, ..self }
    }
}

use Answer::{Created, Document, Nothing, Object, Table};
use Permission::{Read, ReadAudit, WriteKeys, WriteLedger, WriteRules, WriteTeams};

/// The first that fits counts.
pub static ROUTES: &[Route] = &[
    route(("GET", "/admin/v1/openapi.json"), Endpoint::Document, Read, Document, "This document."),
    // Keys
    route(("GET", "/admin/v1/keys"), Endpoint::ListKeys, Read, Object(&keys::KEYS), "Lists keys.")
        .asked(keys::KEY_FILTER),
    route(
        ("POST", "/admin/v1/keys"),
        Endpoint::CreateKey,
        WriteKeys,
        Created(&keys::MINTED_KEY),
        "Makes a key and shows its text, this once.",
    )
    .takes(&keys::NEW_KEY),
    route(("GET", "/admin/v1/keys/{id}"), Endpoint::ShowKey, Read, Object(&keys::KEY), "Shows a key."),
    route(("PATCH", "/admin/v1/keys/{id}"), Endpoint::ChangeKey, WriteKeys, Object(&keys::KEY), "Changes a key.")
        .takes(&keys::KEY_PATCH),
    route(
        ("DELETE", "/admin/v1/keys/{id}"),
        Endpoint::DeleteKey,
        WriteKeys,
        Nothing,
        "Forgets a key with its limits and budgets. Its calls stay in the ledger.",
    ),
    route(
        ("POST", "/admin/v1/keys/{id}/rotate"),
        Endpoint::RotateKey,
        WriteKeys,
        Object(&keys::MINTED_KEY),
        "Gives a key a new text and shows it, this once.",
    )
    .takes(&keys::ROTATION),
    route(
        ("POST", "/admin/v1/keys/{id}/revoke"),
        Endpoint::RevokeKey,
        WriteKeys,
        Object(&keys::KEY),
        "Puts a key out of use for good.",
    ),
    route(
        ("POST", "/admin/v1/keys/{id}/disable"),
        Endpoint::DisableKey,
        WriteKeys,
        Object(&keys::KEY),
        "Puts a key out of use for the time being.",
    ),
    route(
        ("POST", "/admin/v1/keys/{id}/enable"),
        Endpoint::EnableKey,
        WriteKeys,
        Object(&keys::KEY),
        "Puts a disabled key to use again.",
    ),
    // Teams and projects
    route(("GET", "/admin/v1/teams"), Endpoint::ListTeams, Read, Object(&accounts::TEAMS), "Lists teams.")
        .asked(PAGE),
    route(("POST", "/admin/v1/teams"), Endpoint::CreateTeam, WriteTeams, Created(&accounts::TEAM), "Makes a team.")
        .takes(&accounts::NEW_TEAM),
    route(("GET", "/admin/v1/teams/{id}"), Endpoint::ShowTeam, Read, Object(&accounts::TEAM), "Shows a team."),
    route(
        ("PATCH", "/admin/v1/teams/{id}"),
        Endpoint::ChangeTeam,
        WriteTeams,
        Object(&accounts::TEAM),
        "Changes a team.",
    )
    .takes(&accounts::TEAM_PATCH),
    route(
        ("DELETE", "/admin/v1/teams/{id}"),
        Endpoint::DeleteTeam,
        WriteTeams,
        Nothing,
        "Deletes a team that has neither keys nor projects.",
    ),
    route(
        ("GET", "/admin/v1/projects"),
        Endpoint::ListProjects,
        Read,
        Object(&accounts::PROJECTS),
        "Lists projects.",
    )
    .asked(PAGE),
    route(
        ("POST", "/admin/v1/projects"),
        Endpoint::CreateProject,
        WriteTeams,
        Created(&accounts::PROJECT),
        "Makes a project.",
    )
    .takes(&accounts::NEW_PROJECT),
    route(
        ("GET", "/admin/v1/projects/{id}"),
        Endpoint::ShowProject,
        Read,
        Object(&accounts::PROJECT),
        "Shows a project.",
    ),
    route(
        ("PATCH", "/admin/v1/projects/{id}"),
        Endpoint::ChangeProject,
        WriteTeams,
        Object(&accounts::PROJECT),
        "Changes a project.",
    )
    .takes(&accounts::PROJECT_PATCH),
    route(
        ("DELETE", "/admin/v1/projects/{id}"),
        Endpoint::DeleteProject,
        WriteTeams,
        Nothing,
        "Deletes a project that has no keys.",
    ),
    // Budgets and limits
    route(("GET", "/admin/v1/budgets"), Endpoint::ListBudgets, Read, Object(&rules::BUDGETS), "Lists budgets.")
        .asked(rules::FILTER),
    route(
        ("POST", "/admin/v1/budgets"),
        Endpoint::CreateBudget,
        WriteRules,
        Created(&rules::BUDGET),
        "Makes the budget of a scope and period.",
    )
    .takes(&rules::NEW_BUDGET),
    route(("GET", "/admin/v1/budgets/{id}"), Endpoint::ShowBudget, Read, Object(&rules::BUDGET), "Shows a budget."),
    route(
        ("PUT", "/admin/v1/budgets/{id}"),
        Endpoint::ReplaceBudget,
        WriteRules,
        Object(&rules::BUDGET),
        "Gives a budget other figures.",
    )
    .takes(&rules::BUDGET_BODY),
    route(("DELETE", "/admin/v1/budgets/{id}"), Endpoint::DeleteBudget, WriteRules, Nothing, "Deletes a budget."),
    route(
        ("POST", "/admin/v1/budgets/{id}/relief"),
        Endpoint::RelieveBudget,
        WriteRules,
        Object(&rules::BUDGET),
        "Gives a budget another limit for a while, or takes that back.",
    )
    .takes(&rules::RELIEF_REQUEST),
    route(("GET", "/admin/v1/limits"), Endpoint::ListLimits, Read, Object(&rules::LIMITS), "Lists limits.")
        .asked(rules::FILTER),
    route(
        ("POST", "/admin/v1/limits"),
        Endpoint::CreateLimit,
        WriteRules,
        Created(&rules::LIMIT),
        "Makes the limit of a scope and measure.",
    )
    .takes(&rules::NEW_LIMIT),
    route(("GET", "/admin/v1/limits/{id}"), Endpoint::ShowLimit, Read, Object(&rules::LIMIT), "Shows a limit."),
    route(
        ("PUT", "/admin/v1/limits/{id}"),
        Endpoint::ReplaceLimit,
        WriteRules,
        Object(&rules::LIMIT),
        "Gives a limit another size.",
    )
    .takes(&rules::LIMIT_BODY),
    route(("DELETE", "/admin/v1/limits/{id}"), Endpoint::DeleteLimit, WriteRules, Nothing, "Deletes a limit."),
    route(
        ("GET", "/admin/v1/standings"),
        Endpoint::Standings,
        Read,
        Object(&rules::STANDINGS),
        "Shows how limits and budgets stand now.",
    )
    .asked(rules::STANDINGS_FILTER),
    route(
        ("POST", "/admin/v1/what-if"),
        Endpoint::WhatIf,
        Read,
        Object(&prices::WHAT_IF_ANSWER),
        "Says whether a call would be admitted, and what it could cost at most. Nothing is sent or held.",
    )
    .takes(&prices::WHAT_IF),
    // The ledger
    route(("GET", "/admin/v1/usage"), Endpoint::Usage, Read, Table(&usage::USAGE), "Adds up what was used.")
        .asked(usage::USAGE_FILTER),
    route(
        ("GET", "/admin/v1/attempts"),
        Endpoint::ListAttempts,
        Read,
        Table(&usage::ATTEMPTS),
        "Lists attempts, the newest first.",
    )
    .asked(usage::ATTEMPT_FILTER),
    route(
        ("GET", "/admin/v1/attempts/{id}"),
        Endpoint::ShowAttempt,
        Read,
        Object(&usage::ATTEMPT),
        "Shows an attempt.",
    ),
    route(
        ("POST", "/admin/v1/attempts/{id}/resolve"),
        Endpoint::ResolveAttempt,
        WriteLedger,
        Object(&usage::ATTEMPT),
        "Books an attempt of which nobody knows how it ended.",
    )
    .takes(&usage::RESOLUTION),
    route(
        ("POST", "/admin/v1/reprice"),
        Endpoint::Reprice,
        WriteLedger,
        Object(&usage::REPRICED),
        "Prices attempts again by the prices in force. What was booked stays.",
    )
    .takes(&usage::REPRICE),
    route(
        ("GET", "/admin/v1/ledger/health"),
        Endpoint::LedgerHealth,
        Read,
        Object(&usage::HEALTH),
        "Shows how the ledger is.",
    ),
    route(
        ("GET", "/admin/v1/ledger/verify"),
        Endpoint::LedgerVerify,
        Read,
        Object(&usage::CHECK),
        "Checks the whole ledger against itself.",
    ),
    // Prices
    route(("GET", "/admin/v1/prices"), Endpoint::Prices, Read, Object(&prices::PRICES), "Lists the prices in force.")
        .asked(prices::FILTER),
    route(
        ("POST", "/admin/v1/projection"),
        Endpoint::Projection,
        Read,
        Object(&prices::FORECAST),
        "Says what requests that are all alike cost.",
    )
    .takes(&prices::PROJECTION),
    // The gateway itself
    route(
        ("GET", "/admin/v1/audit"),
        Endpoint::ListAudit,
        ReadAudit,
        Object(&audit::ENTRIES),
        "Lists the audit log, the newest first.",
    )
    .asked(audit::FILTER),
    route(
        ("GET", "/admin/v1/audit/verify"),
        Endpoint::VerifyAudit,
        ReadAudit,
        Object(&audit::CHECK),
        "Checks the whole audit log.",
    ),
    route(
        ("GET", "/admin/v1/config/effective"),
        Endpoint::EffectiveConfig,
        Read,
        Object(&prices::CONFIG),
        "Shows the settings in force, their secrets masked.",
    ),
];

const PAGE: &[Field] = &[crate::PAGE_SIZE, crate::AFTER];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_routes_are_the_same_and_each_is_described() {
        let mut seen = HashSet::new();
        for route in ROUTES {
            assert!(seen.insert((route.method, route.path)), "{route:?}");
            assert!(seen.insert(("", route.summary)), "{route:?}");
            assert!(route.summary.ends_with('.'), "{}", route.summary);
            assert!(route.path.starts_with("/admin/v1/"), "{}", route.path);
        }
    }

    #[test]
    fn p22_nothing_of_the_ledger_or_the_audit_log_can_be_changed_or_deleted() {
        for route in ROUTES {
            let is_record = ["/attempts", "/audit", "/ledger", "/usage"]
                .iter()
                .any(|noun| route.path.contains(noun));
            assert!(!is_record || !route.needs_version(), "{route:?}");
        }
    }

    #[test]
    fn p15_nothing_is_changed_by_a_get() {
        for route in ROUTES {
            let reads = matches!(route.permission, Permission::Read | Permission::ReadAudit);
            assert!(route.method != "GET" || reads, "{route:?}");
        }
    }
}
