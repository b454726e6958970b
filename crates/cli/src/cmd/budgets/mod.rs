//! `tollgate budgets`: how much money a scope may spend, how much of it is spent, and whether a call would fit.

mod check;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use tollgate_accounts::NewBudget;
use tollgate_base::{Error, Money, Result, quote};
use tollgate_policy::{
    account::{Accounts, Record, RecordKind},
    admission::BudgetStanding,
    rules::{BudgetRule, Period, Relief},
};

use crate::{
    Exit,
    desk::{Desk, Folder, at_desk, find},
    ledger::Reading,
    settings::Options,
    shown,
    standing::Standing,
    table::{plain, table},
    terminal::{data, say},
    time,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set the budget of a scope for a period. A second one replaces the first.
    Set(Set),
    /// List the budgets, those of the configuration too, and how they stand.
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Show a budget and how it stands.
    Show {
        #[command(flatten)]
        budget: Named,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a budget another limit for a while.
    Relief {
        #[command(flatten)]
        budget: Named,
        /// The limit meanwhile, in dollars
        #[arg(value_name = "DOLLARS", required_unless_present = "end")]
        amount: Option<String>,
        /// Until this date or time, in UTC
        #[arg(long, value_name = "WHEN", conflicts_with = "span", required_unless_present_any = ["span", "end"])]
        until: Option<String>,
        /// For so long: 2h, 3d
        #[arg(long = "for", id = "span", value_name = "SPAN")]
        span: Option<String>,
        /// End the relief now
        #[arg(long, conflicts_with_all = ["amount", "until", "span"])]
        end: bool,
    },
    /// Remove a budget.
    Remove(Named),
    /// Say whether a call would fit now, and what it would cost at most.
    Check(check::Check),
}

#[derive(Debug, Args)]
struct Set {
    /// gateway, team:NAME, project:NAME, key:NAME, model:NAME or provider:NAME
    scope: String,
    /// Dollars; 0 blocks
    #[arg(value_name = "DOLLARS")]
    amount: String,
    /// day, week, month or total
    #[arg(long, default_value = "month")]
    period: String,
    /// The time zone of the period's borders [default: UTC]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Only tell; refuse nothing
    #[arg(long)]
    soft: bool,
    /// Shares in percent at which an alert is sent
    #[arg(
        long,
        value_name = "PERCENT",
        value_delimiter = ',',
        default_value = "50,80,100"
    )]
    thresholds: Vec<u8>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Named {
    /// The budget's id, or the beginning of it
    #[arg(value_name = "BUDGET")]
    budget: String,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match &arguments.action {
        Action::Set(set) => at_desk(&set.options, Folder::Make, |desk| set.run(desk)),
        Action::List { json, options } => {
            at_desk(options, Folder::Expect, |desk| list(desk, *json))
        }
        Action::Show { budget, json } => at_desk(&budget.options, Folder::Expect, |desk| {
            show(desk, &budget.budget, *json)
        }),
        Action::Relief {
            budget,
            amount,
            until,
            span,
            end: _,
        } => budget.with(|desk, id| {
            let until = match (until, span) {
                (Some(text), _) => Some(time::instant("--until", text)?),
                (None, Some(text)) => Some(desk.now().plus(time::span("--for", text)?)),
                (None, None) => None,
            };
            let limit = amount.as_deref().map(dollars).transpose()?;
            let relief = limit
                .zip(until)
                .map(|(limit, until)| Relief { limit, until });
            relieve(desk, id, relief)
        }),
        Action::Remove(budget) => budget.with(|desk, id| {
            desk.books.delete_budget(&desk.act(), id)?;
            say(&format!("Removed {id}."));
            Ok(Exit::Success)
        }),
        Action::Check(check) => check.run(),
    }
}

impl Named {
    /// Does something to the budget that is named, which must not be one of the configuration.
    fn with(&self, work: impl FnOnce(&Desk, &str) -> Result<Exit>) -> Exit {
        at_desk(&self.options, Folder::Expect, |desk| {
            let budgets = &desk.accounts()?.budgets;
            let id = find(RecordKind::Budget, budgets, |rule| &rule.id, &self.budget);
            let is_configured = desk
                .config
                .budgets
                .iter()
                .any(|rule| rule.id == self.budget);
            match id {
                Err(_) if is_configured => {
                    let message = format!(
                        "The budget {} stands in the configuration. Change it there.",
                        quote(&self.budget)
                    );
                    Err(Error::invalid_value("budget", message))
                }
                id => work(desk, &id?),
            }
        })
    }
}

fn dollars(text: &str) -> Result<Money> {
    Money::parse(text).ok_or_else(|| {
        let message = format!(
            "{} is no amount of dollars. Write it as `12.50`; 0 blocks.",
            quote(text)
        );
        Error::invalid_value("amount", message)
    })
}

