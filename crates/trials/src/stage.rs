//! What every trial stands on: the oracle's providers, the settings that name them, the calls it makes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tollgate_testkit::{Block, Dialect, End, FaultKind, Record, Scenario, TestProvider};

use crate::client::{Call, Client, Wire};
use crate::compare::{Comparison, Evidence, Seen, Witness, compare};
use crate::dice::Dice;
use crate::export::Row;
use crate::gateway::{Gateway, Place};
use crate::load::Made;
use crate::price::Rates;
use crate::report::Report;

/// How long the oracle may take to see that its clients have left.
const QUIET_WITHIN: Duration = Duration::from_secs(20);

/// How much of a trial is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    /// With the tests: all trials together within two minutes.
    Short,
    /// As the specification has it for a change.
    Full,
    /// By night.
    Long,
}

/// What every trial is told.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) binary: PathBuf,
    pub(crate) seed: u64,
    pub(crate) tier: Tier,
}

/// Two providers, one of each dialect, and how they are priced.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) chat: TestProvider,
    pub(crate) messages: TestProvider,
    pub(crate) rates: Rates,
}

impl Common {
    /// One of three by the tier.
    pub(crate) fn scaled<T>(&self, short: T, full: T, long: T) -> T {
        match self.tier {
            Tier::Short => short,
            Tier::Full => full,
            Tier::Long => long,
        }
    }
}

impl Oracle {
    pub(crate) async fn start(rates: Rates) -> Result<Self, String> {
        let start = |dialect| async move {
            let provider = TestProvider::start(dialect).await;
            provider.map_err(|error| format!("the oracle does not start: {error}"))
        };
        let oracle = Self {
            chat: start(Dialect::OpenAi).await?,
            messages: start(Dialect::Anthropic).await?,
            rates,
        };
        Ok(oracle)
    }

    /// Adds a script to both providers.
    pub(crate) fn register(&self, scenario: &Scenario) {
        self.chat.register(scenario.clone());
        self.messages.register(scenario.clone());
    }

    /// A script that answers after this delay, keeps to the cap to the token, and bills what it produced or a
    /// multiple of the cap.
    pub(crate) fn register_held(
        &self,
        name: &str,
        tokens: usize,
        delay: Duration,
        bills: Option<u64>,
    ) {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let script = Scenario::new(name, vec![Block::text("word ".repeat(tokens))]);
        let script = Scenario {
            honour_cap: true,
            bills,
            ..script.with_fault(FaultKind::DelayHead { ms })
        };
        self.register(&script);
    }

    /// The settings file: both providers with their prices, and what the trial adds.
    pub(crate) fn settings(&self, rules: &str) -> String {
        let chat = provider("chat", "openai-compatible", &self.chat.base_url());
        let messages = provider("messages", "anthropic", &self.messages.base_url());
        format!(
            "detect_local_servers = false\nbuilt_in_model = false\n\n[log]\nlevel = \"warn\"\n\n{chat}{messages}{}\n{}\n{rules}\n",
            self.rates.table("chat"),
            self.rates.table("messages"),
        )
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = self.chat.records();
        records.extend(self.messages.records());
        records
    }

    pub(crate) fn witnesses(&self) -> Vec<Witness> {
        self.records().iter().filter_map(Witness::of).collect()
    }

    /// How many attempts are open.
    pub(crate) fn open(&self) -> usize {
        let is_open = |record: &&Record| record.end.is_none();
        self.records().iter().filter(is_open).count()
    }

    /// Waits until no attempt is open any more.
    pub(crate) async fn quiet(&self) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let open = self.open();
            if open == 0 {
                return Ok(());
            }
            if begin.elapsed() > QUIET_WITHIN {
                return Err(format!("{open} attempts are still open at the oracle"));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lays the ledger beside the records, once all attempts have ended.
    pub(crate) fn compare(&self, rows: &[Row], seen: &[Seen], in_flight: usize) -> Comparison {
        compare(&Evidence {
            rows,
            witnesses: &self.witnesses(),
            seen,
            rates: &self.rates,
            in_flight,
            tokens_under_way: 5,
        })
    }

    /// How many attempts the client's leaving ended.
    pub(crate) fn left(&self) -> usize {
        let is_left = |record: &&Record| record.end == Some(End::ClientClosed);
        self.records().iter().filter(is_left).count()
    }
}

/// The settings of one provider on this machine.
pub(crate) fn provider(name: &str, kind: &str, base_url: &str) -> String {
    format!(
        "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"{base_url}\"\napi_key = \"test-oracle\"\nallow_private = true\n\n"
    )
}

/// A call to either provider, streaming or not.
pub(crate) fn call(dice: &mut Dice, script: &str, stream_percent: u64) -> Call {
    let (wire, provider) = *dice.pick(&[(Wire::Chat, "chat"), (Wire::Messages, "messages")]);
    Call {
        wire,
        model: format!("{provider}/{script}"),
        stream: dice.percent(stream_percent),
        max_tokens: 1000,
        leave: None,
    }
}

pub(crate) fn client(gateway: &Gateway, place: &Place) -> Arc<Client> {
    Arc::new(Client::new(gateway.addr, place.key()))
}

pub(crate) fn seen(made: &[Made]) -> Vec<Seen> {
    made.iter()
        .filter_map(|made| made.answer.seen(&made.call))
        .collect()
}

/// Stops the gateway, reads its ledger, lets it verify itself.
pub(crate) async fn settle(
    gateway: &mut Gateway,
    place: &Place,
    report: &mut Report,
) -> Result<Vec<Row>, String> {
    if let Err(what) = gateway.stop().await {
        report.violation(what);
    }
    let findings = place.verify().await?.findings;
    report.violations(
        findings
            .iter()
            .map(|finding| format!("ledger verify: {finding}")),
    );
    place.export().await
}
