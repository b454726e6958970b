//! `tollgate budgets check`: would a call fit, and what would it cost at most?

use clap::{ArgGroup, Args};
use serde::Serialize;
use tollgate_base::{Error, Kind, Money, Result, quote};
use tollgate_catalog::price::{Ask, PriceBook};
use tollgate_config::{BUILT_IN_PROVIDER, Config, RouteTarget};
use tollgate_policy::{account::Accounts, admission::Demand, scope::Scope};

use crate::{
    Exit,
    desk::{Desk, Folder, at_desk, key_id},
    ledger::Reading,
    prices,
    settings::Options,
    standing::Standing,
    table::plain,
    terminal::data,
};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("who").required(true).args(["key", "scope"]))]
pub(super) struct Check {
    /// Whose call it is: a key, with its project and team
    #[arg(long)]
    key: Option<String>,
    /// Or only a scope: team:NAME, project:NAME, gateway
    #[arg(long)]
    scope: Option<String>,
    /// A route, or PROVIDER/MODEL
    #[arg(long)]
    model: String,
    #[arg(long, value_name = "N")]
    input_tokens: u64,
    /// The most that is asked for
    #[arg(long, value_name = "N")]
    output_tokens: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Options,
}

/// What one target comes to.
#[derive(Serialize)]
struct Verdict {
    target: String,
    fits: bool,
    cost_at_most: Option<String>,
    why: Option<String>,
}

impl Check {
    pub(super) fn run(&self) -> Exit {
        at_desk(&self.options, Folder::Expect, |desk| {
            let accounts = desk.accounts()?;
            let scopes = self.scopes(desk, &accounts)?;
            let targets = targets(&desk.config, &self.model)?;
            let book = prices::in_force(&desk.config)?;
            let standing = Standing::of(desk, &accounts, &Reading::of(desk)?)?;
            let verdicts: Vec<_> = targets
                .iter()
                .map(|target| {
                    self.verdict(&standing, &scopes, target, self.most(desk, &book, target))
                })
                .collect();
            if self.json {
                data(&serde_json::to_string(&verdicts).unwrap_or_default());
            } else {
                for verdict in &verdicts {
                    data(&verdict.line());
                }
            }
            let fits = verdicts.iter().any(|verdict| verdict.fits);
            Ok(if fits { Exit::Success } else { Exit::Failure })
        })
    }

    /// The circles that the call lies in, whatever answers it.
    fn scopes(&self, desk: &Desk, accounts: &Accounts) -> Result<Vec<Scope>> {
        let mut scopes = vec![Scope::Gateway];
        if let Some(name) = &self.key {
            let id = key_id(accounts, name)?;
            if let Some(key) = accounts.keys.get(&id) {
                scopes.extend(key.value.project_id.clone().map(Scope::Project));
                let team = accounts.team_id_of(&key.value);
                scopes.extend(team.map(|id| Scope::Team(id.to_owned())));
            }
            scopes.push(Scope::Key(id));
        }
        if let Some(text) = &self.scope {
            scopes.push(desk.scope(text)?);
        }
        scopes.push(Scope::Model(self.model.clone()));
        Ok(scopes)
    }

    /// What the call costs at most there. `None` when nobody knows the price.
    fn most(&self, desk: &Desk, book: &PriceBook, target: &RouteTarget) -> Option<Money> {
        if target.provider == BUILT_IN_PROVIDER {
            return Some(Money::ZERO);
        }
        let ask = Ask {
            input: self.input_tokens,
            ..Ask::default()
        };
        prices::of(&desk.config, book, &target.provider, &target.model)?
            .most(&ask, self.output_tokens)
    }

    fn verdict(
        &self,
        standing: &Standing,
        scopes: &[Scope],
        target: &RouteTarget,
        most: Option<Money>,
    ) -> Verdict {
        let name = format!("{}/{}", target.provider, target.model);
        let mut scopes = scopes.to_vec();
        scopes.extend([
            Scope::Model(name.clone()),
            Scope::Provider(target.provider.clone()),
        ]);
        let demand = Demand {
            scopes: scopes.into(),
            counts: true,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            money: most,
        };
        let why = match (standing.check(&demand), most) {
            (Err(refusal), _) => Some(refusal.to_string()),
            (Ok(()), None) => Some(
                "Its price is not known. Add it under [prices] in the configuration.".to_owned(),
            ),
            (Ok(()), Some(_)) => None,
        };
        Verdict {
            target: name,
            fits: why.is_none(),
            cost_at_most: most.map(Money::to_decimal),
            why,
        }
    }
}

impl Verdict {
    fn line(&self) -> String {
        let cost = match &self.cost_at_most {
            Some(cost) => format!("at most ${cost}"),
            None => "cost not known".to_owned(),
        };
        let target = plain(&self.target);
        match &self.why {
            None => format!("{target}  fits  {cost}"),
            Some(why) => format!("{target}  does not fit  {cost}  {}", plain(why)),
        }
    }
}

/// The targets of a route, or the one that is named.
fn targets(config: &Config, name: &str) -> Result<Vec<RouteTarget>> {
    if let Some(route) = config.routes.get(name) {
        return Ok(route.targets.clone());
    }
    let Some((provider, model)) = name.split_once('/') else {
        let message = format!(
            "{} is no route. Write one that is configured, or `PROVIDER/MODEL`.",
            quote(name)
        );
        return Err(Error::new(Kind::NotFound, "model_not_found", message));
    };
    Ok(vec![RouteTarget {
        provider: provider.to_owned(),
        model: model.to_owned(),
    }])
}
