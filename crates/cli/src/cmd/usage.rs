//! `tollgate usage`: what was used and spent, by what one likes, and what a month of it comes to.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Serialize;
use tollgate_base::{Error, Money, Result, quote};
use tollgate_catalog::price::Workload;
use tollgate_ledger::report::{to_csv, to_json};
use tollgate_policy::{
    account::Accounts,
    ledger::{AttemptFilter, Group, LedgerStore as _, ReportQuery, ReportRow},
};

use crate::{
    Exit,
    desk::Desk,
    filter::FilterOptions,
    ledger::{Reading, at_ledger},
    prices,
    settings::Options,
    table::{plain, table},
    terminal::{data, say, write_data},
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    report: Report,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What 30 days cost that are like the last ones: requests a day, and average tokens at today's prices.
    Project(Box<Project>),
}

#[derive(Debug, Args)]
struct Report {
    /// What to add up by: key, project, team, model, provider, route, operation, day, tag:NAME
    #[arg(
        long,
        value_name = "GROUPS",
        value_delimiter = ',',
        default_value = "model"
    )]
    by: Vec<String>,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Project {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The days whose average is taken
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=366))]
    days: u64,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match &arguments.action {
        Some(Action::Project(project)) => {
            at_ledger(&project.options, |ledger, desk| project.run(ledger, desk))
        }
        None => at_ledger(&arguments.report.options, |ledger, desk| {
            arguments.report.run(ledger, desk)
        }),
    }
}

impl Report {
    fn run(&self, ledger: &Reading, desk: &Desk) -> Result<Exit> {
        let accounts = desk.accounts()?;
        let groups: Vec<Group> = self
            .by
            .iter()
            .map(|word| group(word))
            .collect::<Result<_>>()?;
        let filter = self.filter.read(&accounts, desk.now())?;
        let rows = sums(ledger, &groups, &filter)?;
        // Sums over calls that were tried at several models count once, so the whole is asked for by itself.
        let total = sums(ledger, &[], &filter)?
            .into_iter()
            .next()
            .unwrap_or_default();
        if self.csv {
            write_data(&to_csv(&groups, &rows));
        } else if self.json {
            let (rows, total) = (
                to_json(&groups, &rows),
                to_json(&[], std::slice::from_ref(&total)),
            );
            let total = total.trim_start_matches('[').trim_end_matches(']');
            let names =
                serde_json::to_string(&names(&accounts, &groups, &rows)).unwrap_or_default();
            data(&format!(
                "{{\"rows\":{rows},\"total\":{total},\"names\":{names}}}"
            ));
        } else {
            data(&self.text(&accounts, &groups, &rows, &total));
        }
        tell(ledger, &total);
        Ok(Exit::Success)
    }

    fn text(
        &self,
        accounts: &Accounts,
        groups: &[Group],
        rows: &[ReportRow],
        total: &ReportRow,
    ) -> String {
        let figures = |row: &ReportRow| {
            [
                row.requests.to_string(),
                row.input_tokens.to_string(),
                row.output_tokens.to_string(),
                row.cost().to_string(),
                row.cost_reported.to_string(),
                row.cost_estimated.to_string(),
                row.unknown.to_string(),
                row.held_unknown.to_string(),
            ]
        };
        let mut lines: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let values = groups
                    .iter()
                    .zip(&row.values)
                    .map(|(group, value)| named(accounts, group, value));
                values.chain(figures(row)).collect()
            })
            .collect();
        let blank = groups
            .iter()
            .enumerate()
            .map(|(at, _)| if at == 0 { "total" } else { "" }.to_owned());
        lines.push(blank.chain(figures(total)).collect());
        let mut names: Vec<&str> = self.by.iter().map(String::as_str).collect();
        names.extend([
            "requests",
            "input",
            "output",
            "cost",
            "reported",
            "estimated",
            "unknown",
            "held for them",
        ]);
        table(&names, &lines)
    }
}

fn group(word: &str) -> Result<Group> {
    Group::parse(word).ok_or_else(|| {
        let message = format!(
            "{} is nothing to add up by. Write key, project, team, model, provider, route, operation, day or \
             tag:NAME.",
            quote(word)
        );
        Error::invalid_value("--by", message)
    })
}

fn sums(ledger: &Reading, groups: &[Group], filter: &AttemptFilter) -> Result<Vec<ReportRow>> {
    ledger.store.report(&ReportQuery {
        groups: groups.to_vec(),
        filter: filter.clone(),
    })
}

fn name<'a>(accounts: &'a Accounts, group: &Group, value: &str) -> Option<&'a String> {
    match group {
        Group::Key => accounts.keys.get(value).map(|key| &key.value.name),
        Group::Team => accounts.teams.get(value).map(|team| &team.value.name),
        Group::Project => accounts
            .projects
            .get(value)
            .map(|project| &project.value.name),
        Group::Model
        | Group::Provider
        | Group::Route
        | Group::Operation
        | Group::Day
        | Group::Tag(_) => None,
    }
}

