//! Which attempts a subcommand is about: the options of `tollgate usage` and `tollgate ledger` that choose them.

use clap::Args;
use tollgate_base::{Error, Kind, Result, UnixMillis, quote};
use tollgate_policy::{account::Accounts, ledger::AttemptFilter};

use crate::{
    desk::{key_id, project_id, team_id},
    time,
};

/// Every option that is given has to match.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FilterOptions {
    /// From this date or time on, in UTC
    #[arg(long, value_name = "WHEN")]
    pub(crate) from: Option<String>,
    /// Up to this date or time, which is not in it any more
    #[arg(long, value_name = "WHEN")]
    pub(crate) to: Option<String>,
    /// The last days or hours: 7d, 24h
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["from", "to", "month"])]
    pub(crate) last: Option<String>,
    /// One month in UTC: 2026-11
    #[arg(long, value_name = "MONTH", conflicts_with_all = ["from", "to"])]
    pub(crate) month: Option<String>,
    #[arg(long)]
    key: Option<String>,
    #[arg(long)]
    team: Option<String>,
    #[arg(long)]
    project: Option<String>,
    /// The provider's name of the model
    #[arg(long)]
    model: Option<String>,
    #[arg(long)]
    provider: Option<String>,
    /// The model that callers ask for
    #[arg(long)]
    route: Option<String>,
    /// A label that callers gave
    #[arg(long, value_name = "NAME=VALUE")]
    tag: Option<String>,
}

impl FilterOptions {
    pub(crate) fn read(&self, accounts: &Accounts, now: UnixMillis) -> Result<AttemptFilter> {
        let (from, to) = self.stretch(now)?;
        Ok(AttemptFilter {
            from,
            to,
            key_id: past(self.key.as_ref(), "key_", |name| key_id(accounts, name))?,
            team_id: past(self.team.as_ref(), "team_", |name| team_id(accounts, name))?,
            project_id: past(self.project.as_ref(), "project_", |name| {
                project_id(accounts, name)
            })?,
            model: self.model.clone(),
            provider: self.provider.clone(),
            route: self.route.clone(),
            tag: self.tag.as_deref().map(tag).transpose()?,
            ..AttemptFilter::default()
        })
    }

    fn stretch(&self, now: UnixMillis) -> Result<(Option<UnixMillis>, Option<UnixMillis>)> {
        if let Some(month) = &self.month {
            let (from, to) = time::month(month)?;
            return Ok((Some(from), Some(to)));
        }
        if let Some(last) = &self.last {
            let millis = u64::try_from(time::span("--last", last)?.as_millis()).unwrap_or(u64::MAX);
            return Ok((Some(UnixMillis(now.0.saturating_sub(millis))), None));
        }
        let read = |option, text: &Option<String>| {
            text.as_ref()
                .map(|text| time::instant(option, text))
                .transpose()
        };
        let (from, to) = (read("--from", &self.from)?, read("--to", &self.to)?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(Error::invalid_value("--to", "--to must lie after --from."));
        }
        Ok((from, to))
    }
}

/// The id that a name stands for. What was deleted has calls in the ledger still, so a whole id is taken as it is.
fn past(
    given: Option<&String>,
    prefix: &str,
    find: impl Fn(&str) -> Result<String>,
) -> Result<Option<String>> {
    let Some(name) = given else { return Ok(None) };
    match find(name) {
        Err(error) if error.kind() == Kind::NotFound && name.starts_with(prefix) => {
            Ok(Some(name.clone()))
        }
        found => found.map(Some),
    }
}

fn tag(text: &str) -> Result<(String, String)> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| {
            let message = format!("{} is no label. Write it as `NAME=VALUE`.", quote(text));
            Error::invalid_value("--tag", message)
        })
}
