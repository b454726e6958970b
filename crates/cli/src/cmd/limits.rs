//! `tollgate limits`: how much a scope may use, how fast.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use tollgate_accounts::NewLimit;
use tollgate_base::{Error, Result, quote};
use tollgate_policy::{
    account::{Record, RecordKind},
    rules::{LimitRule, Measure},
};

use crate::{
    Exit,
    desk::{Desk, Folder, at_desk, find},
    settings::Options,
    shown,
    table::{plain, table},
    terminal::{data, say},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set the limit of a scope and a measure. A second one replaces the first.
    Set {
        /// gateway, team:NAME, project:NAME, key:NAME, model:NAME or provider:NAME
        scope: String,
        /// requests-per-minute, tokens-per-day, concurrent-requests, …
        measure: String,
        /// The most; 0 blocks
        amount: String,
        #[command(flatten)]
        options: Options,
    },
    /// List the limits, those of the configuration too.
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Remove a limit.
    Remove {
        /// The limit's id, or the beginning of it
        #[arg(value_name = "LIMIT")]
        limit: String,
        #[command(flatten)]
        options: Options,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match &arguments.action {
        Action::Set {
            scope,
            measure,
            amount,
            options,
        } => at_desk(options, Folder::Make, |desk| {
            set(desk, scope, measure, amount)
        }),
        Action::List { json, options } => {
            at_desk(options, Folder::Expect, |desk| list(desk, *json))
        }
        Action::Remove { limit, options } => at_desk(options, Folder::Expect, |desk| {
            let id = find(
                RecordKind::Limit,
                &desk.accounts()?.limits,
                |rule| &rule.id,
                limit,
            )
            .map_err(|error| configured(desk, limit).unwrap_or(error))?;
            desk.books.delete_limit(&desk.act(), &id)?;
            say(&format!("Removed {id}."));
            Ok(Exit::Success)
        }),
    }
}

/// That a limit stands in the configuration and is removed there.
fn configured(desk: &Desk, id: &str) -> Option<Error> {
    let found = desk.config.limits.iter().any(|rule| rule.id == id);
    found.then(|| {
        let message = format!(
            "The limit {} stands in the configuration. Remove it there.",
            quote(id)
        );
        Error::invalid_value("limit", message)
    })
}

fn set(desk: &Desk, scope: &str, measure: &str, amount: &str) -> Result<Exit> {
    let new = NewLimit {
        scope: desk.scope(scope)?,
        measure: Measure::from_word(measure).ok_or_else(|| {
            let words = Measure::ALL.map(|(word, _)| word).join(", ");
            let message = format!(
                "{} is no measure. The measures are {words}.",
                quote(measure)
            );
            Error::invalid_value("measure", message)
        })?,
        most: amount.replace('_', "").parse().map_err(|_| {
            let message = format!(
                "{} is no amount. Write a whole number; 0 blocks.",
                quote(amount)
            );
            Error::invalid_value("amount", message)
        })?,
    };
    let rule = desk.books.put_limit(&desk.act(), &new)?.value;
    data(&rule.id);
    say(&format!(
        "{} of {}: at most {}.",
        rule.measure.as_str(),
        plain(&rule.scope.to_string()),
        rule.most
    ));
    Ok(Exit::Success)
}

fn list(desk: &Desk, json: bool) -> Result<Exit> {
    let accounts = desk.accounts()?;
    let own = accounts.limits.values().map(|rule| (&rule.value, false));
    let all: Vec<_> = own
        .chain(desk.config.limits.iter().map(|rule| (rule, true)))
        .collect();
    if json {
        shown::print_all(
            all.into_iter()
                .map(|(rule, configured)| object(rule, configured))
                .collect(),
        );
        return Ok(Exit::Success);
    }
    let rows: Vec<_> = all
        .into_iter()
        .map(|(rule, configured)| {
            vec![
                rule.id.clone(),
                shown::scope(&accounts, &rule.scope),
                rule.measure.as_str().to_owned(),
                rule.most.to_string(),
                if configured { "configuration" } else { "" }.to_owned(),
            ]
        })
        .collect();
    data(&table(&["id", "scope", "measure", "most", "from"], &rows));
    Ok(Exit::Success)
}

fn object(rule: &LimitRule, configured: bool) -> Map<String, Value> {
    let mut object = shown::object(&Record::Limit(rule.clone()));
    object.insert("configured".to_owned(), Value::from(configured));
    object
}
