use std::sync::Arc;

use tollgate_base::Money;

use super::*;
use crate::{
    key::{FormerDigest, KeyScopes, Network, Pattern, Role, Token},
    rules::{Measure, Period, Relief, Span},
    scope::Scope,
};

const NOW: UnixMillis = UnixMillis(1_000);

fn key(id: &str) -> (KeyRecord, Token) {
    let token = Token::generate(Role::Model).unwrap();
    (KeyRecord::new(id, "a key", &token, NOW), token)
}

/// A record of each kind with every field set.
fn full() -> Vec<Record> {
    let (mut key, _) = key("key_1");
    key.former.push(FormerDigest {
        digest: Token::generate(Role::Model).unwrap().digest(),
        until: NOW,
    });
    key.owner = Some("Ada, \"the\" owner".to_owned());
    key.project_id = Some("project_1".to_owned());
    key.team_id = Some("team_1".to_owned());
    key.scopes = Arc::new(KeyScopes {
        models: vec![Pattern::parse("openai/*").unwrap()],
        operations: vec![Pattern::parse("generation").unwrap()],
        sources: vec![Network::parse("10.0.0.0/8").unwrap()],
        strict: true,
        max_output_tokens: Some(u64::MAX),
    });
    key.expires_at = Some(UnixMillis(u64::MAX));
    key.disabled_at = Some(NOW);
    key.revoked_at = Some(NOW);
    vec![
        Record::Key(key),
        Record::Team(Team {
            id: "team_1".to_owned(),
            name: "żółw".to_owned(),
            created_at: NOW,
            disabled_at: Some(NOW),
        }),
        Record::Project(Project {
            id: "project_1".to_owned(),
            name: "p".to_owned(),
            team_id: Some("team_1".to_owned()),
            created_at: NOW,
            disabled_at: Some(NOW),
        }),
        Record::Budget(BudgetRule {
            id: "budget_1".to_owned(),
            scope: Scope::Model("lab/a:b".to_owned()),
            limit: Money::from_nanos(1),
            period: Period::Week,
            zone: "Europe/Warsaw".to_owned(),
            hard: true,
            thresholds: vec![50, 100],
            relief: Some(Relief {
                limit: Money::from_nanos(12_000_000_000),
                until: NOW,
            }),
        }),
        Record::Limit(LimitRule {
            id: "limit_1".to_owned(),
            scope: Scope::Gateway,
            measure: Measure::Requests(Span::Minute),
            most: 0,
        }),
    ]
}

#[test]
fn every_record_reads_back_as_it_was_stored() {
    for record in full() {
        let stored = record.to_stored();
        let read = Record::from_stored(record.kind(), record.id(), &stored);
        assert_eq!(read, Ok(record), "{stored}");
    }
}

#[test]
fn what_is_shown_of_a_key_holds_no_digest() {
    for record in full() {
        let shown = record.to_shown();
        assert!(!shown.contains("digest"), "{shown}");
        if let Record::Key(key) = &record {
            assert!(!shown.contains(&key.digest.to_hex()) && shown.contains(&key.last_four));
        }
    }
}

#[test]
fn a_damaged_record_is_named_by_its_field_and_not_guessed() {
    for record in full() {
        let stored = record.to_stored();
        for (from, to) in [
            ("\"role\":\"model\"", "\"role\":\"root\""),
            ("\"digest\":\"", "\"digest\":\"x"),
            ("openai/*", "*openai"),
            ("10.0.0.0/8", "10.0.0.0/88"),
            ("\"limit\":\"", "\"limit\":\"-"),
            ("requests-per-minute", "requests-per-year"),
            ("\"week\"", "\"year\""),
            ("\"gateway\"", "\"galaxy\""),
        ] {
            let damaged = stored.replacen(from, to, 1);
            if damaged != stored {
                let read = Record::from_stored(record.kind(), record.id(), &damaged);
                assert!(read.is_err(), "{damaged}");
            }
        }
        assert!(Record::from_stored(record.kind(), "x", "{}").is_err());
    }
}

#[test]
fn a_project_brings_its_team_and_either_puts_its_keys_out_of_use() {
    let mut accounts = Accounts::default();
    let (mut with_project, token) = key("key_1");
    with_project.project_id = Some("project_1".to_owned());
    let (mut of_team, team_token) = key("key_2");
    of_team.team_id = Some("team_1".to_owned());
    let (team, project) = match (&full()[1], &full()[2]) {
        (Record::Team(team), Record::Project(project)) => (team.clone(), project.clone()),
        _ => unreachable!(),
    };
    let later = UnixMillis(NOW.0 - 1);
    for record in full()
        .drain(1..3)
        .chain([with_project, of_team].map(Record::Key))
    {
        accounts.put(1, record);
    }
    for (now, outcome) in [(later, Some("team_1")), (NOW, None)] {
        for token in [&token, &team_token] {
            let text = token.secret().expose();
            let caller = accounts.key_ring().check(text, Role::Model, now);
            match outcome {
                Some(team) => assert_eq!(caller.unwrap().team_id.as_deref(), Some(team)),
                None => assert_eq!(caller.unwrap_err().code(), "key_disabled"),
            }
        }
    }
    accounts.put(
        2,
        Record::Team(Team {
            disabled_at: None,
            ..team
        }),
    );
    assert!(
        accounts
            .disabled_at(&accounts.keys["key_1"].value)
            .is_some()
    );
    assert!(
        accounts
            .disabled_at(&accounts.keys["key_2"].value)
            .is_none()
    );
    accounts.put(
        3,
        Record::Project(Project {
            disabled_at: None,
            ..project
        }),
    );
    assert!(
        accounts
            .disabled_at(&accounts.keys["key_1"].value)
            .is_none()
    );
}