impl Set {
    fn run(&self, desk: &Desk) -> Result<Exit> {
        let new = NewBudget {
            scope: desk.scope(&self.scope)?,
            limit: dollars(&self.amount)?,
            period: Period::from_word(&self.period).ok_or_else(|| {
                let message = format!(
                    "{} is no period. The periods are day, week, month and total.",
                    quote(&self.period)
                );
                Error::invalid_value("--period", message)
            })?,
            zone: self.zone.clone(),
            hard: !self.soft,
            thresholds: self.thresholds.clone(),
        };
        let rule = desk.books.put_budget(&desk.act(), &new)?.value;
        data(&rule.id);
        let scope = plain(&rule.scope.to_string());
        say(&format!(
            "{} may spend {} {} ({}){}.",
            scope,
            rule.limit,
            per(rule.period),
            rule.zone,
            if rule.hard {
                "; what goes beyond is refused"
            } else {
                "; beyond it, nothing is refused"
            }
        ));
        Ok(Exit::Success)
    }
}

fn per(period: Period) -> String {
    match period {
        Period::Total => "in total".to_owned(),
        Period::Day | Period::Week | Period::Month => format!("a {}", period.as_str()),
    }
}

fn relieve(desk: &Desk, id: &str, relief: Option<Relief>) -> Result<Exit> {
    let rule = desk.books.relieve_budget(&desk.act(), id, relief)?.value;
    say(&match rule.relief {
        Some(relief) => format!(
            "{id} has {} until {}, then {} again.",
            relief.limit,
            time::shown(relief.until),
            rule.limit
        ),
        None => format!("{id} has {} again.", rule.limit),
    });
    Ok(Exit::Success)
}

/// A budget with how it stands, and whether it is one of the configuration's.
struct Line {
    rule: BudgetRule,
    standing: BudgetStanding,
    configured: bool,
}

fn lines(desk: &Desk, accounts: &Accounts) -> Result<Vec<Line>> {
    let ledger = Reading::of(desk)?;
    let standings = Standing::of(desk, accounts, &ledger)?.all().budgets;
    let lines = standings.into_iter().filter_map(|standing| {
        let own = accounts
            .budgets
            .get(&standing.id)
            .map(|rule| (&rule.value, false));
        let configured = desk
            .config
            .budgets
            .iter()
            .find(|rule| rule.id == standing.id);
        let (rule, configured) = own.or_else(|| configured.map(|rule| (rule, true)))?;
        Some(Line {
            rule: rule.clone(),
            standing,
            configured,
        })
    });
    Ok(lines.collect())
}

fn list(desk: &Desk, json: bool) -> Result<Exit> {
    let accounts = desk.accounts()?;
    let lines = lines(desk, &accounts)?;
    if json {
        shown::print_all(lines.iter().map(object).collect());
        return Ok(Exit::Success);
    }
    let rows: Vec<_> = lines.iter().map(|line| row(&accounts, line)).collect();
    let names = [
        "id", "scope", "limit", "period", "kind", "posted", "held", "left", "ends",
    ];
    data(&table(&names, &rows));
    Ok(Exit::Success)
}

fn row(accounts: &Accounts, line: &Line) -> Vec<String> {
    let Line { rule, standing, .. } = line;
    let is_relieved = standing.limit != rule.limit;
    vec![
        rule.id.clone(),
        shown::scope(accounts, &rule.scope),
        standing.limit.to_string(),
        rule.period.as_str().to_owned(),
        match (rule.hard, is_relieved) {
            (true, false) => "hard",
            (false, false) => "soft",
            (true, true) => "hard, relieved",
            (false, true) => "soft, relieved",
        }
        .to_owned(),
        standing.posted.to_string(),
        standing.held.to_string(),
        standing.remaining.to_string(),
        time::shown_or_not(standing.until),
    ]
}

fn object(line: &Line) -> Map<String, Value> {
    let Line {
        rule,
        standing,
        configured,
    } = line;
    let mut object = shown::object(&Record::Budget(rule.clone()));
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("configured", Value::from(*configured));
    put("limit_now", Value::from(standing.limit.to_decimal()));
    put("posted", Value::from(standing.posted.to_decimal()));
    put("held", Value::from(standing.held.to_decimal()));
    put("remaining", Value::from(standing.remaining.to_decimal()));
    put("from", Value::from(standing.from.0));
    put("until", Value::from(standing.until.map(|until| until.0)));
    object
}

fn show(desk: &Desk, name: &str, json: bool) -> Result<Exit> {
    let accounts = desk.accounts()?;
    let lines = lines(desk, &accounts)?;
    let id = match lines.iter().find(|line| line.rule.id == name) {
        Some(line) => line.rule.id.clone(),
        None => find(RecordKind::Budget, &accounts.budgets, |rule| &rule.id, name)?,
    };
    if let Some(line) = lines.iter().find(|line| line.rule.id == id) {
        shown::print(object(line), json);
    }
    Ok(Exit::Success)
}
