//! Whether single values may be what they are. Each refusal names the field and what it may hold.

use tollgate_base::{Error, Money, Result, UnixMillis, quote};
use tollgate_policy::{
    account::{Accounts, RecordKind},
    key::{KeyScopes, Network, OPERATIONS, Pattern},
    scope::Scope,
};

use crate::{found, input::ScopesInput};

/// The longest name, in bytes.
const MAX_NAME: usize = 256;
/// The longest list.
const MAX_LIST: usize = 1_000;
/// The largest amount that can be written: below 10¹² dollars.
const MAX_MONEY: Money = Money::from_nanos(999_999_999_999_999_999_999);

/// A name: something to read, of at most 256 bytes, on one line.
pub(crate) fn name(param: &'static str, text: &str) -> Result<()> {
    let fault = if text.trim().is_empty() {
        "must not be empty"
    } else if text.len() > MAX_NAME {
        "may have at most 256 bytes"
    } else if text.chars().any(char::is_control) {
        "must not hold control characters"
    } else {
        return Ok(());
    };
    Err(Error::invalid_value(param, format!("The {param} {fault}.")))
}

/// A time that has not come yet.
pub(crate) fn future(param: &'static str, at: UnixMillis, now: UnixMillis) -> Result<()> {
    if at > now {
        return Ok(());
    }
    let message = format!("`{param}` must lie in the future.");
    Err(Error::invalid_value(param, message))
}

pub(crate) fn money(param: &'static str, amount: Money) -> Result<()> {
    if (Money::ZERO..=MAX_MONEY).contains(&amount) {
        return Ok(());
    }
    let message =
        format!("`{param}` must be between 0 (blocks everything) and 999999999999.999999999.");
    Err(Error::invalid_value(param, message))
}

/// Shares in percent, sorted and without repetition.
pub(crate) fn thresholds(mut shares: Vec<u8>) -> Result<Vec<u8>> {
    shares.sort_unstable();
    shares.dedup();
    if shares.len() > 16 || shares.iter().any(|share| !(1..=200).contains(share)) {
        let message = "`thresholds` are at most 16 shares of the limit in percent, from 1 to 200.";
        return Err(Error::invalid_value("thresholds", message));
    }
    Ok(shares)
}

pub(crate) fn scopes(input: &ScopesInput) -> Result<KeyScopes> {
    if input.max_output_tokens == Some(0) {
        let message = "`max_output_tokens` must be at least 1. Leave it out for no bound.";
        return Err(Error::invalid_value("max_output_tokens", message));
    }
    Ok(KeyScopes {
        models: models(&input.models)?,
        operations: operations(&input.operations)?,
        sources: sources(&input.sources)?,
        strict: input.strict,
        max_output_tokens: input.max_output_tokens,
    })
}

pub(crate) fn models(texts: &[String]) -> Result<Vec<Pattern>> {
    list("models", texts, |text| {
        name("models", text)?;
        Pattern::parse(text).ok_or_else(|| {
            let message = format!(
                "{} is no name of a model. Write a name, or the beginning of names with `*` at its end.",
                quote(text)
            );
            Error::invalid_value("models", message)
        })
    })
}

pub(crate) fn operations(texts: &[String]) -> Result<Vec<Pattern>> {
    list("operations", texts, |text| {
        Pattern::parse(text)
            .filter(|pattern| OPERATIONS.iter().any(|known| pattern.matches(known)))
            .ok_or_else(|| {
                let message = format!(
                    "{} is no operation. The operations are {}.",
                    quote(text),
                    OPERATIONS.join(", ")
                );
                Error::invalid_value("operations", message)
            })
    })
}

pub(crate) fn sources(texts: &[String]) -> Result<Vec<Network>> {
    list("sources", texts, |text| {
        Network::parse(text).ok_or_else(|| {
            let message = format!(
                "{} is no range of addresses. Write it as `10.0.0.0/8`, `2001:db8::/32` or one address.",
                quote(text)
            );
            Error::invalid_value("sources", message)
        })
    })
}

fn list<T>(
    param: &'static str,
    texts: &[String],
    read: impl Fn(&str) -> Result<T>,
) -> Result<Vec<T>> {
    if texts.len() > MAX_LIST {
        let message = format!("`{param}` may have at most {MAX_LIST} entries.");
        return Err(Error::invalid_value(param, message));
    }
    texts.iter().map(|text| read(text)).collect()
}

/// Whether what a rule is for exists. Models and providers stand in the configuration, which may change; a rule
/// for one that is not there binds nothing.
pub(crate) fn scope(scope: &Scope, accounts: &Accounts) -> Result<()> {
    let found = match scope {
        Scope::Gateway => Ok(()),
        Scope::Team(id) => found(&accounts.teams, RecordKind::Team, id).map(drop),
        Scope::Project(id) => found(&accounts.projects, RecordKind::Project, id).map(drop),
        Scope::Key(id) => found(&accounts.keys, RecordKind::Key, id).map(drop),
        Scope::Model(text) | Scope::Provider(text) => name("scope", text),
    };
    found.map_err(|error| error.with_param("scope"))
}