/// The name beside the id.
fn named(accounts: &Accounts, group: &Group, value: &str) -> String {
    match name(accounts, group, value) {
        Some(name) => format!("{} ({})", plain(value), plain(name)),
        None if value.is_empty() => "-".to_owned(),
        None => plain(value),
    }
}

/// The names of the ids that the report speaks of.
fn names<'a>(accounts: &'a Accounts, groups: &[Group], rows: &str) -> BTreeMap<&'a str, &'a str> {
    let has = |group| groups.contains(&group);
    let keys = accounts
        .keys
        .iter()
        .filter(|_| has(Group::Key))
        .map(|(id, it)| (id.as_str(), it.value.name.as_str()));
    let teams = accounts
        .teams
        .iter()
        .filter(|_| has(Group::Team))
        .map(|(id, it)| (id.as_str(), it.value.name.as_str()));
    let projects = accounts
        .projects
        .iter()
        .filter(|_| has(Group::Project))
        .map(|(id, it)| (id.as_str(), it.value.name.as_str()));
    keys.chain(teams)
        .chain(projects)
        .filter(|(id, _)| rows.contains(id))
        .collect()
}

/// What the figures do not contain.
fn tell(ledger: &Reading, total: &ReportRow) {
    if total.unpriced > 0 {
        say(&format!(
            "{} attempts have no known price; no cost contains them.",
            total.unpriced
        ));
    }
    if total.cost_corrected != total.cost() {
        say(&format!(
            "At the prices that were corrected later it is {}.",
            total.cost_corrected
        ));
    }
    if ledger.waiting() > 0 {
        say(&format!(
            "{} attempts have records in the journal that are not in these sums yet: a running service brings them \
             into the database within moments, and one that was killed at its next start.",
            ledger.waiting()
        ));
    }
}

/// What one model comes to in 30 days.
#[derive(Serialize)]
struct Line {
    model: String,
    requests_per_day: u64,
    input_tokens: u64,
    output_tokens: u64,
    cost: Option<String>,
}

impl Project {
    fn run(&self, ledger: &Reading, desk: &Desk) -> Result<Exit> {
        let mut filter = self.filter.read(&desk.accounts()?, desk.now())?;
        let millis = self.days.saturating_mul(86_400_000);
        if filter.from.is_none() && filter.to.is_none() {
            filter.from = Some(tollgate_base::UnixMillis(
                desk.now().0.saturating_sub(millis),
            ));
        }
        let book = prices::in_force(&desk.config)?;
        let mut sum = Money::ZERO;
        let mut lines = Vec::new();
        for row in sums(ledger, &[Group::Provider, Group::Model], &filter)? {
            let [provider, model] = row.values.as_slice() else {
                continue;
            };
            if row.requests == 0 {
                continue;
            }
            let workload = Workload {
                requests_per_day: half_up(row.requests, self.days),
                input: half_up(row.input_tokens, row.requests),
                output: half_up(row.output_tokens, row.requests),
                days: 30,
            };
            let price = prices::of(&desk.config, &book, provider, model);
            let cost = match price {
                None if provider == tollgate_config::BUILT_IN_PROVIDER => Some(Money::ZERO),
                price => price.and_then(|price| price.projection(&workload)),
            };
            sum += cost.unwrap_or_default();
            lines.push(Line {
                model: format!("{provider}/{model}"),
                requests_per_day: workload.requests_per_day,
                input_tokens: workload.input,
                output_tokens: workload.output,
                cost: cost.map(Money::to_decimal),
            });
        }
        self.print(&lines, sum);
        tell(ledger, &ReportRow::default());
        Ok(Exit::Success)
    }

    fn print(&self, lines: &[Line], sum: Money) {
        if self.json {
            let models = serde_json::to_string(lines).unwrap_or_default();
            data(&format!(
                "{{\"days\":30,\"models\":{models},\"cost\":\"{}\"}}",
                sum.to_decimal()
            ));
        } else {
            let mut rows: Vec<_> = lines
                .iter()
                .map(|line| {
                    vec![
                        plain(&line.model),
                        line.requests_per_day.to_string(),
                        line.input_tokens.to_string(),
                        line.output_tokens.to_string(),
                        line.cost
                            .as_ref()
                            .map_or("not known".to_owned(), |cost| format!("${cost}")),
                    ]
                })
                .collect();
            rows.push(vec![
                "total".to_owned(),
                String::new(),
                String::new(),
                String::new(),
                sum.to_string(),
            ]);
            data(&table(
                &["model", "requests a day", "input", "output", "30 days"],
                &rows,
            ));
        }
        if lines.iter().any(|line| line.cost.is_none()) {
            say("What has no known price is not in the total.");
        }
        say(&format!(
            "From the averages of {} days, at the standard prices in force.",
            self.days
        ));
    }
}

/// A quotient, rounded to the nearest whole, and never to nothing.
fn half_up(sum: u64, parts: u64) -> u64 {
    let parts = parts.max(1);
    let nearest = sum.saturating_add(parts / 2) / parts;
    if sum > 0 { nearest.max(1) } else { 0 }
}
