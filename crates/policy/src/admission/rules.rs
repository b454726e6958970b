//! Limits and budgets as admission reads them: checked once, found by scope. They never change; a change of
//! configuration makes a new [`Rules`], and the counters go on under it.

use std::{collections::HashSet, sync::Arc};

use foldhash::HashMap;
use tollgate_base::{Error, Result};

use super::{Demand, calendar::Calendar};
use crate::{
    rules::{BudgetRule, LimitRule, Measure, Side},
    scope::Scope,
};

/// Every limit and budget that is in force.
#[derive(Debug, Default)]
pub struct Rules {
    by_scope: HashMap<Scope, Concerned>,
    /// Names of the counters that these rules use.
    budgets: HashSet<Arc<str>>,
}

/// The rules of one scope.
#[derive(Debug, Default)]
pub(super) struct Concerned {
    pub(super) limits: Vec<Arc<Limit>>,
    pub(super) budgets: Vec<Arc<Budget>>,
}

/// A limit and the name of its counter.
///
/// The name holds everything that gives the count its meaning (the rule, its scope, its measure), so that
/// another size goes on with the same counter and another measure begins a new one.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) rule: LimitRule,
    pub(super) counter: Arc<str>,
}

/// A budget, the name of its counter and the borders of its windows.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) rule: BudgetRule,
    pub(super) counter: Arc<str>,
    pub(super) calendar: Calendar,
}

// === impl Rules ===

impl Rules {
    /// Checks and indexes rules. Refused are an id that stands twice and a time zone that does not exist.
    pub fn new(limits: Vec<LimitRule>, budgets: Vec<BudgetRule>) -> Result<Self> {
        let mut rules = Self::default();
        let mut ids = HashSet::new();
        for rule in limits {
            if !ids.insert(rule.id.clone()) {
                return Err(twice("limits", &rule.id));
            }
            let counter = format!("{}\n{}\n{}", rule.id, rule.scope, rule.measure.as_str());
            let limit = Arc::new(Limit {
                counter: counter.into(),
                rule,
            });
            let scope = limit.rule.scope.clone();
            rules.by_scope.entry(scope).or_default().limits.push(limit);
        }
        ids.clear();
        for rule in budgets {
            if !ids.insert(rule.id.clone()) {
                return Err(twice("budgets", &rule.id));
            }
            let calendar = Calendar::new(rule.period, &rule.zone).ok_or_else(|| {
                Error::invalid_value(
                    format!("budgets.{}.zone", rule.id),
                    format!(
                        "There is no time zone {}. Write an IANA name such as `Europe/Berlin` or `UTC`.",
                        tollgate_base::quote(&rule.zone)
                    ),
                )
            })?;
            let period = rule.period.as_str();
            let counter: Arc<str> =
                format!("{}\n{}\n{period}\n{}", rule.id, rule.scope, rule.zone).into();
            rules.budgets.insert(counter.clone());
            let budget = Arc::new(Budget {
                rule,
                counter,
                calendar,
            });
            let scope = budget.rule.scope.clone();
            rules
                .by_scope
                .entry(scope)
                .or_default()
                .budgets
                .push(budget);
        }
        Ok(rules)
    }

    /// The rules of these scopes. A scope that is named twice counts once.
    pub(super) fn concerning<'a>(
        &'a self,
        scopes: &'a [Scope],
    ) -> impl Iterator<Item = &'a Concerned> {
        scopes
            .iter()
            .enumerate()
            .filter(|(at, scope)| !scopes.iter().take(*at).any(|earlier| earlier == *scope))
            .filter_map(|(_, scope)| self.by_scope.get(scope))
    }

    /// Whether one of these scopes has a rule that holds room for a call's output: the bound is only real when the
    /// provider is told of it.
    pub fn bound_output(&self, scopes: &[Scope]) -> bool {
        self.concerning(scopes).any(|concerned| {
            let by_limit = concerned
                .limits
                .iter()
                .any(|limit| match limit.rule.measure {
                    Measure::Tokens(side, _) => side != Side::Input,
                    Measure::LargestRequest => true,
                    Measure::Requests(_) | Measure::Concurrent => false,
                });
            by_limit || concerned.budgets.iter().any(|budget| budget.rule.hard)
        })
    }

    /// The rules of every scope, in the scopes' order.
    pub(super) fn all(&self) -> Vec<&Concerned> {
        let mut all: Vec<_> = self.by_scope.iter().collect();
        all.sort_by_key(|(scope, _)| *scope);
        all.into_iter().map(|(_, concerned)| concerned).collect()
    }

    /// The names of all counters of these rules.
    pub(super) fn counters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.all().into_iter().flat_map(|concerned| {
            let limits = concerned.limits.iter().map(|limit| &limit.counter);
            limits.chain(concerned.budgets.iter().map(|budget| &budget.counter))
        })
    }

    /// Whether a budget of these rules uses this counter.
    pub(super) fn has_budget(&self, counter: &str) -> bool {
        self.budgets.contains(counter)
    }
}

fn twice(list: &str, id: &str) -> Error {
    Error::invalid_value(
        format!("{list}.{id}"),
        format!(
            "The id {} stands twice in `{list}`. Give each rule its own.",
            tollgate_base::quote(id)
        ),
    )
}

// === impl Limit ===

impl Limit {
    /// How much of this limit a call asks for.
    pub(super) fn asked(&self, demand: &Demand) -> u64 {
        match self.rule.measure {
            Measure::Requests(_) | Measure::Concurrent => u64::from(demand.counts),
            Measure::Tokens(side, _) => side.of(demand.input_tokens, demand.output_tokens),
            Measure::LargestRequest => Side::Both.of(demand.input_tokens, demand.output_tokens),
        }
    }
}

impl Side {
    /// The tokens of this side.
    pub(super) fn of(self, input: u64, output: u64) -> u64 {
        match self {
            Side::Input => input,
            Side::Output => output,
            Side::Both => input.saturating_add(output),
        }
    }
}
