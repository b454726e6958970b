//! What changes the ledger from the command line: the end of attempts that nobody knows, and corrections of prices.
//! Both need the ledger's lock, which a running service has.

use clap::{ArgGroup, Args};
use tollgate_base::{Error, Money, Result, UnixMillis, quote};
use tollgate_catalog::price::PriceBook;
use tollgate_config::{BUILT_IN_PROVIDER, Config};
use tollgate_ledger::Ledger;
use tollgate_policy::ledger::{Attempt, AttemptFilter, AttemptId, AttemptState};

use crate::{
    Exit,
    cmd::serve::books::open_ledger,
    desk::{Desk, Folder, at_desk},
    ledger::at_ledger,
    prices,
    settings::Options,
    terminal::{data, say},
    time,
};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["attempt", "all"]))]
#[command(group = ArgGroup::new("what").required(true).args(["cost", "at_hold", "free"]))]
pub(super) struct Resolve {
    /// The attempt, as `tollgate ledger unknown` names it
    #[arg(value_name = "ATTEMPT")]
    attempt: Option<String>,
    /// Every attempt without a known end
    #[arg(long, requires = "at_hold")]
    all: bool,
    /// What it cost, in dollars
    #[arg(long, value_name = "DOLLARS")]
    cost: Option<String>,
    /// As much as was held for it: the most that it can have cost
    #[arg(long)]
    at_hold: bool,
    /// Nothing
    #[arg(long)]
    free: bool,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
pub(super) struct Reprice {
    /// From this date or time on, in UTC
    #[arg(long, value_name = "WHEN")]
    from: String,
    /// Up to this date or time, which is not in it any more
    #[arg(long, value_name = "WHEN")]
    to: String,
    /// Write the corrections; without it, only what they come to is said
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    options: Options,
}

impl Resolve {
    pub(super) fn run(&self) -> Exit {
        at_desk(&self.options, Folder::Expect, |desk| {
            let cost = self.cost.as_deref().map(amount).transpose()?;
            let Some(name) = &self.attempt else {
                return with_ledger(desk, |ledger| {
                    let booked = ledger.resolve_all_at_hold()?;
                    note(
                        desk,
                        "ledger.resolve",
                        "all",
                        &format!("{booked} attempts at their holds"),
                    )?;
                    say(&format!(
                        "Booked {booked} attempts at what was held for them."
                    ));
                    Ok(Exit::Success)
                });
            };
            let id = attempt_id(name)?;
            with_ledger(desk, |ledger| {
                let opening = find(ledger, &id)?.opening;
                let cost = match cost {
                    Some(cost) => cost,
                    None if self.free => Money::ZERO,
                    None => opening.held.ok_or_else(|| {
                        let message = "Nothing is held for this attempt: its price is not known. Say what it cost with --cost.";
                        Error::invalid_value("--at-hold", message)
                    })?,
                };
                ledger.resolve(&id, cost)?;
                note(desk, "ledger.resolve", &id.to_string(), &cost.to_decimal())?;
                say(&format!("Booked {id} at {cost}."));
                Ok(Exit::Success)
            })
        })
    }
}

fn amount(text: &str) -> Result<Money> {
    Money::parse(text).ok_or_else(|| {
        let message = format!(
            "{} is no amount of dollars. Write it as `0.12`.",
            quote(text)
        );
        Error::invalid_value("--cost", message)
    })
}

fn attempt_id(text: &str) -> Result<AttemptId> {
    AttemptId::parse(text)
        .ok_or_else(|| {
            let message = format!(
                "{} names no attempt. Write it as `tollgate ledger unknown` does: the request's id, `-`, and the \
                 number of the try.",
                quote(text)
            );
            Error::invalid_value("attempt", message)
        })
}

/// The attempt, if nobody knows how it ended.
fn find(ledger: &Ledger, id: &AttemptId) -> Result<Attempt> {
    match ledger.find(id)? {
        Some(listed) if listed.attempt.state == AttemptState::Unknown => Ok(listed.attempt),
        Some(listed) => {
            let state = listed.attempt.state.as_str();
            let message =
                format!("{id} is {state}. Only an attempt without a known end can be resolved.");
            Err(Error::new(
                tollgate_base::Kind::Conflict,
                "conflict",
                message,
            ))
        }
        None => {
            let message = format!("The ledger has no attempt {}.", quote(&id.to_string()));
            Err(Error::new(
                tollgate_base::Kind::NotFound,
                "not_found",
                message,
            ))
        }
    }
}

/// Opens the ledger for a change, which only one process may have open.
fn with_ledger(desk: &Desk, work: impl FnOnce(&Ledger) -> Result<Exit>) -> Result<Exit> {
    let ledger = match open_ledger(&desk.config) {
        Ok(ledger) => ledger,
        Err(exit) => {
            say(
                "A running service changes its ledger itself: use its admin API, POST /admin/v1/attempts/{id}/resolve or \
                 POST /admin/v1/reprice.",
            );
            return Ok(exit);
        }
    };
    let done = work(&ledger);
    ledger.close()?;
    done
}

fn note(desk: &Desk, action: &str, object: &str, what: &str) -> Result<()> {
    let after = serde_json::Value::from(what).to_string();
    desk.books
        .note(&desk.act(), action, object, (None, Some(after)))
        .map(drop)
}

impl Reprice {
    pub(super) fn run(&self) -> Exit {
        at_desk(&self.options, Folder::Expect, |desk| {
            let stretch = (
                time::instant("--from", &self.from)?,
                time::instant("--to", &self.to)?,
            );
            if stretch.0 >= stretch.1 {
                return Err(Error::invalid_value("--to", "--to must lie after --from."));
            }
            let book = prices::in_force(&desk.config)?;
            if self.yes {
                write(desk, &book, stretch)
            } else {
                Ok(self.preview(&book, stretch))
            }
        })
    }

