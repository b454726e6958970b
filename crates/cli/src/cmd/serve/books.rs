//! The books of a service: opened with what a former process left, and kept up with the accounts as
//! administrators change them, here or from the command line.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tollgate_base::{Clock as _, Result, SystemClock, crash_point};
use tollgate_config::Config;
use tollgate_gateway::{Books, Notice, Shared};
use tollgate_ledger::{Config as LedgerConfig, Durability, Ledger};
use tollgate_policy::{
    account::{AccountStore, Accounts},
    admission::Rules,
    ledger::LedgerStore,
};
use tollgate_store::{SqliteLedger, SqliteStore};

use crate::{Exit, terminal::say};

/// How often changes of the accounts are looked for: what another process revokes is out of use within a second.
const LOOK: Duration = Duration::from_millis(300);
/// How often it is written down when keys were used, counted in looks.
const LOOKS_TO_TOUCH: u32 = 20;

/// Opens the ledger of the data folder. What a former process left open is ended first.
pub(crate) fn open_ledger(config: &Config) -> Result<Ledger, Exit> {
    let said = |error: &dyn std::fmt::Display| {
        say(&error.to_string());
        Exit::Failure
    };
    let store = SqliteLedger::open(&config.data_dir).map_err(|error| said(&error))?;
    let store: Arc<dyn LedgerStore> = Arc::new(store);
    Ledger::open(settings(config), store, Arc::new(SystemClock)).map_err(|error| said(&error))
}

fn settings(config: &Config) -> LedgerConfig {
    let durability = match config.ledger.durability {
        tollgate_config::Durability::Power => Durability::Power,
        tollgate_config::Durability::Process => Durability::Process,
    };
    LedgerConfig {
        durability,
        segment_bytes: config.ledger.journal_file_mib << 20,
        ..LedgerConfig::new(&config.data_dir)
    }
}

/// The books with the rules of the configuration and of the accounts, their counters as the ledger has them.
pub(super) fn open(
    config: &Config,
    accounts: &Accounts,
    notices: mpsc::Sender<Notice>,
) -> Result<Books, Exit> {
    let ledger = open_ledger(config)?;
    let told = ledger.recovery();
    if told.lost > 0 {
        tracing::warn!(
            attempts = told.lost,
            "attempts of a former process have no known end; see `tollgate ledger unknown`"
        );
    }
    let rules = rules(config, accounts).map_err(|error| {
        say(error.message());
        Exit::Usage
    })?;
    let books = Books::new(rules, ledger, Some(notices));
    restore(&books, &books.rules.load_full()).map_err(|error| {
        say(error.message());
        Exit::Failure
    })?;
    Ok(books)
}

/// Every rule that is in force: those of the configuration and those of the accounts.
pub(crate) fn rules(config: &Config, accounts: &Accounts) -> Result<Rules> {
    let limits = accounts.limits.values().map(|limit| limit.value.clone());
    let budgets = accounts.budgets.values().map(|budget| budget.value.clone());
    Rules::new(
        config.limits.iter().cloned().chain(limits).collect(),
        config.budgets.iter().cloned().chain(budgets).collect(),
    )
}

/// Tells the counters that are new what was used before. Done before the rules are in force, so that their first
/// admission knows of everything; calls go on meanwhile.
fn restore(books: &Books, rules: &Arc<Rules>) -> Result<()> {
    let new = books.admission.begin(rules, SystemClock.moment());
    if !new.is_empty() {
        // What is written down and not shipped yet counts, too.
        books.ledger.flush()?;
    }
    let store = books.ledger.store();
    for crossing in new.finish(|scope, borders| store.figures(scope, borders))? {
        books.notify(Notice::Crossed(crossing));
    }
    Ok(())
}

/// Looks for changes of the accounts, and takes them over, for as long as the service runs.
pub(super) async fn keep_up(shared: Arc<Shared>, store: Arc<SqliteStore>) {
    let mut seen = None;
    let mut looks = 0_u32;
    loop {
        tokio::time::sleep(LOOK).await;
        let (shared, store) = (shared.clone(), store.clone());
        looks = looks.wrapping_add(1);
        let is_time_to_touch = looks.is_multiple_of(LOOKS_TO_TOUCH);
        // The store may take a moment: no other task of this thread waits for it.
        let looked = tokio::task::spawn_blocking(move || {
            if is_time_to_touch {
                store.touch_keys(&shared.books.take_used())?;
            }
            take_over(&shared, &*store, seen)
        });
        match looked.await {
            Ok(Ok(generation)) => seen = Some(generation),
            Ok(Err(error)) => tracing::error!("the accounts could not be read: {error}"),
            Err(_) => tracing::error!("looking at the accounts failed; it is tried again"),
        }
    }
}

/// Takes over the accounts as they are, when the admin API changed them.
pub(super) fn on_change(
    shared: Arc<Shared>,
    store: Arc<SqliteStore>,
) -> Arc<dyn Fn() + Send + Sync> {
    Arc::new(move || {
        if let Err(error) = take_over(&shared, &*store, None) {
            tracing::error!("the accounts could not be read: {error}");
        }
    })
}

/// Takes over the accounts when they changed since `seen`. Returns their generation.
pub(super) fn take_over(
    shared: &Shared,
    store: &dyn AccountStore,
    seen: Option<u64>,
) -> Result<u64> {
    let _changing = shared.books.changing.lock();
    let generation = store.generation()?;
    if seen == Some(generation) {
        return Ok(generation);
    }
    let accounts = store.accounts()?;
    // Keys first: what was revoked is out of use whatever else fails.
    shared.keys.store(Arc::new(accounts.key_ring()));
    let rules = Arc::new(rules(&shared.snapshot.load().config, &accounts)?);
    restore(&shared.books, &rules)?;
    // The keys are the new ones, the rules still the old ones.
    crash_point("config-swap");
    shared.books.rules.store(rules);
    Ok(accounts.generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_config::{FileSource, Overrides, Sources};

    fn of(text: &str) -> LedgerConfig {
        let sources = Sources {
            file: FileSource::Text {
                name: "tollgate.toml".into(),
                text: text.to_owned(),
            },
            overrides: Overrides {
                listen: None,
                data_dir: Some("/data".into()),
            },
            ..Sources::default()
        };
        let Ok(loaded) = Config::load(&sources) else {
            panic!("{text} does not load");
        };
        settings(&loaded.config)
    }

    #[test]
    fn the_ledger_is_opened_as_the_settings_say() {
        let said = of("[ledger]\ndurability = \"process\"\njournal_file_mib = 2\n");
        assert_eq!(
            (said.durability, said.segment_bytes),
            (Durability::Process, 2 << 20)
        );
        let (absent, own) = (of(""), LedgerConfig::new("/data"));
        assert_eq!(
            (absent.durability, absent.segment_bytes),
            (own.durability, own.segment_bytes)
        );
    }
}
