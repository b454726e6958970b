//! Alerts as a whole: receivers on loopback, and what they are told.

mod dispatch;
mod hooks;
mod journal;
mod mails;
mod pattern;

use std::path::PathBuf;

use tollgate_base::{Money, UnixMillis};
use tollgate_config::{Config, FileSource, Sources};
use tollgate_policy::scope::Scope;

use crate::{Alert, BudgetCrossing, Channel, channels};

/// 2026-11-21T08:00:00Z
const NOW: UnixMillis = UnixMillis(1_795_248_000_000);

fn crossing(budget: &str, threshold: u8) -> Alert {
    let scope = Scope::Team("t".to_owned());
    let crossing = BudgetCrossing {
        scope: &scope,
        budget,
        threshold,
        posted: Money::from_nanos(80_000_000_000),
        limit: Money::from_nanos(100_000_000_000),
        hard: true,
        period_start: UnixMillis(1_793_491_200_000),
        period_end: None,
    };
    Alert::budget_crossed(&crossing, NOW)
}

/// The channels of a settings file.
fn settings(text: &str) -> Vec<Channel> {
    let sources = Sources {
        file: FileSource::Text {
            name: PathBuf::from("tollgate.toml"),
            text: text.to_owned(),
        },
        ..Sources::default()
    };
    let loaded = Config::load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    channels(&loaded.config.alerts).unwrap()
}

#[test]
fn an_id_is_decided_by_the_crossing_alone() {
    let alert = crossing("b", 80);
    let mut later = crossing("b", 80);
    later.at = UnixMillis(1);
    assert_eq!(alert.id, later.id);
    assert_ne!(alert.id, crossing("b", 100).id);
    assert_ne!(alert.id, crossing("c", 80).id);
    assert!(
        alert.id.len() == 28
            && alert
                .id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    );
    // No two lists of parts run together alike.
    let price = |target: &str, version: &str| Alert::unknown_price(target, version, NOW).id;
    assert_ne!(price("a/b", "1"), price("a/b1", ""));
}

#[test]
fn every_alert_says_what_to_do_in_one_voice() {
    let hour = crate::Unusual {
        hour: NOW,
        spent: Money::from_nanos(6),
        usual: Money::from_nanos(1),
        limit: Money::from_nanos(5),
    };
    for alert in [
        crossing("b", 80),
        crossing("b", 100),
        Alert::unusual_spend("key_1", &hour, NOW),
        Alert::ledger_degraded("no space\nleft", NOW, NOW),
        Alert::storage_full(5, NOW, NOW),
        Alert::unknown_price("lab/x\r\nBcc: y", "2026-11-01", NOW),
        Alert::unknown_outcomes(3, Money::ZERO, NOW, NOW),
        Alert::audit_broken(7, NOW),
        Alert::test("ops", NOW),
    ] {
        assert!(
            alert.text.ends_with('.') && !alert.title.ends_with('.'),
            "{alert:?}"
        );
        assert!(!alert.title.chars().any(char::is_control), "{alert:?}");
        assert!(!alert.text.chars().any(char::is_control), "{alert:?}");
    }
    assert_eq!(
        crossing("everything", 80).title,
        "Budget everything of team:t reached 80%"
    );
}