    fn preview(&self, book: &PriceBook, (from, to): (UnixMillis, UnixMillis)) -> Exit {
        at_ledger(&self.options, |ledger, desk| {
            let filter = AttemptFilter {
                from: Some(from),
                to: Some(to),
                state: Some(AttemptState::Settled),
                ..AttemptFilter::default()
            };
            let (mut count, mut before, mut after) = (0_u64, Money::ZERO, Money::ZERO);
            ledger.each(&filter, |listed| {
                if let Some((cost, ..)) = cost_now(&desk.config, book, &listed.attempt) {
                    count += 1;
                    before += listed.attempt.cost().unwrap_or_default();
                    after += cost;
                }
                Ok(())
            })?;
            tell(count, before, after);
            say("Nothing was written. Run it again with --yes to write the corrections.");
            Ok(Exit::Success)
        })
    }
}

fn write(desk: &Desk, book: &PriceBook, stretch: (UnixMillis, UnixMillis)) -> Result<Exit> {
    with_ledger(desk, |ledger| {
        let done = ledger.reprice(stretch, |attempt| cost_now(&desk.config, book, attempt))?;
        let what = format!(
            "{} attempts: {} became {}",
            done.corrected, done.before, done.after
        );
        note(desk, "ledger.reprice", book.version(), &what)?;
        tell(done.corrected as u64, done.before, done.after);
        Ok(Exit::Success)
    })
}

fn tell(attempts: u64, before: Money, after: Money) {
    data(&format!("{before} -> {after}"));
    say(&format!(
        "{attempts} attempts that the prices in force know."
    ));
}

/// What an attempt would cost now, with the version and the unit prices. `None` leaves it as it is: one that was
/// resolved by hand, and one for which the book has no price.
fn cost_now(
    config: &Config,
    book: &PriceBook,
    attempt: &Attempt,
) -> Option<(Money, String, String)> {
    let settlement = attempt.settlement.as_ref()?;
    let opening = &attempt.opening;
    if opening.provider == BUILT_IN_PROVIDER {
        return None;
    }
    let priced =
        prices::of(config, book, &opening.provider, &opening.model)?.cost(&settlement.usage);
    Some((priced.cost?, book.version().to_owned(), priced.unit_prices))
}
